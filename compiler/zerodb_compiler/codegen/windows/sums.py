"""sum of floats over frames.

The tree over a partition adds up rows that may be in no frame together, so an overflow there is no error. A sum says
itself whether infinities or NaNs went into it; the result is an error (22003) if it is not finite but all values were.
"""

from __future__ import annotations

from zerodb_compiler.codegen.accumulators import RealSum
from zerodb_compiler.codegen.arithmetic import raise_if, rounded
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.sqlvalues import Real, SqlValue
from zerodb_compiler.sql.expressions import AggregateCall
from zerodb_compiler.types import TypeId
from zerodb_compiler.wasm.values import F64, I32, load

_SEEN, _NOT_FINITE = 1, 2
_INFINITY = float("inf")


def _finite(value: F64) -> I32:
    return value.unary("abs") < F64.const(_INFINITY)


class FrameRealSum(RealSum):
    """State: the sum, and flags where RealSum has `seen`."""

    def __init__(self, call: AggregateCall) -> None:
        super().__init__(call.type.id is TypeId.REAL, call.position)

    def _add(self, e: Emitter, state: I32, offset: int, value: F64) -> None:
        e.f.store("f64.store", state, load("f64.load", state, offset) + value, offset)
        flags = self.is_seen(state, offset) | (_finite(value).is_zero() * _NOT_FINITE)
        e.f.store("i32.store", state, flags, offset + self.seen)

    def mark(self, e: Emitter, state: I32, offset: int) -> None:
        e.f.store("i32.store", state, self.is_seen(state, offset) | _SEEN, offset + self.seen)

    def merge(self, e: Emitter, state: I32, offset: int, other: I32) -> None:
        total = load("f64.load", state, offset) + load("f64.load", other, offset)
        e.f.store("f64.store", state, total, offset)
        flags = self.is_seen(state, offset) | self.is_seen(other, offset)
        e.f.store("i32.store", state, flags, offset + self.seen)

    def result(self, e: Emitter, state: I32, offset: int) -> SqlValue:
        total: F64 = e.keep(rounded(load("f64.load", state, offset), self._single))
        flags = e.keep(self.is_seen(state, offset))
        overflow = _finite(total).is_zero() & (flags & _NOT_FINITE).is_zero()
        raise_if(e, overflow, None, ("22003", "value out of range: overflow"), self._position)
        return Real(total, self._single, flags.is_zero())
