"""A read-only process sees what the writing process has committed: rows, definitions, through every way to ask."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import zerodb

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
CHILD = """
import sys, zerodb
db = zerodb.connect(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    db.execute(line)
    print("done", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "shared.zdb")


@pytest.fixture
def write(path: str) -> Iterator[Callable[[str], None]]:
    """Runs a statement in the writing process; returns when it is committed."""
    command = [sys.executable, "-c", CHILD, path]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        incoming, outgoing = process.stdout, process.stdin
        assert incoming.readline() == "ready\n"

        def run(statement: str) -> None:
            outgoing.write(statement + "\n")
            assert incoming.readline() == "done\n"

        yield run
        outgoing.close()
        process.wait(20)


def test_statements_see_what_was_committed_before_they_began(path: str, write: Callable[[str], None]) -> None:
    write("create table t (a int primary key, b text)")
    with zerodb.connect(path, read_only=True) as db:
        point = db.prepare("select b from t where a = $1")
        count = db.prepare("select count(*) from t")
        for number in range(5):
            write(f"insert into t values ({number}, 'first')")
            assert count.execute().fetchone() == (number + 1,)
            assert point.execute([number]).fetchall() == [("first",)]
            write(f"update t set b = 'second' where a = {number}")
            assert point.execute([number]).fetchall() == [("second",)]
            assert db.execute("select max(a) from t").fetchone() == (number,)
        write("insert into t select g, 'many' from generate_series(100, 200000) g")
        assert count.execute().fetchone() == (199_906,)
        assert point.execute([150_000]).fetchall() == [("many",)]
        write("delete from t where a > 150000")
        assert point.execute([150_001]).fetchall() == []
        write("alter table t add column c int default 7")
        assert db.execute("select * from t where a = 3").fetchone() == (3, "second", 7)
        write("create view v as select sum(c) s from t where a < 5")
        assert db.execute("select s from v").fetchone() == (35,)
        write("drop view v")
        write("drop table t")
        with pytest.raises(zerodb.Error) as error:
            count.execute()
        assert error.value.sqlstate == "42P01"


def test_a_transaction_keeps_its_snapshot(path: str, write: Callable[[str], None]) -> None:
    write("create table t (a int)")
    write("insert into t values (1)")
    with zerodb.connect(path, read_only=True) as db:
        with db.transaction():
            assert db.execute("select count(*) from t").fetchone() == (1,)
            write("insert into t values (2)")
            write("insert into t select g from generate_series(1, 200000) g")
            assert db.execute("select count(*), max(a) from t").fetchone() == (1, 1)
            write("truncate t")
            assert db.execute("select count(*), max(a) from t").fetchone() == (1, 1)
        assert db.execute("select count(*) from t").fetchone() == (0,)
        with db.transaction("read committed"):
            write("insert into t values (3)")
            assert db.execute("select count(*) from t").fetchone() == (1,)


def test_readers_do_not_write_and_there_is_one_writer(path: str, write: Callable[[str], None]) -> None:
    write("create table t (a int)")
    write("create temporary table mine (a int)")
    write("create sequence s")
    write("select nextval('s')")
    with pytest.raises(zerodb.Error, match="in use by another process") as error:
        zerodb.connect(path)
    assert error.value.sqlstate == "55006"
    with zerodb.connect(path, read_only=True) as db:
        for statement in ("insert into t values (1)", "create table u (a int)", "select nextval('s')"):
            with pytest.raises(zerodb.Error) as error:
                db.execute(statement)
            assert error.value.sqlstate == "25006"
        with pytest.raises(zerodb.Error) as error:
            db.execute("select * from mine")
        assert error.value.sqlstate == "42P01"
        assert db.check() == []


TRANSFERS = """
import random, sys, zerodb
from zerodb_storage import publishing
publishing.FOLD_ROWS = 700
db = zerodb.connect(sys.argv[1], synchronous="normal")
r = random.Random(int(sys.argv[2]))
db.execute("create table if not exists account (id int primary key, balance bigint, note text)")
if db.execute("select count(*) from account").fetchone() == (0,):
    db.execute("insert into account select g, 100, 'note ' || g % 10 from generate_series(0, 999) g")
move = db.prepare("update account set balance = balance + $1, note = $2 where id = $3")
print("ready", flush=True)
following = 1000
while True:
    a, b, amount = r.randrange(1000), r.randrange(1000), r.randrange(100)
    with db.transaction():
        move.execute([-amount, f"note {r.randrange(10)}", a])
        move.execute([amount, f"text {r.randrange(500)}", b])
    kind = r.random()
    if kind < 0.05:
        with db.transaction():
            db.execute("insert into account values (?, 0, null)", [following])
            db.execute("delete from account where id = ?", [following - 1 if following > 1000 else -1])
        following += 1
    elif kind < 0.06:
        db.execute("update account set balance = balance, note = note where id < 300")
    elif kind < 0.065:
        db.execute("alter table account add column if not exists more int default 3")
    elif kind < 0.07:
        db.execute("alter table account drop column if exists more")
"""


@pytest.mark.slow
def test_queries_while_another_process_writes_and_dies(path: str) -> None:
    reader: zerodb.Connection | None = None
    for seed in range(2):
        command = [sys.executable, "-c", TRANSFERS, path, str(seed)]
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            reader = reader or zerodb.connect(path, read_only=True)
            query_for(reader, 2.5)
            process.kill()
        query_for(reader, 0.1)
    assert reader is not None
    assert reader.check() == []
    reader.close()


def query_for(db: zerodb.Connection, seconds: float) -> None:
    totals = db.prepare("select sum(balance), count(*) filter (where id < 1000) from account")
    groups = db.prepare("select note, sum(balance) from account group by note")
    one = db.prepare("select balance from account where id = $1")
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        number += 1
        assert totals.execute().fetchone() == (100_000, 1_000)
        assert sum(total for _, total in groups.execute().fetchall()) == 100_000
        with db.transaction():
            before = one.execute([number % 1_000]).fetchall()
            total = db.execute("select sum(balance) from account where id <> ?", [number % 1_000]).fetchone()
            assert total is not None
            assert total[0] + before[0][0] == 100_000
            assert one.execute([number % 1_000]).fetchall() == before
    assert number > 2
