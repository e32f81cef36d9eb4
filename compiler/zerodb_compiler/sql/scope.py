"""Names: which columns an expression can see, and what a name means.

A `Scope` is the FROM clause of one query level. Qualified names look into `relations`, plain names into `visible`,
which is also what `*` gives: there the columns that USING or NATURAL joined appear once. What a level does not know its
parent may (correlated subqueries); each use of an outer column is written down in the level that owns it, so that a
grouped outer query can check it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql.expressions import Column, ColumnRef
from zerodb_compiler.sql.nodes import fold, position_of

NamedColumn = tuple[str, Column]


@dataclass(slots=True)
class Relation:
    """One item of FROM: `columns` as users see them (aliases applied). `table` is set for base tables."""

    name: str | None
    columns: list[NamedColumn]
    table: TableInfo | None = None
    position: int | None = None
    working: bool = False  # the name of a recursive query within its recursive term
    present: Column | None = None  # not NULL where an outer join found a row, if there was need to know
    is_scalar: bool = False  # a function that gives plain values: its name means the value, not a record


def check_schema(scope: Scope, node: exp.Column) -> None:
    """42P01 if the column is qualified with another schema than its table's."""
    schema = node.args.get("db")
    if schema is None:
        return
    name, at = fold(node.args["table"]), scope
    while (relation := at.relation(name)) is None and at.parent is not None:
        at = at.parent
    if relation is not None and relation.table is not None and relation.table.schema != fold(schema):
        message = f'invalid reference to FROM-clause entry for table "{name}"'
        raise ProgrammingError(message, sqlstate="42P01", position=position_of(node))


@dataclass(slots=True)
class Scope:
    relations: list[Relation] = field(default_factory=list)
    visible: list[NamedColumn] = field(default_factory=list)
    parent: Scope | None = None
    common: Mapping[str, Any] | None = None  # the common table expressions (binder_from.CommonTable) seen here
    captured: list[tuple[Column, int | None]] = field(default_factory=list)
    aggregates: Any = None  # of its query (binder_aggregates.Aggregates), where it may have any
    _plain: dict[str, Column | None] | None = None
    locked: tuple[Any, ...] = ()  # the tables of FROM whose rows the query locks (statements.LockedTable)

    def resolve(self, name: str, qualifier: str | None, position: int | None) -> ColumnRef:
        """The column of that name. ProgrammingError 42703, 42702 (ambiguous) or 42P01 (no such table in FROM)."""
        scope: Scope | None = self
        while scope is not None:
            column = scope.find(name, qualifier, position)
            if column is not None:
                if scope is not self:
                    scope.captured.append((column, position))
                return ColumnRef(column)
            scope = scope.parent
        raise self._unknown(name, qualifier, position)

    def find(self, name: str, qualifier: str | None, position: int | None) -> Column | None:
        """The column of this level alone."""
        return self._find_plain(name, position) if qualifier is None else self._qualified(name, qualifier, position)

    def around(self) -> list[Scope]:
        """The scopes of the queries around this one, innermost first."""
        found: list[Scope] = []
        scope = self.parent
        while scope is not None:
            found.append(scope)
            scope = scope.parent
        return found

    def owns(self, column: Column) -> bool:
        """Whether it is a column of this level, and not of a query around it."""
        return any(
            candidate.id == column.id for relation in self.relations for _, candidate in relation.columns
        ) or any(candidate.id == column.id for _, candidate in self.visible)

    def knows(self, name: str) -> bool:
        """Whether this or an outer level has a column of that name."""
        if any(key == name for key, _ in self.visible):
            return True
        return self.parent is not None and self.parent.knows(name)

    def relation(self, name: str) -> Relation | None:
        return next((relation for relation in self.relations if relation.name == name), None)

    def _find_plain(self, name: str, position: int | None) -> Column | None:
        if self._plain is None:
            plain: dict[str, Column | None] = {}
            for key, column in self.visible:
                plain[key] = None if key in plain else column
            self._plain = plain
        if name not in self._plain:
            return None
        found = self._plain[name]
        if found is None:
            raise _ambiguous(name, position)
        return found

    def _qualified(self, name: str, qualifier: str, position: int | None) -> Column | None:
        relation = self.relation(qualifier)
        if relation is None:
            return None
        found = [column for key, column in relation.columns if key == name]
        if len(found) > 1:
            raise _ambiguous(name, position)
        if not found:
            names = [key for key, _ in relation.columns]
            raise ProgrammingError(
                f"column {qualifier}.{name} does not exist", sqlstate="42703", position=position, hint=near(name, names)
            )
        return found[0]

    def _unknown(self, name: str, qualifier: str | None, position: int | None) -> ProgrammingError:
        scopes: list[Scope] = []
        scope: Scope | None = self
        while scope is not None:
            scopes.append(scope)
            scope = scope.parent
        relations = [relation for level in scopes for relation in level.relations]
        if qualifier is not None:
            return ProgrammingError(
                f'missing FROM-clause entry for table "{qualifier}"',
                sqlstate="42P01",
                position=position,
                hint=near(qualifier, [relation.name for relation in relations if relation.name]),
            )
        names = [key for relation in relations for key, _ in relation.columns]
        return ProgrammingError(
            f'column "{name}" does not exist', sqlstate="42703", position=position, hint=near(name, names)
        )


def near(name: str, candidates: Iterable[str]) -> str | None:
    """A hint naming the candidate most like `name`, if one is like it."""
    found = difflib.get_close_matches(name, list(dict.fromkeys(candidates)), n=1, cutoff=0.6)
    return f'did you mean "{found[0]}"?' if found else None


def _ambiguous(name: str, position: int | None) -> ProgrammingError:
    return ProgrammingError(f'column reference "{name}" is ambiguous', sqlstate="42702", position=position)
