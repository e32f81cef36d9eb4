"""Read-only processes that follow the writing one: every snapshot is one of the writer's, as new as what the writer has
said that it committed, and stays readable, whatever the writer does: folds, drops, dies and comes back."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from zerodb_compiler import types
from zerodb_compiler.errors import DatabaseError
from zerodb_storage import Column, Database, Snapshot, following, keys, leases, lookup, publishing
from zerodb_storage.backups import files
from zerodb_storage.backups.making import back_up
from zerodb_storage.backups.restoring import restore
from zerodb_storage.backups.verifying import check
from zerodb_storage.sequences import SequenceDefinition

CHILD = Path(__file__).with_name("follow_child.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
COLUMNS = [Column("a", types.INTEGER), Column("s", types.TEXT)]


class Writer:
    """The writing process; `committed` is the last commit that it has told of."""

    def __init__(self, path: str, seed: int, synchronous: str = "normal") -> None:
        command = [sys.executable, str(CHILD), path, str(seed), synchronous]
        self.process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE)
        self.committed = 0
        self.first = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                self.committed = int(line)
                self.first.set()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._thread.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def written(path: str, seed: int, synchronous: str = "normal") -> Iterator[Writer]:
    writer = Writer(path, seed, synchronous)
    try:
        assert writer.first.wait(30)
        yield writer
    finally:
        writer.kill()


def total(snapshot: Snapshot) -> int:
    """Of all rows of a and b; each text is read, too."""
    found = 0
    for name in ("a", "b"):
        version = snapshot.tables[name]
        values = lookup.all_values(version, 0).data
        assert len(lookup.all_values(version, 1)) == len(values) == version.row_count
        found += int(values.sum())
    return found


def follow(db: Database, writer: Writer, seconds: float, generator: random.Random) -> int:
    """How many different snapshots were seen."""
    until = time.monotonic() + seconds
    seen: set[int] = set()
    kept: list[tuple[Snapshot, int]] = []
    while time.monotonic() < until:
        committed = writer.committed
        snapshot = db.snapshot()
        assert snapshot.sequence >= committed
        assert snapshot.sequence >= max(seen, default=0)
        seen.add(snapshot.sequence)
        assert total(snapshot) == 1_000
        if generator.random() < 0.1:
            kept.append((snapshot, snapshot.tables["a"].row_count))
        if len(kept) > 3:
            old, count = kept.pop(generator.randrange(3))
            assert total(old) == 1_000
            assert len(lookup.all_values(old.tables["a"], 1)) == count
    return len(seen)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_following_a_writer_that_dies_and_comes_back(path: str, seed: int) -> None:
    generator = random.Random(seed)
    with written(path, seed):
        pass
    db = Database.open(path, read_only=True)
    assert total(db.snapshot()) == 1_000
    seen = 0
    for round_ in range(3):
        with written(path, seed * 10 + round_) as writer:
            seen += follow(db, writer, 0.8, generator)
        assert total(db.snapshot()) == 1_000
    assert seen > 20
    assert db.check() == []
    db.close()
    assert leases.oldest(path) is None
    with Database.open(path) as again:
        assert again.check() == []


def test_backups_of_a_writer_that_dies_and_comes_back(path: str, tmp_path: Path) -> None:
    """Made while it writes, when it was killed, when it is back; any commit can be restored, and has the total."""
    repository, restored = str(tmp_path / "backups"), str(tmp_path / "restored")
    generator = random.Random(7)
    for round_ in range(4):
        with written(path, round_) as writer:
            for _ in range(2):
                committed = writer.committed
                report = back_up(path, repository, incremental=os.path.exists(repository))
                assert report.end.sequence >= committed
        committed = writer.committed
        assert back_up(path, repository, incremental=True).end.sequence >= committed
    assert check(repository) == []
    first = files.read_manifests(repository)[0].base
    last = files.read_manifests(repository)[-1].end
    assert first is not None
    assert last.sequence - first.sequence > 20
    for wanted in (last.sequence, *(generator.randrange(first.sequence, last.sequence) for _ in range(4))):
        assert restore(repository, restored, wanted).sequence == wanted
        with Database.open(restored) as again:
            assert total(again.snapshot()) == 1_000
            assert again.check() == []
        shutil.rmtree(restored)


def test_a_writer_without_a_log_is_followed_flush_by_flush(path: str) -> None:
    with Database.open(path, synchronous="off") as writer:
        with writer.begin() as tx:
            tx.create_table("t", COLUMNS)
        writer._files.flush_unlogged()  # type: ignore[union-attr]
        with Database.open(path, read_only=True) as db:
            with writer.begin() as tx:
                tx.append("t", pa.table({"a": pa.array([1], pa.int32()), "s": ["x"]}))
            assert db.snapshot().tables["t"].row_count == 0
            writer._files.flush_unlogged()  # type: ignore[union-attr]
            assert db.snapshot().tables["t"].row_count == 1


@pytest.fixture
def pair(path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Database, Database]]:
    """A writer and a follower in this process."""
    monkeypatch.setattr(publishing, "FOLD_ROWS", 300)
    monkeypatch.setattr(following, "_IDLE_S", 0.02)
    with Database.open(path) as writer:
        with writer.begin() as tx:
            tx.create_table("t", COLUMNS)
        with Database.open(path, read_only=True) as reader:
            yield writer, reader


def numbers(start: int, count: int) -> pa.Table:
    return pa.table({"a": pa.array(range(start, start + count), pa.int32()), "s": ["x", "y"] * (count // 2)})


def test_only_changed_tables_are_read_anew(pair: tuple[Database, Database]) -> None:
    writer, reader = pair
    with writer.begin() as tx:
        tx.create_table("u", COLUMNS)
        tx.append("u", numbers(0, 1_000))
        tx.append("t", numbers(0, 1_000))
    before = reader.snapshot()
    with writer.begin() as tx:
        tx.append("t", numbers(0, 2))
    after = reader.snapshot()
    assert after.tables["u"] is before.tables["u"]
    assert after.tables["t"].segment_set is before.tables["t"].segment_set
    assert after.catalog is before.catalog
    with writer.begin() as tx:
        tx.append("t", numbers(2, 400))
    folded = reader.snapshot()
    kept = {segment.id: segment for segment in after.tables["t"].segment_set.segments}
    assert all(kept.get(found.id, found) is found for found in folded.tables["t"].segment_set.segments)
    assert reader.snapshot() is folded
    with writer.begin() as tx:
        tx.put_object("thing", "public", "x", {"id": 1})
        tx.drop_table("u")
    last = reader.snapshot()
    assert last.object("thing", "public", "x") == {"id": 1}
    assert set(last.tables) == {"t"}


def test_what_a_reader_needs_stays_until_it_is_done(pair: tuple[Database, Database]) -> None:
    writer, reader = pair
    with writer.begin() as tx:
        tx.append("t", numbers(0, 1_000))
    old = reader.snapshot()
    with writer.begin() as tx:
        tx.truncate("t")
    for number in range(200):
        with writer.begin() as tx:
            tx.append("t", numbers(number * 2, 2))
    reader.snapshot()
    assert len(lookup.all_values(old.tables["t"], 1)) == 1_000
    assert list(writer.reader.scan(*keys.space(b"C")))
    del old
    gc.collect()
    deadline = time.monotonic() + 10
    while len(list(writer.reader.scan(*keys.space(b"G")))) > 2 and time.monotonic() < deadline:
        time.sleep(0.01)
        with writer.begin() as tx:
            tx.append("t", numbers(0, 2))
            tx.truncate("t")
    assert len(list(writer.reader.scan(*keys.space(b"G")))) <= 2


def test_without_a_lease_an_old_snapshot_says_so(pair: tuple[Database, Database]) -> None:
    writer, reader = pair
    assert reader.follower is not None
    reader.follower._lease.end()
    with writer.begin() as tx:
        tx.append("t", numbers(0, 1_000))
    old = reader.snapshot()
    with writer.begin() as tx:
        tx.truncate("t")
    gc.collect()
    with writer.begin() as tx:
        tx.append("t", numbers(0, 2))
    assert reader.snapshot().tables["t"].row_count == 2
    with pytest.raises(DatabaseError) as error:
        lookup.all_values(old.tables["t"], 0)
    assert error.value.sqlstate == "72000"
    assert error.value.retryable


def test_sequences_and_temporary_tables(pair: tuple[Database, Database]) -> None:
    writer, reader = pair
    sequence = SequenceDefinition(1_000_000, "s")
    for _ in range(3):
        last = int(writer.sequences.take(sequence, 40)[-1])
        with writer.begin() as tx:
            tx.append("t", numbers(0, 2))
        reader.snapshot()
        assert reader.sequences.current(sequence)[0] >= last
    with writer.begin() as tx:
        tx.create_table("mine", COLUMNS, schema="pg_temp_3")
        tx.put_object("sequence", "pg_temp_3", "s", {"id": 77})
    assert set(reader.snapshot().tables) == {"t"}
    assert not reader.snapshot().catalog


def test_readers_of_several_threads(pair: tuple[Database, Database]) -> None:
    writer, reader = pair
    done = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        last = 0
        try:
            while not done.is_set():
                snapshot = reader.snapshot()
                assert snapshot.sequence >= last
                last = snapshot.sequence
                version = snapshot.tables["t"]
                values = lookup.all_values(version, 0).data
                assert int(values.sum()) == 0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(150):
        with writer.begin() as tx:
            tx.append("t", pa.table({"a": pa.array([number, -number] * 4, pa.int32()), "s": ["x"] * 8}))
            if number % 50 == 49:
                tx.truncate("t")
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
