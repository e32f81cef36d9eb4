"""`run.feed`: a record batch becomes columns in the layout that the query reads.

A batch's columns are copied once, into blocks of the run: integers are checked against their type, texts go side by
side with the addresses where they begin. The data under a NULL is made harmless (layout.py of the compiler).
"""

from __future__ import annotations

from zerodb_compiler.component import layout as at
from zerodb_compiler.component.failures import general, refused
from zerodb_compiler.component.imports import entry, outgoing, take_for
from zerodb_compiler.kernels import parsing
from zerodb_compiler.kernels.intrinsics import (
    f32,
    ge_u,
    gt_u,
    i32,
    load8_u,
    load32,
    load64,
    load_f64,
    memory_copy,
    ptr,
    store8,
    store32,
    store64,
    store_f32,
)
from zerodb_compiler.kernels.text import char_length
from zerodb_compiler.layout import CHUNK_ROWS

# What a column's conversion says; above: 1 + which of the column's errors it is.
OK = 0
NO_MEMORY = -1


def feed(about: ptr, run: ptr, number: i32, rows: i32, columns: ptr, count: i32) -> ptr:
    """Takes a batch for an input; the result<_, error>."""
    if load32(run, at.RUN_ERROR) != 0:
        return load32(run, at.RUN_ERROR)
    if load32(run, at.RUN_STATE) != at.FEEDING:
        return refused(about, run, general(about, at.FAIL_FED))
    if ge_u(number, load32(about, at.ABOUT_INPUTS)):
        return refused(about, run, general(about, at.FAIL_INPUT))
    record = entry(about + at.ABOUT_INPUTS + 4, number, at.INPUT_RECORD)
    if count != load32(record, at.INPUT_COLUMNS):
        return refused(about, run, load32(record, at.INPUT_ERRORS))
    batch = take_for(run + at.RUN_BLOCKS, at.BATCH_COLUMNS + count * at.BATCH_COLUMN_BYTES)
    if batch == 0 or rows < 0:
        return refused(about, run, general(about, at.FAIL_MEMORY))
    for i in range(count):
        column = entry(record + at.INPUT_COLUMNS + 4, i, at.COLUMN_RECORD)
        place = batch + at.BATCH_COLUMNS + i * at.BATCH_COLUMN_BYTES
        found = take_column(run, column, columns + i * at.VALUES_BYTES, rows, place)
        if found == NO_MEMORY:
            return refused(about, run, general(about, at.FAIL_MEMORY))
        if found != OK:
            return refused(about, run, load32(column, at.COLUMN_ERRORS) + found - 1)
    if rows != 0:
        add_batch(load32(run, at.RUN_INPUTS) + number * at.INPUT_STATE_BYTES, batch, rows)
    result = outgoing(at.RESULT_BYTES)
    store32(result, 0)
    return result


def add_batch(state: ptr, batch: ptr, rows: i32) -> None:
    store32(batch, 0, at.BATCH_NEXT)
    store32(batch, rows, at.BATCH_ROWS)
    if load32(state, at.INPUT_LAST) != 0:
        store32(load32(state, at.INPUT_LAST), batch, at.BATCH_NEXT)
    else:
        store32(state, batch, at.INPUT_FIRST)
    store32(state, batch, at.INPUT_LAST)
    chunks = (rows + (CHUNK_ROWS - 1)) >> 16
    store32(state, load32(state, at.INPUT_CHUNKS) + chunks, at.INPUT_CHUNKS)


