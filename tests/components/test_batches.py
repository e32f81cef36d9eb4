"""Values and record batches between SQL's types and WIT's: round trips through wasmtime's own copy of each value, the
text that PostgreSQL would print, and what guests may get wrong."""

from __future__ import annotations

import ctypes
import datetime
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from wasmtime import _ffi as ffi

from zerodb.components import vals
from zerodb.components.batches import (
    LIFT_BATCH,
    LOWER_BATCH,
    arrow_column,
    case_of,
    column_values,
    from_record_batch,
    natural_column,
    to_record_batch,
)
from zerodb.components.guest_values import from_value, from_values, to_values
from zerodb.components.marshal import lift_of, lower_of
from zerodb.components.vals import Arena, MalformedError, Variant
from zerodb.components.wit_types import VALUE, ListOf, WitType
from zerodb.values import canonical_array
from zerodb_compiler import types
from zerodb_compiler.errors import DataError, Error
from zerodb_compiler.intervals import Interval, pack
from zerodb_compiler.sql.values import format_value, parse_value
from zerodb_compiler.types import SqlType, TypeId, array, enum_type, numeric, struct
from zerodb_storage.arrow import arrow_type

_clone = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(("wasmtime_component_val_clone", ffi.dll))
_delete = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(("wasmtime_component_val_delete", ffi.dll))


def through_wasmtime(lower: vals.Lower, lift: Callable[[int], Any], value: Any, lift_plainly: bool = False) -> Any:
    """The value, written, copied by wasmtime, read and freed."""
    arena = Arena()
    at = arena.take(vals.VAL_BYTES)
    lower(value, arena, at)
    copy = ctypes.create_string_buffer(vals.VAL_BYTES)
    _clone(at, ctypes.addressof(copy))
    arena.clear()
    try:
        return vals.lift(ctypes.addressof(copy)) if lift_plainly else lift(ctypes.addressof(copy))
    finally:
        _delete(ctypes.addressof(copy))


def sent(type_: WitType, value: Any, *, arrow: bool = False) -> Any:
    return through_wasmtime(lower_of(type_), lift_of(type_, arrow=arrow), value)


def batch_sent(batch: Any, lift_plainly: bool = False) -> Any:
    return through_wasmtime(LOWER_BATCH, LIFT_BATCH, batch, lift_plainly)


MOOD = enum_type("mood", ("sad", "ok", "happy"))
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


def _integers(type_: SqlType) -> st.SearchStrategy[int]:
    low, high = type_.bounds
    return st.integers(low, high)


TYPES: dict[SqlType, st.SearchStrategy[Any]] = {
    **{
        type_: _integers(type_)
        for type_ in (
            *(types.BOOLEAN, types.SMALLINT, types.INTEGER, types.BIGINT, types.U8, types.U16, types.U32, types.U64),
            *(types.HUGEINT, numeric(5, 2), numeric(18, 0), numeric(38, 10), numeric(38, 38), numeric(38, 10, 0)),
            *(numeric(38, 10, 3), types.TIME, types.UUID, MOOD),
        )
    },
    numeric(38, 20, 0, quotient=True): st.integers(-(10**30), 10**30),
    types.DATE: st.integers(-2_440_588, 2_145_031_948) | st.sampled_from(types.DATE.bounds),
    types.TIMESTAMP: st.integers(-210_866_803_200_000_000, 9_223_371_331_199_999_999)
    | st.sampled_from(types.TIMESTAMP.bounds),
    types.TIMESTAMPTZ: st.integers(-210_866_803_200_000_000, 9_223_371_331_199_999_999),
    types.INTERVAL: st.builds(
        pack, st.integers(-(2**31) + 12, 2**31 - 1), st.integers(-(2**31) + 1, 2**31 - 1), st.integers(-(2**62), 2**62)
    ),
    types.DOUBLE: st.floats(),
    types.REAL: st.floats(width=32),
    types.TEXT: _TEXT,
    types.BYTEA: st.binary(max_size=60),
    types.JSON: st.sampled_from(['{"a": [1, 2]}', "null", '"ü"', "1.50"]).map(str.encode),
    types.JSONB: st.sampled_from(['{"a": [1, 2]}', "null", '"ü"', "1.50"]).map(
        lambda text: parse_value(types.JSONB, text)
    ),
    array(types.INTEGER): st.sampled_from(["{}", "{1,NULL,3}", "{{1,2},{3,4}}"]).map(
        lambda text: parse_value(array(types.INTEGER), text)
    ),
    struct((("a", types.INTEGER), ("b", types.TEXT)), "pair"): st.sampled_from(["(1,x)", "(,)"]).map(
        lambda text: parse_value(struct((("a", types.INTEGER), ("b", types.TEXT)), "pair"), text)
    ),
}


