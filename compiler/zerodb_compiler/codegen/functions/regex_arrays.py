"""Functions of regular expressions that give arrays; as sets of rows, they are unnested (binder_patterns.py)."""

from __future__ import annotations

from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import run, view
from zerodb_compiler.codegen.functions.regex import FAILURES, program_of, regex_number, subject
from zerodb_compiler.codegen.sqlvalues import SqlValue
from zerodb_compiler.kernels import regex_arrays
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.wasm.values import I32

Values = tuple[SqlValue, ...]


@function("regexp_match")
def _match(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    number, _ = regex_number(call, 2)
    parts = subject(e, arguments, program_of(e, call, number, 1, arguments, null))
    address, length, found = run(e, null, regex_arrays.regex_match, *parts, failures=FAILURES, position=call.position)
    return view((address, length), e.keep(found.is_zero()))


@function("regexp_matches")
def _matches(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    number, own = regex_number(call, 2, more="g")
    parts = subject(e, arguments, program_of(e, call, number, 1, arguments, null))
    each = I32.const(int(bool(own)))
    result = run(e, null, regex_arrays.regex_matches, *parts, each, failures=FAILURES, position=call.position)
    return view(result, null)


@function("regexp_split_to_array")
def _split(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    number, _ = regex_number(call, 2)
    parts = subject(e, arguments, program_of(e, call, number, 1, arguments, null))
    result = run(e, null, regex_arrays.regex_split, *parts, failures=FAILURES, position=call.position)
    return view(result, null)
