"""Arithmetic over dates: intervals, which are only ever constants, and days added and counted."""

from __future__ import annotations

import re
from functools import partial

from sqlglot import exp

from zerodb_compiler.errors import DataError, ProgrammingError
from zerodb_compiler.sql import coercion
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, no_operator, typed
from zerodb_compiler.sql.expressions import Literal
from zerodb_compiler.sql.nodes import position_of, unsupported
from zerodb_compiler.sql.parameters import Constant, IntervalValue, merged
from zerodb_compiler.sql.values import MICROS_PER_DAY, check_range, round_shift
from zerodb_compiler.types import BIGINT, DATE, INTEGER, TIMESTAMP, TypeId

_UNITS: dict[str, tuple[int, int, int]] = {
    "year": (12, 0, 0),
    "month": (1, 0, 0),
    "mon": (1, 0, 0),
    "quarter": (3, 0, 0),
    "decade": (120, 0, 0),
    "century": (1200, 0, 0),
    "week": (0, 7, 0),
    "day": (0, 1, 0),
    "hour": (0, 0, 3_600_000_000),
    "minute": (0, 0, 60_000_000),
    "min": (0, 0, 60_000_000),
    "second": (0, 0, 1_000_000),
    "sec": (0, 0, 1_000_000),
    "millisecond": (0, 0, 1_000),
    "microsecond": (0, 0, 1),
}
_ALIASES = {
    "centuries": "century",
    "y": "year",
    "yr": "year",
    "d": "day",
    "w": "week",
    "h": "hour",
    "hr": "hour",
    "m": "minute",
    "s": "second",
}
_PART = re.compile(
    r"\s*([+-]?[0-9]+)(?:\.([0-9]+))?\s*([a-zA-Z]+)\s*|\s*([+-]?)([0-9]+):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?\s*"
)


def interval(node: exp.Cast) -> IntervalValue:
    """interval '...' [unit]."""
    position = position_of(node)
    if not (isinstance(node.this, exp.Literal) and node.this.args["is_string"]):
        raise unsupported("an interval that is not constant", node)
    text = str(node.this.this)
    months, days, micros = parse_interval(text, position)
    # `interval '90' day` arrives as the text '90 day', of which the literal is only the first part.
    start, end = node.this.meta.get("start"), node.this.meta.get("end")
    if start is None or end is None:
        return IntervalValue(months, days, micros, position)
    unit = text[end - start - 1 :]
    return IntervalValue(months, days, micros, position, (start,), (partial(_interval_of, unit=unit),))


def _interval_of(text: str, unit: str) -> tuple[int, int, int]:
    return parse_interval(text + unit)


def parse_interval(text: str, position: int | None = None) -> tuple[int, int, int]:
    """(months, days, microseconds) of PostgreSQL's verbose form (1 year 2 mons -3 days 04:05:06)."""
    place, months, days, micros = 0, 0, 0, 0
    while place < len(text):
        found = _PART.match(text, place)
        if found is None:
            place = -1
            break
        place = found.end()
        if found[5] is not None:
            seconds = (int(found[5]) * 60 + int(found[6])) * 60 + int(found[7] or 0)
            time = seconds * 1_000_000 + int((found[8] or "0").ljust(6, "0"))
            micros += -time if found[4] == "-" else time
            continue
        name = found[3].lower()
        unit = _UNITS.get(_ALIASES.get(name, name)) or _UNITS.get(
            _ALIASES.get(name[:-1], name[:-1]) if name[-1] == "s" else ""
        )
        if unit is None or (found[2] and not unit[2]):
            place = -1
            break
        amount = int(found[1])
        months, days = months + amount * unit[0], days + amount * unit[1]
        fraction = round_shift(int(found[2] or 0) * unit[2], -len(found[2] or ""))
        micros += amount * unit[2] + (-fraction if found[1].startswith("-") else fraction)
    if place <= 0:
        raise DataError(f'invalid input syntax for type interval: "{text}"', sqlstate="22007", position=position)
    if abs(months) >= 1 << 31 or abs(days) >= 1 << 31 or abs(micros) >= 1 << 63:
        raise DataError(f'interval field value out of range: "{text}"', sqlstate="22015", position=position)
    return months, days, micros


