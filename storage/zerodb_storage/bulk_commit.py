"""Large transactions: their new rows become segments before they wait for their turn to commit.

    encode     no lock held: the rows that are left, sorted by primary key, cut, encoded; their values written under
               garbage records
    attach     in the turn: the segments go behind the newest version's, before its delta, whose chunks move up

So neither the log nor the delta sees these rows, other commits do not wait while they are encoded, and the longest step
in the turn is writing the headers.

Text columns are encoded in the codes of the table's dictionaries, or in those of new ones for a table without rows.
Should the table have changed its mind meanwhile (a dictionary given up, another large transaction the first one), the
rows are encoded once more, in the turn.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from zerodb_storage import fold, keys, segment
from zerodb_storage.catalog import Schema, TextMode
from zerodb_storage.coding import coded
from zerodb_storage.dictionary import Dictionary
from zerodb_storage.rebasing import Changes
from zerodb_storage.renumbering import Numbering, Renumbering
from zerodb_storage.segment import Segment
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Values

PARALLEL_ROWS = 262_144


@dataclass(slots=True)
class Bulk:
    """New rows as segments. `dictionaries` has those that the codes are of."""

    schema: Schema
    dictionaries: dict[int, Dictionary]
    segments: list[Segment] = field(default_factory=list)
    values: list[tuple[bytes, bytes]] = field(default_factory=list)

    def puts(self) -> list[tuple[bytes, bytes]]:
        return [(keys.header(found.table_id, found.id), segment.header_value(found)) for found in self.segments]

    def goes_with(self, version: TableVersion) -> bool:
        """Whether the segments can be a version's as they are."""
        return self.schema.slots == version.schema.slots and all(
            self._column_goes_with(column, mode, version) for column, mode in enumerate(self.schema.text_modes)
        )

    def _column_goes_with(self, column: int, mode: TextMode, version: TableVersion) -> bool:
        if mode is not TextMode.DICTIONARY:
            return mode is TextMode.RETIRED or version.schema.text_modes[column] is not TextMode.DICTIONARY
        known = version.dictionaries.get(column)
        if known is not None:
            return known.store is self.dictionaries[column].store
        empty = not version.segment_set.segments and not version.delta_chunks
        return empty and version.schema.text_modes[column] is TextMode.PLAIN


def encode(version: TableVersion, changes: Changes, segment_ids: Iterator[int]) -> Bulk:
    """The new rows of a transaction on `version`, but for those that it deleted again."""
    rows = changes.rows()
    _, own = changes.deletions()
    if len(own):
        left = np.ones(changes.row_count, np.bool_)
        left[own] = False
        places = np.flatnonzero(left)
        rows = tuple(values.take(places) for values in rows)
    version, columns = coded(version, rows)
    bulk = Bulk(version.schema, dict(version.dictionaries))
    if len(rows[0]) == 0:
        return bulk
    if not version.segment_set.segments and not version.delta_chunks:
        bulk.schema, columns = fold.choose_text_modes(bulk.schema, columns, bulk.dictionaries)
    order = fold.key_order(bulk.schema, columns, bulk.dictionaries)
    if len(columns[0]) < PARALLEL_ROWS:
        _encode(version.id, bulk, _in_order(columns, order), segment_ids, None)
        return bulk
    with ThreadPoolExecutor(os.cpu_count() or 1, "encode") as executor:
        _encode(version.id, bulk, _in_order(columns, order), segment_ids, executor)
    return bulk


def _in_order(columns: list[Values], order: np.ndarray | None) -> list[Values]:
    return columns if order is None else [values.take(order) for values in columns]


def _encode(
    table_id: int,
    bulk: Bulk,
    columns: list[Values],
    segment_ids: Iterator[int],
    executor: ThreadPoolExecutor | None,
) -> None:
    slots = bulk.schema.slots
    bulk.segments = fold.encode_segments(table_id, slots, columns, segment_ids, bulk.values, executor)


def attach(version: TableVersion, bulk: Bulk) -> tuple[TableVersion, Renumbering | None]:
    """The version with the segments, and where its rows are then; None if they stay where they are."""
    assert bulk.goes_with(version)
    segments = version.segment_set.segments
    schema, dictionaries = version.schema, dict(version.dictionaries)
    for column, mode in enumerate(bulk.schema.text_modes):
        new = mode is TextMode.DICTIONARY and column not in dictionaries
        if new or mode is TextMode.RETIRED:
            schema = schema.with_mode(column, mode)
        if mode is TextMode.DICTIONARY:
            store = bulk.dictionaries[column].store
            dictionaries[column] = Dictionary(store, store.size)
    count, more = len(segments), len(bulk.segments)
    moves = bool(version.delta_chunks) and more > 0
    grown = replace(
        version,
        schema=schema,
        segment_set=version.segment_set.with_segments([*segments, *bulk.segments]),
        masks=MappingProxyType(
            {chunk if chunk < count else chunk + more: mask for chunk, mask in version.masks.items()}
        ),
        dictionaries=MappingProxyType(dictionaries),
        numbering=Numbering() if moves else version.numbering,
    )
    if not moves:
        return grown, None
    places = [*range(count), *range(count + more, count + more + len(version.delta_chunks))]
    return grown, Renumbering.of(places)
