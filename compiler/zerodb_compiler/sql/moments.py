"""Dates, times and timestamps as text: what PostgreSQL reads (datestyle ISO, MDY) and writes.

The text is cut into fields, each of which says what it is: a clock time, a date of three parts, a month's name, a zone.
What is left over, plain numbers, fills the places of the date that are still open. `Fields` is what was found.

Errors: 22007 for what is no date or time at all, 22008 for a field beyond its range, 22023 for an unknown zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from zerodb_compiler.errors import DataError, error_for
from zerodb_compiler.sql.calendar import civil_from_days, days_from_civil, days_in_month
from zerodb_compiler.types import DATE, TIMESTAMP, SqlType, TypeId
from zerodb_compiler.zones import UTC, Zone, find_zone, fixed_zone, session_zone, transaction_time

MICROS_PER_DAY = 86_400_000_000
DATE_LOW, DATE_HIGH = days_from_civil(-4713, 11, 24), days_from_civil(5_874_897, 12, 31)
TIMESTAMP_LOW = DATE_LOW * MICROS_PER_DAY
# The same span of 64 bits as PostgreSQL's, which counts from 2000: thirty years fewer at the end.
TIMESTAMP_HIGH = 9_223_371_331_200_000_000 - 1
SPECIAL_WORDS = frozenset({"now", "today", "tomorrow", "yesterday"})

_ISO_DATE = re.compile(r"(\d{3,7})-(\d{1,2})-(\d{1,2})(?!\d)")
_ISO_DATETIME = re.compile(r"\s*(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?\s*\Z")
_FIELD = re.compile(
    r"""[\s,]*(?:
      (?P<clock>\d{1,3}:\d{2}(?::\d{2}(?:\.\d*)?)?|\d{1,2}:\d{2}:\d{2}(?:\.\d*)?)
    | (?P<iso>\d{3,7}[-/]\d{1,2}[-/]\d{1,2})(?=\D|\Z)
    | (?P<american>\d{1,2}[-/.]\d{1,2}[-/.]\d{1,7})(?=[^\d.]|\Z)
    | (?P<named>\d{1,2}-[A-Za-z]{3,9}-\d{1,7}|[A-Za-z]{3,9}-\d{1,2}-\d{1,7}|\d{3,7}-[A-Za-z]{3,9}-\d{1,2})
    | (?P<ordinal>\d{4,7}\.\d{3}(?!\d)|[Jj]\d+(?:\.\d+)?)
    | (?P<compact>\d{8}T\d{2,6}(?:\.\d+)?)
    | (?P<offset>[+-]\d{1,2}(?::\d{2}){1,2}|[+-]\d{4,6}(?!\d)|[+-]\d{1,2}(?!\d))
    | (?P<number>\d+(?:\.\d*)?)
    | (?P<zone>[A-Za-z]+(?:[A-Za-z_]*/[A-Za-z_+\-0-9]+)+|(?:Etc/)?(?:GMT|UTC)[+-]\d{1,2}(?::\d{2})?)
    | (?P<word>[A-Za-z]+\.?)
    )""",
    re.X,
)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
)
_DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
_WORDS = {name: i + 1 for i, name in enumerate(_MONTHS)} | {name[:3]: i + 1 for i, name in enumerate(_MONTHS)}
_WORDS["sept"] = 9
_DAY_NAMES = {*_DAYS, *(name[:3] for name in _DAYS), "tues", "weds", "wednes", "thur", "thurs"}


class _Bad(Exception):
    """The text is no date or time."""


class _Outside(Exception):
    """A field is beyond its range."""


@dataclass(slots=True)
class Fields:
    """What a text says: a date and time of day as they stand there, and the zone if it names one."""

    date: int | None = None
    micros: int | None = None
    zone: Zone | None = None
    infinite: int = 0
    numbers: list[str] = field(default_factory=list)
    month: int | None = None
    year: int | None = None
    before_christ: bool = False
    half: str | None = None
    parts: tuple[int, int, int] | None = None
    is_time: bool = False  # a time of day is wanted: six digits are one


def parse_date(text: str, position: int | None = None) -> int:
    found = _fields(DATE, text, position)
    if found.infinite:
        return DATE.bounds[found.infinite > 0]
    assert found.date is not None
    return check_date(found.date, text, position)


def check_date(days: int, text: str, position: int | None = None) -> int:
    if not DATE_LOW <= days <= DATE_HIGH:
        raise DataError(f'date out of range: "{text}"', sqlstate="22008", position=position)
    return days


def parse_timestamp(type_: SqlType, text: str, position: int | None = None) -> int:
    """A timestamp with or without time zone; without, a zone in the text is not looked at."""
    quick = _ISO_DATETIME.match(text)
    if quick is not None and type_.id is TypeId.TIMESTAMP and not type_.precision:
        year, month, day = int(quick[1]), int(quick[2]), int(quick[3])
        hour, minute, second = int(quick[4] or 0), int(quick[5] or 0), int(quick[6] or 0)
        right = 1 <= month <= 12 and 1 <= day <= 28 and year and hour < 24 and minute < 60 and second < 60
        if right:
            micros = int((quick[7] or "0").ljust(6, "0"))
            clock = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros
            return days_from_civil(year, month, day) * MICROS_PER_DAY + clock
    found = _fields(type_, text, position)
    if found.infinite:
        return type_.bounds[found.infinite > 0]
    assert found.date is not None
    value = found.date * MICROS_PER_DAY + (found.micros or 0)
    if type_.id is TypeId.TIMESTAMPTZ:
        zone = found.zone or session_zone()
        value -= zone.offset_of_local(value)
    if not TIMESTAMP_LOW <= value <= TIMESTAMP_HIGH:
        raise DataError(f'timestamp out of range: "{text}"', sqlstate="22008", position=position)
    return rounded(type_, value)


def parse_time(type_: SqlType, text: str, position: int | None = None) -> int:
    found = _fields(type_, text, position)
    assert found.micros is not None
    return rounded(type_, found.micros)


def rounded(type_: SqlType, value: int) -> int:
    """A time or timestamp with no more fractional digits than its type has (`precision` is digits + 1, see types)."""
    digits = fractional_digits(type_)
    if digits == 6:
        return value
    unit: int = 10 ** (6 - digits)
    magnitude = (abs(value) + unit // 2) // unit * unit
    return magnitude if value >= 0 else -magnitude


def parsed_parts(kind: TypeId, text: str) -> tuple[int, bool]:
    """The value that a text in any of PostgreSQL's forms has, and whether it is one in UTC (a timestamp with time zone
    and a zone of its own) or as the clock shows it. Texts of columns: what the session decides is refused."""
    if text.strip().lower() in SPECIAL_WORDS:
        raise error_for("0A000", f'"{text}" in a text that is not constant is not supported', hint="use now()")
    type_ = SqlType(kind)
    if kind is TypeId.DATE:
        return parse_date(text), False
    if kind is TypeId.TIME:
        return parse_time(type_, text), False
    found = _fields(type_, text, None)
    is_utc = kind is TypeId.TIMESTAMPTZ and (found.zone is not None or bool(found.infinite))
    if found.infinite or kind is TypeId.TIMESTAMP or is_utc:
        return parse_timestamp(type_, text), is_utc
    return parse_timestamp(TIMESTAMP, text), False


def fractional_digits(type_: SqlType) -> int:
    """Of time, timestamp and interval. A type's `precision` is 0 where none is given, else one more than the digits."""
    return type_.precision - 1 if type_.precision else 6


