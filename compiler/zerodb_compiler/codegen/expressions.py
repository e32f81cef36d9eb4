"""Bound expressions to generated code: one dispatch over the expression classes.

`evaluate` emits what has to happen first (kernel calls, checks that may return an error) into the function and gives
the value as expressions to use where they are needed. What stands in a branch that may not run (the right side of AND,
a CASE result) is emitted into that branch only, so `x <> 0 and 10 / x > 1` does not fail.

Functions are found in `FUNCTIONS` by their name in sql/functions.py; each family lives in a module of functions/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.arithmetic import bounded, exact_constant
from zerodb_compiler.codegen.comparison import compare, equal_or_both_null, to_text, to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.dictionary_map import define_map, mappable
from zerodb_compiler.codegen.sqlvalues import (
    Bool,
    Code,
    Int,
    Real,
    SqlValue,
    Text,
    Wide,
    either_null,
    fits_i64,
    parts,
    with_null,
)
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.sql.expressions import (
    Call,
    Case,
    Cast,
    ColumnRef,
    Expression,
    Literal,
    Parameter,
    walk,
    without_positions,
)
from zerodb_compiler.sql.functions import COMPARISONS, SWAPPED
from zerodb_compiler.types import SqlType, TypeId
from zerodb_compiler.wasm.values import F64, I32, I64, load, select

Environment = Mapping[int, SqlValue]
# A strict function's generator: emitter, the call, its argument values, and the flag that any argument is NULL.
Generator = Callable[[Emitter, Call, tuple[SqlValue, ...], I32 | None], SqlValue]
FUNCTIONS: dict[str, Generator] = {}
# How values are compared that have a sort key, by type (functions/sort_keys.py).
SORT_KEYS: dict[TypeId, Callable[[Emitter, SqlValue, SqlType, I32 | None], SqlValue]] = {}

# A condition longer than this is worth a branch of its own on the right side of AND and OR.
_BRANCH_BYTES = 48


def function(*names: str) -> Callable[[Generator], Generator]:
    """Registers the generator of the functions of those names."""

    def register(generator: Generator) -> Generator:
        for name in names:
            assert name not in FUNCTIONS, name
            FUNCTIONS[name] = generator
        return generator

    return register


def evaluate(e: Emitter, expression: Expression, env: Environment) -> SqlValue:
    """The value of an expression over the columns of `env` (by column id)."""
    match expression:
        case ColumnRef(column):
            return env[column.id]
        case Literal(value, type_):
            return constant(e, value, type_)
        case Parameter():
            return parameter(e, expression)
        case Cast(argument, type_, position):
            from zerodb_compiler.codegen.casts import cast

            return cast(e, evaluate(e, argument, env), argument.type, type_, position)
        case Case():
            return _case(e, expression, env)
        case Call():
            return _call(e, expression, env)
    raise AssertionError(f"{type(expression).__name__} reached code generation")


def comparable(e: Emitter, value: SqlValue, type_: SqlType) -> SqlValue:
    """What a value is compared by: itself, or its sort key."""
    if not type_.has_order_key:
        return value
    maker = SORT_KEYS.get(type_.id)
    if maker is None:
        raise NotSupportedError(f"comparing values of type {type_} is not supported")
    return maker(e, e.keep_value(value), type_, value.null)


def condition(e: Emitter, expression: Expression, env: Environment) -> I32:
    """A predicate as i32: 1 where it is true, 0 where false or NULL."""
    value = evaluate(e, expression, env)
    assert isinstance(value, Bool)
    return value.value


# --- constants and parameters ----------------------------------------
def null_of(type_: SqlType) -> SqlValue:
    """A NULL of the type."""
    null = I32.const(1)
    if type_.id is TypeId.BOOLEAN:
        return Bool(I32.const(0), null)
    if type_.is_float:
        return Real(F64.const(0.0), type_.id is TypeId.REAL, null)
    if type_.is_discrete:
        return Int(I64.const(0), 0, 0, null)
    return Text(I32.const(0), I32.const(0), null)


def constant(e: Emitter, value: int | float | str | bytes | None, type_: SqlType) -> SqlValue:
    if value is None:
        return null_of(type_)
    if type_.id is TypeId.BOOLEAN:
        return Bool(I32.const(int(value)))
    if type_.is_float:
        return Real(F64.const(float(value)), type_.id is TypeId.REAL)
    if type_.is_discrete:
        assert isinstance(value, int)
        return exact_constant(value)
    assert isinstance(value, str | bytes)
    data = value.encode() if isinstance(value, str) else value
    return Text(e.constant_address(data) if data else I32.const(0), I32.const(len(data)))


def parameter(e: Emitter, expression: Parameter) -> SqlValue:
    offset = e.context.parameter(expression.index, expression.type)
    type_ = expression.type
    null = load("i32.load", e.query, offset + abi.PARAMETER_IS_NULL) if expression.nullable else None
    place = offset + abi.PARAMETER_VALUE
    if type_.id is TypeId.BOOLEAN:
        return Bool(load("i32.load", e.query, place), null)
    if type_.is_float:
        return Real(load("f64.load", e.query, place), type_.id is TypeId.REAL, null)
    if type_.is_discrete:
        low, high = type_.bounds
        if fits_i64(low, high):
            return Int(load("i64.load", e.query, place), low, high, null)
        return Wide(
            load("i64.load", e.query, place), load("i64.load", e.query, offset + abi.PARAMETER_HIGH), low, high, null
        )
    return Text(load("i32.load", e.query, place), load("i32.load", e.query, place + 4), null)


# --- branches ----------------------------------------
def _captured(e: Emitter, make: Callable[[], SqlValue]) -> tuple[SqlValue, bytes]:
    """The value, and the statements that must run before it, taken out of the function's body again."""
    body = e.f.body
    start = len(body)
    value = make()
    statements = bytes(body[start:])
    del body[start:]
    return value, statements


