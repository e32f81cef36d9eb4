"""A snapshot: all tables and catalog objects as of one commit. An immutable object; taking one is taking a reference.

Catalog objects are what a database has besides tables: views, sequences, types, schemas, comments. Storage keeps each
as plain data (what msgpack can hold) under (kind, schema, name) and knows nothing of what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from zerodb_storage.table import TableVersion

ObjectKey: TypeAlias = tuple[str, str, str]  # kind, schema, name
Objects: TypeAlias = Mapping[ObjectKey, Any]
NO_OBJECTS: Objects = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """`sequence` is the last commit's number, `defined` that of the last one that changed a definition other sessions
    see; `shaped` that of the last one that changed any, temporary tables too: with the same number names mean the same
    and tables have the same columns. `catalog` is the same mapping as long as no object changed."""

    sequence: int
    tables: Mapping[str, TableVersion]
    catalog: Objects = field(default_factory=lambda: NO_OBJECTS)
    defined: int = 0
    shaped: int = 0
    # Made at the first look if not given. Never part of a copy (`replace`), which may have other tables.
    _by_id: dict[int, TableVersion] = field(init=False, default_factory=dict, repr=False)

    def knowing(self, by_id: dict[int, TableVersion]) -> Snapshot:
        """This snapshot, told its tables by number."""
        self._by_id.update(by_id)
        return self

    def objects(self, kind: str) -> dict[tuple[str, str], Any]:
        """All objects of a kind by (schema, name)."""
        return {key[1:]: data for key, data in self.catalog.items() if key[0] == kind}

    def object(self, kind: str, schema: str, name: str) -> Any | None:
        """The data of one object, or None."""
        return self.catalog.get((kind, schema, name))

    def table_with_id(self, table_id: int) -> TableVersion | None:
        return self.by_id.get(table_id)

    @property
    def by_id(self) -> Mapping[int, TableVersion]:
        if not self._by_id:
            self._by_id.update((version.id, version) for version in self.tables.values())
        return self._by_id
