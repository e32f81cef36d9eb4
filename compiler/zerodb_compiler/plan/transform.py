"""Helpers that rules share: taking expressions and plans apart and putting them together again.

All functions keep identity: what does not change is returned as the same object, so rules are cheap where they do
nothing. Sets of columns are sets of ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from zerodb_compiler.plan.logical import (
    Aggregate,
    AggregateItem,
    CommonScan,
    Definition,
    ExternalItem,
    Filter,
    Item,
    Join,
    Lateral,
    Limit,
    LogicalPlan,
    MapExternal,
    MarkJoin,
    Number,
    Project,
    Recursive,
    Repeat,
    Scan,
    Sort,
    SortKey,
    TableCall,
    TableFunction,
    UnionAll,
    Values,
    Window,
    With,
)
from zerodb_compiler.plan.windows import map_spec, spec_expressions
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
    walk,
)
from zerodb_compiler.sql.functions import NULL_AWARE, result_nullable
from zerodb_compiler.types import BOOLEAN, SqlType

Fresh: TypeAlias = Callable[[], int]
Rule: TypeAlias = Callable[[LogicalPlan, Fresh], LogicalPlan]
Change: TypeAlias = Callable[[Expression], Expression]

TRUE = Literal(1, BOOLEAN)
FALSE = Literal(0, BOOLEAN)
NO_COLUMNS: frozenset[int] = frozenset()


# --- building -------------------------------------------------------------------------------------------------------
def call(function: str, *arguments: Expression, type_: SqlType = BOOLEAN, position: int | None = None) -> Call:
    """A Call whose nullability follows from its arguments."""
    nullable = call_nullable(function, [argument.nullable for argument in arguments])
    return Call(function, arguments, type_, nullable, position)


def call_nullable(function: str, arguments: Sequence[bool]) -> bool:
    """Whether a call can be NULL, given whether each argument can."""
    return result_nullable(function, arguments)


def conjunction(parts: Sequence[Expression]) -> Expression | None:
    """The AND of all parts; None for no part."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else call("and", *parts)


def disjunction(parts: Sequence[Expression]) -> Expression:
    assert parts
    return parts[0] if len(parts) == 1 else call("or", *parts)


def conjuncts(expression: Expression | None) -> list[Expression]:
    """The parts of nested ANDs, in order; none for None or TRUE."""
    return [] if expression is None or expression == TRUE else _flatten("and", expression)


def disjuncts(expression: Expression) -> list[Expression]:
    return _flatten("or", expression)


def _flatten(function: str, expression: Expression) -> list[Expression]:
    if isinstance(expression, Call) and expression.function == function:
        return [part for argument in expression.arguments for part in _flatten(function, argument)]
    return [expression]


def filtered(plan: LogicalPlan, predicates: Sequence[Expression]) -> LogicalPlan:
    """The plan under a Filter of all predicates, if there is one."""
    predicate = conjunction(predicates)
    return plan if predicate is None else Filter(plan, predicate)


def passed(column: Column) -> Item:
    """An Item that passes a column through."""
    return Item(column, ColumnRef(column))


# --- looking --------------------------------------------------------------------------------------------------------
def ids_of(expression: Expression) -> frozenset[int]:
    """Ids of the columns an expression reads, with those that its subqueries read from outside."""
    match expression:
        case ColumnRef(column=column):
            return frozenset((column.id,))
        case Literal() | Parameter():
            return NO_COLUMNS
    found: set[int] = set()
    _collect(expression, found)
    return frozenset(found)


def ids_of_all(expressions: Iterable[Expression]) -> set[int]:
    found: set[int] = set()
    for expression in expressions:
        _collect(expression, found)
    return found