@st.composite
def columns(draw: st.DrawFn) -> tuple[SqlType, list[Any]]:
    type_ = draw(st.sampled_from(list(TYPES)))
    return type_, draw(st.lists(st.none() | TYPES[type_], max_size=20))


def same(left: pa.Array, right: pa.Array) -> bool:
    if pa.types.is_floating(left.type):
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        return all(a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b)) for a, b in pairs)
    return bool(left.equals(right))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(columns(), st.booleans())
def test_columns_of_every_type_come_back_as_they_were(column: tuple[SqlType, list[Any]], plainly: bool) -> None:
    type_, values = column
    given_ = canonical_array(type_, values)
    batch = batch_sent(to_record_batch([given_], [type_]), plainly)
    assert batch["row-count"] == len(values)
    [found] = from_record_batch(batch, [type_])
    assert found.type == arrow_type(type_)
    assert type_.quotient or same(found, given_)  # not all digits of a quotient are shown
    if batch["columns"][0]["data"].tag in ("decimals", "uuids", "jsons", "others"):
        expected = [format_value(type_, value) for value in values]
        texts = natural_column(batch["columns"][0], len(values)).to_pylist()
        assert texts == expected


@settings(max_examples=100, deadline=None)
@given(columns(), st.data())
def test_a_slice_is_a_column_too(column: tuple[SqlType, list[Any]], data: st.DataObject) -> None:
    type_, values = column
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    given_ = canonical_array(type_, values).slice(start, stop - start)
    [found] = from_record_batch(batch_sent(to_record_batch([given_], [type_])), [type_])
    assert same(found, given_)


@settings(max_examples=200, deadline=None)
@given(columns())
def test_texts_are_read_by_the_input_function_of_any_type(column: tuple[SqlType, list[Any]]) -> None:
    type_, values = column
    assume(not type_.quotient)
    texts = pa.array([format_value(type_, value) for value in values], pa.string())
    given_ = canonical_array(type_, values)
    found = arrow_column(column_values(texts, types.TEXT), type_, len(values))
    assert same(found, given_)


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 65_535, 65_536, 65_537, 200_001])
def test_batches_of_any_size(rows: int) -> None:
    numbers = pa.array(range(rows), pa.int64(), mask=np.arange(rows) % 3 == 1)
    texts = pa.array([None if i % 5 == 2 else "x" * (i % 7) for i in range(rows)], pa.large_string())
    batch = batch_sent(to_record_batch([numbers, texts], [types.BIGINT, types.TEXT]))
    found = from_record_batch(batch, [types.BIGINT, types.TEXT])
    assert found[0].equals(numbers)
    assert found[1].equals(texts)


def test_users_arrow_types() -> None:
    """Arrays as Python functions may give them."""
    columns_ = {
        types.UUID: pa.array([UUID(int=5).bytes, None], pa.uuid()),
        MOOD: pa.array(["ok", None]).dictionary_encode(),
        types.TEXT: pa.array(["ok", None]).dictionary_encode(),
        array(types.INTEGER): pa.array([[1, None], None], pa.list_(pa.int32())),
        types.JSONB: pa.array(['{"a": 1}', None]),
        types.INTERVAL: pa.array([(1, 2, 3000), None], pa.month_day_nano_interval()),
        types.BIGINT: pa.array([1, None], pa.int8()),
        types.DOUBLE: pa.array([1.5, None], pa.float32()),
    }
    batch = batch_sent(to_record_batch(list(columns_.values()), list(columns_)))
    shown = [natural_column(column, 2)[0].as_py() for column in batch["columns"]]
    assert shown[:5] == [str(UUID(int=5)), "ok", "ok", "{1,NULL}", '{"a": 1}']
    assert shown[6:] == [1, 1.5]
    for column, type_ in zip(batch["columns"], columns_, strict=True):
        assert arrow_column(column, type_, 2).null_count == 1


