"""Arrow data as a table that queries can scan: what `Connection.register` gives, and the parameter rows of executemany.

To storage a table is segments and a delta; Arrow data is brought to the delta's form, column by column, and is then a
`TableVersion` like any other, that belongs to no database. Nothing is written; the columns enter the buffer pool when a
query reads them.

Limits: read-only, and the data is held twice if its form differs from the delta's (text offsets, narrow integers).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.layout import TableLayout, widest_layout
from zerodb_compiler.types import SqlType
from zerodb_storage import Column, TableVersion, dictionary
from zerodb_storage.arrow import from_arrow
from zerodb_storage.catalog import Schema, TextMode
from zerodb_storage.dictionary import Dictionary, DictionaryStore
from zerodb_storage.segment import SegmentSet
from zerodb_storage.table import TableHandle
from zerodb_storage.values import Values, concatenate

_TABLE_IDS = itertools.count(-1, -1)  # stored tables have positive ids


class _NothingStored:
    """The key-value reader of a table without segments."""

    def get(self, key: bytes) -> bytes | None:
        return None

    def multi_get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [None] * len(keys)

    def scan(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(())


def arrow_table(data: Any) -> pa.Table:
    """What a user gives as Arrow data."""
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if isinstance(data, Sequence) and data and all(isinstance(batch, pa.RecordBatch) for batch in data):
        return pa.Table.from_batches(data)
    if isinstance(data, dict) or hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        return pa.table(data)
    raise ProgrammingError(f"cannot register a {type(data).__name__}: it gives no Arrow data", sqlstate="42804")


def virtual_table(name: str, data: pa.Table, types: Sequence[SqlType], *, repeats: bool = True) -> TableVersion:
    """A table of the given rows. With `repeats`, text columns whose values repeat get a dictionary."""
    columns = tuple(
        Column(field.name, type_, slot=slot) for slot, (field, type_) in enumerate(zip(data.schema, types, strict=True))
    )
    modes = [TextMode.PLAIN] * len(columns)
    found: dict[int, Dictionary] = {}
    batch: list[Values] = []
    for ordinal, column in enumerate(columns):
        chunks = data.column(ordinal).chunks or [pa.nulls(0, data.schema.field(ordinal).type)]
        values = concatenate([from_arrow(chunk, column.type, column.name) for chunk in chunks])
        if repeats and column.type.is_variable and dictionary.worth_it(values):
            store = DictionaryStore()
            codes = dictionary.encode(values, store)
            if codes is not None:
                values, modes[ordinal] = codes, TextMode.DICTIONARY
                found[ordinal] = Dictionary(store, store.size)
        batch.append(values)
    schema = Schema(next(_TABLE_IDS), name, columns, (), tuple(modes))
    dictionaries: Mapping[int, Dictionary] = MappingProxyType(found)
    empty = TableVersion(schema, _NothingStored(), TableHandle(), SegmentSet.of((), columns), dictionaries=dictionaries)
    return empty.appended(batch) if data.num_rows else empty


class _Transient(TableVersion):
    """In the layout that code was generated for before there were any rows."""

    @cached_property
    def layout(self) -> TableLayout:
        return widest_layout([column.type for column in self.columns])


class _Hiding(TableVersion):
    """In the layout of a table with deleted rows, if it has none too."""

    @cached_property
    def layout(self) -> TableLayout:
        columns = tuple(self._column_layout(column) for column in range(len(self.columns)))
        return TableLayout(columns, True)


def with_hidden_rows(version: TableVersion) -> TableVersion:
    """A version from which a query can leave rows out (`with_deleted`) without being compiled for that anew."""
    return _Hiding(**{field.name: getattr(version, field.name) for field in dataclasses.fields(version)})


def transient_table(info: TableInfo, data: pa.Table) -> TableVersion:
    """The rows of a table that was compiled against (binder_changes.transient_table)."""
    version = virtual_table(info.name, data, [column.type for column in info.columns], repeats=False)
    values = {field.name: getattr(version, field.name) for field in dataclasses.fields(version)}
    return _Transient(**(values | {"schema": dataclasses.replace(version.schema, id=info.id)}))
