"""Window functions: OVER, the WINDOW clause, frames.

As with aggregates, a call becomes a reference to a fresh column, and the calls are collected (`Windows`): those of one
query level make one Window node, above the grouping and below the select list. Arguments and window definitions are
bound like the select list, so they may hold aggregates; in a grouped query `Windows.above` puts them over its output.

PARTITION BY and ORDER BY of constants change nothing and are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.plan.logical import LogicalPlan, SortKey, Window
from zerodb_compiler.plan.transform import rebuild
from zerodb_compiler.plan.windows import (
    DEFAULT_FRAME,
    Frame,
    WindowCall,
    WindowItem,
    WindowSpec,
    bounds_of,
    map_spec,
)
from zerodb_compiler.sql import binder_aggregates, coercion
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles, united
from zerodb_compiler.sql.binder_frames import bind_frame
from zerodb_compiler.sql.binder_functions import WINDOW_FUNCTIONS, function_name, no_function
from zerodb_compiler.sql.expressions import AggregateCall, Column, ColumnRef, Expression, Literal, Parameter
from zerodb_compiler.sql.nodes import CALL_MARK, fold, only, position_of, unsupported
from zerodb_compiler.sql.parameters import UserValue
from zerodb_compiler.types import BIGINT, DOUBLE, INTEGER, SqlType, TypeId

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder

# Functions with arguments: the least and the greatest number of them.
_ARGUMENTS = {
    "ntile": (1, 1),
    "lag": (1, 3),
    "lead": (1, 3),
    "first_value": (1, 1),
    "last_value": (1, 1),
    "nth_value": (2, 2),
}
_RANKS = {"row_number": BIGINT, "rank": BIGINT, "dense_rank": BIGINT, "percent_rank": DOUBLE, "cume_dist": DOUBLE}
_FRAMED = ("first_value", "last_value", "nth_value")


def windowing_error(message: str, position: int | None, hint: str | None = None) -> ProgrammingError:
    return ProgrammingError(message, sqlstate="42P20", position=position, hint=hint)


@dataclass(frozen=True, slots=True)
class _Definition:
    """A window as far as it is defined: what OVER or WINDOW say, and what the windows they refer to say."""

    partition: tuple[Expression, ...]
    order: tuple[SortKey, ...]
    frame: Frame | None  # None: no frame clause
    order_node: exp.Expr | None


@dataclass(slots=True)
class _Spec:
    partition: tuple[Expression, ...]
    order: tuple[SortKey, ...]
    items: list[WindowItem] = field(default_factory=list)


class Windows:
    """The window functions of one query level, and its WINDOW clause."""

    def __init__(self, clause: Sequence[exp.Expr]) -> None:
        self._specs: dict[object, _Spec] = {}
        self._found: dict[object, Column] = {}
        self._clause = list(clause)
        self._named: dict[str, _Definition] = {}
        self._in_clause = False
        self._taken = 0  # how many items of the WINDOW clause are bound

    @property
    def are_used(self) -> bool:
        return bool(self._found)

    def bind_clause(self, b: ExpressionBinder) -> None:
        """Binds the rest of the WINDOW clause: what is wrong in a window nobody uses is an error too."""
        while self._taken < len(self._clause):
            self._bind_next(b)

    def _bind_next(self, b: ExpressionBinder) -> None:
        node = self._clause[self._taken]
        self._taken += 1
        name = fold(node.this)
        if name in self._named:
            raise windowing_error(f'window "{name}" is already defined', position_of(node.this))
        self._in_clause = True
        self._named[name] = self.define(b, node)
        self._in_clause = False

    def named(self, b: ExpressionBinder, identifier: exp.Expr) -> _Definition:
        """A window of the WINDOW clause; there, only windows before it can be meant."""
        name = fold(identifier)
        while name not in self._named and self._taken < len(self._clause) and not self._in_clause:
            self._bind_next(b)
        found = self._named.get(name)
        if found is None:
            raise ProgrammingError(
                f'window "{name}" does not exist', sqlstate="42704", position=position_of(identifier)
            )
        return found

    def define(self, b: ExpressionBinder, node: exp.Expr) -> _Definition:
        """The window that an OVER or an item of WINDOW describes."""
        only(node, "this", "partition_by", "order", "spec", "alias", "over")
        alias, order, spec = node.args.get("alias"), node.args.get("order"), node.args.get("spec")
        base = self.named(b, alias) if alias is not None else None
        with _InWindow(b):
            partition = _partition(b, node.args.get("partition_by") or ())
            keys = () if order is None else _order(b, order)
        if base is not None:
            assert alias is not None
            _check_copy(base, fold(alias), bool(node.args.get("partition_by")), order is not None, node)
            partition = base.partition
            keys = keys if order is not None else base.order
        order_node = order if order is not None else (base.order_node if base is not None else None)
        copied = self._in_clause or (alias is not None and str(alias.this).endswith(CALL_MARK))
        if spec is None and not copied:
            return _Definition(partition, keys, base.frame if base is not None else None, order_node)
        if base is not None and base.frame is not None:
            assert alias is not None
            raise windowing_error(
                f'cannot copy window "{fold(alias)}" because it has a frame clause', position_of(alias)
            )
        if spec is None:
            return _Definition(partition, keys, None, order_node)
        with _InWindow(b):
            frame = bind_frame(b, spec, keys, order_node)
        return _Definition(partition, keys, frame, order_node)

    def column(
        self, binder: Binder, definition: _Definition, call: AggregateCall | WindowCall, type_: SqlType, nullable: bool
    ) -> Column:
        """The column of this call; equal calls over equal windows share one."""
        framed = isinstance(call, AggregateCall) or call.function in _FRAMED
        frame = (definition.frame or DEFAULT_FRAME) if framed else None
        partition = tuple({_signature(part): part for part in definition.partition if not _is_constant(part)}.values())
        ranged = frame is not None and any(bound.offset is not None for bound in bounds_of(frame))
        order = tuple([key for key in definition.order if ranged or not _is_constant(key.expression)])
        place = (
            tuple(map(_signature, partition)),
            tuple([(_signature(key.expression), key.descending, key.nulls_first) for key in order]),
        )
        identity = (place, _call_signature(call), frame)
        found = self._found.get(identity)
        if found is None:
            name = call.function if call.function != "count_star" else "count"
            found = self._found[identity] = binder.column(name, type_, nullable)
            spec = self._specs.setdefault(place, _Spec(partition, order))
            spec.items.append(WindowItem(found, call, frame))
        return found

    def plan(self, input_: LogicalPlan) -> LogicalPlan:
        """The input under a Window of all functions."""
        if not self._specs:
            return input_
        specs = tuple([WindowSpec(spec.partition, spec.order, tuple(spec.items)) for spec in self._specs.values()])
        return Window(input_, specs)

    def above(self, change: Callable[[Expression], Expression]) -> None:
        """Changes all expressions: in a grouped query, to those over the grouping's output."""

        def changed(part: Expression) -> Expression:
            return rebuild(part, change) if isinstance(part, AggregateCall) else change(part)

        for key, spec in self._specs.items():
            mapped = map_spec(WindowSpec(spec.partition, spec.order, tuple(spec.items)), changed)
            self._specs[key] = _Spec(mapped.partition, mapped.order, list(mapped.items))