def _collect(expression: Expression, found: set[int]) -> None:
    match expression:
        case ColumnRef(column=column):
            found.add(column.id)
        case Call(arguments=arguments) | ExternalCall(arguments=arguments):
            for argument in arguments:
                _collect(argument, found)
        case Cast(argument=argument):
            _collect(argument, found)
        case Case(branches=branches, default=default):
            for when, then in branches:
                _collect(when, found)
                _collect(then, found)
            _collect(default, found)
        case AggregateCall(filter=filter_):
            for part in expression.parts:
                _collect(part, found)
            if filter_ is not None:
                _collect(filter_, found)
        case ScalarSubquery(plan=plan) | Exists(plan=plan):
            found |= free_ids(plan)
        case InSubquery(operand=operand, plan=plan):
            _collect(operand, found)
            found |= free_ids(plan)
        case AnySubquery(operands=operands, places=places, plan=plan, test=test):
            for operand in operands:
                _collect(operand, found)
            found |= free_ids(plan) | (ids_of(test) - output_ids(plan) - {place.id for place in places})


def output_ids(plan: LogicalPlan) -> frozenset[int]:
    return frozenset(column.id for column in plan.output)


def expressions_of(plan: LogicalPlan) -> list[Expression]:
    """The expressions of one node (not of its inputs)."""
    match plan:
        case Filter(predicate=predicate):
            return [predicate]
        case Project(items=items):
            return [item.expression for item in items]
        case Join(condition=condition) | Lateral(condition=condition):
            return [] if condition is None else [condition]
        case MarkJoin(condition=condition, test=test):
            return [part for part in (condition, test) if part is not None]
        case Repeat(count=times):
            return [times]
        case Aggregate(keys=keys, aggregates=aggregates):
            return [item.expression for item in keys] + [item.call for item in aggregates]
        case Sort(keys=sort_keys):
            return [key.expression for key in sort_keys]
        case Window(specs=specs):
            return [part for spec in specs for part in spec_expressions(spec)]
        case Limit(count=count, offset=offset):
            return [part for part in (count, offset) if part is not None]
        case Values(rows=rows):
            return [value for row in rows for value in row]
        case TableFunction(calls=calls):
            return [argument for item in calls for argument in item.arguments]
        case MapExternal(items=external):
            return [part for item in external for part in item.parts]
    return []


def free_ids(plan: LogicalPlan) -> set[int]:
    """Columns a plan reads but does not produce: references to the queries around it."""
    used: set[int] = set()
    produced: set[int] = set()
    _free(plan, used, produced)
    return used - produced


def _free(plan: LogicalPlan, used: set[int], produced: set[int]) -> None:
    for expression in expressions_of(plan):
        _collect(expression, used)
    produced.update(column.id for column in plan.output)
    for part in inputs_of(plan):
        _free(part, used, produced)


def inputs_of(plan: LogicalPlan) -> tuple[LogicalPlan, ...]:
    match plan:
        case Scan() | Values() | CommonScan():
            return ()
        case Join(left=left, right=right) | Lateral(left=left, right=right) | MarkJoin(left=left, right=right):
            return (left, right)
        case UnionAll(inputs=parts):
            return parts
        case With(definitions=definitions, body=body):
            return (*(definition.plan for definition in definitions), body)
        case Recursive(base=base, step=step):
            return (base, step)
    return (plan.input,)


def same_key(expression: Expression | None) -> object:
    """Equal for expressions that compute the same value: everything but places in the text and sample values."""
    match expression:
        case ColumnRef(column=column):
            return column.id
        case Call(function=function, arguments=arguments, type=type_):
            return (function, type_, tuple(map(same_key, arguments)))
        case ExternalCall(function=external, arguments=arguments, site=site):
            return (external.id, external.version, site, tuple(map(same_key, arguments)))
        case Cast(argument=argument, type=type_):
            return ("cast", type_, same_key(argument))
        case Case(branches=branches, default=default, type=type_):
            pairs = tuple((same_key(when), same_key(then)) for when, then in branches)
            return ("case", type_, pairs, same_key(default))
        case AggregateCall(function=function, argument=argument_, distinct=distinct, filter=filter_):
            key: object = (function, distinct, same_key(argument_), same_key(filter_))
            if expression.extra or expression.order:
                order = tuple((same_key(k.expression), k.descending, k.nulls_first) for k in expression.order)
                key = (key, tuple(map(same_key, expression.extra)), order)
            return key
        case Parameter(index=index, type=type_):
            return ("$", index, type_)
        case Literal(value=value, type=type_):
            return ("literal", type_, repr(value))
    return expression


def is_constant(expression: Expression) -> bool:
    """Whether the value is the same for every row."""
    return not ids_of(expression) and not has_subquery(expression)


