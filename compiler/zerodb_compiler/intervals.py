"""Intervals: their canonical 128 bits, their text, and what Python sees of them.

An interval is months, days and microseconds, which PostgreSQL keeps apart: a month is no number of days and a day no
number of hours until it is added to a date. Only to compare intervals a month counts as 30 days and a day as 24 hours.

`Interval` is what a result holds: a `datetime.timedelta` by that rule, so that it compares and sorts as the database
does, with the three parts beside it, so that it goes back unchanged.
"""

from __future__ import annotations

import datetime
from typing import Self

MICROS_PER_DAY = 86_400_000_000
DAYS_PER_MONTH = 30
_LOW32, _LOW64 = (1 << 32) - 1, (1 << 64) - 1


def pack(months: int, days: int, micros: int) -> int:
    """The canonical value; the parts fit 32, 32 and 64 bits."""
    return (months << 96) | ((days & _LOW32) << 64) | (micros & _LOW64)


def unpack(value: int) -> tuple[int, int, int]:
    """(months, days, microseconds)."""
    days, micros = (value >> 64) & _LOW32, value & _LOW64
    return value >> 96, days - ((days >> 31) << 32), micros - ((micros >> 63) << 64)


def sort_key(value: int) -> int:
    """What intervals are compared by: microseconds, with months of 30 days and days of 24 hours."""
    months, days, micros = unpack(value)
    return (months * DAYS_PER_MONTH + days) * MICROS_PER_DAY + micros


class Interval(datetime.timedelta):
    """An interval of `months`, `day_count` days and `micros` microseconds."""

    months: int
    day_count: int
    micros: int
    __slots__ = ("day_count", "micros", "months")

    def __new__(cls, months: int = 0, days: int = 0, microseconds: int = 0) -> Self:
        made = super().__new__(cls, days=months * DAYS_PER_MONTH + days, microseconds=microseconds)
        made.months, made.day_count, made.micros = months, days, microseconds
        return made

    def __str__(self) -> str:
        return format_interval(self.months, self.day_count, self.micros)

    def __repr__(self) -> str:
        return f"Interval(months={self.months}, days={self.day_count}, microseconds={self.micros})"

    def __reduce__(self) -> tuple[type[Interval], tuple[int, int, int]]:
        return Interval, (self.months, self.day_count, self.micros)


def format_interval(months: int, days: int, micros: int) -> str:
    """PostgreSQL's output with intervalstyle postgres: 1 year 2 mons -3 days +04:05:06.7."""
    years, months = (abs(months) // 12, abs(months) % 12) if months >= 0 else (-(-months // 12), -(-months % 12))
    parts: list[str] = []
    negative = False
    for amount, unit in ((years, "year"), (months, "mon"), (days, "day")):
        if amount:
            sign = "+" if negative and amount > 0 else ""
            parts.append(f"{sign}{amount} {unit}{'' if amount == 1 else 's'}")
            negative = amount < 0
    if micros or not parts:
        sign = "-" if micros < 0 else "+" if negative else ""
        seconds, fraction = divmod(abs(micros), 1_000_000)
        part = f".{fraction:06d}".rstrip("0") if fraction else ""
        parts.append(f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{part}")
    return " ".join(parts)
