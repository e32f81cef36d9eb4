"""Constraints that a transaction may violate until it commits: which are deferred, and their check in the end.

    key            declared                 SET CONSTRAINTS            checked
    unique, FK     (not deferrable)         refused                    at the end of a statement
    unique, FK     DEFERRABLE               ALL or by name, for the    at the end of a statement; where it is deferred,
                   [INITIALLY DEFERRED]     transaction                at SET CONSTRAINTS ... IMMEDIATE or the commit

What is left to check is noted with the write transaction (`pending`): a table and a constraint's name. Both kinds of
keys are then checked for the rows that the transaction has inserted, a foreign key also for those it has deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zerodb.changes import foreign_keys
from zerodb_compiler.constraints import ForeignKey, Unique
from zerodb_compiler.errors import error_for
from zerodb_storage import TableVersion, WriteTransaction
from zerodb_storage.deferred_keys import check_key
from zerodb_storage.unique import primary_key_name

if TYPE_CHECKING:
    from zerodb.view import View
    from zerodb_compiler.sql.utility_statements import TableName

Name = tuple[int, str]  # table id, constraint


@dataclass(frozen=True, slots=True)
class Deferral:
    """What SET CONSTRAINTS has said in this transaction."""

    all: bool | None = None
    named: Mapping[Name, bool] = field(default_factory=dict)

    def having(self, names: Collection[Name] | None, deferred: bool) -> Deferral:
        """With these constraints, or all of them, as said."""
        if names is None:
            return Deferral(deferred)
        return Deferral(self.all, {**self.named, **dict.fromkeys(names, deferred)})

    def is_deferred(self, table_id: int, key: Unique | ForeignKey) -> bool:
        if not key.deferrable:
            return False
        found = self.named.get((table_id, key.name), self.all)
        return key.deferred if found is None else found


DECLARED = Deferral()


def unique_keys(version: TableVersion) -> list[Unique]:
    """The table's unique keys, the primary key as one of them."""
    held, found = version.constraints, list(version.constraints.uniques)
    if version.primary_key:
        timing = held.primary_key_deferrable, held.primary_key_deferred
        found.insert(0, Unique(primary_key_name(version), version.primary_key, False, True, *timing))
    return found


def _keys(version: TableVersion) -> list[Unique | ForeignKey]:
    return [*unique_keys(version), *version.constraints.foreign_keys]


def later(write: WriteTransaction, version: TableVersion) -> frozenset[str]:
    """The unique keys of the table that new rows need not have yet; they are noted."""
    deferral: Deferral = write.deferral
    found = frozenset(key.name for key in unique_keys(version) if deferral.is_deferred(version.id, key))
    write.pending.update((version.id, name) for name in found)
    return found


def check_pending(write: WriteTransaction, names: Collection[Name] | None = None) -> None:
    """Checks what was left to check, or of it the constraints `names`. 23505, 23503; RowOutdated if rows that refer to
    deleted ones have gone meanwhile."""
    write.snapshot()  # has it take in what is kept elsewhere
    for table_id, name in sorted(write.pending):
        if names is not None and (table_id, name) not in names:
            continue
        table = next((version for version in write.tables.values() if version.id == table_id), None)
        if table is not None:
            for unique in unique_keys(table):
                if unique.name == name:
                    check_key(write, table, unique)
            for key in table.constraints.foreign_keys:
                if key.name == name:
                    foreign_keys.check_deferred(write, table, key)
        write.pending.discard((table_id, name))


def named(view: View, names: Iterable[TableName]) -> frozenset[Name] | None:
    """What the names of SET CONSTRAINTS mean; None for no names. 42704, or 42809 for a constraint that is not
    deferrable."""
    found: set[Name] = set()
    for name in names:
        matching: list[tuple[TableVersion, Unique | ForeignKey]] = []
        for schema in view.path if name.schema is None else (view.schema_named(name.schema),):
            matching = [
                (version, key)
                for version in view.tables.values()
                if version.schema.schema == schema
                for key in _keys(version)
                if key.name == name.name
            ]
            if matching:
                break
        if not matching:
            raise error_for("42704", f'constraint "{name.name}" does not exist', position=name.position)
        if not all(key.deferrable for _, key in matching):
            raise error_for("42809", f'constraint "{name.name}" is not deferrable', position=name.position)
        found |= {(version.id, key.name) for version, key in matching}
    return frozenset(found) or None
