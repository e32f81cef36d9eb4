"""Ctrl-C ends a long query at once, and the connection goes on."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

import zerodb

ENDLESS = "select count(*) from n a, n b, n c, n d where a.i + b.i + c.i + d.i = -1"


@pytest.fixture
def db() -> zerodb.Connection:
    connection = zerodb.connect(threads=2)
    connection.execute("create table n (i integer)")
    connection.executemany("insert into n values (?)", [[number] for number in range(2000)])
    return connection


def test_ctrl_c_ends_a_query(db: zerodb.Connection) -> None:
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        pytest.skip("SIGINT has another handler here")
    for _ in range(3):
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            db.execute(ENDLESS)
        assert time.monotonic() - began < 5
        assert db.execute("select count(*) from n").fetchone() == (2000,)
    assert signal.set_wakeup_fd(-1) == -1


def test_another_handler_is_left_alone(db: zerodb.Connection) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    try:
        db.execute("set statement_timeout = '600ms'")
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(zerodb.OperationalError, match="timeout"):
            db.execute(ENDLESS)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT]
