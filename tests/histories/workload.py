"""Makes histories: threads with a connection each run random transactions, and write down what they did and saw.

What is run is chosen by a seed; how the threads interleave is not, so a seed does not repeat a history exactly. Pauses
between statements make transactions overlap. Errors that tell a client to try again end a transaction and are counted;
any other error is the test's.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.histories.model import (
    Append,
    Insert,
    Operation,
    Outcome,
    ReadList,
    ReadRegister,
    Scan,
    Transaction,
    Write,
)

import zerodb

RETRYABLE = frozenset({"40001", "40P01"})


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what is run, at which level."""

    level: str
    seed: int
    threads: int = 4
    transactions: int = 200  # in all
    keys: int = 4
    operations: int = 4  # of a transaction, at most
    pause_s: float = 0.001
    patience_s: float = 60.0


@dataclass(slots=True)
class Recorded:
    """A history, and the errors that ended transactions of it, by SQLSTATE."""

    transactions: list[Transaction]
    errors: Counter[str] = field(default_factory=Counter)


class Workload(ABC):
    """One kind of history: its table and statements."""

    table: str

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._values = itertools.count(1)

    def value(self) -> int:
        """A value that no other operation has."""
        return next(self._values)

    @abstractmethod
    def make(self, db: zerodb.Connection) -> None:
        """The tables, as they are in the beginning."""

    @abstractmethod
    def step(self, db: zerodb.Connection, chance: random.Random) -> list[Operation]:
        """One or a few statements of a transaction: what they did and saw."""

    @abstractmethod
    def read_all(self, db: zerodb.Connection) -> list[Operation]:
        """All that is there."""

    @abstractmethod
    def check(self, transactions: list[Transaction]) -> list[object]:
        """The anomalies of a history of this kind."""


def record(connect: Callable[[], zerodb.Connection], workload: Workload) -> Recorded:
    """Runs the workload's transactions; the last one of the history has read everything."""
    return _Recording(connect, workload).run()


