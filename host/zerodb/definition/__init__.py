"""Definition statements: tables and what hangs on them.

    tables        CREATE TABLE [AS], DROP TABLE
    alteration    ALTER TABLE
    indexes       CREATE INDEX, DROP INDEX, REINDEX
    sequences     CREATE, ALTER, DROP SEQUENCE; nextval and its like
    functions     CREATE, ALTER, DROP FUNCTION; function_uses: what uses one
    types         CREATE, ALTER, DROP TYPE (enums and composite types)
    views         CREATE, ALTER, DROP VIEW and MATERIALIZED VIEW, REFRESH
    schemas       CREATE, ALTER, DROP SCHEMA
    triggers      CREATE, ALTER, DROP TRIGGER
    comments      COMMENT ON
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
    from zerodb_storage import WriteTransaction


def define(connection: Connection, node: ddl.Definition) -> Outcome:
    """Runs the statement. What takes no column of any row is done at once, whatever the tables' sizes."""
    with connection._session.writing() as write:
        return define_in(connection, write, node)


def define_in(connection: Connection, write: WriteTransaction, node: ddl.Definition) -> Outcome:
    """Runs the statement within a write transaction."""
    from zerodb.definition import (
        alteration,
        comments,
        functions,
        indexes,
        schemas,
        sequences,
        tables,
        triggers,
        types,
        views,
    )

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
        case ddl.CreateFunction():
            return functions.create(connection, write, node)
        case ddl.DropFunction():
            return functions.drop(connection, write, node)
        case ddl.AlterFunction():
            return functions.alter(connection, write, node)
        case ddl.Drop(kind="view" | "materialized view"):
            return views.drop(connection, write, node)
        case ddl.Drop(kind="schema"):
            return schemas.drop(connection, write, node)
        case ddl.Drop():
            return sequences.drop(connection, write, node)
        case ddl.CreateView():
            return views.create(connection, write, node)
        case ddl.RefreshView():
            return views.refresh(connection, write, node)
        case ddl.CreateSchema():
            return schemas.create(connection, write, node)
        case ddl.AlterSchema():
            return schemas.alter(connection, write, node)
        case ddl.Comment():
            return comments.comment(connection, write, node)
        case ddl.AlterType():
            return types.alter(connection, write, node)
        case ddl.AlterTable(kind="view" | "materialized view"):
            return views.alter(connection, write, node)
        case ddl.AlterTable(kind="table") if views.is_view(connection, write, node.name):
            return views.alter(connection, write, node)
        case ddl.AlterTable():
            return alteration.alter(connection, write, node)
        case ddl.CreateIndex():
            return indexes.create(connection, write, node)
        case ddl.CreateSequence():
            return sequences.create(connection, write, node)
        case ddl.AlterSequence():
            return sequences.alter(connection, write, node)
        case ddl.CreateTrigger():
            return triggers.create(connection, write, node)
        case ddl.DropTrigger():
            return triggers.drop(connection, write, node)
        case ddl.AlterTrigger():
            return triggers.alter(connection, write, node)
        case ddl.Maintain():
            return indexes.maintain(connection, write, node)
        case ddl.CreateTableAs():
            raise AssertionError("has a query")
