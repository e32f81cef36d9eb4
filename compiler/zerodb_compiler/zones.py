"""Time zones: the IANA data as tables that both Python and generated code look offsets up in.

A table is the moments at which a zone's offset from UTC changes, each with the offset that holds from then on:

    n i64 | n moments, microseconds UTC, i64, the first before all time | n local moments | n offsets, microseconds, i64

A local moment is moment + new offset: the local clock reading from which the new offset is taken. Clock readings that
never were (a spring gap) are then read with the offset before, those that were twice with the offset after, as
PostgreSQL does. Rules without an end are written out to the year 2437: beyond it 400 years are the same again.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property, lru_cache
from threading import local
from zoneinfo import TZPATH

from zerodb_compiler.errors import error_for

_LAST_YEAR = 2437
_SECOND = 1_000_000
_BEGINNING = -(1 << 62)
_FIXED = re.compile(r"(?:(?:utc|gmt)?)([+-])(\d{1,2})(?::?(\d{2})(?::?(\d{2}))?)?\Z", re.I)
_POSIX = re.compile(r"(<[^>]+>|[A-Za-z]+)([-+]?[\d:]+)(?:(<[^>]+>|[A-Za-z]+)([-+]?[\d:]+)?(?:,([^,]+),([^,]+))?)?\Z")
# PostgreSQL's abbreviations for zones of a fixed offset, in hours.
ABBREVIATIONS: dict[str, float] = {
    "utc": 0, "gmt": 0, "z": 0, "zulu": 0, "ut": 0, "wet": 0, "bst": 1, "cet": 1, "cest": 2, "met": 1, "mest": 2,
    "eet": 2, "eest": 3, "msk": 3, "ist": 2, "jst": 9, "kst": 9, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7,
    "mdt": -6, "pst": -8, "pdt": -7, "akst": -9, "akdt": -8, "hst": -10, "aest": 10, "acst": 9.5, "awst": 8, "nzst": 12,
    "nzdt": 13, "west": 1, "aedt": 11, "sgt": 8, "hkt": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Zone:
    """One time zone; offsets are east of Greenwich, in microseconds."""

    name: str
    moments: tuple[int, ...]
    offsets: tuple[int, ...]

    @cached_property
    def _local(self) -> tuple[int, ...]:
        return tuple(moment + offset for moment, offset in zip(self.moments, self.offsets, strict=True))

    def offset_at(self, moment: int) -> int:
        """The offset at a moment in UTC."""
        return self.offsets[max(bisect_right(self.moments, moment) - 1, 0)]

    def offset_of_local(self, moment: int) -> int:
        """The offset for a reading of the local clock."""
        return self.offsets[max(bisect_right(self._local, moment) - 1, 0)]

    @cached_property
    def table(self) -> bytes:
        count = len(self.moments)
        return struct.pack(f"<{3 * count + 1}q", count, *self.moments, *self._local, *self.offsets)


UTC = Zone("UTC", (_BEGINNING,), (0,))


class _Session(local):
    zone = UTC
    transaction = 0
    statement = 0


_session = _Session()


def session_zone() -> Zone:
    """The time zone of the session whose statement this thread prepares or whose result it reads."""
    return _session.zone


def set_session_zone(zone: Zone) -> None:
    _session.zone = zone


def begin_statement(zone: Zone, now: int, transaction: int | None) -> None:
    """What the statement that this thread now prepares or runs has to know: the session's zone, the time
    and when its transaction began (None: with it), in microseconds UTC."""
    _session.zone = zone
    _session.statement = now
    _session.transaction = now if transaction is None else transaction


def transaction_time() -> int:
    """When the transaction began: what now() is."""
    return _session.transaction


def statement_time() -> int:
    return _session.statement


def find_zone(name: str, position: int | None = None) -> Zone:
    """The zone of an IANA name, an abbreviation or a fixed offset (in POSIX's sense: west is positive)."""
    found = _find(name.strip())
    if found is None:
        raise error_for("22023", f'time zone "{name}" not recognized', position=position)
    return found


def fixed_zone(seconds: int) -> Zone:
    """A zone that is always that many seconds east of Greenwich."""
    sign, rest = "+" if seconds >= 0 else "-", abs(seconds)
    name = f"{sign}{rest // 3600:02d}:{rest // 60 % 60:02d}"
    return Zone(name, (_BEGINNING,), (seconds * _SECOND,))


@lru_cache(maxsize=1024)
def _find(name: str) -> Zone | None:
    lower = name.lower()
    if lower in ABBREVIATIONS:
        return Zone(name.upper(), (_BEGINNING,), (int(ABBREVIATIONS[lower] * 3600) * _SECOND,))
    if name.startswith("<"):
        posix = _POSIX.match(name)
        return fixed_zone(-_clock(posix[2])) if posix is not None and posix[3] is None else None
    fixed = _FIXED.match(name)
    if fixed is not None:
        seconds = int(fixed[2]) * 3600 + int(fixed[3] or 0) * 60 + int(fixed[4] or 0)
        return fixed_zone(seconds if fixed[1] == "-" else -seconds)
    data = _read(name)
    if data is None:
        return None
    return _parse(_true_name(name), data)


def _true_name(name: str) -> str:
    return _names().get(name.lower(), name)


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    from zoneinfo import available_timezones

    return {name.lower(): name for name in available_timezones()}


def _read(name: str) -> bytes | None:
    """The zone's TZif data, from the system or from the tzdata package."""
    import importlib.resources
    from pathlib import Path

    true = _names().get(name.lower())
    if true is None:
        return None
    for folder in TZPATH:
        path = Path(folder) / true
        if path.is_file():
            return path.read_bytes()
    package, _, file = f"tzdata/zoneinfo/{true}".rpartition("/")
    return importlib.resources.files(package.replace("/", ".")).joinpath(file).read_bytes()


def _parse(name: str, data: bytes) -> Zone:
    """TZif (RFC 8536), version 2 or later."""
    head = struct.Struct(">4s1s15x6I")
    _, _, is_utc, is_std, leap, times, types, letters = head.unpack_from(data)
    second = head.size + times * 5 + types * 6 + letters + leap * 8 + is_std + is_utc
    _, _, is_utc, is_std, leap, times, types, letters = head.unpack_from(data, second)
    at = second + head.size
    moments = struct.unpack_from(f">{times}q", data, at)
    kinds = data[at + times * 8 : at + times * 9]
    place = at + times * 9
    offsets = [struct.unpack_from(">i", data, place + 6 * i)[0] for i in range(types)]
    end = place + types * 6 + letters + leap * 12 + is_std + is_utc
    footer = data[end:].strip(b"\n").decode()
    found = [(_BEGINNING // _SECOND, offsets[0])]
    found += [(moment, offsets[kind]) for moment, kind in zip(moments, kinds, strict=True) if moment > found[0][0]]
    if footer:
        found += _rule(footer, found[-1][0])
    merged = [found[0]]
    for moment, offset in found[1:]:
        if offset != merged[-1][1]:
            merged.append((moment, offset))
    return Zone(
        name,
        (_BEGINNING, *(moment * _SECOND for moment, _ in merged[1:])),
        tuple(offset * _SECOND for _, offset in merged),
    )


def _rule(footer: str, after: int) -> list[tuple[int, int]]:
    """The changes after a moment that a POSIX TZ rule makes."""
    found = _POSIX.match(footer)
    if found is None:
        return []
    standard = -_clock(found[2])
    if found[3] is None or found[5] is None:
        return [(after + 1, standard)] if after > _BEGINNING // _SECOND else [(after, standard)]
    summer = -_clock(found[4]) if found[4] else standard + 3600
    changes = []
    for year in range(1970, _LAST_YEAR + 1):
        changes.append((_change(found[5], year) - standard, summer))
        changes.append((_change(found[6], year) - summer, standard))
    return [change for change in sorted(changes) if change[0] > after]


def _clock(text: str) -> int:
    """Seconds of [+-]h[:m[:s]]."""
    sign = -1 if text.startswith("-") else 1
    parts = [int(part) for part in text.lstrip("+-").split(":")]
    return sign * sum(part * (3600, 60, 1)[i] for i, part in enumerate(parts))


def _change(rule: str, year: int) -> int:
    """Local seconds since 1970 of Mm.w.d[/time] or Jn or n in a year."""
    from zerodb_compiler.sql.calendar import days_from_civil, days_in_month

    day, _, time = rule.partition("/")
    seconds = _clock(time) if time else 7200
    if day.startswith("M"):
        month, week, weekday = (int(part) for part in day[1:].split("."))
        first = days_from_civil(year, month, 1)
        date = first + (weekday - (first + 4)) % 7 + 7 * (week - 1)
        if date >= first + days_in_month(year, month):
            date -= 7
    elif day.startswith("J"):
        date = days_from_civil(year, 1, 1) + int(day[1:]) - 1
        date += int(day[1:]) > 59 and days_in_month(year, 2) == 29
    else:
        date = days_from_civil(year, 1, 1) + int(day)
    return date * 86_400 + seconds
