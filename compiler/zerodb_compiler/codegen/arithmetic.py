"""Exact and floating-point arithmetic in generated code.

Every exact value carries proven bounds. Where the exact result of an operation is proven to lie within the SQL type,
no check is generated; where it is proven to fit 64 bits, one i64 instruction does it. Else the operation is done in 128
bits and the result checked against the type's bounds (SQLSTATE 22003). `null` flags mask every check: what stands
under a NULL must not raise.
"""

from __future__ import annotations

from zerodb_compiler.codegen.comparison import compare, to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.sqlvalues import I64_HIGH, I64_LOW, Int, Real, SqlValue, Wide, fits_i64
from zerodb_compiler.kernels import int128
from zerodb_compiler.types import SqlType, TypeId
from zerodb_compiler.wasm.values import F64, I32, I64, convert, select

I128_LOW, I128_HIGH = -(1 << 127), (1 << 127) - 1
_MASK = (1 << 64) - 1


def wide_constant(value: int) -> Wide:
    return Wide(I64.const(value & _MASK), I64.const((value >> 64) & _MASK), value, value)


def exact_constant(value: int) -> Int | Wide:
    return Int(I64.const(value), value, value) if fits_i64(value, value) else wide_constant(value)


def out_of_range(type_: SqlType) -> tuple[str, str]:
    """SQLSTATE and PostgreSQL's message for a value that does not fit."""
    if type_.id is TypeId.NUMERIC:
        return "22003", f"numeric field overflow: value does not fit {type_}"
    moments = (TypeId.DATE, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.TIME, TypeId.INTERVAL)
    return "22008" if type_.id in moments else "22003", f"{type_} out of range"


def raise_if(e: Emitter, condition: I32, null: I32 | None, error: tuple[str, str], position: int | None) -> None:
    if null is not None:
        condition = condition & null.is_zero()
    e.error_if(condition, *error, position)


def bounded(e: Emitter, value: Int | Wide, type_: SqlType, position: int | None) -> Int | Wide:
    """The value as one of `type_`: checked against the type where its bounds do not prove it, and narrowed to 64 bits
    where the type allows."""
    low, high = type_.bounds
    error = out_of_range(type_)
    if value.low < low or value.high > high:
        value = e.keep_value(value)
        assert isinstance(value, Int | Wide)
        if isinstance(value, Wide) and fits_i64(low, high):
            not_i64 = value.upper != (value.value >> 63)
            raise_if(e, not_i64, value.null, error, position)
            value = Int(value.value, I64_LOW, I64_HIGH, value.null)
        outside: I32 | None = None
        if value.low < low and not (isinstance(value, Int) and low <= I64_LOW):
            outside = compare(e, "lt", value, exact_constant(low))
        if value.high > high and not (isinstance(value, Int) and high >= I64_HIGH):
            above = compare(e, "gt", value, exact_constant(high))
            outside = above if outside is None else outside | above
        if outside is not None:
            raise_if(e, outside, value.null, error, position)
    low, high = max(low, value.low), min(high, value.high)
    if low > high:
        # No value passes the check; the bounds only have to be consistent.
        low = high = max(type_.bounds[0], min(type_.bounds[1], 0))
    if isinstance(value, Wide) and fits_i64(low, high):
        return Int(value.value, low, high, value.null)
    if isinstance(value, Int):
        return Int(value.value, low, high, value.null)
    return Wide(value.value, value.upper, low, high, value.null)


def add(e: Emitter, a: Int | Wide, b: Int | Wide, null: I32 | None, type_: SqlType, position: int | None) -> SqlValue:
    low, high = a.low + b.low, a.high + b.high
    if isinstance(a, Int) and isinstance(b, Int) and fits_i64(low, high):
        return bounded(e, Int(a.value + b.value, low, high, null), type_, position)
    return _wide_sum(e, "i64.add128", to_wide(a), to_wide(b), (low, high), null, type_, position)


def subtract(
    e: Emitter, a: Int | Wide, b: Int | Wide, null: I32 | None, type_: SqlType, position: int | None
) -> SqlValue:
    low, high = a.low - b.high, a.high - b.low
    if isinstance(a, Int) and isinstance(b, Int) and fits_i64(low, high):
        return bounded(e, Int(a.value - b.value, low, high, null), type_, position)
    return _wide_sum(e, "i64.sub128", to_wide(a), to_wide(b), (low, high), null, type_, position)


