"""The constructor of a run: values of the interface become parameters in the query block.

A number may be given in any form of a number and as text; a date, time or timestamp as text in the ISO form, too. What
is wrong is kept: the run's later calls say it, since a constructor cannot.
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.component import layout as at
from zerodb_compiler.component.failures import failed, general
from zerodb_compiler.component.feeding import without_blanks
from zerodb_compiler.component.imports import entry, kept_copy
from zerodb_compiler.component.running import new_run
from zerodb_compiler.kernels import float_decimals, int128, moment_text, parsing
from zerodb_compiler.kernels.intrinsics import (
    f64,
    i32,
    i64,
    load8_u,
    load32,
    load64,
    load_f64,
    ptr,
    store32,
    store64,
    store_f64,
)

OK, WRONG_KIND, OUT_OF_RANGE, BAD_TEXT, NO_MEMORY = range(5)


def construct(about: ptr, values: ptr, count: i32) -> ptr:
    """A new run with its parameters."""
    run = new_run(about)
    if count != load32(about, at.ABOUT_PARAMETERS):
        failed(about, run, general(about, at.FAIL_PARAMETERS))
        return run
    for i in range(count):
        record = entry(about + at.ABOUT_PARAMETERS + 4, i, at.PARAMETER_RECORD)
        found = set_parameter(run, record, values + i * at.VALUE_BYTES)
        if found == NO_MEMORY:
            failed(about, run, general(about, at.FAIL_MEMORY))
            return run
        if found != OK:
            failed(about, run, load32(record, at.PARAMETER_ERRORS) + found - 1)
            return run
    return run


def set_parameter(run: ptr, record: ptr, value: ptr) -> i32:
    slot = load32(record, at.PARAMETER_SLOT)
    if slot < 0:
        return OK
    place = run + at.RUN_HEADER + slot
    if load8_u(value) == at.NULL:
        store32(place, 1, abi.PARAMETER_IS_NULL)
        return OK
    kind = load32(record, at.PARAMETER_KIND)
    if kind <= at.AS_DECIMAL:
        return set_exact(run, record, value, place)
    if kind == at.AS_DOUBLE or kind == at.AS_SINGLE:
        return set_float(run, record, value, place)
    if kind == at.AS_TEXT or kind == at.AS_BLANK_TEXT or kind == at.AS_BINARY:
        return set_text(run, record, value, place)
    return set_plain(run, record, value, place)


def is_text(form: i32) -> i32:
    """Whether a value's form is a string."""
    return form == at.TEXT or form >= at.DECIMAL


def note_text(run: ptr, value: ptr) -> None:
    """Keeps the text for the message of the error."""
    worker = load32(run, at.RUN_WORKER)
    store32(worker, load32(value, at.VALUE_PAYLOAD), abi.WORKER_ERROR_TEXT)
    store32(worker, load32(value, at.VALUE_PAYLOAD + 4), abi.WORKER_ERROR_TEXT + 4)


def set_exact(run: ptr, record: ptr, value: ptr, place: ptr) -> i32:
    """An integer or numeric."""
    form = load8_u(value)
    scale = load32(record, at.PARAMETER_SCALE)
    low: i64 = 0
    high: i64 = 0
    status = 0
    if form == at.INT64:
        low = load64(value, at.VALUE_PAYLOAD)
        low, high, status = int128.scale_up(low, low >> 63, scale)
    elif form == at.FLOAT64:
        low, high, status = float_decimals.f64_to_decimal(load_f64(value, at.VALUE_PAYLOAD), scale)
    elif is_text(form):
        note_text(run, value)
        p = load32(value, at.VALUE_PAYLOAD)
        length = load32(value, at.VALUE_PAYLOAD + 4)
        if load32(record, at.PARAMETER_KIND) == at.AS_INTEGER:
            low, high, status = parsing.parse_integer(p, length)
        else:
            low, high, status = parsing.parse_decimal(p, length, scale)
        if status == 2:
            return BAD_TEXT
    else:
        return WRONG_KIND
    if status != 0:
        return OUT_OF_RANGE
    precision = load32(record, at.PARAMETER_PRECISION)
    if precision != 0:
        if int128.fits_precision(low, high, precision) == 0:
            return OUT_OF_RANGE
    elif high != low >> 63 or low < load64(record, at.PARAMETER_LOW) or low > load64(record, at.PARAMETER_HIGH):
        return OUT_OF_RANGE
    store64(place, low, abi.PARAMETER_VALUE)
    store64(place, high, abi.PARAMETER_HIGH)
    return OK


