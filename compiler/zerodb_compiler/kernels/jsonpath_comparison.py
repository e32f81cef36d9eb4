"""Comparisons of items in jsonpath's filters (jsonpath.py)."""

from __future__ import annotations

from zerodb_compiler import jsonpath as op
from zerodb_compiler.jsonb import ARRAY, FALSE, NULL, NUMBER, STRING, TRUE
from zerodb_compiler.kernels.intrinsics import (
    i32,
    load8_u,
    load32,
    ptr,
)
from zerodb_compiler.kernels.jsonb import compare_numbers
from zerodb_compiler.kernels.jsonpath_items import PROGRAM, REGEX_TOO_COMPLEX, UNKNOWN, WORKER, hard
from zerodb_compiler.kernels.regex_functions import regex_test
from zerodb_compiler.kernels.text import compare_text, starts_with


def compare_items(operation: i32, p: ptr, size: i32, q: ptr, size2: i32) -> i32:
    tag = load8_u(p)
    tag2 = load8_u(q)
    if tag == FALSE:
        tag = TRUE
    if tag2 == FALSE:
        tag2 = TRUE
    if tag != tag2:
        if tag == NULL or tag2 == NULL:
            return i32(operation == op.NE)
        return UNKNOWN
    order = 0
    if tag == NUMBER:
        order = compare_numbers(p + 1, size - 1, q + 1, size2 - 1)
    elif tag == STRING:
        order = compare_text(p + 1, size - 1, q + 1, size2 - 1)
    elif tag == TRUE:
        order = load8_u(p) - load8_u(q)
    elif tag >= ARRAY:
        return UNKNOWN
    if operation == op.EQ:
        return i32(order == 0)
    if operation == op.NE:
        return i32(order != 0)
    if operation == op.LT:
        return i32(order < 0)
    if operation == op.LE:
        return i32(order <= 0)
    if operation == op.GT:
        return i32(order > 0)
    return i32(order >= 0)


def test_items(context: ptr, node: ptr, p: ptr, size: i32, q: ptr, size2: i32) -> i32:
    operation = load32(node)
    if operation < op.STARTS_WITH:
        return compare_items(operation, p, size, q, size2)
    if load8_u(p) != STRING:
        return UNKNOWN
    if operation == op.STARTS_WITH:
        if load8_u(q) != STRING:
            return UNKNOWN
        return i32(starts_with(p + 1, size - 1, q + 1, size2 - 1))
    code = load32(context, PROGRAM) + load32(node, 12)
    matches, status = regex_test(load32(context, WORKER), code, p + 1, size - 1)
    if status != 0:
        hard(context, REGEX_TOO_COMPLEX)
        return UNKNOWN
    return matches
