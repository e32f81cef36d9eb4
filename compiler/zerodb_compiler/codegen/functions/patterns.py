"""LIKE and ILIKE. A pattern known at compile time becomes the comparisons it stands for:

    abc      equality            abc%     starts_with         abc%xyz  both, and long enough for both
    %        TRUE                %abc     ends_with           %abc%    contains

Everything else, and patterns that are parameters, go to the general kernel (kernels/patterns.py).
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import constant, function
from zerodb_compiler.codegen.functions.calling import as_text, run, unless_null, zeros
from zerodb_compiler.codegen.sqlvalues import Bool, SqlValue, Text
from zerodb_compiler.errors import NotSupportedError, error_for
from zerodb_compiler.kernels import errors, patterns, text, text_building
from zerodb_compiler.sql.expressions import Call, Literal
from zerodb_compiler.types import TEXT
from zerodb_compiler.wasm.values import I32, load

Values = tuple[SqlValue, ...]

_BACKSLASH = ord("\\")
_PATTERN_ENDS = {errors.INVALID_ESCAPE: ("22025", "LIKE pattern must not end with escape character")}
_INVALID_ESCAPE = ("22025", "invalid escape string: it must be empty or one character")
_ESCAPE_NOT_ASCII = "an escape character that is not ASCII"
# Prefixes up to this many bytes are compared in line.
_INLINE_BYTES = 16


@function("like", "not_like", "ilike")
def _like(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    subject = as_text(e, arguments[0])
    pattern = call.arguments[1]
    escape = _escape(e, call, arguments, null)
    found: I32 | None = None
    if isinstance(pattern, Literal) and isinstance(pattern.value, str) and escape.constant is not None:
        found = _constant_pattern(e, call, subject, pattern.value, escape.constant, null)
    if found is None:
        found = _any_pattern(e, call, subject, as_text(e, arguments[1]), escape, null)
    if call.function != "not_like":
        return Bool(found, null)
    return Bool(found.is_zero() if null is None else (found | null).is_zero(), null)


def _escape(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> I32:
    """The byte of the escape character, or -1 for none."""
    if len(arguments) == 2:
        return I32.const(_BACKSLASH)
    given = call.arguments[2]
    if isinstance(given, Literal) and isinstance(given.value, str):
        if len(given.value) > 1:
            raise error_for(*_INVALID_ESCAPE, position=call.position)
        if not given.value.isascii():
            raise NotSupportedError(_ESCAPE_NOT_ASCII, position=call.position)
        return I32.const(ord(given.value) if given.value else -1)
    value = as_text(e, arguments[2])
    (byte,) = zeros(e, null, I32)
    with unless_null(e, null):
        byte.set(-1)
        with e.f.if_(value.length):
            byte.set(load("i32.load8_u", value.address))
            with e.f.if_(byte > 127):
                (characters,) = run(e, None, text.char_length, value.address, value.length)
                e.error_if(characters == 1, "0A000", _ESCAPE_NOT_ASCII, call.position)
            e.error_if(value.length > 1, *_INVALID_ESCAPE, call.position)
    return byte


def _any_pattern(e: Emitter, call: Call, subject: Text, pattern: Text, escape: I32, null: I32 | None) -> I32:
    parts = (subject.address, subject.length, pattern.address, pattern.length, escape)
    if call.function == "ilike":
        (found,) = run(e, null, patterns.ilike, e.worker, *parts, failures=_PATTERN_ENDS, position=call.position)
    else:
        (found,) = run(e, null, patterns.like, *parts, failures=_PATTERN_ENDS, position=call.position)
    return found


# --- constant patterns ------------------------------------------------------------------------------------------------
def runs_of(pattern: str, escape: str) -> list[str] | None:
    """The plain runs between the % of a pattern, or None if it has a _ or ends in its escape character."""
    runs, place = [""], 0
    while place < len(pattern):
        character = pattern[place]
        place += 1
        if character == escape:
            if place == len(pattern):
                return None
            runs[-1] += pattern[place]
            place += 1
        elif character == "%":
            runs.append("")
        elif character == "_":
            return None
        else:
            runs[-1] += character
    return runs


def _constant_pattern(e: Emitter, call: Call, subject: Text, pattern: str, escape: int, null: I32 | None) -> I32 | None:
    """The truth of LIKE for a pattern of plain runs; None where only the general kernel will do."""
    escape_character = chr(escape) if escape >= 0 else ""
    runs = runs_of(pattern, escape_character)
    if runs is None:
        return None
    if call.function == "ilike":
        if not pattern.isascii():
            return None
        runs = [part.lower() for part in runs]
    first, last, inner = runs[0], runs[-1], [part for part in runs[1:-1] if part]
    if len(inner) > 1 or (inner and (first or last)):
        return None
    (found,) = zeros(e, null, I32)
    with unless_null(e, null):
        if call.function == "ilike" and (first or last or inner):
            lowered = e.f.run(e.context.kernel(text_building.lower), e.worker, subject.address, subject.length)
            e.fail_if(lowered[0].is_zero(), abi.STATUS_OUT_OF_MEMORY)
            subject = Text(*lowered)
        if len(runs) == 1:
            found.set(_equals(e, subject, first))
        elif inner:
            found.set(_kernel_test(e, text.contains, subject, inner[0]))
        else:
            found.set(_starts_and_ends(e, subject, first, last))
    return found


def _needle(e: Emitter, value: str) -> Text:
    result = constant(e, value, TEXT)
    assert isinstance(result, Text)
    return result


def _kernel_test(e: Emitter, kernel: object, subject: Text, value: str) -> I32:
    needle = _needle(e, value)
    parts = (subject.address, subject.length, needle.address, needle.length)
    return e.f.call(e.context.kernel(kernel), *parts)


def _equals(e: Emitter, subject: Text, value: str) -> I32:
    return _kernel_test(e, text.equal_text, subject, value)


def _starts_and_ends(e: Emitter, subject: Text, first: str, last: str) -> I32:
    """first%last"""
    least = len(first.encode()) + len(last.encode())
    if not least:
        return I32.const(1)
    found = e.f.let(subject.length >= least, "long_enough")
    with e.f.if_(found):
        if first:
            found.set(_same_bytes(e, subject.address, first.encode(), first))
        if last:
            with e.f.if_(found):
                end = e.f.let(subject.address + subject.length - len(last.encode()), "end")
                found.set(_same_bytes(e, end, last.encode(), last))
    return found


def _same_bytes(e: Emitter, address: I32, data: bytes, value: str) -> I32:
    """Whether the bytes at an address (as many as `data` has) are those of the constant."""
    if len(data) > _INLINE_BYTES:
        return e.f.call(e.context.kernel(text.equal_bytes), address, _needle(e, value).address, I32.const(len(data)))
    different: I32 | None = None
    place = 0
    for width, name in ((8, "i64.load"), (4, "i32.load"), (2, "i32.load16_u"), (1, "i32.load8_u")):
        while len(data) - place >= width:
            word = load(name, address, place)
            test = word != int.from_bytes(data[place : place + width], "little")
            different = test if different is None else different | test
            place += width
    assert different is not None
    return different.is_zero()
