"""WIT's record batches from and to Arrow columns: what guests are given of results, and what comes back from them.

    Arrow array + SqlType  --column_values-->  {"validity": bytes | None, "data": Variant("int64s", array)}
                           <--arrow_column---

Towards the guest an array may be in the canonical Arrow form (zerodb_storage/arrow.py) or in the user's one. What
comes from a guest is believed in nothing: a list of another length or a validity that is too short is a DataError
(22P03), as is a value that its SQL type does not hold (22003, 22007, 22008, 22021 ...).
A column of another case than its type's is converted as a parameter would be, so a guest may give texts for dates.

Numbers, text, dates and uuids take no step per value in Python; json, arrays, ranges and composite types do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zerodb.components.guest_values import from_values, to_values
from zerodb.components.marshal import lift_of, lower_of
from zerodb.components.texts import exact_texts, uuid_texts
from zerodb.components.vals import Variant
from zerodb.components.wit_types import COLUMN_VALUES, RECORD_BATCH
from zerodb.values import canonical_array, python_array
from zerodb_compiler.errors import DataError, Error
from zerodb_compiler.intervals import pack
from zerodb_compiler.sql import moments
from zerodb_compiler.sql.values import fit_interval, format_value, parse_value, to_canonical
from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage.arrow import arrow_type, bits, from_arrow, to_arrow
from zerodb_storage.values import Form, Values, widen

Array = npt.NDArray[Any]
ColumnRecord = Mapping[str, Any]  # WIT's column-values
BatchRecord = Mapping[str, Any]  # WIT's record-batch

# How vals.py writes and reads these records.
LOWER_BATCH = lower_of(RECORD_BATCH)
LIFT_BATCH = lift_of(RECORD_BATCH)
LOWER_COLUMN = lower_of(COLUMN_VALUES)
LIFT_COLUMN = lift_of(COLUMN_VALUES)

# The case of `column-data` that columns of a type have; all other types are "others".
CASES: dict[TypeId, str] = {
    TypeId.BOOLEAN: "booleans",
    **dict.fromkeys((TypeId.SMALLINT, TypeId.INTEGER, TypeId.BIGINT, TypeId.U8, TypeId.U16, TypeId.U32), "int64s"),
    TypeId.REAL: "float64s",
    TypeId.DOUBLE: "float64s",
    TypeId.TEXT: "texts",
    TypeId.NULL: "texts",
    TypeId.BYTEA: "binaries",
    TypeId.DATE: "dates",
    TypeId.TIME: "times",
    TypeId.TIMESTAMP: "timestamps",
    TypeId.TIMESTAMPTZ: "timestamptzs",
    TypeId.INTERVAL: "intervals",
    TypeId.NUMERIC: "decimals",
    TypeId.UUID: "uuids",
    TypeId.JSON: "jsons",
    TypeId.JSONB: "jsons",
}
_NUMBERS: dict[str, pa.DataType] = {
    "booleans": pa.bool_(),
    "int64s": pa.int64(),
    "float64s": pa.float64(),
    "dates": pa.int32(),
    "times": pa.int64(),
    "timestamps": pa.int64(),
    "timestamptzs": pa.int64(),
}
_TEXTS = frozenset({"texts", "decimals", "uuids", "jsons", "others"})


def case_of(type_: SqlType) -> str:
    return CASES.get(type_.id, "others")


# --- to guests ------------------------------------------------------------------------------------------------------


def to_record_batch(
    columns: pa.RecordBatch | Sequence[pa.Array], types: Sequence[SqlType], rows: int = 0
) -> BatchRecord:
    """Columns as a record batch; `rows` counts where there are no columns."""
    arrays = columns.columns if isinstance(columns, pa.RecordBatch) else list(columns)
    if isinstance(columns, pa.RecordBatch):
        rows = columns.num_rows
    elif arrays:
        rows = len(arrays[0])
    return {
        "row-count": rows,
        "columns": [column_values(array, type_) for array, type_ in zip(arrays, types, strict=True)],
    }


def column_values(array: pa.Array, type_: SqlType) -> ColumnRecord:
    """One column. DataError if the array's values are none of the type."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if type_.id is TypeId.NULL or pa.types.is_null(array.type):
        return {"validity": bytes((len(array) + 7) // 8), "data": _empty_column(case_of(type_), len(array))}
    case = case_of(type_)
    if _is_plain(array, type_):
        return {"validity": _validity(array), "data": Variant(case, array)}
    if type_.is_blob and type_.id is not TypeId.BYTEA and _is_text(array):
        return {"validity": _validity(array), "data": Variant(case, array)}  # in SQL's text form already
    if type_.id in (TypeId.ARRAY, TypeId.STRUCT, TypeId.RANGE) and pa.types.is_nested(array.type):
        array = python_array(type_, array.to_pylist())
    values = from_arrow(array, type_, type_.id.value)
    validity = None
    if values.validity is not None and not values.validity.all():
        validity = np.packbits(values.validity, bitorder="little").tobytes()
    return {"validity": validity, "data": Variant(case, _payload(values, type_, array))}


def _is_text(array: pa.Array) -> bool:
    return array.type in (pa.string(), pa.large_string())


def _is_plain(array: pa.Array, type_: SqlType) -> bool:
    """Whether the array's own buffers are the list's values."""
    match type_.id:
        case TypeId.TEXT:
            return _is_text(array)
        case TypeId.BYTEA:
            return array.type in (pa.binary(), pa.large_binary())
        case kind if CASES.get(kind) in _NUMBERS:
            return bool(array.type == arrow_type(type_))
    return False


def _validity(array: pa.Array) -> bytes | None:
    if not array.null_count:
        return None
    return np.packbits(bits(array.buffers()[0], array.offset, len(array)), bitorder="little").tobytes()


def _empty_column(case: str, rows: int) -> Variant:
    match case:
        case "intervals":
            zeros = np.zeros(rows, np.int32)
            return Variant(case, (zeros, zeros, zeros.astype(np.int64)))
        case "binaries":
            return Variant(case, pa.array([b""], pa.binary()).take(pa.array(np.zeros(rows, np.int64))))
        case _ if case in _TEXTS:
            return Variant(case, pa.array([""], pa.string()).take(pa.array(np.zeros(rows, np.int64))))
    return Variant(case, np.zeros(rows, _NUMBERS[case].to_pandas_dtype()))


def _payload(values: Values, type_: SqlType, array: pa.Array) -> Any:
    match type_.id:
        case TypeId.NUMERIC | TypeId.HUGEINT | TypeId.U64:
            return exact_texts(values, type_)
        case TypeId.UUID:
            return uuid_texts(values)
        case TypeId.INTERVAL:
            pairs = widen(values).data
            return (pairs[:, 1] >> 32).astype(np.int32), pairs[:, 1].astype(np.int32), pairs[:, 0].copy()
        case TypeId.ENUM:
            labels = pa.array(type_.labels or ("",), pa.string())
            return labels.take(pa.array(values.data))
    if values.form is not Form.TEXT:
        return values.data if type_.id is not TypeId.BOOLEAN else values.data != 0
    assert values.text is not None
    kind = pa.large_string() if type_.is_text or type_.id is TypeId.JSON else pa.large_binary()
    offsets = pa.py_buffer(np.ascontiguousarray(values.data, np.int64))
    data = pa.Array.from_buffers(kind, len(values), [None, offsets, pa.py_buffer(np.ascontiguousarray(values.text))])
    if kind == pa.large_string() or type_.id is TypeId.BYTEA:
        return data
    valid = [True] * len(values) if values.validity is None else (values.validity != 0).tolist()
    pairs_ = zip(data.to_pylist(), valid, strict=True)
    return pa.array([format_value(type_, value) if there else "" for value, there in pairs_], pa.large_string())


# --- from guests ----------------------------------------------------------------------------------------------------


def from_record_batch(batch: BatchRecord, types: Sequence[SqlType] | None = None) -> list[pa.Array]:
    """A batch's columns as canonical Arrow arrays of the types (None: of the types that the cases suggest)."""
    columns, rows = batch["columns"], batch["row-count"]
    if types is None:
        return [natural_column(column, rows) for column in columns]
    if len(columns) != len(types):
        raise DataError(f"a record batch has {len(columns)} columns, not {len(types)}", sqlstate="22P03")
    return [arrow_column(column, type_, rows) for column, type_ in zip(columns, types, strict=True)]


def natural_column(values: ColumnRecord, rows: int) -> pa.Array:
    """A column as the Arrow array that its case suggests; decimals, uuids, json and others are text."""
    case = values["data"].tag
    array = _given(values, rows)
    match case:
        case "dates":
            return array.view(pa.date32())
        case "times":
            return array.view(pa.time64("us"))
        case "timestamps":
            return array.view(pa.timestamp("us"))
        case "timestamptzs":
            return array.view(pa.timestamp("us", "UTC"))
    return array


def arrow_column(values: ColumnRecord, type_: SqlType, rows: int) -> pa.Array:
    """A column as the canonical Arrow array of a type."""
    case = values["data"].tag
    array = _given(values, rows)
    target = arrow_type(type_)
    if array.null_count == rows:
        return pa.nulls(rows, target)
    if case == case_of(type_):
        convert = _CONVERSIONS.get(case)
        found = None if convert is None else convert(array, type_)
        if found is not None:
            return found
    if case in _TEXTS:
        if "texts" in (case, case_of(type_)):
            _check_text(array)
        return _parsed(array, type_)
    objects = from_values([None if value is None else Variant(_one(case), value) for value in _objects(array)])
    if type_.is_number and case in ("int64s", "float64s"):
        return python_array(type_, objects)
    return canonical_array(type_, [to_canonical(type_, value) for value in objects])


def _one(case: str) -> str:
    """The case of `value` for one of `column-data`."""
    return "binary" if case == "binaries" else case.removesuffix("s")


def _objects(array: pa.Array) -> list[Any]:
    if array.type != pa.binary(16):
        found: list[Any] = array.to_pylist()
        return found
    names = ("months", "days", "microseconds")
    words = np.frombuffer(array.buffers()[1], np.int64, 2 * len(array)).reshape(-1, 2)
    parts = zip((words[:, 1] >> 32).tolist(), words[:, 1].astype(np.int32).tolist(), words[:, 0].tolist(), strict=True)
    valid = array.is_valid().to_pylist()
    return [dict(zip(names, part, strict=True)) if there else None for part, there in zip(parts, valid, strict=True)]


def _given(values: ColumnRecord, rows: int) -> pa.Array:
    """What the guest gave, after a look at its lengths: numbers, strings, byte strings, or intervals as their 16 bytes.
    What lies under a NULL is not looked at."""
    validity, data = values["validity"], values["data"]
    case, payload = data.tag, data.payload
    if validity is not None and len(validity) < (rows + 7) // 8:
        raise DataError(f"a validity of {len(validity)} bytes for {rows} rows", sqlstate="22P03")
    mask = None if validity is None else pa.py_buffer(bytes(validity))
    if case == "intervals":
        return _interval_bytes(payload, rows, mask)
    number = _NUMBERS.get(case)
    if len(payload) != rows:
        raise DataError(f"a column of {len(payload)} values in a batch of {rows} rows", sqlstate="22P03")
    if number is None:
        kind = pa.binary() if case == "binaries" else pa.string()
        strings = payload
        if not isinstance(payload, pa.Array):  # one by one, as vals.py reads them
            strings = pa.array([bytes(value) if case == "binaries" else value for value in payload], kind)
        return pa.Array.from_buffers(kind, rows, [mask, *strings.buffers()[1:]])
    numbers = np.ascontiguousarray(payload, number.to_pandas_dtype())
    if case == "booleans":
        numbers = np.packbits(numbers, bitorder="little")
    return pa.Array.from_buffers(number, rows, [mask, pa.py_buffer(numbers)])


def _interval_bytes(payload: Any, rows: int, mask: pa.Buffer | None) -> pa.Array:
    if not isinstance(payload, tuple) or len(payload) != 3:  # one by one, as vals.py reads them
        payload = tuple(
            np.array([interval[name] for interval in payload], np.int64) for name in ("months", "days", "microseconds")
        )
    months, days, micros = payload
    if len(months) != rows:
        raise DataError(f"a column of {len(months)} values in a batch of {rows} rows", sqlstate="22P03")
    words = np.empty((rows, 2), np.int64)
    words[:, 0] = micros
    words[:, 1] = (months.astype(np.int64) << 32) | (days.astype(np.int64) & 0xFFFFFFFF)
    return pa.Array.from_buffers(pa.binary(16), rows, [mask, pa.py_buffer(words)])


def _check_text(array: pa.Array) -> None:
    data = array.buffers()[2]
    if data is not None and b"\0" in memoryview(data).tobytes():
        import pyarrow.compute as pc

        if pc.any(pc.match_substring(array, "\0")).as_py():
            raise DataError("invalid byte sequence: text cannot hold a zero byte", sqlstate="22021")


def _parsed(array: pa.Array, type_: SqlType) -> pa.Array:
    """Text as values of a type, by its input function."""
    return canonical_array(type_, [None if text is None else parse_value(type_, text) for text in array.to_pylist()])


def _integers(array: pa.Array, type_: SqlType) -> pa.Array:
    if type_.id is TypeId.BIGINT:
        return array
    try:
        return array.cast(arrow_type(type_))
    except pa.ArrowInvalid:
        raise DataError(f"{type_} out of range", sqlstate="22003") from None


def _floats(array: pa.Array, type_: SqlType) -> pa.Array:
    if type_.id is TypeId.DOUBLE:
        return array
    given = np.frombuffer(array.buffers()[1], np.float64, len(array))
    with np.errstate(over="ignore", under="ignore"):
        narrowed = given.astype(np.float32)
    lost = (np.isinf(narrowed) & np.isfinite(given)) | ((narrowed == 0) & (given != 0))
    if (lost & array.is_valid().to_numpy(zero_copy_only=False)).any():
        raise DataError("value out of range for real: overflow or underflow", sqlstate="22003")
    return pa.Array.from_buffers(pa.float32(), len(array), [array.buffers()[0], pa.py_buffer(narrowed)])


def _texts(array: pa.Array, type_: SqlType) -> pa.Array | None:
    _check_text(array)
    if type_.id is TypeId.NULL:
        return array.cast(pa.large_string())
    if type_.length is not None:
        return None  # too long, or padded
    return array.cast(pa.large_string())


def _binaries(array: pa.Array, type_: SqlType) -> pa.Array:
    return array.cast(pa.large_binary())


def _moments(kind: str, least: int, greatest: int) -> Callable[[pa.Array, SqlType], pa.Array | None]:
    def convert(array: pa.Array, type_: SqlType) -> pa.Array | None:
        width: Any = np.int32 if type_.id is TypeId.DATE else np.int64
        given: Array = np.frombuffer(array.buffers()[1], width, len(array))
        wrong = (given < least) | (given > greatest)
        if type_.id is not TypeId.TIME:
            for infinity in type_.bounds:
                wrong &= given != infinity
        if (wrong & array.is_valid().to_numpy(zero_copy_only=False)).any():
            raise DataError(f"{kind} out of range", sqlstate="22008")
        if type_.precision:
            return None  # rounded
        return array.view(arrow_type(type_))

    return convert


def _intervals(array: pa.Array, type_: SqlType) -> pa.Array:
    if not type_.precision and not type_.scale:
        return array
    parts = [None if v is None else fit_interval(type_, pack(*v.values())) for v in _objects(array)]
    return canonical_array(type_, parts)


def _decimals(array: pa.Array, type_: SqlType) -> pa.Array | None:
    try:
        return array.cast(arrow_type(type_))
    except pa.ArrowException:
        return None  # rounding, or an error: value by value


def _uuids(array: pa.Array, type_: SqlType) -> pa.Array | None:
    try:
        return to_arrow(from_arrow(array, type_, "uuid"), type_)
    except Error:
        return None  # the input function's error


_CONVERSIONS: dict[str, Callable[[pa.Array, SqlType], pa.Array | None]] = {
    "booleans": lambda array, _type: array,
    "int64s": _integers,
    "float64s": _floats,
    "texts": _texts,
    "binaries": _binaries,
    "dates": _moments("date", moments.DATE_LOW, moments.DATE_HIGH),
    "times": _moments("time", 0, moments.MICROS_PER_DAY),
    "timestamps": _moments("timestamp", moments.TIMESTAMP_LOW, moments.TIMESTAMP_HIGH),
    "timestamptzs": _moments("timestamp", moments.TIMESTAMP_LOW, moments.TIMESTAMP_HIGH),
    "intervals": _intervals,
    "decimals": _decimals,
    "uuids": _uuids,
}

__all__ = [
    "LIFT_BATCH",
    "LIFT_COLUMN",
    "LOWER_BATCH",
    "LOWER_COLUMN",
    "arrow_column",
    "case_of",
    "column_values",
    "from_record_batch",
    "from_values",
    "natural_column",
    "to_record_batch",
    "to_values",
]
