"""Python objects and the values of types.wit, both ways, one by one and by columns.

    bool, int, float, str, bytes        boolean, bigint (numeric beyond 64 bits), double precision, text, bytea
    date, time, datetime                date, time, timestamp; timestamptz if it has a time zone
    Interval, timedelta                 interval (comes as Interval: its months have no fixed length)
    Decimal, UUID                       numeric, uuid
    dict                                json (comes parsed)
    list, tuple                         an array, as PostgreSQL's text (comes as that text, as all other types do)

Limits: dates before year 1 and after 9999, and infinite ones, have no form in Python: they come as a DataError.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from wit_world.imports import types as wit

from zerodb_guest.errors import DataError

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NULL = wit.Value_Null()


@dataclass(frozen=True, slots=True)
class Interval:
    """SQL's interval: its parts are counted apart, because months and days have no fixed length."""

    months: int = 0
    days: int = 0
    microseconds: int = 0

    def timedelta(self) -> timedelta:
        """With months of 30 days, as PostgreSQL compares them."""
        return timedelta(days=self.months * 30 + self.days, microseconds=self.microseconds)


def _date(days: int) -> date:
    try:
        return date.fromordinal(_EPOCH_DAY + days)
    except (ValueError, OverflowError):
        raise DataError(f"Python has no date {days} days from 1970-01-01", "22008") from None


def _moment(epoch: datetime) -> Callable[[int], datetime]:
    def moment(microseconds: int) -> datetime:
        try:
            return epoch + timedelta(microseconds=microseconds)
        except OverflowError:
            raise DataError(f"Python has no time {microseconds} microseconds from {epoch}", "22008") from None

    return moment


def _time(microseconds: int) -> time:
    if microseconds == 86_400_000_000:  # 24:00:00, which Python does not have
        raise DataError("Python has no time 24:00:00", "22008")
    seconds, microsecond = divmod(microseconds, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return time(hour, minute, second, microsecond)


def _interval(value: Any) -> Interval:
    return Interval(value.months, value.days, value.microseconds)


def _from_date(value: date) -> int:
    return value.toordinal() - _EPOCH_DAY


def _from_time(value: time) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def _from_timestamp(value: datetime) -> int:
    return (value.replace(tzinfo=None) - _EPOCH) // _MICROSECOND


def _from_timestamptz(value: datetime) -> int:
    return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH_UTC) // _MICROSECOND


def _from_interval(value: Interval | timedelta) -> Any:
    if isinstance(value, timedelta):
        return wit.Interval(0, value.days, value.seconds * 1_000_000 + value.microseconds)
    return wit.Interval(value.months, value.days, value.microseconds)


def _from_decimal(value: Decimal) -> str:
    return format(value, "f") if value.is_finite() else str(value)


def _from_json(value: Any) -> str:
    return json.dumps(value)


def array_text(values: Iterable[Any]) -> str:
    """A list as PostgreSQL writes an array: {1,NULL,"a b"}."""

    def element(value: Any) -> str:
        match value:
            case None:
                return "NULL"
            case bool():
                return "t" if value else "f"
            case list() | tuple():
                return array_text(value)
            case int() | float() | Decimal():
                return str(value)
            case _:
                text = str(value).replace("\\", "\\\\").replace('"', '\\"')
                return f'"{text}"'

    return "{" + ",".join(element(value) for value in values) + "}"


@dataclass(frozen=True, slots=True)
class Form:
    """One form of `value` and of `column-data`: its classes, and the conversions (None: the object itself)."""

    one: Any
    many: Any
    to_python: Callable[[Any], Any] | None
    from_python: Callable[[Any], Any] | None
    filler: Any  # stands where a row is NULL


def _identity_or_text(value: Any) -> str:
    return array_text(value) if isinstance(value, (list, tuple)) else str(value)


_BOOLEAN = Form(wit.Value_Boolean, wit.ColumnData_Booleans, None, bool, False)
_INT64 = Form(wit.Value_Int64, wit.ColumnData_Int64s, None, int, 0)
_FLOAT64 = Form(wit.Value_Float64, wit.ColumnData_Float64s, None, float, 0.0)
_TEXT = Form(wit.Value_Text, wit.ColumnData_Texts, None, str, "")
_BINARY = Form(wit.Value_Binary, wit.ColumnData_Binaries, None, bytes, b"")
_DATE = Form(wit.Value_Date, wit.ColumnData_Dates, _date, _from_date, 0)
_TIME = Form(wit.Value_Time, wit.ColumnData_Times, _time, _from_time, 0)
_TIMESTAMP = Form(wit.Value_Timestamp, wit.ColumnData_Timestamps, _moment(_EPOCH), _from_timestamp, 0)
_TIMESTAMPTZ = Form(wit.Value_Timestamptz, wit.ColumnData_Timestamptzs, _moment(_EPOCH_UTC), _from_timestamptz, 0)
_INTERVAL = Form(
    wit.Value_Interval,
    wit.ColumnData_Intervals,
    _interval,
    _from_interval,
    wit.Interval(months=0, days=0, microseconds=0),
)
_DECIMAL = Form(wit.Value_Decimal, wit.ColumnData_Decimals, Decimal, lambda value: _from_decimal(Decimal(value)), "0")
_UUID = Form(wit.Value_Uuid, wit.ColumnData_Uuids, UUID, str, "00000000-0000-0000-0000-000000000000")
_JSON = Form(wit.Value_Json, wit.ColumnData_Jsons, json.loads, _from_json, "null")
_OTHER = Form(wit.Value_Other, wit.ColumnData_Others, None, _identity_or_text, "")

