"""Result batches row by row number: joined, and taken in another order, without making a Python object per value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from zerodb.engine.result import ColumnValues, ResultBatch
from zerodb_compiler.codegen.program import OutputColumn
from zerodb_compiler.types import SqlType

Rows = np.ndarray[Any, np.dtype[np.int64]]


def is_heap(type_: SqlType) -> bool:
    """Whether a result column of the type is offsets into a heap of bytes."""
    return type_.is_text or type_.is_blob


def joined(batches: Sequence[ResultBatch], output: Sequence[OutputColumn]) -> ResultBatch:
    """All rows as one batch."""
    if len(batches) == 1:
        return batches[0]
    columns = []
    for index, column in enumerate(output):
        parts = [batch.columns[index] for batch in batches]
        validity = None
        if any(part.validity is not None for part in parts):
            validity = b"".join(
                part.validity if part.validity is not None else b"\1" * batch.rows
                for part, batch in zip(parts, batches, strict=True)
            )
        if is_heap(column.type):
            base, offsets = 0, [np.zeros(1, np.int64)]
            for part in parts:
                ends = np.frombuffer(part.data, np.int32)[1:].astype(np.int64)
                offsets.append(ends + base)
                base += len(part.heap)
            data = np.concatenate(offsets).astype(np.int32).tobytes()
            columns.append(ColumnValues(data, validity, b"".join(part.heap for part in parts)))
        else:
            columns.append(ColumnValues(b"".join(part.data for part in parts), validity, b""))
    return ResultBatch(sum(batch.rows for batch in batches), tuple(columns))


def taken(batch: ResultBatch, output: Sequence[OutputColumn], rows: Rows) -> ResultBatch:
    """The given rows, in that order."""
    columns = []
    for values, column in zip(batch.columns, output, strict=True):
        validity = None
        if values.validity is not None:
            validity = np.frombuffer(values.validity, np.uint8)[rows].tobytes()
        if is_heap(column.type):
            array = pa.Array.from_buffers(
                pa.binary(), batch.rows, [None, pa.py_buffer(values.data), pa.py_buffer(values.heap)]
            ).take(pa.array(rows))
            offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(rows) + 1]
            heap = array.buffers()[2]
            first, last = int(offsets[0]), int(offsets[-1])
            content = b"" if heap is None else bytes(memoryview(heap)[first:last])
            columns.append(ColumnValues((offsets - first).astype(np.int32).tobytes(), validity, content))
        elif batch.rows == 0 or not values.data:
            columns.append(ColumnValues(values.data, validity, b""))
        else:
            items = np.frombuffer(values.data, np.dtype((np.void, len(values.data) // batch.rows)))
            columns.append(ColumnValues(items[rows].tobytes(), validity, b""))
    return ResultBatch(len(rows), tuple(columns))


def chosen(batch: ResultBatch, columns: Sequence[int]) -> ResultBatch:
    """Some of the columns."""
    return ResultBatch(batch.rows, tuple(batch.columns[index] for index in columns))
