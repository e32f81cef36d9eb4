"""Key-value stores for tests: one that fails where it is told to, one that can lose its power, and work to do on them.

    FaultyStore       passes everything on to a real store; the n-th call of a method fails, before or after its work
    RecordingStore    in memory; `after_power_loss` gives the states that a power failure at any moment may leave

After a failed synced write nobody knows what is on disk: "after" is a write that did reach it, and failed all the same.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from zerodb_compiler import types
from zerodb_compiler.errors import error_for
from zerodb_storage import Column, Database, encoding, import_batches
from zerodb_storage.arrow import from_arrow
from zerodb_storage.kv import Batch, KeyValueStore
from zerodb_storage.kv.memory import MemoryStore
from zerodb_storage.sequences import SequenceDefinition

METHODS = ("get", "multi_get", "scan", "write", "write_unlogged", "sync")


@dataclass(frozen=True, slots=True)
class Fault:
    """The `number`-th call of a method fails, and with `lasting` all later ones of those that write."""

    method: str
    number: int
    when: str = "before"
    sqlstate: str = "58030"
    lasting: bool = False


class FaultyStore:
    def __init__(self, inner: KeyValueStore) -> None:
        self.inner = inner
        self.calls: Counter[str] = Counter()
        self.fault: Fault | None = None
        self.failed = 0

    def arm(self, fault: Fault | None) -> None:
        """Counts calls from now on; those made while `fault` is None count nothing."""
        self.calls.clear()
        self.fault, self.failed = fault, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name not in METHODS:
            return found

        def call(*given: Any, **named: Any) -> Any:
            fault = self.fault
            if fault is None:
                return found(*given, **named)
            self.calls[name] += 1
            hit = fault.method == name and self.calls[name] == fault.number
            late = fault.lasting and self.failed and name in ("write", "write_unlogged", "sync")
            if not hit and not late:
                return found(*given, **named)
            self.failed += 1
            if hit and fault.when == "after":
                found(*given, **named)
            elif hit and fault.when == "half":
                (pairs,) = given
                found(pairs[: len(pairs) // 2])
            raise error_for(fault.sqlstate, f"injected: {name} number {self.calls[name]}")

        return call


class RecordingStore(MemoryStore):
    """Keeps every write in order. What a sync, a synced write or an unlogged write has behind it is durable."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, Any]] = []

    def write(self, batch: Batch, *, sync: bool) -> None:
        copy = Batch(list(batch.puts), list(batch.deletes), list(batch.range_deletes))
        self.events.append(("synced" if sync else "write", copy))
        super().write(batch, sync=sync)

    def write_unlogged(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self.events.append(("unlogged", list(pairs)))
        MemoryStore.write(self, Batch(puts=list(pairs)), sync=False)

    def sync(self) -> None:
        self.events.append(("sync", None))

    def after_power_loss(self, seed: int) -> Iterator[tuple[int, int, MemoryStore]]:
        """(number of writes that were begun, of those that are left, the store) for a failure at every moment. A write
        that was begun last may be there or not, of an unlogged one any pairs may."""
        r = random.Random(seed)
        for begun in range(len(self.events) + 1):
            durable = begun - 1
            while durable > 0 and self.events[durable - 1][0] == "write":
                durable -= 1
            for left in range(max(durable, 0), begun + 1):
                yield begun, left, self._store(left, None)
            if begun and self.events[begun - 1][0] == "unlogged":
                pairs = self.events[begun - 1][1]
                yield begun, begun - 1, self._store(begun - 1, r.sample(pairs, r.randrange(len(pairs) + 1)))

    def _store(self, left: int, torn: list[tuple[bytes, bytes]] | None) -> MemoryStore:
        store = MemoryStore()
        for kind, what in self.events[:left]:
            if kind != "sync":
                store.write(Batch(puts=what) if kind == "unlogged" else what, sync=False)
        if torn is not None:
            store.write_unlogged(torn)
        return store


# --- work: steps of one commit each -----------------------------------------------------------------------------------

COUNTER = SequenceDefinition(900, "counter")
Step = Callable[[Database], None]


def rows(begin: int, end: int) -> pa.Table:
    numbers = range(begin, end)
    return pa.table({"a": pa.array(numbers, pa.int32()), "s": [f"s{n % 7}" if n % 5 else None for n in numbers]})


def _create(name: str) -> Step:
    def step(db: Database) -> None:
        with db.begin() as tx:
            tx.create_table(name, [Column("a", types.INTEGER), Column("s", types.TEXT)], (0,))
            tx.put_object("note", "public", name, {"text": f"made {name}"})

    return step


def _append(begin: int, end: int, *tables: str) -> Step:
    def step(db: Database) -> None:
        with db.begin() as tx:
            for table in tables:
                tx.append(table, rows(begin, end), unique_key=True)

    return step


def _change(deleted: Sequence[int], begin: int, end: int) -> Step:
    """Deletes visible rows of t by their number in storage order, and appends others."""

    def step(db: Database) -> None:
        with db.begin() as tx:
            version = tx.table("t")
            ids = np.arange(int(version.chunk_rows[0])) if version.chunk_count else np.empty(0, np.int64)
            ids = ids[version.are_visible(ids).astype(bool)]
            tx.delete("t", ids[[n for n in deleted if n < len(ids)]])
            tx.append("t", rows(begin, end), unique_key=True)
            saved = tx.savepoint()
            tx.append("u", rows(1_000_000, 1_000_009))
            tx.rollback_to(saved)

    return step


def _widen(db: Database) -> None:
    missing = encoding.encode(from_arrow(pa.array([7], pa.int32()), types.INTEGER, "b"))
    with db.begin() as tx:
        schema = tx.table("t").schema
        column = Column("b", types.INTEGER, missing=missing)
        tx.change_schema("t", replace(schema, columns=(*schema.columns, column)))


def _truncate(db: Database) -> None:
    with db.begin() as tx:
        tx.truncate("u")
        tx.append("u", rows(0, 3))


def _drop(db: Database) -> None:
    with db.begin() as tx:
        tx.drop_table("u")
        tx.drop_object("note", "public", "u")
        tx.create_table("w", [Column("a", types.INTEGER), Column("s", types.TEXT)])


def _import(db: Database) -> None:
    import_batches(db, "w", rows(0, 60).to_batches())


def _number(db: Database) -> None:
    value = int(db.sequences.take(COUNTER, 20)[-1])
    with db.begin() as tx:
        tx.put_object("note", "public", "value", {"value": value})


STEPS: tuple[Step, ...] = (
    _create("t"),
    _create("u"),
    _append(0, 10, "t"),
    _append(10, 30, "t", "u"),
    _number,
    _change((1, 3, 5), 40, 45),
    _append(100, 180, "t", "u"),  # folds
    _change((0, 7), 50, 52),
    _number,
    _widen,
    _truncate,
    _append(200, 260, "u"),
    _drop,
    _import,
    _number,
)
