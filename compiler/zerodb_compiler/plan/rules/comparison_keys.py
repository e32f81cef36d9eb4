"""Types whose equality and order are not those of their canonical bytes are compared by a key.

    where i = interval '1 month'    ->   where sort_key(i) = 2592000000000
    group by i                      ->   group by sort_key(i), carrying any_value(i)
    order by i                      ->   order by sort_key(i)

'1 month' and '30 days' are equal and print differently; so are {"a": 1} and {"a": 1.0} in jsonb. `sort_key` gives a
value (`SqlType.sort_key_type`) whose plain comparison is the type's. The rule comes first, so that no other rule, no
operator and no hash table ever compares such values by their bytes, or takes two equal ones for the same. (min, max,
greatest and least compare by key themselves: codegen/accumulators.py, codegen/expressions.py.)

Limits: an aggregate of DISTINCT values of such a type other than count is refused (0A000).
"""

from __future__ import annotations

from dataclasses import replace

from zerodb_compiler.errors import error_for
from zerodb_compiler.intervals import sort_key
from zerodb_compiler.plan.logical import Aggregate, AggregateItem, Item, LogicalPlan, Project, Sort, SortKey, Window
from zerodb_compiler.plan.transform import Fresh, call, map_expressions, map_plan, passed, rebuild
from zerodb_compiler.plan.windows import WindowSpec
from zerodb_compiler.sql.aggregates import ORDERED_SET
from zerodb_compiler.sql.collations import mismatch, undecided
from zerodb_compiler.sql.expressions import (
    AggregateCall,
    AnySubquery,
    Call,
    Column,
    ColumnRef,
    Exists,
    Expression,
    InSubquery,
    Literal,
    Parameter,
    ScalarSubquery,
)
from zerodb_compiler.sql.functions import COMPARISONS
from zerodb_compiler.types import UNDECIDED, SqlType, TypeId

_ORDERING = frozenset({"lt", "le", "gt", "ge"})
_COMPARING = COMPARISONS | {"in", "is_distinct", "is_not_distinct"}
# Of these DISTINCT means nothing.
_DISTINCT_IS_NOTHING = frozenset({"min", "max", "any_value", "bool_and", "bool_or"})


