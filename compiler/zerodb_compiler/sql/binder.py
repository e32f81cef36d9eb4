"""The binder: from an AST and a catalog to a statement over a logical plan. It does no I/O and keeps no state.

    binder            this file: entry point, fresh columns, tables, statements without a query
    binder_queries    SELECT, set operations, VALUES, ORDER BY, LIMIT
    binder_from       FROM: tables, joins, derived tables, common table expressions
    binder_dml, _ddl  INSERT, UPDATE, DELETE; CREATE and DROP TABLE
    binder_expressions, _operators, _functions, _aggregates, _subqueries, _types

Invariant: an AST node is either handled with all its arguments or refused (0A000, nodes.only); nothing is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from sqlglot import exp

from zerodb_compiler.catalog import Catalog, TableInfo, ViewInfo, ViewTable
from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.plan.logical import With
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.binder_locks import LockingParts, locks_of
from zerodb_compiler.sql.binder_with import Shared
from zerodb_compiler.sql.expressions import Column
from zerodb_compiler.sql.external import ExternalFunction, without_doubles
from zerodb_compiler.sql.nodes import describe, fold, only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant, ParameterContext
from zerodb_compiler.sql.parse import ParsedStatement
from zerodb_compiler.sql.scope import Scope, near
from zerodb_compiler.types import SqlType

# Registers the handlers of expressions.
from zerodb_compiler.sql.binder_sequences import set_sequence  # isort: skip
from zerodb_compiler.sql import binder_session as _session  # noqa: F401  isort: skip
from zerodb_compiler.sql import binder_advisory as _advisory  # noqa: F401  isort: skip
from zerodb_compiler.sql import binder_notify as _notify  # noqa: F401  isort: skip
from zerodb_compiler.sql import binder_sleep as _sleep  # noqa: F401  isort: skip
from zerodb_compiler.sql import binder_catalog as _catalog  # noqa: F401  isort: skip
from zerodb_compiler.sql import binder_enums as _enums  # noqa: F401  isort: skip
from zerodb_compiler.sql import binder_extract as _extract  # noqa: F401  isort: skip
from zerodb_compiler.sql import binder_moments as _moments  # noqa: F401  isort: skip
from zerodb_compiler.sql import binder_subqueries as _subqueries  # noqa: F401  isort: skip
from zerodb_compiler.sql import binder_arrays as _arrays  # noqa: F401  isort: skip
from zerodb_compiler.sql import binder_ranges as _ranges  # noqa: F401  isort: skip
from zerodb_compiler.sql import binder_records as _records  # noqa: F401  isort: skip
from zerodb_compiler.sql import set_json as _json  # noqa: F401  isort: skip

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder_with import CommonTables

MAX_QUERIES = 5_000
SharingT = TypeVar("SharingT", bound=st.Statement)


def bind(parsed: ParsedStatement, catalog: Catalog, context: ParameterContext | None = None) -> st.Statement:
    """Bind one parsed statement. Raises the errors of zerodb_compiler.errors, with positions in the text."""
    return Binder(catalog, context or ParameterContext(parsed.parameters)).statement(parsed)


@dataclass(slots=True)
class _Counters:
    columns: int = 0
    queries: int = 0


class Binder:
    """What is shared by all levels of one statement."""

    __slots__ = (
        "_counters",
        "_sites",
        "bodies_open",
        "catalog",
        "context",
        "external",
        "immutable_only",
        "inlined",
        "inlines",
        "inlining",
        "locking",
        "locking_top",
        "places",
        "seen",
        "shared",
        "tables",
        "tables_by_name",
        "top",
        "unknown",
        "views_by_name",
    )

    def __init__(self, catalog: Catalog, context: ParameterContext) -> None:
        self.catalog = catalog
        self.context = context
        self.places: dict[int, int | None] = {}  # column id -> where it was last named, for errors
        self.tables: dict[str, TableInfo] = {}  # by key
        self.tables_by_name: dict[tuple[str, str | None], TableInfo] = {}
        self.views_by_name: dict[tuple[str, str | None], ViewInfo] = {}
        self.inlined: dict[int, ViewInfo] = {}  # all views whose queries were bound, by id
        self.inlining: list[int] = []  # the views whose queries are being bound
        self.seen: dict[tuple[str, str | None], ViewTable] = {}  # what names mean within a view's query
        self.top: exp.Expr | None = None  # the query whose rows are those of the statement
        self.locking_top: exp.Expr | None = None  # the query that may lock the rows it gives itself
        self.locking = LockingParts()
        self._counters = _Counters()
        self.shared = Shared()
        self.external: dict[tuple[str, str | None], tuple[ExternalFunction, ...]] = {}  # what names of functions mean
        self.immutable_only: str | None = None  # why no other functions may stand here
        self.inlines = True  # whether functions in SQL are bound in the place of their calls
        self.bodies_open: list[int] = []  # the functions whose bodies are being bound, by id
        self._sites = 0
        self.unknown: dict[int, Constant] = {}  # column id -> the literal without type that it is

    def named_type(self, name: str, schema: str | None) -> SqlType | None:
        """A type that the database defines, or None."""
        return self.catalog.named_type(name, schema)

    def statement(self, parsed: ParsedStatement) -> st.Statement:
        if parsed.control is not None:
            return parsed.control
        try:
            if parsed.definition is not None:
                statement = self.with_shared(self._definition(parsed.definition))
            else:
                assert parsed.tree is not None
                statement = self.with_shared(self._tree(parsed.tree))
        except RecursionError:
            raise error_for("54001", "statement is nested too deeply", position=parsed.start) from None
        if self.locking.parts:
            statement = self._with_locking(statement)
        if parsed.explain is not None:
            return st.Explain(statement, parsed.explain.analyze, parsed.explain.options)
        return statement

    def _with_locking(self, statement: st.Statement) -> st.Statement:
        """The statement after its locking subqueries."""
        parts = self.locking.taken()
        match statement:
            case st.WithChanges(parts=others, main=main):
                return st.WithChanges((*others, *parts), main)
            case st.Query() | st.Insert() | st.Update() | st.Delete() | st.Merge():
                return st.WithChanges(parts, statement)
        raise unsupported("FOR UPDATE or FOR SHARE in this statement")

    def _definition(self, node: ddl.Definition) -> st.Statement:
        if isinstance(node, ddl.CreateTableAs):
            from zerodb_compiler.sql.definitions.table_as import create_table_as

            return create_table_as(self, node)
        return st.Define(node)

    def with_shared(self, statement: SharingT) -> SharingT:
        """The statement over the common tables that its queries share."""
        definitions = tuple(self.shared.definitions)
        if not definitions:
            return statement
        self.shared.definitions.clear()
        match statement:
            case st.Query(plan=plan):
                return replace(statement, plan=With(definitions, plan))
            case st.Insert(source=plan) | st.Update(source=plan) | st.Delete(source=plan) | st.Merge(source=plan):
                return replace(statement, source=With(definitions, plan))
            case st.CreateTableAs(query=query):
                return replace(statement, query=replace(query, plan=With(definitions, query.plan)))
        raise unsupported("WITH in this statement")

    def _tree(self, node: exp.Expr) -> st.Statement:
        if node.args.get("with_") is not None:
            from zerodb_compiler.sql.binder_changes import has_changes, with_changes

            if has_changes(node):
                return with_changes(self, node)
        return self.statement_of(node)

    def statement_of(self, node: exp.Expr) -> st.Statement:
        """A statement without data-modifying WITH queries."""
        match node:
            case exp.Select() | exp.SetOperation() | exp.Subquery() | exp.Values():
                self.top = self.locking_top = node
                if locks_of(node):
                    return self.query(node, None)
                return set_sequence(self, node) or self.query(node, None)
            case exp.Insert():
                from zerodb_compiler.sql.binder_dml import insert

                return insert(self, node)
            case exp.Update():
                from zerodb_compiler.sql.binder_dml import update

                return update(self, node)
            case exp.Delete():
                from zerodb_compiler.sql.binder_dml import delete

                return delete(self, node)
            case exp.Merge():
                from zerodb_compiler.sql.binder_merge import merge

                return merge(self, node)
            case exp.Command():
                raise unsupported(f"{str(node.this).upper()}", node)
            case exp.Table() | exp.Alias() | exp.Column():
                raise ProgrammingError("syntax error: not a statement", position=position_of(node))
        raise unsupported(describe(node), node)

    def query(self, node: exp.Expr, outer: Scope | None, tables: CommonTables | None = None) -> st.Query:
        """Bind a query; `outer` is the scope around a subquery, `tables` the common table expressions it can see."""
        from zerodb_compiler.sql.binder_queries import bind_query

        self._counters.queries += 1
        if self._counters.queries > MAX_QUERIES:
            raise error_for("54001", "statement is too complex: too many subqueries", position=position_of(node))
        if tables is None and outer is not None:
            tables = outer.common
        return bind_query(self, node, outer, tables or {})

    def column(self, name: str, type_: SqlType, nullable: bool) -> Column:
        """A column with a fresh id."""
        self._counters.columns += 1
        return Column(self._counters.columns, name, type_, nullable)

    def table(self, node: exp.Table) -> TableInfo:
        """The base table a node names. ProgrammingError 42P01."""
        only(node, "this", "alias", "joins", "db")
        schema = node.args.get("db")
        return self.named_table(fold(node.this), fold(schema) if schema is not None else None, position_of(node))

    def hidden_table(self, name: str) -> TableInfo:
        """A table that functions of the catalog read (binder_catalog)."""
        found = self.catalog.table(name, "pg_catalog")
        if found is None:
            raise unsupported("this function of the catalog, without one,")
        self.tables[found.key] = found
        return found

    def changed_table(self, node: exp.Table) -> TableInfo:
        """The table that a change names. 42809 if its rows are not for statements to change."""
        view = self.view(node)
        if view is not None:
            from zerodb_compiler.sql.binder_updatable import simple_table

            return simple_table(self, view, node)
        table = self.table(node)
        if table.kind != "table":
            code = "42809" if table.kind == "materialized view" else "42501"
            raise error_for(code, f'cannot change {table.kind} "{table.name}"', position=position_of(node))
        return table

    def view(self, node: exp.Table) -> ViewInfo | None:
        """The view a node names, or None."""
        schema = node.args.get("db")
        name = fold(node.this), fold(schema) if schema is not None else None
        found = self.views_by_name.get(name) or self.catalog.view(*name)
        if found is not None:
            only(node, "this", "alias", "joins", "db")
            self.views_by_name[name] = found
        return found

    def named_table(self, name: str, schema: str | None, position: int | None) -> TableInfo:
        found = self.tables_by_name.get((name, schema)) or self.catalog.table(name, schema)
        if found is None:
            full = f"{schema}.{name}" if schema is not None else name
            raise ProgrammingError(
                f'relation "{full}" does not exist',
                sqlstate="42P01",
                position=position,
                hint=near(name, self.catalog.table_names()),
            )
        self.tables_by_name[name, schema] = found
        self.tables[found.key] = found
        for partition in found.partitions:
            self._depend(partition)
        return found

    def _depend(self, table: TableInfo) -> None:
        self.tables[table.key] = table
        for partition in table.partitions:
            self._depend(partition)

    def functions(self, name: str, schema: str | None) -> tuple[ExternalFunction, ...]:
        """The functions of that name that are not built in; the statement depends on them, or on there being none."""
        if schema is None and self.inlining:  # the view's path, not the session's
            places = self.inlined[self.inlining[-1]].path
            return tuple(without_doubles(self.functions(name, place) for place in places))
        known = self.external.get((name, schema))
        if known is None:
            known = self.external[name, schema] = tuple(self.catalog.functions(name, schema))
        return known

    def fresh_site(self) -> int:
        """Number of a call that is like no other."""
        self._sites += 1
        return self._sites

    def table_names(self) -> dict[str, tuple[tuple[str, str | None], ...]]:
        """By table key, the names that the text calls it by."""
        names: dict[str, tuple[tuple[str, str | None], ...]] = dict.fromkeys(self.tables, ())
        for name, table in self.tables_by_name.items():
            names[table.key] = (*names[table.key], name)
        return names