class _InWindow:
    """While arguments and definitions of windows are bound: no window function may stand there."""

    def __init__(
        self, b: ExpressionBinder, why: str = "window functions are not allowed in window definitions"
    ) -> None:
        self._b, self._why = b, why

    def __enter__(self) -> None:
        self._before = (self._b.in_window, self._b.lifting)
        self._b.in_window, self._b.lifting = self._why, False

    def __exit__(self, *_: object) -> None:
        self._b.in_window, self._b.lifting = self._before


def _check_copy(base: _Definition, name: str, has_partition: bool, has_order: bool, node: exp.Expr) -> None:
    if has_partition:
        raise windowing_error(f'cannot override PARTITION BY clause of window "{name}"', position_of(node))
    if has_order and base.order_node is not None:
        raise windowing_error(f'cannot override ORDER BY clause of window "{name}"', position_of(node))
    if has_order and base.frame is not None:
        raise windowing_error(f'cannot copy window "{name}" because it has a frame clause', position_of(node))


def _partition(b: ExpressionBinder, nodes: Sequence[exp.Expr]) -> tuple[Expression, ...]:
    return tuple([b.expression(node) for node in nodes])


def _order(b: ExpressionBinder, order: exp.Expr) -> tuple[SortKey, ...]:
    only(order, "expressions")
    keys = []
    for item in order.expressions:
        only(item, "this", "desc", "nulls_first")
        keys.append(SortKey(b.expression(item.this), bool(item.args.get("desc")), bool(item.args.get("nulls_first"))))
    return tuple(keys)


def _is_constant(expression: Expression) -> bool:
    return isinstance(expression, Literal | Parameter)


def _signature(expression: Expression) -> object:
    return binder_aggregates.signature(expression)


def _call_signature(call: AggregateCall | WindowCall) -> object:
    if isinstance(call, AggregateCall):
        return _signature(call)
    return call.function, tuple(map(_signature, call.arguments))


# ---- calls