def has_zone(text: str) -> bool:
    """Whether a timestamp's text says which zone it is in."""
    try:
        found = _fields(TIMESTAMP, text, None)
    except DataError:
        return True
    return found.zone is not None or bool(found.infinite)


# --- reading ----------------------------------------------------------------------------------------------------------
def _fields(type_: SqlType, text: str, position: int | None) -> Fields:
    try:
        found = _scan(text, type_.id is TypeId.TIME)
        _finish(found, type_)
    except (_Bad, ValueError):
        name = _input_name(type_)
        raise DataError(
            f'invalid input syntax for type {name}: "{text}"', sqlstate="22007", position=position
        ) from None
    except _Outside:
        message = f'date/time field value out of range: "{text}"'
        raise DataError(message, sqlstate="22008", position=position) from None
    return found


def _input_name(type_: SqlType) -> str:
    return str(type_.id.value)


def _scan(text: str, is_time: bool) -> Fields:
    found = Fields(is_time=is_time)
    stripped = text.strip()
    word = stripped.lower()
    if word in ("infinity", "inf", "+infinity", "+inf", "-infinity", "-inf"):
        found.infinite = -1 if word.startswith("-") else 1
        return found
    if word in SPECIAL_WORDS:
        zone = session_zone()
        now = transaction_time()
        found.date, found.micros = divmod(now + zone.offset_at(now), MICROS_PER_DAY)
        if word != "now":
            found.date, found.micros = found.date + {"tomorrow": 1, "yesterday": -1}.get(word, 0), 0
        found.zone = zone
        return found
    if word == "epoch":
        found.date, found.micros, found.zone = 0, 0, UTC
        return found
    if "\0" in stripped or len(stripped) > 200:
        raise _Bad
    place = 0
    while place < len(stripped):
        match = _FIELD.match(stripped, place)
        if match is None or match.end() == place:
            raise _Bad
        place = match.end()
        kind = match.lastgroup
        assert kind is not None
        _READERS[kind](found, match[kind])
    return found