@contextmanager
def _branch(e: Emitter, condition_: I32, statements: bytes) -> Iterator[None]:
    with e.f.if_(condition_):
        e.f.emit(statements)
        yield


def merge_results(e: Emitter, values: list[SqlValue]) -> list[SqlValue]:
    """Brings values of one SQL type to one class, so that one set of locals can take any of them."""
    if any(isinstance(value, Text | Code) for value in values):
        first = values[0]
        same = all(
            isinstance(value, Code) and isinstance(first, Code) and value.dictionary == first.dictionary
            for value in values
        )
        return values if same else [to_text(e, value) for value in values]
    if any(isinstance(value, Wide) for value in values):
        return [to_wide(value) for value in values if isinstance(value, Int | Wide)]
    return values


class Result:
    """Locals that take a value from one of several branches."""

    def __init__(self, e: Emitter, samples: list[SqlValue]) -> None:
        self._e = e
        sample = samples[0]
        nullable = any(value.null is not None for value in samples)
        null = e.f.local(I32, "null") if nullable else None
        local = e.f.local
        self.value: SqlValue
        match sample:
            case Int() | Wide():
                exact = [value for value in samples if isinstance(value, Int | Wide)]
                low, high = min(value.low for value in exact), max(value.high for value in exact)
                if isinstance(sample, Int):
                    self.value = Int(local(I64), low, high, null)
                else:
                    self.value = Wide(local(I64), local(I64), low, high, null)
            case Real():
                single = all(isinstance(value, Real) and value.single for value in samples)
                self.value = Real(local(F64), single, null)
            case Bool():
                self.value = Bool(local(I32), null)
            case Text():
                self.value = Text(local(I32), local(I32), null)
            case Code():
                self.value = Code(local(I32), sample.dictionary, null)

    def set(self, value: SqlValue) -> None:
        for target, source in zip(parts(self.value), parts(value), strict=True):
            target.set(source)  # type: ignore[attr-defined]
        if self.value.null is not None:
            self.value.null.set(I32.const(0) if value.null is None else value.null)  # type: ignore[attr-defined]


def _case(e: Emitter, expression: Case, env: Environment) -> SqlValue:
    conditions = [_captured_condition(e, test, env) for test, _ in expression.branches]
    results = [_captured_result(e, result, env) for _, result in expression.branches]
    results.append(_captured_result(e, expression.default, env))
    # Unifying may emit (dictionary look-ups): redo it inside each branch.
    unified, extra = _unify_captured(e, [value for value, _ in results])
    target = Result(e, unified)
    with e.f.block() as done:
        for (test, before_test), value, (_, before), more in zip(conditions, unified, results, extra, strict=False):
            e.f.emit(before_test)
            with e.f.if_(test):
                e.f.emit(before + more)
                target.set(value)
                done.break_()
        e.f.emit(results[-1][1] + extra[-1])
        target.set(unified[-1])
    return target.value


def _captured_condition(e: Emitter, test: Expression, env: Environment) -> tuple[I32, bytes]:
    value, statements = _captured(e, lambda: evaluate(e, test, env))
    assert isinstance(value, Bool)
    return value.value, statements


def _captured_result(e: Emitter, result: Expression, env: Environment) -> tuple[SqlValue, bytes]:
    return _captured(e, lambda: evaluate(e, result, env))


