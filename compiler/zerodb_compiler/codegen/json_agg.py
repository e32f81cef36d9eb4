"""json_agg, jsonb_agg, json_object_agg, jsonb_object_agg: the group's rows as JSON text, read again for jsonb."""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.array_agg import ArrayAgg
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.functions.elements import append, finished, new_builder
from zerodb_compiler.codegen.functions.json import json_of, to_jsonb
from zerodb_compiler.codegen.sqlvalues import Text
from zerodb_compiler.kernels import arrays, json_building
from zerodb_compiler.types import JSON, TEXT, TypeId
from zerodb_compiler.wasm.values import I32, load


class JsonAgg(ArrayAgg):
    """[a, b]; arrays and records each on a line of its own."""

    def fold(self, e: Emitter, state: I32, pointers: I32, count: I32) -> None:
        f, argument = e.f, self._call.argument
        assert argument is not None
        builder = new_builder(e)
        index = f.let(I32.const(0), "index")
        with f.count_up(index, count):
            row = f.let(load("i32.load", pointers + index * 4), "row")
            value = e.keep_value(self.field(row, 0))
            append(e, builder, json_of(e, value, argument.type, self._call.position), JSON)
        parts, _ = finished(e, arrays.finish_list, builder)
        lines = I32.const(int(argument.type.id in (TypeId.ARRAY, TypeId.STRUCT)))
        self._keep_json(e, state, *finished(e, json_building.build_array, parts, lines))

    def _keep_json(self, e: Emitter, state: I32, address: I32, length: I32) -> None:
        if self._call.type.id is TypeId.JSONB:
            value = to_jsonb(e, Text(address, length), self._call.position)
            address, length = value.address, value.length
        self.keep(e, state, address, length)


class JsonObjectAgg(JsonAgg):
    """{ "a" : 1, "b" : 2 }"""

    def fold(self, e: Emitter, state: I32, pointers: I32, count: I32) -> None:
        f, value_type = e.f, self._call.extra[0].type
        builder = new_builder(e)
        index = f.let(I32.const(0), "index")
        with f.count_up(index, count):
            row = f.let(load("i32.load", pointers + index * 4), "row")
            append(e, builder, e.keep_value(self.field(row, 0)), TEXT)
            value = e.keep_value(self.field(row, 1))
            append(e, builder, json_of(e, value, value_type, self._call.position), JSON)
        parts, _ = finished(e, arrays.finish_list, builder)
        found = f.run(e.context.kernel(json_building.build_object), e.worker, parts, I32.const(1))
        is_null = found[2] == json_building.KEY_IS_NULL
        e.error_if(is_null, "22023", "field name must not be null", self._call.position)
        e.fail_if(found[0].is_zero(), abi.STATUS_OUT_OF_MEMORY)
        self._keep_json(e, state, found[0], found[1])


__all__ = ["JsonAgg", "JsonObjectAgg"]
