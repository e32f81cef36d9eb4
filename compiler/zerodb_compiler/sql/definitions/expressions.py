"""Expressions in definitions: bound to see that they are right, and kept as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import Catalog, ColumnInfo, TableInfo, ViewInfo
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.external import ExternalFunction
from zerodb_compiler.sql.nodes import fold
from zerodb_compiler.sql.parameters import ParameterContext
from zerodb_compiler.sql.scope import Relation, Scope
from zerodb_compiler.types import SqlType

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder_expressions import ExpressionBinder

_IMMUTABLE = {
    "index expressions": "index expression",
    "index predicates": "index predicate",
    "partition key": "partition key expression",
}


def table_expressions(table: str, columns: Sequence[ColumnInfo], catalog: Catalog, clause: str) -> ExpressionBinder:
    """A binder for expressions over the columns of one row. Those of indexes and partition keys may call immutable
    functions only."""
    from zerodb_compiler.sql.binder import Binder
    from zerodb_compiler.sql.binder_expressions import ExpressionBinder

    binder = Binder(catalog, ParameterContext(()))
    binder.inlines = False
    pairs = [(info.name, binder.column(info.name, info.type, not info.not_null)) for info in columns]
    scope = Scope([Relation(table, pairs)], pairs, common={})
    if clause in _IMMUTABLE:
        binder.immutable_only = f"functions in {_IMMUTABLE[clause]} must be marked IMMUTABLE"
    return ExpressionBinder(binder, scope, clause)


def default_text(info: ColumnInfo, expression: ddl.Sql, catalog: Catalog) -> str | None:
    """The DEFAULT as text, after checking that it binds to the column's type."""
    from zerodb_compiler.sql.binder import Binder
    from zerodb_compiler.sql.binder_dml import assigned
    from zerodb_compiler.sql.binder_expressions import ExpressionBinder

    if columns_in(expression.tree):
        raise ProgrammingError(
            "cannot use column reference in DEFAULT expression", sqlstate="0A000", position=expression.position
        )
    if expression.tree.find(exp.Select) is not None:
        raise ProgrammingError(
            "cannot use subquery in DEFAULT expression", sqlstate="0A000", position=expression.position
        )
    binder = ExpressionBinder(Binder(_NoCatalog(info.type, catalog), ParameterContext(())), Scope(common={}), "DEFAULT")
    assigned(binder, binder.bound(expression.tree), info, expression.tree)
    return None if isinstance(expression.tree, exp.Null) else expression.text


@dataclass(frozen=True, slots=True)
class _NoCatalog:
    type: SqlType  # the column's, which a cast in its default may name
    whole: Catalog
    names: tuple[str, ...] = field(default=())

    def table(self, name: str, schema: str | None = None) -> TableInfo | None:
        return None

    def view(self, name: str, schema: str | None = None) -> ViewInfo | None:
        return None

    def relation_with_id(self, id_: int) -> TableInfo | ViewInfo | None:
        return None

    def named_type(self, name: str, schema: str | None = None) -> SqlType | None:
        return self.type if self.type.name == name else None

    def table_names(self) -> Sequence[str]:
        return self.names

    def functions(self, name: str, schema: str | None = None) -> Sequence[ExternalFunction]:
        return self.whole.functions(name, schema)


def columns_in(tree: exp.Expr) -> list[str]:
    """The names of the columns an expression reads, each once."""
    found = [fold(node.this) for node in tree.find_all(exp.Column) if isinstance(node.this, exp.Identifier)]
    return list(dict.fromkeys(found))
