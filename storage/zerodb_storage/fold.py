"""Folding the delta of a table into new segments.

All visible rows of the delta, together with those of segments that are worth rewriting (`segment_choice`), are sorted
by primary key, cut into segments and encoded. Deletions in the segments that stay become persistent delete vectors. The
result is a new table version, with where each row went (`renumbering`), and the pairs that make it durable; nothing is
written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import dictionary, keys, ordering, records, segment, segment_choice
from zerodb_storage.catalog import Schema, TextMode
from zerodb_storage.dictionary import Dictionary, DictionaryStore
from zerodb_storage.renumbering import GONE, Numbering, Renumbering
from zerodb_storage.segment import EncodedColumn, Segment
from zerodb_storage.table import TableVersion
from zerodb_storage.values import Array, Values, concatenate
from zerodb_storage.visibility import Mask

SEGMENT_TEXT_BYTES_MAX = 1 << 28


@dataclass(slots=True)
class Folded:
    """A folded table and what to write for it: large values anywhere before the batch, the rest in the batch.
    `renumbering` leads from the row ids of the version that was folded, whose numbering was `source`, to those of the
    new one, which has a numbering of its own; who publishes it joins the two. None: they are the same."""

    version: TableVersion
    values: list[tuple[bytes, bytes]] = field(default_factory=list)
    puts: list[tuple[bytes, bytes]] = field(default_factory=list)
    deletes: list[bytes] = field(default_factory=list)
    dropped: list[Segment] = field(default_factory=list)
    source: Numbering | None = None
    renumbering: Renumbering | None = None


def fold(version: TableVersion, segment_ids: Iterator[int], executor: Executor | None = None) -> Folded:
    segments = version.segment_set.segments
    rewritten = segment_choice.to_rewrite(version)
    chunks = [*rewritten, *range(len(segments), version.chunk_count)]
    kept = [chunk for chunk in range(len(segments)) if chunk not in set(rewritten)]
    schema, dictionaries = version.schema, dict(version.dictionaries)
    result = Folded(version, dropped=[segments[chunk] for chunk in rewritten], source=version.numbering)
    new: list[Segment] = []
    parts: list[int | Array] = [np.empty(0, np.int64)] * version.chunk_count
    for position, chunk in enumerate(kept):
        parts[chunk] = position
    if chunks:
        columns = [_gathered(version, column, chunks) for column in range(len(version.columns))]
        if not kept:
            schema, columns = choose_text_modes(schema, columns, dictionaries)
        order = key_order(schema, columns, dictionaries)
        columns = columns if order is None else [values.take(order) for values in columns]
        _place(parts, version, chunks, _positions(len(kept), columns, order))
        new = encode_segments(version.id, schema.slots, columns, segment_ids, result.values, executor)
    result.puts += [(keys.header(found.table_id, found.id), segment.header_value(found)) for found in new]
    masks: dict[int, Mask] = {}
    for position, chunk in enumerate(kept):
        if chunk in version.masks:
            masks[position] = version.masks[chunk]
            result.puts.append(delete_vector(segments[chunk], version.masks[chunk].visible))
    for found in result.dropped:
        result.deletes += [keys.header(found.table_id, found.id), keys.deleted(found.table_id, found.id)]
    result.version = replace(
        version,
        schema=schema,
        segment_set=version.segment_set.with_segments([*(segments[chunk] for chunk in kept), *new]),
        delta_chunks=(),
        masks=MappingProxyType(masks),
        dictionaries=MappingProxyType(dictionaries),
        numbering=Numbering(),
    )
    result.renumbering = Renumbering.of(parts)
    return result


def _positions(first_chunk: int, columns: Sequence[Values], order: Array | None) -> Array:
    """The new row ids of gathered rows, which go into new segments from `first_chunk` on in the given order."""
    spans = cuts(columns)
    begins = np.array(
        [(first_chunk + number) * CHUNK_ROWS - begin for number, (begin, _) in enumerate(spans)], np.int64
    )
    count = len(columns[0])
    row_ids = np.arange(count, dtype=np.int64) + np.repeat(
        np.array(begins, np.int64), [end - begin for begin, end in spans]
    )
    if order is None:
        return row_ids
    positions = np.empty(count, np.int64)
    positions[order] = row_ids
    return positions


def _place(parts: list[int | Array], version: TableVersion, chunks: Sequence[int], positions: Array) -> None:
    """Note where the rows of gathered chunks went, given where the visible ones did."""
    taken = 0
    for chunk in chunks:
        rows = int(version.chunk_rows[chunk])
        visible = version.visibility(chunk)
        places = np.full(rows, GONE, np.int64)
        there = np.arange(rows) if visible is None else np.flatnonzero(visible[1])
        places[there] = positions[taken : taken + len(there)]
        taken += len(there)
        parts[chunk] = places
    assert taken == len(positions)


def _gathered(version: TableVersion, column: int, chunks: Sequence[int]) -> Values:
    """All visible values of a column in the given chunks, of one form."""
    parts: list[Values] = []
    coded = version.schema.text_modes[column] is TextMode.DICTIONARY
    for chunk in chunks:
        values = version.read(chunk, column)
        visible = version.visibility(chunk)
        if visible is not None:
            values = values.take(np.flatnonzero(visible[1]))
        parts.append(values if coded else version.as_text(values, column))
    return concatenate(parts)


def choose_text_modes(
    schema: Schema, columns: Sequence[Values], dictionaries: dict[int, Dictionary]
) -> tuple[Schema, list[Values]]:
    """For a table's first segments: text columns that repeat get a dictionary (added to `dictionaries`)."""
    chosen = list(columns)
    for number, column in enumerate(schema.columns):
        plain = column.type.is_variable and schema.text_modes[number] is TextMode.PLAIN
        if not plain or not dictionary.worth_it(columns[number]):
            continue
        store = DictionaryStore()
        coded = dictionary.encode(columns[number], store)
        if coded is not None:
            chosen[number] = coded
            dictionaries[number] = Dictionary(store, store.size)
            schema = schema.with_mode(number, TextMode.DICTIONARY)
    return schema, chosen


