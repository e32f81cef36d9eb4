"""A read-only process sees what the writing process has committed: rows, definitions, through every way to ask."""

from __future__ import annotations

import os
import subprocess
import sys
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