def _clock(found: Fields, text: str) -> None:
    if found.micros is not None:
        raise _Bad
    hour, minute, *rest = text.split(":")
    seconds, _, fraction = (rest[0] if rest else "0").partition(".")
    found.micros = _micros(int(hour), int(minute), int(seconds), fraction)


def _micros(hour: int, minute: int, second: int, fraction: str = "") -> int:
    if minute > 59 or second > 60 or hour > 24:
        raise _Outside
    part = int((fraction + "0000000")[:7])
    micros = ((hour * 60 + minute) * 60 + second) * 1_000_000 + (part + 5) // 10
    if micros > MICROS_PER_DAY:
        raise _Outside
    return micros


def _set_date(found: Fields, year: int, month: int, day: int) -> None:
    if found.parts is not None:
        raise _Bad
    found.parts = (year, month, day)


def _full_year(text: str) -> int:
    year = int(text)
    return year if len(text) > 2 else year + (2000 if year < 70 else 1900)


def _iso(found: Fields, text: str) -> None:
    year, month, day = re.split("[-/]", text)
    _set_date(found, _full_year(year), int(month), int(day))


def _american(found: Fields, text: str) -> None:
    month, day, year = re.split("[-/.]", text)
    _set_date(found, _full_year(year), int(month), int(day))


def _named(found: Fields, text: str) -> None:
    parts = text.split("-")
    at = next(i for i, part in enumerate(parts) if part.isalpha())
    month = _WORDS.get(parts[at].lower())
    if month is None:
        raise _Bad
    one, two = parts[:at] + parts[at + 1 :]
    year, day = (one, two) if len(one) > 2 else (two, one)
    _set_date(found, _full_year(year), month, int(day))


def _ordinal(found: Fields, text: str) -> None:
    if text[0] in "Jj":
        days, _, fraction = text[1:].partition(".")
        found.date = int(days) - 2_440_588
        if fraction:
            found.micros = round(float("0." + fraction) * MICROS_PER_DAY)
        return
    year, _, day = text.partition(".")
    found.date = days_from_civil(int(year), 1, 1) + int(day) - 1


def _compact(found: Fields, text: str) -> None:
    date, _, clock = text.partition("T")
    _set_date(found, int(date[:4]), int(date[4:6]), int(date[6:]))
    digits, _, fraction = clock.partition(".")
    digits = digits.ljust(6, "0")
    found.micros = _micros(int(digits[:2]), int(digits[2:4]), int(digits[4:6]), fraction)


def _offset(found: Fields, text: str) -> None:
    if found.zone is not None or (found.micros is None and found.parts is None and found.date is None):
        raise _Bad
    sign, rest = (-1 if text[0] == "-" else 1), text[1:]
    if ":" in rest:
        parts = [int(part) for part in rest.split(":")]
    else:
        rest = rest if len(rest) <= 2 else rest.rjust(4, "0")
        parts = [int(rest[i : i + 2]) for i in range(0, len(rest), 2)]
    seconds = sum(part * 60 ** (2 - i) for i, part in enumerate(parts))
    if any(part > 59 for part in parts[1:]) or seconds >= 16 * 3600:
        raise _Outside
    found.zone = fixed_zone(sign * seconds)


def _number(found: Fields, text: str) -> None:
    whole, _, fraction = text.partition(".")
    have_date = found.parts is not None or found.date is not None
    if len(whole) == 8 and not have_date and not found.numbers and not fraction:
        _set_date(found, int(whole[:4]), int(whole[4:6]), int(whole[6:]))
    elif len(whole) in (4, 6) and found.micros is None and (have_date or found.is_time):
        whole = whole.ljust(6, "0")
        found.micros = _micros(int(whole[:2]), int(whole[2:4]), int(whole[4:]), fraction)
    elif len(whole) == 6 and not have_date and found.month is None and not found.numbers:
        _set_date(found, _full_year(whole[:2]), int(whole[2:4]), int(whole[4:]))
    elif fraction or len(found.numbers) > 2:
        raise _Bad
    else:
        found.numbers.append(whole)


def _zone(found: Fields, text: str) -> None:
    if found.zone is not None:
        raise _Bad
    found.zone = find_zone(text)


