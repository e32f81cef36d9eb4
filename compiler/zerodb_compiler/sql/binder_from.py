"""FROM: base tables, derived tables, common table expressions and joins.

Each item of FROM becomes a `Source`: a plan, the relations whose columns it gives, and what `*` shows of it. Comma and
CROSS JOIN are joins without condition; RIGHT JOIN is LEFT JOIN with the sides swapped. An item that reads columns of
those before it (LATERAL) makes a `Lateral` node, which unnesting turns into joins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.errors import NotSupportedError, ProgrammingError
from zerodb_compiler.plan.logical import Item, Join, JoinKind, Lateral, LogicalPlan, Project, Scan, ScanColumn, Values
from zerodb_compiler.plan.transform import free_ids
from zerodb_compiler.sql import binder_table_functions as table_functions
from zerodb_compiler.sql.binder_expressions import ExpressionBinder, united
from zerodb_compiler.sql.binder_locks import Clauses
from zerodb_compiler.sql.binder_operators import compare
from zerodb_compiler.sql.binder_sample import sampled
from zerodb_compiler.sql.binder_search import HIDDEN
from zerodb_compiler.sql.binder_updatable import rows_seen, shown
from zerodb_compiler.sql.binder_views import view_query, visible_columns
from zerodb_compiler.sql.binder_with import CommonTables, WorkingTable, table_query
from zerodb_compiler.sql.expressions import Case, Column, ColumnRef, Expression, Literal
from zerodb_compiler.sql.join_tokens import USING_ALIAS
from zerodb_compiler.sql.nodes import fold, only, position_of, unsupported
from zerodb_compiler.sql.scope import NamedColumn, Relation, Scope, near
from zerodb_compiler.sql.statements import Query
from zerodb_compiler.types import BIGINT, BOOLEAN

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder


@dataclass(slots=True)
class Source:
    plan: LogicalPlan
    relations: list[Relation] = field(default_factory=list)
    visible: list[NamedColumn] = field(default_factory=list)


def bind_from(binder: Binder, node: exp.Select, outer: Scope | None, common: CommonTables) -> tuple[LogicalPlan, Scope]:
    """The plan of FROM and the scope of everything above it."""
    scope = Scope(parent=outer, common=common)
    from_ = node.args.get("from_")
    if from_ is None:
        return Values((), ((),)), scope
    only(from_, "this")
    builder = _From(binder, outer, common, node)
    source = builder.joined(from_.this, node.args.get("joins") or [])
    builder.clauses.check_names()
    scope.locked = tuple(builder.clauses.locked)
    scope.relations, scope.visible = source.relations, source.visible
    return source.plan, scope


@dataclass(frozen=True, slots=True)
class _Merged:
    """A column that USING or NATURAL joined; `value` where it is computed."""

    name: str
    column: Column
    value: Expression | None


_JOIN_WORDS = ("side", "kind", "method", "on", "using")
_OF_QUERY = ("with_", "order", "limit", "offset")
_KINDS = {"": JoinKind.INNER, "LEFT": JoinKind.LEFT, "RIGHT": JoinKind.LEFT, "FULL": JoinKind.FULL}


class _From:
    __slots__ = ("_row_names", "before", "binder", "clauses", "common", "laterals", "node", "outer")

    def __init__(
        self, binder: Binder, outer: Scope | None, common: CommonTables, node: exp.Select | None = None
    ) -> None:
        self.binder = binder
        self.node = node
        self._row_names: set[str] | None = None
        self.outer = outer
        self.common = common
        self.clauses = Clauses(node)
        self.before: list[Source] = []  # what stands left of the item being bound: LATERAL sees it
        self.laterals = False

    def joined(self, first: exp.Expr, joins: list[exp.Join]) -> Source:
        """`first` and its joins; a comma begins a new chain, since JOIN binds tighter."""
        chains = [self.item(first)]
        for join in joins:
            is_comma = not any(join.args.get(key) for key in _JOIN_WORDS)
            only(join, "this", *_JOIN_WORDS)
            if _may_be_lateral(join.this):
                chains = [self.crossed(chains)]  # it sees all items before it
            self.before = chains[:]
            right = self.item(join.this)
            self.before = []
            if is_comma:
                chains.append(right)
            else:
                chains[-1] = self.join(chains[-1], right, join)
        return self.crossed(chains)

    def crossed(self, chains: list[Source]) -> Source:
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
                self.clauses.other(_label(node), "VALUES")
                source = self.named(self.binder.query(node, self.outer, self.common), node, node.args.get("alias"))
            case exp.Lateral() if isinstance(node.this, exp.Func):
                self.laterals = True
                source = table_functions.function_source(self.binder, node, self.outer, self.common, self.before)
                self.clauses.other(source.relations[0].name, "a function")
            case exp.Lateral():
                source = self.lateral(node)
            case _:
                raise unsupported("this item of FROM", node)
        joins = node.args.get("joins") if isinstance(node, (exp.Table, exp.Subquery)) else None
        if joins:
            # Only parentheses put joins inside a node: (a join b on ...)
            return self.chain(source, joins)
        return source

    def chain(self, source: Source, joins: list[exp.Join]) -> Source:
        for join in joins:
            only(join, "this", *_JOIN_WORDS)
            self.before = [source]
            right = self.item(join.this)
            self.before = []
            if not any(join.args.get(key) for key in _JOIN_WORDS):
                raise ProgrammingError("syntax error in FROM", position=position_of(join))
            source = self.join(source, right, join)
        return source

    def lateral(self, node: exp.Lateral) -> Source:
        only(node, "this", "alias")
        if not isinstance(node.this, exp.Subquery):
            raise unsupported("a function in FROM", node)
        self.laterals = True
        scope = Scope(
            [relation for source in self.before for relation in source.relations],
            [pair for source in self.before for pair in source.visible],
            self.outer,
            self.common,
        )
        query = self.clauses.query(_label(node), node.this)
        return self.named(self.binder.query(query, scope, self.common), node, node.args.get("alias"))

    def table(self, node: exp.Table) -> Source:
        if not isinstance(node.this, exp.Identifier):
            self.laterals = True
            source = table_functions.function_source(self.binder, node, self.outer, self.common, self.before)
            self.clauses.other(source.relations[0].name, "a function")
            return source
        alias = node.args.get("alias")
        name = fold(node.this)
        common = self.common.get(name) if node.args.get("db") is None else None
        sample = node.args.get("sample")
        if sample is not None:
            node = node.copy()
            node.set("sample", None)
        if common is not None:
            only(node, "this", "alias", "joins")
            if sample is not None:
                raise _no_sample(sample)
            self.clauses.other(_label(node) or name, "a WITH query")
            source = self.named(table_query(self.binder, common, node), node, alias, name)
            if isinstance(common, WorkingTable):
                source.relations[0].working = True
                if common.hidden:
                    hidden = source.visible[-common.hidden :]
                    source.visible = source.relations[0].columns = source.visible[: -common.hidden]
                    source.relations.append(Relation(HIDDEN, hidden))
            return source
        view = self.binder.view(node)
        if view is not None:
            if sample is not None:
                raise _no_sample(sample)
            label = _label(node) or name
            query = view_query(self.binder, view, node, lambda tree: self.clauses.query(label, tree))
            return self.named(query, node, alias, name)
        table = self.binder.table(node)
        columns = [self.binder.column(c.name, c.type, not c.not_null) for c in table.columns]
        label = _label(node) or name
        scan = Scan(table, tuple(ScanColumn(column, i) for i, column in enumerate(columns)))
        scan = self.clauses.scan(self.binder, label, scan)
        plan = scan if sample is None else sampled(self.binder, scan, sample)
        pairs = visible_columns(self.binder, node, table, columns)
        names = renamed(tuple(found for found, _ in pairs), _alias_columns(alias), name)
        pairs = [(found, column) for found, (_, column) in zip(names, pairs, strict=True)]
        return Source(plan, [Relation(label, pairs, table, position_of(node))], pairs)

    def derived(self, node: exp.Subquery) -> Source:
        alias = node.args.get("alias")
        if _is_join(node):
            only(node, "this", "alias", "joins")
            source = self.item(node.this)
            if alias is None:
                return source
            only(alias, "this", "columns")
            label = fold(alias.this)
            self.clauses.other(label, "a join")
            names = renamed(tuple(name for name, _ in source.visible), _alias_columns(alias), label)
            pairs = [(name, column) for name, (_, column) in zip(names, source.visible, strict=True)]
            return Source(source.plan, [Relation(label, pairs, None, position_of(node))], pairs)
        only(node, "this", "alias", "with_", "order", "limit", "offset", "joins")
        # Before the first join in parentheses the joins are this node's (item), and not of the query.
        query = node.this if node.args.get("joins") and not any(map(node.args.get, _OF_QUERY)) else node
        query = self.clauses.query(_label(node), query)
        return self.named(self.binder.query(query, self.outer, self.common), node, alias)

    def named(self, query: Query, node: exp.Expr, alias: exp.Expr | None, name: str | None = None) -> Source:
        if alias is not None:
            only(alias, "this", "columns")
            name = fold(alias.this) if alias.this is not None else name
        self.clauses.take(query)
        names = renamed(query.names, _alias_columns(alias), name or "subquery")
        pairs = list(zip(names, query.columns, strict=True))
        return Source(query.plan, [Relation(name, pairs, None, position_of(node))], pairs)

    def join(self, left: Source, right: Source, node: exp.Join) -> Source:
        side, kind = node.args.get("side") or "", node.args.get("kind") or ""
        method = node.args.get("method") or ""
        _check_words(node, side, kind, method)
        is_preserved = side in ("RIGHT", "FULL")
        if self.laterals and is_preserved and free_ids(right.plan) & {column.id for column in left.plan.output}:
            raise _not_lateral(right)
        if side in ("LEFT", "FULL"):
            right = self.nullable(right)
        if side in ("RIGHT", "FULL"):
            left = self.nullable(left)
        on, using, alias = node.args.get("on"), *_using_alias(node.args.get("using"))
        condition: Expression | None = None
        merged: list[_Merged] = []
        visible = left.visible + right.visible
        if method or using:
            condition, merged = self.using(left, right, _using_names(left, right, using), node, side)
            used = {item.name for item in merged}
            visible = [(item.name, item.column) for item in merged]
            visible += [pair for pair in left.visible + right.visible if pair[0] not in used]
        elif on is not None:
            scope = Scope(left.relations + right.relations, visible, self.outer, self.common)
            condition = ExpressionBinder(self.binder, scope, "JOIN/ON", lifting=True).condition(on)
        if side == "RIGHT":
            relations = left.relations + right.relations
            result = self.combine(JoinKind.LEFT, right, left, condition, visible, right)
            result.relations = relations
        else:
            result = self.combine(_KINDS[side], left, right, condition, visible, right)
        computed = tuple(Item(item.column, item.value) for item in merged if item.value is not None)
        if computed:
            passing = tuple(Item(column, ColumnRef(column)) for column in result.plan.output)
            result.plan = Project(result.plan, (*passing, *computed))
        if alias is not None:
            pairs = [(item.name, item.column) for item in merged]
            result.relations = [*result.relations, Relation(alias, pairs, None, position_of(node))]
        return result

    def using(
        self, left: Source, right: Source, names: list[tuple[str, int | None]], node: exp.Join, side: str
    ) -> tuple[Expression | None, list[_Merged]]:
        """The equalities, and the merged columns: of FULL a COALESCE, else the column of the side that is preserved."""
        parts: list[Expression] = []
        merged: list[_Merged] = []
        binder = ExpressionBinder(self.binder, Scope(common=self.common), "JOIN/USING")
        for name, position in names:
            a, b = (_column_named(source, name, position) for source in (left, right))
            parts.append(compare(binder, "eq", "=", ColumnRef(a), ColumnRef(b), node))
            if side != "FULL":
                merged.append(_Merged(name, b if side == "RIGHT" else a, None))
                continue
            (first, second), type_ = united(binder, [ColumnRef(a), ColumnRef(b)], "JOIN/USING", node)
            value = Case(((binder.call("is_not_null", (first,), BOOLEAN), first),), second, type_, True)
            merged.append(_Merged(name, self.binder.column(name, type_, True), value))
        if not parts:
            return None, merged
        return parts[0] if len(parts) == 1 else binder.call("and", tuple(parts), BOOLEAN), merged

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
        if plan is None and self.laterals and free_ids(right.plan) & {column.id for column in left.plan.output}:
            plan = Lateral(kind, left.plan, right.plan, condition)
        if plan is None:
            plan = Join(kind, left.plan, right.plan, condition)
        return Source(plan, left.relations + right.relations, visible)

    def nullable(self, source: Source) -> Source:
        """The source with all columns nullable: those of a scan are made so, others pass through a Project."""
        source = self.with_presence(source)
        output = source.plan.output
        self.clauses.nullable(source.plan)
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
            replace(
                relation,
                columns=[(name, new[column.id]) for name, column in relation.columns],
                present=None if relation.present is None else new[relation.present.id],
            )
            for relation in source.relations
        ]
        return Source(plan, relations, [(name, new[column.id]) for name, column in source.visible])

    def with_presence(self, source: Source) -> Source:
        """The source with a column that says of its rows that they are there, if a name for its rows needs it: a row
        of NULLs is not the row that an outer join does not find."""
        names = self.row_names()
        unknown = [item for item in source.relations if item.present is None and not item.is_scalar]
        # A relation's name that is also a column's means the column.
        if not any(item.name in names and all(item.name != name for name, _ in item.columns) for item in unknown):
            return source
        present = self.binder.column("present", BOOLEAN, False)
        passing = tuple(Item(column, ColumnRef(column)) for column in source.plan.output)
        plan = Project(source.plan, (*passing, Item(present, Literal(True, BOOLEAN))))
        relations = [replace(item, present=present) if item in unknown else item for item in source.relations]
        return Source(plan, relations, source.visible)

    def row_names(self) -> set[str]:
        """What in the query may be the name of a table that stands for its rows."""
        if self._row_names is None:
            found = self.node.find_all(exp.Column) if self.node is not None else ()
            tables = {column.args.get("table") or column.this for column in found if _may_be_row(column)}
            self._row_names = {fold(name) for name in tables if isinstance(name, exp.Identifier)}
        return self._row_names


def scan_for_change(binder: Binder, node: exp.Table) -> tuple[Scan, Relation]:
    """The table an UPDATE or DELETE changes, with row ids."""
    if node.args.get("only"):  # there is no inheritance: ONLY says nothing
        node.set("only", None)
    table = binder.changed_table(node)
    alias = node.args.get("alias")
    if alias is not None:
        only(alias, "this")
    name = fold(alias.this) if alias is not None else fold(node.this)
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
    return scan, replace(relation, columns=shown(table, pairs))


def join_others(
    binder: Binder, scan: Scan, target: Relation, others: list[exp.Expr], common: CommonTables
) -> tuple[LogicalPlan, Scope]:
    """The changed table joined with the items of UPDATE ... FROM or DELETE ... USING."""
    source = Source(rows_seen(binder, scan), [target], list(target.columns))
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


def _may_be_lateral(node: exp.Expr) -> bool:
    return isinstance(node, exp.Lateral) or (isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier))


def _no_sample(node: exp.Expr) -> NotSupportedError:
    return NotSupportedError(
        "TABLESAMPLE clause can only be applied to tables and materialized views", position=position_of(node)
    )


def _may_be_row(node: exp.Column) -> bool:
    """t, or t.* but in a select list."""
    if isinstance(node.this, exp.Star):
        return not isinstance(node.parent, exp.Select)
    return node.args.get("table") is None


def _not_lateral(source: Source) -> ProgrammingError:
    return ProgrammingError(
        "invalid reference to FROM-clause entry: the combining JOIN type must be INNER or LEFT for a LATERAL reference",
        sqlstate="42P10",
        position=source.relations[0].position if source.relations else None,
    )


def _is_join(node: exp.Subquery) -> bool:
    """Whether the parentheses are around a join or a table, and not around a query."""
    inner = node.this
    if isinstance(inner, exp.Subquery):
        return bool(inner.args.get("joins")) or inner.args.get("alias") is not None or _is_join(inner)
    return isinstance(inner, exp.Table)


def _check_words(node: exp.Join, side: str, kind: str, method: str) -> None:
    on, using = node.args.get("on"), node.args.get("using")
    if side not in _KINDS or kind not in ("", "INNER", "OUTER", "CROSS") or method not in ("", "NATURAL"):
        raise unsupported(" ".join(part for part in (method, side, kind, "JOIN") if part), node)
    if kind == "CROSS" and (on is not None or using or side or method):
        raise ProgrammingError("syntax error: CROSS JOIN has no condition", position=position_of(node))
    if kind != "CROSS" and on is None and not using and not method:
        raise ProgrammingError(f"{side or kind} JOIN needs ON or USING", position=position_of(node))


def _using_alias(using: list[exp.Expr] | None) -> tuple[list[exp.Expr] | None, str | None]:
    """The names of USING and its alias, which comes as a marked last name (join_tokens)."""
    if using and str(using[-1].this).startswith(USING_ALIAS):
        return using[:-1], str(using[-1].this)[len(USING_ALIAS) :]
    return using, None


def _label(node: exp.Expr) -> str | None:
    """The name that an alias gives an item of FROM."""
    alias = node.args.get("alias")
    return fold(alias.this) if alias is not None and alias.this is not None else None


def _alias_columns(alias: exp.Expr | None) -> tuple[exp.Expr, ...]:
    return tuple(alias.args.get("columns") or ()) if alias is not None else ()


def renamed(names: tuple[str, ...], columns: tuple[exp.Expr, ...], table: str) -> tuple[str, ...]:
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