def test_columns_that_are_null_throughout() -> None:
    for type_ in (*TYPES, types.NULL):
        nulls = pa.nulls(9) if type_.id is TypeId.NULL else pa.nulls(9, arrow_type(type_))
        batch = batch_sent(to_record_batch([nulls], [type_]))
        assert batch["columns"][0]["data"].tag == case_of(type_)
        if type_.id is not TypeId.NULL:
            assert from_record_batch(batch, [type_])[0].null_count == 9


@pytest.mark.parametrize(
    ("type_", "column", "sqlstate"),
    [
        (types.SMALLINT, Variant("int64s", np.array([1, 40_000])), "22003"),
        (types.U8, Variant("int64s", np.array([1, -1])), "22003"),
        (types.REAL, Variant("float64s", np.array([1, 1e300])), "22003"),
        (types.DATE, Variant("dates", np.array([0, 2_147_483_000], np.int32)), "22008"),
        (types.TIMESTAMP, Variant("timestamps", np.array([0, -(2**63) + 1])), "22008"),
        (types.TIMESTAMPTZ, Variant("timestamptzs", np.array([0, 2**63 - 2])), "22008"),
        (types.TIME, Variant("times", np.array([0, 86_400_000_001])), "22008"),
        (types.TIME, Variant("times", np.array([0, -1])), "22008"),
        (numeric(5, 2), Variant("decimals", ["1", "NaN"]), "0A000"),
        (numeric(5, 2), Variant("decimals", ["1", "12345"]), "22003"),
        (numeric(5, 2), Variant("decimals", ["1", "one"]), "22P02"),
        (types.UUID, Variant("uuids", ["550e8400-e29b-41d4-a716-446655440000", "no"]), "22P02"),
        (types.JSON, Variant("jsons", ["1", "{"]), "22P02"),
        (types.JSONB, Variant("jsons", ["1", "{"]), "22P02"),
        (MOOD, Variant("others", ["ok", "bad"]), "22P02"),
        (types.TEXT, Variant("texts", ["a", "a\0b"]), "22021"),
        (types.INTEGER, Variant("texts", ["1", "one"]), "22P02"),
        (types.INTEGER, Variant("booleans", np.array([True, False])), "42804"),
        (types.DATE, Variant("int64s", np.array([1, 2])), "42804"),
        (SqlType(TypeId.TEXT, length=2), Variant("texts", ["ab", "abc"]), "22001"),
    ],
)
def test_values_that_a_type_does_not_hold(type_: SqlType, column: Variant, sqlstate: str) -> None:
    batch = batch_sent({"row-count": 2, "columns": [{"validity": None, "data": column}]})
    with pytest.raises(Error) as error:
        from_record_batch(batch, [type_])
    assert error.value.sqlstate == sqlstate


def test_what_lies_under_a_null_has_no_meaning() -> None:
    for type_, column in (
        (types.SMALLINT, Variant("int64s", np.array([1, 40_000]))),
        (types.DATE, Variant("dates", np.array([0, 2_147_483_000], np.int32))),
        (types.REAL, Variant("float64s", np.array([1, 1e300]))),
        (types.UUID, Variant("uuids", ["550e8400-e29b-41d4-a716-446655440000", "no"])),
        (numeric(5, 2), Variant("decimals", ["1", "what?"])),
        (types.TEXT, Variant("texts", ["a", "\0"])),
        (types.JSONB, Variant("jsons", ["1", "{"])),
    ):
        batch = batch_sent({"row-count": 2, "columns": [{"validity": b"\1", "data": column}]})
        assert from_record_batch(batch, [type_])[0].is_valid().to_pylist() == [True, False]


def test_values_fit_where_the_types_allow_it() -> None:
    one = {"row-count": 1, "columns": [{"validity": None, "data": Variant("int64s", np.array([7]))}]}
    assert from_record_batch(one, [numeric(5, 2)])[0].to_pylist() == [Decimal("7.00")]
    assert from_record_batch(one, [types.DOUBLE])[0].to_pylist() == [7.0]
    rounded = {"row-count": 1, "columns": [{"validity": None, "data": Variant("decimals", ["1.005"])}]}
    assert from_record_batch(rounded, [numeric(5, 2)])[0].to_pylist() == [Decimal("1.01")]


