"""From the changes of transactions to one atomic batch and the next snapshot.

Each transaction of a group is put on top of the ones before it: its changes are rebased on the newest version of each
table. One that cannot be (a row it changed was changed by another) fails alone. Nothing is written here: a `Plan` is
what to write, and the snapshot that is then the newest.

    rows only           rebased; one commit record per table
    few rows            the same, as plain values (few_rows)
    very many rows      rebased as segments, which were encoded before (`prepare`, bulk_commit)
    a definition too    taken as it is: its lock kept others away from the table, which is checked
    a merge             what the merger folded, with what was committed since (merging)

A delta is folded here only if the merger does not keep up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import bulk_commit, commit_log, encoding, few_rows, keys, modules, records
from zerodb_storage.bulk_commit import Bulk
from zerodb_storage.catalog import schema_record
from zerodb_storage.coding import coded
from zerodb_storage.early_values import garbage_keys
from zerodb_storage.few_rows import FewRows
from zerodb_storage.fold import Folded, delete_vector, fold
from zerodb_storage.kv import Batch
from zerodb_storage.locks import Outdated
from zerodb_storage.merging import Carried
from zerodb_storage.rebasing import Changes, moved_rows
from zerodb_storage.recovery import TableState
from zerodb_storage.renumbering import ALL_GONE, Numbering, Renumbering
from zerodb_storage.segment import Segment
from zerodb_storage.snapshot import ObjectKey, Objects, Snapshot
from zerodb_storage.table import TableVersion
from zerodb_storage.transaction import WriteTransaction
from zerodb_storage.values import Array, Form, Values, sorted_distinct
from zerodb_storage.visibility import Mask

FOLD_ROWS = 131_072  # rows inserted and deleted since the last fold: a merge is due; of one transaction: segments
FOLD_RECORDS = 16_384  # commit records since the last fold: bounds the time replay takes
WAITING = 2  # times these limits: commits wait for the merger
HARD = 4  # times these limits: commits fold
VECTOR_ROWS = 4_096  # more rows that one commit deletes from segments go into delete vectors, not into its record
PARALLEL_FOLD_ROWS = 262_144


@dataclass(slots=True)
class Plan:
    """What a group of commits writes, and what it changes in memory afterwards."""

    sequence: int
    defined: int
    shaped: int
    tables: dict[str, TableVersion]
    by_id: dict[int, TableVersion]
    states: dict[int, TableState]
    catalog: Objects
    batch: Batch = field(default_factory=Batch)
    values: list[tuple[bytes, bytes]] = field(default_factory=list)
    unfinished: list[bytes] = field(default_factory=list)
    written: list[tuple[bytes, bytes]] = field(default_factory=list)  # values that were written before
    dropped_segments: list[Segment] = field(default_factory=list)
    dropped_tables: list[TableVersion] = field(default_factory=list)
    few: list[tuple[FewRows, TableVersion, TableVersion]] = field(default_factory=list)  # with the versions around them
    renumbered: list[tuple[int, Numbering, Renumbering, Numbering]] = field(default_factory=list)

    @classmethod
    def after(cls, snapshot: Snapshot, states: dict[int, TableState]) -> Plan:
        return cls(
            snapshot.sequence,
            snapshot.defined,
            snapshot.shaped,
            dict(snapshot.tables),
            dict(snapshot.by_id),
            dict(states),
            snapshot.catalog,
        )

    def snapshot(self) -> Snapshot:
        """As it is planned now: nothing more may be planned then."""
        tables = MappingProxyType(self.tables)
        return Snapshot(self.sequence, tables, self.catalog, self.defined, self.shaped).knowing(self.by_id)

    def put(self, version: TableVersion, state: TableState) -> None:
        before = self.by_id.get(version.id)
        if before is not None and before.key != version.key:
            self.tables.pop(before.key, None)
        self.tables[version.key] = self.by_id[version.id] = version
        self.states[version.id] = state

    def take_written(self, values: list[tuple[bytes, bytes]]) -> None:
        """Values that were written under garbage records are to stay."""
        self.written += values
        self.batch.deletes += garbage_keys(values)

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
    hidden = _hidden(plan, transaction)
    rebased = _checked(plan, transaction, segment_ids)
    few = _grown(plan, hidden, rebased)
    plan.sequence += 1
    wrote = bool(transaction.dropped or rebased or few)
    for table_id in transaction.dropped:
        _drop(plan, plan.by_id[table_id])
    for table_id in sorted(transaction.altered):
        version = transaction.version_with_id(table_id)
        if version is not None:
            _altered(plan, transaction, version, segment_ids)
            wrote = True
    for found in rebased:
        if found.bulk is not None:
            _add_bulk(plan, found, found.bulk)
        _logged(plan, found.version.derived(changed=plan.sequence), found.record, segment_ids)
    for version, changes, deleted in few:
        log_few(plan, version, changes, deleted)
    if transaction.objects:
        wrote |= _objects(plan, transaction.objects, transaction.modules)
    if not wrote:
        plan.sequence -= 1
        return
    if transaction.defines:
        plan.defined = plan.sequence
    if not is_plain(transaction):
        plan.shaped = plan.sequence


def add_rows(
    plan: Plan,
    changes: Changes,
    base: TableVersion,
    newest: TableVersion,
    state: TableState,
    segment_ids: Iterator[int],
) -> None:
    """Plans changes of rows of one table that are a commit of their own."""
    found = _rebased(changes, base, newest, state)
    plan.sequence += 1
    _logged(plan, found.version.derived(changed=plan.sequence), found.record, segment_ids)


@dataclass(frozen=True, slots=True, eq=False)
class Rebased:
    """The newest version with a transaction's changes, its shared delta grown in place, and their commit record.
    `bulk`: its new segments, encoded `early` or just now; `renumbering`: where rows are, if these moved the delta."""

    version: TableVersion
    record: commit_log.CommitRecord
    bulk: Bulk | None = None
    early: bool = False
    renumbering: Renumbering | None = None


def is_over(state: TableState | None, times: int = 1) -> bool:
    """Whether a table's delta or log has grown past that many times the limits."""
    return state is not None and (
        state.logged_rows >= times * FOLD_ROWS or state.logged_records >= times * FOLD_RECORDS
    )