def take_column(run: ptr, column: ptr, values: ptr, rows: i32, place: ptr) -> i32:
    """Converts one column; its data and validity go to `place`."""
    if load8_u(values, at.VALUES_CASE) != load32(column, at.COLUMN_CASE):
        return 1 + at.WRONG_FORM
    if load32(values, at.VALUES_LIST + 4) != rows or rows < 0:
        return 1 + at.WRONG_LENGTH
    validity = 0
    if load8_u(values, at.VALUES_VALIDITY) != 0:
        if gt_u((rows >> 3) + ((rows & 7) != 0), load32(values, at.VALUES_VALIDITY + 8)):
            return 1 + at.WRONG_VALIDITY
        validity = take_for(run + at.RUN_BLOCKS, rows)
        if validity == 0:
            return NO_MEMORY
        nulls = expand_bits(validity, load32(values, at.VALUES_VALIDITY + 4), rows)
        if nulls != 0 and load32(column, at.COLUMN_NOT_NULL) != 0:
            return 1 + at.IS_NULL
        if nulls == 0:
            validity = 0
    store32(place, validity, 4)
    source = load32(values, at.VALUES_LIST)
    kind = load32(column, at.COLUMN_KIND)
    if kind == at.TEXTS or kind == at.BLANK_TEXTS:
        return take_texts(run, column, source, rows, validity, place)
    data = take_for(run + at.RUN_BLOCKS, rows * load32(column, at.COLUMN_WIDTH))
    if data == 0:
        return NO_MEMORY
    store32(place, data)
    if kind == at.COPIED:
        memory_copy(data, source, rows * load32(column, at.COLUMN_WIDTH))
        return OK
    if kind == at.CHECKED_64:
        return take_checked(column, source, rows, validity, data)
    if kind == at.SINGLE:
        return take_singles(source, rows, validity, data)
    take_intervals(source, rows, data)
    return OK


def expand_bits(target: ptr, bits: ptr, rows: i32) -> i32:
    """A byte for each row; how many are 0."""
    nulls = 0
    for row in range(rows):
        bit = (load8_u(bits + (row >> 3)) >> (row & 7)) & 1
        store8(target + row, bit)
        nulls += 1 - bit
    return nulls


def take_checked(column: ptr, source: ptr, rows: i32, validity: ptr, data: ptr) -> i32:
    """Integers of 64 bits within the bounds of the column's type."""
    low = load64(column, at.COLUMN_LOW)
    high = load64(column, at.COLUMN_HIGH)
    memory_copy(data, source, rows << 3)
    for row in range(rows):
        value = load64(data + (row << 3))
        if value < low or value > high:
            if validity == 0:
                return 1 + at.BAD_VALUE
            if load8_u(validity + row) != 0:
                return 1 + at.BAD_VALUE
            store64(data + (row << 3), 0)
    return OK


def take_singles(source: ptr, rows: i32, validity: ptr, data: ptr) -> i32:
    for row in range(rows):
        value, status = parsing.f64_to_real(load_f64(source + (row << 3)))
        if status != 0:
            if validity == 0:
                return 1 + at.BAD_VALUE
            if load8_u(validity + row) != 0:
                return 1 + at.BAD_VALUE
        store_f32(data + (row << 2), f32(value))
    return OK


def take_intervals(source: ptr, rows: i32, data: ptr) -> None:
    """From months, days, microseconds to microseconds, days, months."""
    for row in range(rows):
        place = row << 4
        store64(data + place, load64(source + place, 8))
        store32(data + place, load32(source + place, 4), 8)
        store32(data + place, load32(source + place), 12)


def without_blanks(p: ptr, length: i32) -> i32:
    """The length without the blanks at the end, which mean nothing in char(n)."""
    while length > 0:
        if load8_u(p + length - 1) != 32:
            return length
        length -= 1
    return length


def take_texts(run: ptr, column: ptr, source: ptr, rows: i32, validity: ptr, place: ptr) -> i32:
    """Texts or bytes: the addresses where they begin, and where the last one ends."""
    starts = take_for(run + at.RUN_BLOCKS, (rows + 1) << 2)
    if starts == 0:
        return NO_MEMORY
    store32(place, starts)
    total = 0
    for row in range(rows):
        total += load32(source + (row << 3), 4)
        if total < 0:
            return NO_MEMORY
    text = take_for(run + at.RUN_BLOCKS, total)
    if text == 0:
        return NO_MEMORY
    most = load32(column, at.COLUMN_LENGTH)
    blank = load32(column, at.COLUMN_KIND) == at.BLANK_TEXTS
    for row in range(rows):
        store32(starts + (row << 2), text)
        p = load32(source + (row << 3))
        length = load32(source + (row << 3), 4)
        if validity != 0 and load8_u(validity + row) == 0:
            length = 0
        if blank:
            length = without_blanks(p, length)
        if most != 0 and length > most and char_length(p, length) > most:
            return 1 + at.BAD_VALUE
        memory_copy(text, p, length)
        text += length
    store32(starts + (rows << 2), text)
    return OK
