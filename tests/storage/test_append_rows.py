"""A few rows written in place behind the delta are there as if they had been appended as columns."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some

import zerodb
from zerodb_storage.delta import DeltaChunk, append, append_rows
from zerodb_storage.values import Form, Values

ROW = some.tuples(
    some.none() | some.integers(-(1 << 63), (1 << 63) - 1),
    some.none() | some.binary(max_size=5),
    some.none() | some.floats(),
    some.integers(0, 9),  # codes
)


def columns(rows):
    found = []
    for form, values in zip((Form.INT, Form.TEXT, Form.FLOAT, Form.CODES), zip(*rows, strict=True), strict=True):
        validity = np.array([value is not None for value in values], np.uint8) if None in values else None
        if form is Form.TEXT:
            ends = np.cumsum([0, *(len(value or b"") for value in values)])
            text = np.frombuffer(b"".join(value or b"" for value in values), np.uint8)
            found.append(Values(form, ends, validity, text))
        else:
            kind = {Form.INT: np.int64, Form.FLOAT: np.float64, Form.CODES: np.uint32}[form]
            found.append(Values(form, np.array([0 if value is None else value for value in values], kind), validity))
    return found


def content(chunks: tuple[DeltaChunk, ...]):
    found = []
    for chunk in chunks:
        for number, facts in enumerate(chunk.facts):
            view = chunk.view(number)
            bounds = None if facts.bounds is None else [None if math.isnan(b) else b for b in facts.bounds]
            text = None if view.text is None else view.text.tobytes()
            valid = None if view.validity is None else view.validity.tolist()
            found.append((chunk.rows, view.data.tobytes(), valid, text, facts.null_count, bounds))
    return found


@settings(max_examples=150, deadline=None)
@given(some.lists(some.lists(ROW, min_size=1, max_size=4), min_size=2, max_size=12))
def test_rows_in_place_are_as_rows_of_columns(batches):
    ours = theirs = append((), columns(batches[0]))
    theirs = append((), columns(batches[0]))
    for rows in batches[1:]:
        before, known = ours, content(ours)
        made = append_rows(ours, rows)
        ours = append(ours, columns(rows)) if made is None else made
        theirs = append(theirs, columns(rows))
        assert content(ours) == content(theirs)
        assert content(before) == known
        if made is not None:  # another one from the same base goes elsewhere
            assert append_rows(before, rows) is None


def test_values_that_have_no_place_there():
    chunks = append((), columns([(1, b"x", 0.5, 1)] * 3))
    assert append_rows((), [(1, b"x", 0.5, 1)]) is None
    assert append_rows(chunks, [(1 << 63, b"x", 0.5, 1)]) is None
    assert append_rows(chunks, [(None, b"x", 0.5, 1)]) is None
    assert append_rows(chunks, [(1, 5, 0.5, 1)]) is None
    assert append_rows(chunks, [(b"x", b"x", 0.5, 1)]) is None
    assert append_rows(chunks, [(1, b"x", 0.5, 1)] * 62) is None
    done = append_rows(chunks, [(-7, b"x", 0.5, 1), (2, b"longer", 9.0, 1)])
    assert done is not None
    assert (done[-1].facts[0].bounds, done[-1].facts[2].bounds) == ((-7, 2), (0.5, 9.0))


@settings(max_examples=25, deadline=None)
@given(
    some.lists(
        some.tuples(some.none() | some.integers(-(1 << 40), 1 << 40), some.none() | some.text("aé", max_size=3)),
        max_size=25,
    )
)
def test_the_layout_that_is_carried_over_is_that_of_the_rows(rows):
    with zerodb.connect(":memory:") as db:
        db.execute("create table t(id integer primary key, v bigint, s text, k text)")
        insert = db.prepare("insert into t values (?, ?, ?, ?)")
        for number, (v, s) in enumerate(rows):
            insert.execute((number, v, s, str(number % 3)))
            version = db._database.storage.snapshot().tables["t"]
            fresh = tuple(version._column_layout(column) for column in range(4))
            for ours, new in zip(version.layout.columns, fresh, strict=True):
                assert ours.form == new.form
                assert ours.low <= new.low
                assert new.high <= ours.high