def prepare(transaction: WriteTransaction, newest: Snapshot, segment_ids: Iterator[int]) -> dict[int, Bulk | Folded]:
    """By table, what is better encoded before the transaction's turn comes."""
    found: dict[int, Bulk | Folded] = {}
    for table_id, changes in transaction.changes.items():
        many = changes.row_count >= FOLD_ROWS
        if table_id in transaction.dropped or not (many or changes.reshaped):
            continue
        if table_id in transaction.altered:
            version = transaction.version_with_id(table_id)
            if version is not None:
                found[table_id] = folded(version, segment_ids)
            continue
        at_base, now = transaction.base.table_with_id(table_id), newest.table_with_id(table_id)
        if many and at_base is not None and now is not None and now.schema_version == at_base.schema_version:
            found[table_id] = bulk_commit.encode(now, changes, segment_ids)
    return found


def _checked(plan: Plan, transaction: WriteTransaction, segment_ids: Iterator[int]) -> list[Rebased]:
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
        state = plan.states.get(table_id, TableState())
        bulk = transaction.prepared.get(table_id)
        if isinstance(bulk, Bulk):
            rebased.append(_rebased_bulk(bulk, changes, at_base, newest, state, segment_ids))
        else:
            rebased.append(_rebased(changes, at_base, newest, state))
    return rebased


def _hidden(plan: Plan, transaction: WriteTransaction) -> list[tuple[FewRows, Mapping[int, Mask] | None]]:
    """What the transaction does to tables by few rows, and their masks without the rows that go; None where it has to
    be done the general way. Outdated as `_checked`."""
    found: list[tuple[FewRows, Mapping[int, Mask] | None]] = []
    for table_id, few in transaction.few.items():
        newest = plan.by_id.get(table_id)
        if newest is None or few.base.schema_version != newest.schema_version:
            raise Outdated
        state = plan.states.get(table_id)
        if newest.numbering is not few.base.numbering or is_over(state, HARD):
            found.append((few, None))
        else:
            found.append((few, few_rows.masks_without(newest, few.gone)))
    return found


