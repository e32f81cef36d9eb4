"""Functions of strings: padding, splitting, quoting, formatting, codes and digests.

Kernels are in kernels/: text_functions, text_quoting, text_format, text_codes and digests. What a kernel's
statuses mean is said here, a function each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import (
    Error,
    as_i64,
    as_text,
    build_text,
    present,
    run,
    view,
)
from zerodb_compiler.codegen.sqlvalues import Int, SqlValue, Text
from zerodb_compiler.errors import error_for
from zerodb_compiler.kernels import digests, errors, memory, text_codes, text_format, text_functions, text_quoting
from zerodb_compiler.kernels.text_building import MAX_TEXT_BYTES
from zerodb_compiler.sql.expressions import Call, Literal
from zerodb_compiler.types import TypeId
from zerodb_compiler.wasm.values import I32, I64

Values = tuple[SqlValue, ...]
Failures = Mapping[int, Error]

_ARGUMENT_BYTES = text_format.ARGUMENT_BYTES
# PostgreSQL's words that quote_ident puts in quotes: all but the unreserved ones.
_KEYWORDS = (
    "all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both "
    "case cast char character check coalesce collate collation column concurrently constraint create cross "
    "current_catalog current_date current_role current_schema current_time current_timestamp current_user dec "
    "decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign "
    "freeze from full grant greatest group grouping having ilike in initially inner inout int integer intersect "
    "interval into is isnull join lateral leading least left like limit localtime localtimestamp national natural "
    "nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay "
    "placing position precision primary real references returning right row select session_user setof similar "
    "smallint some substring symmetric table tablesample then time timestamp to trailing treat trim true union "
    "unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement "
    "xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable"
)


def _built(
    e: Emitter, call: Call, null: I32 | None, kernel: Callable[..., Any], arguments: tuple[Any, ...], failures: Failures
) -> Text:
    """A text that a kernel with a status makes, given its arguments after the worker."""
    return view(run(e, null, kernel, e.worker, *arguments, failures=failures, position=call.position), null)


def _parts(e: Emitter, *values: SqlValue) -> tuple[I32, ...]:
    texts = [as_text(e, value) for value in values]
    return tuple(part for text in texts for part in (text.address, text.length))


def _keywords(e: Emitter) -> tuple[I32, I32]:
    words = f" {_KEYWORDS} ".encode()
    return e.constant_address(words), I32.const(len(words))


# --- characters -------------------------------------------------------------------------------------------------------
@function("ascii")
def _ascii(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    (code,) = run(e, null, text_functions.code_point, *_parts(e, arguments[0]))
    return Int(code, 0, 0x10FFFF, null)


@function("chr")
def _chr(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    code = as_i64(arguments[0])
    e.f.store("i64.store", e.worker, code, abi.WORKER_ERROR_VALUE)
    failures: Failures = {
        errors.DOMAIN: ("22023", "character number must be positive"),
        errors.INVALID_TEXT: ("54000", "null character not permitted"),
        errors.OVERFLOW: ("54000", "requested character too large for encoding: {value}"),
        errors.WRONG_TEXT: ("54000", "requested character not valid for encoding: {value}"),
    }
    return _built(e, call, null, text_functions.from_code_point, (code,), failures)


@function("bit_length")
def _bit_length(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    length = present(as_text(e, arguments[0]).length, null)
    return Int(length.to_i64_u() << 3, 0, MAX_TEXT_BYTES << 3, null)


@function("reverse", "initcap")
def _changed(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    kernel = text_functions.reverse if call.function == "reverse" else text_functions.initcap
    return build_text(e, null, kernel, *_parts(e, arguments[0]))


@function("translate")
def _translate(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    return build_text(e, null, text_functions.translate, *_parts(e, *arguments))


_UNISTR: Failures = {
    errors.WRONG_TEXT: ("42601", "invalid Unicode escape"),
    errors.DOMAIN: ("42601", "invalid Unicode surrogate pair"),
    errors.OVERFLOW: ("22023", "invalid Unicode code point"),
}


@function("unistr")
def _unistr(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    return _built(e, call, null, text_functions.unistr, _parts(e, arguments[0]), _UNISTR)


# --- parts ------------------------------------------------------------------------------------------------------------
@function("lpad", "rpad")
def _pad(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    fill = _parts(e, arguments[2]) if len(arguments) == 3 else (e.constant_address(b" "), I32.const(1))
    at_left = I32.const(int(call.function == "lpad"))
    failures: Failures = {errors.OVERFLOW: ("54000", "requested length too large")}
    parts = (*_parts(e, arguments[0]), as_i64(arguments[1]), *fill, at_left)
    return _built(e, call, null, text_functions.pad, parts, failures)


@function("overlay")
def _overlay(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    from zerodb_compiler.kernels import text

    failures: Failures = {errors.INVALID_COUNT: ("22011", "negative substring length not allowed")}
    parts = _parts(e, arguments[0], arguments[1])
    if len(arguments) == 4:
        count = as_i64(arguments[3])
    else:
        (characters,) = run(e, null, text.char_length, *parts[2:])
        count = characters.to_i64_u()
    return _built(e, call, null, text_functions.overlay, (*parts, as_i64(arguments[2]), count), failures)


@function("split_part")
def _split_part(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    failures: Failures = {errors.DOMAIN: ("22023", "field position must not be zero")}
    parts = (*_parts(e, arguments[0], arguments[1]), as_i64(arguments[2]))
    return view(run(e, null, text_functions.split_part, *parts, failures=failures, position=call.position), null)


@function("to_hex")
def _to_hex(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    value = as_i64(arguments[0])
    if call.arguments[0].type.id is not TypeId.BIGINT:
        value = value & 0xFFFFFFFF
    return build_text(e, null, text_functions.to_base, value, I32.const(4))


# --- quoting ----------------------------------------------------------------------------------------------------------
@function("quote_ident")
def _quote_ident(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    return build_text(e, null, text_quoting.quote_ident, *_parts(e, arguments[0]), *_keywords(e))


@function("quote_literal")
def _quote_literal(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    return build_text(e, null, text_quoting.quote_literal, *_parts(e, arguments[0]))


@function("quote_nullable")
def _quote_nullable(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    quoted = build_text(e, null, text_quoting.quote_literal, *_parts(e, arguments[0]))
    if null is not None:
        with e.f.if_(null):
            quoted.address.set(e.constant_address(b"NULL"))  # type: ignore[attr-defined]
            quoted.length.set(4)  # type: ignore[attr-defined]
    return Text(quoted.address, quoted.length)


# --- lists of arguments -----------------------------------------------------------------------------------------------
def _listed(e: Emitter, arguments: Values) -> tuple[I32, I32]:
    """The addresses, lengths and NULL flags of texts, in memory."""
    if not arguments:
        return I32.const(0), I32.const(0)
    texts = [as_text(e, argument) for argument in arguments]
    size = I32.const(_ARGUMENT_BYTES * len(texts))
    place = e.f.let(e.f.call(e.context.kernel(memory.scratch), e.worker, size), "arguments")
    e.fail_if(place.is_zero(), abi.STATUS_OUT_OF_MEMORY)
    for number, text in enumerate(texts):
        null = I32.const(0) if text.null is None else text.null
        for offset, value in ((0, text.address), (4, text.length), (8, null)):
            e.f.store("i32.store", place, value, number * _ARGUMENT_BYTES + offset)
    return place, I32.const(len(texts))


@function("concat_ws")
def _concat_ws(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    null = arguments[0].null
    parts = (*_parts(e, arguments[0]), *_listed(e, arguments[1:]))
    return build_text(e, null, text_format.concat_ws, *parts)


_FORMAT: Failures = {
    errors.WRONG_TEXT: ("22023", "unterminated format() type specifier"),
    errors.OVERFLOW: ("22003", "number is out of range"),
    errors.DOMAIN: ("22023", "format specifies argument 0, but arguments are numbered from 1"),
    errors.NOT_AN_OPTION: ("22023", 'width argument position must be ended by "$"'),
    errors.INVALID_COUNT: ("22023", "too few arguments for format()"),
    errors.INVALID_TEXT: ("22P02", "invalid input syntax for type integer"),
    errors.LOG_ZERO: ("22023", 'unrecognized format() type specifier "{text}"'),
    errors.UNDERFLOW: ("22004", "null values cannot be formatted as an SQL identifier"),
}


@function("format")
def _format(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    null = arguments[0].null
    parts = (*_parts(e, arguments[0]), *_listed(e, arguments[1:]), *_keywords(e))
    return _built(e, call, null, text_format.format_text, parts, _FORMAT)


@function("num_nulls", "num_nonnulls")
def _count_nulls(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    count: I64 = I64.const(0)
    for argument in arguments:
        if call.function == "num_nonnulls":
            one: I64 = I64.const(1) if argument.null is None else argument.null.is_zero().to_i64_u()
            count = count + one
        elif argument.null is not None:
            count = count + argument.null.to_i64_u()
    return Int(count, 0, max(1, len(arguments)))


# --- codes and digests ------------------------------------------------------------------------------------------------
_ENCODERS: dict[str, Callable[..., Any]] = {
    "hex": text_codes.encode_hex,
    "base64": text_codes.encode_base64,
    "escape": text_codes.encode_escape,
}
_DECODERS: dict[str, tuple[Callable[..., Any], Failures]] = {
    "hex": (
        text_codes.decode_hex,
        {
            errors.INVALID_TEXT: ("22023", 'invalid hexadecimal digit: "{text}"'),
            errors.WRONG_TEXT: ("22023", "invalid hexadecimal data: odd number of digits"),
        },
    ),
    "base64": (
        text_codes.decode_base64,
        {
            errors.INVALID_TEXT: ("22023", 'invalid symbol "{text}" found while decoding base64 sequence'),
            errors.WRONG_TEXT: ("22023", "invalid base64 end sequence"),
            errors.DOMAIN: ("22023", 'unexpected "=" while decoding base64 sequence'),
        },
    ),
    "escape": (
        text_codes.decode_escape,
        {errors.INVALID_TEXT: ("22P02", "invalid input syntax for type bytea")},
    ),
}


def _encoding(call: Call) -> str | None:
    """The name of a constant encoding, None for NULL."""
    given = call.arguments[1]
    if not isinstance(given, Literal):
        raise error_for("0A000", "an encoding that is not constant is not supported", position=call.position)
    if given.value is None:
        return None
    name = str(given.value).lower()
    if name not in _ENCODERS:
        raise error_for("22023", f'unrecognized encoding: "{given.value!s}"', position=call.position)
    return name


@function("encode")
def _encode(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    return build_text(e, null, _ENCODERS[_encoding(call) or "hex"], *_parts(e, arguments[0]))


@function("decode")
def _decode(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    kernel, failures = _DECODERS[_encoding(call) or "hex"]
    return _built(e, call, null, kernel, _parts(e, arguments[0]), failures)


_DIGESTS: dict[str, Callable[..., Any]] = {
    "md5": digests.md5,
    "sha224": digests.sha224,
    "sha256": digests.sha256,
    "sha384": digests.sha384,
    "sha512": digests.sha512,
}


@function(*_DIGESTS)
def _digest(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    return build_text(e, null, _DIGESTS[call.function], *_parts(e, arguments[0]))