def _wide_sum(
    e: Emitter, name: str, a: Wide, b: Wide, exact: tuple[int, int], null: I32 | None, type_: SqlType,
    position: int | None,
) -> SqlValue:  # fmt: skip
    a_upper, b_upper = e.keep(a.upper), e.keep(b.upper)
    low, high = e.f.wide(name, e.keep(a.value), a_upper, e.keep(b.value), b_upper)
    if exact[0] < I128_LOW or exact[1] > I128_HIGH:
        # Overflow of 128 bits: the operands' signs agree (add) or differ (sub) and the result's sign is not a's.
        signs = (a_upper ^ high) & ((b_upper ^ high) if name == "i64.add128" else (a_upper ^ b_upper))
        raise_if(e, signs < 0, null, out_of_range(type_), position)
        exact = (max(exact[0], I128_LOW), min(exact[1], I128_HIGH))
    return bounded(e, Wide(low, high, *exact, null), type_, position)


def multiply(
    e: Emitter, a: Int | Wide, b: Int | Wide, null: I32 | None, type_: SqlType, position: int | None
) -> SqlValue:
    products = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    low, high = min(products), max(products)
    if isinstance(a, Int) and isinstance(b, Int):
        if fits_i64(low, high):
            return bounded(e, Int(a.value * b.value, low, high, null), type_, position)
        result = e.f.wide("i64.mul_wide_s", a.value, b.value)
        return bounded(e, Wide(*result, low, high, null), type_, position)
    wide_a, wide_b = to_wide(a), to_wide(b)
    value, upper, overflow = e.f.run(
        e.context.kernel(int128.multiply), e.keep(wide_a.value), wide_a.upper, e.keep(wide_b.value), wide_b.upper
    )
    if low < I128_LOW or high > I128_HIGH:
        raise_if(e, overflow, null, out_of_range(type_), position)
        low, high = max(low, I128_LOW), min(high, I128_HIGH)
    return bounded(e, Wide(value, upper, low, high, null), type_, position)


def rescale_up(e: Emitter, a: Int | Wide, digits: int, type_: SqlType, position: int | None) -> SqlValue:
    """The value times 10**digits."""
    return multiply(e, a, exact_constant(10**digits), a.null, type_, position)


def _nonzero(e: Emitter, divisor: Int | Wide, null: I32 | None, position: int | None) -> Int | Wide:
    """Raises 22012 for a zero divisor, and puts 1 under a NULL so that the division cannot trap: what stands there may
    be out of the proven bounds, a zero divisor (of an outer join's NULL row) or a least dividend (that -1 must not
    divide) too."""
    never_zero = divisor.low > 0 or divisor.high < 0
    if never_zero and (null is None or (divisor.null is None and not divisor.low <= -1 <= divisor.high)):
        return divisor
    kept = e.keep_value(divisor)
    if not never_zero:
        zero = compare(e, "eq", kept, exact_constant(0))
        raise_if(e, zero, null, ("22012", "division by zero"), position)
    if null is None:
        return kept
    low, high = min(1, kept.low), max(1, kept.high)
    safe = e.keep(select(null, I64.const(1), kept.value))
    if isinstance(kept, Int):
        return Int(safe, low, high, kept.null)
    upper = e.keep(select(null, I64.const(0), kept.upper))
    return Wide(safe, upper, low, high, kept.null)


def _kept_wide(e: Emitter, value: Int | Wide) -> Wide:
    kept = e.keep_value(value)
    return to_wide(kept)


def _quotient_bounds(a: Int | Wide, factor: int = 1) -> tuple[int, int]:
    largest = max(abs(a.low), abs(a.high)) * factor
    return -largest, largest


def divide_truncating(
    e: Emitter, a: Int | Wide, b: Int | Wide, null: I32 | None, type_: SqlType, position: int | None
) -> SqlValue:
    """Integer division, towards zero."""
    b = _nonzero(e, b, null, position)
    low, high = _quotient_bounds(a)
    if isinstance(a, Int) and isinstance(b, Int) and a.low > I64_LOW:
        return bounded(e, Int(a.value.divide_s(b.value), low, high, null), type_, position)
    wide_a, wide_b = _kept_wide(e, a), _kept_wide(e, b)
    value, upper = e.f.run(
        e.context.kernel(int128.divide_truncating),
        e.keep(wide_a.value),
        wide_a.upper,
        e.keep(wide_b.value),
        wide_b.upper,
    )
    if a.low == I128_LOW and b.low <= -1 <= b.high:
        # The least value divided by -1 wraps to itself: the only negative quotient of two negative numbers.
        upper = e.keep(upper)
        raise_if(e, (wide_a.upper & wide_b.upper & upper) < 0, null, out_of_range(type_), position)
    return bounded(e, Wide(value, upper, max(low, I128_LOW), min(high, I128_HIGH), null), type_, position)


