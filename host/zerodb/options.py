"""Settings of a connection: SET name = value, SHOW name, RESET name.

Settings that mean something here are honoured. Those that PostgreSQL's clients send are accepted where the value asked
for is what zerodb does anyway (client_encoding = UTF8), refused (0A000) where it is not, and unknown ones are 42704.
What only advises PostgreSQL's planner is kept and shown and has no effect, since it never changes a result.

SET lasts for the session and is undone by ROLLBACK; SET LOCAL ends with the transaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

from zerodb_compiler import zones
from zerodb_compiler.errors import Error, error_for

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?i?b?)\s*\Z", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min|h)?\s*\Z", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
THREADS_MAX = 256
_ENCODINGS = frozenset({"utf8", "utf-8", "unicode"})
_ISOLATIONS = ("serializable", "repeatable read", "read committed", "read uncommitted")
_TRUE = frozenset({"on", "true", "yes", "1", "t", "y"})
_FALSE = frozenset({"off", "false", "no", "0", "f", "n"})
_LEVELS = ["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"]
_FLAG_HINTS = """
    enable_bitmapscan enable_gathermerge enable_hashagg enable_hashjoin enable_incremental_sort enable_indexonlyscan
    enable_indexscan enable_material enable_memoize enable_mergejoin enable_nestloop enable_parallel_append
    enable_parallel_hash enable_partition_pruning enable_partitionwise_aggregate enable_partitionwise_join
    enable_seqscan enable_sort enable_tidscan geqo jit check_function_bodies escape_string_warning
    parallel_leader_participation
"""
_NUMBER_HINTS = """
    cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost default_statistics_target effective_io_concurrency
    from_collapse_limit geqo_threshold join_collapse_limit max_parallel_workers max_parallel_workers_per_gather
    parallel_setup_cost parallel_tuple_cost random_page_cost seq_page_cost debug_discard_caches vacuum_freeze_min_age
    vacuum_freeze_table_age vacuum_multixact_freeze_min_age vacuum_multixact_freeze_table_age
"""
_SIZE_HINTS = """
    effective_cache_size maintenance_work_mem min_parallel_index_scan_size min_parallel_table_scan_size temp_buffers
    work_mem
"""


Settings = tuple[dict[str, str], dict[str, str | None]]


@dataclass(slots=True)
class Options:
    """The settings of one connection. `defaults` are what RESET restores; `values` what has been set."""

    values: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    _before: dict[str, str] | None = None  # when the transaction began
    _local: dict[str, str | None] = field(default_factory=dict)  # SET LOCAL: what COMMIT restores
    changes: int = 0  # how often `values` may have changed

    def get(self, name: str) -> str:
        """The setting's value. 42704 for an unknown one."""
        name = name.lower()
        found = self.values.get(name)
        if found is None:
            found = self.defaults.get(name)
        if found is None:
            known = SETTINGS.get(name)
            if known is None:
                raise unknown(name)
            found = known.default
        return found

    def set(self, name: str, value: str | None, *, local: bool = False) -> None:
        """`value` None restores the default; SET LOCAL outside of a transaction does nothing, as in PostgreSQL."""
        name = name.lower()
        self.changes += 1
        checked = value if "." in name else None
        if "." not in name:
            known = SETTINGS.get(name)
            if known is None:
                raise unknown(name)
            checked = None if value is None else known.check(name, value)
        if local and self._before is None:
            return
        if local:
            self._local.setdefault(name, self.values.get(name))
        else:
            self._local.pop(name, None)
        if checked is None or value is None:
            self.values.pop(name, None)
        else:
            self.values[name] = checked

    def reset_all(self) -> None:
        self.changes += 1
        self.values.clear()
        self._local.clear()

    def begin(self) -> None:
        self._before = dict(self.values)

    def saved(self) -> Settings:
        """For `restore`: what is set now."""
        return dict(self.values), dict(self._local)

    def restore(self, settings: Settings) -> None:
        values, local = settings
        self.changes += 1
        self.values, self._local = dict(values), dict(local)

    def commit(self) -> None:
        self.changes += bool(self._local)
        for name, value in self._local.items():
            if value is None:
                self.values.pop(name, None)
            else:
                self.values[name] = value
        self._before, self._local = None, {}

    def rollback(self) -> None:
        if self._before is not None:
            self.changes += self.values != self._before
            self.values = self._before
        self._before, self._local = None, {}

    @property
    def statement_timeout_s(self) -> float | None:
        """None is no limit."""
        value = self.values.get("statement_timeout")
        return None if value is None else parse_duration(value) or None

    @property
    def lock_timeout_s(self) -> float | None:
        """None is no limit."""
        value = self.values.get("lock_timeout")
        return None if value is None else parse_duration(value) or None

    @property
    def threads(self) -> int | None:
        """None is what the database was opened with."""
        value = self.values.get("threads")
        return None if value is None else int(value)

    @property
    def zone(self) -> zones.Zone:
        """The session's time zone."""
        value = self.values.get("timezone")
        if value is None:
            return zones.UTC
        if value[0] in "+-":  # the name of a fixed offset, east of Greenwich
            hours, minutes = value[1:].split(":")
            seconds = int(hours) * 3600 + int(minutes) * 60
            return zones.fixed_zone(-seconds if value[0] == "-" else seconds)
        return zones.find_zone(value)

    @property
    def search_path(self) -> tuple[str, ...]:
        """The schemas in order, without pg_catalog and "$user", which names none here."""
        return tuple(name for name in schema_names(self.get("search_path")) if name not in ("$user", "pg_catalog"))


