"""Intervals from text: PostgreSQL's verbose form, SQL's ('1-2', '3 4:05:06'), ISO 8601 (P1Y2M, P0001-02-03).

`interval_range` is what stands behind a literal (interval '3' minute to second): its last field is the unit of a plain
number, and smaller fields are cut off.
"""

from __future__ import annotations

import re
from fractions import Fraction

from zerodb_compiler.errors import DataError
from zerodb_compiler.intervals import DAYS_PER_MONTH, MICROS_PER_DAY, pack

_SECOND, _MINUTE, _HOUR = 1_000_000, 60_000_000, 3_600_000_000
# unit -> (months, days, microseconds)
UNITS: dict[str, tuple[int, int, int]] = {
    "microsecond": (0, 0, 1),
    "millisecond": (0, 0, 1_000),
    "second": (0, 0, _SECOND),
    "minute": (0, 0, _MINUTE),
    "hour": (0, 0, _HOUR),
    "day": (0, 1, 0),
    "week": (0, 7, 0),
    "month": (1, 0, 0),
    "quarter": (3, 0, 0),
    "year": (12, 0, 0),
    "decade": (120, 0, 0),
    "century": (1200, 0, 0),
    "millennium": (12000, 0, 0),
}
_NAMES = {
    "microsecond": "us usec usecs usecond microsecon microseconds useconds",
    "millisecond": "ms msec msecs msecond mseconds milliseconds millisecon",
    "second": "s sec secs seconds",
    "minute": "m min mins minutes",
    "hour": "h hr hrs hours",
    "day": "d days",
    "week": "w weeks",
    "month": "mon mons months",
    "quarter": "qtr",
    "year": "y yr yrs years",
    "decade": "dec decs decades",
    "century": "c cent centuries",
    "millennium": "mil mils millennia",
}
UNIT_NAMES = {alias: unit for unit, aliases in _NAMES.items() for alias in (unit, *aliases.split())}
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<clock>[+-]?\d+:\d{1,2}(?::\d{1,2}(?:\.\d*)?)?|[+-]?\d+:\d{1,2}(?:\.\d+)?)
    | (?P<sql>[+-]?\d+-\d+)
    | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z]+)
    | (?P<at>@)
    )""",
    re.X,
)
_ISO = re.compile(r"([+-]?\d*(?:\.\d*)?)([YMWDHS])")
FIELDS = ("year", "month", "day", "hour", "minute", "second")


class _Bad(Exception):
    pass


class _Outside(Exception):
    pass


def parse_interval(text: str, position: int | None = None, fields: tuple[str, ...] = (), digits: int = 6) -> int:
    """The canonical interval. `fields`: those the literal is restricted to, `digits` of the seconds' fraction."""
    stripped = text.strip()
    try:
        if not stripped or len(stripped) > 400:
            raise _Bad
        if stripped[0] in "Pp":
            months, days, micros = _iso(stripped[1:])
        else:
            months, days, micros = _verbose(stripped, fields)
    except (_Bad, ValueError, ZeroDivisionError):
        message = f'invalid input syntax for type interval: "{text}"'
        raise DataError(message, sqlstate="22007", position=position) from None
    except _Outside:
        message = f'interval field value out of range: "{text}"'
        raise DataError(message, sqlstate="22015", position=position) from None
    months, days, micros = restricted(months, days, micros, fields, digits)
    if not (-(1 << 31) <= months < 1 << 31 and -(1 << 31) <= days < 1 << 31 and -(1 << 63) <= micros < 1 << 63):
        raise DataError("interval out of range", sqlstate="22008", position=position)
    return pack(months, days, micros)


