"""A snapshot: all tables as of one commit. An immutable object; taking one is taking a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zerodb_storage.table import TableVersion


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    sequence: int
    tables: Mapping[str, TableVersion]