def _unify_captured(e: Emitter, values: list[SqlValue]) -> tuple[list[SqlValue], list[bytes]]:
    """merge_results with the statements of each value kept apart."""
    kinds = {type(value) for value in values}
    if (kinds <= {Text, Code} and Text in kinds) or len({v.dictionary for v in values if isinstance(v, Code)}) > 1:
        pairs = [_captured(e, lambda value=value: to_text(e, value)) for value in values]  # type: ignore[misc]
        return [value for value, _ in pairs], [statements for _, statements in pairs]
    return merge_results(e, values), [b""] * len(values)


# --- calls ----------------------------------------
def _call(e: Emitter, call: Call, env: Environment) -> SqlValue:
    if call.type.id is TypeId.BOOLEAN and e.start_actions is not None:
        mapped = _mapped(e, call, env)
        if mapped is not None:
            return mapped
    match call.function:
        case "and" | "or":
            return _and_or(e, call, env)
        case "not":
            value = evaluate(e, call.arguments[0], env)
            assert isinstance(value, Bool)
            if value.null is None:
                return Bool(value.value.is_zero())
            kept = e.keep_value(value)
            assert isinstance(kept, Bool) and kept.null is not None
            return Bool((kept.value | kept.null).is_zero(), kept.null)
        case "is_null" | "is_not_null":
            null = evaluate(e, call.arguments[0], env).null
            if null is None:
                return Bool(I32.const(int(call.function == "is_not_null")))
            return Bool(null if call.function == "is_null" else null.is_zero())
        case "is_true" | "is_false":
            value = evaluate(e, call.arguments[0], env)
            assert isinstance(value, Bool)
            if call.function == "is_true":
                return Bool(value.value)
            return Bool(value.value.is_zero() if value.null is None else (value.value | value.null).is_zero())
        case "is_distinct" | "is_not_distinct":
            a, b = (e.keep_value(evaluate(e, argument, env)) for argument in call.arguments)
            same = equal_or_both_null(e, a, b)
            return Bool(same if call.function == "is_not_distinct" else same.is_zero())
        case "in":
            return _in(e, call, env)
        case "greatest" | "least":
            return _extreme(e, call, env)
        case name if name in COMPARISONS:
            return _comparison(e, call, env)
    generator = FUNCTIONS.get(call.function)
    if generator is None:
        raise NotSupportedError(f"function {call.function} is not supported", position=call.position)
    arguments = tuple(e.keep_value(evaluate(e, argument, env)) for argument in call.arguments)
    null = e.keep(either_null(*(argument.null for argument in arguments)))
    return generator(e, call, arguments, null)


def _mapped(e: Emitter, call: Call, env: Environment) -> SqlValue | None:
    """A condition on one dictionary column, by look-up in a map (see dictionary_map.py)."""
    column = mappable(call)
    if column is None or not isinstance(value := env[column.id], Code):
        return None
    assert e.start_actions is not None
    key = (without_positions(call), value.dictionary)
    known = e.maps.get(key)
    if known is None:
        known = define_map(e.context, call, column, value.dictionary)
        e.start_actions.append(known.fill)
        e.maps[key] = known
    found: I32 = load("i32.load8_u", e.query_i32(known.field) + value.code)
    if not any(isinstance(node, Literal | Parameter) and node.nullable for node in walk(call)):
        return normalised(e, found, value.null)
    found = e.keep(found)
    return normalised(e, found & 1, either_null(found >> 1, value.null))


def _and_or(e: Emitter, call: Call, env: Environment) -> SqlValue:
    result = evaluate(e, call.arguments[0], env)
    for argument in call.arguments[1:]:
        assert isinstance(result, Bool)
        result = _and_or_pair(e, call.function, result, argument, env)
    return result


def _and_or_pair(e: Emitter, op: str, a: Bool, argument: Expression, env: Environment) -> Bool:
    b, statements = _captured(e, lambda: evaluate(e, argument, env))
    assert isinstance(b, Bool)
    if a.null is None and b.null is None and not statements:
        if len(b.value.code) <= _BRANCH_BYTES:
            return Bool(a.value & b.value if op == "and" else a.value | b.value)
        then, otherwise = (b.value.code, b"\x41\x00") if op == "and" else (b"\x41\x01", b.value.code)
        return Bool(I32(a.value.code + b"\x04\x7f" + then + b"\x05" + otherwise + b"\x0b"))
    kept = e.keep_value(a)
    assert isinstance(kept, Bool)
    nullable = a.null is not None or b.null is not None
    value = e.f.let(kept.value, op)
    null = e.f.let(kept.null if kept.null is not None else I32.const(0), "null") if nullable else None
    # AND needs the right side unless the left is false; OR unless the left is true.
    needed = (kept.value if kept.null is None else kept.value | kept.null) if op == "and" else kept.value.is_zero()
    with _branch(e, needed, statements):
        right = e.keep_value(b)
        assert isinstance(right, Bool)
        if null is None:
            value.set(right.value)
        elif op == "and":
            not_false = right.value if right.null is None else right.value | right.null
            value.set(kept.value & right.value)
            null.set(not_false & value.is_zero())
        else:
            value.set(right.value)
            right_null = I32.const(0) if right.null is None else right.null
            null.set((null | right_null) & value.is_zero())
    return Bool(value, null)