def compare_by_keys(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    return map_plan(plan, lambda node: _node(node, fresh))


def keyed(expression: Expression) -> Expression:
    """What an expression is compared by: itself, for most types."""
    type_ = expression.type
    if not type_.has_sort_key:
        return expression
    if isinstance(expression, Literal):
        if expression.value is None:
            return Literal(None, type_.sort_key_type)
        if type_.id is TypeId.INTERVAL and isinstance(expression.value, int):
            return Literal(sort_key(expression.value), type_.sort_key_type)
    return call("sort_key", expression, type_=type_.sort_key_type)


def ordered(expression: Expression) -> Expression:
    """What an expression is ordered by: as `keyed`, but text of a collation is equal by its bytes alone."""
    type_ = expression.type
    if type_.collation == UNDECIDED:
        raise undecided("string comparison", getattr(expression, "position", None))
    if type_.has_sort_key or not type_.has_order_key:
        return keyed(_uncollated(expression))
    if isinstance(expression, Literal) and expression.value is None:
        return Literal(None, type_.sort_key_type)
    return call("sort_key", expression, type_=type_.sort_key_type)


def _uncollated(expression: Expression) -> Expression:
    """Without COLLATE, which has had its say: no later stage knows of it."""
    while isinstance(expression, Call) and expression.function == "collate" and expression.type.is_text:
        expression = expression.arguments[0]
    return expression


def _node(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    plan = map_expressions(plan, lambda expression: _expression(expression, fresh))
    match plan:
        case Sort(keys=keys) if any(key.expression.type.id is TypeId.JSON for key in keys):
            raise _no_operator("an ordering")
        case Aggregate(keys=items) if any(item.column.type.id is TypeId.JSON for item in items):
            raise _no_operator("an equality")
        case Aggregate(keys=items) if any(item.column.type.collation == UNDECIDED for item in items):
            raise mismatch([], None)
        case Sort(input=input_, keys=keys) if any(key.expression.type.collation == UNDECIDED for key in keys):
            raise _without_collation(input_, keys)
        case Sort(input=input_, keys=keys) if any(_is_ordered_otherwise(key.expression.type) for key in keys):
            return Sort(
                input_, tuple([SortKey(ordered(key.expression), key.descending, key.nulls_first) for key in keys])
            )
        case Window(input=input_, specs=specs):
            by_keys = tuple([_window(spec) for spec in specs])
            return plan if by_keys == specs else Window(input_, by_keys)
        case Aggregate(keys=items) if any(item.column.type.has_sort_key for item in items):
            return _grouped(plan, fresh)
    return plan


def _no_operator(which: str) -> Exception:
    """json is a text that is never compared."""
    return error_for("42883", f"could not identify {which} operator for type json")


def _without_collation(input_: LogicalPlan, keys: tuple[SortKey, ...]) -> Exception:
    """A key that is computed here has different implicit collations; one that is a column of a subquery has none."""
    (key, *_) = [key.expression for key in keys if key.expression.type.collation == UNDECIDED]
    while isinstance(key, ColumnRef):
        items = input_.items if isinstance(input_, Project) else ()
        found = [item.expression for item in items if item.column == key.column]
        if not found or not isinstance(input_, Project):
            return undecided("string comparison", None)
        key, input_ = found[0], input_.input
    parts = key.arguments if isinstance(key, Call) else ()
    return mismatch([part.type.collation for part in parts], getattr(key, "position", None))


def _is_ordered_otherwise(type_: SqlType) -> bool:
    return type_.has_sort_key or type_.collation is not None


def _window(spec: WindowSpec) -> WindowSpec:
    order = tuple([SortKey(ordered(key.expression), key.descending, key.nulls_first) for key in spec.order])
    return WindowSpec(tuple(map(keyed, spec.partition)), order, spec.items)


def _grouped(plan: Aggregate, fresh: Fresh) -> LogicalPlan:
    """Groups by the keys of the keys; what is to be seen of a group's key is any of its values."""
    keys: list[Item] = []
    carried: list[AggregateItem] = []
    for item in plan.keys:
        type_ = item.column.type
        if not type_.has_sort_key:
            keys.append(item)
            continue
        key = Column(fresh(), f"{item.column.name} key", type_.sort_key_type, item.expression.nullable)
        keys.append(Item(key, keyed(item.expression)))
        value = AggregateCall("any_value", item.expression, type_, item.expression.nullable)
        carried.append(AggregateItem(item.column, value))
    grouped = Aggregate(plan.input, tuple(keys), (*plan.aggregates, *carried))
    return Project(grouped, tuple([passed(column) for column in plan.output]))


def _expression(expression: Expression, fresh: Fresh) -> Expression:
    match expression:
        case ColumnRef() | Literal() | Parameter():
            return expression
        case ScalarSubquery(plan=plan, column=column, type=type_, nullable=nullable):
            changed = compare_by_keys(plan, fresh)
            return expression if changed is plan else ScalarSubquery(changed, column, type_, nullable)
        case Exists(plan=plan, negated=negated):
            changed = compare_by_keys(plan, fresh)
            return expression if changed is plan else Exists(changed, negated)
        case InSubquery():
            return _membership(expression, fresh)
        case AnySubquery(operands=operands, places=places, plan=plan, test=test):
            values = tuple([_expression(operand, fresh) for operand in operands])
            return AnySubquery(values, places, compare_by_keys(plan, fresh), _expression(test, fresh))
        case AggregateCall(argument=argument) if expression.distinct and argument is not None:
            if argument.type.has_sort_key and expression.function not in _DISTINCT_IS_NOTHING:
                return _distinct(expression, fresh)
    changed_parts = rebuild(expression, lambda part: _expression(part, fresh))
    if isinstance(changed_parts, AggregateCall) and any(
        _is_ordered_otherwise(key.expression.type) for key in changed_parts.order
    ):
        return _ordered(changed_parts)
    if isinstance(changed_parts, Call) and changed_parts.function in _COMPARING:
        by_order = changed_parts.function in _ORDERING
        return rebuild(changed_parts, ordered if by_order else lambda part: keyed(_uncollated(part)))
    return changed_parts


def _ordered(expression: AggregateCall) -> AggregateCall:
    """ORDER BY in an aggregate; an ordered-set aggregate would give the key instead of the value."""
    if not any(key.expression.type.has_order_key for key in expression.order):
        return replace(
            expression, order=tuple(replace(key, expression=ordered(key.expression)) for key in expression.order)
        )
    if expression.function in ORDERED_SET or expression.distinct:
        order = expression.order[0].expression.type
        message = f"{expression.function} in the order of values of type {order} is not supported"
        raise error_for("0A000", message, position=expression.position)
    keys = tuple(replace(key, expression=ordered(key.expression)) for key in expression.order)
    return replace(expression, order=keys)


def _distinct(expression: AggregateCall, fresh: Fresh) -> Expression:
    argument = expression.argument
    assert argument is not None
    if expression.function != "count":
        message = f"{expression.function}(DISTINCT) of type {argument.type} is not supported"
        raise error_for("0A000", message, position=expression.position)
    changed = keyed(_expression(argument, fresh))
    filter_ = None if expression.filter is None else _expression(expression.filter, fresh)
    position = expression.position
    return AggregateCall("count", changed, expression.type, expression.nullable, True, filter_, position)


def _membership(expression: InSubquery, fresh: Fresh) -> Expression:
    plan, column = compare_by_keys(expression.plan, fresh), expression.column
    operand = _expression(expression.operand, fresh)
    if operand.type.has_sort_key:
        key = Column(fresh(), f"{column.name} key", column.type.sort_key_type, column.nullable)
        plan = Project(plan, (Item(key, keyed(ColumnRef(column))),))
        operand, column = keyed(operand), key
    elif plan is expression.plan and operand is expression.operand:
        return expression
    return InSubquery(operand, plan, column, expression.negated, expression.nullable)
