"""Decoding output blocks to Python rows and Arrow."""

from __future__ import annotations

import datetime as dt
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from engine_tables import text_buffers
from hypothesis import given, settings
from hypothesis import strategies as st

from zerodb.engine.result import ColumnValues, ResultBatch, RowDecoder, arrow_batch, arrow_schema
from zerodb_compiler import types as t
from zerodb_compiler.codegen.program import OutputColumn
from zerodb_compiler.errors import DataError
from zerodb_compiler.types import SqlType, TypeId

_WIDE = Context(prec=80)
EPOCH = dt.datetime(1970, 1, 1)
_FORMATS = {TypeId.SMALLINT: "i2", TypeId.INTEGER: "i4", TypeId.BIGINT: "i8", TypeId.U8: "u1", TypeId.U16: "u2",
            TypeId.U32: "u4", TypeId.REAL: "f4", TypeId.DOUBLE: "f8", TypeId.BOOLEAN: "u1"}  # fmt: skip


def encode(type_: SqlType, values: list[Any]) -> ColumnValues:
    """The column of an output block that holds these Python values."""
    validity = bytes(value is not None for value in values)
    filled = [value if value is not None else _zero(type_) for value in values]
    heap = b""
    match type_.id:
        case TypeId.TEXT:
            offsets, text = text_buffers(filled)
            data, heap = offsets.astype("<i4").tobytes(), text.tobytes()
        case TypeId.HUGEINT | TypeId.U64:
            data = b"".join(value.to_bytes(16, "little", signed=True) for value in filled)
        case TypeId.NUMERIC:
            scaled = [int(value.scaleb(type_.scale, _WIDE)) for value in filled]
            data = b"".join(value.to_bytes(16, "little", signed=True) for value in scaled)
        case TypeId.DATE:
            data = np.array([value.toordinal() - EPOCH.toordinal() for value in filled], "<i4").tobytes()
        case TypeId.TIMESTAMP:
            data = np.array([(value - EPOCH) // dt.timedelta(microseconds=1) for value in filled], "<i8").tobytes()
        case kind:
            data = np.array(filled, "<" + _FORMATS[kind]).tobytes()
    return ColumnValues(data, validity, heap)


def _zero(type_: SqlType) -> Any:
    match type_.id:
        case TypeId.TEXT:
            return ""
        case TypeId.NUMERIC:
            return Decimal(0)
        case TypeId.DATE:
            return dt.date(1970, 1, 1)
        case TypeId.TIMESTAMP:
            return EPOCH
    return 0


def numerics(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    bound = 10**precision - 1
    return st.integers(-bound, bound).map(lambda value: Decimal(value).scaleb(-scale, _WIDE))


STRATEGIES: list[tuple[SqlType, st.SearchStrategy[Any]]] = [
    (t.BOOLEAN, st.booleans()),
    (t.SMALLINT, st.integers(*t.SMALLINT.bounds)),
    (t.INTEGER, st.integers(*t.INTEGER.bounds)),
    (t.BIGINT, st.integers(*t.BIGINT.bounds)),
    (t.U8, st.integers(*t.U8.bounds)),
    (t.U16, st.integers(*t.U16.bounds)),
    (t.U32, st.integers(*t.U32.bounds)),
    (t.U64, st.integers(*t.U64.bounds)),
    (t.HUGEINT, st.integers(-(10**38) + 1, 10**38 - 1)),
    (t.numeric(9, 2), numerics(9, 2)),
    (t.numeric(38, 10), numerics(38, 10)),
    (t.DOUBLE, st.floats(allow_nan=False)),
    (t.REAL, st.floats(width=32, allow_nan=False)),
    (t.TEXT, st.text(st.characters(codec="utf-8"), max_size=12)),
    (t.DATE, st.dates()),
    (t.TIMESTAMP, st.datetimes()),
]


@pytest.mark.parametrize(("type_", "values"), STRATEGIES, ids=[str(type_) for type_, _ in STRATEGIES])
def test_rows_and_arrow_give_the_values(type_: SqlType, values: st.SearchStrategy[Any]) -> None:
    output = (OutputColumn("v", type_, True),)
    decoder, schema = RowDecoder(output), arrow_schema(output)

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.none() | values, max_size=20))
    def check(expected: list[Any]) -> None:
        batch = ResultBatch(len(expected), (encode(type_, expected),))
        rows = [value for (value,) in decoder.rows(batch)]
        assert rows == expected
        assert [type(value) for value in rows] == [type(value) for value in expected]
        if type_.id is TypeId.NUMERIC:
            assert all(value is None or value.as_tuple().exponent == -type_.scale for value in rows)
        array = arrow_batch(batch, output, schema).column(0)
        array.validate(full=True)
        given_back = array.to_pylist()
        if type_.id is TypeId.HUGEINT:
            given_back = [None if value is None else int(value) for value in given_back]
        assert given_back == expected

    check()


def test_a_hugeint_beyond_arrows_decimal_is_an_error() -> None:
    output = (OutputColumn("v", t.HUGEINT, True),)
    for value in (10**38, -(10**38), 2**127 - 1, -(2**127)):
        batch = ResultBatch(1, (encode(t.HUGEINT, [value]),))
        assert RowDecoder(output).rows(batch) == [(value,)]
        with pytest.raises(DataError):
            arrow_batch(batch, output, arrow_schema(output))


def test_dates_beyond_pythons_are_an_error_but_not_under_a_null() -> None:
    decoder = RowDecoder((OutputColumn("v", t.DATE, True),))
    data = np.array([2**31 - 1], "<i4").tobytes()
    assert decoder.rows(ResultBatch(1, (ColumnValues(data, b"\0", b""),))) == [(None,)]
    with pytest.raises(DataError) as caught:
        decoder.rows(ResultBatch(1, (ColumnValues(data, None, b""),)))
    assert caught.value.sqlstate == "22008"


def test_several_columns_and_none() -> None:
    output = (OutputColumn("a", t.INTEGER, False), OutputColumn("b", t.TEXT, True), OutputColumn("n", t.NULL, True))
    batch = ResultBatch(2, (encode(t.INTEGER, [1, 2]), encode(t.TEXT, ["x", None]), ColumnValues(b"", None, b"")))
    assert RowDecoder(output).rows(batch) == [(1, "x", None), (2, None, None)]
    assert arrow_batch(batch, output, arrow_schema(output)).to_pylist()[1] == {"a": 2, "b": None, "n": None}
    assert RowDecoder(()).rows(ResultBatch(3, ())) == [(), (), ()]
    assert arrow_batch(ResultBatch(3, ()), (), arrow_schema(())).num_rows == 3
    assert arrow_schema(output).field("a") == pa.field("a", pa.int32(), False)
