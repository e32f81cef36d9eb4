"""sort_key(x): what values are compared by whose canonical form has another equality or order than the type.

A type is added by registering its generator here with `sort_key_of`: it gets the value and its NULL flag and gives the
key, a Wide for intervals and for all others a Text whose byte order is the type's order.
"""

from __future__ import annotations

from collections.abc import Callable

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.arithmetic import I128_HIGH, I128_LOW
from zerodb_compiler.codegen.comparison import to_wide
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import SORT_KEYS, function
from zerodb_compiler.codegen.sqlvalues import Int, SqlValue, Text, Wide
from zerodb_compiler.errors import error_for
from zerodb_compiler.kernels import intervals
from zerodb_compiler.kernels.memory import copy_text_to_arena
from zerodb_compiler.sql.expressions import Call, Cast, Expression, Literal, Parameter
from zerodb_compiler.types import SqlType, TypeId
from zerodb_compiler.wasm.values import I32

Maker = Callable[[Emitter, SqlValue, SqlType, I32 | None], SqlValue]


def sort_key_of(*kinds: TypeId) -> Callable[[Maker], Maker]:
    def register(maker: Maker) -> Maker:
        for kind in kinds:
            assert kind not in SORT_KEYS, kind
            SORT_KEYS[kind] = maker
        return maker

    return register


@function("sort_key")
def _sort_key(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    type_ = call.arguments[0].type
    maker = SORT_KEYS.get(type_.id)
    if maker is None:
        raise error_for("0A000", f"comparing values of type {type_} is not supported", position=call.position)
    if type_.is_variable and _is_constant(call.arguments[0]):
        return _computed_once(e, lambda: maker(e, arguments[0], type_, null), null)
    return maker(e, arguments[0], type_, null)


def _is_constant(expression: Expression) -> bool:
    while isinstance(expression, Cast):
        expression = expression.argument
    return isinstance(expression, Literal | Parameter)


def _computed_once(e: Emitter, key: Callable[[], SqlValue], null: I32 | None) -> SqlValue:
    """The key of a constant: each worker computes it for its first row and keeps it."""
    field = e.context.worker.reserve(8, 4, kept=True)
    with e.f.if_(e.worker_i32(field).is_zero()):
        made = e.keep_value(key())
        assert isinstance(made, Text)
        copy = e.f.let(e.f.call(e.context.kernel(copy_text_to_arena), e.worker, made.address, made.length), "key")
        e.fail_if(copy.is_zero(), abi.STATUS_OUT_OF_MEMORY)
        e.set_worker_i32(field, copy)
        e.set_worker_i32(field + 4, made.length)
    return Text(e.worker_i32(field), e.worker_i32(field + 4), null)


@sort_key_of(TypeId.INTERVAL)
def _interval(e: Emitter, value: SqlValue, type_: SqlType, null: I32 | None) -> SqlValue:
    assert isinstance(value, Int | Wide)
    wide = to_wide(value)
    low, high = e.f.run(e.context.kernel(intervals.interval_sort_key), wide.value, wide.upper)
    return Wide(low, high, I128_LOW, I128_HIGH, null)


__all__ = ["sort_key_of"]