def has_subquery(expression: Expression) -> bool:
    match expression:
        case ScalarSubquery() | Exists() | InSubquery() | AnySubquery():
            return True
        case ColumnRef() | Literal() | Parameter():
            return False
        case Call(arguments=arguments) | ExternalCall(arguments=arguments):
            return any(map(has_subquery, arguments))
        case Cast(argument=argument):
            return has_subquery(argument)
        case Case(branches=branches, default=default):
            return has_subquery(default) or any(has_subquery(when) or has_subquery(then) for when, then in branches)
        case AggregateCall(filter=filter_):
            return any(map(has_subquery, expression.parts)) or (filter_ is not None and has_subquery(filter_))


def calls_external(plan: LogicalPlan) -> bool:
    """Whether an expression of this node calls a function from outside."""
    return any(isinstance(part, ExternalCall) for whole in expressions_of(plan) for part in walk(whole))


def is_strict(function: str) -> bool:
    """NULL if any argument is NULL. (`in` is not: 1 in (1, NULL) is true.)"""
    return function not in NULL_AWARE and function != "in"


# --- changing -------------------------------------------------------------------------------------------------------
def rebuild(expression: Expression, change: Change) -> Expression:
    """The expression with `change` applied to its direct parts (not to subquery plans); nullability follows."""
    match expression:
        case Call(function=function, arguments=arguments, type=type_, position=position):
            changed = tuple([change(argument) for argument in arguments])
            if all(map(_is, changed, arguments)):
                return expression
            nullable = call_nullable(function, [argument.nullable for argument in changed])
            return Call(function, changed, type_, nullable, position)
        case ExternalCall(function=external, arguments=arguments):
            changed = tuple([change(argument) for argument in arguments])
            if all(map(_is, changed, arguments)):
                return expression
            return ExternalCall(external, changed, expression.type, expression.site, expression.position)
        case Cast(argument=argument, type=type_, position=position):
            inner = change(argument)
            return expression if inner is argument else Cast(inner, type_, position)
        case Case():
            return _rebuild_case(expression, change)
        case AggregateCall(argument=argument_, filter=filter_):
            new = None if argument_ is None else change(argument_)
            where = None if filter_ is None else change(filter_)
            extra = tuple([change(part) for part in expression.extra])
            order = tuple([change(key.expression) for key in expression.order])
            same = all(map(_is, extra, expression.extra)) and all(
                part is key.expression for part, key in zip(order, expression.order, strict=True)
            )
            if new is argument_ and where is filter_ and same:
                return expression
            keys = tuple(
                SortKey(part, key.descending, key.nulls_first)
                for part, key in zip(order, expression.order, strict=True)
            )
            return replace(expression, argument=new, filter=where, extra=extra, order=keys)
        case InSubquery(operand=operand):
            inner = change(operand)
            if inner is operand:
                return expression
            return InSubquery(inner, expression.plan, expression.column, expression.negated, expression.nullable)
        case AnySubquery(operands=operands, places=places, plan=plan, test=test):
            renewed = tuple([change(operand) for operand in operands])
            return expression if all(map(_is, renewed, operands)) else AnySubquery(renewed, places, plan, test)
    return expression


def _rebuild_case(expression: Case, change: Change) -> Expression:
    branches = tuple([(change(when), change(then)) for when, then in expression.branches])
    default = change(expression.default)
    if default is expression.default and all(
        new[0] is old[0] and new[1] is old[1] for new, old in zip(branches, expression.branches, strict=True)
    ):
        return expression
    return case(branches, default, expression.type)


def case(branches: tuple[tuple[Expression, Expression], ...], default: Expression, type_: SqlType) -> Case:
    nullable = default.nullable or any(then.nullable for _, then in branches)
    return Case(branches, default, type_, nullable)


def _is(first: object, second: object) -> bool:
    return first is second


