"""WITH: common table expressions, inlined or computed once, and recursive ones.

A common table is bound where it is first used. It is computed once (plan.logical.With at the root of the statement) if
it is MATERIALIZED, or used more than once, more than a scan, and not NOT MATERIALIZED; it is inlined otherwise, and
where it depends on the row of a query around it. A recursive one is a plan of its own (plan.logical.Recursive).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import NotSupportedError, ProgrammingError
from zerodb_compiler.plan.logical import (
    CommonScan,
    Definition,
    Filter,
    Item,
    LogicalPlan,
    Project,
    Recursive,
    Scan,
    Values,
)
from zerodb_compiler.plan.transform import calls_external, expressions_of, free_ids, has_subquery, inputs_of
from zerodb_compiler.sql import binder_search, coercion
from zerodb_compiler.sql.binder_functions import function_name
from zerodb_compiler.sql.expressions import Cast, ColumnRef, Expression, Literal
from zerodb_compiler.sql.nodes import fold, only, position_of, unsupported
from zerodb_compiler.sql.scope import Scope
from zerodb_compiler.sql.statements import Query
from zerodb_compiler.types import MAX_PRECISION, TEXT, SqlType, TypeId, numeric

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder

NO_ROWS = "zerodb_no_rows"  # marks what stands for a part without RETURNING: it may only not be read
_VOLATILE = frozenset({"random", "nextval", "setval", "clock_timestamp", "gen_random_uuid", "timeofday"})


@dataclass(slots=True)
class CommonTable:
    """WITH name (columns) AS (query), and what its query can see. `uses` counts references in the text."""

    name: str
    query: exp.Expr
    columns: tuple[exp.Expr, ...]
    outer: Scope | None
    common: CommonTables
    uses: int
    materialized: bool | None
    recursive: bool = False
    shared: tuple[int, Query] | None = None
    is_bound: bool = False
    clauses: binder_search.Clauses | None = None  # SEARCH and CYCLE


@dataclass(slots=True)
class WorkingTable:
    """The name of a recursive common table within its recursive term."""

    number: int
    names: tuple[str, ...]
    types: tuple[SqlType, ...]
    hidden: int = 0  # how many of the last columns are those of SEARCH and CYCLE


CommonTables = Mapping[str, CommonTable | WorkingTable]


@dataclass(slots=True)
class Shared:
    """The common tables of a statement that are computed once, in the order they need one another."""

    definitions: list[Definition] = field(default_factory=list)
    numbers: int = 0

    def number(self) -> int:
        self.numbers += 1
        return self.numbers


def with_tables(with_: exp.With, outer: Scope | None, common: CommonTables) -> CommonTables:
    """The common tables plus those of a WITH clause."""
    only(with_, "expressions", "recursive")
    recursive = bool(with_.args.get("recursive"))
    found: dict[str, CommonTable | WorkingTable] = dict(common)
    names = [fold(cte.args["alias"].this) for cte in with_.expressions]
    counts = _references(with_.parent or with_)
    for i, (name, cte) in enumerate(zip(names, with_.expressions, strict=True)):
        only(cte, "this", "alias", "materialized")
        only(cte.args["alias"], "this", "columns")
        if name in names[:i]:
            raise ProgrammingError(
                f'WITH query name "{name}" specified more than once', sqlstate="42712", position=position_of(cte)
            )
        if not isinstance(cte.this, exp.Query):
            raise NotSupportedError(
                "WITH clause containing a data-modifying statement must be at the top level", position=position_of(cte)
            )
        visible = found if recursive else dict(found)
        materialized = cte.args.get("materialized")
        if materialized is None and _is_volatile(cte.this):
            materialized = True
        clauses, columns = binder_search.clauses_of(tuple(cte.args["alias"].args.get("columns") or ()))
        table = CommonTable(name, cte.this, columns, outer, visible, counts.get(name, 0), materialized, clauses=clauses)
        found[name] = table
    if recursive:
        _order(found, names, with_)
    return found


def bind_unused(binder: Binder, tables: CommonTables, before: CommonTables) -> None:
    """A common table that nobody uses is not computed, but must be right."""
    for name, table in tables.items():
        if isinstance(table, CommonTable) and before.get(name) is not table and not table.is_bound:
            if table.query.meta.get(NO_ROWS):
                continue
            definitions, locking = len(binder.shared.definitions), len(binder.locking.parts)
            table_query(binder, table, None)
            del binder.shared.definitions[definitions:], binder.locking.parts[locking:]


def _references(node: exp.Expr) -> dict[str, int]:
    counts: dict[str, int] = {}
    for table in node.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and table.args.get("db") is None:
            name = fold(table.this)
            counts[name] = counts.get(name, 0) + 1
    return counts


def _is_volatile(query: exp.Expr) -> bool:
    if query.find(exp.TableSample) is not None:
        return True
    return any(function_name(call) in _VOLATILE for call in query.find_all(exp.Anonymous))


def _order(found: dict[str, CommonTable | WorkingTable], names: list[str], with_: exp.With) -> None:
    """Marks the recursive ones; mutual recursion is refused, as by PostgreSQL."""
    uses: dict[str, set[str]] = {}
    for name in names:
        table = found[name]
        assert isinstance(table, CommonTable)
        uses[name] = set(_references(table.query)) & set(names)
        table.recursive = name in uses[name]
        own = _references(table.query).get(name, 0)
        table.uses -= own
    state: dict[str, int] = {}

    def visit(name: str) -> None:
        state[name] = 1
        for other in uses[name] - {name}:
            if state.get(other) == 1:
                raise unsupported("mutual recursion between WITH items", with_)
            if other not in state:
                visit(other)
        state[name] = 2

    for name in names:
        if name not in state:
            visit(name)


def table_query(binder: Binder, table: CommonTable | WorkingTable, node: exp.Expr | None) -> Query:
    """The query that a reference to a common table stands for, with its column aliases."""
    if isinstance(table, WorkingTable):
        columns = tuple(binder.column(n, t, True) for n, t in zip(table.names, table.types, strict=True))
        return Query(CommonScan(table.number, columns, True), columns, table.names)
    if table.shared is not None:
        return _scan(binder, *table.shared)
    table.is_bound = True
    locking = len(binder.locking.parts)
    if table.clauses is not None and not table.recursive:
        raise ProgrammingError("WITH query is not recursive", position=position_of(node))
    query = _recursive(binder, table) if table.recursive else _plain(binder, table)
    once = table.materialized or (table.materialized is None and table.uses > 1 and not _is_cheap(query.plan))
    once = once or len(binder.locking.parts) > locking  # which rows are locked is decided once
    if node is None or not once or free_ids(query.plan) or _reads_working(query.plan):
        return query
    number = binder.shared.number()
    binder.shared.definitions.append(Definition(number, _exactly(binder, query)))
    table.shared = number, query
    return _scan(binder, *table.shared)


def _is_cheap(plan: LogicalPlan) -> bool:
    """Rows of one table as they are: reading them again costs less than keeping them, and conditions can move down."""
    while isinstance(plan, (Filter, Project)):
        if any(map(has_subquery, expressions_of(plan))) or calls_external(plan):
            return False
        plan = plan.input
    return isinstance(plan, Scan) or (isinstance(plan, Values) and len(plan.rows) == 1 and not calls_external(plan))


def _plain(binder: Binder, table: CommonTable) -> Query:
    from zerodb_compiler.sql.binder_from import renamed

    query = binder.query(table.query, table.outer, table.common)
    return Query(query.plan, query.columns, renamed(query.names, table.columns, table.name))


def _scan(binder: Binder, number: int, query: Query) -> Query:
    columns = tuple(binder.column(c.name, c.type, c.nullable) for c in query.columns)
    return Query(CommonScan(number, columns), columns, query.names)


def _exactly(binder: Binder, query: Query) -> LogicalPlan:
    from zerodb_compiler.sql.binder_sets import shaped

    return shaped(binder, query, [column.type for column in query.columns])


def _reads_working(plan: LogicalPlan) -> bool:
    """Whether the plan reads the working table of a recursion around it."""
    own: set[int] = set()
    read: set[int] = set()

    def visit(node: LogicalPlan) -> None:
        if isinstance(node, Recursive):
            own.add(node.common)
        if isinstance(node, CommonScan) and node.working:
            read.add(node.common)
        for part in inputs_of(node):
            visit(part)

    visit(plan)
    return bool(read - own)


# ---- WITH RECURSIVE


def _error(message: str, node: exp.Expr) -> ProgrammingError:
    return ProgrammingError(message, sqlstate="42P19", position=position_of(node))


def _recursive(binder: Binder, table: CommonTable) -> Query:
    from zerodb_compiler.sql.binder_from import renamed
    from zerodb_compiler.sql.binder_sets import shaped

    node, common = table.query, dict(table.common)
    _check_form(node, table.name)
    assert isinstance(node, exp.Union)
    if node.args.get("with_") is not None:
        common = {**with_tables(node.args["with_"], table.outer, common)}
    del common[table.name]
    base = binder.query(node.this, table.outer, common)
    names = renamed(base.names, table.columns, table.name)
    step_node = node.expression
    if table.clauses is not None:
        binder_search.check(table.clauses, names, table.name, node)
        base = binder.query(binder_search.base_of(table.clauses, node.this, names), table.outer, common)
        step_node = binder_search.step_of(table.clauses, node.expression, names)
        names = base.names
    hidden = 0 if table.clauses is None else len(table.clauses.columns)
    types = [TEXT if column.type.id is TypeId.NULL else column.type for column in base.columns]
    number = binder.shared.number()
    for attempt in (0, 1):
        working = WorkingTable(number, names, tuple(types), hidden)
        step = binder.query(step_node, table.outer, {**common, table.name: working})
        wider = _step_types(types, base, step, names, table, node)
        if wider == types:
            break
        if attempt:
            raise NotSupportedError(
                "a recursive query with a numeric column whose scale grows is not supported",
                position=position_of(node.expression),
            )
        types = wider
    columns = tuple(binder.column(name, type_, True) for name, type_ in zip(names, types, strict=True))
    plan = Recursive(
        number,
        columns,
        _distinct_output(binder, shaped(binder, base, types)),
        _distinct_output(binder, shaped(binder, _cast(binder, step, types), types)),
        bool(node.args.get("distinct")),
    )
    if free_ids(plan):
        raise unsupported("a recursive query that reads columns of a query around it", node)
    return Query(plan, columns, names)


def _distinct_output(binder: Binder, plan: LogicalPlan) -> LogicalPlan:
    """Base and step are matched by place: each place a column of its own."""
    if len({column.id for column in plan.output}) == len(plan.output):
        return plan
    return Project(plan, tuple(Item(binder.column(c.name, c.type, c.nullable), ColumnRef(c)) for c in plan.output))


def _cast(binder: Binder, query: Query, types: list[SqlType]) -> Query:
    if all(column.type == type_ for column, type_ in zip(query.columns, types, strict=True)):
        return query
    items: list[Item] = []
    for column, type_ in zip(query.columns, types, strict=True):
        value: Expression = ColumnRef(column)
        if column.type.id is TypeId.NULL:
            value = Literal(None, type_)
        elif column.type != type_:
            value = Cast(value, type_)
        items.append(Item(binder.column(column.name, type_, True), value))
    return Query(Project(query.plan, tuple(items)), tuple(item.column for item in items), query.names)


def _step_types(
    types: list[SqlType], base: Query, step: Query, names: tuple[str, ...], table: CommonTable, node: exp.Union
) -> list[SqlType]:
    """The types of the recursion: the base's, but for numeric, which needs room for the step's digits."""
    if len(step.columns) != len(types):
        raise ProgrammingError(
            "each UNION query must have the same number of columns", position=position_of(node.expression)
        )
    found: list[SqlType] = []
    for place, (type_, column) in enumerate(zip(types, step.columns, strict=True)):
        other = column.type
        common = coercion.common_type(type_, other)
        if common is None:
            raise ProgrammingError(
                f"UNION types {type_} and {other} cannot be matched",
                sqlstate="42804",
                position=position_of(node.expression),
            )
        if type_.is_text and (other.is_text or other.id is TypeId.NULL):
            found.append(TEXT)
        elif type_.id is TypeId.NUMERIC and other.id is TypeId.NUMERIC:
            found.append(numeric(MAX_PRECISION, max(type_.scale, other.scale)))
        elif common.id is type_.id:
            found.append(type_)
        else:
            raise ProgrammingError(
                f'recursive query "{table.name}" column {place + 1} has type {type_} in non-recursive term but type '
                f"{common} overall",
                sqlstate="42804",
                position=position_of(node.this),
                hint="cast the output of the non-recursive term to the correct type",
            )
    return found


def _check_form(node: exp.Expr, name: str) -> None:
    """PostgreSQL's rules for where a recursive reference may stand (42P19)."""
    if not isinstance(node, exp.Union):
        raise _error(
            f'recursive query "{name}" does not have the form non-recursive-term UNION [ALL] recursive-term', node
        )
    for clause, words in (("order", "ORDER BY"), ("limit", "LIMIT"), ("offset", "OFFSET")):
        if node.args.get(clause) is not None:
            raise unsupported(f"{words} in a recursive query", node)
    only(node, "this", "expression", "distinct", "with_")
    if _references(node.this).get(name):
        raise _error(f'recursive reference to query "{name}" must not appear within its non-recursive term', node)
    references = [
        item
        for item in node.expression.find_all(exp.Table)
        if isinstance(item.this, exp.Identifier) and item.args.get("db") is None and fold(item.this) == name
    ]
    if not references:
        raise _error(
            f'recursive query "{name}" does not have the form non-recursive-term UNION [ALL] recursive-term', node
        )
    if len(references) > 1:
        raise _error(f'recursive reference to query "{name}" must not appear more than once', references[1])
    _check_place(references[0], node, name)