def schema_names(path: str) -> list[str]:
    """The names of a list such as `"$user", public`."""
    found = []
    for part in path.split(","):
        name = part.strip()
        if name.startswith('"') and name.endswith('"') and len(name) > 1:
            found.append(name[1:-1].replace('""', '"'))
        elif name:
            found.append(name.lower())
    return found


@dataclass(frozen=True, slots=True)
class Setting:
    """`name` as PostgreSQL writes it; `check(name, value)` gives the value as it is shown, or raises."""

    name: str
    default: str
    check: Callable[[str, str], str]
    description: str = ""


def unknown(name: str) -> Exception:
    return error_for("42704", f'unrecognized configuration parameter "{name}"')


def _invalid(name: str, value: str, hint: str | None = None) -> NoReturn:
    raise error_for("22023", f'invalid value for parameter "{name}": "{value}"', hint=hint)


def _any(name: str, value: str) -> str:
    return value


def _fixed(name: str, value: str) -> NoReturn:
    raise error_for("55P02", f'parameter "{name}" cannot be changed')


def _only(allowed: str, name: str, value: str) -> str:
    """The one value that is what zerodb does."""
    if value.strip().lower() != allowed.lower():
        raise error_for("0A000", f'{name} = "{value}" is not supported', hint=f'only "{allowed}" is')
    return allowed


def _flag(name: str, value: str) -> str:
    word = value.strip().lower()
    if word not in _TRUE | _FALSE:
        raise error_for("22023", f'parameter "{name}" requires a Boolean value')
    return "on" if word in _TRUE else "off"


def _only_flag(allowed: str, name: str, value: str) -> str:
    return _only(allowed, name, _flag(name, value))


def _one_of(allowed: tuple[str, ...], name: str, value: str) -> str:
    word = value.strip().lower()
    return word if word in allowed else _invalid(name, value, f"available values: {', '.join(allowed)}")


def _number(name: str, value: str) -> str:
    try:
        float(value)
    except ValueError:
        _invalid(name, value)
    return value


def _size(name: str, value: str) -> str:
    if value.strip() not in ("-1", "0"):
        parse_size(value)
    return value


