"""What SQL's functions call: jsonpath programs over whole values (jsonpath.py runs them)."""

from __future__ import annotations

from zerodb_compiler.jsonb import FALSE, NULL, OBJECT, TRUE
from zerodb_compiler.kernels import errors
from zerodb_compiler.kernels.arrays import append, builder_new, finish_list
from zerodb_compiler.kernels.intrinsics import (
    i32,
    load8_u,
    load32,
    memory_fill,
    ptr,
    store32,
)
from zerodb_compiler.kernels.jsonb import finish_array
from zerodb_compiler.kernels.jsonpath import execute
from zerodb_compiler.kernels.jsonpath_items import (
    CONTEXT_BYTES,
    COUNT,
    ERROR,
    FOUND,
    HARD,
    IGNORE,
    INNERMOST,
    ITEM,
    ITEM_SIZE,
    LACKS_MEMORY,
    LAX,
    NOT_SINGLE_BOOLEAN,
    NOTHING,
    PROBLEM,
    PROGRAM,
    THROW,
    VALUE,
    VALUE_SIZE,
    VARIABLES,
    WORKER,
    WRONG_VARIABLES,
    list_item,
    list_new,
)
from zerodb_compiler.kernels.memory import scratch


def context_new(worker: ptr, program: ptr, value: ptr, size: i32, variables: ptr, silent: i32) -> ptr:
    context = scratch(worker, CONTEXT_BYTES)
    if context == 0:
        return 0
    memory_fill(context, 0, CONTEXT_BYTES)
    lax = load32(program, 4)
    store32(context, worker, WORKER)
    store32(context, program, PROGRAM)
    store32(context, value, VALUE)
    store32(context, size, VALUE_SIZE)
    store32(context, value, ITEM)
    store32(context, size, ITEM_SIZE)
    store32(context, variables, VARIABLES)
    store32(context, lax, LAX)
    store32(context, lax, IGNORE)
    store32(context, 1 - silent, THROW)
    store32(context, -1, INNERMOST)
    return context


def wrong_variables(variables: ptr) -> bool:
    return variables != 0 and load8_u(variables) != OBJECT


def status_of(context: ptr, outcome: i32) -> i32:
    """The problem to report; 0 if there is none or it is silenced."""
    problem = load32(context, PROBLEM)
    if problem == LACKS_MEMORY:
        return errors.OUT_OF_MEMORY
    if problem >= HARD or outcome == ERROR:
        return problem
    return 0


def path_exists(worker: ptr, program: ptr, value: ptr, size: i32, variables: ptr, silent: i32) -> tuple[i32, i32, i32]:
    """Whether there is a result, whether that is NULL (a silenced error), and a status."""
    if wrong_variables(variables):
        return 0, 0, WRONG_VARIABLES
    context = context_new(worker, program, value, size, variables, silent)
    if context == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    first = program + load32(program)
    found = 0
    if not load32(program, 4):
        found = list_new(context)
        if found == 0:
            return 0, 0, errors.OUT_OF_MEMORY
    outcome = execute(context, first, value, size, found)
    if found != 0 and outcome != ERROR:
        outcome = FOUND if load32(found, COUNT) > 0 else NOTHING
    status = status_of(context, outcome)
    return i32(outcome == FOUND), i32(outcome == ERROR), status


def path_results(worker: ptr, program: ptr, value: ptr, size: i32, variables: ptr, silent: i32) -> tuple[ptr, i32, i32]:
    """The list of the results, the outcome, and a status."""
    if wrong_variables(variables):
        return 0, 0, WRONG_VARIABLES
    context = context_new(worker, program, value, size, variables, silent)
    if context == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    found = list_new(context)
    if found == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    outcome = execute(context, program + load32(program), value, size, found)
    return found, outcome, status_of(context, outcome)


def path_match(worker: ptr, program: ptr, value: ptr, size: i32, variables: ptr, silent: i32) -> tuple[i32, i32, i32]:
    """The single boolean, whether it is NULL, and a status."""
    found, _outcome, status = path_results(worker, program, value, size, variables, silent)
    if status != 0:
        return 0, 0, status
    if load32(found, COUNT) == 1:
        p, _size = list_item(found, 0)
        tag = load8_u(p)
        if (tag == TRUE) | (tag == FALSE):
            return i32(tag == TRUE), 0, 0
        if tag == NULL:
            return 0, 1, 0
    if silent:
        return 0, 1, 0
    return 0, 0, NOT_SINGLE_BOOLEAN


def path_first(worker: ptr, program: ptr, value: ptr, size: i32, variables: ptr, silent: i32) -> tuple[ptr, i32, i32]:
    """The first result, length 0 if there is none."""
    found, _outcome, status = path_results(worker, program, value, size, variables, silent)
    if status != 0 or load32(found, COUNT) == 0:
        return 0, 0, status
    p, length = list_item(found, 0)
    return p, length, 0


def path_query(
    worker: ptr, program: ptr, value: ptr, size: i32, variables: ptr, silent: i32, as_json: i32
) -> tuple[ptr, i32, i32]:
    """All results, as a jsonb array or as an SQL array of jsonb."""
    found, _outcome, status = path_results(worker, program, value, size, variables, silent)
    if status != 0:
        return 0, 0, status
    builder = builder_new(worker)
    if builder == 0:
        return 0, 0, errors.OUT_OF_MEMORY
    i = 0
    while i < load32(found, COUNT):
        p, length = list_item(found, i)
        if append(worker, builder, p, length, 0) == 0:
            return 0, 0, errors.OUT_OF_MEMORY
        i += 1
    out = 0
    width = 0
    if as_json:
        out, width = finish_array(worker, builder)
    else:
        out, width = finish_list(worker, builder)
    return out, width, i32(out == 0) * errors.OUT_OF_MEMORY
