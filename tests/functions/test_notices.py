"""RAISE NOTICE and its like: where they go, and that a statement that runs again says nothing twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import zerodb
from zerodb.sessions.notices import MAX_KEPT, Notice


@pytest.fixture
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect(":memory:") as connection:
        yield connection


def test_kept_without_a_handler(db: zerodb.Connection) -> None:
    db.execute("do $$ begin raise notice 'one %', 1 using hint = 'why', errcode = '12345'; raise warning 'two'; end $$")
    first, second = db.notices
    place = "PL/pgSQL function inline_code_block line 1 at RAISE"
    assert first == Notice("NOTICE", "one 1", "12345", None, "why", place)
    assert (second.severity, second.sqlstate) == ("WARNING", "01000")
    db.execute("do $$ begin for i in 1..100 loop raise notice '%', i; end loop; end $$")
    assert len(db.notices) == MAX_KEPT
    assert db.notices[-1].message == "100"


def test_a_handler_takes_them_at_once(db: zerodb.Connection) -> None:
    said: list[str] = []

    def handler(notice: Notice) -> None:
        said.append(str(notice))

    db.add_notice_handler(handler)
    with pytest.raises(zerodb.ProgrammingError):
        db.execute("do $$ begin raise notice 'before'; raise exception 'end'; end $$")
    assert said == ["NOTICE:  before"]
    db.remove_notice_handler(handler)
    db.execute("do $$ begin raise notice 'kept'; end $$")
    assert said == ["NOTICE:  before"]
    assert [notice.message for notice in db.notices] == ["kept"]


def test_client_min_messages(db: zerodb.Connection) -> None:
    db.execute("set client_min_messages = warning")
    db.execute("do $$ begin raise notice 'no'; raise debug 'no'; raise info 'yes'; raise warning 'yes'; end $$")
    assert [notice.severity for notice in db.notices] == ["INFO", "WARNING"]
    db.execute("set client_min_messages = debug1")
    db.execute("do $$ begin raise debug 'yes'; end $$")
    assert db.notices[-1].severity == "DEBUG"


def test_a_statement_that_runs_again_says_nothing_twice(tmp_path: Path) -> None:
    with zerodb.connect(str(tmp_path / "db")) as one, zerodb.connect(str(tmp_path / "db")) as two:
        one.execute("create table t (a integer primary key, n integer)")
        one.execute("insert into t values (1, 0)")
        one.execute(
            "create function add() returns integer language plpgsql as "
            "$$ begin raise notice 'begins'; update t set n = n + 1 where a = 1; raise notice 'ends'; return 1; end $$"
        )
        one.begin()
        one.execute("update t set n = 10")
        waiting = threading.Thread(target=lambda: two.execute("select add()"))
        waiting.start()
        until = time.monotonic() + 10
        while len(two.notices) < 1 and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.05)
        one.commit()
        waiting.join(timeout=10)
        assert [notice.message for notice in two.notices] == ["begins", "ends"]
        assert one.execute("select n from t").fetchall() == [(11,)]
