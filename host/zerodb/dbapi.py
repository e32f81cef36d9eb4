"""The type objects and constructors that PEP 249 asks for.

`cursor.description[i][1]` is the SQL type's name; it compares equal to the type object of its family:

    cursor.description[0][1] == "bigint"
    cursor.description[0][1] == zerodb.NUMBER
"""

from __future__ import annotations

import datetime
from typing import Final


class TypeObject:
    """Equal to the names of the SQL types of one family."""

    def __init__(self, name: str, *prefixes: str) -> None:
        self.name = name
        self._prefixes = prefixes

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TypeObject):
            return self is other
        return isinstance(other, str) and other.split("(")[0] in self._prefixes

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"zerodb.{self.name}"


STRING: Final = TypeObject("STRING", "text", "varchar", "char")
BINARY: Final = TypeObject("BINARY", "bytea")
NUMBER: Final = TypeObject(
    "NUMBER",
    *("smallint", "integer", "bigint", "hugeint", "u8", "u16", "u32", "u64"),
    *("numeric", "real", "double precision"),
)
DATETIME: Final = TypeObject("DATETIME", "date", "timestamp")
ROWID: Final = TypeObject("ROWID")

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> datetime.date:
    return datetime.date.fromtimestamp(ticks)


def TimeFromTicks(ticks: float) -> datetime.time:
    return datetime.datetime.fromtimestamp(ticks).time()


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(ticks)
