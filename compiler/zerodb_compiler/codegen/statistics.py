"""Accumulators of the statistical aggregates over double precision; the arithmetic is in kernels/statistics.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zerodb_compiler.codegen.arithmetic import raise_if
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.sqlvalues import Real, either_null
from zerodb_compiler.kernels import statistics
from zerodb_compiler.wasm.values import I32

_OVERFLOW = ("22003", "value out of range: overflow")
# How a result comes from the state of pairs: the kernel and its further arguments.
_PAIRS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "covar_pop": (statistics.covariance, (0,)),
    "covar_samp": (statistics.covariance, (1,)),
    "corr": (statistics.correlation, ()),
    "regr_avgx": (statistics.plain, (statistics.SUM_X, 1)),
    "regr_avgy": (statistics.plain, (statistics.SUM_Y, 1)),
    "regr_sxx": (statistics.plain, (statistics.SQUARES_X, 0)),
    "regr_syy": (statistics.plain, (statistics.SQUARES_Y, 0)),
    "regr_sxy": (statistics.plain, (statistics.PRODUCTS, 0)),
    "regr_r2": (statistics.determination, ()),
    "regr_slope": (statistics.slope, ()),
    "regr_intercept": (statistics.intercept, ()),
}
_MOMENTS = {"var_pop": (0, 0), "var_samp": (1, 0), "stddev_pop": (0, 1), "stddev_samp": (1, 1)}


class Statistic:
    """An aggregate of one value (variances) or of pairs (y, x); rows with a NULL do not count."""

    def __init__(self, function: str, position: int | None) -> None:
        self._position = position
        self.pairs = function in _PAIRS
        if self.pairs:
            self.size = statistics.PAIRS_BYTES
            self._add: Callable[..., Any] = statistics.add_pair
            self._merge: Callable[..., Any] = statistics.merge_pairs
            self._result, self._arguments = _PAIRS[function]
        else:
            self.size = statistics.MOMENTS_BYTES
            self._add, self._merge = statistics.add_value, statistics.merge_values
            self._result, self._arguments = statistics.variance, _MOMENTS[function]

    def update(self, e: Emitter, state: I32, offset: int, value: Any) -> None:
        values = value if isinstance(value, tuple) else (value,)
        null = either_null(*(part.null for part in values))
        numbers = []
        for part in values:
            assert isinstance(part, Real)
            numbers.append(part.value)
        with e.only_if(None if null is None else null.is_zero()):
            status = e.f.call(e.context.kernel(self._add), state + offset, *numbers)
            raise_if(e, status, None, _OVERFLOW, self._position)

    def merge(self, e: Emitter, state: I32, offset: int, other: I32) -> None:
        status = e.f.call(e.context.kernel(self._merge), state + offset, other + offset)
        raise_if(e, status, None, _OVERFLOW, self._position)

    def result(self, e: Emitter, state: I32, offset: int) -> Real:
        arguments = [I32.const(argument) for argument in self._arguments]
        value, null = e.f.run(e.context.kernel(self._result), state + offset, *arguments)
        return Real(value, False, null)
