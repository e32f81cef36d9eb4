"""Rows and the partitions they belong to: which partition takes a new row, and changes of a partitioned table.

The bounds of all partitions make one CASE expression, compiled and evaluated over all rows at once; a change then goes
to each partition as a change of its own. HASH partitions take rows by zerodb's digest of the key, which is not
PostgreSQL's hash function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb.row_expressions import evaluate, quoted
from zerodb.view import table_info
from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.constraints import Bound, Partitioning
from zerodb_compiler.errors import error_for
from zerodb_compiler.plan.rules.expand_partitions import PARTITION_SHIFT
from zerodb_storage import TableVersion, WriteTransaction, lookup
from zerodb_storage.arrow import from_arrow

if TYPE_CHECKING:
    from zerodb.changes.applying import RowChange
    from zerodb.connection import Connection
    from zerodb.view import View

Numbers = np.ndarray[Any, np.dtype[np.int64]]


def partitions_of(write: WriteTransaction, table_id: int) -> list[TableVersion]:
    """The partitions of a table, in the order of their ids."""
    found = [
        version
        for version in write.tables.values()
        if version.constraints.bound is not None and version.constraints.bound.parent == table_id
    ]
    return sorted(found, key=lambda version: version.id)


def leaves(write: WriteTransaction, table_id: int) -> list[TableVersion]:
    """Those that hold rows, in the order of the plan rule's numbers."""
    found: list[TableVersion] = []
    for version in partitions_of(write, table_id):
        found += leaves(write, version.id) if version.constraints.partitioning is not None else [version]
    return found