_FORMS = (
    *(_BOOLEAN, _INT64, _FLOAT64, _TEXT, _BINARY, _DATE, _TIME, _TIMESTAMP, _TIMESTAMPTZ),
    *(_INTERVAL, _DECIMAL, _UUID, _JSON, _OTHER),
)
_BY_VALUE: dict[Any, Form] = {form.one: form for form in _FORMS}
_BY_COLUMN: dict[Any, Form] = {form.many: form for form in _FORMS}
_BY_PYTHON: dict[type, Form] = {
    bool: _BOOLEAN,
    int: _INT64,
    float: _FLOAT64,
    str: _TEXT,
    bytes: _BINARY,
    bytearray: _BINARY,
    memoryview: _BINARY,
    date: _DATE,
    time: _TIME,
    Interval: _INTERVAL,
    timedelta: _INTERVAL,
    Decimal: _DECIMAL,
    UUID: _UUID,
    dict: _JSON,
    list: _OTHER,
    tuple: _OTHER,
}
_BY_SQL: dict[str, Form] = {
    "boolean": _BOOLEAN,
    **dict.fromkeys(("smallint", "integer", "bigint", "u8", "u16", "u32"), _INT64),
    **dict.fromkeys(("real", "double precision"), _FLOAT64),
    **dict.fromkeys(("text", "varchar", "char", "character varying", "character"), _TEXT),
    "bytea": _BINARY,
    "date": _DATE,
    "time": _TIME,
    "time without time zone": _TIME,
    "interval": _INTERVAL,
    **dict.fromkeys(("timestamp", "timestamp without time zone"), _TIMESTAMP),
    **dict.fromkeys(("timestamptz", "timestamp with time zone"), _TIMESTAMPTZ),
    "numeric": _DECIMAL,
    "decimal": _DECIMAL,
    "uuid": _UUID,
    "json": _JSON,
    "jsonb": _JSON,
}


def _form_of(value: Any) -> Form:
    kind = type(value)
    if kind is datetime or (kind not in _BY_PYTHON and isinstance(value, datetime)):
        return _TIMESTAMPTZ if value.tzinfo else _TIMESTAMP
    if kind is int and not -(1 << 63) <= value < 1 << 63:
        return _DECIMAL
    form = _BY_PYTHON.get(kind)
    if form is None:
        form = next((form for base, form in _BY_PYTHON.items() if isinstance(value, base)), None)
    if form is None:
        raise TypeError(f"SQL has no type for {kind.__name__}: {value!r}")
    return form


def form_of_type(data_type: str) -> Form:
    """The form for a type as SQL writes it: "numeric(10,2)", "text[]"."""
    name = data_type.strip().lower()
    if name.endswith("]"):
        return _OTHER
    bare, parenthesis, rest = name.partition("(")
    if parenthesis:
        name = f"{bare.strip()} {rest.partition(')')[2].strip()}".strip()  # timestamp(3) with time zone
    return _BY_SQL.get(name, _OTHER)


def to_value(value: Any) -> Any:
    """A parameter."""
    if value is None:
        return _NULL
    form = _form_of(value)
    return form.one(value if form.from_python is None else form.from_python(value))


def from_value(value: Any) -> Any:
    form = _BY_VALUE.get(type(value))
    if form is None:
        return None
    return value.value if form.to_python is None else form.to_python(value.value)


def from_column(column: Any, rows: int) -> list[Any]:
    """The Python objects of a `column-values`, None for NULL."""
    form = _BY_COLUMN[type(column.data)]
    values: list[Any] = column.data.value
    convert, validity = form.to_python, column.validity
    if validity is None:
        return values if convert is None else [convert(value) for value in values]
    bits = int.from_bytes(validity, "little")
    present = [bits >> row & 1 for row in range(rows)] if rows < 64 else _bits(validity, rows)
    if convert is None:
        return [value if there else None for value, there in zip(values, present, strict=True)]
    return [convert(value) if there else None for value, there in zip(values, present, strict=True)]


def _bits(validity: bytes, rows: int) -> list[int]:
    return [byte >> bit & 1 for byte in validity for bit in range(8)][:rows]


def pack_bits(present: Sequence[Any]) -> bytes:
    """A validity: bit r % 8 of byte r / 8 is set where row r is true."""
    packed = bytearray((len(present) + 7) // 8)
    for row, there in enumerate(present):
        if there:
            packed[row >> 3] |= 1 << (row & 7)
    return bytes(packed)


def to_column(values: Sequence[Any], form: Form) -> Any:
    """Python objects as a `column-values` of a form."""
    convert, filler = form.from_python, form.filler
    data = [filler if value is None else value if convert is None else convert(value) for value in values]
    validity = pack_bits([value is not None for value in values]) if None in values else None
    return wit.ColumnValues(validity, form.many(data))


def guess_form(values: Sequence[Any]) -> Form | None:
    """The one form that all values have; None if they have several. Only NULLs: text, which fits everywhere."""
    forms = {id(form): form for form in (_form_of(value) for value in values if value is not None)}
    if len(forms) > 1:
        numbers = {id(_INT64), id(_DECIMAL)}
        return _DECIMAL if forms.keys() <= numbers else None
    return next(iter(forms.values()), _TEXT)


def rows_of(batch: Any) -> list[tuple[Any, ...]]:
    """The rows of a record batch."""
    if not batch.columns:
        return [()] * batch.row_count
    return list(zip(*(from_column(column, batch.row_count) for column in batch.columns), strict=True))


def batch_of(rows: Sequence[Sequence[Any]], forms: Sequence[Form]) -> Any:
    """Rows as a record batch."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(forms)
    return wit.RecordBatch(len(rows), [to_column(column, form) for column, form in zip(columns, forms, strict=True)])
