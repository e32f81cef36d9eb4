"""A few rows that come to a table, or go, as plain Python values: how changes by key are committed.

Problem: the general way from changes to the next version works on columns: every step costs some microseconds of NumPy
calls for each column, and for few rows their sum is several times the sync of the log.

Idea: the same steps (publishing) row by row: values are written where they belong in the buffers of the delta. What
does not fit there at once - the first NULL of a column, a string that a dictionary lacks, a full chunk - is done the
general way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from zerodb_compiler.layout import CHUNK_ROWS, Encoding, TableLayout
from zerodb_storage.arrow import form_of, numpy_type
from zerodb_storage.catalog import TextMode
from zerodb_storage.commit_log import Cell
from zerodb_storage.delta import append_rows
from zerodb_storage.locks import Outdated
from zerodb_storage.rebasing import Changes
from zerodb_storage.segment import ColumnFacts
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Form, Values, concatenate
from zerodb_storage.visibility import Mask

MOST_ROWS = 64  # of one table and transaction: more are done as columns


@dataclass(frozen=True, slots=True, eq=False)
class FewRows:
    """What a transaction does to one table. `gone` are ids of rows of `base`, each once; `rows` have all columns, of
    the `forms` (commit_log.row_forms). `follow` is called when they are published as they are: with the version of the
    table before and after them and the snapshot's number, by the thread that publishes, in the order of the commits. So
    whoever keeps up with the table version by version can."""

    base: TableVersion
    gone: Sequence[int]
    rows: Sequence[tuple[Cell, ...]]
    forms: str
    follow: Callable[[TableVersion, TableVersion, int], None] | None = None


def masks_without(version: TableVersion, gone: Sequence[int]) -> Mapping[int, Mask]:
    """The version's masks when these rows are gone, for who publishes. Outdated if one of them is already."""
    if not gone:
        return version.masks
    masks = dict(version.masks)
    by_chunk: dict[int, list[int]] = {}
    for row_id in gone:
        chunk, row = divmod(row_id, CHUNK_ROWS)
        mask = masks.get(chunk)
        if mask is not None and not mask.shows(row):
            raise Outdated
        by_chunk.setdefault(chunk, []).append(row)
    for chunk, rows in by_chunk.items():
        masks[chunk] = (masks.get(chunk) or version.fresh_mask(chunk)).hidden_in_place(rows)
    return MappingProxyType(masks)


def grown(
    version: TableVersion, masks: Mapping[int, Mask], rows: Sequence[tuple[Cell, ...]], sequence: int
) -> TableVersion | None:
    """The version with these masks and the rows behind it; None if they have no place there."""
    chunks = version.delta_chunks
    layout: TableLayout | None = version.__dict__.get("layout")
    if layout is not None and layout.has_deletes != bool(masks):
        layout = None
    if rows:
        coded: list[Sequence[Cell]] = []
        for row in rows:
            codes = _coded(version, row)
            if codes is None:
                return None
            coded.append(codes)
        more = append_rows(chunks, coded)
        if more is None:
            return None
        if layout is not None and not _fits(layout, chunks[-1].facts, more[-1].facts, coded):
            layout = None
        chunks = more
    made = version.derived(delta_chunks=chunks, masks=masks, changed=sequence)
    if layout is not None:
        made.__dict__["layout"] = layout
    return made


def stable_ids(version: TableVersion, row_ids: Sequence[int]) -> list[int]:
    """As TableVersion.stable_ids."""
    segments = version.segment_set.segments
    found = []
    for row_id in row_ids:
        chunk, row = divmod(row_id, CHUNK_ROWS)
        if chunk < len(segments):
            found.append(segments[chunk].id * CHUNK_ROWS + row)
        else:
            found.append(~(sum(before.rows for before in version.delta_chunks[: chunk - len(segments)]) + row))
    return found


def as_changes(few: FewRows) -> Changes:
    """The same for the general way."""
    changes = Changes()
    if few.rows:
        parts = [values_of(few.base, row) for row in few.rows]
        changes.batches.append([concatenate(column) for column in zip(*parts, strict=True)])
        changes.row_count = len(few.rows)
    if few.gone:
        changes.deleted.append(np.array(few.gone, np.int64))
    return changes


def _fits(
    layout: TableLayout, before: Sequence[ColumnFacts], after: Sequence[ColumnFacts], rows: Sequence[Sequence[Cell]]
) -> bool:
    """Whether rows that have changed what is known of the last chunk's columns leave a layout as it is."""
    for number, (column, known, found) in enumerate(zip(layout.columns, before, after, strict=True)):
        if column.encoding is Encoding.DICTIONARY:
            if any((row[number] or 0) > column.high for row in rows):  # type: ignore[operator]
                return False
        elif known is found:
            continue
        elif (
            column.encoding is Encoding.INT
            and found.bounds is not None
            and not column.low <= found.bounds[0] <= found.bounds[1] <= column.high
        ):
            return False
        if found.null_count and not column.has_nulls:
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