def still_in_partitions(
    write: WriteTransaction, view: View, table: TableInfo, row_ids: Numbers
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows of a partitioned table, by the ids that queries give, were not changed since `view`."""
    found = np.ones(len(row_ids), np.bool_)
    for number, part in enumerate(leaves(write, table.id)):
        if part is not view.tables.get(part.key):
            here = np.flatnonzero(row_ids >> PARTITION_SHIFT == number)
            found[here] = part.are_visible(row_ids[here] & ((1 << PARTITION_SHIFT) - 1))
    return found


def apply_to_partitions(connection: Connection, write: WriteTransaction, change: RowChange) -> int:
    """A change of a partitioned table."""
    from zerodb.changes.applying import RowChange, apply

    count = 0
    parts = leaves(write, change.table.id)
    if change.is_update:
        return _update_in_partitions(connection, write, change, parts)
    if change.deleted is not None:
        numbers = change.deleted >> PARTITION_SHIFT
        for number in np.unique(numbers):
            rows = change.deleted[numbers == number] & ((1 << PARTITION_SHIFT) - 1)
            count += apply(connection, write, RowChange(table_info(parts[int(number)]), deleted=rows))
    if change.inserted is None:
        return count
    rows = change.inserted
    names = [column.name for column in change.table.columns]
    written = 0
    for part, numbers in routed(connection, write, change.table, rows):
        info = table_info(part)
        chosen = rows.take(pa.array(numbers)).rename_columns(names)
        ordered = chosen.select([column.name for column in info.columns])
        written += apply(connection, write, RowChange(info, inserted=ordered))
    return written


def _update_in_partitions(
    connection: Connection, write: WriteTransaction, change: RowChange, parts: list[TableVersion]
) -> int:
    """An UPDATE: rows that stay in their partition are updated there (their keys stay if they are not assigned, and
    triggers see an update), others are deleted from one and inserted into the other."""
    from zerodb.changes.applying import RowChange, apply

    assert change.deleted is not None
    assert change.inserted is not None
    names = [column.name for column in change.table.columns]
    rows = change.inserted.rename_columns(names)
    come_from = change.deleted >> PARTITION_SHIFT
    go_to = _leaf_numbers(connection, write, change.table, rows, [part.id for part in parts])
    row_ids = change.deleted & ((1 << PARTITION_SHIFT) - 1)
    moves = come_from != go_to
    for number in np.unique(come_from[moves]):
        chosen = row_ids[moves & (come_from == number)]
        apply(connection, write, RowChange(table_info(parts[int(number)]), deleted=chosen))
    count = 0
    for number in np.unique(go_to):
        info = table_info(parts[int(number)])
        own = [column.name for column in info.columns]
        assigned = tuple(own.index(names[ordinal]) for ordinal in change.assigned)
        stays = np.flatnonzero(~moves & (go_to == number))
        if len(stays):
            new = rows.take(pa.array(stays)).select(own)
            count += apply(connection, write, RowChange(info, row_ids[stays], new, assigned))
        comes = np.flatnonzero(moves & (go_to == number))
        if len(comes):
            count += apply(connection, write, RowChange(info, inserted=rows.take(pa.array(comes)).select(own)))
    return count


def _leaf_numbers(
    connection: Connection, write: WriteTransaction, table: TableInfo, rows: pa.Table, leaf_ids: list[int]
) -> Numbers:
    """The place of each row's partition among the leaves."""
    found = np.zeros(rows.num_rows, np.int64)
    for part, numbers in routed(connection, write, table, rows):
        if part.constraints.partitioning is None:
            found[numbers] = leaf_ids.index(part.id)
            continue
        info = table_info(part)
        inner = rows.take(pa.array(numbers)).select([column.name for column in info.columns])
        found[numbers] = _leaf_numbers(connection, write, info, inner, leaf_ids)
    return found


def rows_in_partitions(write: WriteTransaction, table: TableVersion, row_ids: Numbers) -> pa.Table:
    """The rows of a partitioned table with these ids, in storage's Arrow types."""
    from zerodb.functions.trigger_events import rows_at

    parts, names = leaves(write, table.id), [column.name for column in table.columns]
    numbers = row_ids >> PARTITION_SHIFT
    found: list[pa.Table] = []
    places: list[Numbers] = [np.zeros(0, np.int64)]
    for number in np.unique(numbers):
        place = np.flatnonzero(numbers == number)
        rows = rows_at(parts[int(number)], row_ids[place] & ((1 << PARTITION_SHIFT) - 1))
        found.append(rows.select(names))
        places.append(place)
    if not found:
        return rows_at(table, np.zeros(0, np.int64))
    return pa.concat_tables(found).take(pa.array(np.argsort(np.concatenate(places))))


def routed(
    connection: Connection, write: WriteTransaction, table: TableInfo, rows: pa.Table
) -> list[tuple[TableVersion, Numbers]]:
    """The partitions that take the rows, each with the numbers of its rows; 23514 if a row has none."""
    partitioning = write.table(table.key).constraints.partitioning
    assert partitioning is not None
    parts = partitions_of(write, table.id)
    places = route(connection, table, partitioning, parts, rows)
    if len(places) and int(places.min()) < 0:
        raise error_for("23514", f'no partition of relation "{table.name}" found for row')
    return [(parts[int(place)], np.flatnonzero(places == place)) for place in np.unique(places)]


def route(
    connection: Connection, table: TableInfo, partitioning: Partitioning, parts: list[TableVersion], rows: pa.Table
) -> Numbers:
    """The number of each row's partition, -1 where there is none."""
    if rows.num_rows == 0 or not parts:
        return np.full(rows.num_rows, -1, np.int64)
    default = next((n for n, part in enumerate(parts) if _bound(part).default), -1)
    if partitioning.method == "hash":
        return _hashed(connection, table, partitioning, parts, rows)
    keys = key_texts(table, partitioning)
    branches = [
        f"when {condition(partitioning.method, keys, _bound(part))} then {number}"
        for number, part in enumerate(parts)
        if not _bound(part).default
    ]
    item = f"case {' '.join(branches)} else {default} end" if branches else str(default)
    step = 65_536
    found = [evaluate(connection, table, rows.slice(at, step), [item]) for at in range(0, rows.num_rows, step)]
    return np.concatenate([part.column(0).to_numpy() for part in found]).astype(np.int64)


def _hashed(
    connection: Connection, table: TableInfo, partitioning: Partitioning, parts: list[TableVersion], rows: pa.Table
) -> Numbers:
    columns = []
    for key in partitioning.keys:
        assert key.column is not None
        declared = table.columns[key.column]
        array = rows.column(key.column).combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.nulls(0, rows.column(key.column).type)
        columns.append(from_arrow(array, declared.type, declared.name))
    digests = lookup.partition_digests(columns)
    places = np.full(rows.num_rows, -1, np.int64)
    for number, part in enumerate(parts):
        bound = _bound(part)
        places[digests % np.uint64(bound.modulus) == np.uint64(bound.remainder)] = number
    return places


def check_bound(connection: Connection, write: WriteTransaction, table: TableInfo, rows: pa.Table) -> None:
    """23514 for rows that go straight to a partition that is not theirs."""
    bound = table.constraints.bound
    if bound is None or rows.num_rows == 0:
        return
    parent = next(version for version in write.tables.values() if version.id == bound.parent)
    partitioning = parent.constraints.partitioning
    assert partitioning is not None
    parts = partitions_of(write, parent.id)
    parent_info = table_info(parent)
    named = rows.rename_columns([column.name for column in table.columns])
    ordered = named.select([column.name for column in parent_info.columns])
    places = route(connection, parent_info, partitioning, parts, ordered)
    own = next(number for number, part in enumerate(parts) if part.id == table.id)
    if bool((places != own).any()):
        raise error_for("23514", f'new row for relation "{table.name}" violates partition constraint')


def _bound(version: TableVersion) -> Bound:
    bound = version.constraints.bound
    assert bound is not None
    return bound


def key_texts(table: TableInfo, partitioning: Partitioning) -> list[str]:
    return [
        quoted(table.columns[key.column].name) if key.column is not None else f"({key.expression})"
        for key in partitioning.keys
    ]


def condition(method: str, keys: list[str], bound: Bound) -> str:
    """Which rows a RANGE or LIST partition takes, as SQL."""
    if method == "list":
        (key,) = keys
        values = [value for value in bound.values if value is not None]
        parts = [f"{key} in ({', '.join(values)})"] if values else []
        if None in bound.values:
            parts.append(f"{key} is null")
        return f"({' or '.join(parts)})"
    present = " and ".join(f"{key} is not null" for key in keys)
    return f"({present} and {_at_least(keys, bound.low)} and {_below(keys, bound.high)})"


def _at_least(keys: list[str], low: tuple[str, ...]) -> str:
    if not keys or low[0] == "MINVALUE":
        return "true"
    if low[0] == "MAXVALUE":
        return "false"
    return f"({keys[0]} > {low[0]} or ({keys[0]} = {low[0]} and {_at_least(keys[1:], low[1:])}))"


def _below(keys: list[str], high: tuple[str, ...]) -> str:
    if not keys or high[0] == "MINVALUE":
        return "false"
    if high[0] == "MAXVALUE":
        return "true"
    return f"({keys[0]} < {high[0]} or ({keys[0]} = {high[0]} and {_below(keys[1:], high[1:])}))"


def less(a: tuple[str, ...], b: tuple[str, ...], types: list[str]) -> str:
    """Whether one bound is below another, as SQL over constants."""
    if not a:
        return "false"
    order = {"MINVALUE": -1, "MAXVALUE": 1}
    x, y = order.get(a[0], 0), order.get(b[0], 0)
    if x or y:
        return ("true" if x < y else "false") if x != y else less(a[1:], b[1:], types[1:])
    left, right = f"cast({a[0]} as {types[0]})", f"cast({b[0]} as {types[0]})"
    return f"({left} < {right} or ({left} = {right} and {less(a[1:], b[1:], types[1:])}))"
