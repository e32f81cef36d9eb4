"""PARTITION BY and PARTITION OF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerodb.outcome import Outcome
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.sql import ddl
from zerodb_storage import WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection


def create(connection: Connection, write: WriteTransaction, node: ddl.CreateTable, schema: str) -> Outcome:
    raise NotSupportedError("a partitioned table is not supported", position=node.name.position)