def remainder(
    e: Emitter, a: Int | Wide, b: Int | Wide, null: I32 | None, type_: SqlType, position: int | None
) -> SqlValue:
    """The remainder with the sign of the dividend."""
    b = _nonzero(e, b, null, position)
    largest = max(abs(b.low), abs(b.high))
    low, high = (0 if a.low >= 0 else -largest), (0 if a.high <= 0 else largest)
    if isinstance(a, Int) and isinstance(b, Int):
        return bounded(e, Int(a.value.remainder_s(b.value), low, high, null), type_, position)
    wide_a, wide_b = to_wide(a), to_wide(b)
    value, upper = e.f.run(
        e.context.kernel(int128.remainder), e.keep(wide_a.value), wide_a.upper, e.keep(wide_b.value), wide_b.upper
    )
    return bounded(e, Wide(value, upper, low, high, null), type_, position)


def divide_rounding(
    e: Emitter, a: Int | Wide, b: Int | Wide, shift: int, null: I32 | None, type_: SqlType, position: int | None
) -> SqlValue:
    """a * 10**shift / b, rounded half away from zero: numeric division. A negative shift scales the divisor."""
    b = _nonzero(e, b, null, position)
    if shift < 0 and max(-b.low, b.high) * 10**-shift > I128_HIGH:
        return _divide_by_scaled(e, a, b, -shift, null, type_, position)
    if shift < 0:
        scaled = rescale_up(e, b, -shift, SqlType(TypeId.HUGEINT), position)
        assert isinstance(scaled, Int | Wide)
        b, shift = scaled, 0
    low, high = _quotient_bounds(a, 10**shift)
    wide_a, wide_b = to_wide(a), to_wide(b)
    if shift > 38:
        value, upper, overflow = e.f.run(
            e.context.kernel(int128.scale_divide_far),
            e.keep(wide_a.value), wide_a.upper, I32.const(shift - 38), e.keep(wide_b.value), wide_b.upper,
        )  # fmt: skip
    else:
        factor = wide_constant(10**shift)
        value, upper, overflow = e.f.run(
            e.context.kernel(int128.scale_divide),
            e.keep(wide_a.value), wide_a.upper, factor.value, factor.upper, e.keep(wide_b.value), wide_b.upper,
        )  # fmt: skip
    if low < I128_LOW or high > I128_HIGH:
        raise_if(e, overflow, null, out_of_range(type_), position)
        low, high = max(low, I128_LOW), min(high, I128_HIGH)
    return bounded(e, Wide(value, upper, low, high, null), type_, position)


def _divide_by_scaled(
    e: Emitter, a: Int | Wide, b: Int | Wide, digits: int, null: I32 | None, type_: SqlType, position: int | None
) -> SqlValue:
    """a / (b * 10**digits) where the divisor may be beyond 128 bits."""
    wide_a, wide_b = to_wide(a), to_wide(b)
    value, upper = e.f.run(
        e.context.kernel(int128.divide_by_scaled),
        e.keep(wide_a.value),
        wide_a.upper,
        I32.const(digits),
        e.keep(wide_b.value),
        wide_b.upper,
    )
    return bounded(e, Wide(value, upper, *_quotient_bounds(a), null), type_, position)


