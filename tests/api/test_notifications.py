"""LISTEN, NOTIFY, UNLISTEN: who is told what, and when."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import zerodb
from zerodb.sessions import notifications


@pytest.fixture
def pair(tmp_path: object) -> Iterator[tuple[zerodb.Connection, zerodb.Connection]]:
    path = f"{tmp_path}/db"
    with zerodb.connect(path, synchronous="off") as a, zerodb.connect(path) as b:
        yield a, b


def told(db: zerodb.Connection, wait_s: float = 0.0) -> list[tuple[str, str]]:
    return [(found.channel, found.payload) for found in db.notifications(wait_s)]


def test_who_listens_is_told(pair: tuple[zerodb.Connection, zerodb.Connection]) -> None:
    a, b = pair
    b.execute("listen news")
    b.execute('listen "News"')
    a.execute("notify news")
    a.execute("notify \"News\", 'it''s'")
    a.execute("notify other, 'x'")
    a.execute("select pg_notify($1, $2)", ["news", "by call"])
    sender = a.execute("select pg_backend_pid()").fetchone()
    found = b.notifications()
    assert [(n.channel, n.payload, (n.sender,)) for n in found] == [
        ("news", "", sender),
        ("News", "it's", sender),
        ("news", "by call", sender),
    ]
    assert told(b) == told(a) == []
    b.execute("unlisten news")
    a.execute("notify news")
    a.execute('notify "News"')
    assert told(b) == [("News", "")]
    b.execute("unlisten *")
    a.execute('notify "News"')
    assert told(b) == []


def test_a_transaction_tells_at_its_commit(pair: tuple[zerodb.Connection, zerodb.Connection]) -> None:
    a, b = pair
    b.execute("listen c")
    with a.transaction():
        a.execute("notify c, '1'")
        a.execute("notify c, '2'")
        a.execute("notify c, '1'")
        a.execute("savepoint s")
        a.execute("notify c, '3'")
        a.execute("rollback to s")
        a.execute("notify c, '4'")
        a.execute("release s")
        assert told(b) == []
    assert told(b) == [("c", "1"), ("c", "2"), ("c", "4")]
    with pytest.raises(ZeroDivisionError), a.transaction():
        a.execute("notify c, 'undone'")
        raise ZeroDivisionError
    a.begin()
    a.execute("notify c, 'failed'")
    with pytest.raises(zerodb.Error):
        a.execute("select 1 / 0")
    a.commit()
    with pytest.raises(zerodb.Error):
        a.execute("select pg_notify('c', 'alone'), 1 / (select 0)")
    a.execute("select 1")
    assert told(b) == []


def test_listening_begins_with_the_commit_and_messages_wait_for_the_end(
    pair: tuple[zerodb.Connection, zerodb.Connection],
) -> None:
    a, b = pair
    b.begin()
    b.execute("listen c")
    a.execute("notify c, 'early'")
    b.execute("notify c, 'own'")
    b.commit()
    b.begin()
    a.execute("notify c, 'late'")
    assert told(b) == []
    b.commit()
    assert told(b) == [("c", "own"), ("c", "late")]
    b.begin()
    b.execute("unlisten *")
    b.rollback()
    a.execute("notify c, 'still'")
    assert told(b) == [("c", "still")]


def test_waiting(pair: tuple[zerodb.Connection, zerodb.Connection]) -> None:
    a, b = pair
    b.execute("listen c")
    assert told(b, 0.01) == []
    sender = threading.Timer(0.05, lambda: a.execute("notify c, 'at last'"))
    sender.start()
    assert told(b, 20.0) == [("c", "at last")]
    sender.join()


def test_refusals(pair: tuple[zerodb.Connection, zerodb.Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pair
    b.execute("listen c")
    for statement, sqlstate in (
        ("select pg_notify('', 'x')", "22023"),
        ("select pg_notify(null, 'x')", "22023"),
        (f"select pg_notify('{'x' * 64}', 'x')", "22023"),
        (f"notify c, '{'x' * 8000}'", "22023"),
        ("notify c, 1", "42601"),
        ("listen *", "42601"),
        ("select pg_notify('c', g::text) from generate_series(1, 3) g", "0A000"),
    ):
        with pytest.raises(zerodb.Error) as error:
            a.execute(statement)
        assert error.value.sqlstate == sqlstate, statement
    monkeypatch.setattr(notifications, "QUEUE_MAX", 2)
    a.execute("notify c")
    a.execute("notify c")
    with pytest.raises(zerodb.Error, match="too many notifications") as error:
        a.execute("notify c")
    assert error.value.sqlstate == "54000"
    assert len(b.notifications()) == 2
    a.execute("notify c")


def test_a_closed_listener_is_forgotten(tmp_path: object) -> None:
    with zerodb.connect() as db:
        db.execute("listen c")
        switchboard = db._database.switchboard
    assert switchboard._listeners == {}
