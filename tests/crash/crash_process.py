"""The process that is killed: several threads of random transactions over one database, and what goes on beside them.

Every transaction is announced in the journal before it begins and acknowledged after its commit, each with one write
to a file opened for appending: that survives the process. A mistake seen from inside (a reader that finds a broken
invariant, an error nobody expects) is journalled, too.

    i SLOT N            begins                       a SLOT N   committed
    f SLOT N SQLSTATE   failed, nothing of it holds  bad TEXT   a mistake of the database
    b begin             a backup begins              b NUMBER   it is made
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import sys
import threading
import time
import traceback
from typing import Any

import crash_points
import crash_workload as workload
import pyarrow as pa

import zerodb
from zerodb_storage import database, import_batches, importing, publishing

RETRIES = 30
FAILURES = ("40001", "40P01", "23505", "55P03", "57014")  # conflicts with other transactions


class _RolledBack(Exception):
    pass


class Process:
    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.path, self.seed, self.run = config["path"], config["seed"], config["run"]
        self.journal = os.open(config["journal"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.stop = threading.Event()

    def note(self, *words: object) -> None:
        os.write(self.journal, (" ".join(map(str, words)) + "\n").encode())

    def connect(self) -> zerodb.Connection:
        return zerodb.connect(self.path, threads=1, memory_limit="256MB", synchronous=self.config["synchronous"])

    def main(self) -> None:
        with self.connect() as db:
            self.set_up(db)
            print("open", flush=True)
            tasks = [(self.work, slot) for slot in range(self.config["slots"])] + [(self.read, -1), (self.keep, -2)]
            threads = [threading.Thread(target=self.guarded, args=task) for task in tasks]
            for thread in threads:
                thread.start()
            self.stop.wait(self.config["seconds"])
            self.stop.set()
            for thread in threads:
                thread.join(40)
                if thread.is_alive():
                    self.note("bad", json.dumps("a thread does not end"))
                    os._exit(1)

    def guarded(self, work: Any, slot: int) -> None:
        try:
            with self.connect() as db:
                work(db, slot, random.Random(f"{self.seed}.{self.run}.{slot}"))
        except BaseException:
            self.note("bad", json.dumps(traceback.format_exc()))
            self.stop.set()

    def set_up(self, db: zerodb.Connection) -> None:
        if "done" in db.tables():
            return
        with db.transaction():
            for statement in workload.SCHEMA:
                db.execute(statement)
            for slot in range(self.config["slots"]):
                db.execute(workload.OWN_SCHEMA.format(slot=slot))
                db.execute("insert into counters values (?, 0, 0)", [slot])

    # --- what happens at the same time --------------------------------------------------------------------------------

    def work(self, db: zerodb.Connection, slot: int, r: random.Random) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            task = workload.task(self.seed, self.run, slot, number)
            self.note("i", slot, number)
            try:
                self.perform(db, task, r)
            except _RolledBack:
                self.note("f", slot, number, "rollback")
            except zerodb.Error as error:
                if error.sqlstate not in FAILURES:
                    raise
                self.note("f", slot, number, error.sqlstate)
            else:
                self.note("a", slot, number)

    def perform(self, db: zerodb.Connection, task: workload.Task, r: random.Random) -> None:
        for attempt in range(RETRIES):
            try:
                match task.kind:
                    case "import":
                        bulk_import(db, task)
                    case "auto":
                        automatic(db, task)
                    case "mark":
                        run, slot, number = task.place
                        db.execute("insert into marks values (?, ?, ?, ?)", [slot, run, number, f"mark {number}"])
                    case "count":
                        run, slot, number = task.place
                        db.execute("update counters set run = ?, n = ? where slot = ?", [run, number, slot])
                    case _:
                        transaction(db, task)
                return
            except zerodb.Error as error:
                if not error.retryable or attempt == RETRIES - 1:
                    raise
                time.sleep(r.random() * 0.01 * min(attempt, 5))

    def read(self, db: zerodb.Connection, _: int, r: random.Random) -> None:
        """Every snapshot keeps the invariants."""
        while not self.stop.is_set():
            with db.transaction(read_only=True):
                found = db.execute("select sum(balance), count(*) from accounts").fetchone()
                assert found == (workload.ACCOUNTS * workload.BALANCE, workload.ACCOUNTS), found
                orphans = "select count(*) from children where parent not in (select id from parents)"
                assert db.execute(orphans).fetchone() == (0,)
                done = db.execute("select run, slot, n from done where run = ?", [self.run]).fetchall()
                appended = db.execute("select items from lists where k = ?", [r.randint(1, workload.LISTS)]).fetchone()
                assert appended is not None
                elements = {e for e in appended[0].split() if e.startswith(f"{self.run}.")}
                assert elements <= {workload.element(place) for place in done}, elements
            time.sleep(r.random() * 0.05)

    def keep(self, db: zerodb.Connection, _: int, r: random.Random) -> None:
        """What somebody does from time to time who looks after a database."""
        while not self.stop.is_set():
            time.sleep(r.random() * 0.4)
            match r.randrange(4):
                case 0:
                    problems = db.check()
                    assert problems == [], problems
                case 1:
                    db._database.storage.compact()
                case 2:
                    db._database.forget_statements()
                case 3:
                    self.note("b", "begin")
                    report = backed_up(db, self.config["backups"], r.random() < 0.7)
                    self.note("b", report.number)


def backed_up(db: zerodb.Connection, destination: str, incremental: bool) -> Any:
    if incremental:
        try:
            return db.backup(destination, incremental=True)
        except zerodb.Error as error:  # the first one, or the history was not kept
            if error.sqlstate not in ("55000", "58P01"):
                raise
    return db.backup(destination)


# --- transactions -----------------------------------------------------------------------------------------------------


def transaction(db: zerodb.Connection, task: workload.Task) -> None:
    run, slot, number = task.place
    with db.transaction(task.isolation):
        at_the_end = number % 2
        if not at_the_end:
            db.execute("insert into done values (?, ?, ?)", [slot, run, number])
        for operation in task.operations:
            operate(db, task.place, operation)
        if at_the_end:
            db.execute("insert into done values (?, ?, ?)", [slot, run, number])
        if task.kind == "rollback":
            raise _RolledBack


def automatic(db: zerodb.Connection, task: workload.Task) -> None:
    run, slot, number = task.place
    ((_, low, high, amount),) = task.operations
    db.execute(
        """with noted as (insert into done values ($1, $2, $3))
        update items set v = v + $4 where slot = $1 and k between $5 and $6""",
        [slot, run, number, amount, low, high],
    )


def bulk_import(db: zerodb.Connection, task: workload.Task) -> None:
    run, slot, number = task.place
    ((_, batches),) = task.operations
    rows = workload.IMPORT_ROWS
    tables = [
        pa.table(
            {
                "run": pa.array([run] * rows, pa.int32()),
                "n": pa.array([number] * rows, pa.int32()),
                "batch": pa.array([batch] * rows, pa.int32()),
                "i": pa.array(range(batch * rows, (batch + 1) * rows), pa.int32()),
            }
        )
        for batch in range(batches)
    ]
    import_batches(db._database.storage, f"imports_{slot}", pa.concat_tables(tables).combine_chunks().to_batches())


def operate(db: zerodb.Connection, place: workload.Place, operation: workload.Operation) -> None:
    run, slot, number = place
    match operation:
        case ("undone", operations):
            db.execute("savepoint here")
            try:
                for undone in operations:
                    operate(db, place, undone)
                db.execute("update accounts set balance = balance + 7 where id < 3")
            except zerodb.IntegrityError:
                pass
            db.execute("rollback to savepoint here")
        case ("move", source, target, amount):
            db.execute("update accounts set balance = balance - ? where id = ?", [amount, source])
            db.execute("update accounts set balance = balance + ? where id = ?", [amount, target])
        case ("append", k):
            db.execute("update lists set items = items || ? where k = ?", [workload.element(place) + " ", k])
        case ("claim", name):
            code = sum(name.encode()) * 1000 + int(name.split()[1])
            mine = db.execute("select count(*) from claims where name = ? and slot = ?", [name, slot]).fetchone()
            if mine == (0,):
                db.execute("insert into claims values (?, ?, ?)", [name, code, slot])
        case ("unclaim",):
            db.execute("delete from claims where slot = ?", [slot])
        case ("tickets", count):
            sql = "insert into tickets (slot, run, n) select ?, ?, ? from generate_series(1, ?)"
            db.execute(sql, [slot, run, number, count])
        case ("put", rows):
            sql = """insert into items values (?, ?, ?, ?)
                on conflict (slot, k) do update set v = excluded.v, s = excluded.s"""
            for row in rows:
                db.execute(sql, [slot, *row])
        case ("fill", low, high, value):
            db.execute("delete from items where slot = ? and k between ? and ?", [slot, low, high])
            sql = "insert into items select ?, g, ?, 'f' || g from generate_series(?, ?) g"
            db.execute(sql, [slot, value, low, high])
        case ("add", low, high, amount):
            db.execute("update items set v = v + ? where slot = ? and k between ? and ?", [amount, slot, low, high])
        case ("cut", low, high):
            db.execute("delete from items where slot = ? and k between ? and ?", [slot, low, high])
        case ("shift", low, high, by):
            db.execute("delete from items where slot = ? and k between ? and ?", [slot, low + by, high + by])
            db.execute("update items set k = k + ? where slot = ? and k between ? and ?", [by, slot, low, high])
        case ("spots", spots):
            for k, v in spots:
                key = workload.spot(slot, k)
                if v is None:
                    db.prepare("delete from spots where id = $1").execute([key])
                elif db.prepare("select v from spots where id = $1").execute([key]).fetchone() is None:
                    db.prepare("insert into spots values ($1, $2, $3)").execute([key, v, f"v{v}"])
                else:
                    changed = db.prepare("update spots set v = $2, s = $3 where id = $1").execute([key, v, f"v{v}"])
                    assert changed.rowcount == 1
        case ("parent", parent, count):
            db.execute("delete from parents where id = ?", [parent])
            db.execute("insert into parents values (?, ?)", [parent, slot])
            children = [(parent * 10 + i, parent) for i in range(count)]
            db.executemany("insert into children values (?, ?)", children)
        case ("orphan", parent):
            db.execute("delete from parents where id = ?", [parent])
        case ("own", "view", *_):
            db.execute(f"create or replace view view_{slot} as select {number} as n")
        case ("own", what, low, count, column, value):
            own(db, f"own_{slot}", what, low, count, column, value)
        case _:
            raise AssertionError(operation)


def own(db: zerodb.Connection, table: str, what: str, low: int, count: int, column: int, value: int) -> None:
    if what in ("drop", "fresh"):
        db.execute(f"drop table if exists {table}")
    if what == "drop":
        return
    db.execute(f"create table if not exists {table} (a int primary key, b text)")
    match what:
        case "truncate":
            db.execute(f"truncate {table}")
        case "fresh" | "more":
            db.execute(f"delete from {table} where a between ? and ?", [low, low + count - 1])
            sql = f"insert into {table} (a, b) select g, 'b' || g from generate_series(?, ?) g"
            db.execute(sql, [low, low + count - 1])
        case "widen":
            db.execute(f"alter table {table} add column if not exists c{column} int default {value}")
        case "narrow":
            db.execute(f"alter table {table} drop column if exists c{column}")
        case "index":
            db.execute(f"create unique index if not exists {table}_b on {table} (b)")
        case "rename":
            db.execute(f"alter table {table} rename to {table}_moved")
            db.execute(f"alter table {table}_moved rename to {table}")


def main() -> None:
    faulthandler.enable()  # SIGABRT to one that hangs: where its threads are
    config = json.loads(sys.argv[1])
    publishing.FOLD_ROWS = config["fold_rows"]
    publishing.FOLD_RECORDS = config["fold_records"]
    database.UNLOGGED_BYTES_MIN = 0 if config["run"] % 2 else 4 << 20
    importing.BATCH_ROWS = workload.IMPORT_ROWS
    if config["point"]:
        crash_points.arm(config["point"])
    print("ready", flush=True)
    Process(config).main()


if __name__ == "__main__":
    main()
