"""jsonpath in generated code: jsonb_path_exists and its kin, @? and @@ (kernels/jsonpath_calls.py)."""

from __future__ import annotations

from typing import Any

from zerodb_compiler import derived
from zerodb_compiler import jsonb as form
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.calling import Error, as_text, run, view
from zerodb_compiler.codegen.functions.regex import program_of
from zerodb_compiler.codegen.sqlvalues import Bool, SqlValue
from zerodb_compiler.kernels import errors, jsonpath_calls
from zerodb_compiler.kernels import jsonpath_items as problem
from zerodb_compiler.sql.expressions import Call
from zerodb_compiler.wasm.values import I32

_NUMERIC = "can only be applied to a numeric value"
FAILURES: dict[int, Error] = {
    problem.NO_KEY: ("2203A", "JSON object does not contain the key of a jsonpath member accessor"),
    problem.NOT_OBJECT_KEY: ("2203A", "jsonpath member accessor can only be applied to an object"),
    problem.NOT_ARRAY_WILD: ("22039", "jsonpath wildcard array accessor can only be applied to an array"),
    problem.NOT_ARRAY: ("22039", "jsonpath array accessor can only be applied to an array"),
    problem.OUT_OF_BOUNDS: ("22033", "jsonpath array subscript is out of bounds"),
    problem.NOT_OBJECT_WILD: ("2203C", "jsonpath wildcard member accessor can only be applied to an object"),
    problem.NOT_ARRAY_SIZE: ("22039", "jsonpath item method .size() can only be applied to an array"),
    problem.NOT_NUMERIC: ("22036", f"jsonpath item method .abs(), .floor() or .ceiling() {_NUMERIC}"),
    problem.NOT_DOUBLE: (
        "22036",
        "jsonpath item method .double() can only be applied to a string or numeric value",
    ),
    problem.NOT_OBJECT_KEYVALUE: ("2203C", "jsonpath item method .keyvalue() can only be applied to an object"),
    problem.LEFT_OPERAND: ("22038", "left operand of jsonpath operator is not a single numeric value"),
    problem.RIGHT_OPERAND: ("22038", "right operand of jsonpath operator is not a single numeric value"),
    problem.UNARY_OPERAND: ("2203B", "operand of unary jsonpath operator is not a numeric value"),
    problem.SUBSCRIPT: ("22033", "jsonpath array subscript is not a single numeric value"),
    problem.DOUBLE_RANGE: (
        "22036",
        "numeric argument of jsonpath item method .double() is out of range for type double precision",
    ),
    problem.NOT_SINGLE_BOOLEAN: ("22038", "single boolean result is expected"),
    problem.WRONG_VARIABLES: ("22023", '"vars" argument is not an object'),
    problem.NO_VARIABLE: ("42704", "could not find a jsonpath variable"),
    problem.NUMBER_TOO_LONG: (
        "0A000",
        "arithmetic in jsonpath on numbers of more than 38 digits is not supported",
    ),
    problem.REGEX_TOO_COMPLEX: ("2201B", "regular expression failed: regular expression is too complex"),
    errors.DIVISION_BY_ZERO: ("22012", "division by zero"),
}


def _arguments(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> tuple[Any, ...]:
    """(value, path [, variables [, silent]]) as the kernels take them; the operators are silent."""
    value = as_text(e, arguments[0])
    program = program_of(e, call, derived.JSON_PATH << 8, 1, arguments, null)
    is_operator = call.function.endswith("_opr")
    silent: I32 = I32.const(int(is_operator))
    variables: I32 = I32.const(0) if is_operator else e.constant_address(form.encode({}))
    if len(arguments) > 2:
        variables = as_text(e, arguments[2]).address
    if len(arguments) > 3:
        flag = arguments[3]
        assert isinstance(flag, Bool)
        silent = flag.value
    return e.worker, program, value.address, value.length, variables, silent


@function("jsonb_path_exists", "jsonb_path_exists_opr", "jsonb_path_match", "jsonb_path_match_opr")
def _truth(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    kernel: Any = jsonpath_calls.path_exists if "exists" in call.function else jsonpath_calls.path_match
    parts = _arguments(e, call, arguments, null)
    truth, is_null = run(e, null, kernel, *parts, failures=FAILURES, position=call.position)
    missing = is_null if null is None else e.f.let(is_null | null, "null")
    return Bool(truth, missing)


@function("jsonb_path_query_first")
def _first(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    parts = _arguments(e, call, arguments, null)
    found = run(e, null, jsonpath_calls.path_first, *parts, failures=FAILURES, position=call.position)
    return view(found, e.f.let(found[1].is_zero(), "missing"))


@function("jsonb_path_query_array", "jsonb_path_query_list")
def _all(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    """As jsonb, or as an SQL array."""
    as_json = I32.const(int(call.function == "jsonb_path_query_array"))
    parts = (*_arguments(e, call, arguments, null), as_json)
    return view(run(e, null, jsonpath_calls.path_query, *parts, failures=FAILURES, position=call.position), null)
