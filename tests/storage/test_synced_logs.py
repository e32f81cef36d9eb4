"""A commit is reported when the log that holds it is on stable storage: of every log only what was synced is left, as
after a power failure, and the commit is there. Memtables are small, so that RocksDB changes its log in the middle."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from zerodb_compiler import types
from zerodb_storage import Column, Database
from zerodb_storage.kv import Batch, rocks


class Synced:
    """How much of each file `os.fdatasync` was called for, by inode: without the room behind it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: dict[int, int] = {}
        self._sync = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self._note)

    def _note(self, descriptor: int) -> None:
        facts = os.fstat(descriptor)  # before: what comes while it runs may be missed
        written = len(os.pread(descriptor, facts.st_size, 0).rstrip(b"\0"))
        self._sync(descriptor)
        self.sizes[facts.st_ino] = written

    def power_loss(self, path: str, copy: Path) -> None:
        before: list[str] | None = None
        while before != (before := sorted(os.listdir(path))):  # RocksDB flushes and deletes meanwhile
            shutil.rmtree(copy, ignore_errors=True)
            copy.mkdir()
            for name in before:
                self._copy(os.path.join(path, name), str(copy / name))

    def _copy(self, source: str, target: str) -> None:
        try:
            with open(source, "rb") as file:
                content = file.read()
                synced = self.sizes.get(os.fstat(file.fileno()).st_ino, 0)
        except FileNotFoundError:
            return
        with open(target, "wb") as file:
            if source.endswith(".log"):
                content = content[:synced] + bytes(len(content) - synced)
            file.write(content)


def rows(thread: int, number: int) -> pa.Table:
    key = thread * 1_000_000 + number
    return pa.table({"a": pa.array([key], pa.int32()), "s": [f"{key:06}" * 400]})


@pytest.mark.parametrize("threads", [1, 6])
def test_what_is_reported_is_synced(threads: int, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rocks, "WRITE_BUFFER_BYTES", 64 << 10)
    synced = Synced(monkeypatch)
    copy = tmp_path / "copy.zdb"
    reported: list[int] = []
    logs: set[str] = set()
    with Database.open(path) as db:
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.INTEGER), Column("s", types.TEXT)], (0,))

        def work(thread: int, begin: int) -> None:
            for number in range(begin, begin + 12 // threads):
                with db.begin() as tx:
                    tx.append("t", rows(thread, number), unique_key=True)
                reported.append(thread * 1_000_000 + number)

        for turn in range(25):
            workers = [threading.Thread(target=work, args=(thread, turn * 100)) for thread in range(threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            logs |= {name for name in os.listdir(path) if name.endswith(".log")}
            expected = set(reported)
            synced.power_loss(path, copy)
            with Database.open(str(copy)) as found:
                version = found.snapshot().tables["t"]
                there = {int(key) for chunk in range(version.chunk_count) for key in version.load(chunk, 0).data}
                assert there == expected
    assert len(logs) > 3


def test_a_log_is_synced_before_the_next_begins(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power failure could take the end of one log and leave the next: commits in the middle would be missing,
    which even `synchronous = normal` does not allow."""
    monkeypatch.setattr(rocks, "WRITE_BUFFER_BYTES", 64 << 10)
    synced = Synced(monkeypatch)
    generator = random.Random(1)
    store = rocks.RocksStore(path)
    logs: set[str] = set()
    for number in range(600):
        if generator.random() < 0.02:
            store.write_unlogged([(b"u%06d%d" % (number, n), generator.randbytes(9_000)) for n in range(20)])
        else:
            pair = b"%06d" % number, generator.randbytes(generator.choice([10, 500, 6_000]))
            store.write(Batch(puts=[pair]), sync=False)
        present = sorted(name for name in os.listdir(path) if name.endswith(".log"))
        logs.update(present)
        for name in present[:-1]:
            with contextlib.suppress(FileNotFoundError):  # flushed just now
                facts = os.stat(os.path.join(path, name))
                assert synced.sizes.get(facts.st_ino) == facts.st_size
    assert len(logs) > 10
    store.close()
    for name in os.listdir(path):
        facts = os.stat(os.path.join(path, name))
        assert not name.endswith(".log") or not facts.st_size or synced.sizes[facts.st_ino] == facts.st_size
