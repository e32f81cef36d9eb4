"""What one statement sees: a storage snapshot and the connection's registered tables, as the compiler's catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from zerodb_compiler.catalog import ColumnInfo, TableInfo, ViewInfo, ViewTable
from zerodb_compiler.types import SqlType
from zerodb_storage import Snapshot, TableVersion
from zerodb_storage.catalog import type_from

DEFAULT_PATH = ("public",)
REFRESHED = "\x02refreshed"  # names the materialized view whose query runs


class View:
    """Implements `zerodb_compiler.catalog.Catalog`, and is the snapshot the engine executes over.

    `path` are the schemas that a name without one is looked for in, the session's temporary one first. `refreshed` is
    the materialized view whose query runs, if one does.
    """

    __slots__ = ("path", "refreshed", "registered", "sequence", "snapshot", "tables")

    def __init__(
        self,
        snapshot: Snapshot,
        registered: Mapping[str, TableVersion],
        path: tuple[str, ...] = DEFAULT_PATH,
        *,
        refreshed: ViewInfo | None = None,
    ) -> None:
        self.registered = registered
        self.refreshed = refreshed
        self.sequence = snapshot.sequence
        self.snapshot = snapshot
        self.path = path
        self.tables: Mapping[str, TableVersion] = {**snapshot.tables, **registered} if registered else snapshot.tables

    def having(self, key: str, table: TableVersion) -> View:
        """With one table more."""
        return View(self.snapshot, {**self.tables, key: table}, self.path)

    def table(self, name: str, schema: str | None = None) -> TableInfo | None:
        key = self.resolve(name, schema)
        return None if key is None else self._info(self.tables[key])

    def _info(self, version: TableVersion) -> TableInfo:
        info = table_info(version)
        if version.constraints.partitioning is None:
            return info
        found = [
            part
            for part in self.tables.values()
            if part.constraints.bound is not None and part.constraints.bound.parent == version.id
        ]
        return replace(info, partitions=tuple(map(self._info, sorted(found, key=lambda part: part.id))))

    def resolve(self, name: str, schema: str | None = None) -> str | None:
        """The key of the table that a name means."""
        if schema is not None:
            schema = self.schema_named(schema)
            key = name if schema == "public" else f"{schema}\0{name}"
            return key if key in self.tables else None
        for candidate in self.path:
            key = name if candidate == "public" else f"{candidate}\0{name}"
            if key in self.tables:
                return key
            if ("view", candidate, name) in self.snapshot.catalog:
                return None
        return None

    def view(self, name: str, schema: str | None = None) -> ViewInfo | None:
        catalog = self.snapshot.catalog
        if not catalog:
            return None
        if name == REFRESHED and schema is None:
            return self.refreshed
        for candidate in self.path if schema is None else (self.schema_named(schema),):
            data = catalog.get(("view", candidate, name))
            if data is not None:
                return view_info(candidate, name, data)
            if schema is None and (name if candidate == "public" else f"{candidate}\0{name}") in self.tables:
                return None
        return None

    def relation_with_id(self, id_: int) -> TableInfo | ViewInfo | None:
        if self.refreshed is not None and self.refreshed.id == id_:
            return self.refreshed
        version = next((version for version in self.tables.values() if version.id == id_), None)
        if version is not None:
            return self._info(version)
        for (kind, schema, name), data in self.snapshot.catalog.items():
            if kind == "view" and data["id"] == id_:
                return view_info(schema, name, data)
        return None

    def schema_named(self, name: str) -> str:
        """pg_temp is this session's own; main is what DuckDB and SQLite call public."""
        if name == "pg_temp":
            return next((schema for schema in self.path if schema.startswith("pg_temp")), name)
        return "public" if name == "main" else name

    def named_type(self, name: str, schema: str | None = None) -> SqlType | None:
        for candidate in self.path if schema is None else (self.schema_named(schema),):
            data = self.snapshot.object("type", candidate, name)
            if data is not None:
                return type_from(data["type"])
        return None

    def table_names(self) -> Sequence[str]:
        return [version.name for version in self.tables.values()]


def view_info(schema: str, name: str, data: dict[str, Any]) -> ViewInfo:
    """What the catalog keeps of a view (definition/views.py)."""
    return ViewInfo(
        id=data["id"],
        name=name,
        schema=schema,
        query=data["query"],
        columns=tuple((column, type_from(record)) for column, record in data["columns"]),
        tables=tuple(
            ViewTable(table, place, id_, tuple((slot, column) for slot, column in columns))
            for table, place, id_, columns in data["tables"]
        ),
        path=tuple(data["path"]),
    )


def table_info(version: TableVersion) -> TableInfo:
    return TableInfo(
        id=version.id,
        name=version.name,
        columns=tuple(
            ColumnInfo(c.name, c.type, c.not_null, c.default, c.generated, c.identity, c.sequence, c.slot)
            for c in version.columns
        ),
        primary_key=version.primary_key,
        layout=version.layout,
        statistics=version.statistics,
        schema_version=version.schema_version,
        schema=version.schema.schema,
        constraints=version.constraints,
        kind=dict(version.schema.options).get("kind", "table"),
    )
