"""Columns of arrays, made and read whole, against the encoder and decoder of single values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from zerodb.functions.nested_columns import decode_lists, encode_lists, encode_records
from zerodb.values import canonical_array
from zerodb_compiler import nested
from zerodb_compiler.types import (
    BIGINT,
    BOOLEAN,
    BYTEA,
    DATE,
    DOUBLE,
    INTEGER,
    REAL,
    SMALLINT,
    TEXT,
    TIMESTAMP,
    U32,
    UUID,
    SqlType,
    array,
    numeric,
    struct,
)

_SIXTEEN = some.integers(-(1 << 126), (1 << 126) - 1)
TYPES: list[tuple[SqlType, some.SearchStrategy[Any]]] = [
    (BOOLEAN, some.integers(0, 1)),
    (SMALLINT, some.integers(-(1 << 15), (1 << 15) - 1)),
    (INTEGER, some.integers(-(1 << 31), (1 << 31) - 1)),
    (BIGINT, some.integers(-(1 << 63), (1 << 63) - 1)),
    (U32, some.integers(0, (1 << 32) - 1)),
    (numeric(12, 2), some.integers(-(10**12) + 1, 10**12 - 1)),
    (numeric(30, 4), some.integers(-(10**30) + 1, 10**30 - 1)),
    (UUID, _SIXTEEN),
    (REAL, some.floats(width=32, allow_nan=False)),
    (DOUBLE, some.floats(allow_nan=False)),
    (DATE, some.integers(-100_000, 100_000)),
    (TIMESTAMP, some.integers(-(1 << 50), 1 << 50)),
    (TEXT, some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)),
    (BYTEA, some.binary(max_size=5)),
]


@pytest.mark.parametrize(("type_", "values"), TYPES, ids=[str(type_) for type_, _ in TYPES])
def test_the_same_bytes_and_back(type_: SqlType, values: some.SearchStrategy[Any]) -> None:
    groups = some.lists(some.lists(some.none() | values, max_size=4), max_size=5)

    @settings(max_examples=30, deadline=None)
    @given(groups)
    def check(given_: list[list[Any]]) -> None:
        flat = [value for group in given_ for value in group]
        offsets = np.cumsum([0, *map(len, given_)])
        elements = canonical_array(type_, flat)
        made = encode_lists(type_, elements, offsets)
        kind = array(type_)
        expected = [
            nested.encode_array(kind, nested.Array(((len(group), 1),), tuple(group)) if group else nested.Array((), ()))
            for group in given_
        ]
        assert made.to_pylist() == expected
        back, places = decode_lists(type_, made)
        assert places.tolist() == offsets.tolist()
        assert back.null_count == flat.count(None)
        again = encode_lists(type_, back, offsets)
        assert again.to_pylist() == expected
        if len(made) > 1:  # a part of a column, and NULLs in it
            part = pa.concat_arrays([pa.nulls(1, pa.large_binary()), made.slice(1)])
            back, places = decode_lists(type_, part.slice(0))
            assert places.tolist() == [0, *(offsets[1:] - offsets[1]).tolist()]
            assert encode_lists(type_, back, places).to_pylist()[1:] == expected[1:]

    check()


def test_records_of_arrays() -> None:
    one = encode_lists(INTEGER, pa.array([1, 2, None]), np.array([0, 2, 2, 3]))
    two = encode_lists(TEXT, pa.array(["a", "", None]), np.array([0, 1, 2, 3]))
    made = encode_records([one, two], 3)
    types = [array(INTEGER), array(TEXT)]
    assert made.to_pylist() == [nested.encode_record(types, pair) for pair in zip(one.to_pylist(), two.to_pylist())]  # noqa: B905
    assert struct((("a", types[0]),)).fields
