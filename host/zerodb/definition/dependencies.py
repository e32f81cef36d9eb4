"""What hangs on a table, and what becomes of it when the table goes: RESTRICT refuses (2BP01), CASCADE takes it along.

Foreign keys of other tables are dropped from them; sequences that a column owns go with it, either way; views that name
the table are objects with the table's id among their data's "depends".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage import TableVersion, WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection


def drop_tables(
    connection: Connection, write: WriteTransaction, tables: Sequence[TableVersion], *, cascade: bool
) -> None:
    """Drops the tables together; what only hangs on each other is in nobody's way."""
    tables = list({version.id: version for version in tables}.values())
    going = {version.id for version in tables}
    for version in tables:
        for child in partitions_of(write, version.id):
            if child.id not in going:
                going.add(child.id)
                tables.append(child)
    for version in tables:
        for other in list(write.tables.values()):
            if other.id in going:
                continue
            keys = [key for key in other.constraints.foreign_keys if key.table == version.id]
            if keys and not cascade:
                what = f"constraint {keys[0].name} on table {other.name} depends on table {version.name}"
                raise in_use(f"table {version.name}", what)
            if keys:
                kept = tuple(key for key in other.constraints.foreign_keys if key.table != version.id)
                constraints = replace(other.constraints, foreign_keys=kept)
                write.change_schema(other.key, replace(other.schema, constraints=constraints))
        drop_dependent_views(write, version.id, None, f"table {version.name}", cascade=cascade)
    for version in tables:
        drop_owned_sequences(write, version.id, None)
        write.drop_table(version.key)


def partitions_of(write: WriteTransaction, table_id: int) -> list[TableVersion]:
    found = []
    for version in write.tables.values():
        bound = version.constraints.bound
        if bound is not None and bound.parent == table_id:
            found.append(version)
    return found


def drop_owned_sequences(write: WriteTransaction, table_id: int, slot: int | None) -> None:
    """Sequences that the table (or one column of it) owns."""
    for kind, schema, name in list(write.catalog):
        data = write.catalog[kind, schema, name]
        if kind != "sequence" or data.get("owner") is None:
            continue
        owner_table, owner_slot = data["owner"]
        if owner_table == table_id and slot in (None, owner_slot):
            write.drop_object(kind, schema, name)


def drop_dependent_views(write: WriteTransaction, table_id: int, slot: int | None, what: str, *, cascade: bool) -> None:
    for key in list(dependent_views(write, table_id, slot)):
        if not cascade:
            raise in_use(what, f"{key[0]} {key[2]} depends on {what}")
        if key in write.catalog:  # not gone with one of those before
            drop_views(write, [key], cascade=True)


def drop_views(write: WriteTransaction, going: Sequence[tuple[str, str, str]], *, cascade: bool) -> None:
    """Drops views and materialized ones together, and (CASCADE) the views of them."""
    together = set(going)
    for kind, schema, name in going:
        data = write.catalog.get((kind, schema, name))
        if data is None:
            continue
        what = f"{kind} {name}"
        for key in list(dependent_views(write, data["id"], None)):
            if key in together or key not in write.catalog:
                continue
            if not cascade:
                raise in_use(what, f"{key[0]} {key[2]} depends on {what}")
            drop_views(write, [key], cascade=True)
        write.drop_object(kind, schema, name)
        table = write.snapshot().table_with_id(data["id"]) if kind == "materialized view" else None
        if table is not None:
            write.drop_table(table.key)


def dependent_views(write: WriteTransaction, table_id: int, slot: int | None) -> Iterable[tuple[str, str, str]]:
    """Objects whose data's "depends" has [table id, slot or None]."""
    for key, data in list(write.catalog.items()):
        depends: Any = data.get("depends", ()) if isinstance(data, dict) else ()
        if any(found[0] == table_id and (slot is None or found[1] in (None, slot)) for found in depends):
            yield key


def in_use(what: str, detail: str) -> DatabaseError:
    return error_for(
        "2BP01",
        f"cannot drop {what} because other objects depend on it",
        hint=f"{detail}; use DROP ... CASCADE to drop the dependent objects too",
    )