def _check_place(reference: exp.Expr, root: exp.Expr, name: str) -> None:
    where = f'recursive reference to query "{name}" must not appear within'
    below, above = reference, reference.parent
    while above is not None and below is not root:
        if isinstance(above, exp.Join) and _fills(above, below):
            raise _error(f"{where} an outer join", reference)
        if isinstance(above, exp.Select):
            if below.arg_key == "joins" or below.arg_key == "from_":
                _check_outer(above, below, where, reference)
            elif below.arg_key != "with_":
                raise _error(f"{where} a subquery", reference)
        if isinstance(above, exp.Except) and below is above.expression:
            raise _error(f"{where} EXCEPT", reference)
        if isinstance(above, exp.Intersect):
            raise _error(f"{where} INTERSECT", reference)
        below, above = above, above.parent


def _fills(join: exp.Join, below: exp.Expr) -> bool:
    side = join.args.get("side") or ""
    return below.arg_key == "this" and side in ("LEFT", "FULL")


def _check_outer(select: exp.Select, below: exp.Expr, where: str, reference: exp.Expr) -> None:
    """RIGHT and FULL joins fill what stands before them."""
    joins = select.args.get("joins") or []
    place = joins.index(below) if below.arg_key == "joins" and below in joins else -1
    for join in joins[place + 1 :]:
        if (join.args.get("side") or "") in ("RIGHT", "FULL"):
            raise _error(f"{where} an outer join", reference)