def key_order(schema: Schema, columns: Sequence[Values], dictionaries: dict[int, Dictionary]) -> Array | None:
    """Row numbers in the order of the primary key; None if the rows are to stay as they are."""
    return ordering.sort_order(key_arrays(schema, columns, dictionaries)) if schema.primary_key else None


def key_arrays(schema: Schema, columns: Sequence[Values], dictionaries: dict[int, Dictionary]) -> list[Array]:
    """Arrays that order the rows by primary key."""
    found: list[Array] = []
    for number in schema.primary_key:
        values = columns[number]
        if schema.text_modes[number] is TextMode.DICTIONARY:
            values = dictionaries[number].decode(values)
        found += ordering.sort_keys(values)
    return found


def cuts(columns: Sequence[Values]) -> list[tuple[int, int]]:
    """(begin, end) of the segments: 65,536 rows each, fewer where strings are very long."""
    total = len(columns[0])
    spans: list[tuple[int, int]] = []
    begin = 0
    while begin < total:
        end = min(begin + CHUNK_ROWS, total)
        for values in columns:
            if values.text is not None and int(values.data[end] - values.data[begin]) > SEGMENT_TEXT_BYTES_MAX:
                limit = int(values.data[begin]) + SEGMENT_TEXT_BYTES_MAX
                end = max(begin + 1, min(end, int(np.searchsorted(values.data, limit, "right")) - 1))
        spans.append((begin, end))
        begin = end
    return spans


def encode_segments(
    table_id: int,
    slots: tuple[int, ...],
    columns: Sequence[Values],
    segment_ids: Iterator[int],
    values: list[tuple[bytes, bytes]],
    executor: Executor | None = None,
) -> list[Segment]:
    """Encode rows as segments; their column values are appended to `values` as pairs."""
    jobs: list[tuple[int, int, int, int]] = []
    spans = [(next(segment_ids), begin, end) for begin, end in cuts(columns)]
    jobs = [(found, column, begin, end) for found, begin, end in spans for column in range(len(columns))]

    def run(job: tuple[int, int, int, int]) -> EncodedColumn:
        found, column, begin, end = job
        return segment.encode_column(table_id, found, slots[column], columns[column].slice(begin, end))

    mapped: Callable[..., Iterator[EncodedColumn]] = map if executor is None else executor.map
    encoded = list(mapped(run, jobs))
    made: list[Segment] = []
    for number, (found, begin, end) in enumerate(spans):
        part = encoded[number * len(columns) : (number + 1) * len(columns)]
        made.append(segment.assemble(table_id, found, end - begin, slots, part))
        values += [(keys.column(table_id, found, slot), each.value) for slot, each in zip(slots, part, strict=True)]
    return made


def delete_vector(found: Segment, visible: Array) -> tuple[bytes, bytes]:
    key = keys.deleted(found.table_id, found.id)
    return key, records.seal(key, np.packbits(visible, bitorder="little").tobytes())


def visible_from(key: bytes, value: bytes, rows: int) -> Array:
    content = records.unseal(key, value)
    if len(content) != (rows + 7) // 8:
        raise records.damaged(key, "wrong size")
    return np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")[:rows]
