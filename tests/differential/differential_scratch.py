"""Tables for one test at a time, in whichever form the storage keeps rows: segments, delta, both, with deletions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import zerodb
from zerodb_compiler.types import SqlType, TypeId
from zerodb_storage import publishing

Value = Any
_DIGITS = Context(prec=80)


def to_python(type_: SqlType, canonical: Value) -> Value:
    """The Python object of a canonical value, as one passes it for a parameter."""
    if canonical is not None and type_.id is TypeId.NUMERIC:
        return Decimal(canonical).scaleb(-type_.scale, _DIGITS)
    if canonical is not None and type_.id is TypeId.BOOLEAN:
        return bool(canonical)
    return canonical


def to_canonical(type_: SqlType, value: Value) -> Value:
    """The canonical value of what a result gave; checks that a numeric that shows all its scale has it."""
    if value is None or type_.is_float or type_.is_text:
        return value
    if type_.id is TypeId.NUMERIC:
        assert isinstance(value, Decimal), value
        assert type_.shown is not None or value.as_tuple().exponent == -type_.scale, (value, str(type_))
        return int(value.scaleb(type_.scale, _DIGITS))
    assert isinstance(value, int), value
    return int(value)


def literal(type_: SqlType, canonical: Value) -> str:
    """A constant of exactly this type as SQL text."""
    if canonical is None:
        return f"cast(null as {type_})"
    return f"cast('{to_python(type_, canonical)}' as {type_})"


def as_fraction(type_: SqlType, canonical: int) -> Fraction:
    return Fraction(canonical, 10**type_.scale)


@contextmanager
def fold_after(rows: int) -> Iterator[None]:
    """Within the block, a commit that brings the delta to this many rows folds it into segments."""
    before = publishing.FOLD_ROWS
    publishing.FOLD_ROWS = rows
    try:
        yield
    finally:
        publishing.FOLD_ROWS = before


class Scratch:
    """A connection and fresh tables in it."""

    def __init__(self, connection: zerodb.Connection) -> None:
        self.db = connection
        self._serial = itertools.count()

    def table(
        self, columns: Sequence[tuple[str, SqlType]], rows: Sequence[Sequence[Value]], *, folded: bool = False
    ) -> str:
        """A new table with rows of canonical values."""
        name = f"t{next(self._serial)}"
        listed = ", ".join(f"{column} {type_}" for column, type_ in columns)
        self.db.execute(f"create table {name} ({listed})")
        types = [type_ for _, type_ in columns]
        values = [[to_python(type_, value) for type_, value in zip(types, row, strict=True)] for row in rows]
        if values:
            marks = ", ".join("?" * len(columns))
            with fold_after(1 if folded else 1 << 40):
                self.db.executemany(f"insert into {name} values ({marks})", values)
        return name

    def drop(self, name: str) -> None:
        self.db.execute(f"drop table {name}")

    @contextmanager
    def temporary(
        self, columns: Sequence[tuple[str, SqlType]], rows: Sequence[Sequence[Value]], *, folded: bool = False
    ) -> Iterator[str]:
        name = self.table(columns, rows, folded=folded)
        try:
            yield name
        finally:
            self.drop(name)
