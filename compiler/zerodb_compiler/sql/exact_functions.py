"""Roots, logarithms and powers of numeric constants, with the digits that PostgreSQL's numeric gives.

PostgreSQL computes these functions of numeric to a scale that depends on the value: enough for 16 significant digits,
and at least the scale of the arguments (numeric.c). A column of ours has one scale for all its values, so that only
calls on constants, whose value is known when the query is bound, give what PostgreSQL gives; others are computed as
doubles (binder_mathematics.py).
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException, localcontext

from zerodb_compiler.errors import error_for
from zerodb_compiler.types import MAX_PRECISION, SqlType, numeric

_SIGNIFICANT = 16
_DIGITS = 4  # decimal digits of one of numeric's own
_CONTEXT = Context(prec=120, Emax=10**6, Emin=-(10**6))


def _weight(value: Decimal) -> int:
    """The place of the first digit to base 10,000."""
    return 0 if not value else value.adjusted() // _DIGITS


def _scale(value: Decimal) -> int:
    return max(0, -int(value.as_tuple().exponent))


def _rounded(value: Decimal, scale: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-max(0, scale)), ROUND_HALF_UP)


def _ln_weight(value: Decimal) -> int:
    """The decimal weight of the logarithm, as estimate_ln_dweight has it."""
    if value <= 0:
        return 0
    if Decimal("0.9") <= value <= Decimal("1.1"):
        distance = abs(value - 1)
        if not distance:
            return 0
        return distance.adjusted()
    logarithm = abs(math.log10(float(value.scaleb(-value.adjusted()))) + value.adjusted()) * math.log(10)
    return int(math.log10(logarithm)) if logarithm else 0


def _positive(value: Decimal) -> None:
    if not value:
        raise error_for("2201E", "cannot take logarithm of zero")
    if value < 0:
        raise error_for("2201E", "cannot take logarithm of a negative number")


def _sqrt(x: Decimal) -> Decimal:
    if x < 0:
        raise error_for("2201F", "cannot take square root of a negative number")
    scale = _SIGNIFICANT - ((_weight(x) + 1) * _DIGITS // 2 - 1)
    return _rounded(x.sqrt(), max(scale, _scale(x)))


def _ln(x: Decimal) -> Decimal:
    _positive(x)
    return _rounded(x.ln(), max(_SIGNIFICANT - _ln_weight(x), _scale(x)))


def _exp(x: Decimal) -> Decimal:
    digits = float(x) * 0.434294481903252
    if digits > MAX_PRECISION:
        raise error_for("22003", "value overflows numeric format")
    return _rounded(x.exp(), max(_SIGNIFICANT - int(digits), _scale(x)))


def _log(base: Decimal, x: Decimal) -> Decimal:
    _positive(base)
    _positive(x)
    divisor = base.ln()
    if not divisor:
        raise error_for("22012", "division by zero")
    scale = _SIGNIFICANT - (_ln_weight(x) - _ln_weight(base))
    return _rounded(x.ln() / divisor, max(scale, _scale(base), _scale(x)))


def _power(x: Decimal, y: Decimal) -> Decimal:
    whole = y == y.to_integral_value()
    if not x and y < 0:
        raise error_for("2201F", "zero raised to a negative power is undefined")
    if x < 0 and not whole:
        raise error_for("2201F", "a negative number raised to a non-integer power yields a complex result")
    if x and abs(float(y)) * abs(math.log10(abs(float(x)))) > 400:
        if (abs(x) > 1) == (y > 0):
            raise error_for("22003", "value overflows numeric format")
        return _rounded(Decimal(0), max(_SIGNIFICANT, _scale(x)))
    if whole and not y:
        return _rounded(Decimal(1), max(_SIGNIFICANT, _scale(x)))
    if whole:
        return _rounded(x ** int(y), max(_SIGNIFICANT, _scale(x)))
    if not x:
        return _rounded(Decimal(0), _SIGNIFICANT)
    digits = float(y * x.ln()) * 0.434294481903252
    return _rounded((y * x.ln()).exp(), max(_SIGNIFICANT - int(digits), _scale(x), _scale(y)))


def _quotient(x: Decimal, y: Decimal) -> Decimal:
    """As select_div_scale."""
    weights, firsts = [], []
    for value in (x, y):
        weight = _weight(value)
        weights.append(weight)
        firsts.append(int(abs(value).scaleb(-weight * _DIGITS)))
    weight = weights[0] - weights[1] - (firsts[0] <= firsts[1])
    return _rounded(x / y, max(_SIGNIFICANT - weight * _DIGITS, _scale(x), _scale(y)))


_FUNCTIONS = {
    ("div", 2): _quotient,
    ("sqrt", 1): _sqrt,
    ("ln", 1): _ln,
    ("exp", 1): _exp,
    ("log10", 1): lambda x: _log(Decimal(10), x),
    ("log", 2): _log,
    ("power", 2): _power,
}


def exact(name: str, arguments: list[tuple[int, int]], position: int | None) -> tuple[int, SqlType]:
    """The scaled integer and the type of a function of exact numbers, each (scaled integer, scale)."""
    with localcontext(_CONTEXT):
        values = [Decimal(value).scaleb(-scale) for value, scale in arguments]
        function = _FUNCTIONS[name, len(values)]
        try:
            result = function(*values)  # type: ignore[operator]
        except DecimalException:  # more digits than the context has
            raise error_for("22003", "value overflows numeric format", position=position) from None
        except Exception as error:
            if getattr(error, "position", position) is None:
                error.position = position  # type: ignore[attr-defined]
            raise
        scale = _scale(result)
        digits = len(str(abs(int(result))))
        if digits + scale > MAX_PRECISION:
            scale = MAX_PRECISION - digits
            if scale < 0:
                raise error_for("22003", "numeric field overflow", position=position)
            result = _rounded(result, scale)
        return int(result.scaleb(scale)), numeric(MAX_PRECISION, scale)
