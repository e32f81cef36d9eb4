"""Opening: from the stored pairs to the snapshot that was committed last."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from zerodb_compiler.errors import InternalError
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import commit_log, encoding, fold, keys, records
from zerodb_storage.arrow import may_hold
from zerodb_storage.catalog import Schema, TextMode, schema_from
from zerodb_storage.coding import coded
from zerodb_storage.dictionary import Dictionary, DictionaryStore
from zerodb_storage.kv import Batch, KeyValueStore, Reader
from zerodb_storage.segment import SegmentSet, from_header
from zerodb_storage.snapshot import Snapshot
from zerodb_storage.table import TableHandle, TableVersion
from zerodb_storage.values import Array, Values, concatenate
from zerodb_storage.visibility import Mask, mask_of

FORMAT_NAME = "zerodb"
FORMAT_VERSION = 2
_OLDEST_FORMAT = 1  # its commit records name rows of the delta otherwise
_HELD_RECORDS = 4_096


@dataclass(slots=True)
class TableState:
    """What the writer must remember of a table besides its version."""

    logged_records: int = 0
    logged_rows: int = 0
    last_logged: int = 0
    stored_strings: dict[int, int] = field(default_factory=dict)  # slot -> strings of its dictionary on disk


@dataclass(slots=True)
class Recovered:
    """`format` is that of the stored records; one before today's is for the caller to bring up to date."""

    format: int
    snapshot: Snapshot
    next_table_id: int
    next_segment_id: int
    states: dict[int, TableState]
    time: int  # of the last commit, in microseconds since 1970, UTC


def initialise(store: KeyValueStore, *, read_only: bool) -> None:
    """Check the format record, or write it into an empty store."""
    value = store.get(keys.FORMAT)
    if value is None:
        if next(store.scan(b"\x00", b"\xff"), None) is not None:
            raise InternalError("this is a RocksDB database but not a zerodb", sqlstate="XX001")
        if read_only:
            raise InternalError("there is no database to read: it was never written", sqlstate="58P01")
        store.write(Batch(puts=[format_record()]), sync=True)
        return
    record = records.unpack(keys.FORMAT, value)
    if record.get("name") != FORMAT_NAME:
        raise InternalError("this is not a zerodb database", sqlstate="XX001")
    found = record.get("version")
    if not isinstance(found, int) or not _OLDEST_FORMAT <= found <= FORMAT_VERSION:
        message = f"the database has format {found}, this zerodb reads format {FORMAT_VERSION}"
        raise InternalError(message, sqlstate="0A000")


def format_record() -> tuple[bytes, bytes]:
    return keys.FORMAT, records.pack(keys.FORMAT, {"name": FORMAT_NAME, "version": FORMAT_VERSION})


def _format(store: Reader) -> int:
    value = store.get(keys.FORMAT)
    return FORMAT_VERSION if value is None else int(records.unpack(keys.FORMAT, value)["version"])


def garbage_range(table_id: int, segment: int) -> tuple[bytes, bytes]:
    whole = segment == keys.WHOLE_TABLE
    return keys.table_range(b"C", table_id) if whole else keys.segment_columns(table_id, segment)


def recover(store: Reader) -> Recovered:
    """Rebuild the last committed snapshot; XX001 naming the record if one is damaged or missing."""
    found_format = _format(store)
    sequence, next_table_id, next_segment, defined, time = 0, 1, 1, 0, 0
    value = store.get(keys.STATE)
    if value is not None:
        state = read_state(value)
        with records.reading(keys.STATE):
            sequence, next_table_id = state["sequence"], state["next_table_id"]
            next_segment, defined, time = state.get("next_segment_id", 1), state.get("defined", 0), state.get("time", 0)
    tables: dict[str, TableVersion] = {}
    states: dict[int, TableState] = {}
    last_segment = next_segment - 1
    for key, value in store.scan(*keys.space(b"T")):
        version, table_state = recover_table(store, key, value, found_format)
        tables[version.key] = version
        states[version.id] = table_state
        last_segment = max([last_segment, *(found.id for found in version.segment_set.segments)])
    for key, _ in store.scan(*keys.space(b"G")):
        if keys.segment_of(key) != keys.WHOLE_TABLE:
            last_segment = max(last_segment, keys.segment_of(key))
    objects = dict(read_object(key, value) for key, value in store.scan(*keys.space(b"O")))
    snapshot = Snapshot(sequence, MappingProxyType(tables), MappingProxyType(objects), defined)
    return Recovered(found_format, snapshot, next_table_id, last_segment + 1, states, time)


def read_state(value: bytes) -> dict[str, int]:
    """The state record: sequence, next_table_id, next_segment_id, defined, time."""
    state = records.unpack(keys.STATE, value)
    with records.reading(keys.STATE):
        if not all(isinstance(number, int) for number in state.values()):
            raise ValueError("not numbers")
    return state


def read_object(key: bytes, value: bytes) -> tuple[tuple[str, str, str], Any]:
    """A catalog object that is no table: its kind, schema and name, and its data."""
    record = records.unpack(key, value)
    with records.reading(key):
        return keys.object_of(key), record["data"]