def substitute(expression: Expression, mapping: Mapping[int, Expression]) -> Expression:
    """The expression with columns replaced, also those that subqueries read from outside."""
    match expression:
        case ColumnRef(column=column):
            return mapping.get(column.id, expression)
        case Literal() | Parameter():
            return expression
        case ScalarSubquery(plan=plan, column=column, type=type_, nullable=nullable):
            new = substitute_plan(plan, mapping)
            return expression if new is plan else ScalarSubquery(new, column, type_, nullable)
        case Exists(plan=plan, negated=negated):
            new = substitute_plan(plan, mapping)
            return expression if new is plan else Exists(new, negated)
        case InSubquery(operand=operand, plan=plan):
            new, inner = substitute_plan(plan, mapping), substitute(operand, mapping)
            if new is plan and inner is operand:
                return expression
            return InSubquery(inner, new, expression.column, expression.negated, expression.nullable)
        case AnySubquery(operands=operands, places=places, plan=plan, test=test):
            return AnySubquery(
                tuple([substitute(operand, mapping) for operand in operands]),
                places,
                substitute_plan(plan, mapping),
                substitute(test, mapping),
            )
    return rebuild(expression, lambda part: substitute(part, mapping))


def substitute_plan(plan: LogicalPlan, mapping: Mapping[int, Expression]) -> LogicalPlan:
    """Replaces references to outer columns within a subquery's plan."""
    return map_plan(plan, lambda node: map_expressions(node, lambda part: substitute(part, mapping)))


def map_expressions(plan: LogicalPlan, change: Change) -> LogicalPlan:
    """One node with `change` applied to each of its expressions; its columns stay."""
    match plan:
        case Filter(input=input_, predicate=predicate):
            new = change(predicate)
            return plan if new is predicate else Filter(input_, new)
        case Project(input=input_, items=items):
            changed = map_items(items, change)
            return plan if changed is items else Project(input_, changed)
        case Join(kind=kind, left=left, right=right, condition=condition):
            if condition is None:
                return plan
            new = change(condition)
            return plan if new is condition else Join(kind, left, right, new)
        case Lateral(kind=kind, left=left, right=right, condition=condition):
            if condition is None:
                return plan
            new = change(condition)
            return plan if new is condition else Lateral(kind, left, right, new)
        case MarkJoin(left=left, right=right, condition=condition, test=test, mark=mark):
            one = None if condition is None else change(condition)
            two = None if test is None else change(test)
            return plan if one is condition and two is test else MarkJoin(left, right, one, two, mark)
        case Repeat(input=input_, count=times):
            new = change(times)
            return plan if new is times else Repeat(input_, new)
        case Aggregate(input=input_, keys=keys, aggregates=aggregates):
            changed = map_items(keys, change)
            calls = map_calls(aggregates, change)
            return plan if changed is keys and calls is aggregates else Aggregate(input_, changed, calls)
        case Sort(input=input_, keys=sort_keys):
            sorts = tuple([SortKey(change(key.expression), key.descending, key.nulls_first) for key in sort_keys])
            same = all(new.expression is old.expression for new, old in zip(sorts, sort_keys, strict=True))
            return plan if same else Sort(input_, sorts)
        case MapExternal(input=input_, items=external):
            renewed = tuple([map_external(item, change) for item in external])
            return plan if all(map(_is, renewed, external)) else MapExternal(input_, renewed)
        case Window(input=input_, specs=specs):
            mapped = tuple([map_spec(spec, change) for spec in specs])
            return plan if mapped == specs else Window(input_, mapped)
        case Limit(input=input_, count=count, offset=offset):
            first = None if count is None else change(count)
            second = None if offset is None else change(offset)
            return plan if first is count and second is offset else Limit(input_, first, second)
        case Values(columns=columns, rows=rows):
            table = tuple([tuple([change(value) for value in row]) for row in rows])
            same = all(all(map(_is, new, old)) for new, old in zip(table, rows, strict=True))
            return plan if same else Values(columns, table)
        case TableFunction(input=input_, calls=calls_, ordinality=ordinality, outer=outer):
            changed_calls = tuple([map_table_call(item, change) for item in calls_])
            same = all(map(_is, changed_calls, calls_))
            return plan if same else TableFunction(input_, changed_calls, ordinality, outer)
    return plan


def map_table_call(item: TableCall, change: Change) -> TableCall:
    arguments = tuple([change(argument) for argument in item.arguments])
    if all(map(_is, arguments, item.arguments)):
        return item
    return TableCall(item.function, arguments, item.columns, item.position)


