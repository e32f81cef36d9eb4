"""Cursors: executing a statement and taking its rows, as Python tuples or as Arrow.

Rows become Python objects batch by batch, when they are fetched; the Arrow ways (`fetch_arrow`, `to_df`, `to_polars`,
`__arrow_c_stream__`) hand over whole columns and make no Python object per value. Each row is given once: what
`fetchone` took is not in a later `fetch_arrow`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

from zerodb.outcome import Outcome, Row
from zerodb_compiler.errors import InterfaceError, NotSupportedError
from zerodb_compiler.types import TypeId

if TYPE_CHECKING:
    import pyarrow as pa

    from zerodb.connection import Connection

Parameters = Sequence[Any] | Mapping[str, Any]
Description = tuple[str, str, None, int | None, int | None, int | None, bool]


class Cursor:
    """One statement's result at a time (PEP 249). Not to be shared between threads."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.arraysize = 1
        self._closed = False
        self._outcome: Outcome | None = None
        self._rows: list[Row] = []
        self._row = 0
        self._batch = 0

    # --- executing ---------------------------------------------------------------------------------------------------
    def execute(self, sql: str, parameters: Parameters | None = None) -> Self:
        """Runs one statement. `?` and `$1` take a sequence, `$name` a mapping."""
        self._check_open()
        self._start(self.connection._run(sql, parameters))
        return self

    def executemany(self, sql: str, parameters: Iterable[Parameters]) -> Self:
        """Runs the statement once for every set of parameters, in one transaction; INSERTs go column by column."""
        self._check_open()
        self._start(self.connection._run_many(sql, parameters))
        return self

    def _start(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._rows = []
        self._row = 0
        self._batch = 0

    # --- what it gave ------------------------------------------------------------------------------------------------
    @property
    def description(self) -> list[Description] | None:
        """(name, type name, None, bytes, precision, scale, may be NULL) per column; None without a result set."""
        if self._outcome is None or self._outcome.columns is None:
            return None
        return [_describe(column.name, column) for column in self._outcome.columns]

    @property
    def outcome(self) -> Outcome:
        """What the statement gave."""
        assert self._outcome is not None
        return self._outcome

    @property
    def rowcount(self) -> int:
        """Rows of the result, or rows changed; -1 before the first statement and for DDL."""
        return -1 if self._outcome is None else self._outcome.row_count

    @property
    def statusmessage(self) -> str | None:
        """PostgreSQL's command tag, such as "INSERT 0 3"."""
        if self._outcome is None:
            return None
        tag, count = self._outcome.tag, self._outcome.row_count
        return tag if count < 0 else f"INSERT 0 {count}" if tag == "INSERT" else f"{tag} {count}"

    # --- rows --------------------------------------------------------------------------------------------------------
    def fetchone(self) -> Row | None:
        """The next row, None after the last."""
        row = self._row
        if row >= len(self._rows):
            if not self._next_rows():
                return None
            row = 0
        self._row = row + 1
        return self._rows[row]

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next `size` rows (`arraysize` if not given), fewer at the end."""
        wanted = self.arraysize if size is None else size
        taken: list[Row] = []
        while len(taken) < wanted:
            if self._row >= len(self._rows) and not self._next_rows():
                break
            part = self._rows[self._row : self._row + wanted - len(taken)]
            self._row += len(part)
            taken += part
        return taken

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        self._result_set()
        parts = [self._rows[self._row :] if self._row else self._rows]
        self._rows, self._row = [], 0
        while self._next_rows():
            parts.append(self._rows)
            self._rows = []
        filled = [part for part in parts if part]
        # One part is handed out as it is; many are joined in one go.
        return filled[0] if len(filled) == 1 else list(chain.from_iterable(filled))

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def _next_rows(self) -> bool:
        """Decodes the next batch that has rows; False at the end."""
        batches = self._result_set().batches
        assert batches is not None
        while self._batch < len(batches):
            self._rows = batches.rows(self._batch)
            self._row = 0
            self._batch += 1
            if self._rows:
                return True
        self._rows, self._row = [], 0
        return False

    def _result_set(self) -> Outcome:
        self._check_open()
        if self._outcome is None or self._outcome.columns is None:
            raise InterfaceError("the last statement gave no result set", sqlstate="24000")
        return self._outcome

    # --- columns -----------------------------------------------------------------------------------------------------
    def fetch_arrow(self) -> pa.Table:
        """The rows that are left as an Arrow table."""
        return self._reader().read_all()

    def _reader(self) -> pa.RecordBatchReader:
        import pyarrow as pa

        outcome = self._result_set()
        source, schema = outcome.batches, outcome.schema
        assert source is not None
        batches: list[pa.RecordBatch] = []
        if self._row < len(self._rows):  # the rest of a batch of which some rows were fetched
            batches.append(source.arrow(self._batch - 1, schema).slice(self._row))
        batches += [source.arrow(index, schema) for index in range(self._batch, len(source))]
        self._batch, self._rows, self._row = len(source), [], 0
        return pa.RecordBatchReader.from_batches(schema, batches)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The Arrow PyCapsule interface: polars, pandas, DuckDB and others read a cursor without copying."""
        return self._reader().__arrow_c_stream__(requested_schema)

    def to_df(self) -> Any:
        """The rows that are left as a pandas DataFrame."""
        try:
            import pandas  # noqa: F401
        except ImportError as error:
            raise NotSupportedError("to_df() needs pandas: pip install pandas") from error
        return self.fetch_arrow().to_pandas()

    def to_polars(self) -> Any:
        """The rows that are left as a polars DataFrame."""
        try:
            import polars
        except ImportError as error:
            raise NotSupportedError("to_polars() needs polars: pip install polars") from error
        return polars.from_arrow(self.fetch_arrow())

    # --- the rest of PEP 249 -----------------------------------------------------------------------------------------
    def close(self) -> None:
        self._closed = True
        self._outcome = None
        self._rows = []

    def setinputsizes(self, sizes: Sequence[object]) -> None:
        """Does nothing, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Does nothing, as PEP 249 allows."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise InterfaceError("the cursor is closed", sqlstate="24000")
        self.connection._check_open()


def _describe(name: str, column: Any) -> Description:
    type_ = column.type
    numeric = type_.id is TypeId.NUMERIC
    size = {"smallint": 2, "integer": 4, "bigint": 8, "real": 4, "double precision": 8}.get(str(type_))
    return (
        name,
        str(type_),
        None,
        size,
        type_.precision if numeric else None,
        type_.scale if numeric else None,
        column.nullable,
    )