@pytest.mark.parametrize(
    ("validity", "data"),
    [
        (None, Variant("int64s", np.arange(3))),
        (None, Variant("int64s", np.arange(5))),
        (None, Variant("texts", ["a"])),
        (None, Variant("intervals", ([1, 2, 3], [1, 2, 3], [1, 2, 3]))),
        (b"", Variant("int64s", np.arange(4))),
    ],
)
def test_lists_of_other_lengths_are_refused(validity: bytes | None, data: Variant) -> None:
    with pytest.raises(DataError):
        batch = batch_sent({"row-count": 4, "columns": [{"validity": validity, "data": data}]})
        from_record_batch(batch, [types.BIGINT])


def test_another_number_of_columns_is_refused() -> None:
    with pytest.raises(DataError, match="0 columns, not 1"):
        from_record_batch({"row-count": 0, "columns": []}, [types.BIGINT])


def test_no_text_that_is_not_utf8_comes_to_wasmtime() -> None:
    """It would end the process."""
    wrong = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]
    )
    with pytest.raises(MalformedError):
        batch_sent(to_record_batch([wrong], [types.TEXT]))
    with pytest.raises((MalformedError, UnicodeError)):
        sent(VALUE, Variant("text", "\ud800"))


# --- single values --------------------------------------------------------------------------------------------------

ROW: list[tuple[SqlType, Any, Variant]] = [
    (types.BOOLEAN, True, Variant("boolean", True)),
    (types.SMALLINT, -3, Variant("int64", -3)),
    (types.BIGINT, 2**63 - 1, Variant("int64", 2**63 - 1)),
    (types.HUGEINT, 2**100, Variant("other", str(2**100))),
    (types.DOUBLE, 1.5, Variant("float64", 1.5)),
    (numeric(5, 2), Decimal("-12.50"), Variant("decimal", "-12.50")),
    (numeric(38, 38), Decimal("0E-38"), Variant("decimal", "0." + "0" * 38)),
    (types.TEXT, "ä", Variant("text", "ä")),
    (types.BYTEA, b"\0\xff", Variant("binary", b"\0\xff")),
    (types.DATE, datetime.date(1969, 12, 31), Variant("date", -1)),
    (types.TIME, datetime.time(0, 0, 1, 5), Variant("time", 1_000_005)),
    (types.TIMESTAMP, datetime.datetime(1970, 1, 2), Variant("timestamp", 86_400_000_000)),
    (types.TIMESTAMPTZ, datetime.datetime(1970, 1, 1, 1, tzinfo=datetime.UTC), Variant("timestamptz", 3_600_000_000)),
    (types.INTERVAL, Interval(1, 2, 3), Variant("interval", {"months": 1, "days": 2, "microseconds": 3})),
    (types.UUID, UUID(int=1), Variant("uuid", "00000000-0000-0000-0000-000000000001")),
    (types.JSON, {"a": [1, None]}, Variant("json", '{"a": [1, null]}')),
    (MOOD, "ok", Variant("other", "ok")),
    (array(types.INTEGER), [1, None], Variant("other", "{1,NULL}")),
    (types.TEXT, None, Variant("null")),
]


def test_rows_as_values_and_back() -> None:
    row = [value for _, value, _ in ROW]
    found = sent(ListOf(VALUE), to_values(row, [type_ for type_, _, _ in ROW]))
    assert found == [value for _, _, value in ROW]
    back = from_values(found, [type_ for type_, _, _ in ROW])
    assert back[:3] == row[:3]
    assert back[5:15] == row[5:15]
    assert back[3] == str(2**100)


def test_what_python_cannot_hold_goes_as_text() -> None:
    assert from_value(Variant("date", types.DATE.bounds[1])) == "infinity"
    assert from_value(Variant("date", 10_000_000)) == "29349-01-26"
    assert from_value(Variant("timestamp", types.TIMESTAMP.bounds[0])) == "-infinity"
    assert from_value(Variant("time", 86_400_000_000)) == "24:00:00"


@pytest.mark.parametrize(
    "value",
    [
        Variant("date", 2_147_483_000),
        Variant("time", -1),
        Variant("timestamp", -(2**63) + 1),
        Variant("timestamptz", 2**63 - 2),
        Variant("decimal", "one"),
        Variant("uuid", "no"),
    ],
)
def test_values_out_of_range(value: Variant) -> None:
    with pytest.raises(DataError):
        from_value(value)


def test_a_value_is_checked_against_a_known_type() -> None:
    with pytest.raises(DataError) as error:
        from_values([Variant("int64", 40_000)], [types.SMALLINT])
    assert error.value.sqlstate == "22003"