def map_items(items: tuple[Item, ...], change: Change) -> tuple[Item, ...]:
    changed = [change(item.expression) for item in items]
    if all(new is item.expression for new, item in zip(changed, items, strict=True)):
        return items
    return tuple([Item(item.column, new) for new, item in zip(changed, items, strict=True)])


def map_calls(items: tuple[AggregateItem, ...], change: Change) -> tuple[AggregateItem, ...]:
    changed = [change(item.call) for item in items]
    if all(new is item.call for new, item in zip(changed, items, strict=True)):
        return items
    found = []
    for new, item in zip(changed, items, strict=True):
        assert isinstance(new, AggregateCall)
        found.append(AggregateItem(item.column, new))
    return tuple(found)


def with_inputs(plan: LogicalPlan, parts: Sequence[LogicalPlan]) -> LogicalPlan:
    """The node over other inputs; the same object if they are the same."""
    match plan:
        case Scan() | Values() | CommonScan():
            return plan
        case Lateral(kind=kind, left=left, right=right, condition=condition):
            return plan if parts[0] is left and parts[1] is right else Lateral(kind, parts[0], parts[1], condition)
        case MarkJoin(left=left, right=right):
            if parts[0] is left and parts[1] is right:
                return plan
            return MarkJoin(parts[0], parts[1], plan.condition, plan.test, plan.mark)
        case Number(input=input_):
            same = parts[0] is input_
            return plan if same else Number(parts[0], plan.partition, plan.number, plan.peers, plan.rank)
        case Repeat(input=input_, count=times):
            return plan if parts[0] is input_ else Repeat(parts[0], times)
        case With(definitions=definitions, body=body):
            if parts[-1] is body and all(new is old.plan for new, old in zip(parts, definitions, strict=False)):
                return plan
            renewed = [Definition(old.common, new) for new, old in zip(parts, definitions, strict=False)]
            return With(tuple(renewed), parts[-1])
        case Recursive(base=base, step=step):
            if parts[0] is base and parts[1] is step:
                return plan
            return Recursive(plan.common, plan.columns, parts[0], parts[1], plan.distinct)
        case Filter(input=input_, predicate=predicate):
            return plan if parts[0] is input_ else Filter(parts[0], predicate)
        case Project(input=input_, items=items):
            return plan if parts[0] is input_ else Project(parts[0], items)
        case Join(kind=kind, left=left, right=right, condition=condition):
            return plan if parts[0] is left and parts[1] is right else Join(kind, parts[0], parts[1], condition)
        case Aggregate(input=input_, keys=keys, aggregates=aggregates):
            return plan if parts[0] is input_ else Aggregate(parts[0], keys, aggregates)
        case Sort(input=input_, keys=sort_keys):
            return plan if parts[0] is input_ else Sort(parts[0], sort_keys)
        case Window(input=input_, specs=specs):
            return plan if parts[0] is input_ else Window(parts[0], specs)
        case MapExternal(input=input_, items=external):
            return plan if parts[0] is input_ else MapExternal(parts[0], external)
        case Limit(input=input_, count=count, offset=offset):
            return plan if parts[0] is input_ else Limit(parts[0], count, offset)
        case UnionAll(columns=columns, inputs=inputs):
            return plan if all(map(_is, parts, inputs)) else UnionAll(columns, tuple(parts))
        case TableFunction(input=input_, calls=calls, ordinality=ordinality, outer=outer):
            return plan if parts[0] is input_ else TableFunction(parts[0], calls, ordinality, outer)


def map_external(item: ExternalItem, change: Change) -> ExternalItem:
    arguments = tuple([change(argument) for argument in item.call.arguments])
    guard = None if item.guard is None else change(item.guard)
    if guard is item.guard and all(map(_is, arguments, item.call.arguments)):
        return item
    return ExternalItem(item.column, replace(item.call, arguments=arguments), guard)


def map_plan(plan: LogicalPlan, change: Callable[[LogicalPlan], LogicalPlan]) -> LogicalPlan:
    """`change` applied to every node, inputs first."""
    parts = inputs_of(plan)
    return change(with_inputs(plan, [map_plan(part, change) for part in parts]) if parts else plan)
