"""What CREATE FUNCTION declares, what a module's export is found to be, and the error where the two do not match."""

from __future__ import annotations

from dataclasses import dataclass

from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_compiler.types import SqlType


@dataclass(frozen=True, slots=True)
class Declaration:
    """`kind`, `strict`, `volatility` and `export` are None where the statement did not say. `results` has one entry for
    a scalar function or an aggregate, and for a trigger function one of no meaning. An argument without a name has the
    name ""."""

    name: str
    arguments: tuple[tuple[str, SqlType], ...]
    results: tuple[tuple[str, SqlType], ...]
    kind: str | None = None
    strict: bool | None = None
    volatility: str | None = None
    export: str | None = None

    @property
    def text(self) -> str:
        """f(a bigint, text) -> text"""
        given = ", ".join(f"{name} {type_}".strip() for name, type_ in self.arguments)
        if self.kind == "table":
            columns = ", ".join(f"{name} {type_}" for name, type_ in self.results)
            return f"{self.name}({given}) -> table({columns})"
        result = "trigger" if self.kind == "trigger" else str(self.results[0][1])
        return f"{self.name}({given}) -> {result}"


@dataclass(frozen=True, slots=True)
class Exported:
    """An export that fits a declaration: what the catalog keeps of it."""

    export: str
    kind: str = "scalar"
    strict: bool = False
    volatility: str | None = None


def mismatch(what: str, declared: object, found: object, hint: str | None = None) -> DatabaseError:
    """42804: the declaration says one thing, the export another."""
    return error_for("42804", f"{what} is declared {declared}, but the export has {found}", hint=hint)
