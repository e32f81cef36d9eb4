"""Plans as text, for EXPLAIN and golden tests: one node a line, inputs indented, columns as name#id.

The text is deterministic: ids are those of the plan, sets are sorted, floats are rounded. `types=True` adds the type
(and `?` where a NULL is possible) of every column that a node defines.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from decimal import Decimal

from zerodb_compiler.catalog import TRANSIENT, TableInfo
from zerodb_compiler.intervals import format_interval, unpack
from zerodb_compiler.plan import logical, physical
from zerodb_compiler.plan.windows import DEFAULT_FRAME, Exclusion, FrameBound, WindowItem, WindowSpec
from zerodb_compiler.sql.expressions import (
    AggregateCall,
    AnySubquery,
    Call,
    Case,
    Cast,
    Column,
    ColumnRef,
    Exists,
    Expression,
    ExternalCall,
    InSubquery,
    Literal,
    Parameter,
    ScalarSubquery,
)
from zerodb_compiler.types import SqlType, TypeId

_INFIX = {
    "and": "and",
    "or": "or",
    "eq": "=",
    "ne": "<>",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "mod": "%",
    "like": "like",
    "not_like": "not like",
    "ilike": "ilike",
    "concat": "||",
    "is_distinct": "is distinct from",
    "is_not_distinct": "is not distinct from",
}
_POSTFIX = {"is_null": "is null", "is_not_null": "is not null", "is_true": "is true", "is_false": "is false"}
_EPOCH = datetime.datetime(1970, 1, 1)


def format_logical(
    plan: logical.LogicalPlan, *, types: bool = False, rows: Callable[[logical.LogicalPlan], float] | None = None
) -> str:
    """The logical plan as text; `rows` estimates a node's cardinality, shown in brackets."""
    lines: list[str] = []
    _logical(plan, 0, lines, types, rows)
    return "\n".join(lines) + "\n"


def format_physical(plan: physical.PhysicalPlan, *, types: bool = False) -> str:
    """The physical plan as text, with the estimated rows of every node in brackets."""
    lines: list[str] = []
    _physical(plan, 0, lines, types, "")
    return "\n".join(lines) + "\n"


def format_expression(expression: Expression) -> str:
    """An expression as SQL-like text; a subquery is shown in one line as its kind and the columns it gives."""
    return _expression(expression, False)


def format_column(column: Column, types: bool = False) -> str:
    text = f"{column.name}#{column.id}"
    return f"{text} {column.type}{'?' if column.nullable else ''}" if types else text


