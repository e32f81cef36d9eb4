"""Texts in quotes: quote_literal, quote_ident, and the parts of format() that quote."""

from __future__ import annotations

from zerodb_compiler.kernels.intrinsics import i32, load8_u, ptr, store8
from zerodb_compiler.kernels.text import find_byte, find_text
from zerodb_compiler.kernels.text_buffer import append, begin, finish, reserve


def append_quoted(worker: ptr, base: ptr, used: i32, p: ptr, length: i32, quote: i32) -> tuple[ptr, i32]:
    """Appends a text in quotes, those inside doubled; in single quotes, backslashes too (and an E before)."""
    base = reserve(worker, base, used, length * 2 + 4)
    if base == 0:
        return 0, 0
    out = base + used
    escapes = quote == 0x27 and find_byte(p, length, 0x5C) >= 0
    if escapes:
        store8(out, 0x45)
        out += 1
    store8(out, quote)
    out += 1
    for i in range(length):
        byte = load8_u(p + i)
        if byte == quote or (escapes and byte == 0x5C):
            store8(out, byte)
            out += 1
        store8(out, byte)
        out += 1
    store8(out, quote)
    return base, out + 1 - base


def quote_literal(worker: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    base, used = append_quoted(worker, begin(worker), 0, p, length, 0x27)
    if base != 0:
        finish(worker, base + used)
    return base, used


def is_plain_identifier(p: ptr, length: i32, keywords: ptr, keywords_length: i32) -> bool:
    """Lower-case letters, digits and underscores, not beginning with a digit, and no reserved word. The keywords have
    a space before and behind each, and so must have the text: it is looked for without them."""
    if length == 0:
        return False
    for i in range(length):
        byte = load8_u(p + i)
        letter = ((byte >= 0x61) & (byte <= 0x7A)) | (byte == 0x5F)
        digit = (byte >= 0x30) & (byte <= 0x39)
        if letter == 0 and (digit == 0 or i == 0):
            return False
    at = 0
    while True:
        place = find_text(keywords + at, keywords_length - at, p, length)
        if place < 0:
            return True
        at += place
        if load8_u(keywords + at - 1) == 0x20 and load8_u(keywords + at + length) == 0x20:
            return False
        at += 1


def append_identifier(
    worker: ptr, base: ptr, used: i32, p: ptr, length: i32, keywords: ptr, keywords_length: i32
) -> tuple[ptr, i32]:
    if is_plain_identifier(p, length, keywords, keywords_length):
        base = append(worker, base, used, p, length)
        return base, used + length
    base, used = append_quoted(worker, base, used, p, length, 0x22)
    return base, used


def quote_ident(worker: ptr, p: ptr, length: i32, keywords: ptr, keywords_length: i32) -> tuple[ptr, i32]:
    if is_plain_identifier(p, length, keywords, keywords_length):
        return p, length
    base, used = append_quoted(worker, begin(worker), 0, p, length, 0x22)
    if base != 0:
        finish(worker, base + used)
    return base, used