@handles(exp.Window)
def _window(b: ExpressionBinder, node: exp.Window) -> Bound:
    position = position_of(node)
    if b.in_aggregate:
        raise ProgrammingError(
            "aggregate function calls cannot contain window function calls", sqlstate="42803", position=position
        )
    if b.in_window:
        raise windowing_error(b.in_window, position)
    if b.windows is None:
        raise windowing_error(f"window functions are not allowed in {b.clause}", position)
    if node.args.get("first") is not None:
        raise unsupported("KEEP FIRST or LAST", node)
    function, where = node.this, None
    if isinstance(function, exp.Filter):
        only(function, "this", "expression")
        only(function.expression, "this")
        function, where = function.this, function.expression.this
    windows = b.windows
    definition = windows.define(b, node)
    with _InWindow(b, "window function calls cannot be nested"):
        call, type_, nullable = _call(b, function, where, node)
    return ColumnRef(windows.column(b.binder, definition, call, type_, nullable))


def _call(
    b: ExpressionBinder, node: exp.Expr, where: exp.Expr | None, over: exp.Expr
) -> tuple[AggregateCall | WindowCall, SqlType, bool]:
    """The call with its type and whether it can be NULL."""
    if isinstance(node, exp.IgnoreNulls | exp.RespectNulls):
        raise unsupported("IGNORE NULLS" if isinstance(node, exp.IgnoreNulls) else "RESPECT NULLS", over)
    if isinstance(node, exp.WithinGroup):
        name = function_name(node.this) if isinstance(node.this, exp.Anonymous) else node.this.key
        raise error_for("0A000", f"OVER is not supported for ordered-set aggregate {name}", position=position_of(over))
    name = function_name(node) if isinstance(node, exp.Anonymous) else node.key
    if name in WINDOW_FUNCTIONS:
        if where is not None:
            raise error_for(
                "0A000",
                "FILTER is not implemented for non-aggregate window functions",
                position=position_of(over),
            )
        only(node, "this", "expressions")
        return _window_call(b, name, list(node.expressions), node, position_of(over))
    aggregate = binder_aggregates.call_of(b, node, where)
    if aggregate is None:
        b.expression(node)  # 42883 where there is no such function at all
        raise ProgrammingError(
            f"OVER specified, but {name} is not a window function nor an aggregate function",
            sqlstate="42809",
            position=position_of(over),
        )
    if aggregate.distinct:
        raise error_for("0A000", "DISTINCT is not implemented for window functions", position=position_of(over))
    return aggregate, aggregate.type, aggregate.nullable


def _window_call(
    b: ExpressionBinder, name: str, nodes: list[exp.Expr], node: exp.Expr, position: int | None
) -> tuple[WindowCall, SqlType, bool]:
    values = [b.bound(part) for part in nodes]
    if values and name in ("rank", "dense_rank", "percent_rank", "cume_dist"):
        raise ProgrammingError(
            f"WITHIN GROUP is required for ordered-set aggregate {name}", sqlstate="42809", position=position_of(node)
        )
    least, most = _ARGUMENTS.get(name, (0, 0))
    if not least <= len(values) <= most:
        raise no_function(name, [b.type_of(value) for value in values], node)
    if name in _RANKS:
        return WindowCall(name, (), position), _RANKS[name], False
    if name == "ntile":
        count = _integer(b, name, values, 0, node)
        return WindowCall(name, (count,), position), INTEGER, count.nullable
    if name == "nth_value":
        place = _integer(b, name, values, 1, node)
        value = _typed(b, values[0], node)
        return WindowCall(name, (value, place), position), value.type, True
    if name in _FRAMED:
        value = _typed(b, values[0], node)
        return WindowCall(name, (value,), position), value.type, True
    offset = _integer(b, name, values, 1, node) if len(values) > 1 else Literal(1, INTEGER)
    default: Expression
    if len(values) > 2:
        types = [b.type_of(value) for value in values]
        if coercion.common_type(types[0], types[2]) is None:
            raise no_function(name, types, node)
        (value, default), type_ = united(b, [values[0], values[2]], name, node)
    else:
        value = _typed(b, values[0], node)
        default, type_ = Literal(None, value.type), value.type
    nullable = value.nullable or default.nullable or offset.nullable
    return WindowCall(name, (value, offset, default), position), type_, nullable


def _typed(b: ExpressionBinder, value: Bound, node: exp.Expr) -> Expression:
    """The argument of a function that gives what it takes; an untyped literal says nothing about that."""
    if b.type_of(value).id is TypeId.NULL and not isinstance(value, UserValue):
        raise ProgrammingError(
            "could not determine polymorphic type because input has type unknown",
            sqlstate="42804",
            position=position_of(node),
        )
    return b.text(value, node) if b.type_of(value).id is TypeId.NULL else b.finish(value)


def _integer(b: ExpressionBinder, name: str, values: list[Bound], place: int, node: exp.Expr) -> Expression:
    """The argument as integer, where PostgreSQL's implicit casts make it one."""
    type_ = b.type_of(values[place])
    if type_.id not in (TypeId.SMALLINT, TypeId.INTEGER, TypeId.NULL):
        raise no_function(name, [b.type_of(value) for value in values], node)
    return b.cast(values[place], INTEGER, node)
