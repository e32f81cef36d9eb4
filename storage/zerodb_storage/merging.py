"""Merging a table's delta into segments while others go on reading and writing.

    fold       of a committed version, with no lock held: reads, sorts, encodes          (fold.py)
    carry      under the commit lock: what was committed since is brought to the folded version's numbering: rows that
               came follow in its delta, rows that went are deleted in it
    publish    in one atomic batch: headers, delete vectors, and one commit record with all that was carried over in
               place of the log so far

Readers keep their snapshots, writers find their rows again by `Carried.renumbering`. What is here is pure; `merger.py`
runs it.

If the table's shape changed meanwhile (columns, truncation, another fold), there is nothing to carry over to: the merge
is given up, and begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage.coding import coded
from zerodb_storage.fold import Folded
from zerodb_storage.renumbering import GONE, Renumbering
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Array, Values, concatenate


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """A folded table with what was committed since it was taken.

    `rows` (one per column, text as TEXT; none if no rows came) are all rows of the version's delta, `deleted` the row
    ids of the rows of its segments that went: what its commit record says. `renumbering` leads to it from the numbering
    that the version before the fold and the latest one share, rows that came since included."""

    version: TableVersion
    renumbering: Renumbering
    rows: tuple[Values, ...]
    deleted: Array


def carried(folded: Folded, base: TableVersion, latest: TableVersion) -> Carried | None:
    """`folded` is what `base` was folded to, `latest` the same table as it was committed last; None if they do not have
    the same shape any more."""
    assert folded.renumbering is not None
    same = latest.numbering is base.numbering and latest.schema.slots == base.schema.slots
    if not same or len(latest.segment_set.segments) != len(base.segment_set.segments):
        return None
    version = _brought_up(folded.version, base, latest)
    deleted = folded.renumbering.apply(_deleted_since(base, latest))
    assert len(deleted) == 0 or int(deleted.min()) >= 0, "a visible row is in no new segment"
    version, _ = version.with_deleted(deleted)
    spans = _new_spans(base, latest)
    rows: tuple[Values, ...] = ()
    if any(len(span.there) for span in spans):
        rows = tuple(_gathered(latest, spans, column) for column in range(len(latest.columns)))
        version, stored = coded(version, rows)
        version = version.appended(stored)
    return Carried(version, _extended(folded.renumbering, spans, version), rows, deleted)


def _brought_up(version: TableVersion, base: TableVersion, latest: TableVersion) -> TableVersion:
    """The folded version with the latest declaration and dictionaries. A column's dictionary is either the fold's
    choice or was retired meanwhile, not both."""
    schema = latest.schema
    dictionaries = dict(latest.dictionaries)
    for column, mode in enumerate(version.schema.text_modes):
        if mode is not base.schema.text_modes[column]:
            schema = schema.with_mode(column, mode)
            dictionaries[column] = version.dictionaries[column]
    return replace(version, schema=schema, dictionaries=MappingProxyType(dictionaries), changed=latest.changed)


def _deleted_since(base: TableVersion, latest: TableVersion) -> Array:
    """Row ids of rows that are visible in `base` and not in `latest`."""
    found: list[Array] = [np.empty(0, np.int64)]
    for chunk, mask in latest.masks.items():
        if chunk >= base.chunk_count or base.masks.get(chunk) is mask:
            continue
        rows = int(base.chunk_rows[chunk])
        gone = mask.visible[:rows] == 0
        before = base.visibility(chunk)
        if before is not None:
            gone &= before[1][: len(gone)] != 0
        found.append(np.flatnonzero(gone) + chunk * CHUNK_ROWS)
    return np.concatenate(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Span:
    """Rows begin..end-1 of a chunk are new; `there` are those that are visible, counted from `begin`."""

    chunk: int
    begin: int
    end: int
    there: Array


def _new_spans(base: TableVersion, latest: TableVersion) -> list[_Span]:
    """Rows of the delta of `latest` that `base` lacks, chunk by chunk."""
    spans: list[_Span] = []
    for chunk in range(len(base.segment_set.segments), latest.chunk_count):
        begin = int(base.chunk_rows[chunk]) if chunk < base.chunk_count else 0
        end = int(latest.chunk_rows[chunk])
        if begin < end:
            visible = latest.visibility(chunk)
            there = np.arange(end - begin) if visible is None else np.flatnonzero(visible[1][begin:])
            spans.append(_Span(chunk, begin, end, there))
    return spans


def _gathered(latest: TableVersion, spans: list[_Span], column: int) -> Values:
    parts: list[Values] = []
    for span in spans:
        values = latest.as_text(latest.read(span.chunk, column, span.begin), column)
        parts.append(values if len(span.there) == len(values) else values.take(span.there))
    return concatenate(parts)


def _extended(renumbering: Renumbering, spans: list[_Span], version: TableVersion) -> Renumbering:
    """With the rows that came: they are the delta of `version`, in order."""
    if not spans:
        return renumbering
    first = len(version.segment_set.segments)
    chunks = [np.arange(chunk.rows) + (first + n) * CHUNK_ROWS for n, chunk in enumerate(version.delta_chunks)]
    places = np.concatenate([np.empty(0, np.int64), *chunks])
    parts = renumbering.parts()
    taken = 0
    for span in spans:
        new = np.full(span.end - span.begin, GONE, np.int64)
        new[span.there] = places[taken : taken + len(span.there)]
        taken += len(span.there)
        if span.begin == 0:
            assert span.chunk == len(parts)
            parts.append(new)
        else:
            old = parts[span.chunk]
            assert not isinstance(old, int)
            assert len(old) == span.begin
            parts[span.chunk] = np.concatenate((old, new))
    assert taken == len(places)
    return Renumbering.of(parts)
