"""FROM: base tables, derived tables, common table expressions and joins.

Each item of FROM becomes a `Source`: a plan, the relations whose columns it gives, and what `*` shows of it. Comma and
CROSS JOIN are joins without condition; RIGHT JOIN is LEFT JOIN with the sides swapped. Common table expressions are
bound anew at each use (inlined).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.errors import NotSupportedError, ProgrammingError
from zerodb_compiler.plan.logical import Item, Join, JoinKind, LogicalPlan, Project, Scan, ScanColumn, Values
from zerodb_compiler.sql import binder_table_functions as table_functions
from zerodb_compiler.sql.binder_expressions import ExpressionBinder
from zerodb_compiler.sql.binder_operators import compare
from zerodb_compiler.sql.expressions import Column, ColumnRef, Expression
from zerodb_compiler.sql.nodes import fold, only, position_of, unsupported
from zerodb_compiler.sql.scope import NamedColumn, Relation, Scope, near
from zerodb_compiler.sql.statements import Query
from zerodb_compiler.types import BIGINT, BOOLEAN

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder


@dataclass(frozen=True, slots=True)
class CommonTable:
    """WITH name (columns) AS (query), and what its query can see."""

    query: exp.Expr
    columns: tuple[exp.Expr, ...]
    outer: Scope | None
    common: CommonTables


CommonTables = Mapping[str, CommonTable]


@dataclass(slots=True)
class Source:
    plan: LogicalPlan
    relations: list[Relation] = field(default_factory=list)
    visible: list[NamedColumn] = field(default_factory=list)


def with_tables(with_: exp.With, outer: Scope | None, common: CommonTables) -> CommonTables:
    """The common tables plus those of a WITH clause."""
    only(with_, "expressions", "recursive")
    if with_.args.get("recursive"):
        raise unsupported("WITH RECURSIVE", with_)
    found: dict[str, CommonTable] = dict(common)
    seen: set[str] = set()
    for cte in with_.expressions:
        only(cte, "this", "alias", "materialized")
        if isinstance(cte.this, (exp.Insert, exp.Update, exp.Delete, exp.Merge)):
            raise NotSupportedError(
                "WITH clause containing a data-modifying statement must be at the top level", position=position_of(cte)
            )
        only(cte.args["alias"], "this", "columns")
        name = fold(cte.args["alias"].this)
        if name in seen:
            raise ProgrammingError(
                f'WITH query name "{name}" specified more than once', sqlstate="42712", position=position_of(cte)
            )
        seen.add(name)
        found[name] = CommonTable(cte.this, tuple(cte.args["alias"].args.get("columns") or ()), outer, dict(found))
    return found


def bind_from(binder: Binder, node: exp.Select, outer: Scope | None, common: CommonTables) -> tuple[LogicalPlan, Scope]:
    """The plan of FROM and the scope of everything above it."""
    scope = Scope(parent=outer, common=common)
    from_ = node.args.get("from_")
    if from_ is None:
        return Values((), ((),)), scope
    only(from_, "this")
    builder = _From(binder, outer, common)
    source = builder.joined(from_.this, node.args.get("joins") or [])
    scope.relations, scope.visible = source.relations, source.visible
    return source.plan, scope


class _From:
    __slots__ = ("before", "binder", "common", "outer")

    def __init__(self, binder: Binder, outer: Scope | None, common: CommonTables) -> None:
        self.binder = binder
        self.outer = outer
        self.common = common
        self.before: list[Source] = []  # what stands left of the item being bound: LATERAL sees it

    def joined(self, first: exp.Expr, joins: list[exp.Join]) -> Source:
        """`first` and its joins; a comma begins a new chain, since JOIN binds tighter."""
        chains = [self.item(first)]
        for join in joins:
            is_comma = not any(join.args.get(key) for key in ("side", "kind", "method", "on", "using"))
            only(join, "this", "side", "kind", "method", "on", "using")
            self.before = chains[:]
            right = self.item(join.this)
            self.before = []
            if is_comma:
                chains.append(right)
            else:
                chains[-1] = self.join(chains[-1], right, join)
        result = chains[0]
        for chain in chains[1:]:
            result = self.combine(JoinKind.INNER, result, chain, None, result.visible + chain.visible, chain)
        return result

    def item(self, node: exp.Expr) -> Source:
        match node:
            case exp.Table():
                source = self.table(node)
            case exp.Subquery():
                source = self.derived(node)
            case exp.Values():
                source = self.named(self.binder.query(node, self.outer, self.common), node, node.args.get("alias"))
            case exp.Lateral() if isinstance(node.this, exp.Func):
                source = table_functions.function_source(self.binder, node, self.outer, self.common, self.before)
            case exp.Lateral():
                raise unsupported("LATERAL", node)
            case _:
                raise unsupported("this item of FROM", node)
        joins = node.args.get("joins") if isinstance(node, exp.Table) else None
        if joins:
            # Only parentheses put joins inside a table node: (a join b on ...)
            return self.chain(source, joins)
        return source

    def chain(self, source: Source, joins: list[exp.Join]) -> Source:
        for join in joins:
            only(join, "this", "side", "kind", "method", "on", "using")
            self.before = [source]
            right = self.item(join.this)
            self.before = []
            if any(join.args.get(key) for key in ("side", "kind", "method", "on", "using")):
                source = self.join(source, right, join)
            else:
                raise ProgrammingError("syntax error in FROM", position=position_of(join))
        return source

    def table(self, node: exp.Table) -> Source:
        if not isinstance(node.this, exp.Identifier):
            return table_functions.function_source(self.binder, node, self.outer, self.common, self.before)
        alias = node.args.get("alias")
        name = fold(node.this)
        common = self.common.get(name) if node.args.get("db") is None else None
        if common is not None:
            only(node, "this", "alias", "joins")
            query = self.binder.query(common.query, common.outer, common.common)
            query = replace(query, names=_renamed(query.names, common.columns, name))
            return self.named(query, node, alias, name)
        table = self.binder.table(node)
        columns = [self.binder.column(c.name, c.type, not c.not_null) for c in table.columns]
        plan = Scan(table, tuple(ScanColumn(column, i) for i, column in enumerate(columns)))
        names = _renamed(tuple(c.name for c in table.columns), _alias_columns(alias), name)
        pairs = list(zip(names, columns, strict=True))
        label = fold(alias.this) if alias is not None and alias.this is not None else name
        return Source(plan, [Relation(label, pairs, table, position_of(node))], pairs)

    def derived(self, node: exp.Subquery) -> Source:
        alias = node.args.get("alias")
        if isinstance(node.this, (exp.Table, exp.Subquery)) and (
            isinstance(node.this, exp.Table) or _is_join(node.this)
        ):
            only(node, "this", "alias")
            if alias is not None:
                raise unsupported("an alias of a parenthesised join", node)
            return self.item(node.this)
        only(node, "this", "alias", "with_", "order", "limit", "offset")
        return self.named(self.binder.query(node, self.outer, self.common), node, alias)

    def named(self, query: Query, node: exp.Expr, alias: exp.Expr | None, name: str | None = None) -> Source:
        if alias is not None:
            only(alias, "this", "columns")
            name = fold(alias.this) if alias.this is not None else name
        names = _renamed(query.names, _alias_columns(alias), name or "subquery")
        pairs = list(zip(names, query.columns, strict=True))
        return Source(query.plan, [Relation(name, pairs, None, position_of(node))], pairs)

    def join(self, left: Source, right: Source, node: exp.Join) -> Source:
        side, kind = node.args.get("side") or "", node.args.get("kind") or ""
        if side == "FULL":
            raise unsupported("FULL JOIN", node)
        method = node.args.get("method") or ""
        if (
            side not in ("", "LEFT", "RIGHT")
            or kind not in ("", "INNER", "OUTER", "CROSS")
            or method not in ("", "NATURAL")
        ):
            raise unsupported(" ".join(part for part in (method, side, kind, "JOIN") if part), node)
        on, using = node.args.get("on"), node.args.get("using")
        if kind == "CROSS" and (on is not None or using or side or method):
            raise ProgrammingError("syntax error: CROSS JOIN has no condition", position=position_of(node))
        if kind != "CROSS" and on is None and not using and not method:
            raise ProgrammingError(f"{side or kind} JOIN needs ON or USING", position=position_of(node))
        swapped = side == "RIGHT"
        join_kind = JoinKind.LEFT if side else JoinKind.INNER
        if side == "LEFT":
            right = self.nullable(right)
        elif swapped:
            left = self.nullable(left)
        visible = left.visible + right.visible
        condition: Expression | None = None
        if method or using:
            condition, visible = self.using(left, right, _using_names(left, right, using), node, swapped)
        elif on is not None:
            scope = Scope(left.relations + right.relations, visible, self.outer, self.common)
            condition = ExpressionBinder(self.binder, scope, "JOIN/ON", lifting=True).condition(on)
        if swapped:
            relations = left.relations + right.relations
            result = self.combine(join_kind, right, left, condition, visible, right)
            result.relations = relations
            return result
        return self.combine(join_kind, left, right, condition, visible, right)

    def using(
        self, left: Source, right: Source, names: list[tuple[str, int | None]], node: exp.Join, swapped: bool
    ) -> tuple[Expression | None, list[NamedColumn]]:
        parts: list[Expression] = []
        merged: list[NamedColumn] = []
        binder = ExpressionBinder(self.binder, Scope(common=self.common), "JOIN/USING")
        for name, position in names:
            a, b = (_column_named(source, name, position) for source in (left, right))
            parts.append(compare(binder, "eq", "=", ColumnRef(a), ColumnRef(b), node))
            merged.append((name, b if swapped else a))
        used = {name for name, _ in names}
        rest = [pair for pair in left.visible + right.visible if pair[0] not in used]
        if not parts:
            return None, merged + rest
        return parts[0] if len(parts) == 1 else binder.call("and", tuple(parts), BOOLEAN), merged + rest

    def combine(
        self,
        kind: JoinKind,
        left: Source,
        right: Source,
        condition: Expression | None,
        visible: list[NamedColumn],
        newer: Source,
    ) -> Source:
        names = {relation.name for relation in left.relations if relation.name is not None}
        for relation in right.relations:
            if relation.name in names:
                place = newer.relations[0].position
                raise ProgrammingError(
                    f'table name "{relation.name}" specified more than once', sqlstate="42712", position=place
                )
        plan = table_functions.dependent_join(kind, left.plan, right.plan, condition)
        if plan is None:
            plan = Join(kind, left.plan, right.plan, condition)
        return Source(plan, left.relations + right.relations, visible)

    def nullable(self, source: Source) -> Source:
        """The source with all columns nullable: those of a scan are made so, others pass through a Project."""
        output = source.plan.output
        if all(column.nullable for column in output):
            return source
        new: dict[int, Column]
        plan: LogicalPlan
        if isinstance(source.plan, Scan):
            new = {column.id: replace(column, nullable=True) for column in output}
            scan = source.plan
            row_id = None if scan.row_id is None else new[scan.row_id.id]
            plan = replace(
                scan, columns=tuple(replace(item, column=new[item.column.id]) for item in scan.columns), row_id=row_id
            )
        else:
            new = {column.id: self.binder.column(column.name, column.type, True) for column in output}
            plan = Project(source.plan, tuple(Item(new[column.id], ColumnRef(column)) for column in output))
        relations = [
            replace(relation, columns=[(name, new[column.id]) for name, column in relation.columns])
            for relation in source.relations
        ]
        return Source(plan, relations, [(name, new[column.id]) for name, column in source.visible])


def scan_for_change(binder: Binder, node: exp.Table) -> tuple[Scan, Relation]:
    """The table an UPDATE or DELETE changes, with row ids."""
    if node.args.get("only"):  # there is no inheritance: ONLY says nothing
        node = node.copy()
        node.set("only", None)
    table = binder.table(node)
    alias = node.args.get("alias")
    if alias is not None:
        only(alias, "this")
    name = fold(alias.this) if alias is not None else table.name
    return scan_of(binder, table, Relation(name, [], table, position_of(node)))


def scan_of(binder: Binder, table: TableInfo, relation: Relation) -> tuple[Scan, Relation]:
    """A scan of all columns with row ids, and `relation` with these columns."""
    columns = [binder.column(c.name, c.type, not c.not_null) for c in table.columns]
    scan = Scan(
        table,
        tuple(ScanColumn(column, i) for i, column in enumerate(columns)),
        binder.column("row_id", BIGINT, False),
    )
    pairs = [(c.name, column) for c, column in zip(table.columns, columns, strict=True)]
    return scan, replace(relation, columns=pairs)


def join_others(
    binder: Binder, scan: Scan, target: Relation, others: list[exp.Expr], common: CommonTables
) -> tuple[LogicalPlan, Scope]:
    """The changed table joined with the items of UPDATE ... FROM or DELETE ... USING."""
    source = Source(scan, [target], list(target.columns))
    builder = _From(binder, None, common)
    for item in others:
        first = item.copy()
        joins = first.args.pop("joins", None) or []
        right = builder.joined(first, joins)
        source = builder.combine(JoinKind.INNER, source, right, None, source.visible + right.visible, right)
    return source.plan, Scope(source.relations, source.visible, None, common)


def bind_item(binder: Binder, item: exp.Expr, common: CommonTables) -> Source:
    """One item of FROM by itself."""
    return _From(binder, None, common).item(item)


def left_join(
    binder: Binder, left: Source, right: Source, on: Callable[[Scope], Expression], common: CommonTables
) -> tuple[LogicalPlan, Scope, Source]:
    """`left` LEFT JOIN `right`, with the scope of both, and the right side as it is above the join."""
    builder = _From(binder, None, common)
    right = builder.nullable(right)
    visible = left.visible + right.visible
    scope = Scope(left.relations + right.relations, visible, None, common)
    joined = builder.combine(JoinKind.LEFT, left, right, on(scope), visible, right)
    return joined.plan, Scope(joined.relations, joined.visible, None, common), right


def _is_join(node: exp.Subquery) -> bool:
    inner = node.this
    return isinstance(inner, exp.Table) or (isinstance(inner, exp.Subquery) and _is_join(inner))


def _alias_columns(alias: exp.Expr | None) -> tuple[exp.Expr, ...]:
    return tuple(alias.args.get("columns") or ()) if alias is not None else ()


def _renamed(names: tuple[str, ...], columns: tuple[exp.Expr, ...], table: str) -> tuple[str, ...]:
    """The names with the first ones replaced by an alias's column list."""
    if len(columns) > len(names):
        raise ProgrammingError(
            f'table "{table}" has {len(names)} columns available but {len(columns)} columns specified',
            sqlstate="42P10",
            position=position_of(columns[len(names)]),
        )
    return tuple(fold(column) for column in columns) + names[len(columns) :]


def _using_names(left: Source, right: Source, using: list[exp.Expr] | None) -> list[tuple[str, int | None]]:
    if using:
        return [(fold(item), position_of(item)) for item in using]
    others = {name for name, _ in right.visible}
    return [(name, None) for name in dict.fromkeys(name for name, _ in left.visible) if name in others]


def _column_named(source: Source, name: str, position: int | None) -> Column:
    found = [column for key, column in source.visible if key == name]
    if len(found) > 1:
        raise ProgrammingError(
            f'common column name "{name}" appears more than once', sqlstate="42702", position=position
        )
    if not found:
        raise ProgrammingError(
            f'column "{name}" specified in USING clause does not exist',
            sqlstate="42703",
            position=position,
            hint=near(name, [key for key, _ in source.visible]),
        )
    return found[0]
