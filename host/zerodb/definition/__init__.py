"""Definition statements: tables and what hangs on them.

    tables        CREATE TABLE [AS], DROP TABLE
    alteration    ALTER TABLE
    indexes       CREATE INDEX, DROP INDEX, REINDEX
    sequences     CREATE, ALTER, DROP SEQUENCE; nextval and its like
    types         CREATE TYPE (enums and composite types), DROP TYPE
    names         schemas, what a name means, which names are taken
    dependencies  what hangs on what: RESTRICT and CASCADE

Each runs inside one write transaction: either all of a statement happened, or nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerodb.outcome import Outcome
from zerodb_compiler.sql import ddl

if TYPE_CHECKING:
    from zerodb.connection import Connection


def define(connection: Connection, node: ddl.Definition) -> Outcome:
    """Runs the statement. What takes no column of any row is done at once, whatever the tables' sizes."""
    from zerodb.definition import alteration, indexes, sequences, tables, types

    with connection._session.writing() as write:
        match node:
            case ddl.CreateTable():
                return tables.create(connection, write, node)
            case ddl.Drop(kind="table"):
                return tables.drop(connection, write, node)
            case ddl.Drop(kind="index"):
                return indexes.drop(connection, write, node)
            case ddl.Drop(kind="type"):
                return types.drop(connection, write, node)
            case ddl.CreateType():
                return types.create(connection, write, node)
            case ddl.Drop():
                return sequences.drop(connection, write, node)
            case ddl.AlterTable():
                return alteration.alter(connection, write, node)
            case ddl.CreateIndex():
                return indexes.create(connection, write, node)
            case ddl.CreateSequence():
                return sequences.create(connection, write, node)
            case ddl.AlterSequence():
                return sequences.alter(connection, write, node)
            case ddl.Maintain():
                return indexes.maintain(connection, write, node)
            case ddl.CreateTableAs():
                raise AssertionError("has a query")
