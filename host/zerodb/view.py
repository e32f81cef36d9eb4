"""What one statement sees: a storage snapshot and the connection's registered tables, as the compiler's catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_storage import Snapshot, TableVersion


class View:
    """Implements `zerodb_compiler.catalog.Catalog`, and is the snapshot the engine executes over."""

    __slots__ = ("sequence", "tables")

    def __init__(self, snapshot: Snapshot, registered: Mapping[str, TableVersion]) -> None:
        self.sequence = snapshot.sequence
        self.tables: Mapping[str, TableVersion] = {**snapshot.tables, **registered} if registered else snapshot.tables

    def table(self, name: str) -> TableInfo | None:
        version = self.tables.get(name)
        return None if version is None else table_info(version)

    def table_names(self) -> Sequence[str]:
        return list(self.tables)


def table_info(version: TableVersion) -> TableInfo:
    return TableInfo(
        id=version.id,
        name=version.name,
        columns=tuple(ColumnInfo(c.name, c.type, c.not_null, c.default) for c in version.columns),
        primary_key=version.primary_key,
        layout=version.layout,
        statistics=version.statistics,
        schema_version=version.schema_version,
    )
