"""CREATE TABLE AS: the query, and the columns that its table has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerodb_compiler.catalog import ColumnInfo
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import collations, ddl
from zerodb_compiler.sql import statements as st
from zerodb_compiler.types import TEXT, UNDECIDED, SqlType, TypeId

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder


def create_table_as(binder: Binder, node: ddl.CreateTableAs) -> st.CreateTableAs:
    query = binder.query(node.query.tree, None)
    names = list(query.names)
    if len(node.columns) > len(names):
        raise ProgrammingError("too many column names were specified", position=node.name.position)
    names[: len(node.columns)] = node.columns
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ProgrammingError(
                f'column "{name}" specified more than once', sqlstate="42701", position=node.query.position
            )
        seen.add(name)
    for name, column in zip(names, query.columns, strict=True):
        if collations.collation_of(column.type) == UNDECIDED:
            message = f'no collation was derived for column "{name}" with collatable type {column.type}'
            raise ProgrammingError(message, sqlstate="42P22", position=node.query.position)
    columns = tuple(ColumnInfo(name, _stored_type(c.type)) for name, c in zip(names, query.columns, strict=True))
    return st.CreateTableAs(node, query, columns)


def _stored_type(type_: SqlType) -> SqlType:
    """An untyped literal or NULL becomes text."""
    return TEXT if type_.id is TypeId.NULL else type_
