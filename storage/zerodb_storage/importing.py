"""Bulk import: record batches straight into segments.

    reader (own thread) -> gather 1 Mi rows -> sort by primary key -> encode columns on a pool -> write (own thread)

The delta is not involved. Every gathered batch is one atomic, durable commit; after a crash the table has a whole
number of them. Reading, encoding and writing of three consecutive batches overlap; zstd, numpy and Arrow release the
GIL.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

import pyarrow as pa

from zerodb_compiler.errors import error_for
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import arrow, dictionary, fold, keys, segment, unique
from zerodb_storage.catalog import Column, TextMode
from zerodb_storage.database import Database
from zerodb_storage.dictionary import Dictionary, DictionaryStore
from zerodb_storage.file_reader import schema_of
from zerodb_storage.fold import Folded
from zerodb_storage.locks import Outdated, TableMode
from zerodb_storage.segment import EncodedColumn
from zerodb_storage.table import TableVersion
from zerodb_storage.transaction import WriteTransaction
from zerodb_storage.values import Values

BATCH_ROWS = 16 * CHUNK_ROWS
BATCH_BYTES = 1 << 30  # a batch is cut earlier when its rows are large
_QUEUE_LENGTH = 8

Progress = Callable[[int, int], None]


def import_batches(
    database: Database,
    table: str,
    reader: Iterable[pa.RecordBatch],
    progress: Progress | None = None,
    create: bool = False,
    *,
    columns: Sequence[Column] | None = None,
    primary_key: Sequence[int] = (),
    threads: int | None = None,
) -> int:
    """Append all rows of `reader` to a table; returns how many.

    `create` makes the table if it does not exist, with `columns` or those of the reader's schema. Columns are matched
    by position. `progress(rows, bytes)` is called after every commit with the rows so far and the reader's
    `position`. Errors: 42P01 no such table, 23502 NULL in a NOT NULL column, 23505 a primary key that exists already;
    batches before the error stay, and so does a new table if there are any.
    """
    with database.begin() as transaction:
        if create and table not in transaction.tables:
            declared = columns if columns is not None else schema_of(_schema(reader))
            transaction.create_table(table, declared, primary_key)  # durable with the first batch
        else:
            _lock(transaction, table)
        version = transaction.table(table)
        return _Import(database, transaction, version, progress, threads or os.cpu_count() or 1).run(reader)


def _lock(transaction: WriteTransaction, table: str) -> None:
    """Keeps other writers away from the table; readers go on."""
    while True:
        try:
            return transaction.lock_table(table, TableMode.SHARE_ROW_EXCLUSIVE)
        except Outdated:  # somebody wrote before we had the lock
            transaction.refresh()


def _schema(reader: Iterable[pa.RecordBatch]) -> pa.Schema:
    schema = getattr(reader, "schema", None)
    if schema is None:
        raise error_for("42601", "the table does not exist and its columns are not known")
    return schema


class _Import:
    """One running import: `version` is the table with all batches handed to the writer so far."""

    def __init__(
        self,
        database: Database,
        transaction: WriteTransaction,
        version: TableVersion,
        progress: Progress | None,
        threads: int,
    ) -> None:
        self._database = database
        self._transaction = transaction
        self._version = version
        self._initial = version
        self._progress = progress
        self._threads = threads
        self._rows = 0
        self._position: Callable[[], int] | None = None

    def run(self, reader: Iterable[pa.RecordBatch]) -> int:
        self._position = getattr(reader, "position", None)
        with ThreadPoolExecutor(self._threads, "encode") as encoders, ThreadPoolExecutor(1, "write") as writer:
            pending: Future[None] | None = None
            for batch in _gathered(_prefetched(reader)):
                if self._version.primary_key and pending is not None:
                    pending.result()  # the uniqueness check reads what was written
                added = self._encode(batch, encoders)
                if pending is not None:
                    pending.result()
                self._version = added.version
                pending = writer.submit(self._write, added, batch.num_rows)
            if pending is not None:
                pending.result()
        return self._rows

    def _write(self, added: Folded, rows: int) -> None:
        self._database.publish_segments(self._transaction, added)
        self._transaction.continue_after_commit(self._database.snapshot())
        self._rows += rows
        if self._progress is not None:
            self._progress(self._rows, 0 if self._position is None else self._position())

    def _encode(self, batch: pa.Table, encoders: ThreadPoolExecutor) -> Folded:
        version = self._version
        if batch.num_columns != len(version.columns):
            message = f'table "{version.name}" has {len(version.columns)} columns, the data has {batch.num_columns}'
            raise error_for("42601", message)
        folded = Folded(version)
        if version.delta_chunks:
            folded = fold.fold(version, self._database.segment_ids, encoders)
        elif version is self._initial:  # its deletions may be in the log only, and publishing ends the log
            segments = version.segment_set.segments
            folded.puts += [fold.delete_vector(segments[chunk], mask.visible) for chunk, mask in version.masks.items()]
        sources = list(encoders.map(_one_array, batch.columns))
        order = None
        if version.primary_key:
            declared = [(number, version.columns[number]) for number in version.primary_key]
            whole = [arrow.from_arrow(sources[number], key.type, key.name) for number, key in declared]
            order = unique.checked_order(version, whole)  # not the folded version: its segments cannot be read yet
            if order is not None:
                rows = pa.array(order)
                sources = list(encoders.map(lambda array: _taken(array, rows), sources))
        version = folded.version
        version, sources = _text_coded(version, sources, encoders)
        step = _segment_rows(batch)
        slots = version.schema.slots
        spans = [(next(self._database.segment_ids), begin) for begin in range(0, batch.num_rows, step)]
        jobs = [(found, begin, column) for found, begin in spans for column in range(len(sources))]

        def run(job: tuple[int, int, int]) -> EncodedColumn:
            found, begin, column = job
            values = _canonical(version, sources[column], column, begin, step)
            return segment.encode_column(version.id, found, slots[column], values)

        encoded = list(encoders.map(run, jobs))
        new = []
        for number, (found, begin) in enumerate(spans):
            part = encoded[number * len(sources) : (number + 1) * len(sources)]
            new.append(segment.assemble(version.id, found, min(step, batch.num_rows - begin), slots, part))
            folded.values += [
                (keys.column(version.id, found, s), each.value) for s, each in zip(slots, part, strict=True)
            ]
            folded.puts.append((keys.header(version.id, found), segment.header_value(new[-1])))
        together = version.segment_set.with_segments([*version.segment_set.segments, *new])
        folded.version = replace(version, segment_set=together)
        return folded


def _taken(array: pa.Array, rows: pa.Array) -> pa.Array:
    """The rows of those numbers; Arrow has no `take` for string views."""
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    return array.take(rows)


Source: TypeAlias = pa.Array | Values  # a text column with a dictionary is CODES for the whole batch already


def _canonical(version: TableVersion, source: Source, column: int, begin: int, count: int) -> Values:
    """One segment's values of a column."""
    if isinstance(source, Values):
        return source.slice(begin, min(begin + count, len(source)))
    declared = version.columns[column]
    values = arrow.from_arrow(source.slice(begin, count), declared.type, declared.name)
    if declared.not_null and values.validity is not None:
        raise unique.null_violation(version, column)
    return values


