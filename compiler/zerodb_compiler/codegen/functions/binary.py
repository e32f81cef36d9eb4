"""Functions of byte strings (bytea)."""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import Error, as_i64, as_text, run, unless_null, view
from zerodb_compiler.codegen.sqlvalues import Int, SqlValue
from zerodb_compiler.kernels import bytes as kernels
from zerodb_compiler.kernels import errors, text
from zerodb_compiler.kernels.text_building import MAX_TEXT_BYTES
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.wasm.values import I32, I64

Values = tuple[SqlValue, ...]


@function("bytea_substring")
def _part(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a = as_text(e, arguments[0])
    count = as_i64(arguments[2]) if len(arguments) == 3 else I64.const(1 << 32)
    failures: dict[int, Error] = {errors.INVALID_COUNT: ("22011", "negative substring length not allowed")}
    parts = (a.address, a.length, as_i64(arguments[1]), count)
    return view(run(e, null, kernels.part, *parts, failures=failures, position=call.position), null)


@function("bytea_position")
def _position(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = (as_text(e, argument) for argument in arguments)
    (place,) = run(e, null, text.find_text, a.address, a.length, b.address, b.length)
    return Int((place + 1).to_i64_u(), 0, MAX_TEXT_BYTES, null)


def _failures(e: Emitter, call: Call, place: I64, null: I32 | None) -> dict[int, Error]:
    with unless_null(e, null):
        e.f.store("i64.store", e.worker, place, abi.WORKER_ERROR_VALUE)
    return {
        errors.OVERFLOW: ("2202E", "index {value} out of valid range"),
        errors.DOMAIN: ("22023", "new bit must be 0 or 1"),
    }


@function("get_byte", "get_bit")
def _get(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, place = as_text(e, arguments[0]), e.keep(as_i64(arguments[1]))
    kernel = kernels.get_byte if call.function == "get_byte" else kernels.get_bit
    failures = _failures(e, call, place, null)
    (value,) = run(e, null, kernel, a.address, a.length, place, failures=failures, position=call.position)
    return Int(value, 0, 255, null)


@function("set_byte", "set_bit")
def _set(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, place = as_text(e, arguments[0]), e.keep(as_i64(arguments[1]))
    kernel = kernels.set_byte if call.function == "set_byte" else kernels.set_bit
    failures = _failures(e, call, place, null)
    parts = (e.worker, a.address, a.length, place, as_i64(arguments[2]))
    return view(run(e, null, kernel, *parts, failures=failures, position=call.position), null)


@function("bit_count")
def _bit_count(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a = as_text(e, arguments[0])
    (count,) = run(e, null, kernels.bit_count, a.address, a.length)
    return Int(count, 0, MAX_TEXT_BYTES << 3, null)
