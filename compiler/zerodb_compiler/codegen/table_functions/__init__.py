"""Set-returning functions in generated code, one family a file, found by name in TABLE_FUNCTIONS.

A call is a `RowSource`: state in locals, which `open` sets from the arguments of one input row, and which then gives
one row after the other. operators/table_function.py generates the loop around it:

    open(arguments)                 a NULL argument, or none to give: no row
    while has():
        values()                    the current row, in locals that `advance` does not change
        advance()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.sqlvalues import SqlValue
from zerodb_compiler.plan.logical import TableCall
from zerodb_compiler.wasm.values import I32


class RowSource(Protocol):
    def open(self, e: Emitter, arguments: tuple[SqlValue, ...]) -> None: ...

    def has(self) -> I32:
        """1 where there is a current row."""
        ...

    def values(self, e: Emitter) -> tuple[SqlValue, ...]:
        """The current row, one value a column of the call."""
        ...

    def advance(self, e: Emitter) -> None:
        """From the current row to the next; only where there is a current one."""
        ...


TABLE_FUNCTIONS: dict[str, Callable[[TableCall], RowSource]] = {}


def table_function(*names: str) -> Callable[[Callable[[TableCall], RowSource]], Callable[[TableCall], RowSource]]:
    """Registers the row source of the set-returning functions of those names."""

    def register(make: Callable[[TableCall], RowSource]) -> Callable[[TableCall], RowSource]:
        for name in names:
            assert name not in TABLE_FUNCTIONS, name
            TABLE_FUNCTIONS[name] = make
        return make

    return register


def row_source(item: TableCall) -> RowSource:
    """The row source of a call; the modules of the families register themselves at first use."""
    from zerodb_compiler.codegen.table_functions import columns, scalar, series, unnest  # noqa: F401

    return TABLE_FUNCTIONS[item.function](item)
