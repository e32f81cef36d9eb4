"""unnest(array): its elements, whatever its dimensions."""

from __future__ import annotations

from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.functions.calling import as_text
from zerodb_compiler.codegen.functions.elements import element_at
from zerodb_compiler.codegen.sqlvalues import SqlValue
from zerodb_compiler.codegen.table_functions import RowSource, table_function
from zerodb_compiler.plan.logical import TableCall
from zerodb_compiler.wasm.values import I32, load, select


class Elements:
    def __init__(self, item: TableCall) -> None:
        self._type = item.columns[0].type

    def open(self, e: Emitter, arguments: tuple[SqlValue, ...]) -> None:
        array = as_text(e, arguments[0])
        address = array.address
        if array.null is not None:
            address = select(array.null, e.constant_address(b"\0" * 8), address)
        self._array = e.f.let(address, "array")
        self._count = e.f.let(load("i32.load", self._array, 4), "elements")
        self._index = e.f.local(I32, "index")
        self._index.set(I32.const(0))

    def has(self) -> I32:
        return self._index < self._count

    def values(self, e: Emitter) -> tuple[SqlValue, ...]:
        return (e.keep_value(element_at(e, self._array, self._index, self._type)),)

    def advance(self, e: Emitter) -> None:
        self._index.set(self._index + 1)


@table_function("unnest")
def unnest(item: TableCall) -> RowSource:
    return Elements(item)
