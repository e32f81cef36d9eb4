"""Regular expressions: the operators and functions over compiled patterns.

A constant pattern is compiled here and its program is a constant of the query; one that comes with each row, or as a
parameter, is compiled by the host once a different text (kernels/derived.py).
"""

from __future__ import annotations

from zerodb_compiler import derived
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import Error, as_i64, as_text, run, unless_null, view, zeros
from zerodb_compiler.codegen.sqlvalues import Bool, Int, SqlValue, Text
from zerodb_compiler.errors import DatabaseError, NotSupportedError, error_for
from zerodb_compiler.kernels import derived as derived_kernel
from zerodb_compiler.kernels import errors, regex_functions
from zerodb_compiler.kernels.text_building import MAX_TEXT_BYTES
from zerodb_compiler.sql.expressions import Call, Literal
from zerodb_compiler.wasm.values import I32, I64

Values = tuple[SqlValue, ...]

FAILURES: dict[int, Error] = {
    errors.TOO_COMPLEX: ("2201B", "regular expression failed: regular expression is too complex")
}


def program_of(e: Emitter, call: Call, number: int, place: int, arguments: Values, null: I32 | None) -> I32:
    """The address of the program that compiler `number` makes of an argument."""
    argument = call.arguments[place]
    if isinstance(argument, Literal):
        if argument.value is None:
            return I32.const(0)
        assert isinstance(argument.value, str)
        try:
            return e.constant_address(derived.derive(number, argument.value))
        except DatabaseError as error:
            if error.position is None:
                error.position = call.position
            raise
    text = as_text(e, arguments[place])
    (program,) = zeros(e, null, I32)
    with unless_null(e, null):
        program.set(derived_of(e, number, text))
    return program


def derived_of(e: Emitter, number: int, text: Text) -> I32:
    """The address of what the host's compiler `number` makes of a text that is not NULL."""
    field = e.worker + e.context.worker.reserve(4, 4)
    kernel = e.context.kernel(derived_kernel.derived)
    made = e.f.let(e.f.call(kernel, e.worker, field, I32.const(number), text.address, text.length))
    e.fail_if(made.is_zero(), abi.STATUS_OUT_OF_MEMORY)
    return made


def _option(call: Call, place: int, what: str) -> str | None:
    """A constant text argument, None for NULL."""
    argument = call.arguments[place]
    if not isinstance(argument, Literal):
        raise NotSupportedError(f"{what} that are not constant", position=call.position)
    return None if argument.value is None else str(argument.value)


def regex_number(call: Call, place: int, *, more: str = "") -> tuple[int, str]:
    """The number of the compiler for the flags at `place` (beyond the last argument: no flags), and those flags that
    are the function's own (`more`)."""
    from zerodb_compiler.regex.syntax import Flags

    flags, own = Flags(), ""
    for letter in (_option(call, place, "flags of a regular expression") or "") if place < len(call.arguments) else "":
        if letter in more:
            own += letter
        elif letter == "g":
            name = call.function
            raise error_for("22023", f'{name}() does not support the "global" option', position=call.position)
        elif not flags.option(letter):
            raise error_for("22023", f'invalid regular expression option: "{letter}"', position=call.position)
    return derived.REGEX << 8 | flags.bits, own


def similar_number(call: Call, place: int) -> int:
    """The number of the compiler for SIMILAR TO, with the escape at `place` if there is one."""
    options = 0
    if place < len(call.arguments):
        escape = _option(call, place, "escape characters of SIMILAR TO")
        if escape is not None and len(escape) > 1:
            raise error_for("22019", "invalid escape string", position=call.position)
        if escape and not escape.isascii():
            raise NotSupportedError("an escape character that is not ASCII", position=call.position)
        options = 0 if escape is None else 1 + ord(escape) if escape else derived.NO_ESCAPE
    return derived.SIMILAR << 8 | options


def subject(e: Emitter, arguments: Values, program: I32) -> tuple[I32, I32, I32, I32]:
    text = as_text(e, arguments[0])
    return e.worker, program, text.address, text.length


def _test(e: Emitter, call: Call, number: int, arguments: Values, null: I32 | None) -> SqlValue:
    program = program_of(e, call, number, 1, arguments, null)
    parts = subject(e, arguments, program)
    (found,) = run(e, null, regex_functions.regex_test, *parts, failures=FAILURES, position=call.position)
    return Bool(found, null)


