"""The types of wit/types.wit, as writers."""

from __future__ import annotations

from zerodb.components import vals
from zerodb.components.vals import NUMBERS, list_of, lower_string, option_of, record_of, variant_of

VERSION = "0.1.0"
BYTES = list_of(NUMBERS[vals.U8], vals.U8)
_S32, _S64 = NUMBERS[vals.S32], NUMBERS[vals.S64]
INTERVAL = record_of([("months", _S32), ("days", _S32), ("microseconds", _S64)])
VALUE = variant_of(
    {
        "null": None,
        "boolean": NUMBERS[vals.BOOL],
        "int64": _S64,
        "float64": NUMBERS[vals.F64],
        "text": lower_string,
        "binary": BYTES,
        "date": _S32,
        "time": _S64,
        "timestamp": _S64,
        "timestamptz": _S64,
        "interval": INTERVAL,
        "decimal": lower_string,
        "uuid": lower_string,
        "json": lower_string,
        "other": lower_string,
    }
)
COLUMN = record_of([("name", lower_string), ("data-type", lower_string), ("nullable", NUMBERS[vals.BOOL])])
ERROR = record_of(
    [
        ("sqlstate", lower_string),
        ("message", lower_string),
        ("hint", option_of(lower_string)),
        ("position", option_of(NUMBERS[vals.U32])),
        ("retryable", NUMBERS[vals.BOOL]),
    ]
)
COLUMNS = list_of(COLUMN)
VALUES = list_of(VALUE)
ROWS = list_of(VALUES)


def interface_name(name: str) -> str:
    return f"zerosys:db/{name}@{VERSION}"