class _Recording:
    def __init__(self, connect: Callable[[], zerodb.Connection], workload: Workload) -> None:
        self._connect = connect
        self._workload = workload
        self._clock = itertools.count(1)
        self._numbers = itertools.count(1)
        self._done: list[Transaction] = []
        self._errors: Counter[str] = Counter()
        self._failed: list[BaseException] = []

    def run(self) -> Recorded:
        plan = self._workload.plan
        with self._connect() as db:
            self._workload.make(db)
            connections = [self._connect() for _ in range(plan.threads)]
            threads = [
                threading.Thread(target=self._work, args=(number, connection), daemon=True)
                for number, connection in enumerate(connections)
            ]
            for thread in threads:
                thread.start()
            until = time.monotonic() + plan.patience_s
            for thread in threads:
                thread.join(max(until - time.monotonic(), 0))
            stuck = [thread for thread in threads if thread.is_alive()]
            for connection in connections:
                if stuck:
                    connection.interrupt()
            for thread in stuck:
                thread.join(10)
            assert not stuck, f"{len(stuck)} threads had not ended after {plan.patience_s:g} s"
            for connection in connections:
                connection.close()
            if self._failed:
                raise self._failed[0]
            start = next(self._clock)
            seen = self._workload.read_all(db)
            self._note(plan.threads, seen, Outcome.OK, start)
        return Recorded(self._done, self._errors)

    def _work(self, process: int, db: zerodb.Connection) -> None:
        plan = self._workload.plan
        chance = random.Random(f"{plan.seed}/{process}")
        try:
            level = {"snapshot": "repeatable read"}.get(plan.level, plan.level)
            db.execute(f"set default_transaction_isolation = '{level}'")  # of statements that commit alone
            for _ in range(plan.transactions // plan.threads):
                if self._failed:
                    return
                self._transaction(process, db, chance)
        except BaseException as error:
            self._failed.append(error)

    def _note(self, process: int, operations: list[Operation], outcome: Outcome, start: int) -> None:
        if operations:
            number, end = next(self._numbers), next(self._clock)
            self._done.append(Transaction(number, process, tuple(operations), outcome, start, end))

    def _transaction(self, process: int, db: zerodb.Connection, chance: random.Random) -> None:
        plan = self._workload.plan
        done: list[Operation] = []
        outcome = Outcome.FAIL
        start = next(self._clock)
        alone = chance.random() < 0.1  # statements that commit by themselves
        try:
            if not alone:
                db.begin(plan.level)
            for _ in range(1 if alone else chance.randint(1, plan.operations)):
                if not alone and chance.random() < 0.1:
                    self._undone(process, db, chance, start)
                done += self._workload.step(db, chance)
                if chance.random() < 0.5:
                    time.sleep(chance.random() * plan.pause_s)
            if alone or chance.random() < 0.95:
                db.commit()
                outcome = Outcome.OK
            else:
                db.rollback()
        except zerodb.Error as error:
            if error.sqlstate not in RETRYABLE:
                raise
            self._errors[str(error.sqlstate)] += 1
            db.rollback()
        self._note(process, done, outcome, start)

    def _undone(self, process: int, db: zerodb.Connection, chance: random.Random, start: int) -> None:
        """A step that is taken back: nobody may see anything of it. It counts as a transaction that failed."""
        db.execute("savepoint before")
        done = self._workload.step(db, chance)
        db.execute("rollback to before")
        self._note(process, done, Outcome.FAIL, start)


def one(db: zerodb.Connection, sql: str, *values: object) -> tuple[object, ...] | None:
    return db.execute(sql, values).fetchone()


def elements(text: object) -> tuple[int, ...]:
    """A list as the table holds it: numbers, each with a comma before it."""
    assert isinstance(text, str)
    return tuple(int(part) for part in text.split(",")[1:])


class Lists(Workload):
    """Lists of numbers as texts that grow by UPDATE, by INSERT ... ON CONFLICT, and by locking, reading and writing."""

    table = "lists"

    def make(self, db: zerodb.Connection) -> None:
        db.execute("create table lists (k integer primary key, v text not null)")
        db.execute("insert into lists select k, '' from generate_series(0, $1::bigint - 1) as k", [self.plan.keys])

    def step(self, db: zerodb.Connection, chance: random.Random) -> list[Operation]:
        key = chance.randrange(self.plan.keys)
        match chance.choices(("read", "read all", "append", "upsert", "lock"), (4, 1, 3, 1, 1))[0]:
            case "read":
                found = one(db, "select v from lists where k = $1", key)
                return [ReadList(key, elements(found[0]) if found else ())]
            case "read all":
                return self.read_all(db)
            case "append":
                value = self.value()
                changed = db.execute("update lists set v = v || $1 where k = $2", [f",{value}", key]).rowcount
                assert changed == 1
                return [Append(key, value)]
            case "upsert":
                value = self.value()
                db.execute(
                    "insert into lists values ($1, $2) on conflict (k) do update set v = lists.v || excluded.v",
                    [key, f",{value}"],
                )
                return [Append(key, value)]
            case _:
                return self._locked(db, key)

    def _locked(self, db: zerodb.Connection, key: int) -> list[Operation]:
        """Reads, and writes what it has read with one more; the row is locked in between."""
        if not db.in_transaction:
            return []
        value = self.value()
        found = one(db, "select v from lists where k = $1 for update", key)
        assert found is not None
        db.execute("update lists set v = $1 where k = $2", [f"{found[0]},{value}", key])
        return [ReadList(key, elements(found[0])), Append(key, value)]

    def read_all(self, db: zerodb.Connection) -> list[Operation]:
        return [ReadList(key, elements(text)) for key, text in db.execute("select k, v from lists").fetchall()]

    def check(self, transactions: list[Transaction]) -> list[object]:
        from tests.histories import list_append

        return list(list_append.check(transactions))


class Registers(Workload):
    """Registers that are read, written, and read and then written."""

    table = "registers"

    def make(self, db: zerodb.Connection) -> None:
        db.execute("create table registers (k integer primary key, v integer)")
        db.execute(
            "insert into registers select k, null from generate_series(0, $1::bigint - 1) as k", [self.plan.keys]
        )

    def step(self, db: zerodb.Connection, chance: random.Random) -> list[Operation]:
        key = chance.randrange(self.plan.keys)
        match chance.choices(("read", "read all", "write", "both"), (4, 1, 2, 3))[0]:
            case "read":
                return [self._read(db, key)]
            case "read all":
                return self.read_all(db)
            case "write":
                return [self._write(db, key)]
            case _ if db.in_transaction:
                return [self._read(db, key), self._write(db, key)]
            case _:  # two statements would be two transactions
                return [self._read(db, key)]

    @staticmethod
    def _read(db: zerodb.Connection, key: int) -> Operation:
        found = one(db, "select v from registers where k = $1", key)
        assert found is not None
        assert found[0] is None or isinstance(found[0], int)
        return ReadRegister(key, found[0])

    def _write(self, db: zerodb.Connection, key: int) -> Operation:
        value = self.value()
        changed = db.execute("update registers set v = $1 where k = $2", [value, key]).rowcount
        assert changed == 1
        return Write(key, value)

    def read_all(self, db: zerodb.Connection) -> list[Operation]:
        return [ReadRegister(key, value) for key, value in db.execute("select k, v from registers").fetchall()]

    def check(self, transactions: list[Transaction]) -> list[object]:
        from tests.histories import registers

        return list(registers.check(transactions))


_RANGES = (
    "grp between $1 and $2",
    "grp >= $1 and grp <= $2",
    "$1 <= grp and not grp > $2",
    "abs(grp * 2 - $1 - $2) <= $2 - $1",  # no range that anybody could tell from the text
    "grp in (select g from generate_series($1::integer, $2::integer) as g)",
)


class Rows(Workload):
    """Rows that are inserted into groups, and queries over ranges of groups: rows, their count and sum, or a text."""

    table = "found"

    def make(self, db: zerodb.Connection) -> None:
        db.execute("create table found (id integer primary key, grp integer not null, note text)")
        if self.plan.seed % 2:
            db.execute("create index on found (grp)")

    def step(self, db: zerodb.Connection, chance: random.Random) -> list[Operation]:
        group = chance.randrange(self.plan.keys)
        if chance.random() < 0.4:
            count = 1 if chance.random() < 0.7 else 3
            values = [self.value() for _ in range(count)]
            groups = [(group + number) % self.plan.keys for number in range(count)]
            rows = ", ".join(f"({value}, {of}, 'row {value}')" for value, of in zip(values, groups, strict=True))
            db.execute(f"insert into found values {rows}")
            return [Insert(of, value) for value, of in zip(values, groups, strict=True)]
        return [self._scan(db, chance, group, min(group + chance.randrange(3), self.plan.keys - 1))]

    @staticmethod
    def _scan(db: zerodb.Connection, chance: random.Random, low: int, high: int) -> Operation:
        where = chance.choice(_RANGES)
        if chance.random() < 0.5:
            found = {row[0] for row in db.execute(f"select id from found where {where}", [low, high]).fetchall()}
        else:
            sql = f"select count(*), coalesce(sum(id), 0), string_agg(id::text, ',') from found where {where}"
            count, total, text = db.execute(sql, [low, high]).fetchall()[0]
            found = {int(part) for part in text.split(",")} if text else set()
            assert (count, total) == (len(found), sum(found))
        return Scan(low, high, frozenset(found))

    def read_all(self, db: zerodb.Connection) -> list[Operation]:
        found = frozenset(row[0] for row in db.execute("select id from found").fetchall())
        return [Scan(0, self.plan.keys - 1, found)]

    def check(self, transactions: list[Transaction]) -> list[object]:
        from tests.histories import rows

        return list(rows.check(transactions))


WORKLOADS: dict[str, type[Workload]] = {"lists": Lists, "registers": Registers, "rows": Rows}
