"""Records of few rows say the same as records of columns, and are refused where they are damaged."""

from __future__ import annotations

import math

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from zerodb_compiler.errors import Error
from zerodb_compiler.types import BIGINT, DOUBLE, REAL, TEXT, numeric
from zerodb_storage import commit_log, keys, records
from zerodb_storage.values import Form, Values

TYPES = (BIGINT, TEXT, DOUBLE, REAL, numeric(38, 2))
CELLS = (
    some.none() | some.integers(-(1 << 63), (1 << 63) - 1),
    some.none() | some.text().map(str.encode),
    some.none() | some.floats(),
    some.none() | some.floats(width=32),
    some.none() | some.integers(-(10**38), 10**38),
)
ROWS = some.lists(some.tuples(*CELLS), max_size=5)


def cells(values: Values) -> list[object]:
    """The canonical values of a column."""
    found: list[object] = []
    for row in range(len(values)):
        if values.validity is not None and not values.validity[row]:
            found.append(None)
        elif values.form is Form.TEXT:
            assert values.text is not None
            found.append(bytes(values.text[values.data[row] : values.data[row + 1]]))
        elif values.form is Form.WIDE:
            low, high = (int(word) for word in values.data[row])
            found.append((high << 64) | (low & ((1 << 64) - 1)))
        else:
            found.append(values.data[row].item())
    return found


def same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return one == other


@settings(max_examples=200)
@given(ROWS, some.lists(some.integers(-(1 << 63), (1 << 63) - 1), max_size=4))
def test_what_is_written_is_read(rows, deleted):
    key, value = commit_log.pack_few(7, 12, 11, rows, commit_log.row_forms(TYPES), deleted)
    assert key == keys.log(7, 12)
    record = commit_log.unpack(key, value)
    assert record.previous == 11
    assert record.deleted.tolist() == deleted
    assert len(record.rows) == (len(TYPES) if rows else 0)
    for column, values in enumerate(record.rows):
        expected = [row[column] for row in rows]
        assert all(map(same, cells(values), expected)), (cells(values), expected)
        assert (values.validity is None) == (None not in expected)


@pytest.mark.parametrize(
    "content",
    [
        {"previous": 1, "deleted": [], "cells": [1, 2, 3], "forms": "ii"},
        {"previous": 1, "deleted": [], "cells": [b"x"], "forms": "d"},
        {"previous": 1, "deleted": [], "cells": [b"xyz"], "forms": "i"},
        {"previous": 1, "deleted": [], "cells": [1], "forms": "q"},
        {"previous": 1, "deleted": [1.5], "cells": [], "forms": ""},
        {"previous": "1", "deleted": [], "cells": [], "forms": ""},
        {"previous": 1, "cells": [1], "forms": "i"},
    ],
)
def test_a_damaged_record_is_refused(content):
    key = keys.log(7, 12)
    with pytest.raises(Error) as raised:
        commit_log.unpack(key, records.seal(key, msgpack.packb(content)))
    assert raised.value.sqlstate == "XX001"
