"""Scalar expressions as a set of one row: `select * from upper('x')`."""

from __future__ import annotations

from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import Result
from zerodb_compiler.codegen.sqlvalues import SqlValue
from zerodb_compiler.codegen.table_functions import RowSource, table_function
from zerodb_compiler.plan.logical import TableCall
from zerodb_compiler.wasm.values import I32


class OneRow:
    def open(self, e: Emitter, arguments: tuple[SqlValue, ...]) -> None:
        self._values = [Result(e, [argument]) for argument in arguments]
        for value, argument in zip(self._values, arguments, strict=True):
            value.set(argument)
        self._left = e.f.local(I32, "row_left")
        self._left.set(I32.const(1))

    def has(self) -> I32:
        return self._left

    def values(self, e: Emitter) -> tuple[SqlValue, ...]:
        return tuple(value.value for value in self._values)

    def advance(self, e: Emitter) -> None:
        self._left.set(I32.const(0))


@table_function("one_row")
def one_row(item: TableCall) -> RowSource:
    return OneRow()
