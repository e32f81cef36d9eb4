"""The engines of a search, and when two answers are the same one."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from tests.differential.searching.schema import Table

from zerodb.logictest.runner import Engine, EngineError
from zerodb.logictest.values import Rows
from zerodb.logictest.zerodb_engine import ZerodbEngine

# What says that a thing is not there (yet), rather than that it is wrong.
MISSING = ("0A000", "42883", "42704")


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, or the error."""

    rows: Rows = ()
    sqlstate: str | None = None
    message: str = ""
    crash: bool = False
    count: int = -1


def ask(engine: Engine, sql: str) -> Answer:
    try:
        result = engine.execute(sql, "")
        return Answer(result.rows, count=result.count)
    except EngineError as error:
        return Answer((), error.sqlstate, error.message, error.crash)


def create(engine: Engine, tables: Sequence[Table]) -> None:
    """Makes the tables; without their constraints and indexes where the engine has none."""
    for table in tables:
        for plain in (False, True):
            try:
                for statement in table.create(plain):
                    engine.execute(statement, "")
                break
            except EngineError as error:
                if plain or error.sqlstate not in MISSING:
                    raise
                ask(engine, f"drop table {table.name}")


def drop(engine: Engine, tables: Sequence[Table]) -> None:
    for table in tables:
        ask(engine, f"drop table {table.name}")


def _key(value: str | None, type_: str) -> object:
    if value is None:
        return None
    if type_ in ("int", "small", "big"):
        try:
            return Decimal(value)
        except InvalidOperation:
            return value
    if type_ == "ivl":
        return _interval(value)
    if type_ == "dbl":
        number = float(value)
        return "NaN" if math.isnan(number) else float(f"{number:.9e}") + 0.0
    return value


_UNITS = {"year": 31_104_000_000_000, "mon": 2_592_000_000_000, "day": 86_400_000_000}


def _interval(text: str) -> int:
    """Microseconds, a month being 30 days: equal for intervals that are equal ('1 mon' and '30 days')."""
    total = 0
    for number, unit in re.findall(r"(-?\d+) (year|mon|day)", text):
        total += int(number) * _UNITS[unit]
    clock = re.search(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?", text)
    if clock is not None:
        sign, hours, minutes, seconds, fraction = clock.groups()
        micros = ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000_000 + int(
            (fraction or "").ljust(6, "0")
        )
        total += -micros if sign else micros
    return total


def comparable(rows: Rows, types: Sequence[str]) -> list[tuple[object, ...]]:
    return [tuple(map(_key, row, types)) for row in rows]


def same(left: Rows, right: Rows, types: Sequence[str], ordered: bool) -> bool:
    """Equal rows: as text, numbers by value, floating-point numbers by nine digits."""
    if left == right:
        return True
    a, b = comparable(left, types), comparable(right, types)
    return a == b if ordered else Counter(a) == Counter(b)


class DuckEngine:
    """DuckDB, for where there is no PostgreSQL. What it means otherwise than PostgreSQL is left out of the search by
    its errors, and by the types that `search` lets it have."""

    def __init__(self) -> None:
        import duckdb

        self._errors = duckdb.Error
        self._connection = duckdb.connect(":memory:", config={"threads": 1})
        self._connection.execute("set default_null_order = 'postgres'; set integer_division = true")

    def execute(self, sql: str, connection: str) -> object:
        from zerodb.logictest.runner import Result

        try:
            cursor = self._connection.execute(sql)
            rows = [tuple(map(_duck_text, row)) for row in cursor.fetchall()]
        except self._errors as error:
            raise EngineError("42000", str(error)) from None
        return Result(rows, len(rows[0]) if rows else 0, len(rows))

    def close(self) -> None:
        self._connection.close()


def _duck_text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    text = str(value)
    return re.sub(r"(\.\d*?)0+$", r"\1", text).removesuffix(".") if "." in text and ":" in text else text


def make_oracle(name: str) -> Engine:
    if name == "duckdb":
        return DuckEngine()  # type: ignore[return-value]
    from tests.logic.against_postgres import PostgresEngine, server

    address = server()
    assert address is not None, "ZERODB_POSTGRES is not set"
    return PostgresEngine(address)


def make_subject() -> Engine:
    return ZerodbEngine(threads=2)
