"""The cursor of a point statement: it is made with its row, and makes everything else when it is asked for."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zerodb.cursor import Cursor
from zerodb.engine.result import ColumnValues, ResultBatch, arrow_batch
from zerodb.engine.text_rows import TextRow, text_rows
from zerodb.outcome import Outcome, Row
from zerodb_compiler.codegen.operators.output import output_width
from zerodb_compiler.sql.values import to_canonical
from zerodb_compiler.types import SqlType, TypeId

if TYPE_CHECKING:
    import pyarrow as pa

    from zerodb.connection import Connection
    from zerodb_compiler.codegen.program import OutputColumn


class PointCursor(Cursor):
    """As any cursor; the rows are there."""

    arraysize = 1
    _closed = False
    _row = 0
    _batch = 1
    _made: Outcome | None = None

    def __init__(
        self, connection: Connection, columns: tuple[OutputColumn, ...], rows: list[Row], tag: str = "SELECT"
    ) -> None:
        self.connection, self._tag = connection, tag
        self._columns = columns
        self._rows = self._found = rows

    @property
    def _outcome(self) -> Outcome | None:
        if self._made is None and not self._closed:
            batches = PointBatches(self._found, self._columns)
            self._made = Outcome(self._tag, len(self._found), self._columns, batches)
        return self._made

    @_outcome.setter
    def _outcome(self, outcome: Outcome | None) -> None:
        self._made = outcome


class PointBatches:
    """The row as the one batch of a result set."""

    __slots__ = ("_columns", "_rows")

    def __init__(self, rows: list[Row], columns: tuple[OutputColumn, ...]) -> None:
        self._rows, self._columns = rows, columns

    def __len__(self) -> int:
        return 1

    def rows(self, index: int) -> list[Row]:
        return self._rows

    def arrow(self, index: int, schema: pa.Schema) -> pa.RecordBatch:
        return arrow_batch(self._batch(), self._columns, schema)

    def texts(self, index: int) -> Sequence[TextRow]:
        return text_rows(self._batch(), self._columns)

    def _batch(self) -> ResultBatch:
        """The row in the form in which the general path has it."""
        columns = [
            _column(column.type, [row[number] for row in self._rows]) for number, column in enumerate(self._columns)
        ]
        return ResultBatch(len(self._rows), tuple(columns))


def _column(type_: SqlType, values: list[object]) -> ColumnValues:
    validity = bytes(value is not None for value in values)
    data, heap = [], b""
    ends = [0]
    for value in values:
        canonical = to_canonical(type_, value)
        if type_.is_variable:
            heap += canonical.encode() if isinstance(canonical, str) else canonical or b""  # type: ignore[operator]
            ends.append(len(heap))
        elif type_.is_float:
            data.append(struct.pack("<f" if type_.id is TypeId.REAL else "<d", canonical or 0.0))
        else:
            data.append(int(canonical or 0).to_bytes(output_width(type_), "little", signed=_signed(type_)))
    if type_.is_variable:
        data = [struct.pack(f"<{len(ends)}i", *ends)]
    return ColumnValues(b"".join(data), None if all(validity) else validity, heap)


def _signed(type_: SqlType) -> bool:
    return type_.id not in (TypeId.U8, TypeId.U16, TypeId.U32)
