"""Functions of byte strings (bytea)."""

from __future__ import annotations

from zerodb_compiler import derived
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import Error, as_i64, as_text, run, unless_null, view, zeros
from zerodb_compiler.codegen.functions.regex import program_of
from zerodb_compiler.codegen.sqlvalues import Int, SqlValue, Text
from zerodb_compiler.kernels import bytes as kernels
from zerodb_compiler.kernels import errors, text
from zerodb_compiler.kernels.text_building import MAX_TEXT_BYTES
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.wasm.values import I32, I64, load

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


_TRIMS = {"bytea_trim": (1, 1), "bytea_ltrim": (1, 0), "bytea_rtrim": (0, 1)}


@function(*_TRIMS)
def _trim(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = (as_text(e, argument) for argument in arguments)
    at_left, at_right = map(I32.const, _TRIMS[call.function])
    return view(run(e, null, kernels.trim, a.address, a.length, b.address, b.length, at_left, at_right), null)


@function("bytea_overlay")
def _overlay(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = (as_text(e, argument) for argument in arguments[:2])
    count = as_i64(arguments[3]) if len(arguments) == 4 else b.length.to_i64_u()
    parts = (e.worker, a.address, a.length, b.address, b.length, as_i64(arguments[2]), count)
    failures: dict[int, Error] = {errors.INVALID_COUNT: ("22011", "negative substring length not allowed")}
    return view(run(e, null, kernels.overlay, *parts, failures=failures, position=call.position), null)


# --- texts and bytes --------------------------------------------------------------------------------------------------
@function("convert_to_utf8")
def _convert_to(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """Texts are UTF-8: the bytes as they are."""
    text_ = as_text(e, arguments[0])
    return Text(text_.address, text_.length, null)


@function("convert_from_utf8")
def _convert_from(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a = as_text(e, arguments[0])
    failures: dict[int, Error] = {errors.INVALID_TEXT: ("22021", 'invalid byte sequence for encoding "UTF8"')}
    return view(run(e, null, kernels.check_utf8, a.address, a.length, failures=failures, position=call.position), null)


_BY_HOST = {
    **{f"normalize_{form}": derived.NORMALIZE << 8 | place for place, form in enumerate(derived.FORMS)},
    "parse_ident": derived.IDENTIFIERS << 8 | 1,
    "parse_ident_loosely": derived.IDENTIFIERS << 8,
}


@function(*_BY_HOST)
def _by_host(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """What the host makes of a text, once a different one: its length, then its bytes."""
    place = program_of(e, call, _BY_HOST[call.function], 0, arguments, null)
    if null is None:
        return Text(place + 8, e.keep(load("i32.load", place)), null)
    (length,) = zeros(e, null, I32)
    with unless_null(e, null):
        length.set(load("i32.load", place))
    return Text(place + 8, length, null)
