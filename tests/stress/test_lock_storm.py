"""Threads lock rows, tables and numbers in random modes and orders, and change what they locked: everybody gets on or
is told why not, nobody holds anything at the end, and what the locks were to protect holds."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

import zerodb
from zerodb import Connection
from zerodb.errors import Error

ROWS = 6
MODES = ("update", "no key update", "share", "key share")
EXPECTED = {"40001", "40P01", "55P03", "23503"}


def transfer(connection: Connection, chooser: random.Random) -> None:
    """Moves money between two rows, read under locks: none is made or lost."""
    a, b = chooser.sample(range(ROWS), 2)
    mode = chooser.choice(("update", "no key update"))
    if chooser.random() < 0.5:
        sql = f"select id, v from parent where id in ({a}, {b}) for {mode}"
        found = dict(connection.execute(sql).fetchall())
    else:
        found = {}
        for id_ in (a, b):
            found.update(connection.execute(f"select id, v from parent where id = {id_} for {mode}").fetchall())
    if len(found) == 2:
        connection.execute("update parent set v = ? where id = ?", [found[a] - 1, a])
        connection.execute("update parent set v = ? where id = ?", [found[b] + 1, b])


def step(connection: Connection, chooser: random.Random) -> None:
    id_, mode = chooser.randrange(ROWS), chooser.choice(MODES)
    match chooser.randrange(9):
        case 0 | 1 | 2:
            transfer(connection, chooser)
        case 3:
            connection.execute(f"select v from parent where id = {id_} for {mode}")
        case 4:
            how = chooser.choice(("skip locked", "nowait"))
            connection.execute(f"select v from parent where id >= {id_} order by id limit 2 for {mode} {how}")
        case 5:
            connection.execute("insert into child (ref) values (?)", [id_])
        case 6:
            connection.execute(f"delete from child where ref = {id_}")
        case 7:
            connection.execute(f"select pg_advisory_xact_lock({chooser.randrange(3)})")
        case 8:
            connection.execute("savepoint s")
            connection.execute(f"update parent set v = v - 7 where id = {id_}")
            connection.execute("rollback to s")


def work(connection: Connection, seed: int, transactions: int, strange: list[BaseException]) -> None:
    chooser = random.Random(seed)
    try:
        for _ in range(transactions):
            connection.begin(chooser.choice(("read committed", "repeatable read")))
            try:
                if chooser.random() < 0.05:
                    connection.execute(f"lock table parent in {chooser.choice(('share', 'exclusive'))} mode")
                for _ in range(chooser.randrange(1, 5)):
                    step(connection, chooser)
                connection.commit()
            except Error as error:
                if error.sqlstate not in EXPECTED:
                    raise
                connection.rollback()
    except BaseException as error:
        strange.append(error)


def storm(path: str, threads: int, transactions: int, seed: int) -> None:
    with zerodb.connect(path) as first:
        first.executescript(
            "create table parent (id int primary key, v int); create table child (ref int references parent (id));"
            f"insert into parent select g, 100 from generate_series(0, {ROWS - 1}) g"
        )
        strange: list[BaseException] = []
        connections = [first.duplicate() for _ in range(threads)]
        workers = [
            threading.Thread(target=work, args=(connection, seed * 100 + number, transactions, strange), daemon=True)
            for number, connection in enumerate(connections)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
            assert not worker.is_alive(), f"nobody gets on: {first.execute('select * from pg_locks').fetchall()}"
        assert not strange, strange
        assert first.execute("select sum(v), count(*) from parent").fetchall() == [(100 * ROWS, ROWS)]
        assert first.execute("select count(*) from pg_locks").fetchall() == [(0,)]
        for connection in connections:
            connection.close()


def test_a_short_storm(tmp_path: Path) -> None:
    storm(":memory:", 6, 25, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_long_storms(tmp_path: Path, seed: int) -> None:
    storm(str(tmp_path / "database"), 8, 300, seed)