def _grown(
    plan: Plan, hidden: list[tuple[FewRows, Mapping[int, Mask] | None]], rebased: list[Rebased]
) -> list[tuple[TableVersion, FewRows, list[int]]]:
    """The versions with the few rows, and the stable ids of those that are gone; those that have to be done the general
    way are added to the rebased ones. Comes last: what rows of a failed transaction have written behind the last row
    costs the next one a copy."""
    for few, masks in hidden:
        if masks is None:  # may fail
            newest = plan.by_id[few.base.id]
            state = plan.states.get(newest.id) or TableState()
            rebased.append(_rebased(few_rows.as_changes(few), few.base, newest, state))
    found = []
    for few, masks in hidden:
        if masks is None:
            continue
        newest = plan.by_id[few.base.id]
        made = few_rows.grown(newest, masks, few.rows, plan.sequence + 1)
        if made is None:
            state = plan.states.get(newest.id) or TableState()
            rebased.append(_rebased(few_rows.as_changes(few), few.base, newest, state))
        else:
            found.append((made, few, few_rows.stable_ids(newest, few.gone)))
    return found


def _rebased(changes: Changes, base: TableVersion, newest: TableVersion, state: TableState) -> Rebased:
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
        version, _ = version.with_deleted(there, publishing=True)
    return Rebased(version, commit_log.CommitRecord(state.last_logged, rows, stable))


def _rebased_bulk(
    bulk: Bulk,
    changes: Changes,
    base: TableVersion,
    newest: TableVersion,
    state: TableState,
    segment_ids: Iterator[int],
) -> Rebased:
    there = moved_rows(changes.deletions()[0], base, newest)
    early = bulk.goes_with(newest)
    if not early:
        bulk = bulk_commit.encode(newest, changes, segment_ids)
    version, renumbering = bulk_commit.attach(newest, bulk)
    if renumbering is not None:
        there = renumbering.apply(there)
    stable = version.stable_ids(there)
    version, _ = version.with_deleted(there, publishing=True)
    return Rebased(version, commit_log.CommitRecord(state.last_logged, (), stable), bulk, early, renumbering)


def _add_bulk(plan: Plan, found: Rebased, bulk: Bulk) -> None:
    """Plans a transaction's new segments, which follow the newest version's; the log goes on."""
    version = found.version
    before = plan.by_id[version.id]
    if found.early:
        plan.take_written(bulk.values)
    else:
        plan.values += bulk.values
        plan.unfinished += garbage_keys(bulk.values)
    plan.batch.puts += bulk.puts()
    if before.schema != version.schema:
        put_schema(plan.batch, version)
    if found.renumbering is not None:
        plan.renumbered.append((version.id, before.numbering, found.renumbering, version.numbering))
    state = plan.states.get(version.id, TableState())
    stored = _put_strings(plan, version, state.stored_strings)
    plan.put(version, replace(state, stored_strings=stored))


def merged(plan: Plan, folded: Folded, found: Carried) -> None:
    """Plans a merge: the folded table, whose values were written before, and what was carried over as its log."""
    plan.sequence += 1
    version = found.version
    fold_into(plan, replace(folded, version=version, renumbering=found.renumbering, values=[]))
    plan.take_written(folded.values)
    count = len(found.rows[0]) if found.rows else 0
    if count or len(found.deleted):
        stable = version.stable_ids(found.deleted)
        _log(plan, version, commit_log.CommitRecord(0, found.rows, stable))


def _logged(plan: Plan, version: TableVersion, record: commit_log.CommitRecord, segment_ids: Iterator[int]) -> None:
    state = plan.states.get(version.id, TableState())
    if is_over(state, HARD):
        fold_into(plan, folded(version, segment_ids))
    elif record.rows or len(record.deleted):
        _log(plan, version, record)
    else:
        plan.put(version, state)


