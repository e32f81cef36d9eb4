"""ALTER TABLE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerodb.outcome import Outcome
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.sql import ddl
from zerodb_storage import WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection


def alter(connection: Connection, write: WriteTransaction, node: ddl.AlterTable) -> Outcome:
    raise NotSupportedError("ALTER TABLE is not supported", position=node.name.position)
