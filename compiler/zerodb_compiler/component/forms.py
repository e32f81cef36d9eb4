"""SQL types and the forms in which their values cross the interface (wit/types.wit).

A type is *plain* if its form is a layout that code reads as it is, or nearly: booleans, integers up to 64 bits, floats,
text, bytea, dates, times and intervals. All others cross as text, which the program itself casts.
"""

from __future__ import annotations

from dataclasses import dataclass

from zerodb_compiler.component import layout as at
from zerodb_compiler.layout import ColumnLayout, Encoding
from zerodb_compiler.types import BIGINT, DOUBLE, TEXT, SqlType, TypeId


@dataclass(frozen=True, slots=True)
class Form:
    """How values of a type come in: `case` of `value` (that of column-data is one less), bytes of a value in a chunk,
    and how a column and a parameter are converted (layout.py)."""

    case: int
    width: int
    column: int
    parameter: int


_FORMS = {
    TypeId.BOOLEAN: Form(at.BOOLEAN, 1, at.COPIED, at.AS_BOOLEAN),
    TypeId.SMALLINT: Form(at.INT64, 8, at.CHECKED_64, at.AS_INTEGER),
    TypeId.INTEGER: Form(at.INT64, 8, at.CHECKED_64, at.AS_INTEGER),
    TypeId.BIGINT: Form(at.INT64, 8, at.COPIED, at.AS_INTEGER),
    TypeId.U8: Form(at.INT64, 8, at.CHECKED_64, at.AS_INTEGER),
    TypeId.U16: Form(at.INT64, 8, at.CHECKED_64, at.AS_INTEGER),
    TypeId.U32: Form(at.INT64, 8, at.CHECKED_64, at.AS_INTEGER),
    TypeId.REAL: Form(at.FLOAT64, 4, at.SINGLE, at.AS_SINGLE),
    TypeId.DOUBLE: Form(at.FLOAT64, 8, at.COPIED, at.AS_DOUBLE),
    TypeId.TEXT: Form(at.TEXT, 4, at.TEXTS, at.AS_TEXT),
    TypeId.BYTEA: Form(at.BINARY, 4, at.TEXTS, at.AS_BINARY),
    TypeId.DATE: Form(at.DATE, 4, at.COPIED, at.AS_DATE),
    TypeId.TIME: Form(at.TIME, 8, at.CHECKED_64, at.AS_TIME),
    TypeId.TIMESTAMP: Form(at.TIMESTAMP, 8, at.COPIED, at.AS_TIMESTAMP),
    TypeId.TIMESTAMPTZ: Form(at.TIMESTAMPTZ, 8, at.COPIED, at.AS_TIMESTAMPTZ),
    TypeId.INTERVAL: Form(at.INTERVAL, 16, at.INTERVALS, at.AS_INTERVAL),
}
_TEXT_CASES = {TypeId.NUMERIC: at.DECIMAL, TypeId.UUID: at.UUID, TypeId.JSON: at.JSON, TypeId.JSONB: at.JSON,
               TypeId.NULL: at.TEXT}  # fmt: skip
# Names of column-data's cases, for messages.
LISTS = ("booleans", "int64s", "float64s", "texts", "binaries", "dates", "times", "timestamps", "timestamptzs",
         "intervals", "decimals", "uuids", "jsons", "others")  # fmt: skip


def is_plain(type_: SqlType) -> bool:
    return type_.id in _FORMS


def case_of(type_: SqlType) -> int:
    """The case of `value` in which values of the type cross."""
    form = _FORMS.get(type_.id)
    return _TEXT_CASES.get(type_.id, at.OTHER) if form is None else form.case


def input_form(type_: SqlType) -> Form:
    """How a column or parameter of the type comes in; what is not plain is text first."""
    form = _FORMS.get(type_.id)
    if form is None:
        return Form(case_of(type_), 4, at.TEXTS, at.AS_DECIMAL if type_.id is TypeId.NUMERIC else at.AS_TEXT)
    if type_.padded:
        return Form(form.case, form.width, at.BLANK_TEXTS, at.AS_BLANK_TEXT)
    return form


def raw_type(type_: SqlType) -> SqlType:
    """The type of a fed column as the program scans it."""
    return type_ if is_plain(type_) else TEXT


def raw_layout(type_: SqlType, not_null: bool) -> ColumnLayout:
    """The layout of a fed column of that type."""
    form, raw = input_form(type_), raw_type(type_)
    if raw.is_float:
        return ColumnLayout(Encoding.FLOAT, form.width, not not_null)
    if raw.is_discrete:
        return ColumnLayout(Encoding.INT, form.width, not not_null, *raw.bounds)
    return ColumnLayout(Encoding.TEXT, 4, not not_null)


def given_type(type_: SqlType) -> SqlType:
    """The type as which a column of the result leaves the program."""
    match type_.id:
        case TypeId.SMALLINT | TypeId.INTEGER | TypeId.U8 | TypeId.U16 | TypeId.U32:
            return BIGINT
        case TypeId.REAL:
            return DOUBLE
        case TypeId.NULL:
            return type_
    return type_ if is_plain(type_) else TEXT
