"""A run's steps: the query block is filled, and the pipelines are called morsel by morsel while output is wanted.

The order is that of codegen/program.py: start, morsels and finish of each pipeline; loops go back.
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.component import layout as at
from zerodb_compiler.component.failures import general
from zerodb_compiler.component.imports import call_query, entry, take, take_for
from zerodb_compiler.kernels.intrinsics import (
    i32,
    load32,
    memory_copy,
    memory_fill,
    ptr,
    select,
    store32,
    unreachable,
)
from zerodb_compiler.layout import CHUNK_ROWS

END = -1  # no further output
NOT_BEGUN = -1


def new_run(about: ptr) -> ptr:
    """A run that is being fed. A trap if there is no memory: a constructor cannot fail."""
    size = load32(about, at.ABOUT_RUN_BYTES)
    query_bytes = load32(about, at.ABOUT_QUERY_BYTES)
    run = take(size)
    if run == 0:
        unreachable()
    memory_fill(run, 0, size)
    query = run + at.RUN_HEADER
    memory_copy(query, load32(about, at.ABOUT_TEMPLATE), query_bytes)
    store32(query, 1, abi.QUERY_WORKERS)
    worker = query + query_bytes
    store32(worker, query, abi.WORKER_QUERY)
    store32(run, worker, at.RUN_WORKER)
    store32(run, NOT_BEGUN, at.RUN_MORSEL)
    inputs = take_for(run + at.RUN_BLOCKS, load32(about, at.ABOUT_INPUTS) * at.INPUT_STATE_BYTES)
    if inputs == 0:
        unreachable()
    memory_fill(inputs, 0, load32(about, at.ABOUT_INPUTS) * at.INPUT_STATE_BYTES)
    store32(run, inputs, at.RUN_INPUTS)
    return run


def all_ones() -> ptr:
    """CHUNK_ROWS bytes of 1; 0 if there is no memory."""
    ones = load32(at.ONES)
    if ones == 0:
        ones = take(CHUNK_ROWS + 16)
        if ones != 0:
            memory_fill(ones, 1, CHUNK_ROWS + 16)
            store32(at.ONES, ones)
    return ones


def end_feeding(about: ptr, run: ptr) -> i32:
    """Writes the chunk descriptors of all scans; 0 if there is no memory."""
    for i in range(load32(about, at.ABOUT_SCANS)):
        scan = entry(about + at.ABOUT_SCANS + 4, i, at.SCAN_RECORD)
        if describe_chunks(about, run, scan) == 0:
            return 0
    store32(run, at.RUNNING, at.RUN_STATE)
    return 1


def describe_chunks(about: ptr, run: ptr, scan: ptr) -> i32:
    number = load32(scan, at.SCAN_INPUT)
    count = load32(scan, at.SCAN_COLUMNS)
    state = load32(run, at.RUN_INPUTS) + number * at.INPUT_STATE_BYTES
    stride = abi.CHUNK_HEADER + count * abi.CHUNK_COLUMN_BYTES
    place = take_for(run + at.RUN_BLOCKS, load32(state, at.INPUT_CHUNKS) * stride)
    ones = all_ones()
    if place == 0 or ones == 0:
        return 0
    store32(run + at.RUN_HEADER + load32(scan, at.SCAN_SLOT), place)
    record = entry(about + at.ABOUT_INPUTS + 4, number, at.INPUT_RECORD)
    batch = load32(state, at.INPUT_FIRST)
    chunk = 0
    while batch != 0:
        rows = load32(batch, at.BATCH_ROWS)
        first = 0
        while first < rows:
            store32(place, select(rows - first < CHUNK_ROWS, rows - first, CHUNK_ROWS), abi.CHUNK_ROWS_FIELD)
            store32(place, chunk, abi.CHUNK_INDEX_FIELD)
            store32(place, ones, abi.CHUNK_VISIBILITY_FIELD)
            for i in range(count):
                ordinal = load32(entry(scan + at.SCAN_COLUMNS + 4, i, 4))
                column = entry(record + at.INPUT_COLUMNS + 4, ordinal, at.COLUMN_RECORD)
                values = batch + at.BATCH_COLUMNS + ordinal * at.BATCH_COLUMN_BYTES
                validity = load32(values, 4)
                target = place + abi.CHUNK_HEADER + i * abi.CHUNK_COLUMN_BYTES
                store32(target, load32(values) + first * load32(column, at.COLUMN_WIDTH))
                store32(target, ones if validity == 0 else validity + first, 4)
            place += stride
            chunk += 1
            first += CHUNK_ROWS
        batch = load32(batch, at.BATCH_NEXT)
    return 1


def advance(about: ptr, run: ptr) -> i32:
    """Runs until there is output or none will come: 0, END, or the number of an error + 1."""
    worker = load32(run, at.RUN_WORKER)
    while load32(worker, abi.WORKER_OUTPUT_FIRST) == 0:
        number = load32(run, at.RUN_PIPELINE)
        if number == load32(about, at.ABOUT_PIPELINES):
            return END
        status = step(about, run, entry(about + at.ABOUT_PIPELINES + 4, number, at.PIPELINE_RECORD), number)
        if status == abi.STATUS_OUT_OF_MEMORY:
            return 1 + general(about, at.FAIL_MEMORY)
        if status == abi.STATUS_INTERRUPTED:
            return 1 + general(about, at.FAIL_INTERRUPTED)
        if status > 0:
            return status
    store32(run, load32(worker, abi.WORKER_OUTPUT_FIRST), at.RUN_OUTPUT)
    store32(run, 0, at.RUN_AT)
    store32(worker, 0, abi.WORKER_OUTPUT_FIRST)
    store32(worker, 0, abi.WORKER_OUTPUT_CURRENT)
    return 0


def step(about: ptr, run: ptr, pipeline: ptr, number: i32) -> i32:
    """The next call of a pipeline: its start, a morsel or its finish; the status."""
    worker = load32(run, at.RUN_WORKER)
    morsel = load32(run, at.RUN_MORSEL)
    if morsel == NOT_BEGUN:
        behind = skipped_loop(about, run, number)
        if behind != 0:
            store32(run, behind, at.RUN_PIPELINE)
            return 0
        status = call_entry(worker, load32(pipeline, at.PIPELINE_START))
        store32(run, morsels_of(run, pipeline), at.RUN_MORSELS)
        store32(run, 0, at.RUN_MORSEL)
        return status
    if morsel < load32(run, at.RUN_MORSELS):
        status = call_query(worker, morsel, load32(pipeline, at.PIPELINE_ENTRY))
        store32(run, morsel + 1, at.RUN_MORSEL)
        if status == abi.STATUS_DONE:
            store32(run, morsel + 1, at.RUN_MORSELS)
            return 0
        return status
    status = call_entry(worker, load32(pipeline, at.PIPELINE_FINISH))
    store32(run, NOT_BEGUN, at.RUN_MORSEL)
    store32(run, following(about, number), at.RUN_PIPELINE)
    return status


def call_entry(worker: ptr, number: i32) -> i32:
    """Calls a start or finish function, if there is one."""
    if number < 0:
        return 0
    status = call_query(worker, 0, number)
    return 0 if status == abi.STATUS_DONE else status


def morsels_of(run: ptr, pipeline: ptr) -> i32:
    source = load32(pipeline, at.PIPELINE_SOURCE)
    if source == -1:
        return 1
    if source == -2:
        return load32(run + at.RUN_HEADER + load32(pipeline, at.PIPELINE_COUNT))
    return load32(load32(run, at.RUN_INPUTS) + source * at.INPUT_STATE_BYTES, at.INPUT_CHUNKS)


def skipped_loop(about: ptr, run: ptr, number: i32) -> i32:
    """The pipeline behind a loop that begins with this one and has nothing to do, else 0."""
    for i in range(load32(about, at.ABOUT_LOOPS)):
        loop = entry(about + at.ABOUT_LOOPS + 4, i, at.LOOP_RECORD)
        if load32(loop, at.LOOP_FIRST) == number:
            if load32(run + at.RUN_HEADER + load32(loop, at.LOOP_OFFSET)) == 0:
                return load32(loop, at.LOOP_LAST) + 1
            return 0
    return 0


def following(about: ptr, number: i32) -> i32:
    """The pipeline after this one: the first of the loop that it ends, or the next."""
    for i in range(load32(about, at.ABOUT_LOOPS)):
        loop = entry(about + at.ABOUT_LOOPS + 4, i, at.LOOP_RECORD)
        if load32(loop, at.LOOP_LAST) == number:
            return load32(loop, at.LOOP_FIRST)
    return number + 1
