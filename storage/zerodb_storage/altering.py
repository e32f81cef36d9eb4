"""Changes to the columns of a table that need no rewriting of its segments.

A column is stored under its slot. To add one is to say which value the rows before it have; to drop one is to forget
its slot (the bytes go when their segments are merged). Only the delta, whose chunks hold all columns side by side, is
rebuilt, in memory; its next commit folds it.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from zerodb_storage import delta, encoding
from zerodb_storage.arrow import form_of, numpy_type
from zerodb_storage.catalog import Column, Schema, TextMode
from zerodb_storage.delta import DeltaChunk
from zerodb_storage.segment import SegmentSet
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Values, nulls


def with_slots(schema: Schema) -> Schema:
    """The schema with slots given to its new columns, and plain text modes for them."""
    columns: list[Column] = []
    modes: list[TextMode] = []
    following = schema.next_slot
    for number, column in enumerate(schema.columns):
        mode = schema.text_modes[number] if number < len(schema.text_modes) else TextMode.PLAIN
        if column.slot < 0:
            column, mode, following = replace(column, slot=following), TextMode.PLAIN, following + 1
        columns.append(column)
        modes.append(mode)
    return replace(schema, columns=tuple(columns), text_modes=tuple(modes), next_slot=following)


def reshaped(version: TableVersion, schema: Schema) -> TableVersion:
    """The same rows under another schema, whose columns are matched by slot; text modes are taken over."""
    old = version.schema
    places = {column.slot: number for number, column in enumerate(old.columns)}
    modes = tuple(
        old.text_modes[places[column.slot]] if column.slot in places else TextMode.PLAIN for column in schema.columns
    )
    schema = replace(with_slots(schema), text_modes=modes)
    if schema.slots == old.slots:
        return replace(version, schema=schema)
    sources = [places.get(column.slot) for column in schema.columns]
    dictionaries = {
        number: version.dictionaries[source]
        for number, source in enumerate(sources)
        if source is not None and source in version.dictionaries
    }
    chunks: tuple[DeltaChunk, ...] = ()
    for chunk in version.delta_chunks:
        batch = [
            absent(column, chunk.rows) if source is None else chunk.view(source)
            for column, source in zip(schema.columns, sources, strict=True)
        ]
        # One by one and not merged, so that row ids stay.
        chunks += delta.append((), batch)
    return replace(
        version,
        schema=schema,
        segment_set=SegmentSet.of(version.segment_set.segments, schema.columns),
        delta_chunks=chunks,
        dictionaries=MappingProxyType(dictionaries),
    )


def absent(column: Column, rows: int) -> Values:
    """What rows have that were written before the column was added."""
    if column.missing is not None:
        return encoding.decode(column.missing).take(np.zeros(rows, np.int64))
    return nulls(form_of(column.type), rows, numpy_type(column.type))