def _log(plan: Plan, version: TableVersion, record: commit_log.CommitRecord) -> None:
    """Plans a commit record; `version` has its changes."""
    state = plan.states.get(version.id, TableState())
    rows = state.logged_rows + len(record.deleted) + (len(record.rows[0]) if record.rows else 0)
    record = replace(record, deleted=_vectored(plan, version, record.deleted))
    if not record.rows and not len(record.deleted):
        plan.put(version, replace(state, logged_rows=rows))
        return
    plan.batch.puts.append(commit_log.pack(version.id, plan.sequence, record))
    plan.put(version, TableState(state.logged_records + 1, rows, plan.sequence, state.stored_strings))


def log_few(plan: Plan, version: TableVersion, few: FewRows, deleted: list[int]) -> None:
    """As `_log`, of few rows; `deleted` by their stable ids."""
    state = plan.states.get(version.id) or TableState()
    record = commit_log.pack_few(version.id, plan.sequence, state.last_logged, few.rows, few.forms, deleted)
    plan.batch.puts.append(record)
    rows = state.logged_rows + len(deleted) + len(few.rows)
    plan.few.append((few, plan.by_id[version.id], version))
    plan.put(version, TableState(state.logged_records + 1, rows, plan.sequence, state.stored_strings))


def _vectored(plan: Plan, version: TableVersion, deleted: Array) -> Array:
    """What of the deletions is to be logged: very many from segments go into these segments' delete vectors. (Replay
    then finds rows of earlier records deleted already, which makes no difference.)"""
    if len(deleted) < VECTOR_ROWS:
        return deleted
    stored = deleted >= 0
    chunks = version.segment_set.places_of(sorted_distinct(deleted[stored] // CHUNK_ROWS))
    for chunk in chunks.tolist():
        plan.batch.puts.append(delete_vector(version.segment_set.segments[chunk], version.masks[chunk].visible))
    return deleted[~stored]


def _altered(plan: Plan, transaction: WriteTransaction, version: TableVersion, segment_ids: Iterator[int]) -> None:
    """A table whose definition the transaction changed, as the transaction has it."""
    table_id = version.id
    before = plan.by_id.get(table_id)
    changes = transaction.changes.get(table_id, Changes())
    version = version.derived(changed=plan.sequence)
    if before is None or before.schema != version.schema:
        put_schema(plan.batch, version)
    early = transaction.prepared.get(table_id)
    if changes.reshaped or isinstance(early, Folded):
        if isinstance(early, Folded):
            plan.take_written(early.values)
            fold_into(plan, replace(early, version=early.version.derived(changed=plan.sequence), values=[]))
        else:
            fold_into(plan, folded(version, segment_ids))
        if before is not None and changes.reshaped:
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
    state = plan.states.get(version.id, TableState())
    plan.put(version, TableState(stored_strings=_put_strings(plan, version, state.stored_strings)))


def _put_strings(plan: Plan, version: TableVersion, known: dict[int, int]) -> dict[int, int]:
    """Plans what the stored dictionaries lack, by slot how much they have; gives what they have then."""
    stored = dict(known)
    for column, found in version.dictionaries.items():
        slot = version.columns[column].slot
        first = stored.get(slot, 0)
        if found.size > first:
            plan.batch.puts.append(_strings(version.id, slot, first, *found.store.buffers(first, found.size)))
            stored[slot] = found.size
    return stored


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


def _objects(plan: Plan, objects: dict[ObjectKey, object], brought: dict[str, bytes]) -> bool:
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
        modules.plan(plan.batch, plan.catalog, catalog, objects, brought)
        plan.catalog = MappingProxyType(catalog)
    return wrote


def put_schema(batch: Batch, version: TableVersion) -> None:
    key = keys.table(version.id)
    batch.put(key, records.pack(key, schema_record(version.schema)))
