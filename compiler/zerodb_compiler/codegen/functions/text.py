"""Functions of text: parts, positions, case, replacement and concatenation. LIKE is in patterns.py.

Parts of a text are views of it; what is built lives in the worker's scratch memory until the end of the morsel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import (
    as_i64,
    as_text,
    build_text,
    present,
    run,
    unless_null,
    view,
    zeros,
)
from zerodb_compiler.codegen.sqlvalues import Bool, Int, SqlValue, Text
from zerodb_compiler.kernels import errors, memory, text, text_building
from zerodb_compiler.kernels.text_building import MAX_TEXT_BYTES
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.wasm.values import I32, I64

Values = tuple[SqlValue, ...]


# --- truth and numbers ------------------------------------------------------------------------------------------------
@function("starts_with", "contains")
def _is_part(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = (as_text(e, argument) for argument in arguments)
    kernel = text.starts_with if call.function == "starts_with" else text.contains
    (found,) = run(e, null, kernel, a.address, a.length, b.address, b.length)
    return Bool(found, null)


@function("length")
def _length(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a = as_text(e, arguments[0])
    (count,) = run(e, null, text.char_length, a.address, a.length)
    return Int(count.to_i64_u(), 0, MAX_TEXT_BYTES, null)


@function("octet_length")
def _octet_length(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a = as_text(e, arguments[0])
    return Int(present(a.length, null).to_i64_u(), 0, MAX_TEXT_BYTES, null)


@function("strpos")
def _strpos(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = (as_text(e, argument) for argument in arguments)
    (place,) = run(e, null, text.strpos, a.address, a.length, b.address, b.length)
    return Int(place.to_i64_u(), 0, MAX_TEXT_BYTES + 1, null)


# --- parts ------------------------------------------------------------------------------------------------------------
@function("substring")
def _substring(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, start = as_text(e, arguments[0]), as_i64(arguments[1])
    if len(arguments) == 2:
        return view(run(e, null, text.substring_from, a.address, a.length, start), null)
    failures = {errors.INVALID_COUNT: ("22011", "negative substring length not allowed")}
    part = run(
        e, null, text.substring, a.address, a.length, start, as_i64(arguments[2]),
        failures=failures, position=call.position,
    )  # fmt: skip
    return view(part, null)


@function("left", "right")
def _side(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a = as_text(e, arguments[0])
    kernel = text.left if call.function == "left" else text.right
    return view(run(e, null, kernel, a.address, a.length, as_i64(arguments[1])), null)


_TRIM: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "trim": (text.trim_spaces, text.trim),
    "ltrim": (text.ltrim_spaces, text.ltrim),
    "rtrim": (text.rtrim_spaces, text.rtrim),
}


@function("trim", "ltrim", "rtrim")
def _trim(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a = as_text(e, arguments[0])
    of_spaces, of_characters = _TRIM[call.function]
    if len(arguments) == 1:
        return view(run(e, null, of_spaces, a.address, a.length), null)
    b = as_text(e, arguments[1])
    return view(run(e, null, of_characters, a.address, a.length, b.address, b.length), null)


# --- built texts ------------------------------------------------------------------------------------------------------
@function("lower", "upper")
def _change_case(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a = as_text(e, arguments[0])
    kernel = text_building.lower if call.function == "lower" else text_building.upper
    return build_text(e, null, kernel, a.address, a.length)


@function("repeat")
def _repeat(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a = as_text(e, arguments[0])
    return build_text(e, null, text_building.repeat, a.address, a.length, as_i64(arguments[1]))


@function("replace")
def _replace(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, old, new = (as_text(e, argument) for argument in arguments)
    # The kernel gives the text itself back where there is nothing to replace, and an empty text may be at address 0.
    address, length = zeros(e, null, I32, I32)
    with unless_null(e, null):
        address.set(a.address)
        length.set(a.length)
        with e.f.if_(length):
            parts = (part for item in (a, old, new) for part in (item.address, item.length))
            built = e.f.run(e.context.kernel(text_building.replace), e.worker, *parts)
            e.fail_if(built[0].is_zero(), abi.STATUS_OUT_OF_MEMORY)
            address.set(built[0])
            length.set(built[1])
    return Text(address, length, null)


@function("concat")
def _concat(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    return joined(e, [as_text(e, argument) for argument in arguments], null)


@function("concat_null")
def _concat_null(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """NULL arguments are empty."""
    texts = [as_text(e, argument) for argument in arguments]
    return joined(e, [Text(item.address, e.keep(present(item.length, item.null))) for item in texts], None)


def joined(e: Emitter, texts: list[Text], null: I32 | None) -> Text:
    """One text from many: one allocation, one copy of each."""
    f = e.f
    address, length = zeros(e, null, I32, I32)
    if not texts:
        return Text(I32.const(0), I32.const(0), null)
    with unless_null(e, null):
        total: I64 = texts[0].length.to_i64_u()
        for item in texts[1:]:
            total = total + item.length.to_i64_u()
        total = f.let(total, "total")
        e.fail_if(total > MAX_TEXT_BYTES, abi.STATUS_OUT_OF_MEMORY)
        length.set(total.to_i32())
        with f.if_(length):
            address.set(f.call(e.context.kernel(memory.scratch), e.worker, length))
            e.fail_if(address.is_zero(), abi.STATUS_OUT_OF_MEMORY)
            place = f.let(address, "place")
            for i, item in enumerate(texts):
                f.memory_copy(place, item.address, item.length)
                if i + 1 < len(texts):
                    place.set(place + item.length)
    return Text(address, length, null)