def _moved(moment: int, by: tuple[int, int, int]) -> int:
    return coercion.move_timestamp(moment, *by)


def move(b: ExpressionBinder, function: str, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> Bound:
    """date or timestamp +/- interval -> timestamp."""
    if isinstance(left, IntervalValue) and function == "add" and not isinstance(right, IntervalValue):
        left, right = right, left
    if isinstance(left, IntervalValue) or not isinstance(right, IntervalValue) or function not in ("add", "sub"):
        raise unsupported("arithmetic over intervals", node)
    by = right if function == "add" else -right
    type_ = b.type_of(left)
    if type_.id not in (TypeId.DATE, TypeId.TIMESTAMP, TypeId.NULL):
        raise ProgrammingError(
            f"operator does not exist: {type_} {symbol} interval", sqlstate="42883", position=position_of(node)
        )
    if isinstance(left, Constant):
        moment = b.convert(left, TIMESTAMP)
        if not isinstance(moment.value, int):
            return moment
        value = coercion.move_timestamp(moment.value, *by.value, position_of(node))
        return Constant(TIMESTAMP, value, moment.position, *merged(moment, by, _moved))
    moved = b.cast(left, TIMESTAMP, node)
    if by.months:
        moved = b.call("date_add_months", (moved, Literal(by.months, INTEGER)), TIMESTAMP, node)
    micros = by.days * MICROS_PER_DAY + by.micros
    if micros or not by.months:
        check_range(BIGINT, micros, by.position)
        moved = b.call("timestamp_add_micros", (moved, Literal(micros, BIGINT)), TIMESTAMP, node)
    return moved


def date_arithmetic(
    b: ExpressionBinder, function: str, symbol: str, left: Bound, right: Bound, node: exp.Expr
) -> Bound:
    left_type, right_type = b.type_of(left), b.type_of(right)
    if function == "sub" and left_type.id is TypeId.NULL and right_type.id is TypeId.DATE:
        left, left_type = typed(b, left, DATE, node), DATE
    two_dates = left_type.id is right_type.id is TypeId.DATE
    untyped_date = left_type.id is TypeId.DATE and right_type.id is TypeId.NULL and isinstance(right, Constant)
    if function == "sub" and (two_dates or untyped_date):
        return b.call("date_sub", (b.cast(left, DATE, node), b.cast(right, DATE, node)), INTEGER, node)
    if function == "add" and right_type.id is TypeId.DATE:
        left, right, left_type, right_type = right, left, right_type, left_type
    whole = right_type.is_integer and coercion.is_implicit(right_type, INTEGER)
    if left_type.id is TypeId.DATE and (whole or right_type.id is TypeId.NULL) and function in ("add", "sub"):
        folded = _fold_days(function, left, right)
        if folded is not None:
            return folded
        amount = b.cast(right, INTEGER, node)
        if function == "sub":
            amount = b.call("neg", (amount,), INTEGER, node)
        return b.call("date_add_days", (b.cast(left, DATE, node), amount), DATE, node)
    if left_type.id is right_type.id is TypeId.TIMESTAMP and function == "sub":
        raise unsupported("the difference of timestamps (type interval)", node)
    raise no_operator(symbol, left_type, right_type, node)


def _fold_days(function: str, left: Bound, right: Bound) -> Constant | None:
    if not (isinstance(left, Constant) and isinstance(right, Constant)):
        return None
    if not (isinstance(left.value, int) and isinstance(right.value, int)):
        return None
    days = check_range(DATE, left.value + (right.value if function == "add" else -right.value), left.position)
    return Constant(DATE, days, left.position, left.sources + right.sources, None)
