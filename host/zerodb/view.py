"""What one statement sees: a storage snapshot and the connection's registered tables, as the compiler's catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zerodb_compiler.catalog import ColumnInfo, TableInfo, ViewInfo, ViewTable
from zerodb_compiler.sql.external import ExternalFunction
from zerodb_compiler.triggers import triggers_in
from zerodb_compiler.types import SqlType
from zerodb_storage import Snapshot, TableVersion
from zerodb_storage.catalog import type_from

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.system import Tables

DEFAULT_PATH = ("public",)
SYSTEM_SCHEMAS = ("pg_catalog", "information_schema")
_INFORMATION_SCHEMA = "information_schema\0"
REFRESHED = "\x02refreshed"  # names the materialized view whose query runs
_INFOS: dict[int, tuple[dict[str, Any], ViewInfo]] = {}  # by the identity of the data, which is kept with it
_INFOS_MAX = 1000


class View:
    """Implements `zerodb_compiler.catalog.Catalog`, and is the snapshot the engine executes over.

    `path` are the schemas that a name without one is looked for in, the session's temporary one first. `refreshed` is
    the materialized view whose query runs, if one does.
    """

    __slots__ = ("_system", "path", "refreshed", "registered", "sequence", "session", "snapshot", "tables")

    def __init__(
        self,
        snapshot: Snapshot,
        registered: Mapping[str, TableVersion],
        path: tuple[str, ...] = DEFAULT_PATH,
        *,
        refreshed: ViewInfo | None = None,
        session: Connection | None = None,
    ) -> None:
        self.session = session
        self._system: Tables | None = None
        self.registered = registered
        self.refreshed = refreshed
        self.sequence = snapshot.sequence
        self.snapshot = snapshot
        self.path = path
        self.tables: Mapping[str, TableVersion] = {**snapshot.tables, **registered} if registered else snapshot.tables

    def having(self, key: str, table: TableVersion) -> View:
        """With one table more."""
        return View(self.snapshot, {**self.tables, key: table}, self.path, session=self.session)

    def table(self, name: str, schema: str | None = None) -> TableInfo | None:
        if schema in SYSTEM_SCHEMAS or (schema is None and name.startswith("pg_")):
            from zerodb.system import info_of

            found = info_of(schema or "pg_catalog", name)
            if found is not None or schema is not None:
                return None if found is None else self._loaded(found)
        key = self.resolve(name, schema)
        if key is not None and key.startswith(_INFORMATION_SCHEMA):
            return self.table(name, "information_schema")
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
            return key if key in self.tables or self.load(key) else None
        if name.startswith("pg_") and self.load(key := f"pg_catalog\0{name}"):
            return key
        for candidate in self.path:
            key = name if candidate == "public" else f"{candidate}\0{name}"
            if key in self.tables:
                return key
            if ("view", candidate, name) in self.snapshot.catalog:
                return None
            if candidate in SYSTEM_SCHEMAS and self.load(key):
                return key
        return None

    # --- the system's tables ---
    def load(self, key: str) -> bool:
        """Has the system's table of that key among the tables; False if there is none."""
        schema, zero, name = key.partition("\0")
        if not zero or schema not in SYSTEM_SCHEMAS:
            return False
        if key not in self.tables:
            version = self.system.table(schema, name)
            if version is None:
                return False
            self.tables = {**self.tables, key: version}
        return True

    def _loaded(self, info: TableInfo) -> TableInfo:
        self.load(info.key)
        return info

    @property
    def system(self) -> Tables:
        """The system's tables of this snapshot, kept with the session while nothing changes."""
        if self._system is None:
            from zerodb.system import Tables

            self._system = Tables(self)
            if self.session is not None:
                kept = self.session._system
                if kept is not None and kept.shows(self):
                    self._system = kept
                self.session._system = self._system
        return self._system

    @property
    def database(self) -> str:
        """The name of the database."""
        path = self.session._database.path if self.session is not None else None
        return "memory" if path is None else Path(path).stem

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

    def functions(self, name: str, schema: str | None = None) -> Sequence[ExternalFunction]:
        return () if self.session is None else self.session._database.functions.named(self, name, schema)

    def body(self, function: ExternalFunction) -> Any:
        """What runs when the function is called (functions/body.py)."""
        assert self.session is not None
        return self.session._database.functions.body(self, function)


def view_info(schema: str, name: str, data: dict[str, Any]) -> ViewInfo:
    """What the catalog keeps of a view (definition/views.py). The same object for the same data, which is never changed
    in place: statements compare what they were compiled for with it at each execution."""
    known = _INFOS.get(id(data))
    if known is not None and known[0] is data and (known[1].schema, known[1].name) == (schema, name):
        return known[1]
    if len(_INFOS) >= _INFOS_MAX:
        _INFOS.clear()
    info = ViewInfo(
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
    _INFOS[id(data)] = data, info
    return info


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
        triggers=triggers_in(version.schema.options),
    )
