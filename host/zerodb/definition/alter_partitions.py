"""ALTER TABLE of partitioned tables and of partitions.

What is done to a partitioned table is done to its partitions as well, first to them where the table's own check reads
the new column. What a partition has from its parent is changed there only (42P16). An identity column or a sequence is
one table's: such changes of a partitioned table are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from zerodb.changes.partitioning import partitions_of
from zerodb.definition.expressions import columns_of_text
from zerodb.definition.partitions import touch
from zerodb_compiler.constraints import Constraints
from zerodb_compiler.errors import NotSupportedError, error_for
from zerodb_compiler.sql import ddl
from zerodb_storage import TableVersion, WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection

Apply = Callable[["Connection", WriteTransaction, TableVersion, ddl.Action], None]
_PARTITIONS_FIRST = frozenset({"add column"})
_EVERYWHERE = frozenset(
    {
        "add column",
        "drop column",
        "rename column",
        "set type",
        "set default",
        "drop default",
        "set not null",
        "drop not null",
        "add constraint",
        "drop constraint",
        "rename constraint",
    }
)
_ATTACHMENT = frozenset({"attach partition", "detach partition"})


def apply_everywhere(
    connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action, apply: Apply
) -> None:
    """An action on a partitioned table and its partitions, or on a partition."""
    if version.constraints.partitioning is None:
        _check_own(write, version, action)
        apply(connection, write, version, action)
        _touch_parents(write, version)
        return
    if action.kind in _ATTACHMENT:
        apply(connection, write, version, action)
        return
    if version.constraints.bound is not None:
        _check_own(write, version, action)
    _recursively(connection, write, version, action, apply)
    _touch_parents(write, version)


def _recursively(
    connection: Connection, write: WriteTransaction, version: TableVersion, action: ddl.Action, apply: Apply
) -> None:
    _check_parent(version, action)
    action = _named(version, action)
    if action.kind in _PARTITIONS_FIRST:
        _to_partitions(connection, write, version, action, apply)
        apply(connection, write, write.table(version.key), action)
        return
    before = write.table(version.key)
    apply(connection, write, before, action)
    _to_partitions(connection, write, before, action, apply)


def _to_partitions(
    connection: Connection, write: WriteTransaction, before: TableVersion, action: ddl.Action, apply: Apply
) -> None:
    for part in partitions_of(write, before.id):
        own = _for_partition(before, part, action)
        if own is None:
            continue
        if part.constraints.partitioning is not None:
            _recursively(connection, write, part, own, apply)
        else:
            apply(connection, write, part, own)


def _touch_parents(write: WriteTransaction, version: TableVersion) -> None:
    """Statements compiled for the tables above are compiled anew."""
    tables = {table.id: table for table in write.tables.values()}
    bound = version.constraints.bound
    while bound is not None:
        parent = tables[bound.parent]
        touch(write, parent)
        bound = parent.constraints.bound


def _check_parent(version: TableVersion, action: ddl.Action) -> None:
    partitioning = version.constraints.partitioning
    assert partitioning is not None
    refused = action.kind not in _EVERYWHERE
    if action.kind == "add column":
        assert action.column is not None
        kinds = {constraint.kind for constraint in action.column.constraints}
        refused = action.column.serial is not None or bool(kinds & {"identity", "primary key", "unique", "foreign key"})
    elif action.kind == "add constraint":
        assert action.constraint is not None
        refused = action.constraint.using_index is not None
    if refused:
        what = f"ALTER TABLE ... {action.kind.upper()} of a partitioned table"
        raise NotSupportedError(f"{what} is not supported in this form", position=action.position)
    keys = {version.columns[key.column].name for key in partitioning.keys if key.column is not None}
    if action.kind in ("drop column", "set type") and action.name in keys:
        word = "drop" if action.kind == "drop column" else "alter"
        message = f'cannot {word} column "{action.name}" because it is part of the partition key of relation'
        raise error_for("42P16", f'{message} "{version.name}"', position=action.position)
    if action.kind in ("drop column", "set type", "rename column"):
        _check_expressions(version, action)
    node = action.constraint
    computed = any(key.column is None for key in partitioning.keys)
    is_key = node is not None and node.kind in ("primary key", "unique")
    if is_key and node is not None and (computed or not keys <= set(node.columns)):
        raise error_for("0A000", "unique constraint on partitioned table must include all partitioning columns")


def _check_expressions(version: TableVersion, action: ddl.Action) -> None:
    partitioning = version.constraints.partitioning
    assert partitioning is not None
    for key in partitioning.keys:
        if key.expression is not None and action.name in columns_of_text(key.expression):
            message = f'changing column "{action.name}", which the partition key computes with, is not supported'
            raise NotSupportedError(message, position=action.position)


def _check_own(write: WriteTransaction, version: TableVersion, action: ddl.Action) -> None:
    """What a partition has from its parent stays as it is there."""
    bound = version.constraints.bound
    if bound is None:
        return
    parent = next(table for table in write.tables.values() if table.id == bound.parent)
    message = ""
    match action.kind:
        case "add column":
            raise error_for("42809", "cannot add column to a partition", position=action.position)
        case "drop column":
            message = f'cannot drop inherited column "{action.name}"'
        case "rename column":
            message = f'cannot rename inherited column "{action.name}"'
        case "set type":
            message = f'cannot alter inherited column "{action.name}"'
        case "drop not null":
            if any(column.name == action.name and column.not_null for column in parent.columns):
                message = f'column "{action.name}" is marked NOT NULL in parent table'
        case "drop constraint" | "rename constraint":
            if _inherits(parent, version, action.name):
                word = action.kind.removesuffix(" constraint")
                message = f'cannot {word} inherited constraint "{action.name}" of relation "{version.name}"'
                if action.kind == "rename constraint":
                    message = f'cannot rename inherited constraint "{action.name}"'
    if message:
        raise error_for("42P16", message, position=action.position)


def _inherits(parent: TableVersion, part: TableVersion, name: str) -> bool:
    held = parent.constraints
    if name in _shared_names(held):
        return True
    keys = {tuple(parent.columns[column].name for column in unique.columns) for unique in held.uniques}
    if parent.primary_key and name == part.constraints.primary_key_name:
        return True
    return any(
        unique.name == name and tuple(part.columns[column].name for column in unique.columns) in keys
        for unique in part.constraints.uniques
    )


def _shared_names(held: Constraints) -> set[str]:
    """Names of the constraints that are called the same in all partitions."""
    return {check.name for check in held.checks} | {key.name for key in held.foreign_keys}


def _named(version: TableVersion, action: ddl.Action) -> ddl.Action:
    """With names for checks and foreign keys, which are the same in all partitions."""
    taken = set(version.constraints.names)

    def free(label: str) -> str:
        found, number = label, 0
        while found in taken:
            number += 1
            found = f"{label}{number}"
        taken.add(found)
        return found

    node = action.constraint
    if action.kind == "add constraint" and node is not None and node.name is None:
        if node.kind == "check":
            assert node.expression is not None
            names = [column.name for column in version.columns]
            used = [name for name in names if name in columns_of_text(node.expression.text)]
            label = f"{version.name}_{used[0]}_check" if len(used) == 1 else f"{version.name}_check"
            return replace(action, constraint=replace(node, name=free(label)))
        if node.kind == "foreign key":
            label = f"{version.name}_{'_'.join(node.columns)}_fkey"
            return replace(action, constraint=replace(node, name=free(label)))
    column = action.column
    if action.kind == "add column" and column is not None:
        named = tuple(
            replace(item, name=free(f"{version.name}_{column.name}_check"))
            if item.kind == "check" and item.name is None
            else item
            for item in column.constraints
        )
        return replace(action, column=replace(column, constraints=named))
    return action


def _for_partition(parent: TableVersion, part: TableVersion, action: ddl.Action) -> ddl.Action | None:
    """The action as it is for a partition; None if there is nothing to do. `parent` is as before the action."""
    if action.kind == "add constraint":
        node = action.constraint
        assert node is not None
        if node.kind in ("primary key", "unique"):
            return replace(action, constraint=replace(node, name=None))
        return None if node.name in part.constraints.names else action
    if action.kind not in ("drop constraint", "rename constraint"):
        return action
    held = parent.constraints
    if action.name in _shared_names(held):
        return action if action.name in part.constraints.names else None
    if action.kind == "rename constraint":
        return None  # keys of partitions have names of their own
    if action.name == held.primary_key_name:
        name = part.constraints.primary_key_name
        return None if name is None else replace(action, name=name)
    wanted = [
        {parent.columns[column].name for column in unique.columns}
        for unique in held.uniques
        if unique.name == action.name
    ]
    for unique in part.constraints.uniques:
        if {part.columns[column].name for column in unique.columns} in wanted:
            return replace(action, name=unique.name)
    return None
