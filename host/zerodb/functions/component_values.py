"""Columns between Arrow and what the component model's lists are read from and written to (components/lists.py).

    SQL's Arrow array --outgoing--> plain: numbers, text, bytes, or the arrays of a record's fields --lower--> guest
    guest --lift--> plain --incoming--> SQL's Arrow array, checked: ranges, UTF-8, forms of text

Whole columns are converted at once. Types without a form of their own (arrays, json, enums) are text on either side:
generated code reads and writes them (sql/external.py: wire_type).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zerodb.components.batches import arrow_column, case_of, column_values
from zerodb.components.lists import NUMBERS
from zerodb.components.vals import Variant
from zerodb.components.wit_types import INTERVAL, Primitive
from zerodb.engine.result import arrow_type
from zerodb.functions.body import FunctionError
from zerodb.functions.component_types import BYTES, STRING, Slot
from zerodb_compiler.errors import DatabaseError
from zerodb_compiler.types import SqlType, TypeId

_DAY_US = 86_400_000_000
_INTERVAL = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])
_MOMENTS = (TypeId.DATE, TypeId.TIME, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ)
Outgoing = Callable[[pa.Array], Any]
Incoming = Callable[[Any], pa.Array]


def raw_type(slot: Slot) -> pa.DataType:
    """The Arrow type of plain values."""
    if slot.type == STRING:
        return pa.string()
    if slot.type == BYTES:
        return pa.binary()
    assert isinstance(slot.type, Primitive), "intervals have none"
    return pa.from_numpy_dtype(NUMBERS[slot.type.name])


# --- to the guest -----------------------------------------------------------------------------------------------------


def outgoing(type_: SqlType, slot: Slot) -> Outgoing:
    """From a column of the type to what its list is written from."""
    if slot.type == INTERVAL:
        return _interval_records if slot.nullable or not slot.batch else _interval_fields
    if slot.type == STRING:
        return _as_it_is if type_.is_text else partial(_texts, type_)
    if slot.type == BYTES:
        return _as_it_is
    assert isinstance(slot.type, Primitive)
    return partial(_numbers, type_, slot.type.name)


def _as_it_is(array: pa.Array) -> pa.Array:
    return array


def _numbers(type_: SqlType, name: str, array: pa.Array) -> pa.Array:
    if type_.id in _MOMENTS:
        array = array.view(pa.int32() if type_.id is TypeId.DATE else pa.int64())
    wanted = pa.from_numpy_dtype(NUMBERS[name])
    if array.type == wanted:
        return array
    try:
        return array.cast(wanted)
    except pa.ArrowInvalid:
        bounds = np.iinfo(NUMBERS[name])
        outside = pc.or_(pc.less(array, int(bounds.min)), pc.greater(array, int(bounds.max)))
        row = pc.index(pc.fill_null(outside, False), True).as_py()
        raise FunctionError(f"{type_} {array[row]} is out of range for {name}", "22003", row) from None


def _texts(type_: SqlType, array: pa.Array) -> pa.Array:
    """Values of other types as SQL prints them."""
    found = column_values(array, type_)["data"].payload
    return pc.if_else(array.is_valid(), found, pa.scalar(None, found.type)) if array.null_count else found


def _interval_columns(array: pa.Array) -> Any:
    found = np.frombuffer(array.buffers()[1], _INTERVAL) if len(array) else np.empty(0, _INTERVAL)
    return found[array.offset : array.offset + len(array)]


def _interval_fields(array: pa.Array) -> tuple[Any, ...]:
    found = _interval_columns(array)
    return found["months"].copy(), found["days"].copy(), found["nanoseconds"] // 1000


def _interval_records(array: pa.Array) -> list[dict[str, int] | None]:
    valid = array.is_valid().to_pylist()
    return [
        {"months": months, "days": days, "microseconds": nanoseconds // 1000} if present else None
        for (months, days, nanoseconds), present in zip(_interval_columns(array).tolist(), valid, strict=True)
    ]


# --- from the guest ---------------------------------------------------------------------------------------------------


def incoming(type_: SqlType, slot: Slot) -> Incoming:
    """From what a list was read as (by rows: from the list of values) to a column of the type."""
    if slot.type == INTERVAL:
        return _intervals
    target = arrow_type(type_)
    plain = partial(_plain, raw_type(slot))
    if slot.type == STRING:
        if type_.is_text:
            return lambda values: _checked_texts(type_, plain(values))
        return lambda values: _parsed(type_, plain(values))
    if type_.id in _MOMENTS:
        return lambda values: _moments(type_, target, plain(values))
    return lambda values: _cast(target, plain(values))


def _plain(kind: pa.DataType, values: Any) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, bytes) and kind == pa.uint8():
        return pa.array(np.frombuffer(values, np.uint8))
    return pa.array(values, kind)


def _cast(target: pa.DataType, array: pa.Array) -> pa.Array:
    return array if array.type == target else array.cast(target)


def _moments(type_: SqlType, target: pa.DataType, array: pa.Array) -> pa.Array:
    if type_.id is TypeId.TIME:
        outside = pc.fill_null(pc.or_(pc.less(array, 0), pc.greater(array, _DAY_US)), False)
        row = pc.index(outside, True).as_py()
        if row >= 0:
            raise FunctionError(f"the time {array[row]} us is out of range", "22008", row)
    return array.view(target)


def _checked_texts(type_: SqlType, array: pa.Array) -> pa.Array:
    """The component model has only valid UTF-8; SQL's text has no zero character either."""
    data = array.buffers()[2]
    if data is not None and b"\0" in memoryview(data).tobytes():
        row = pc.index(pc.fill_null(pc.match_substring(array, "\0"), False), True).as_py()
        raise FunctionError(f"it gave a {type_} with a zero character", "22021", row)
    return array


def _parsed(type_: SqlType, array: pa.Array) -> pa.Array:
    """Texts of other types as SQL reads them."""
    validity = None
    if array.null_count:
        validity = np.packbits(array.is_valid().to_numpy(zero_copy_only=False), bitorder="little").tobytes()
        array = array.fill_null("")
    record = {"validity": validity, "data": Variant(case_of(type_), array)}
    try:
        return arrow_column(record, type_, len(array))
    except DatabaseError as error:
        raise FunctionError(error.message, error.sqlstate) from None


def _intervals(values: Any) -> pa.Array:
    mask = None
    if isinstance(values, tuple):
        months, days, microseconds = values
    else:
        present = np.array([value is not None for value in values], np.bool_)
        empty = {"months": 0, "days": 0, "microseconds": 0}
        rows = [empty if value is None else value for value in values]
        months, days, microseconds = (np.array([row[name] for row in rows], np.int64) for name in empty)
        if not present.all():
            mask = pa.py_buffer(np.packbits(present, bitorder="little"))
    found = np.empty(len(months), _INTERVAL)
    outside = np.abs(microseconds) > (1 << 63) // 1000 - 1
    if outside.any():
        raise FunctionError("an interval's time is out of range", "22008", int(outside.argmax()))
    found["months"], found["days"], found["nanoseconds"] = months, days, microseconds * 1000
    return pa.Array.from_buffers(pa.month_day_nano_interval(), len(found), [mask, pa.py_buffer(found)])
