"""Restarts, two users of one database, threads, interruption."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

import zerodb


def test_restart(path: str) -> None:
    with zerodb.connect(path) as db:
        db.execute("create table t (id integer primary key, s text default 'd', b boolean)")
        db.execute("insert into t values (1, 'one', true), (2, null, null)")
        db.execute("insert into t (id) values (3)")
        db.begin()
        db.execute("insert into t (id) values (4)")  # never committed
    with zerodb.connect(path) as db:
        assert db.execute("select * from t order by id").fetchall() == [
            (1, "one", True),
            (2, None, None),
            (3, "d", None),
        ]
        db.execute("delete from t where id = 1")
        db.execute("update t set s = 'two' where id = 2")
    with zerodb.connect(path, read_only=True) as db:
        assert db.execute("select id, s from t order by id").fetchall() == [(2, "two"), (3, "d")]
        for statement in ("insert into t (id) values (9)", "create table u (a integer)", "drop table t"):
            with pytest.raises(zerodb.OperationalError) as caught:
                db.execute(statement)
            assert caught.value.sqlstate == "25006"


def test_the_machine_code_survives_a_restart(path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    text = "select a, count(*) from t group by a order by a"
    with zerodb.connect(path) as db:
        db.execute("create table t (a integer)")
        db.execute("insert into t values (1), (1), (2)")
        statement = db.prepare(text)
        statement._prepared.query.code.wait_optimized(30)  # type: ignore[union-attr]
    with zerodb.connect(path) as db:
        statement = db.prepare(text)
        assert statement._prepared.query.code.statistics.from_cache  # type: ignore[union-attr]
        assert statement.execute().fetchall() == [(1, 2), (2, 1)]


def test_a_second_process_is_told(path: str) -> None:
    with zerodb.connect(path) as db:
        db.execute("create table t (a integer)")
        code = (
            "import sys, zerodb\n"
            "try: zerodb.connect(sys.argv[1])\n"
            "except zerodb.OperationalError as error: print(error.sqlstate)"
        )
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "55006"


def test_not_a_database(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    with pytest.raises(zerodb.Error):
        zerodb.connect(str(file))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "thing").write_text("x")
    with pytest.raises(zerodb.Error):
        zerodb.connect(str(folder))
    assert (folder / "thing").read_text() == "x"


def test_connections_share_the_database(path: str) -> None:
    one, two = zerodb.connect(path), zerodb.connect(path)
    one.execute("create table t (a integer)")
    two.execute("insert into t values (1)")
    assert one.execute("select a from t").fetchall() == [(1,)]
    one.close()
    assert two.execute("select a from t").fetchall() == [(1,)]
    two.close()
    with zerodb.connect(path) as again:
        assert again.execute("select a from t").fetchall() == [(1,)]


def test_threads_on_one_connection(db: zerodb.Connection) -> None:
    db.register("numbers", pa.table({"n": pa.array(range(100_000), pa.int64())}))
    failures: list[BaseException] = []

    def work(k: int) -> None:
        try:
            for _ in range(10):
                (total,) = db.execute("select sum(n) from numbers where n < ?", [k * 1000]).fetchone() or (None,)
                assert total == sum(range(k * 1000))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_reader_is_not_disturbed_by_a_writer(path: str) -> None:
    with zerodb.connect(path, synchronous="off") as writer, zerodb.connect(path) as reader:
        writer.execute("create table t (a integer, b integer)")
        failures: list[BaseException] = []
        done = threading.Event()

        def read() -> None:
            try:
                while not done.is_set():
                    count, total = reader.execute("select count(*), coalesce(sum(a + b), 0) from t").fetchone() or (
                        1,
                        1,
                    )
                    assert total == 0
                    assert count % 10 == 0
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=read)
        thread.start()
        for i in range(30):
            writer.executemany("insert into t values (?, ?)", [(i * k, -i * k) for k in range(10)])
        done.set()
        thread.join()
        assert not failures


BUSY = "select count(*) from numbers a, numbers b where a.n * b.n % 7 = 3 and a.n + b.n > 5"


def test_statement_timeout(db: zerodb.Connection) -> None:
    db.register("numbers", pa.table({"n": pa.array(range(60_000), pa.int64())}))
    db.execute("set statement_timeout = '50ms'")
    with pytest.raises(zerodb.OperationalError) as caught:
        db.execute(BUSY)
    assert caught.value.sqlstate == "57014"
    db.execute("set statement_timeout = 0")
    assert db.execute("select count(*) from numbers").fetchone() == (60_000,)


def test_statement_timeout_while_another_transaction_writes(path: str) -> None:
    with zerodb.connect(path) as first, zerodb.connect(path) as second:
        first.execute("create table t (a integer primary key)")
        second.execute("set statement_timeout = '50ms'")
        with first.transaction():
            first.execute("insert into t values (1)")
            with pytest.raises(zerodb.OperationalError) as caught:
                second.execute("insert into t values (1)")
            assert caught.value.sqlstate == "57014"
        second.execute("insert into t values (3)")
        assert first.execute("select a from t order by a").fetchall() == [(1,), (3,)]


def test_interrupt(db: zerodb.Connection) -> None:
    db.register("numbers", pa.table({"n": pa.array(range(60_000), pa.int64())}))
    timer = threading.Timer(0.2, db.interrupt)
    timer.start()
    began = time.monotonic()
    with pytest.raises(zerodb.OperationalError) as caught:
        db.execute(BUSY)
    assert caught.value.sqlstate == "57014"
    assert time.monotonic() - began < 10
    timer.join()
    assert db.execute("select 1").fetchone() == (1,)


def test_interrupt_is_for_one_connection(path: str) -> None:
    with zerodb.connect(path) as one, zerodb.connect(path) as two:
        one.register("numbers", pa.table({"n": pa.array(range(20_000), pa.int64())}))
        timer = threading.Timer(0.1, two.interrupt)
        timer.start()
        cursor = one.execute("select count(*) from numbers a, numbers b where a.n * b.n % 7 = 3")
        timer.join()
        assert cursor.fetchone() is not None


def test_a_forgotten_connection_lets_go(path: str) -> None:
    def forget() -> None:
        db = zerodb.connect(path)
        db.execute("create table t (a integer)")
        db.begin()
        db.execute("insert into t values (1)")

    forget()
    gc.collect()
    code = "import sys, zerodb; print(zerodb.connect(sys.argv[1]).execute('select count(*) from t').fetchone())"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(0,)"


def test_memory_limit() -> None:
    with zerodb.connect(memory_limit="24MB") as db:
        db.register("numbers", pa.table({"n": pa.array(range(2_000_000), pa.int64())}))
        with pytest.raises(zerodb.OperationalError) as caught:
            db.execute("select n, count(*) from numbers group by n")
        assert caught.value.sqlstate == "53200"
        assert db.execute("select count(*), sum(n) from numbers").fetchone() == (2_000_000, 1_999_999_000_000)
