"""Bytes that change while nobody looks, in every kind of record and every file of a closed database: what is read is
right or XX001, naming the record or the file; never another answer."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from zerodb_compiler import types
from zerodb_compiler.errors import DatabaseError
from zerodb_storage import Column, Database, TableVersion, import_batches, keys, publishing, segment_choice
from zerodb_storage.kv import Batch
from zerodb_storage.kv.memory import MemoryStore
from zerodb_storage.merger import Merger
from zerodb_storage.sequences import SequenceDefinition

Rows = Callable[[TableVersion], list[tuple[Any, ...]]]
Content = dict[str, Any]
COUNTER = SequenceDefinition(900, "counter")


def rows(begin: int, end: int) -> pa.Table:
    numbers = range(begin, end)
    texts = [f"text {n % 9}" if n % 5 else None for n in numbers]
    names = [f"{n * 7919 % 10007:05}" * 3 for n in numbers]
    return pa.table({"a": pa.array(numbers, pa.int32()), "s": texts, "u": names})


def fill(db: Database) -> None:
    """Every kind of record: folded and logged rows, deletions of both, dictionaries, objects, a sequence, a blob."""
    columns = [Column("a", types.INTEGER), Column("s", types.TEXT), Column("u", types.TEXT)]
    with db.begin() as tx:
        tx.create_table("t", columns, (0,))
        tx.create_table("e", columns)
        tx.put_object("sequence", "public", "counter", {"id": COUNTER.id})
    import_batches(db, "t", rows(0, 3000).to_batches())
    with db.begin() as tx:
        tx.append("t", rows(10_000, 10_150))
        tx.delete("t", np.arange(5, 90, 3))  # merged: rows of a segment that are gone
    for begin in range(20_000, 20_060, 20):
        with db.begin() as tx:
            tx.append("t", rows(begin, begin + 20))
            tx.append("e", rows(begin, begin + 20))
            tx.delete("t", np.array([begin - 19_999]))
    db.sequences.take(COUNTER, 40)
    db.put_blob(b"module", b"code" * 100)


def content(db: Database, rows_of: Rows) -> Content:
    snapshot = db.snapshot()
    found: Content = {key: sorted(rows_of(version), key=repr) for key, version in snapshot.tables.items()}
    return found | {"objects": dict(snapshot.catalog), "counter": db.sequences.current(COUNTER)}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", 160)
    monkeypatch.setattr(Merger, "in_background", False)
    monkeypatch.setattr(segment_choice, "SMALL_SEGMENT_BYTES", 0)  # segments stay, with their delete vectors


class _Kept(MemoryStore):
    def close(self) -> None:
        pass


def damaged_values(value: bytes, others: list[bytes], r: random.Random, flips: int) -> list[bytes]:
    found = [value[:-1], value[: len(value) // 2], b"", value + b"\0"]
    for _ in range(flips):
        at = r.randrange(len(value))
        found.append(value[:at] + bytes([value[at] ^ (1 << r.randrange(8))]) + value[at + 1 :])
    if others:
        found.append(r.choice(others))
    return [changed for changed in found if changed != value]


def flip_records(flips: int, seed: int, rows_of: Rows) -> None:
    r = random.Random(seed)
    sound = _Kept()
    with Database(sound, read_only=False, synchronous="full") as db:
        fill(db)
    pairs = list(sound.scan(b"\0", b"\xff"))
    with Database(sound, read_only=False, synchronous="full") as db:
        expected = content(db, rows_of)
    assert {key[:1] for key, _ in pairs} >= {bytes([letter]) for letter in b"FSTDHCVLMON"}
    for key, value in pairs:
        others = [v for k, v in pairs if k[:1] == key[:1] and k != key]
        for changed in damaged_values(value, others, r, flips):
            store = _Kept()
            store.write(Batch(puts=[(k, changed if k == key else v) for k, v in pairs]), sync=True)
            name = keys.describe(key)
            try:
                with Database(store, read_only=True, synchronous="full") as db:
                    assert any(name in problem for problem in db.check()), name
                    if key[:1] == b"M":
                        assert db.get_blob(b"module") is None
                    assert content(db, rows_of) == expected, name
                    assert key[:1] in b"MG", f"{name} is not read"
            except DatabaseError as error:
                if error.sqlstate != "XX001" or name not in str(error):
                    raise


def test_flipped_records(rows_of: Rows) -> None:
    flip_records(2, 1, rows_of)


@pytest.mark.slow
def test_flipped_records_long(rows_of: Rows) -> None:
    for seed in range(5):
        flip_records(20, seed + 2, rows_of)


# --- files ------------------------------------------------------------------------------------------------------------


def flip_files(path: str, tries: int, seed: int, rows_of: Rows) -> None:
    r = random.Random(seed)
    with Database.open(path) as db:
        fill(db)
    with Database.open(path) as db:
        with db.begin() as tx:
            tx.append("e", rows(30_000, 30_005))  # one more table file
        expected = content(db, rows_of)
    sound = Path(path)
    copy = sound.with_name("copy.zdb")
    noticed: dict[str, int] = {}
    names = sorted(name for name in os.listdir(path) if (sound / name).stat().st_size)
    assert {Path(name).suffix for name in names} >= {".blob", ".sst"}
    for name in names:
        for attempt in range(tries):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(sound, copy)
            data = bytearray((sound / name).read_bytes())
            if attempt % 4 == 3:
                del data[r.randrange(len(data)) :]
            elif attempt % 4 == 2:
                at = r.randrange(len(data))
                data[at : at + 512] = bytes(len(data[at : at + 512]))
            else:
                # The last bytes of a file are where a reader is the most forgiving.
                at = r.randrange(len(data)) if attempt % 4 else max(0, len(data) - 1 - r.randrange(60))
                data[at] ^= 1 << r.randrange(8)
            if bytes(data) == (sound / name).read_bytes():
                continue
            (copy / name).write_bytes(data)
            try:
                with Database.open(str(copy)) as db:
                    problems = db.check()
                    try:
                        assert content(db, rows_of) == expected, (name, attempt)
                    except DatabaseError:
                        assert problems
                        raise
            except DatabaseError as error:
                if error.sqlstate != "XX001":
                    raise
                noticed[name] = noticed.get(name, 0) + 1
    for name in names:
        if name.endswith((".sst", ".blob")) or name.startswith("MANIFEST"):
            assert noticed.get(name), f"{name}: nothing was noticed"


def test_flipped_bytes_in_files(path: str, rows_of: Rows) -> None:
    flip_files(path, 4, 1, rows_of)


@pytest.mark.slow
def test_flipped_bytes_in_files_long(path: str, rows_of: Rows) -> None:
    flip_files(path, 60, 2, rows_of)


def flip_log(path: str, tries: int, seed: int, rows_of: Rows) -> None:
    """A database that was not closed. RocksDB takes a broken end of its log for a write that never returned: of changed
    bytes there, and only there, nothing can be known."""
    r = random.Random(seed)
    killed = Path(path).with_name("killed.zdb")
    copy = Path(path).with_name("copy.zdb")
    contents, ends = [], []
    with Database.open(path) as db:
        fill(db)
    db = Database.open(path)
    contents.append(content(db, rows_of))
    for begin in range(40_000, 40_100, 10):
        with db.begin() as tx:
            tx.append("e", rows(begin, begin + 5))
        contents.append(content(db, rows_of))
        logs = [name for name in os.listdir(path) if name.endswith(".log")]
        ends.append(sum(len((Path(path) / name).read_bytes().rstrip(b"\0")) for name in logs))
    shutil.copytree(path, killed)
    db.close()
    (log,) = (name for name in os.listdir(killed) if name.endswith(".log") and (killed / name).stat().st_size)
    whole_file = (killed / log).read_bytes()
    sound = whole_file[: ends[-1]]
    room = bytes(len(whole_file) - len(sound))  # allocated behind it
    assert room
    for attempt in range(tries):
        at = r.randrange(len(sound))
        torn = attempt % 2 == 0
        if not torn:
            data = sound[:at] + bytes([sound[at] ^ (1 << r.randrange(8))]) + sound[at + 1 :] + room
        elif attempt % 4:
            data = sound[:at]
        else:  # of the record that was being written, whole sectors are there
            at = max([at // 512 * 512, *(end for end in ends if end <= at)])
            data = sound[:at] + bytes(len(whole_file) - at)
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(killed, copy)
        (copy / log).write_bytes(data)
        whole = sum(end <= at for end in ends)  # commits before the damage
        try:
            with Database.open(str(copy)) as found:
                assert content(found, rows_of) == contents[whole], at
                assert found.check() == []
                assert torn or whole == len(ends) - 1, at
        except DatabaseError as error:
            if error.sqlstate != "XX001" or torn:
                raise


def test_flipped_and_torn_logs(path: str, rows_of: Rows) -> None:
    flip_log(path, 16, 1, rows_of)


@pytest.mark.slow
def test_flipped_and_torn_logs_long(path: str, rows_of: Rows) -> None:
    flip_log(path, 300, 2, rows_of)