def set_float(run: ptr, record: ptr, value: ptr, place: ptr) -> i32:
    form = load8_u(value)
    number = 0.0
    status = 0
    if form == at.FLOAT64:
        number = load_f64(value, at.VALUE_PAYLOAD)
    elif form == at.INT64:
        number = f64(load64(value, at.VALUE_PAYLOAD))
    elif is_text(form):
        note_text(run, value)
        number, status = parsing.parse_f64(load32(value, at.VALUE_PAYLOAD), load32(value, at.VALUE_PAYLOAD + 4))
        if status == 2:
            return BAD_TEXT
    else:
        return WRONG_KIND
    if status == 0 and load32(record, at.PARAMETER_KIND) == at.AS_SINGLE:
        number, status = parsing.f64_to_real(number)
    if status != 0:
        return OUT_OF_RANGE
    store_f64(place, number, abi.PARAMETER_VALUE)
    return OK


def set_text(run: ptr, record: ptr, value: ptr, place: ptr) -> i32:
    form = load8_u(value)
    kind = load32(record, at.PARAMETER_KIND)
    if kind == at.AS_BINARY:
        if form != at.BINARY:
            return WRONG_KIND
    elif not is_text(form):
        return WRONG_KIND
    p = load32(value, at.VALUE_PAYLOAD)
    length = load32(value, at.VALUE_PAYLOAD + 4)
    if kind == at.AS_BLANK_TEXT:
        length = without_blanks(p, length)
    copy = kept_copy(run, p, length)
    if copy == 0:
        return NO_MEMORY
    store32(place, copy, abi.PARAMETER_VALUE)
    store32(place, length, abi.PARAMETER_VALUE + 4)
    return OK


def set_plain(run: ptr, record: ptr, value: ptr, place: ptr) -> i32:
    """Truth values, dates, times and intervals."""
    form = load8_u(value)
    kind = load32(record, at.PARAMETER_KIND)
    low: i64 = 0
    status = 0
    if kind == at.AS_INTERVAL:
        if form != at.INTERVAL:
            return WRONG_KIND
        store64(place, load64(value, at.VALUE_PAYLOAD + 8), abi.PARAMETER_VALUE)
        store32(place, load32(value, at.VALUE_PAYLOAD + 4), abi.PARAMETER_HIGH)
        store32(place, load32(value, at.VALUE_PAYLOAD), abi.PARAMETER_HIGH + 4)
        return OK
    if kind == at.AS_BOOLEAN and form == at.BOOLEAN:
        low = i64(load8_u(value, at.VALUE_PAYLOAD))
    elif kind == at.AS_DATE and form == at.DATE:
        low = i64(load32(value, at.VALUE_PAYLOAD))
    elif ((kind == at.AS_TIMESTAMP and form == at.TIMESTAMP) or (kind == at.AS_TIMESTAMPTZ and form == at.TIMESTAMPTZ)
            or (kind == at.AS_TIME and form == at.TIME)):  # fmt: skip
        low = load64(value, at.VALUE_PAYLOAD)
    elif form == at.TEXT:
        note_text(run, value)
        p = load32(value, at.VALUE_PAYLOAD)
        length = load32(value, at.VALUE_PAYLOAD + 4)
        if kind == at.AS_DATE:
            low, status = moment_text.parse_day(p, length)
        elif kind == at.AS_TIMESTAMP:
            low, status = moment_text.parse_moment(p, length, 0)
        elif kind == at.AS_TIME:
            low, status = moment_text.parse_time(p, length)
        else:
            return WRONG_KIND
    else:
        return WRONG_KIND
    if status == 2:
        return BAD_TEXT
    if status != 0 or low < load64(record, at.PARAMETER_LOW) or low > load64(record, at.PARAMETER_HIGH):
        return OUT_OF_RANGE
    store64(place, low, abi.PARAMETER_VALUE)
    store64(place, low >> 63, abi.PARAMETER_HIGH)
    return OK
