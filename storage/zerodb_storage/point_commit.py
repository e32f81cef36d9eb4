"""Commits of one row: a row that comes, one that goes, or both (an UPDATE by key), as a transaction of their own.

Problem: the general way from changes to the next snapshot works on columns: every step costs some microseconds of NumPy
calls, and for one row their sum is several times the sync of the log.

Idea: the same steps (publishing.add) for one row of plain Python values, which writes them where they belong in the
buffers of the delta. What does not fit there at once - the first NULL of a column, a string that a dictionary lacks, a
full chunk, a version that others have moved on from - is done the general way. The commits stand in the same queue, in
the same batches and under the same locks as all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from zerodb_compiler.layout import CHUNK_ROWS, Encoding, TableLayout
from zerodb_storage import commit_log, publishing
from zerodb_storage.arrow import form_of, numpy_type
from zerodb_storage.catalog import TextMode
from zerodb_storage.delta import append_row
from zerodb_storage.locks import Outdated
from zerodb_storage.publishing import HARD, Plan
from zerodb_storage.recovery import TableState
from zerodb_storage.table import TableVersion, next_mask
from zerodb_storage.transaction import Changes
from zerodb_storage.values import Array, Form, Values

_BOUNDED = (Encoding.INT, Encoding.DICTIONARY)
Cell = int | float | bytes | None  # a canonical value, text as its bytes


@dataclass(slots=True, eq=False)
class PointCommit:
    """`base` is the version of the table that `replaced`, the id of the row that goes or -1, is of. `row` has all
    columns of the row that comes, of the `forms` (commit_log.row_forms). Once published, `after` is the table with it,
    made of the version `before` (None where it was done the general way), and `follow` is called, by the thread that
    publishes, in the order of the commits: so whoever keeps up with the table version by version can."""

    base: TableVersion
    replaced: int
    row: tuple[Cell, ...] | None
    forms: str
    follow: Callable[[PointCommit], None] | None = None
    before: TableVersion | None = None
    after: TableVersion | None = None


def add(plan: Plan, commit: PointCommit, segment_ids: Iterator[int]) -> None:
    """As publishing.add."""
    base = commit.base
    newest = plan.by_id.get(base.id)
    if newest is None or newest.schema_version != base.schema_version:
        raise Outdated
    state = plan.states.get(base.id) or TableState()
    made = None
    if newest.numbering is base.numbering and not publishing.is_over(state, HARD):
        made = _changed(newest, commit, plan.sequence + 1)
    if made is None:
        _generally(plan, commit, newest, state, segment_ids)
        return
    plan.sequence += 1
    deleted = [] if commit.replaced < 0 else [_stable_id(newest, commit.replaced)]
    record = commit_log.pack_row(base.id, plan.sequence, state.last_logged, commit.row, commit.forms, deleted)
    plan.batch.puts.append(record)
    rows = state.logged_rows + len(deleted) + (commit.row is not None)
    plan.put(made, TableState(state.logged_records + 1, rows, plan.sequence, state.stored_strings))
    commit.before, commit.after = newest, made


def _changed(newest: TableVersion, commit: PointCommit, sequence: int) -> TableVersion | None:
    """The version with the change; None if that is not to be had the short way."""
    masks = newest.masks
    if commit.replaced >= 0:
        chunk, row = divmod(commit.replaced, CHUNK_ROWS)
        mask = newest.masks.get(chunk)
        visible = _visible(newest, chunk, None if mask is None else mask.visible)
        if not visible[row]:
            raise Outdated
        visible[row] = 0
        hidden = next_mask(visible, 1 if mask is None else mask.deleted + 1)
        masks = MappingProxyType({**newest.masks, chunk: hidden})
    chunks, codes = newest.delta_chunks, None
    if commit.row is not None:
        codes = _coded(newest, commit.row)
        grown = None if codes is None else append_row(chunks, codes)
        if grown is None:
            return None
        chunks = grown
    made = newest.derived(delta_chunks=chunks, masks=masks, changed=sequence)
    layout = newest.__dict__.get("layout")
    if layout is not None and layout.has_deletes == bool(masks) and (codes is None or _fits(layout, codes)):
        made.__dict__["layout"] = layout
    return made


def _fits(layout: TableLayout, row: Sequence[Cell]) -> bool:
    """Whether a row leaves a layout as it is."""
    for column, value in zip(layout.columns, row, strict=True):
        if value is None:
            if not column.has_nulls:
                return False
        elif column.encoding in _BOUNDED and not column.low <= value <= column.high:  # type: ignore[operator]
            return False
    return True


def _coded(version: TableVersion, row: tuple[Cell, ...]) -> Sequence[Cell] | None:
    """The row with codes for the strings of dictionaries; None if one of them is new."""
    if not version.dictionaries:
        return row
    coded = list(row)
    for column, dictionary in version.dictionaries.items():
        if version.schema.text_modes[column] is TextMode.DICTIONARY:
            value = row[column]
            assert not isinstance(value, int | float)
            code = 0 if value is None else dictionary.code_of(value)
            if code is None or value is None:
                return None
            coded[column] = code
    return coded


def _visible(version: TableVersion, chunk: int, known: Array | None) -> Array:
    """A copy of a chunk's mask, for all of its rows."""
    segments = version.segment_set.segments
    rows = segments[chunk].rows if chunk < len(segments) else version.delta_chunks[chunk - len(segments)].rows
    visible = np.ones(rows, np.uint8)
    if known is not None:
        visible[: len(known)] = known
    return visible


def _stable_id(version: TableVersion, row_id: int) -> int:
    chunk, row = divmod(row_id, CHUNK_ROWS)
    segments = version.segment_set.segments
    if chunk < len(segments):
        return segments[chunk].id * CHUNK_ROWS + row
    return ~(sum(found.rows for found in version.delta_chunks[: chunk - len(segments)]) + row)


def _generally(
    plan: Plan, commit: PointCommit, newest: TableVersion, state: TableState, segment_ids: Iterator[int]
) -> None:
    changes = Changes()
    if commit.row is not None:
        changes.batches.append(values_of(newest, commit.row))
        changes.row_count = 1
    if commit.replaced >= 0:
        changes.deleted.append(np.array([commit.replaced], np.int64))
    publishing.add_rows(plan, changes, commit.base, newest, state, segment_ids)


def values_of(version: TableVersion, row: tuple[Cell, ...]) -> list[Values]:
    """The row as columns."""
    found: list[Values] = []
    for column, value in zip(version.columns, row, strict=True):
        validity = np.zeros(1, np.uint8) if value is None else None
        form = form_of(column.type)
        if form is Form.TEXT:
            text = value if isinstance(value, bytes) else b""
            found.append(Values(form, np.array([0, len(text)]), validity, np.frombuffer(text, np.uint8)))
        elif form is Form.FLOAT:
            found.append(Values(form, np.array([value or 0.0], numpy_type(column.type)), validity))
        else:
            assert not isinstance(value, bytes | float)
            number = value or 0
            if -(1 << 63) <= number < 1 << 63:
                found.append(Values(form, np.array([number], np.int64), validity))
            else:
                low = number & ((1 << 64) - 1)
                pair = [[low - (1 << 64) if low >> 63 else low, number >> 64]]
                found.append(Values(Form.WIDE, np.array(pair, np.int64), validity))
    return found
