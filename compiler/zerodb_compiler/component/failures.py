"""Errors of a component: results that say why, made of the program's error sites."""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.component import layout as at
from zerodb_compiler.component.imports import entry, outgoing, store_pair, take_for
from zerodb_compiler.kernels.intrinsics import (
    div_u,
    i32,
    i64,
    load32,
    load64,
    memory_copy,
    memory_fill,
    ptr,
    rem_u,
    store8,
    store32,
    unreachable,
)

_DIGITS = 20


def number_text(place: ptr, value: i64) -> ptr:
    """Writes an integer in decimal; the end."""
    rest = value
    if value < 0:
        store8(place, 45)
        place += 1
        rest = 0 - value
    end = place + 1
    more = div_u(rest, 10)
    while more != 0:
        end += 1
        more = div_u(more, 10)
    digit = end
    while digit > place:
        digit -= 1
        store8(digit, 48 + i32(rem_u(rest, 10)))
        rest = div_u(rest, 10)
    return end


def message_bytes(site: ptr, worker: ptr) -> i32:
    """Room that the message needs at most."""
    size = 0
    for i in range(load32(site, at.ERROR_PARTS)):
        part = entry(site + at.ERROR_PARTS + 4, i, at.PART_RECORD)
        kind = load32(part, at.PART_KIND)
        if kind == at.LITERAL_PART:
            size += load32(part, at.PART_TEXT + 4)
        elif kind == at.VALUE_PART:
            size += _DIGITS
        else:
            size += load32(worker, abi.WORKER_ERROR_TEXT + 4)
    return size


def write_message(place: ptr, site: ptr, worker: ptr) -> ptr:
    """Writes the message; its end."""
    for i in range(load32(site, at.ERROR_PARTS)):
        part = entry(site + at.ERROR_PARTS + 4, i, at.PART_RECORD)
        kind = load32(part, at.PART_KIND)
        if kind == at.VALUE_PART:
            place = number_text(place, load64(worker, abi.WORKER_ERROR_VALUE))
        else:
            text = part + at.PART_TEXT if kind == at.LITERAL_PART else worker + abi.WORKER_ERROR_TEXT
            memory_copy(place, load32(text), load32(text, 4))
            place += load32(text, 4)
    return place


def write_failure(place: ptr, about: ptr, run: ptr, number: i32) -> ptr:
    """Writes error `number` of the program as a result<_, error> with its message behind it; the place."""
    site = entry(about + at.ABOUT_ERRORS, number, at.ERROR_RECORD)
    message = place + at.RESULT_BYTES
    end = write_message(message, site, load32(run, at.RUN_WORKER))
    memory_fill(place, 0, at.RESULT_BYTES)
    store8(place, 1)
    store_pair(place + at.ERROR_SQLSTATE, load32(site, at.ERROR_STATE), 5)
    store_pair(place + at.ERROR_MESSAGE, message, end - message)
    if load32(site, at.ERROR_POSITION) != 0:
        store8(place, 1, at.ERROR_HAS_POSITION)
        store32(place, load32(site, at.ERROR_POSITION), at.ERROR_AT)
    return place


def failure_bytes(about: ptr, run: ptr, number: i32) -> i32:
    site = entry(about + at.ABOUT_ERRORS, number, at.ERROR_RECORD)
    return at.RESULT_BYTES + message_bytes(site, load32(run, at.RUN_WORKER))


def refused(about: ptr, run: ptr, number: i32) -> ptr:
    """The error as the result of this call alone."""
    return write_failure(outgoing(failure_bytes(about, run, number)), about, run, number)


def failed(about: ptr, run: ptr, number: i32) -> ptr:
    """The error as the result of this and all later calls: the run has failed."""
    place = take_for(run + at.RUN_BLOCKS, failure_bytes(about, run, number))
    if place == 0:
        unreachable()
    store32(run, write_failure(place, about, run, number), at.RUN_ERROR)
    return place


def general(about: ptr, failure: i32) -> i32:
    """The number of one of the errors of no particular place."""
    return load32(about, at.ABOUT_FAILURES) + failure


def of_status(about: ptr, status: i32) -> i32:
    """The number of the error that a status of generated code means."""
    if status == abi.STATUS_OUT_OF_MEMORY:
        return general(about, at.FAIL_MEMORY)
    if status < 0:
        return general(about, at.FAIL_INTERRUPTED)
    return status - 1