def read_schema(key: bytes, value: bytes) -> Schema:
    """A table's catalog record."""
    record = records.unpack(key, value)
    with records.reading(key):
        schema = schema_from(record)
        if schema.id != keys.table_of(key) or not all(isinstance(slot, int) for slot in schema.slots):
            raise ValueError("wrong ids")
        if len(schema.text_modes) != len(schema.columns):
            raise ValueError("wrong number of columns")
        return schema


def recover_table(store: Reader, key: bytes, value: bytes, found_format: int) -> tuple[TableVersion, TableState]:
    """A table of which `key` and `value` are the catalog record."""
    schema = read_schema(key, value)
    state = TableState()
    dictionaries = _recover_dictionaries(store, schema, state)
    for column, mode in enumerate(schema.text_modes):
        if mode is TextMode.DICTIONARY and column not in dictionaries:
            dictionaries[column] = Dictionary(DictionaryStore(), 0)
    segments = [from_header(k, v) for k, v in store.scan(*keys.table_range(b"H", schema.id))]
    masks: dict[int, Mask] = {}
    for chunk, found in enumerate(segments):
        vector_key = keys.deleted(schema.id, found.id)
        vector = store.get(vector_key)
        if vector is not None:
            masks[chunk] = mask_of(fold.visible_from(vector_key, vector, found.rows))
    with records.reading(key):
        version = TableVersion(
            schema,
            store,
            TableHandle(),
            SegmentSet.of(segments, schema.columns),
            masks=MappingProxyType(masks),
            dictionaries=MappingProxyType(dictionaries),
        )
        return replay(store, version, state, found_format), state


def _recover_dictionaries(store: Reader, schema: Schema, state: TableState) -> dict[int, Dictionary]:
    """By column; those of columns that were dropped stay unread."""
    places = {column.slot: number for number, column in enumerate(schema.columns)}
    stores: dict[int, DictionaryStore] = {}
    for key, value in store.scan(*keys.table_range(b"D", schema.id)):
        slot, first = keys.first_code_of(key)
        strings = stores.setdefault(slot, DictionaryStore())
        if first != strings.size:
            raise records.damaged(key, f"starts at code {first} instead of {strings.size}")
        with records.reading(key):
            values = encoding.decode(records.unseal(key, value))
            if values.text is None:
                raise ValueError("not text")
        joined, offsets = values.text.tobytes(), values.data.tolist()
        strings.append([joined[a:b] for a, b in itertools.pairwise(offsets)])
    for slot, strings in stores.items():
        state.stored_strings[slot] = strings.size
    return {places[slot]: Dictionary(strings, strings.size) for slot, strings in stores.items() if slot in places}


def replay(store: Reader, version: TableVersion, state: TableState, found_format: int) -> TableVersion:
    """Apply the commit records that come after `state.last_logged`; insertions are held and appended together where no
    deletion between them needs their row ids. `state` is brought up to date."""
    held: list[tuple[Values, ...]] = []
    end = keys.table_range(b"L", version.id)[1]
    for key, value in store.scan(keys.log(version.id, state.last_logged + 1), end):
        record = commit_log.unpack(key, value)
        if record.previous != state.last_logged:
            raise records.damaged(key, f"commit record {record.previous} before it is missing")
        if record.rows:
            if len(record.rows) != len(version.columns):
                raise records.damaged(key, "wrong number of columns")
            if len({len(values) for values in record.rows}) != 1:
                raise records.damaged(key, "columns of different lengths")
            for values, column in zip(record.rows, version.columns, strict=True):
                if not may_hold(values, column.type):
                    raise records.damaged(key, f"wrong values for column {column.name}")
            held.append(record.rows)
            state.logged_rows += len(record.rows[0])
        if len(record.deleted) or len(held) >= _HELD_RECORDS:
            version = _with_held(version, held)
            held = []
            with records.reading(key):
                deleted = record.deleted if found_format > 1 else _named_as_now(version, record.deleted)
                version, _ = version.with_deleted(version.row_ids_of(deleted), publishing=True)
            state.logged_rows += len(record.deleted)
        state.logged_records += 1
        state.last_logged = keys.segment_of(key)
    return _with_held(version, held)


def _named_as_now(version: TableVersion, deleted: Array) -> Array:
    """Segments were named by their places, and rows of the delta were numbered from the end of the segments on."""
    base = len(version.segment_set.segments) * CHUNK_ROWS
    chunks, rows = np.divmod(np.minimum(deleted, base - 1), CHUNK_ROWS)
    ids = version.segment_set.ids[chunks] if base else chunks
    return np.where(deleted >= base, ~(deleted - base), ids * CHUNK_ROWS + rows)


def _with_held(version: TableVersion, held: list[tuple[Values, ...]]) -> TableVersion:
    if not held:
        return version
    version, stored = coded(version, [concatenate(parts) for parts in zip(*held, strict=True)])
    return version.appended(stored)
