"""What a statement gives: the common form of query results, counts of changed rows and the host's own small tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from zerodb.engine.result import ResultBatch, RowDecoder, arrow_batch, arrow_schema
from zerodb.engine.text_rows import TextRow, text_rows
from zerodb_compiler.codegen.program import OutputColumn
from zerodb_compiler.types import BIGINT, TEXT
from zerodb_compiler.zones import session_zone, set_session_zone

Row = tuple[Any, ...]


class Batches(Protocol):
    """The rows of a result set in portions, each as Python tuples, as text (PostgreSQL's output) or as Arrow."""

    def __len__(self) -> int: ...

    def rows(self, index: int) -> list[Row]: ...

    def texts(self, index: int) -> Sequence[TextRow]: ...

    def arrow(self, index: int, schema: pa.Schema) -> pa.RecordBatch: ...


class _Owned(list[ResultBatch]):
    """A list of batches that nobody else has."""


_RELEASED = ResultBatch(0, ())


class QueryBatches:
    """What a query's generated code gave."""

    __slots__ = ("_batches", "_decoder", "_output", "_zone")

    def __init__(self, batches: Sequence[ResultBatch], output: Sequence[OutputColumn], decoder: RowDecoder) -> None:
        self._batches: Sequence[ResultBatch] = batches
        self._output = output
        self._decoder = decoder
        self._zone = session_zone()

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def nbytes(self) -> int:
        return sum(batch.nbytes for batch in self._batches)

    def release(self, index: int) -> None:
        """Lets a portion go that nobody will ask for again."""
        if not isinstance(self._batches, _Owned):
            self._batches = _Owned(self._batches)
        self._batches[index] = _RELEASED

    def rows(self, index: int) -> list[Row]:
        return self._decoder.rows(self._batches[index])

    def texts(self, index: int) -> Sequence[TextRow]:
        set_session_zone(self._zone)
        return text_rows(self._batches[index], self._output)

    def arrow(self, index: int, schema: pa.Schema) -> pa.RecordBatch:
        return arrow_batch(self._batches[index], self._output, schema)


class HostBatches:
    """A small table that the host made itself (EXPLAIN, SHOW)."""

    __slots__ = ("_data",)

    def __init__(self, data: pa.RecordBatch) -> None:
        self._data = data

    def __len__(self) -> int:
        return 1

    def rows(self, index: int) -> list[Row]:
        return list(zip(*(column.to_pylist() for column in self._data.columns), strict=True))

    def texts(self, index: int) -> Sequence[TextRow]:
        return [tuple(None if value is None else str(value) for value in row) for row in self.rows(index)]

    def arrow(self, index: int, schema: pa.Schema) -> pa.RecordBatch:
        return self._data.cast(schema)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`columns` is None for statements without a result set. `row_count` counts the rows of the result or the rows
    changed, -1 where neither makes sense; `tag` is PostgreSQL's command tag without the count."""

    tag: str
    row_count: int = -1
    columns: tuple[OutputColumn, ...] | None = None
    batches: Batches | None = None

    @property
    def schema(self) -> pa.Schema:
        assert self.columns is not None
        return arrow_schema(self.columns)

    def table(self, *, stored: bool = False) -> pa.Table:
        """The whole result as one Arrow table; `stored`: with canonical values, as storage takes them."""
        assert self.batches is not None
        assert self.columns is not None
        schema = arrow_schema(self.columns, stored=stored)
        return pa.Table.from_batches([self.batches.arrow(i, schema) for i in range(len(self.batches))], schema)


def text_table(tag: str, names: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Outcome:
    """A result set of text columns."""
    data = list(rows)
    columns = tuple(OutputColumn(name, TEXT, True) for name in names)
    arrays = [pa.array([row[index] for row in data], pa.string()) for index in range(len(names))]
    return Outcome(tag, len(data), columns, HostBatches(pa.RecordBatch.from_arrays(arrays, names=list(names))))


def integer_table(tag: str, name: str, values: Sequence[int | None]) -> Outcome:
    """A result set of one bigint column."""
    data = pa.RecordBatch.from_arrays([pa.array(values, pa.int64())], names=[name])
    return Outcome(tag, len(values), (OutputColumn(name, BIGINT, True),), HostBatches(data))