def normalised(e: Emitter, value: I32, null: I32 | None) -> Bool:
    """A Bool from a raw truth value that may be anything where NULL."""
    if null is None:
        return Bool(value)
    null = e.keep(null)
    assert null is not None
    return Bool(value & null.is_zero(), null)


def _comparison(e: Emitter, call: Call, env: Environment) -> SqlValue:
    left, right = call.arguments
    op = call.function
    fast = _code_equality(e, op, left, right, env)
    if fast is not None:
        return fast
    a, b = evaluate(e, left, env), evaluate(e, right, env)
    null = either_null(a.null, b.null)
    return normalised(e, compare(e, op, a, b), null)


def _code_equality(e: Emitter, op: str, left: Expression, right: Expression, env: Environment) -> SqlValue | None:
    """A dictionary column against a constant text: compare codes; the host looks the constant's code up."""
    if op not in ("eq", "ne"):
        return None
    if not isinstance(left, ColumnRef):
        left, right, op = right, left, SWAPPED[op]
    if not (isinstance(left, ColumnRef) and isinstance(right, Literal | Parameter)):
        return None
    a = env[left.column.id]
    if not isinstance(a, Code):
        return None
    code, null = code_operand(e, a, right)
    equal = a.code == code
    return normalised(e, equal if op == "eq" else equal.is_zero(), either_null(a.null, null))


def code_operand(e: Emitter, column: Code, operand: Literal | Parameter) -> tuple[I32, I32 | None]:
    """The code of a constant text in the column's dictionary (-1: not there) and its null flag."""
    if isinstance(operand, Literal):
        if operand.value is None:
            return I32.const(-1), I32.const(1)
        assert isinstance(operand.value, str | bytes)
        offset = e.context.dictionary_code(column.dictionary, operand.value, None)
        return e.query_i32(offset), None
    offset = e.context.dictionary_code(column.dictionary, None, operand.index)
    null = parameter(e, operand).null
    return e.query_i32(offset), null


def _in(e: Emitter, call: Call, env: Environment) -> SqlValue:
    operand, *items = call.arguments
    value: SqlValue = e.keep_value(evaluate(e, operand, env))
    result: SqlValue | None = None
    for item in items:
        equal: SqlValue | None = None
        if isinstance(value, Code) and isinstance(item, Literal | Parameter):
            code, null = code_operand(e, value, item)
            equal = normalised(e, value.code == code, either_null(value.null, null))
        else:
            other = evaluate(e, item, env)
            if isinstance(value, Code) and isinstance(other, Text):
                value = e.keep_value(to_text(e, value))
            equal = normalised(e, compare(e, "eq", value, other), either_null(value.null, other.null))
        assert isinstance(equal, Bool)
        if result is None:
            result = equal
        else:
            assert isinstance(result, Bool)
            either = e.keep(result.value | equal.value)
            null = either_null(result.null, equal.null)
            result = Bool(either, None if null is None else e.keep(null & either.is_zero()))
    assert result is not None
    return result


def _extreme(e: Emitter, call: Call, env: Environment) -> SqlValue:
    """greatest / least: NULL arguments are ignored; NULL only if all are."""
    values = merge_results(e, [evaluate(e, argument, env) for argument in call.arguments])
    values = [to_text(e, value) if isinstance(value, Code) else value for value in values]
    values = [e.keep_value(value) for value in values]
    result = Result(e, values)
    result.set(values[0])
    op = "gt" if call.function == "greatest" else "lt"
    for value in values[1:]:
        best = with_null(comparable(e, result.value, call.type), None)  # no key is made of a NULL
        better: I32 = compare(e, op, with_null(comparable(e, value, call.type), None), best)
        if result.value.null is not None:
            better = better | result.value.null
        if value.null is not None:
            better = better & value.null.is_zero()
        with e.f.if_(better):
            result.set(value)
    return result.value


__all__ = ["Environment", "Generator", "bounded", "condition", "evaluate", "function", "select"]