def restricted(months: int, days: int, micros: int, fields: tuple[str, ...], digits: int) -> tuple[int, int, int]:
    """Only what the fields of interval year to month and the like keep; seconds rounded to so many digits."""
    if fields:
        last = fields[-1]
        if last == "year":
            months = _cut(months, 12)
        if last in ("year", "month"):
            days = micros = 0
        elif last == "day":
            micros = 0
        elif last == "hour":
            micros = _cut(micros, _HOUR)
        elif last == "minute":
            micros = _cut(micros, _MINUTE)
    if digits < 6:
        unit: int = 10 ** (6 - digits)
        micros = (abs(micros) + unit // 2) // unit * unit * (-1 if micros < 0 else 1)
    return months, days, micros


def _cut(value: int, unit: int) -> int:
    return abs(value) // unit * unit * (-1 if value < 0 else 1)


class _Sum:
    """Amounts of units added up; fractions of a unit go to the smaller ones as PostgreSQL lets them."""

    def __init__(self) -> None:
        self.months = self.days = self.micros = 0
        self._micros = Fraction(0)

    def add(self, amount: Fraction, unit: str) -> None:
        months, days, micros = UNITS[unit]
        whole = int(amount)
        rest = amount - whole
        self.days += whole * days
        self._micros += amount * micros
        if months:
            # A fraction of a year is rounded to months, one of a month is days and a time.
            if unit == "month":
                self.months += whole
                self._days(rest * DAYS_PER_MONTH)
            else:
                self.months += whole * months + _round(rest * months)
        elif days:
            self._days(rest * days)

    def _days(self, amount: Fraction) -> None:
        whole = int(amount)
        self.days += whole
        self._micros += (amount - whole) * MICROS_PER_DAY

    def result(self, sign: int) -> tuple[int, int, int]:
        return sign * self.months, sign * self.days, sign * _round(self._micros)


def _round(value: Fraction) -> int:
    return int(value + Fraction(1, 2)) if value >= 0 else -int(-value + Fraction(1, 2))


def _verbose(text: str, fields: tuple[str, ...]) -> tuple[int, int, int]:
    tokens: list[tuple[str, str]] = []
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise _Bad
        tokens.append((found.lastgroup, found[found.lastgroup]))
        place = found.end()
    total, sign = _Sum(), 1
    if tokens and tokens[0][0] == "at":
        tokens.pop(0)
    if tokens and tokens[-1] == ("word", "ago"):
        tokens.pop()
        sign = -1
    # In SQL's form a sign at the front goes for all fields.
    leading = -1 if tokens and tokens[0][1].startswith("-") and _is_standard(tokens) else 1
    seen = False
    index = 0
    while index < len(tokens):
        kind, value = tokens[index]
        index += 1
        if kind == "clock":
            _clock(total, value, fields, leading)
        elif kind == "sql":
            negative = value.startswith("-") or leading < 0
            years, months = value.lstrip("+-").split("-")
            if int(months) >= 12:
                raise _Bad
            total.months += (int(years) * 12 + int(months)) * (-1 if negative else 1)
        elif kind == "number":
            unit = None
            if index < len(tokens) and tokens[index][0] == "word":
                unit = UNIT_NAMES.get(tokens[index][1].lower())
                if unit is None or unit == "quarter":
                    raise _Bad
                index += 1
            elif index < len(tokens) and tokens[index][0] in ("clock", "sql"):
                unit = "day"
            elif index == len(tokens):
                unit = fields[-1] if fields else "second"
            if unit is None:
                raise _Bad
            amount = Fraction(value)
            if abs(amount) >= 1 << 31 and unit not in ("second", "millisecond", "microsecond"):
                raise _Outside
            total.add(-amount if leading < 0 and not value.startswith(("-", "+")) else amount, unit)
        else:
            raise _Bad
        seen = True
    if not seen:
        raise _Bad
    return total.result(sign)


def _is_standard(tokens: list[tuple[str, str]]) -> bool:
    return all(kind != "word" for kind, _ in tokens) and len(tokens) > 1


def _clock(total: _Sum, text: str, fields: tuple[str, ...], leading: int) -> None:
    negative = text.startswith("-") or (leading < 0 and not text.startswith("+"))
    parts = text.lstrip("+-").split(":")
    if len(parts) == 2 and ("." in parts[1] or fields[-2:] == ("minute", "second")):
        parts = ["0", *parts]
    hours, minutes = int(parts[0]), int(parts[1])
    seconds = Fraction(parts[2]) if len(parts) > 2 else Fraction(0)
    if minutes > 59 or seconds >= 61:
        raise _Bad
    sign = -1 if negative else 1
    total.add(sign * Fraction(hours), "hour")
    total.add(sign * Fraction(minutes), "minute")
    total.add(sign * seconds, "second")


def _iso(text: str) -> tuple[int, int, int]:
    date, _, time = text.upper().partition("T")
    total = _Sum()
    if not date and not time:
        raise _Bad
    if re.fullmatch(r"\d{4}-\d\d(-\d\d)?", date):
        parts = date.split("-")
        for amount, unit in zip(parts, ("year", "month", "day"), strict=False):
            total.add(Fraction(amount), unit)
    else:
        _designated(total, date, {"Y": "year", "M": "month", "W": "week", "D": "day"})
    if re.fullmatch(r"\d\d(:\d\d(:\d\d(\.\d+)?)?)?", time):
        for amount, unit in zip(time.split(":"), ("hour", "minute", "second"), strict=False):
            total.add(Fraction(amount), unit)
    else:
        _designated(total, time, {"H": "hour", "M": "minute", "S": "second"})
    return total.result(1)


def _designated(total: _Sum, text: str, units: dict[str, str]) -> None:
    place = 0
    while place < len(text):
        found = _ISO.match(text, place)
        if found is None or found[2] not in units or not found[1].strip("+-."):
            raise _Bad
        total.add(Fraction(found[1]), units[found[2]])
        place = found.end()