def rescale_down(e: Emitter, a: Int | Wide, digits: int, mode: str, type_: SqlType, position: int | None) -> SqlValue:
    """The value divided by 10**digits: mode half (away from zero), trunc, floor or ceil."""
    factor = 10**digits
    if mode == "half":
        if isinstance(a, Int) and fits_i64(a.low - factor, a.high + factor):
            value = e.keep(a.value)
            half = I64.const(factor // 2)
            rounded = select(value < 0, value - half, value + half).divide_s(factor)
            low, high = -((-a.low + factor // 2) // factor), (a.high + factor // 2) // factor
            return bounded(e, Int(rounded, min(low, high), max(low, high), a.null), type_, position)
        return divide_rounding(e, a, exact_constant(factor), 0, a.null, type_, position)
    kept = e.keep_value(a)
    quotient = divide_truncating(e, kept, exact_constant(factor), a.null, SqlType(TypeId.HUGEINT), position)
    assert isinstance(quotient, Int | Wide)
    if mode == "trunc":
        return bounded(e, quotient, type_, position)
    rest = remainder(e, kept, exact_constant(factor), a.null, SqlType(TypeId.HUGEINT), position)
    op, step = ("lt", -1) if mode == "floor" else ("gt", 1)
    adjust = compare(e, op, rest, exact_constant(0))
    amount = Int(adjust.to_i64_u() * I64.const(step), min(step, 0), max(step, 0))
    return add(e, quotient, amount, a.null, type_, position)


def negate(e: Emitter, a: Int | Wide, null: I32 | None, type_: SqlType, position: int | None) -> SqlValue:
    return subtract(e, exact_constant(0), a, null, type_, position)


def absolute(e: Emitter, a: Int | Wide, null: I32 | None, type_: SqlType, position: int | None) -> SqlValue:
    kept = e.keep_value(a)
    largest = max(abs(a.low), abs(a.high))
    if isinstance(kept, Int) and kept.low > I64_LOW:
        value = select(kept.value < 0, I64.const(0) - kept.value, kept.value)
        return bounded(e, Int(value, 0, largest, null), type_, position)
    wide = to_wide(kept)
    low, high = e.f.wide("i64.sub128", I64.const(0), I64.const(0), wide.value, wide.upper)
    negative = e.keep(wide.upper < 0)
    result = Wide(select(negative, low, wide.value), e.keep(select(negative, high, wide.upper)), 0, largest, null)
    if largest > I128_HIGH:
        raise_if(e, result.upper < 0, null, out_of_range(type_), position)
        result = Wide(result.value, result.upper, 0, I128_HIGH, null)
    return bounded(e, result, type_, position)


# --- floating point ----------------------------------------
def to_f64(e: Emitter, a: Int | Wide) -> F64:
    if isinstance(a, Int):
        return a.value.to_f64()
    return e.f.call(e.context.kernel(int128.to_f64), a.value, a.upper)


def rounded(value: F64, single: bool) -> F64:
    """The value rounded to real's 24 bits where the type is real."""
    return value.to_f32().to_f64() if single else value


def float_result(
    e: Emitter, result: F64, arguments: tuple[F64, ...], single: bool, null: I32 | None, position: int | None
) -> Real:
    """Raises 22003 where finite arguments gave an infinity."""
    kept = e.keep(rounded(result, single))
    infinite = (kept.unary("abs") == F64.const(float("inf"))) & _all_finite(arguments)
    raise_if(e, infinite, null, ("22003", "value out of range: overflow"), position)
    return Real(kept, single, null)


def _all_finite(values: tuple[F64, ...]) -> I32:
    condition = I32.const(1)
    for value in values:
        condition = condition & (value.unary("abs") < F64.const(float("inf")))
    return condition


def float_operation(e: Emitter, op: str, a: Real, b: Real, null: I32 | None, position: int | None) -> SqlValue:
    x, y = e.keep(a.value), e.keep(b.value)
    single = a.single and b.single
    match op:
        case "add":
            result = x + y
        case "sub":
            result = x - y
        case "mul":
            result = x * y
        case "div":
            # NaN / 0 is NaN.
            raise_if(e, (y == F64.const(0.0)) & (x == x), null, ("22012", "division by zero"), position)
            result = x / y
        case _:
            raise AssertionError(op)
    if op in ("mul", "div"):
        result = e.keep(rounded(result, single))
        vanished = (result == F64.const(0.0)) & (x != F64.const(0.0))
        if op == "mul":
            vanished = vanished & (y != F64.const(0.0))
        else:
            vanished = vanished & (y.unary("abs") < F64.const(float("inf")))
        raise_if(e, vanished, null, ("22003", "value out of range: underflow"), position)
    return float_result(e, result, (x, y), single, null, position)


def float_to_exact(e: Emitter, a: Real, type_: SqlType, position: int | None) -> SqlValue:
    """Rounds to the nearest integer (halves to even, as PostgreSQL); 22003 if `type_` does not hold it, NaN and
    infinities included."""
    number = e.keep(a.value.unary("nearest"))
    low, high = type_.bounds
    narrow = fits_i64(low, high)
    # Beyond 2**53 the type's bounds are no doubles: those of the machine integer are tested, then the integer itself.
    exact = narrow and high < 1 << 53
    limit = float(1 << (63 if narrow else 127))
    below = number <= F64.const(float(high)) if exact else number < F64.const(limit)
    inside = (number >= F64.const(float(low) if exact else -limit)) & below
    raise_if(e, inside.is_zero(), a.null, out_of_range(type_), position)
    if narrow:
        bounds = (low, high) if exact else (I64_LOW, I64_HIGH)
        return bounded(e, Int(convert("i64.trunc_sat_f64_s", number), *bounds, a.null), type_, position)
    value, upper = e.f.run(e.context.kernel(int128.from_f64), number)
    return bounded(e, Wide(value, upper, I128_LOW, I128_HIGH, a.null), type_, position)