@function("regexp_like", "regexp_ilike")
def _regexp_like(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    number, _ = regex_number(call, 2)
    if call.function == "regexp_ilike":
        number |= 1
    return _test(e, call, number, arguments, null)


@function("similar_to")
def _similar_to(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    return _test(e, call, similar_number(call, 2), arguments, null)


def _integer(
    e: Emitter, call: Call, arguments: Values, place: int, default: int, name: str, least: int, null: I32 | None
) -> I64:
    """An integer argument with its least value; `default` where it is left out."""
    if place >= len(arguments):
        return I64.const(default)
    value = e.keep(as_i64(arguments[place]))
    if value.constant is not None and value.constant >= least:
        return I64.const(value.constant)
    with unless_null(e, null), e.f.if_(value < least):
        e.f.store("i64.store", e.worker, value, abi.WORKER_ERROR_VALUE)
        e.fail(e.context.error_status("22023", f'invalid value for parameter "{name}": {{value}}', call.position))
    result: I64 = value
    return result


@function("regexp_count")
def _count(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    number, _ = regex_number(call, 3)
    program = program_of(e, call, number, 1, arguments, null)
    start = _integer(e, call, arguments, 2, 1, "start", 1, null)
    parts = subject(e, arguments, program)
    (count,) = run(e, null, regex_functions.regex_count, *parts, start, failures=FAILURES, position=call.position)
    return Int(count, 0, MAX_TEXT_BYTES + 1, null)


@function("regexp_instr")
def _instr(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    number, _ = regex_number(call, 5)
    program = program_of(e, call, number, 1, arguments, null)
    start = _integer(e, call, arguments, 2, 1, "start", 1, null)
    nth = _integer(e, call, arguments, 3, 1, "n", 1, null)
    behind = _integer(e, call, arguments, 4, 0, "endoption", 0, null)
    if behind.constant is None or behind.constant > 1:
        with unless_null(e, null), e.f.if_(behind > 1):
            e.f.store("i64.store", e.worker, behind, abi.WORKER_ERROR_VALUE)
            message = 'invalid value for parameter "endoption": {value}'
            e.fail(e.context.error_status("22023", message, call.position))
    group = _integer(e, call, arguments, 6, 0, "subexpr", 0, null)
    parts = subject(e, arguments, program)
    (place,) = run(
        e, null, regex_functions.regex_instr, *parts, start, nth, behind, group,
        failures=FAILURES, position=call.position,
    )  # fmt: skip
    return Int(place, 0, MAX_TEXT_BYTES + 2, null)


def _part(
    e: Emitter,
    call: Call,
    parts: tuple[I32, I32, I32, I32],
    numbers: tuple[I64, I64, I64],
    null: I32 | None,
) -> SqlValue:
    address, length, found = run(
        e, null, regex_functions.regex_substr, *parts, *numbers, failures=FAILURES, position=call.position
    )
    missing = e.keep(found.is_zero())
    return view((address, length), missing)


@function("regexp_substr")
def _substr(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    number, _ = regex_number(call, 4)
    program = program_of(e, call, number, 1, arguments, null)
    start = _integer(e, call, arguments, 2, 1, "start", 1, null)
    nth = _integer(e, call, arguments, 3, 1, "n", 1, null)
    group = _integer(e, call, arguments, 5, 0, "subexpr", 0, null)
    return _part(e, call, subject(e, arguments, program), (start, nth, group), null)


@function("substring_regex", "substring_similar")
def _substring(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """substring(text from pattern [for escape]): the first group if there is one, else the match."""
    number = derived.REGEX << 8 if call.function == "substring_regex" else similar_number(call, 2)
    program = program_of(e, call, number, 1, arguments, null)
    numbers = (I64.const(1), I64.const(1), I64.const(-1))
    return _part(e, call, subject(e, arguments, program), numbers, null)


@function("regexp_replace", "regexp_replace_from")
def _replace(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    start, nth = I64.const(1), I64.const(1)
    if call.function == "regexp_replace":
        number, own = regex_number(call, 3, more="g")
        nth = I64.const(0 if own else 1)
    else:
        number, own = regex_number(call, 5, more="g")
        start = _integer(e, call, arguments, 3, 1, "start", 1, null)
        nth = _integer(e, call, arguments, 4, 0 if own else 1, "n", 0, null)
    program = program_of(e, call, number, 1, arguments, null)
    new = as_text(e, arguments[2])
    parts = (*subject(e, arguments, program), new.address, new.length, start, nth)
    result = run(e, null, regex_functions.regex_replace, *parts, failures=FAILURES, position=call.position)
    return view(result, null)
