"""Texts of a collation whose order is not that of the bytes: their sort keys, and COLLATE itself."""

from __future__ import annotations

from zerodb_compiler import derived
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import as_text, build_text, unless_null, zeros
from zerodb_compiler.codegen.functions.sort_keys import sort_key_of
from zerodb_compiler.codegen.sqlvalues import SqlValue
from zerodb_compiler.kernels import collation
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.types import SqlType, TypeId
from zerodb_compiler.wasm.values import I32

KEY = "collation tables"


@sort_key_of(TypeId.TEXT)
def _sort_key(e: Emitter, value: SqlValue, type_: SqlType, null: I32 | None) -> SqlValue:
    text = as_text(e, value)
    field = e.worker + e.context.worker_field(KEY)
    (tables,) = zeros(e, null, I32)
    with unless_null(e, null):
        kernel = e.context.kernel(collation.tables_at)
        tables.set(e.f.call(kernel, e.worker, field, I32.const(derived.COLLATION << 8)))
        e.fail_if(tables.is_zero(), abi.STATUS_OUT_OF_MEMORY)
    return build_text(e, null, collation.collation_key, tables, text.address, text.length)


@function("collate")
def _collate(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    return arguments[0]
