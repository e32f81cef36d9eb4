"""Buckets (zerosys:db/kv) against a dict: in transactions and without, with times to live, by several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import zerodb
from zerodb.components.buckets import Bucket, prefix_end
from zerodb.errors import Error


@pytest.fixture
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect() as connection:
        yield connection


KEYS = st.sampled_from(["", "a", "ab", "abc", "b", "ä", "a\ud7ff", "a\U0010ffff", "n1", "n2"])
VALUES = st.sampled_from([b"", b"x", b"\0\xff", b"7", b"-3", b"9223372036854775807", b"long" * 500])


class Model(RuleBasedStateMachine):
    """What a dict of (value, time of its end) would answer."""

    @initialize()
    def begin(self) -> None:
        self.db = zerodb.connect()
        self.now = 1_000_000.0
        self.bucket = Bucket(self.db, "cache", lambda: self.now)
        self.model: dict[str, tuple[bytes, float | None]] = {}
        self.saved: dict[str, tuple[bytes, float | None]] | None = None

    def teardown(self) -> None:
        self.db.close()

    def present(self) -> dict[str, bytes]:
        return {key: value for key, (value, end) in self.model.items() if end is None or end > self.now}

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        assert self.bucket.get(key) == self.present().get(key)
        assert self.bucket.exists(key) == (key in self.present())

    @rule(keys=st.lists(KEYS, max_size=6))
    def get_many(self, keys: list[str]) -> None:
        assert self.bucket.get_many(keys) == [self.present().get(key) for key in keys]

    @rule(key=KEYS, value=VALUES)
    def set(self, key: str, value: bytes) -> None:
        self.bucket.set(key, value)
        self.model[key] = value, None

    @rule(pairs=st.lists(st.tuples(KEYS, VALUES), max_size=5))
    def set_many(self, pairs: list[tuple[str, bytes]]) -> None:
        self.bucket.set_many(pairs)
        self.model.update({key: (value, None) for key, value in pairs})

    @rule(key=KEYS, value=VALUES, ttl_ms=st.integers(0, 5000) | st.just(2**64 - 1))
    def set_with_ttl(self, key: str, value: bytes, ttl_ms: int) -> None:
        self.bucket.set_with_ttl(key, value, ttl_ms)
        self.model[key] = value, None if ttl_ms > 5000 else self.now + ttl_ms / 1000

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        assert self.bucket.delete(key) == (key in self.present())
        self.model.pop(key, None)

    @rule(keys=st.lists(KEYS, max_size=5))
    def delete_many(self, keys: list[str]) -> None:
        assert self.bucket.delete_many(keys) == len(set(keys) & self.present().keys())
        for key in keys:
            self.model.pop(key, None)

    @rule(prefix=st.sampled_from(["", "a", "ab", "ä", "z"]), limit=st.integers(0, 4))
    def list_keys(self, prefix: str, limit: int) -> None:
        expected = sorted((key for key in self.present() if key.startswith(prefix)), key=str.encode)
        found: list[str] = []
        cursor = None
        while True:
            keys, cursor = self.bucket.list_keys(prefix, cursor, limit)
            assert not limit or len(keys) <= limit
            found += keys
            if cursor is None:
                break
        assert found == expected

    @rule(key=KEYS, delta=st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5))
    def increment(self, key: str, delta: int) -> None:
        before = self.present().get(key, b"0")
        try:
            total = int(before.decode()) + delta if before.strip() == before else None
        except ValueError:
            total = None
        if total is None:
            with pytest.raises(Error) as error:
                self.bucket.increment(key, delta)
            assert error.value.sqlstate == "22P02"
        elif not -(2**63) <= total < 2**63:
            with pytest.raises(Error) as error:
                self.bucket.increment(key, delta)
            assert error.value.sqlstate == "22003"
        else:
            assert self.bucket.increment(key, delta) == total
            end = self.model[key][1] if key in self.present() else None
            self.model[key] = str(total).encode(), end

    @rule(key=KEYS, expected=st.none() | VALUES, value=VALUES)
    def compare_and_swap(self, key: str, expected: bytes | None, value: bytes) -> None:
        swaps = self.present().get(key) == expected
        assert self.bucket.compare_and_swap(key, expected, value) == swaps
        if swaps:
            self.model[key] = value, None

    @rule(key=KEYS, value=VALUES)
    def compare_and_swap_what_is_there(self, key: str, value: bytes) -> None:
        self.compare_and_swap(key, self.present().get(key), value)

    @precondition(lambda self: self.saved is None)
    @rule(isolation=st.sampled_from([None, "read committed", "serializable"]))
    def begin_transaction(self, isolation: str | None) -> None:
        self.db.begin(isolation)
        self.saved = dict(self.model)

    @precondition(lambda self: self.saved is not None)
    @rule(commits=st.booleans())
    def end_transaction(self, commits: bool) -> None:
        if commits:
            assert self.db.commit()
        else:
            self.db.rollback()
            assert self.saved is not None
            self.model = self.saved
        self.saved = None

    @invariant()
    def sql_sees_the_same(self) -> None:
        rows = self.db.execute("select key, value from cache").fetchall()
        assert dict(rows).items() >= self.present().items()
        assert dict(rows).keys() <= self.model.keys()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=10, stateful_step_count=25, deadline=None)


@pytest.mark.slow
def test_longer_histories() -> None:
    run_state_machine_as_test(Model, settings=settings(max_examples=300, stateful_step_count=40, deadline=None))


def test_expired_keys_are_removed_by_who_meets_them(db: zerodb.Connection) -> None:
    now = [0.0]
    bucket = Bucket(db, "cache", lambda: now[0])
    for key in "abc":
        bucket.set_with_ttl(key, b"v", 1000)
    bucket.set("d", b"v")
    now[0] = 1.0
    assert bucket.get("a") is None
    assert bucket.get_many(["b", "d"]) == [None, b"v"]
    assert not bucket.exists("c")
    assert db.execute("select key from cache").fetchall() == [("d",)]


def test_sql_sees_the_same_table(db: zerodb.Connection) -> None:
    db.execute("create schema app")
    bucket = Bucket(db, "app.sessions")
    db.execute("insert into app.sessions values ('k', '\\x01')")
    assert bucket.get("k") == b"\1"
    assert Bucket(db, "app.sessions").get("k") == b"\1"


def test_a_table_of_another_shape_is_no_bucket(db: zerodb.Connection) -> None:
    db.execute("create table t (key text primary key, value text)")
    with pytest.raises(Error, match='"t" is no bucket'):
        Bucket(db, "t")
    for name in ("", ".", "a.", ".a"):
        with pytest.raises(Error):
            Bucket(db, name)
    quoted = Bucket(db, 'a "name"; drop table t')
    quoted.set("k", b"v")
    assert db.tables() == ['a "name"; drop table t', "t"]


def test_a_rolled_back_transaction_leaves_nothing(db: zerodb.Connection) -> None:
    bucket = Bucket(db, "cache")
    with pytest.raises(ZeroDivisionError), db.transaction():
        bucket.set_many([("a", b"1"), ("b", b"2")])
        bucket.increment("n", 1)
        raise ZeroDivisionError
    assert bucket.list_keys("", None, 0) == ([], None)


@pytest.mark.parametrize("isolation", ["snapshot", "serializable", "read committed"])
def test_increments_at_the_same_time_are_all_counted(tmp_path: Any, isolation: str) -> None:
    """By themselves; and in transactions, run again after conflicts."""
    path = tmp_path / "counts.zdb"
    with zerodb.connect(path) as db:
        Bucket(db, "counts")

        def alone(connection: zerodb.Connection) -> None:
            bucket = Bucket(connection, "counts")
            for _ in range(25):
                bucket.increment("alone", 1)
                while True:
                    old = bucket.get("swapped")
                    if bucket.compare_and_swap("swapped", old, str(int(old or b"0") + 1).encode()):
                        break

        def together(connection: zerodb.Connection) -> None:
            bucket = Bucket(connection, "counts")
            for _ in range(10):
                connection.transaction(isolation, retries=1000).run(lambda _: bucket.increment("together", 1))

        failures: list[BaseException] = []

        def run(work: Any) -> None:
            try:
                with db.duplicate() as connection:
                    work(connection)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=run, args=(work,)) for work in (alone, together) * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        bucket = Bucket(db, "counts")
        assert bucket.get_many(["alone", "swapped", "together"]) == [b"75", b"75", b"30"]
        assert not db.check()


def test_the_end_of_a_prefix() -> None:
    assert prefix_end("ab") == "ac"
    assert prefix_end("a\ud7ff") == "a\ue000"
    assert prefix_end("a\U0010ffff") == "b"
    assert prefix_end("\U0010ffff") is None
    assert prefix_end("") is None
