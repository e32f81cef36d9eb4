"""array_agg: the group's rows as an array; of arrays, as an array with one dimension more."""

from __future__ import annotations

from typing import Any

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.collecting import Collecting
from zerodb_compiler.codegen.comparison import to_text
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.functions.elements import append, finished, new_builder
from zerodb_compiler.codegen.sqlvalues import Text
from zerodb_compiler.kernels import array_functions, arrays, errors, memory
from zerodb_compiler.types import TypeId
from zerodb_compiler.wasm.values import I32, load

_SHAPES = "cannot accumulate arrays of different dimensionality"


class ArrayAgg(Collecting):
    """array_agg of values that are no arrays: NULLs are elements too."""

    def fold(self, e: Emitter, state: I32, pointers: I32, count: I32) -> None:
        f = e.f
        element = self._call.type.element
        assert element is not None
        builder = new_builder(e)
        index = f.let(I32.const(0), "index")
        with f.count_up(index, count):
            row = f.let(load("i32.load", pointers + index * 4), "row")
            append(e, builder, self.field(row, 0), element)
        self.keep(e, state, *finished(e, arrays.finish_list, builder))

    def keep(self, e: Emitter, state: I32, address: Any, length: Any) -> None:
        """Arrays are built in scratch memory: the result must outlive the morsel."""
        copy = e.f.let(e.f.call(e.context.kernel(memory.copy_text_to_arena), e.worker, address, length), "copy")
        e.fail_if(copy.is_zero(), abi.STATUS_OUT_OF_MEMORY)
        self.store(e, state, Text(copy, length))


class NestedArrayAgg(ArrayAgg):
    """array_agg of arrays, which must have one shape; 22004 for a NULL, 2202E for other shapes and empty ones."""

    def fold(self, e: Emitter, state: I32, pointers: I32, count: I32) -> None:
        f, position = e.f, self._call.position
        builder = new_builder(e)
        dims = f.let(I32.const(0), "dims")
        index = f.let(I32.const(0), "index")
        with f.count_up(index, count):
            row = f.let(load("i32.load", pointers + index * 4), "row")
            array = e.keep_value(to_text(e, e.keep_value(self.field(row, 0))))
            if array.null is not None:
                e.error_if(array.null, "22004", "cannot accumulate null arrays", position)
            shape = f.let(load("i32.load8_u", array.address), "shape")
            e.error_if(shape.is_zero(), "2202E", "cannot accumulate empty arrays", position)
            status = f.local(I32, "status")
            with f.if_(index.is_zero()):
                dims.set(shape)
                status.set(f.call(e.context.kernel(array_functions.nest_first), e.worker, builder, array.address))
            with f.else_():
                next_ = e.context.kernel(array_functions.nest_next)
                status.set(f.call(next_, e.worker, builder, array.address, dims))
            e.fail_if(status == errors.OUT_OF_MEMORY, abi.STATUS_OUT_OF_MEMORY)
            e.error_if(status, "2202E", _SHAPES, position)
        self.keep(e, state, *finished(e, array_functions.nest_finish, builder, count, dims))


def array_agg_class(argument: TypeId) -> type[ArrayAgg]:
    return NestedArrayAgg if argument is TypeId.ARRAY else ArrayAgg


__all__ = ["ArrayAgg", "NestedArrayAgg", "array_agg_class"]
