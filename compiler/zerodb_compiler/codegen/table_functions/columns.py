"""Arrays of equal lengths side by side, one a column: what functions that give rows of several columns become."""

from __future__ import annotations

from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.functions.calling import as_text
from zerodb_compiler.codegen.functions.elements import element_at
from zerodb_compiler.codegen.sqlvalues import SqlValue
from zerodb_compiler.codegen.table_functions import RowSource, table_function
from zerodb_compiler.plan.logical import TableCall
from zerodb_compiler.wasm.values import I32, load, select


class Columns:
    """A NULL array gives no rows."""

    def __init__(self, item: TableCall) -> None:
        self._types = tuple(column.type for column in item.columns)

    def open(self, e: Emitter, arguments: tuple[SqlValue, ...]) -> None:
        empty = e.constant_address(b"\0" * 8)
        self._arrays: list[I32] = []
        for argument in arguments:
            array = as_text(e, argument)
            address = array.address if array.null is None else select(array.null, empty, array.address)
            self._arrays.append(e.f.let(address, "array"))
        self._count = e.f.let(load("i32.load", self._arrays[0], 4), "elements")
        self._index = e.f.local(I32, "index")
        self._index.set(I32.const(0))

    def has(self) -> I32:
        return self._index < self._count

    def values(self, e: Emitter) -> tuple[SqlValue, ...]:
        pairs = zip(self._arrays, self._types, strict=True)
        return tuple(e.keep_value(element_at(e, array, self._index, type_)) for array, type_ in pairs)

    def advance(self, e: Emitter) -> None:
        self._index.set(self._index + 1)


@table_function("unnest_columns")
def unnest_columns(item: TableCall) -> RowSource:
    return Columns(item)
