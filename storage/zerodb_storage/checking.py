"""`zerodb check`: read every record of a store and verify it, alone and against the others; problems are collected, not
raised, and each names the record that it is about.

    every pair      its checksum, and that its key is one we know
    tables          columns against their headers (rows, NULLs, bounds, sizes, codes, types), deleted rows, NOT NULL,
                    unique keys, commit records in an unbroken chain up to the last commit, dictionaries
    the catalog     tables, columns, sequences and modules that other records name; numbers given only once
    the history     for backups: unbroken, up to the last commit

Limits: what only the host understands (views' texts, CHECK, foreign keys' rows, unique indexes over expressions) is not
looked at. The order of rows in a segment is nothing that anybody relies on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zerodb_compiler.constraints import Unique
from zerodb_compiler.errors import DatabaseError
from zerodb_storage import garbage, history, keys, modules, records, recovery, sketch, unique
from zerodb_storage.arrow import may_hold
from zerodb_storage.catalog import Schema, TextMode
from zerodb_storage.kv import KeyValueStore
from zerodb_storage.segment import ColumnFacts, Segment, facts_of, from_header
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Form, Values, narrow

_SPACES = b"FSTDHVLGMONWB"  # all but C, the columns, which are read through their headers
_OF_TABLES = b"DHVL"


@dataclass(slots=True)
class _Findings:
    """What was read, and what is wrong."""

    problems: list[str] = field(default_factory=list)
    schemas: dict[int, Schema] = field(default_factory=dict)
    objects: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)

    def add(self, error: DatabaseError) -> None:
        self.problems.append(error.message)

    def damaged(self, key: bytes, why: str) -> None:
        self.add(records.damaged(key, why))


def check(store: KeyValueStore) -> list[str]:
    """All problems; empty if the database is sound."""
    found = _Findings()
    segments: list[Segment] = []
    for key, value in _pairs(store, found):
        _check_pair(key, value, found, segments)
    _check_catalog(store, found)
    for segment in segments:
        schema = found.schemas.get(segment.table_id)
        sizes = [_check_column(store, segment, place, schema, found) for place in range(len(segment.slots))]
        if all(sizes) and sum(sizes) != segment.byte_count:
            found.damaged(keys.header(segment.table_id, segment.id), "wrong size")
    _check_tables(store, found)
    _check_history(store, found)
    return list(dict.fromkeys(found.problems))


def _pairs(store: KeyValueStore, found: _Findings) -> Iterator[tuple[bytes, bytes]]:
    """Every pair but the columns; what lies between the spaces, too, where nothing should be."""
    place = 0
    for letter in sorted(_SPACES + b"C"):
        ranges = [(place, letter)] if letter == ord("C") else [(place, letter), (letter, letter + 1)]
        for begin, end in ranges:
            yield from _scanned(store, bytes([begin]), bytes([end]), found.problems)
        place = letter + 1
    yield from _scanned(store, bytes([place]), b"\xff", found.problems)


def _scanned(store: KeyValueStore, begin: bytes, end: bytes, problems: list[str]) -> Iterator[tuple[bytes, bytes]]:
    try:
        yield from store.scan(begin, end)
    except DatabaseError as error:
        problems.append(f"records {begin.decode(errors='replace')}: {error.message}")


def _check_pair(key: bytes, value: bytes, found: _Findings, segments: list[Segment]) -> None:
    letter = key[:1]
    try:
        match letter:
            case b"G":
                garbage.dropped_at(key, value)
            case b"T":
                schema = recovery.read_schema(key, value)
                found.schemas[schema.id] = schema
            case b"O":
                name, data = recovery.read_object(key, value)
                found.objects[name] = data
            case b"S":
                found.state = recovery.read_state(value)
            case b"H":
                segments.append(from_header(key, value))
            case b"W":
                found.modules.add(key[1:].hex())
                problem = modules.problem(key, value)
                if problem is not None:
                    found.damaged(key, problem)
            case b"V" | b"L" | b"D" | b"M" | b"N" | b"F" | b"B":
                records.unseal(key, value)
            case _:
                found.damaged(key, "no record of this kind is known")
    except DatabaseError as error:
        found.add(error)


# --- the catalog ------------------------------------------------------------------------------------------------------


def _sequences(found: _Findings) -> dict[int, Any]:
    """Definitions of sequences by their ids."""
    sequences: dict[int, Any] = {}
    for name, data in found.objects.items():
        if name[0] == "sequence":
            try:
                with records.reading(keys.object_(*name)):
                    sequences[data["id"]] = {**data}
            except DatabaseError as error:
                found.add(error)
    return sequences


def _check_catalog(store: KeyValueStore, found: _Findings) -> None:
    next_id, next_segment = found.state.get("next_table_id", 1), found.state.get("next_segment_id")
    names: dict[str, int] = {}
    sequences = _sequences(found)
    for schema in found.schemas.values():
        key = keys.table(schema.id)
        if schema.id >= next_id:
            found.damaged(key, f"has a number not given yet (the next one is {next_id})")
        if names.setdefault(schema.key, schema.id) != schema.id:
            found.damaged(key, f'has the name of table {names[schema.key]}, "{schema.name}"')
        try:
            with records.reading(key):
                problems = [*_broken_references(schema, found.schemas), *_unknown(schema, sequences)]
        except DatabaseError as error:
            found.add(error)
        else:
            for problem in problems:
                found.damaged(key, problem)
    _check_modules(found)
    for letter in _OF_TABLES:
        for key, _ in _scanned(store, *keys.space(bytes([letter])), []):  # what it cannot read is reported already
            if keys.table_of(key) not in found.schemas:
                found.damaged(key, "there is no such table")
            elif letter in b"HV" and next_segment is not None and keys.segment_of(key) >= next_segment:
                found.damaged(key, f"has a number not given yet (the next one is {next_segment})")
            elif letter == ord("L") and keys.segment_of(key) > found.state.get("sequence", 0):
                found.damaged(key, "is newer than the last commit")
    for key, value in _scanned(store, *keys.space(b"N"), []):
        definition = sequences.get(keys.table_of(key))
        # One without a definition is of a sequence whose transaction did not commit.
        if definition is not None and isinstance(definition.get("min"), int):
            _check_sequence(key, value, definition, found)


def _check_modules(found: _Findings) -> None:
    """Functions and the modules that they are made of name each other."""
    named: set[str] = set()
    for name, data in found.objects.items():
        if name[0] != modules.FUNCTION:
            continue
        key = keys.object_(*name)
        try:
            with records.reading(key):
                digests = set(modules.digests([(name, data)]))
                if not all(isinstance(digest, str) for digest in digests):
                    raise ValueError("wrong types")
        except DatabaseError as error:
            found.add(error)
            continue
        named |= digests
        for digest in digests - found.modules:
            found.damaged(key, f"its module {digest[:16]} is missing")
    for digest in sorted(found.modules - named):
        found.damaged(keys.module(bytes.fromhex(digest)), "no function is made of it")


def _broken_references(schema: Schema, schemas: dict[int, Schema]) -> Iterator[str]:
    constraints = schema.constraints
    count = len(schema.columns)
    for foreign in constraints.foreign_keys:
        target = schemas.get(foreign.table) if foreign.table else schema  # 0: to its own table
        if target is None:
            yield f'foreign key "{foreign.name}" refers to table {foreign.table}, which is not there'
        elif not set(foreign.referenced) <= set(target.slots):
            yield f'foreign key "{foreign.name}" refers to columns that table {foreign.table} does not have'
    if constraints.bound is not None and constraints.bound.parent not in schemas:
        yield f"is a partition of table {constraints.bound.parent}, which is not there"
    named = [("primary key", schema.primary_key)]
    named += [(f'unique key "{key.name}"', key.columns) for key in constraints.uniques]
    named += [(f'foreign key "{key.name}"', key.columns) for key in constraints.foreign_keys]
    for index in constraints.indexes:
        columns = tuple(key.column for key in index.keys if key.column is not None)
        named.append((f'index "{index.name}"', (*columns, *index.include)))
    for what, columns in named:
        if not all(0 <= column < count for column in columns):
            yield f"{what} names columns that the table does not have"
    if len(set(schema.slots)) != count or any(slot >= schema.next_slot for slot in schema.slots):
        yield "columns have wrong slots"


def _unknown(schema: Schema, sequences: dict[int, Any]) -> Iterator[str]:
    for column in schema.columns:
        if column.sequence is not None and column.sequence not in sequences:
            yield f'column "{column.name}" has sequence {column.sequence}, which is not there'


def _check_sequence(key: bytes, value: bytes, definition: dict[str, Any], found: _Findings) -> None:
    try:
        record = records.unpack(key, value)
        with records.reading(key):
            if not definition["min"] <= record["last"] <= definition["max"]:
                raise ValueError(f"{record['last']} is beyond the sequence's bounds")
    except DatabaseError as error:
        found.add(error)


# --- tables -----------------------------------------------------------------------------------------------------------


def _check_column(store: KeyValueStore, segment: Segment, place: int, schema: Schema | None, found: _Findings) -> int:
    """One column of a segment; its stored size, 0 if it cannot be read."""
    slot = segment.slots[place]
    key = keys.column(segment.table_id, segment.id, slot)
    try:
        value = store.get(key)
        values = segment.read(_One(key, value), slot)
    except DatabaseError as error:
        name = keys.describe(key)
        found.problems.append(error.message if name in error.message else f"{name}: {error.message}")
        return 0
    if values.null_count != segment.facts[place].null_count:
        found.damaged(key, f"has {values.null_count} NULLs, its header says {segment.facts[place].null_count}")
    elif not _equal(facts_of(values), segment.facts[place]):
        found.damaged(key, "has other bounds than its header says")
    elif values.form is not Form.CODES:  # the sketch is made within the bounds
        bounds = segment.facts[place].bounds if values.form is Form.INT else None
        if not np.array_equal(sketch.sketch(narrow(values), bounds), segment.sketches[place]):  # type: ignore[arg-type]
            found.damaged(key, "has another sketch than its header says")
    column = next((c for c in schema.columns if c.slot == slot), None) if schema is not None else None
    if column is not None and values.form is not Form.CODES and may_hold(values, column.type):
        _check_type(key, values, column.type, found)
    assert value is not None
    return len(value)


@dataclass(frozen=True, slots=True)
class _One:
    """A reader of one pair, which is read already."""

    key: bytes
    value: bytes | None

    def get(self, key: bytes) -> bytes | None:
        assert key == self.key
        return self.value

    def multi_get(self, keys: Any) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def scan(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(())


def _equal(a: ColumnFacts, b: ColumnFacts) -> bool:
    return a.null_count == b.null_count and repr(a.bounds) == repr(b.bounds)  # NaN equals NaN here


def _check_type(key: bytes, values: Values, type_: Any, found: _Findings) -> None:
    if values.form in (Form.INT, Form.WIDE):
        bounds = values.bounds()
        if bounds is not None and not type_.bounds[0] <= bounds[0] <= bounds[1] <= type_.bounds[1]:
            found.damaged(key, f"has values beyond those of {type_}")
    elif values.form is Form.TEXT and type_.is_text and not _is_utf8(values):
        found.damaged(key, "has text that is not UTF-8")


def _is_utf8(values: Values) -> bool:
    """Whether the bytes are UTF-8, and every string begins and ends between characters."""
    assert values.text is not None
    try:
        values.text.tobytes().decode()
    except UnicodeDecodeError:
        return False
    starts = values.data[:-1][values.data[:-1] < len(values.text)]
    return not bool(np.any((values.text[starts] & 0xC0) == 0x80))


def _check_tables(store: KeyValueStore, found: _Findings) -> None:
    sound = len(found.problems) == 0
    try:
        recovered = recovery.recover(store)
    except DatabaseError as error:
        found.add(error)
        return
    for version in recovered.snapshot.tables.values():
        if sound:  # else columns that cannot be read were reported already
            _check_table(store, version, found)


def _check_table(store: KeyValueStore, version: TableVersion, found: _Findings) -> None:
    segments = {segment.id for segment in version.segment_set.segments}
    for key in (key for key, _ in store.scan(*keys.table_range(b"V", version.id))):
        if keys.segment_of(key) not in segments:
            found.damaged(key, "there is no such segment")
    for chunk in range(version.chunk_count):
        for number in range(len(version.columns)):
            _check_values(version, chunk, number, found)
    if found.problems:
        return
    names = [Unique(unique.primary_key_name(version), version.primary_key)] if version.primary_key else []
    for key_ in (*names, *version.constraints.uniques):
        try:
            unique.check_existing(version, key_)
        except DatabaseError as error:
            found.damaged(keys.table(version.id), f'"{key_.name}" is not unique: {error.hint}')


def _check_values(version: TableVersion, chunk: int, number: int, found: _Findings) -> None:
    """What the table's definition says of a chunk's column."""
    column, segments = version.columns[number], version.segment_set.segments
    if chunk < len(segments):
        key = keys.column(version.id, segments[chunk].id, column.slot)
    else:
        key = keys.table(version.id)
    try:
        values = version.read(chunk, number)
    except DatabaseError as error:
        found.add(error)
        return
    visible = version.visibility(chunk)
    if column.not_null and values.validity is not None:
        present = values.validity if visible is None else values.validity[visible[1] != 0]
        if not present.all():
            found.damaged(key, f'has NULLs although column "{column.name}" is NOT NULL')
    if values.form is Form.CODES:
        known = version.dictionaries.get(number)
        bounds = values.bounds()
        if bounds is not None and (known is None or bounds[0] < 0 or bounds[1] >= known.size):
            found.damaged(key, "has codes that the dictionary does not have")
    elif version.schema.text_modes[number] is TextMode.DICTIONARY and chunk >= len(segments):
        found.damaged(key, f'has no codes although column "{column.name}" has a dictionary')


# --- the history ------------------------------------------------------------------------------------------------------


def _check_history(store: KeyValueStore, found: _Findings) -> None:
    before: int | None = None
    try:
        for key, value in store.scan(*keys.space(b"B")):
            record = history.unpack(key, value)
            if before is not None and record.previous != before:
                found.damaged(key, f"history of commit {record.previous} before it is missing")
            before = record.sequence
    except DatabaseError as error:
        found.add(error)