def _word(found: Fields, text: str) -> None:
    word = text.lower().rstrip(".")
    if word in _WORDS and found.month is None:
        found.month = _WORDS[word]
    elif word in ("bc", "ad"):
        found.before_christ = word == "bc"
    elif word in ("am", "pm"):
        found.half = word
    elif word == "allballs":
        found.micros = 0
    elif word == "t" or word in _DAY_NAMES or word in ("at", "on", "d", "of"):
        return
    elif found.zone is not None:
        raise _Bad
    else:
        try:
            found.zone = find_zone(word)
        except DataError:
            raise _Bad from None


_READERS = {
    "clock": _clock,
    "iso": _iso,
    "american": _american,
    "named": _named,
    "ordinal": _ordinal,
    "compact": _compact,
    "offset": _offset,
    "number": _number,
    "zone": _zone,
    "word": _word,
}


def _finish(found: Fields, type_: SqlType) -> None:
    """The date from its parts, the time of day from its half; what the type needs must be there."""
    if found.infinite:
        if type_.id is TypeId.TIME:
            raise _Bad
        return
    if found.half is not None:
        if found.micros is None and len(found.numbers) == 1 and found.parts is not None:
            found.micros = _micros(int(found.numbers.pop()), 0, 0)
        if found.micros is None or found.micros >= 13 * 3_600_000_000:
            raise _Bad if found.micros is None else _Outside
        hours = found.micros // 3_600_000_000
        found.micros += (12 if found.half == "pm" and hours < 12 else 0) * 3_600_000_000
        found.micros -= (12 if found.half == "am" and hours == 12 else 0) * 3_600_000_000
    if found.month is not None and found.parts is None:
        found.parts = _named_parts(found)
        found.numbers = []
    if found.numbers:
        if type_.id is not TypeId.TIME or found.parts is not None or len(found.numbers) != 1:
            raise _Bad
        digits = found.numbers[0]
        if len(digits) not in (4, 6) or found.micros is not None:
            raise _Bad
        digits = digits.ljust(6, "0")
        found.micros = _micros(int(digits[:2]), int(digits[2:4]), int(digits[4:]))
    if found.parts is not None:
        found.date = _days(*found.parts, found.before_christ)
    elif found.before_christ:
        raise _Bad
    if type_.id is TypeId.TIME:
        if found.micros is None:
            raise _Bad
    elif found.date is None:
        raise _Bad


def _named_parts(found: Fields) -> tuple[int, int, int]:
    """January 8, 1999 and its kin."""
    if len(found.numbers) != 2 or found.month is None:
        raise _Bad
    one, two = found.numbers
    year, day = (one, two) if len(one) > 2 else (two, one)
    return _full_year(year), found.month, int(day)


def _days(year: int, month: int, day: int, before_christ: bool) -> int:
    if before_christ:
        year = 1 - year
        if year > 0:
            raise _Outside
    elif year == 0:
        raise _Outside
    if not 1 <= month <= 12 or not 1 <= day <= 31 or day > days_in_month(year, month):
        raise _Outside
    if not -4713 <= year <= 5_874_897:
        raise _Outside
    return days_from_civil(year, month, day)


# --- writing ----------------------------------------------------------------------------------------------------------
def format_date(days: int) -> str:
    if days in DATE.bounds:
        return "infinity" if days > 0 else "-infinity"
    year, month, day = civil_from_days(days)
    era = " BC" if year < 1 else ""
    return f"{1 - year if year < 1 else year:04d}-{month:02d}-{day:02d}{era}"


def format_time(micros: int) -> str:
    seconds, fraction = divmod(micros, 1_000_000)
    part = f".{fraction:06d}".rstrip("0") if fraction else ""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{part}"


def format_timestamp(micros: int, offset: int | None = None) -> str:
    """With an offset (microseconds), the local time and the offset."""
    if micros in TIMESTAMP.bounds:
        return "infinity" if micros > 0 else "-infinity"
    days, rest = divmod(micros + (offset or 0), MICROS_PER_DAY)
    date, era = (format_date(days) + " ").split(" ", 1)
    zone = "" if offset is None else format_offset(offset)
    return f"{date} {format_time(rest)}{zone} {era}".rstrip()


def format_offset(offset: int) -> str:
    seconds = abs(offset) // 1_000_000
    text = f"{'-' if offset < 0 else '+'}{seconds // 3600:02d}"
    if seconds % 3600:
        text += f":{seconds // 60 % 60:02d}"
    return text + (f":{seconds % 60:02d}" if seconds % 60 else "")


def format_timestamptz(micros: int) -> str:
    """In the session's time zone."""
    if micros in TIMESTAMP.bounds:
        return format_timestamp(micros)
    return format_timestamp(micros, session_zone().offset_at(micros))
