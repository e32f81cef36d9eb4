"""From the changes of transactions to one atomic batch and the next snapshot.

Each transaction of a group is put on top of the ones before it: its changes are rebased on the newest version of each
table. One that cannot be (a row it changed was changed by another) fails alone. Nothing is written here: a `Plan` is
what to write, and the snapshot that is then the newest.

    rows only           rebased; one commit record per table, or a fold when the delta has grown enough
    a definition too    taken as it is: its lock kept others away from the table, which is checked
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from zerodb_storage import commit_log, encoding, keys, records
from zerodb_storage.catalog import schema_record
from zerodb_storage.fold import Folded, fold
from zerodb_storage.kv import Batch
from zerodb_storage.locks import Outdated
from zerodb_storage.recovery import TableState
from zerodb_storage.renumbering import ALL_GONE, Numbering, Renumbering
from zerodb_storage.segment import Segment
from zerodb_storage.snapshot import ObjectKey, Objects, Snapshot
from zerodb_storage.table import TableVersion
from zerodb_storage.transaction import Changes, WriteTransaction, coded, moved_rows
from zerodb_storage.values import Array, Form, Values

FOLD_ROWS = 131_072  # rows inserted and deleted since the last fold
FOLD_RECORDS = 16_384  # commit records since the last fold: bounds the time replay takes
PARALLEL_FOLD_ROWS = 262_144


@dataclass(slots=True)
class Plan:
    """What a group of commits writes, and what it changes in memory afterwards."""

    sequence: int
    defined: int
    tables: dict[str, TableVersion]
    by_id: dict[int, TableVersion]
    states: dict[int, TableState]
    catalog: Objects
    batch: Batch = field(default_factory=Batch)
    values: list[tuple[bytes, bytes]] = field(default_factory=list)
    unfinished: list[bytes] = field(default_factory=list)
    dropped_segments: list[Segment] = field(default_factory=list)
    dropped_tables: list[TableVersion] = field(default_factory=list)
    renumbered: list[tuple[int, Numbering, Renumbering, Numbering]] = field(default_factory=list)

    @classmethod
    def after(cls, snapshot: Snapshot, states: dict[int, TableState]) -> Plan:
        tables = dict(snapshot.tables)
        by_id = {version.id: version for version in tables.values()}
        return cls(snapshot.sequence, snapshot.defined, tables, by_id, dict(states), snapshot.catalog)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.sequence, MappingProxyType(self.tables), self.catalog, self.defined)

    def put(self, version: TableVersion, state: TableState) -> None:
        before = self.by_id.get(version.id)
        if before is not None and before.key != version.key:
            self.tables.pop(before.key, None)
        self.tables[version.key] = self.by_id[version.id] = version
        self.states[version.id] = state

    def link_numberings(self) -> None:
        for _, old, renumbering, new in self.renumbered:
            old.succeeded(renumbering, new)


def is_plain(transaction: WriteTransaction) -> bool:
    """Whether it changes rows only, so that it may share a batch with others. (In a batch all puts come before all
    deletes, so what one drops another must not make again.)"""
    return not (transaction.altered or transaction.dropped or transaction.objects)


def add(plan: Plan, transaction: WriteTransaction, segment_ids: Iterator[int]) -> None:
    """Plans a transaction's commit. Outdated if it does not go with what others have committed since its base; then
    the plan is as it was."""
    rebased = _checked(plan, transaction)
    plan.sequence += 1
    wrote = bool(transaction.dropped or rebased)
    for table_id in transaction.dropped:
        _drop(plan, plan.by_id[table_id])
    for table_id in sorted(transaction.altered):
        version = transaction.version_with_id(table_id)
        if version is not None:
            _altered(plan, transaction, version, segment_ids)
            wrote = True
    for version, record in rebased:
        _logged(plan, version.derived(changed=plan.sequence), record, segment_ids)
    if transaction.objects:
        wrote |= _objects(plan, transaction.objects)
    if not wrote:
        plan.sequence -= 1
    elif transaction.defines:
        plan.defined = plan.sequence


Rebased = tuple[TableVersion, commit_log.CommitRecord]


def _checked(plan: Plan, transaction: WriteTransaction) -> list[Rebased]:
    """Everything that can fail."""
    base = transaction.base
    if transaction.defines and plan.defined != base.defined:
        raise Outdated
    if plan.catalog is not base.catalog:
        for key in transaction.objects:
            if plan.catalog.get(key) is not base.catalog.get(key):
                raise Outdated
    for table_id in transaction.altered | transaction.dropped:
        if plan.by_id.get(table_id) is not base.table_with_id(table_id):
            raise Outdated
    rebased: list[Rebased] = []
    for table_id, changes in transaction.changes.items():
        if table_id in transaction.altered or table_id in transaction.dropped:
            continue
        if not (changes.row_count or changes.deleted):
            continue
        at_base, newest = base.table_with_id(table_id), plan.by_id.get(table_id)
        if at_base is None:  # made and dropped again
            continue
        if newest is None or at_base.schema_version != newest.schema_version:
            raise Outdated
        rebased.append(_rebased(changes, at_base, newest, plan.states.get(table_id, TableState())))
    return rebased


def _rebased(changes: Changes, base: TableVersion, newest: TableVersion, state: TableState) -> Rebased:
    """The newest version with the changes, its shared delta grown in place, and their commit record."""
    there, own = changes.deletions()
    there = moved_rows(there, base, newest)
    rows = changes.rows()
    version = newest
    if rows:
        version, stored = coded(version, rows)
        version = version.appended(stored)
    stable = newest.stable_ids(there)
    if len(own):
        own = ~(newest.delta_rows + own)
        there = np.concatenate((there, version.row_ids_of(own)))
        stable = np.concatenate((stable, own))
    if len(there):
        version, _ = version.with_deleted(there)
    return version, commit_log.CommitRecord(state.last_logged, rows, stable)


def _logged(plan: Plan, version: TableVersion, record: commit_log.CommitRecord, segment_ids: Iterator[int]) -> None:
    state = plan.states.get(version.id, TableState())
    count = len(record.rows[0]) if record.rows else 0
    rows = state.logged_rows + count + len(record.deleted)
    if rows >= FOLD_ROWS or state.logged_records + 1 >= FOLD_RECORDS:
        fold_into(plan, folded(version, segment_ids))
        return
    if not count and not len(record.deleted):
        plan.put(version, state)
        return
    plan.batch.puts.append(commit_log.pack(version.id, plan.sequence, record))
    plan.put(version, TableState(state.logged_records + 1, rows, plan.sequence, state.stored_strings))


def _altered(plan: Plan, transaction: WriteTransaction, version: TableVersion, segment_ids: Iterator[int]) -> None:
    """A table whose definition the transaction changed, as the transaction has it."""
    table_id = version.id
    before = plan.by_id.get(table_id)
    changes = transaction.changes.get(table_id, Changes())
    version = version.derived(changed=plan.sequence)
    if before is None or before.schema != version.schema:
        put_schema(plan.batch, version)
    if changes.reshaped:
        fold_into(plan, folded(version, segment_ids))
        if before is not None:
            _replaced(plan, before, plan.by_id[table_id])
        return
    there, own = changes.deletions()
    start = 0 if before is None else before.delta_rows
    stable = there if before is None else before.stable_ids(there)
    state = plan.states.get(table_id, TableState())
    plan.put(version, state)
    record = commit_log.CommitRecord(state.last_logged, changes.rows(), np.concatenate((stable, ~(start + own))))
    _logged(plan, version, record, segment_ids)


def folded(version: TableVersion, segment_ids: Iterator[int]) -> Folded:
    if version.delta_rows < PARALLEL_FOLD_ROWS:
        return fold(version, segment_ids)
    with ThreadPoolExecutor(os.cpu_count() or 1, "fold") as executor:
        return fold(version, segment_ids, executor)


def fold_into(plan: Plan, folded: Folded) -> None:
    """Plans a folded table: its segments, and the end of its log."""
    version = folded.version
    before = plan.by_id.get(version.id)
    plan.values += folded.values
    plan.batch.puts += folded.puts
    plan.batch.deletes += folded.deletes
    plan.unfinished += sorted({keys.garbage(keys.table_of(k), keys.segment_of(k)) for k, _ in folded.values})
    # A range deletion comes before all puts of a batch, so records of this group that it must reach are taken out.
    begin, end = keys.table_range(b"L", version.id)
    plan.batch.puts = [pair for pair in plan.batch.puts if not begin <= pair[0] < end]
    plan.batch.delete_range(begin, end)
    for found in folded.dropped:
        plan.batch.put(keys.garbage(found.table_id, found.id), b"")
    plan.dropped_segments += folded.dropped
    if before is None or before.schema != version.schema:
        put_schema(plan.batch, version)
    if before is not None and before.numbering is not version.numbering:
        there = folded.source is before.numbering  # else the table was truncated before
        renumbering = folded.renumbering if there and folded.renumbering is not None else ALL_GONE
        plan.renumbered.append((version.id, before.numbering, renumbering, version.numbering))
    stored = dict(plan.states.get(version.id, TableState()).stored_strings)
    for column, known in version.dictionaries.items():
        slot = version.columns[column].slot
        first = stored.get(slot, 0)
        if known.size > first:
            plan.batch.puts.append(_strings(version.id, slot, first, *known.store.buffers(first, known.size)))
            stored[slot] = known.size
    plan.put(version, TableState(stored_strings=stored))


def _strings(table_id: int, slot: int, first: int, offsets: Array, text: Array) -> tuple[bytes, bytes]:
    key = keys.strings(table_id, slot, first)
    run = Values(Form.TEXT, offsets - offsets[0], None, np.ascontiguousarray(text))
    return key, records.seal(key, encoding.encode(run))


def _replaced(plan: Plan, before: TableVersion, version: TableVersion) -> None:
    """Segments that the transaction gave up as a whole."""
    kept = {found.id for found in version.segment_set.segments}
    known = {found.id for found in plan.dropped_segments if found.table_id == version.id}
    for found in before.segment_set.segments:
        if found.id not in kept and found.id not in known:
            plan.batch.deletes += [keys.header(found.table_id, found.id), keys.deleted(found.table_id, found.id)]
            plan.batch.put(keys.garbage(found.table_id, found.id), b"")
            plan.dropped_segments.append(found)


def _drop(plan: Plan, version: TableVersion) -> None:
    batch = plan.batch
    for letter in (b"D", b"H", b"V", b"L"):
        begin, end = keys.table_range(letter, version.id)
        batch.puts = [pair for pair in batch.puts if not begin <= pair[0] < end]
        batch.delete_range(begin, end)
    batch.delete(keys.table(version.id))
    batch.put(keys.garbage(version.id, keys.WHOLE_TABLE), b"")
    plan.dropped_tables.append(version)
    del plan.by_id[version.id]
    plan.states.pop(version.id, None)
    if plan.tables.get(version.key) is version:
        del plan.tables[version.key]


def _objects(plan: Plan, objects: dict[ObjectKey, object]) -> bool:
    catalog = dict(plan.catalog)
    wrote = False
    for name, data in objects.items():
        before = catalog.get(name)
        if data is None:
            if before is None:
                continue
            del catalog[name]
            plan.batch.delete(keys.object_(*name))
            if name[0] == "sequence":
                plan.batch.delete(keys.sequence(before["id"]))
        elif before != data:
            catalog[name] = data
            key = keys.object_(*name)
            plan.batch.put(key, records.pack(key, {"data": data}))
        else:
            continue
        wrote = True
    if wrote:
        plan.catalog = MappingProxyType(catalog)
    return wrote


def put_schema(batch: Batch, version: TableVersion) -> None:
    key = keys.table(version.id)
    batch.put(key, records.pack(key, schema_record(version.schema)))
