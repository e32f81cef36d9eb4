"""Foreign keys of a table that is declared: which columns of which table they mean, and whether these are a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zerodb_compiler.catalog import ColumnInfo
from zerodb_compiler.constraints import Constraints, ForeignKey
from zerodb_compiler.errors import NotSupportedError, ProgrammingError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.definitions.draft import Draft
from zerodb_compiler.sql.definitions.keys import key_columns
from zerodb_compiler.sql.definitions.names import no_relation
from zerodb_compiler.types import SqlType

_THIS_TABLE = 0  # as the table of a foreign key: the table itself


@dataclass(frozen=True, slots=True)
class _Referenced:
    """The referenced table: another one, or the declared one itself as far as it is known."""

    id: int
    columns: Sequence[ColumnInfo]
    primary_key: tuple[int, ...]
    constraints: Constraints

    def slot(self, column: int) -> int:
        slot = self.columns[column].slot
        return column if self.id == _THIS_TABLE and slot < 0 else slot


def add_foreign_key(draft: Draft, node: ddl.ConstraintDef, ordinal: int | None) -> None:
    reference = node.reference
    assert reference is not None
    columns = key_columns(draft, node, ordinal)
    target = _referenced_table(draft, reference, node)
    referenced = _referenced_columns(target, reference, node)
    if len(referenced) != len(columns):
        raise ProgrammingError(
            "number of referencing and referenced columns for foreign key disagree",
            sqlstate="42830",
            position=node.position,
        )
    _check_is_key(target, referenced, reference, node)
    name = node.name or draft.constraint_name("fkey", [draft.columns[column].name for column in columns])
    for column, other in zip(columns, referenced, strict=True):
        _check_comparable(name, draft.columns[column], target.columns[other], node)
    key = ForeignKey(
        name,
        columns,
        target.id,
        tuple(target.slot(column) for column in referenced),
        reference.on_delete,
        reference.on_update,
        reference.match_full,
        node.deferrable,
        node.deferred,
        tuple(draft.ordinal(column, node.position) for column in reference.set_columns),
    )
    draft.add_foreign_key(key)


def _referenced_table(draft: Draft, reference: ddl.Reference, node: ddl.ConstraintDef) -> _Referenced:
    if reference.table.name == draft.name.name and reference.table.schema in (None, draft.name.schema):
        return _Referenced(_THIS_TABLE, draft.columns, draft.primary_key, draft.constraints)
    table = draft.catalog.table(reference.table.name, reference.table.schema)
    if table is None:
        raise no_relation(reference.table, draft.catalog)
    if table.constraints.partitioning is not None:
        raise NotSupportedError("a foreign key to a partitioned table is not supported", position=node.position)
    return _Referenced(table.id, table.columns, table.primary_key, table.constraints)


def _referenced_columns(target: _Referenced, reference: ddl.Reference, node: ddl.ConstraintDef) -> tuple[int, ...]:
    """Those that are named, or the primary key."""
    names = [info.name for info in target.columns]
    if reference.columns:
        return tuple(_place(names, name, node.position) for name in reference.columns)
    if not target.primary_key:
        message = f'there is no primary key for referenced table "{reference.table.name}"'
        raise ProgrammingError(message, sqlstate="42704", position=node.position)
    return target.primary_key


def _place(names: Sequence[str], name: str, position: int | None) -> int:
    if name in names:
        return names.index(name)
    raise ProgrammingError(
        f'column "{name}" referenced in foreign key constraint does not exist', sqlstate="42703", position=position
    )


def _check_is_key(
    target: _Referenced, referenced: tuple[int, ...], reference: ddl.Reference, node: ddl.ConstraintDef
) -> None:
    """42830 if the columns are no key of the table, 55000 if all such keys are deferrable."""
    wanted = set(referenced)
    uniques = [unique for unique in target.constraints.uniques if set(unique.columns) == wanted]
    is_primary = set(target.primary_key) == wanted
    if not is_primary and not uniques:
        message = f'there is no unique constraint matching given keys for referenced table "{reference.table.name}"'
        raise ProgrammingError(message, sqlstate="42830", position=node.position)
    if is_primary and not target.constraints.primary_key_deferrable:
        return
    if any(not unique.deferrable for unique in uniques):
        return
    kind = "primary key" if is_primary else "unique constraint"
    message = f'cannot use a deferrable {kind} for referenced table "{reference.table.name}"'
    raise error_for("55000", message, position=node.position)


def _check_comparable(name: str, own: ColumnInfo, other: ColumnInfo, node: ddl.ConstraintDef) -> None:
    if _are_comparable(own.type, other.type):
        return
    raise ProgrammingError(
        f'foreign key constraint "{name}" cannot be implemented',
        sqlstate="42804",
        position=node.position,
        hint=f'Key columns "{own.name}" and "{other.name}" are of incompatible types: {own.type} and {other.type}.',
    )


def _are_comparable(a: SqlType, b: SqlType) -> bool:
    return (a.is_number and b.is_number) or a.id is b.id