def _text_coded(
    version: TableVersion, sources: list[pa.Array], encoders: ThreadPoolExecutor
) -> tuple[TableVersion, list[Source]]:
    """Text columns that have, or from their first rows get, a dictionary as CODES."""
    first = not version.segment_set.segments
    schema, dictionaries = version.schema, dict(version.dictionaries)

    def run(column: int) -> tuple[Values | None, Dictionary | None]:
        declared, mode = version.columns[column], schema.text_modes[column]
        if not declared.type.is_text or mode is TextMode.RETIRED or (mode is TextMode.PLAIN and not first):
            return None, None
        if mode is TextMode.PLAIN and not _may_repeat(sources[column], declared):
            return None, None
        strings = arrow.distinct(sources[column], declared.type, declared.name)
        if mode is TextMode.PLAIN and not dictionary.few(len(strings[1]), len(sources[column])):
            return None, None
        if declared.not_null and strings[2] is not None:
            raise unique.null_violation(version, column)
        store = DictionaryStore() if mode is TextMode.PLAIN else dictionaries[column].store
        codes = dictionary.coded(*strings, store)
        return codes, None if codes is None else Dictionary(store, store.size)

    coded: list[Source] = list(sources)
    for column, (codes, known) in enumerate(encoders.map(run, range(len(sources)))):
        if codes is not None and known is not None:
            coded[column] = codes
            dictionaries[column] = known
            schema = schema.with_mode(column, TextMode.DICTIONARY)
        elif schema.text_modes[column] is TextMode.DICTIONARY:
            schema = schema.with_mode(column, TextMode.RETIRED)
    return replace(version, schema=schema, dictionaries=MappingProxyType(dictionaries)), coded


def _segment_rows(batch: pa.Table) -> int:
    """Rows per segment: fewer than 65,536 where rows are so long that a segment would crowd linear memory."""
    row_bytes: int = max(1, batch.nbytes // max(1, batch.num_rows))
    return max(1, min(CHUNK_ROWS, fold.SEGMENT_TEXT_BYTES_MAX // row_bytes))


def _may_repeat(array: pa.Array, declared: Column) -> bool:
    """Whether a look at the first segment's rows leaves a dictionary possible."""
    if pa.types.is_dictionary(array.type) or len(array) <= 2 * CHUNK_ROWS:
        return True
    head = array.slice(0, CHUNK_ROWS)
    return len(arrow.distinct(head, declared.type, declared.name)[1]) * 2 <= len(head)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return pa.concat_arrays(column.chunks)


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of `BATCH_ROWS` rows (fewer at the end, or when `BATCH_BYTES` is reached) out of batches of any size."""
    held: list[pa.RecordBatch] = []
    rows = byte_count = 0
    for batch in batches:
        while batch.num_rows:
            taken = batch.slice(0, BATCH_ROWS - rows)
            held.append(taken)
            rows += taken.num_rows
            byte_count += taken.nbytes
            batch = batch.slice(taken.num_rows)
            if rows >= BATCH_ROWS or byte_count >= BATCH_BYTES:
                yield pa.Table.from_batches(held)
                held, rows, byte_count = [], 0, 0
    if held:
        yield pa.Table.from_batches(held)


def _prefetched(reader: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The reader's batches, read ahead on a thread."""
    ready: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(_QUEUE_LENGTH)
    stopped = threading.Event()

    def put(item: pa.RecordBatch | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        try:
            for batch in reader:
                if not put(batch):
                    return
            put(None)
        except BaseException as error:  # handed to the importing thread
            put(error)

    thread = threading.Thread(target=read, name="zerodb import reader", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
