"""`check` finds records that contradict each other although every checksum is right, and names them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from zerodb_compiler import types
from zerodb_compiler.constraints import Constraints, ForeignKey, Unique
from zerodb_storage import Column, Database, encoding, garbage, keys, publishing, records
from zerodb_storage.catalog import schema_record
from zerodb_storage.kv import Batch
from zerodb_storage.kv.memory import MemoryStore
from zerodb_storage.merger import Merger
from zerodb_storage.segment import assemble, encode_column, from_header, header_value
from zerodb_storage.values import Form, Values

COLUMNS = [Column("a", types.INTEGER), Column("s", types.TEXT), Column("u", types.INTEGER, not_null=True)]
CONSTRAINTS = Constraints(uniques=(Unique("t_u_key", (2,)),))


class _Kept(MemoryStore):
    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def pairs() -> dict[bytes, bytes]:
    """Two tables: segments, a dictionary, deleted rows, commit records, a foreign key, objects, a sequence."""
    store = _Kept()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "FOLD_ROWS", 300)
        patch.setattr(Merger, "in_background", False)
        with Database(store, read_only=False, synchronous="full") as db:
            with db.begin() as tx:
                tx.create_table("t", COLUMNS, (0,), constraints=CONSTRAINTS)
                tx.append("t", rows(0, 400), unique_key=True)
            with db.begin() as tx:
                foreign = ForeignKey("other_fkey", (0,), tx.tables["t"].id, (0,))
                tx.create_table("other", [Column("a", types.INTEGER)], constraints=Constraints(foreign_keys=(foreign,)))
                tx.delete("t", np.array([3, 4]))
                tx.put_object("sequence", "public", "s", {"id": tx.next_id(), "min": 1, "max": 100})
            with db.begin() as tx:
                tx.append("t", rows(400, 1_000), unique_key=True)
            for number in range(3):
                with db.begin() as tx:
                    tx.append("t", rows(2_000 + number, 2_001 + number), unique_key=True)
    return dict(store.scan(b"\x00", b"\xff"))


def rows(begin: int, end: int) -> pa.Table:
    numbers = pa.array(range(begin, end), pa.int32())
    return pa.table({"a": numbers, "s": [f"text {n % 5}" for n in range(begin, end)], "u": numbers})


def found(pairs: dict[bytes, bytes], **_: Any) -> list[str]:
    store = _Kept()
    store.write(Batch(puts=list(pairs.items())), sync=False)
    with Database(store, read_only=True, synchronous="full") as db:
        return db.check()


def only(pairs: dict[bytes, bytes], letter: bytes, place: int = 0) -> bytes:
    return sorted(key for key in pairs if key[:1] == letter)[place]


def test_what_is_sound(pairs: dict[bytes, bytes]) -> None:
    assert {key[:1] for key in pairs} >= {b"F", b"S", b"T", b"H", b"C", b"L", b"O", b"D"}
    assert found(pairs) == []


def changed_record(key: bytes, change: Callable[[dict[str, Any]], None]) -> Callable[[dict[bytes, bytes]], bytes]:
    def apply(pairs: dict[bytes, bytes]) -> bytes:
        record = records.unpack(key, pairs[key])
        change(record)
        pairs[key] = records.pack(key, record)
        return key

    return apply


def changed_header(place: int = 0, **facts: Any) -> Callable[[dict[bytes, bytes]], bytes]:
    def apply(pairs: dict[bytes, bytes]) -> bytes:
        key = only(pairs, b"H")
        segment = from_header(key, pairs[key])
        changed = list(segment.facts)
        changed[place] = replace(changed[place], **facts)
        pairs[key] = header_value(replace(segment, facts=tuple(changed)))
        return keys.column(segment.table_id, segment.id, segment.slots[place])

    return apply


def changed_column(place: int, change: Callable[[Values], Values]) -> Callable[[dict[bytes, bytes]], bytes]:
    """With the header saying what is there."""

    def apply(pairs: dict[bytes, bytes]) -> bytes:
        key = only(pairs, b"H")
        segment = from_header(key, pairs[key])
        parts = []
        for number, slot in enumerate(segment.slots):
            name = keys.column(segment.table_id, segment.id, slot)
            values = encoding.decode(records.unseal(name, pairs[name]))
            parts.append(
                encode_column(segment.table_id, segment.id, slot, change(values) if number == place else values)
            )
            pairs[name] = parts[-1].value
        pairs[key] = header_value(assemble(segment.table_id, segment.id, segment.rows, segment.slots, parts))
        return keys.column(segment.table_id, segment.id, segment.slots[place])

    return apply


def moved(letter: bytes, target: Callable[[bytes], bytes]) -> Callable[[dict[bytes, bytes]], bytes]:
    """A record, sealed anew, under another key."""

    def apply(pairs: dict[bytes, bytes]) -> bytes:
        key = only(pairs, letter)
        pairs[target(key)] = records.seal(target(key), bytes(records.unseal(key, pairs[key])))
        return target(key)

    return apply


def without(letter: bytes, place: int, named: Callable[[bytes], bytes] = lambda key: key) -> Any:
    def apply(pairs: dict[bytes, bytes]) -> bytes:
        key = only(pairs, letter, place)
        del pairs[key]
        return named(key)

    return apply


def nulls_in(values: Values) -> Values:
    validity = np.ones(len(values), np.uint8)
    validity[7] = 0
    data = values.data.copy()
    data[7] = 0
    return Values(values.form, data, validity)


def twice(values: Values) -> Values:
    data = values.data.copy()
    data[9] = data[10]
    return Values(values.form, data)


def beyond(values: Values) -> Values:
    data = values.data.astype(np.int64)
    data[9] = 1 << 40
    return Values(Form.INT, data)


CASES: dict[str, tuple[Callable[[dict[bytes, bytes]], bytes], str]] = {
    "bounds": (changed_header(0, bounds=(-5, 1_000)), "bounds"),
    "null count": (changed_header(0, null_count=2), "NULLs"),
    "size": (lambda pairs: changed_record(only(pairs, b"H"), lambda r: r.update(bytes=1))(pairs), "size"),
    "null in a not null column": (changed_column(2, nulls_in), "NOT NULL"),
    "values beyond the type": (changed_column(2, beyond), "beyond"),
    "codes beyond the dictionary": (changed_column(1, lambda v: Values(v.form, v.data + 7)), "codes"),
    "header of no table": (moved(b"H", lambda key: keys.header(77, 1)), "no such table"),
    "deleted rows of no segment": (
        lambda pairs: _put(pairs, keys.deleted(keys.table_of(only(pairs, b"T")), 0), b"\xff"),
        "no such segment",
    ),
    "column missing": (without(b"C", 0), "missing"),
    "commit record missing": (without(b"L", 1, lambda key: keys.log(keys.table_of(key), keys.segment_of(key) + 1)), ""),
    "commit record of the future": (
        lambda pairs: moved(b"L", lambda key: keys.log(keys.table_of(key), 5_000))(pairs),
        "",
    ),
    "garbage record": (lambda pairs: _raw(pairs, garbage.dropped(keys.garbage(1, 1), 5)[0], b"what"), ""),
    "unknown kind": (lambda pairs: _raw(pairs, b"Zebra", b"stripes"), "no record of this kind"),
    "table number": (lambda pairs: changed_record(keys.STATE, lambda r: r.update(next_table_id=1))(pairs), ""),
}


def _put(pairs: dict[bytes, bytes], key: bytes, content: bytes) -> bytes:
    pairs[key] = records.seal(key, content)
    return key


def _raw(pairs: dict[bytes, bytes], key: bytes, value: bytes) -> bytes:
    pairs[key] = value
    return key


@pytest.mark.parametrize("name", CASES)
def test_what_contradicts(pairs: dict[bytes, bytes], name: str) -> None:
    change, said = CASES[name]
    changed = dict(pairs)
    key = change(changed)
    try:
        problems = found(changed)
    except Exception as error:  # opening found it already
        problems = [str(error)]
    assert problems
    if key != keys.STATE:
        assert any(keys.describe(key) in problem and said in problem for problem in problems), problems


@pytest.mark.parametrize("unique", ["primary key", "unique key"])
def test_keys_that_are_not_unique(pairs: dict[bytes, bytes], unique: str) -> None:
    changed = dict(pairs)
    changed_column(0 if unique == "primary key" else 2, twice)(changed)
    problems = found(changed)
    assert any(("t_pkey" if unique == "primary key" else "t_u_key") in problem for problem in problems), problems


def test_references_to_nothing(pairs: dict[bytes, bytes]) -> None:
    changed = dict(pairs)
    for key in [key for key in changed if key[:1] in b"THCVLD" and len(key) > 4 and keys.table_of(key) == 1]:
        del changed[key]
    assert any("other_fkey" in problem for problem in found(changed))
    store = _Kept()
    store.write(Batch(puts=list(pairs.items())), sync=False)
    with Database(store, read_only=True, synchronous="full") as db:
        schema = db.snapshot().tables["t"].schema
    wrong = replace(schema, primary_key=(9,), columns=(replace(schema.columns[0], sequence=55), *schema.columns[1:]))
    changed = dict(pairs)
    changed[keys.table(schema.id)] = records.pack(keys.table(schema.id), schema_record(wrong))
    problems = found(changed)
    assert any("primary key names columns" in problem for problem in problems), problems
    assert any("sequence 55" in problem for problem in problems), problems