def format_rows(rows: float) -> str:
    """An estimate in three significant digits: 7, 1.5k, 600k, 5.92M."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rows >= limit * 0.9995:
            return f"{rows / limit:.3g}{unit}"
    return f"{rows:.3g}" if rows < 10 else f"{rows:.0f}"


def format_value(value: int | float | str | bytes | None, type_: SqlType) -> str:
    """A canonical value as a SQL literal."""
    if value is None:
        return "null"
    if isinstance(value, str):
        quoted = value.replace("'", "''")
        return f"'{quoted}'"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    match type_.id:
        case TypeId.BOOLEAN:
            return "true" if value else "false"
        case TypeId.NUMERIC:
            return str(Decimal(value).scaleb(-type_.scale)) if type_.scale else str(value)
        case TypeId.DATE | TypeId.TIMESTAMP:
            return _moment(value, type_.id)
        case TypeId.INTERVAL:
            return f"'{format_interval(*unpack(value))}'"
    return str(value)


def _moment(value: int, kind: TypeId) -> str:
    try:
        if kind is TypeId.DATE:
            return f"'{(_EPOCH + datetime.timedelta(days=value)).date().isoformat()}'"
        return f"'{(_EPOCH + datetime.timedelta(microseconds=value)).isoformat(sep=' ')}'"
    except OverflowError:  # beyond the years Python knows
        return f"{kind.value}({value})"


def _expression(expression: Expression, nested: bool) -> str:
    match expression:
        case ColumnRef(column=column):
            return f"{column.name}#{column.id}"
        case Literal(value=value, type=type_):
            return format_value(value, type_)
        case Parameter(index=index, type=type_, sample=sample):
            return f"${index}" if sample is None else f"${index}{{{format_value(sample, type_)}}}"
        case Call():
            return _call(expression, nested)
        case ExternalCall(function=function, arguments=arguments):
            return f"{function.schema}.{function.name}({_list(arguments)})"
        case Cast(argument=argument, type=type_):
            return f"{_expression(argument, True)}::{type_}"
        case Case(branches=branches, default=default):
            parts = [f"when {_expression(when, False)} then {_expression(then, False)}" for when, then in branches]
            return f"case {' '.join(parts)} else {_expression(default, False)} end"
        case AggregateCall():
            return _aggregate(expression)
        case ScalarSubquery(plan=plan, column=column):
            return f"scalar({_subquery(plan)} -> {format_column(column)})"
        case Exists(plan=plan, negated=negated):
            return f"{'not ' if negated else ''}exists({_subquery(plan)})"
        case InSubquery(operand=operand, plan=plan, column=column, negated=negated):
            word = "not in" if negated else "in"
            return f"{_expression(operand, True)} {word} ({_subquery(plan)} -> {format_column(column)})"
        case AnySubquery(operands=operands, places=places, plan=plan, test=test):
            given = ", ".join(
                f"{format_column(place)} := {_expression(value, False)}"
                for place, value in zip(places, operands, strict=True)
            )
            return f"any({_expression(test, False)} with {given} in {_subquery(plan)})"
    raise AssertionError(expression)


def _subquery(plan: logical.LogicalPlan) -> str:
    """A plan in one line: the outermost node first, inputs in braces."""
    below = [_subquery(part) for part in logical.inputs(plan)]
    text = _logical_head(plan, False)
    return f"{text} {{{'; '.join(below)}}}" if below else text


def _call(call: Call, nested: bool) -> str:
    arguments = call.arguments
    word = _INFIX.get(call.function)
    if word is not None and len(arguments) >= 2 and (len(arguments) == 2 or word in ("and", "or")):
        text = f" {word} ".join(_expression(argument, True) for argument in arguments)
        return f"({text})" if nested else text
    if call.function in _POSTFIX:
        text = f"{_expression(arguments[0], True)} {_POSTFIX[call.function]}"
        return f"({text})" if nested else text
    if call.function == "in":
        return f"{_expression(arguments[0], True)} in ({_list(arguments[1:])})"
    if call.function == "not":
        return f"not {_expression(arguments[0], True)}"
    if call.function == "neg":
        return f"-{_expression(arguments[0], True)}"
    return f"{call.function}({_list(arguments)})"


def _aggregate(call: AggregateCall) -> str:
    argument = "*" if call.argument is None else _expression(call.argument, False)
    name = "count" if call.function == "count_star" else call.function
    if call.extra:
        argument = f"{argument}, {_list(call.extra)}"
    if call.order:
        argument = f"{argument} order by {_sort_keys(call.order)}"
    text = f"{name}({'distinct ' if call.distinct else ''}{argument})"
    return text if call.filter is None else f"{text} filter ({_expression(call.filter, False)})"


def _list(expressions: Iterable[Expression]) -> str:
    return ", ".join(_expression(expression, False) for expression in expressions)


def _columns(columns: Iterable[Column], types: bool) -> str:
    return ", ".join(format_column(column, types) for column in columns)


def _external(items: Iterable[logical.ExternalItem], types: bool) -> str:
    parts = []
    for item in items:
        guard = "" if item.guard is None else f" if {_expression(item.guard, True)}"
        parts.append(f"{format_column(item.column, types)} := {_expression(item.call, False)}{guard}")
    return ", ".join(parts)


def _items(items: Iterable[logical.Item], types: bool) -> str:
    parts = []
    for item in items:
        same = isinstance(item.expression, ColumnRef) and item.expression.column.id == item.column.id
        text = format_column(item.column, types)
        parts.append(text if same else f"{text} := {_expression(item.expression, False)}")
    return ", ".join(parts)


def _aggregates(items: Iterable[logical.AggregateItem], types: bool) -> str:
    return ", ".join(f"{format_column(item.column, types)} := {_aggregate(item.call)}" for item in items)


def _sort_keys(keys: Iterable[logical.SortKey]) -> str:
    parts = []
    for key in keys:
        text = _expression(key.expression, False) + (" desc" if key.descending else "")
        if key.nulls_first != key.descending:  # not PostgreSQL's default
            text += " nulls first" if key.nulls_first else " nulls last"
        parts.append(text)
    return ", ".join(parts)


def _window_run(run: physical.WindowRun, types: bool) -> str:
    """Windows that share one sort; its keys are shown where they are not just those of the only window."""
    shown = ", ".join(_window_spec(spec, types) for spec in run.specs)
    return shown if len(run.specs) == 1 else f"sorted by {_sort_keys(run.keys)}: {shown}"


def _window_spec(spec: WindowSpec, types: bool) -> str:
    parts = [f"partition by {_list(spec.partition)}"] if spec.partition else []
    parts += [f"order by {_sort_keys(spec.order)}"] if spec.order else []
    items = ", ".join(_window_item(item, types) for item in spec.items)
    return f"over ({' '.join(parts)}) [{items}]"


def _window_item(item: WindowItem, types: bool) -> str:
    call = item.call
    shown = _aggregate(call) if isinstance(call, AggregateCall) else f"{call.function}({_list(call.arguments)})"
    text = f"{format_column(item.column, types)} := {shown}"
    if item.frame is None or item.frame == DEFAULT_FRAME:
        return text
    frame = item.frame
    text += f" {frame.mode.value} between {_frame_bound(frame.start)} and {_frame_bound(frame.end)}"
    return text if frame.exclusion is Exclusion.NO_OTHERS else f"{text} exclude {frame.exclusion.value}"


def _frame_bound(bound: FrameBound) -> str:
    return bound.kind.value if bound.offset is None else f"{_expression(bound.offset, True)} {bound.kind.value}"


def _limit(count: Expression | None, offset: Expression | None) -> str:
    parts = [] if count is None else [_expression(count, False)]
    if offset is not None:
        parts.append(f"offset {_expression(offset, False)}")
    return " ".join(parts)


def _predicates(predicates: tuple[Expression, ...]) -> str:
    return " and ".join(_expression(predicate, len(predicates) > 1) for predicate in predicates)


def _values(rows: tuple[tuple[Expression, ...], ...]) -> str:
    shown = ", ".join(f"({_list(row)})" for row in rows[:8])
    return shown if len(rows) <= 8 else f"{shown}, ... {len(rows)} rows"


def _logical_head(plan: logical.LogicalPlan, types: bool) -> str:
    match plan:
        case logical.Scan(table=table):
            return f"Scan {_shown(table)} [{_columns(plan.output, types)}]"
        case logical.Values(columns=columns, rows=values):
            return f"Values [{_columns(columns, types)}] {_values(values)}"
        case logical.Filter(predicate=predicate):
            return f"Filter {_expression(predicate, False)}"
        case logical.Project(items=items):
            return f"Project {_items(items, types)}"
        case logical.Join(kind=kind, condition=condition):
            return f"Join {kind.value}" + (f" on {_expression(condition, False)}" if condition is not None else "")
        case logical.Aggregate(keys=keys, aggregates=aggregates):
            parts = [f"by {_items(keys, types)}"] if keys else []
            parts += [_aggregates(aggregates, types)] if aggregates else []
            return f"Aggregate {': '.join(parts)}"
        case logical.Sort(keys=sort_keys):
            return f"Sort {_sort_keys(sort_keys)}"
        case logical.MapExternal(items=external):
            return f"MapExternal {_external(external, types)}"
        case logical.Window(specs=specs):
            return f"Window {'; '.join(_window_spec(spec, types) for spec in specs)}"
        case logical.Limit(count=count, offset=offset):
            return f"Limit {_limit(count, offset)}"
        case logical.UnionAll(columns=columns):
            return f"UnionAll [{_columns(columns, types)}]"
        case logical.TableFunction():
            return _table_function(plan, types)
        case logical.Lateral(kind=kind, condition=condition):
            text = f" on {_expression(condition, False)}" if condition is not None else ""
            return f"Lateral {kind.value}{text}"
        case logical.MarkJoin(condition=condition, test=test, mark=mark):
            text = f" on {_expression(condition, False)}" if condition is not None else ""
            text += f" test {_expression(test, False)}" if test is not None else ""
            return f"MarkJoin {format_column(mark, types)}{text}"
        case logical.Number(partition=partition, number=number, peers=peers, rank=rank):
            text = f" by {_columns(partition, False)}" if partition else ""
            ranked = f", {format_column(rank, types)} of {_columns(peers, False)}" if rank is not None else ""
            return f"Number {format_column(number, types)}{ranked}{text}"
        case logical.Repeat(count=times):
            return f"Repeat {_expression(times, False)}"
        case logical.CommonScan(common=common, columns=columns, working=working):
            return f"{'Working' if working else 'Common'}Scan {common} [{_columns(columns, types)}]"
        case logical.With(definitions=definitions):
            return f"With {', '.join(str(definition.common) for definition in definitions)}"
        case logical.Recursive(common=common, columns=columns, distinct=distinct):
            return f"Recursive {common} [{_columns(columns, types)}]{' distinct' if distinct else ''}"


def _logical(
    plan: logical.LogicalPlan,
    depth: int,
    lines: list[str],
    types: bool,
    rows: Callable[[logical.LogicalPlan], float] | None,
) -> None:
    head = _logical_head(plan, types)
    lines.append("  " * depth + (head if rows is None else f"{head}  [{format_rows(rows(plan))}]"))
    for part in logical.inputs(plan):
        _logical(part, depth + 1, lines, types, rows)


def _physical_head(plan: physical.PhysicalPlan, types: bool) -> str:
    match plan:
        case physical.TableScan(table=table, columns=columns, predicates=predicates, row_id=row_id):
            shown = [item.column for item in columns] + ([] if row_id is None else [row_id])
            where = f" where {_predicates(predicates)}" if predicates else ""
            head = (
                f"TableScan {_shown(table)}" if plan.index is None else f"IndexScan {table.name} using {_index(plan)}"
            )
            return f"{head} [{_columns(shown, types)}]{where}"
        case physical.ValuesScan(columns=names, values=values):
            return f"ValuesScan [{_columns(names, types)}] {_values(values)}"
        case physical.Filter(predicates=predicates):
            return f"Filter {_predicates(predicates)}"
        case physical.Project(items=items):
            return f"Project {_items(items, types)}"
        case physical.HashJoin():
            return _hash_join(plan)
        case physical.NestedLoopJoin(kind=kind, predicates=predicates):
            return f"NestedLoopJoin {kind.value}" + (f" on {_predicates(predicates)}" if predicates else "")
        case physical.HashAggregate(keys=keys, aggregates=aggregates):
            parts = [f"by {_items(keys, types)}"] if keys else []
            parts += [_aggregates(aggregates, types)] if aggregates else []
            return f"HashAggregate {': '.join(parts)}"
        case physical.Sort(keys=sort_keys):
            return f"Sort {_sort_keys(sort_keys)}"
        case physical.MapExternal(items=external):
            return f"MapExternal {_external(external, types)}"
        case physical.Window(runs=runs):
            return f"Window {'; '.join(_window_run(run, types) for run in runs)}"
        case physical.TopN(keys=sort_keys, count=count, offset=offset):
            return f"TopN {_limit(count, offset)} by {_sort_keys(sort_keys)}"
        case physical.Limit(count=limit, offset=offset):
            return f"Limit {_limit(limit, offset)}"
        case physical.UnionAll(columns=names):
            return f"UnionAll [{_columns(names, types)}]"
        case physical.TableFunction():
            return _table_function(plan, types)
        case physical.Number(partition=partition, number=number, peers=peers, rank=rank):
            text = f" by {_columns(partition, False)}" if partition else ""
            ranked = f", {format_column(rank, types)} of {_columns(peers, False)}" if rank is not None else ""
            return f"Number {format_column(number, types)}{ranked}{text}"
        case physical.Repeat(count=times):
            return f"Repeat {_expression(times, False)}"
        case physical.CommonScan(common=common, columns=names, working=working):
            return f"{'Working' if working else 'Common'}Scan {common} [{_columns(names, types)}]"
        case physical.With(definitions=definitions):
            return f"With {', '.join(str(definition.common) for definition in definitions)}"
        case physical.Recursive(common=common, columns=names, distinct=distinct):
            return f"Recursive {common} [{_columns(names, types)}]{' distinct' if distinct else ''}"
        case physical.MarkJoin():
            return _mark_join(plan)
        case physical.Output(columns=names):
            return f"Output {_columns(names, types)}"


def _shown(table: TableInfo) -> str:
    return table.name.lstrip(TRANSIENT)


def _index(scan: physical.TableScan) -> str:
    """`t_a_b_idx (a, b)`: the columns that the lookup binds."""
    index = scan.index
    assert index is not None
    bound = len(index.equal) + (1 if index.low or index.high else 0)
    names = ", ".join(scan.table.columns[ordinal].name for ordinal in index.key[:bound])
    rows = "" if index.first is None else ", last rows" if index.first.descending else ", first rows"
    return f"{index.name} ({names}){rows}"


def _table_function(plan: logical.TableFunction | physical.TableFunction, types: bool) -> str:
    calls = [f"{item.function}({_list(item.arguments)}) [{_columns(item.columns, types)}]" for item in plan.calls]
    ordinality = "" if plan.ordinality is None else f" with ordinality {format_column(plan.ordinality, types)}"
    return f"TableFunction{' outer' if plan.outer else ''} {', '.join(calls)}{ordinality}"


def _hash_join(join: physical.HashJoin) -> str:
    pairs = zip(join.probe_keys, join.build_keys, strict=True)
    keys = " and ".join(f"{_expression(probe, True)} = {_expression(build, True)}" for probe, build in pairs)
    residual = f" residual {_predicates(join.residual)}" if join.residual else ""
    return f"HashJoin {join.kind.value}{' unique' if join.build_unique else ''} on {keys}{residual}"


def _mark_join(join: physical.MarkJoin) -> str:
    pairs = zip(join.probe_keys, join.build_keys, strict=True)
    parts = [f"{_expression(probe, True)} = {_expression(build, True)}" for probe, build in pairs]
    parts += [_expression(part, True) for part in join.residual]
    text = f" on {' and '.join(parts)}" if parts else ""
    return f"MarkJoin {join.mark.name}#{join.mark.id}{text}" + (
        f" test {_expression(join.test, False)}" if join.test is not None else ""
    )


def physical_inputs(plan: physical.PhysicalPlan) -> tuple[tuple[str, physical.PhysicalPlan], ...]:
    """The inputs of a node with the role each plays ("build", "probe" or "")."""
    match plan:
        case physical.TableScan() | physical.ValuesScan() | physical.CommonScan():
            return ()
        case (
            physical.HashJoin(build=build, probe=probe)
            | physical.NestedLoopJoin(build=build, probe=probe)
            | physical.MarkJoin(build=build, probe=probe)
        ):
            return (("build", build), ("probe", probe))
        case physical.With(definitions=definitions, body=body):
            return (*((str(item.common), item.plan) for item in definitions), ("", body))
        case physical.Recursive(base=base, step=step):
            return (("base", base), ("step", step))
        case physical.UnionAll(inputs=parts):
            return tuple(("", part) for part in parts)
    return (("", plan.input),)


def _physical(plan: physical.PhysicalPlan, depth: int, lines: list[str], types: bool, role: str) -> None:
    label = f"{role}: " if role else ""
    lines.append("  " * depth + f"{label}{_physical_head(plan, types)}  [{format_rows(plan.rows)}]")
    for name, part in physical_inputs(plan):
        _physical(part, depth + 1, lines, types, name)
