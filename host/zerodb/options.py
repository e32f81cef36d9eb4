"""Settings of a connection: SET name = value, SHOW name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zerodb_compiler.errors import error_for

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?i?b?)\s*\Z", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min|h)?\s*\Z", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
THREADS_MAX = 256


@dataclass(slots=True)
class Options:
    """`statement_timeout_s` None is no limit; `threads` None is what the database was opened with."""

    statement_timeout_s: float | None = None
    threads: int | None = None


def parse_size(value: int | str) -> int:
    """Bytes from 536870912 or "512MB" (powers of 1024)."""
    if isinstance(value, int):
        if value <= 0:
            raise error_for("22023", f"a size must be positive, not {value}")
        return value
    match = _SIZE.match(value)
    if match is None:
        raise error_for("22023", f'"{value}" is not a size', hint="a number of bytes, or such as 512MB or 2GB")
    unit = match[2].lower().removesuffix("b").removesuffix("i")
    return parse_size(int(float(match[1]) * _UNITS[unit]))


def parse_duration(value: str) -> float:
    """Seconds from "5s" or "250ms"; a bare number is milliseconds, as in PostgreSQL."""
    match = _DURATION.match(value)
    if match is None:
        raise error_for("22023", f'"{value}" is not a duration', hint="milliseconds, or such as 250ms, 5s, 2min")
    return float(match[1]) * _SECONDS[(match[2] or "ms").lower()]


def parse_threads(value: int | str) -> int:
    try:
        threads = int(value)
    except ValueError:
        threads = 0
    if not 1 <= threads <= THREADS_MAX:
        raise error_for("22023", f"threads must be a number from 1 to {THREADS_MAX}, not {value!r}")
    return threads


def set_option(options: Options, name: str, value: str | None) -> None:
    """`value` None restores the default."""
    match name:
        case "statement_timeout":
            seconds = parse_duration(value) if value is not None else 0.0
            options.statement_timeout_s = seconds or None
        case "threads":
            options.threads = parse_threads(value) if value is not None else None
        case "memory_limit":
            raise error_for("55P02", "memory_limit cannot be changed now", hint="give it to connect()")
        case _:
            raise _unknown(name)


def show_option(options: Options, name: str, *, threads: int, memory_limit: int) -> str:
    match name:
        case "statement_timeout":
            seconds = options.statement_timeout_s
            return "0" if seconds is None else f"{seconds * 1000:g}ms"
        case "threads":
            return str(options.threads or threads)
        case "memory_limit":
            return str(memory_limit)
        case "server_version":
            import zerodb

            return zerodb.__version__
    raise _unknown(name)


def _unknown(name: str) -> Exception:
    known = "statement_timeout, threads, memory_limit"
    return error_for("42704", f'unrecognized setting "{name}"', hint=f"there are: {known}")
