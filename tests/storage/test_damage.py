"""What can go wrong with files: wrong places, other processes, flipped and torn bytes, a full disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rocksdict import Options, Rdict

from zerodb_compiler import types
from zerodb_compiler.errors import DatabaseError
from zerodb_storage import Column, Database, import_batches, keys
from zerodb_storage.kv import Batch, KeyValueStore
from zerodb_storage.kv.memory import MemoryStore
from zerodb_storage.kv.rocks import RocksStore

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def make(path: str, rows: int = 200_000) -> None:
    generator = np.random.default_rng(3)
    table = pa.table({"a": generator.integers(0, 1 << 40, rows), "s": [f"text {n}" for n in range(rows)]})
    with Database.open(path) as db:
        import_batches(db, "t", table.to_reader(), create=True)
        with db.begin() as tx:
            tx.append("t", pa.table({"a": [1, 2, 3], "s": ["x", "y", "z"]}))
            tx.delete("t", np.array([7]))


@pytest.mark.parametrize("kind", ["memory", "rocks"])
def test_both_stores_keep_the_interface(kind: str, path: str) -> None:
    store: KeyValueStore = MemoryStore() if kind == "memory" else RocksStore(path)
    store.write(Batch(puts=[(bytes([n]), bytes([n]) * 5000) for n in range(10, 20)]), sync=True)
    batch = Batch(puts=[(b"\x0c", b"new")], deletes=[b"\x0f"])
    batch.delete_range(b"\x0a", b"\x0e")
    store.write(batch, sync=False)
    store.write_unlogged([(b"\xff", b"big" * 10_000)])
    assert [key[0] for key, _ in store.scan(b"\x00", b"\xff")] == [12, 14, 16, 17, 18, 19]
    assert store.multi_get([b"\x0c", b"\x0d", b"\xff"]) == [b"new", None, b"big" * 10_000]
    store.compact(b"\x00", b"\xff")
    store.close()


def test_places_that_are_no_database(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("hello")
    foreign = Rdict(str(tmp_path / "foreign"), options=Options(raw_mode=True))
    foreign[b"k"] = b"v"
    foreign.close()
    for name, sqlstate in [("file", "XX001"), ("folder", "XX001"), ("foreign", "XX001"), ("no/such", "58P01")]:
        with pytest.raises(DatabaseError) as error:
            Database.open(str(tmp_path / name))
        assert error.value.sqlstate == sqlstate, name
    assert os.listdir(tmp_path / "folder") == ["notes.txt"]
    with pytest.raises(DatabaseError) as error:
        Database.open(str(tmp_path / "new"), read_only=True)
    assert error.value.sqlstate == "58P01"
    assert not (tmp_path / "new").exists()
    with pytest.raises(DatabaseError):
        Database.open(str(tmp_path / "new"), synchronous="sometimes")


def test_another_programs_database_is_not_changed(tmp_path: Path) -> None:
    place = str(tmp_path / "foreign")
    foreign = Rdict(place)
    foreign["k"] = "v"
    foreign.close()
    before = {name: (tmp_path / "foreign" / name).read_bytes() for name in os.listdir(place)}
    with pytest.raises(DatabaseError, match="foreign") as error:
        Database.open(place)
    assert error.value.sqlstate == "XX001"
    assert {name: (tmp_path / "foreign" / name).read_bytes() for name in os.listdir(place)} == before
    foreign = Rdict(place)
    assert dict(foreign.items()) == {"k": "v"}
    foreign.close()


def test_a_database_that_could_not_be_made_leaves_nothing(path: str) -> None:
    script = textwrap.dedent(f"""
        import resource, signal
        from zerodb_storage import Database
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        try:
            Database.open({path!r})
        except Exception as error:
            print(error.sqlstate)
    """)
    found = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["53100"], found.stdout + found.stderr
    assert not os.path.exists(path)
    Database.open(path).close()


def test_a_second_process_is_refused_and_a_closed_database_says_so(path: str) -> None:
    db = Database.open(path)
    script = textwrap.dedent(f"""
        from zerodb_storage import Database
        try:
            Database.open({path!r})
        except Exception as error:
            print(error.sqlstate, error)
    """)
    found = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert found.stdout.startswith("55006")
    assert "in use by another process" in found.stdout
    db.close()
    db.close()
    for action in (db.snapshot, db.begin, db.check):
        with pytest.raises(DatabaseError) as error:
            action()
        assert error.value.sqlstate == "08003"


def test_read_only_refuses_to_write(path: str) -> None:
    make(path, 10)
    with Database.open(path, read_only=True) as db:
        with pytest.raises(DatabaseError) as error:
            db.begin()
        assert error.value.sqlstate == "25006"
        db.put_blob(b"k", b"v")
        assert db.get_blob(b"k") is None
        assert db.snapshot().tables["t"].row_count == 12


@pytest.mark.parametrize("space", [b"C", b"H", b"L", b"T", b"S", b"F", b"V"])
@pytest.mark.parametrize("damage", ["flip", "cut", "swap"])
def test_damaged_records_are_reported_by_name(space: bytes, damage: str, path: str) -> None:
    make(path)
    store = RocksStore(path)
    with Database.open(None):
        pass
    if space == b"V":
        store.write(Batch(puts=[(keys.deleted(1, 1), b"junk")]), sync=True)
    (key, value), *others = store.scan(*keys.space(space))
    position = len(value) // 2
    match damage:
        case "flip":
            value = value[:position] + bytes([value[position] ^ 4]) + value[position + 1 :]
        case "cut":
            value = value[:-1]
        case _:
            value = others[-1][1] if others else b""
    store.write(Batch(puts=[(key, value)]), sync=True)
    store.close()
    name = keys.describe(key)
    if space == b"C":
        with Database.open(path) as db:
            problems = db.check()
            assert len(problems) == 1
            assert name in problems[0]
            with pytest.raises(DatabaseError, match=name) as error:
                db.snapshot().tables["t"].load(0, 0)
    else:
        with pytest.raises(DatabaseError, match=name) as error:
            Database.open(path)
    assert error.value.sqlstate == "XX001"


def test_a_missing_commit_record_is_noticed(path: str) -> None:
    with Database.open(path) as db:
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.INTEGER)])
        for n in range(3):
            with db.begin() as tx:
                tx.append("t", pa.table({"a": [n]}))
    store = RocksStore(path)
    logged = [key for key, _ in store.scan(*keys.space(b"L"))]
    store.write(Batch(deletes=[logged[1]]), sync=True)
    store.close()
    with pytest.raises(DatabaseError, match="missing"):
        Database.open(path)


def test_a_flipped_byte_in_the_log_is_an_error_and_a_torn_end_is_not(path: str) -> None:
    db = Database.open(path)
    with db.begin() as tx:
        tx.create_table("t", [Column("a", types.INTEGER)])
    for n in range(50):
        with db.begin() as tx:
            tx.append("t", pa.table({"a": [n]}))
    copy = Path(path).with_name("copy.zdb")
    shutil.copytree(path, copy)  # as a power failure would leave it
    db.close()
    (log,) = copy.glob("*.log")
    sound = log.read_bytes().rstrip(b"\0")
    log.write_bytes(sound[:-5])
    with Database.open(str(copy), read_only=True) as torn:
        assert torn.snapshot().tables["t"].row_count == 49
    middle = len(sound) // 2
    log.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
    with pytest.raises(DatabaseError) as error:
        Database.open(str(copy))
    assert error.value.sqlstate == "XX001"


def test_files_damaged_from_outside_are_errors_not_lost_rows(path: str) -> None:
    make(path)
    for name in sorted(os.listdir(path)):
        if not name.endswith((".blob", ".sst")):
            continue
        file = Path(path) / name
        sound = file.read_bytes()
        for damaged in (
            sound[: len(sound) // 2],
            sound[:2000] + bytes([sound[2000] ^ 1]) + sound[2001:] if len(sound) > 2001 else b"",
        ):
            file.write_bytes(damaged)
            problems: list[str] = []
            try:
                with Database.open(path, read_only=True) as db:
                    problems = db.check()
            except DatabaseError as error:
                assert error.sqlstate == "XX001"  # noqa: PT017 - either way of noticing is right
                problems = [error.message]
            assert problems, name
        file.write_bytes(sound)
    with Database.open(path) as db:
        assert db.check() == []
        assert db.snapshot().tables["t"].row_count == 200_002


def test_a_full_disk_is_a_clear_error_and_loses_nothing(path: str) -> None:
    make(path, 1000)
    script = textwrap.dedent(f"""
        import resource, signal
        import numpy as np, pyarrow as pa
        from zerodb_storage import Database, import_batches
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        db = Database.open({path!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        table = pa.table({{"a": np.random.default_rng(1).integers(0, 1 << 60, 1 << 20), "s": ["x"] * (1 << 20)}})
        for attempt in range(2):
            try:
                import_batches(db, "t", table.to_reader())
            except Exception as error:
                print(error.sqlstate)
        print(db.snapshot().tables["t"].row_count)
    """)
    found = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["53100", "53100", "1002"], found.stdout + found.stderr
    with Database.open(path) as db:
        assert db.snapshot().tables["t"].row_count == 1002
        assert db.check() == []
        with db.begin() as tx:
            tx.append("t", pa.table({"a": [4], "s": ["w"]}))
        assert not list(db.reader.scan(*keys.space(b"G")))
