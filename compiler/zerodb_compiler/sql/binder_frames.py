"""Frames of windows: ROWS, RANGE and GROUPS, their bounds and exclusions."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.plan.logical import SortKey
from zerodb_compiler.plan.rules.comparison_keys import keyed
from zerodb_compiler.plan.windows import BoundKind, Exclusion, Frame, FrameBound, FrameMode
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_operators import arithmetic
from zerodb_compiler.sql.expressions import ColumnRef, Expression, walk
from zerodb_compiler.sql.nodes import only, position_of
from zerodb_compiler.sql.parameters import Constant, UserValue
from zerodb_compiler.types import BIGINT, DOUBLE, INTERVAL, MAX_PRECISION, SqlType, TypeId, numeric

_ORDER = list(BoundKind)
_TIMES = frozenset({TypeId.DATE, TypeId.TIME, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.INTERVAL})


def _wrong(message: str, node: exp.Expr) -> ProgrammingError:
    return ProgrammingError(message, sqlstate="42P20", position=position_of(node))


def bind_frame(b: ExpressionBinder, node: exp.Expr, order: Sequence[SortKey], order_node: exp.Expr | None) -> Frame:
    """The frame of a window ordered by `order`. ProgrammingError 42P20 for frames that cannot be."""
    only(node, "kind", "start", "start_side", "end", "end_side", "exclude")
    mode = FrameMode(str(node.args["kind"]).lower())
    between = node.args.get("end") is not None
    start_kind = _kind(node.args["start"], node.args.get("start_side"))
    end_kind = _kind(node.args["end"], node.args.get("end_side")) if between else BoundKind.CURRENT_ROW
    _check_kinds(start_kind, end_kind, between, node)
    if mode is FrameMode.GROUPS and order_node is None:
        raise _wrong("GROUPS mode requires an ORDER BY clause", node)
    start = _bound(b, mode, start_kind, node.args["start"], order, node)
    end = _bound(b, mode, end_kind, node.args.get("end"), order, node)
    exclude = node.args.get("exclude")
    exclusion = Exclusion(str(exclude.this).lower()) if exclude is not None else Exclusion.NO_OTHERS
    return Frame(mode, start, end, exclusion)


def _kind(value: object, side: object) -> BoundKind:
    if isinstance(value, str) and value.upper() == "CURRENT ROW":
        return BoundKind.CURRENT_ROW
    preceding = str(side).upper() == "PRECEDING"
    if isinstance(value, str) and value.upper() == "UNBOUNDED":
        return BoundKind.UNBOUNDED_PRECEDING if preceding else BoundKind.UNBOUNDED_FOLLOWING
    return BoundKind.PRECEDING if preceding else BoundKind.FOLLOWING


def _check_kinds(start: BoundKind, end: BoundKind, between: bool, node: exp.Expr) -> None:
    if start is BoundKind.UNBOUNDED_FOLLOWING:
        raise _wrong("frame start cannot be UNBOUNDED FOLLOWING", node)
    if end is BoundKind.UNBOUNDED_PRECEDING:
        raise _wrong("frame end cannot be UNBOUNDED PRECEDING", node)
    if _ORDER.index(end) >= _ORDER.index(start):
        return
    if start is BoundKind.CURRENT_ROW:
        raise _wrong("frame starting from current row cannot have preceding rows", node)
    if not between:
        raise _wrong("frame starting from following row cannot end with current row", node)
    raise _wrong("frame starting from following row cannot have preceding rows", node)


def _bound(
    b: ExpressionBinder,
    mode: FrameMode,
    kind: BoundKind,
    value: object,
    order: Sequence[SortKey],
    node: exp.Expr,
) -> FrameBound:
    if kind not in (BoundKind.PRECEDING, BoundKind.FOLLOWING):
        return FrameBound(kind)
    if not isinstance(value, exp.Expr):  # `rows and ...`
        raise ProgrammingError("syntax error in a window frame", position=position_of(node))
    if mode is FrameMode.RANGE and len(order) != 1:
        raise _wrong("RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column", node)
    aggregates, b.aggregates = b.aggregates, None
    clause, b.clause = b.clause, mode.name
    try:
        bound = b.bound(value)
        if not isinstance(bound, Constant | UserValue) and any(isinstance(part, ColumnRef) for part in walk(bound)):
            raise ProgrammingError(
                f"argument of {mode.name} must not contain variables", sqlstate="42P10", position=position_of(value)
            )
        if mode is not FrameMode.RANGE:
            offset = _row_offset(b, bound, mode, value)
        else:
            offset = _range_offset(b, bound, order[0].expression, value)
    finally:
        b.aggregates, b.clause = aggregates, clause
    if offset.type.id is not TypeId.INTERVAL:
        return FrameBound(kind, offset)
    return _interval_bound(b, kind, offset, order[0], value)


def _interval_bound(
    b: ExpressionBinder, kind: BoundKind, offset: Expression, key: SortKey, node: exp.Expr
) -> FrameBound:
    expression = key.expression
    if expression.type.id is TypeId.INTERVAL:  # keys of sums are sums of keys
        return FrameBound(kind, keyed(offset))
    if expression.type.id is TypeId.TIME:  # the time of day does not begin anew
        return FrameBound(kind, b.call("interval_micros", (offset,), BIGINT, node))
    subtract = (kind is BoundKind.PRECEDING) != key.descending
    limit = b.finish(arithmetic(b, *(("sub", "-") if subtract else ("add", "+")), expression, offset, node))
    return FrameBound(kind, keyed(offset), limit, b.cast(expression, limit.type, node))


def _row_offset(b: ExpressionBinder, value: Bound, mode: FrameMode, node: exp.Expr) -> Expression:
    type_ = b.type_of(value)
    if not (type_.is_number or type_.id is TypeId.NULL):
        raise ProgrammingError(
            f"argument of {mode.name} must be type bigint, not type {type_}",
            sqlstate="42804",
            position=position_of(node),
        )
    return b.cast(value, BIGINT, node)


def _range_offset(b: ExpressionBinder, value: Bound, key: Expression, node: exp.Expr) -> Expression:
    """The offset in a type that can be added to the key: integers to integers, numbers of the key's scale or a finer
    one to numeric, doubles to floats, intervals to dates, times and intervals."""
    type_ = b.type_of(value)
    target = _offset_type(key.type, type_)
    if target is None:
        raise error_for(
            "0A000",
            f"RANGE with offset PRECEDING/FOLLOWING is not supported for column type {key.type} "
            f"and offset type {type_}",
            position=position_of(node),
        )
    return b.cast(value, target, node)


def _offset_type(key: SqlType, offset: SqlType) -> SqlType | None:
    untyped = offset.id is TypeId.NULL
    if key.is_float:
        return DOUBLE if untyped or offset.is_number else None
    if key.is_integer:
        return BIGINT if untyped else (offset if offset.is_integer else None)
    if key.id in _TIMES:
        return INTERVAL if untyped or offset.id is TypeId.INTERVAL else None
    if key.id is TypeId.NUMERIC:
        if untyped:
            return key
        return numeric(MAX_PRECISION, max(key.scale, offset.scale)) if offset.is_exact else None
    return None


__all__ = ["bind_frame"]