def _duration(name: str, value: str) -> str:
    """As PostgreSQL shows it: in the largest unit that needs no fraction."""
    milliseconds = round(parse_duration(value) * 1000, 3)
    if milliseconds == 0:
        return "0"
    if milliseconds != int(milliseconds):
        return f"{milliseconds:g}ms"
    for unit, size in (("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{int(milliseconds) // size}{unit}"
    return f"{int(milliseconds)}ms"


def _no_timeout(name: str, value: str) -> str:
    if _duration(name, value) != "0":
        raise error_for("0A000", f'{name} = "{value}" is not supported', hint="only 0 (no limit) is")
    return "0"


def _encoding(name: str, value: str) -> str:
    if value.strip().lower() not in _ENCODINGS:
        raise error_for("0A000", f'{name} = "{value}" is not supported', hint="only UTF8 is")
    return "UTF8"


def _date_style(name: str, value: str) -> str:
    words = {word.strip().lower() for word in value.split(",")}
    if not words <= {"iso", "mdy", "us", "noneuropean", "default"}:
        known = {"german", "postgres", "sql", "dmy", "ymd", "euro", "european"}
        if not words <= known | {"iso", "mdy", "us", "noneuropean"}:
            _invalid("DateStyle", value)
        raise error_for("0A000", f'DateStyle = "{value}" is not supported', hint='only "ISO, MDY" is')
    return "ISO, MDY"


def _extra_float_digits(name: str, value: str) -> str:
    try:
        digits = int(value)
    except ValueError:
        _invalid(name, value)
    if not -15 <= digits <= 3:
        raise error_for("22023", f'{digits} is outside the valid range for parameter "{name}" (-15 .. 3)')
    if digits < 1:
        raise error_for("0A000", f"{name} = {digits} is not supported", hint="1, 2 and 3 are: shortest exact output")
    return str(digits)


def _time_zone(name: str, value: str) -> str:
    """A zone's name, or hours east of Greenwich, which are shown as PostgreSQL does."""
    text = value.strip()
    try:
        hours = float(text)
    except ValueError:
        try:
            return zones.find_zone(text).name
        except Error:
            _invalid("TimeZone", value)
    sign, minutes = ("-" if hours < 0 else "+"), round(abs(hours) * 60)
    size = f"{minutes // 60:02d}" + (f":{minutes % 60:02d}" if minutes % 60 else "")
    return f"<{sign}{size}>{'+' if hours < 0 else '-'}{size}"


def _threads(name: str, value: str) -> str:
    return str(parse_threads(value))


def _memory_limit(name: str, value: str) -> NoReturn:
    raise error_for("55P02", "memory_limit cannot be changed now", hint="give it to connect()")


def _no_user(name: str, value: str) -> str:
    if value.strip().lower() not in ("none", "default"):
        raise error_for("0A000", f"{name} cannot be changed: there is one user", hint=None)
    return "none"


_TABLE = (
    Setting("application_name", "", _any, "name of the client"),
    Setting("bytea_output", "hex", partial(_only, "hex"), "output form of bytea"),
    Setting("client_encoding", "UTF8", _encoding, "encoding of texts"),
    Setting("client_min_messages", "notice", partial(_one_of, tuple(_LEVELS)), "least level of messages"),
    Setting("DateStyle", "ISO, MDY", _date_style, "form of dates"),
    Setting("deadlock_timeout", "1s", _duration, "has no effect: deadlocks are found at once"),
    Setting("default_table_access_method", "heap", partial(_only, "heap")),
    Setting("default_tablespace", "", partial(_only, "")),
    Setting("default_transaction_isolation", "repeatable read", partial(_one_of, _ISOLATIONS)),
    Setting("default_transaction_read_only", "off", _flag),
    Setting("default_transaction_deferrable", "off", _flag),
    Setting("default_with_oids", "off", partial(_only_flag, "off")),
    Setting("extra_float_digits", "1", _extra_float_digits, "digits of floating-point output"),
    Setting("force_parallel_mode", "off", partial(_one_of, ("off", "on", "regress")), "has no effect here"),
    Setting("idle_in_transaction_session_timeout", "0", _no_timeout),
    Setting("idle_session_timeout", "0", _no_timeout),
    Setting("integer_datetimes", "on", _fixed),
    Setting("IntervalStyle", "postgres", partial(_only, "postgres"), "output form of intervals"),
    Setting("is_superuser", "on", _fixed),
    Setting("lc_collate", "C", _fixed),
    Setting("lc_ctype", "C.UTF-8", _fixed),
    Setting("lc_messages", "C", partial(_only, "C")),
    Setting("lc_monetary", "C", partial(_only, "C")),
    Setting("lc_numeric", "C", partial(_only, "C")),
    Setting("lc_time", "C", partial(_only, "C")),
    Setting("lock_timeout", "0", _duration, "longest wait for a lock"),
    Setting("max_identifier_length", "63", _fixed),
    Setting("memory_limit", "", _memory_limit, "bytes for columns and workspace"),
    Setting(
        "plan_cache_mode",
        "auto",
        partial(_one_of, ("auto", "force_generic_plan", "force_custom_plan")),
        "has no effect here",
    ),
    Setting("role", "none", _no_user),
    Setting("row_security", "on", _flag),
    Setting("search_path", '"$user", public', _any, "schemas that names are looked for in"),
    Setting("server_encoding", "UTF8", _fixed),
    Setting("server_version", "", _fixed),
    Setting("server_version_num", "150000", _fixed),
    Setting("session_authorization", "zerodb", _no_user),
    Setting("session_replication_role", "origin", partial(_only, "origin")),
    Setting("standard_conforming_strings", "on", partial(_only_flag, "on"), "backslashes in '...' mean themselves"),
    Setting("statement_timeout", "0", _duration, "longest time of a statement"),
    Setting("synchronous_commit", "on", partial(_one_of, ("on", "local", "remote_write", "remote_apply", "off"))),
    Setting("threads", "", _threads, "threads of a query"),
    Setting("TimeZone", "UTC", _time_zone, "time zone of the session"),
    Setting("transaction_deferrable", "off", _flag),
    Setting("transaction_isolation", "repeatable read", partial(_one_of, _ISOLATIONS)),
    Setting("transaction_read_only", "off", _flag),
    Setting("xmloption", "content", partial(_one_of, ("content", "document"))),
    *(Setting(name, "on", _flag, "has no effect here") for name in _FLAG_HINTS.split()),
    *(Setting(name, "1", _number, "has no effect here") for name in _NUMBER_HINTS.split()),
    *(Setting(name, "4MB", _size, "has no effect here") for name in _SIZE_HINTS.split()),
)
SETTINGS = {setting.name.lower(): setting for setting in _TABLE}


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
