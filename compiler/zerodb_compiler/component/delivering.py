"""`run.next-batch`: rows of the output blocks as record batches, most columns where they lie."""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.component import layout as at
from zerodb_compiler.component.failures import failed, general
from zerodb_compiler.component.imports import entry, give, outgoing, store_pair
from zerodb_compiler.component.running import END, advance, end_feeding
from zerodb_compiler.kernels.intrinsics import (
    gt_u,
    i32,
    load8_u,
    load32,
    load64,
    memory_fill,
    ptr,
    select,
    store8,
    store32,
    store64,
)


def next_batch(about: ptr, run: ptr, most: i32) -> ptr:
    """The result<option<record-batch>, error>."""
    if load32(run, at.RUN_DELIVERED) != 0:
        give(load32(run, at.RUN_DELIVERED))
        store32(run, 0, at.RUN_DELIVERED)
    if load32(run, at.RUN_ERROR) != 0:
        return load32(run, at.RUN_ERROR)
    if load32(run, at.RUN_STATE) == at.FEEDING and end_feeding(about, run) == 0:
        return failed(about, run, general(about, at.FAIL_MEMORY))
    while no_rows(run):
        status = advance(about, run)
        if status == END:
            result = outgoing(at.RESULT_BYTES)
            memory_fill(result, 0, at.RESULT_BYTES)
            return result
        if status > 0:
            return failed(about, run, status - 1)
    return batch(about, run, most)


def no_rows(run: ptr) -> i32:
    """Whether there is no block with rows; gives those without rows back."""
    block = load32(run, at.RUN_OUTPUT)
    while block != 0:
        if load32(block, abi.OUTPUT_ROWS) != 0:
            return 0
        store32(run, load32(block, abi.OUTPUT_NEXT), at.RUN_OUTPUT)
        give(block)
        block = load32(run, at.RUN_OUTPUT)
    return 1


def batch(about: ptr, run: ptr, most: i32) -> ptr:
    """The next rows of the first block, `most` at most."""
    block = load32(run, at.RUN_OUTPUT)
    first = load32(run, at.RUN_AT)
    rows = load32(block, abi.OUTPUT_ROWS) - first
    if gt_u(rows, most):
        rows = select(most == 0, 1, most)
    count = load32(about, at.ABOUT_OUTPUT)
    result = outgoing(at.RESULT_BYTES + count * at.VALUES_BYTES)
    columns = result + at.RESULT_BYTES
    memory_fill(result, 0, at.RESULT_BYTES + count * at.VALUES_BYTES)
    store8(result, 1, at.BATCH_SOME)
    store32(result, rows, at.BATCH_ROW_COUNT)
    store_pair(result + at.BATCH_LIST, columns, count)
    for i in range(count):
        record = entry(about + at.ABOUT_OUTPUT + 4, i, at.OUTPUT_RECORD)
        source = block + abi.OUTPUT_HEADER + i * abi.OUTPUT_COLUMN_BYTES
        deliver(record, source, first, rows, columns + i * at.VALUES_BYTES)
    if first + rows == load32(block, abi.OUTPUT_ROWS):
        store32(run, load32(block, abi.OUTPUT_NEXT), at.RUN_OUTPUT)
        store32(run, block, at.RUN_DELIVERED)
        store32(run, 0, at.RUN_AT)
    else:
        store32(run, first + rows, at.RUN_AT)
    return result


def deliver(record: ptr, source: ptr, first: i32, rows: i32, values: ptr) -> None:
    """One column of the batch as column-values."""
    validity = load32(source, abi.OUTPUT_COLUMN_VALIDITY)
    if validity != 0:
        deliver_validity(validity + first, rows, values)
    store8(values, load32(record, at.OUTPUT_CASE), at.VALUES_CASE)
    data = load32(source, abi.OUTPUT_COLUMN_DATA) + first * load32(record, at.OUTPUT_WIDTH)
    kind = load32(record, at.OUTPUT_KIND)
    if kind == at.TEXTS:
        data = text_pairs(data, load32(source, abi.OUTPUT_COLUMN_HEAP), rows)
    elif kind == at.INTERVALS:
        data = interval_records(data, rows)
    store_pair(values + at.VALUES_LIST, data, rows)


def deliver_validity(validity: ptr, rows: i32, values: ptr) -> None:
    """A bit for each row, if there is a NULL."""
    size = (rows + 7) >> 3
    bits = outgoing(size)
    memory_fill(bits, 0, size)
    present = 0
    for row in range(rows):
        bit = load8_u(validity + row)
        store8(bits + (row >> 3), load8_u(bits + (row >> 3)) | (bit << (row & 7)))
        present += bit
    if present != rows:
        store8(values, 1, at.VALUES_VALIDITY)
        store_pair(values + at.VALUES_VALIDITY + 4, bits, size)


def text_pairs(offsets: ptr, heap: ptr, rows: i32) -> ptr:
    """Address and length of each text."""
    pairs = outgoing(rows << 3)
    for row in range(rows):
        start = load32(offsets + (row << 2))
        store_pair(pairs + (row << 3), heap + start, load32(offsets + (row << 2), 4) - start)
    return pairs


def interval_records(data: ptr, rows: i32) -> ptr:
    """From microseconds, days, months to months, days, microseconds."""
    records = outgoing(rows << 4)
    for row in range(rows):
        place = row << 4
        store32(records + place, load32(data + place, 12))
        store32(records + place, load32(data + place, 8), 4)
        store64(records + place, load64(data + place), 8)
    return records
