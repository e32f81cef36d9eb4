"""Backups and restoring to a point in time: after any sequence of changes every commit since the first backup can be
had again, exactly; what is damaged is named and nothing half restored is left."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from zerodb_compiler import types
from zerodb_compiler.errors import DatabaseError
from zerodb_storage import Column, Database, history, import_batches, keys, lookup, publishing
from zerodb_storage.backups import control, files
from zerodb_storage.backups.making import back_up
from zerodb_storage.backups.restoring import restore
from zerodb_storage.backups.verifying import check
from zerodb_storage.kv import Batch
from zerodb_storage.sequences import SequenceDefinition
from zerodb_storage.values import as_binary

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
COLUMNS = [Column("a", types.INTEGER), Column("s", types.TEXT)]
State = dict[str, list[tuple[int, bytes]]]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "FOLD_ROWS", 300)


def state_of(db: Database) -> State:
    found: State = {}
    for key, version in db.snapshot().tables.items():
        texts = as_binary(lookup.all_values(version, 1)).to_pylist()
        found[key] = sorted(zip(lookup.all_values(version, 0).data.tolist(), texts, strict=True))
    return found


def change(db: Database, generator: random.Random, number: int) -> None:
    table, kind = f"t{generator.randrange(3)}", generator.random()
    with db.begin() as tx:
        if table not in tx.tables:
            tx.create_table(table, COLUMNS)
        elif kind < 0.03:
            tx.drop_table(table)
        elif kind < 0.06:
            tx.truncate(table)
        elif kind < 0.3 and tx.tables[table].row_count:
            ids = lookup.all_row_ids(tx.tables[table]).tolist()
            tx.delete(table, np.array(sorted(generator.sample(ids, min(5, len(ids))))))
        else:
            count = generator.choice([1, 5, 80])
            tx.append(table, rows(number, count))


def rows(number: int, count: int) -> pa.Table:
    return pa.table({"a": pa.array([number] * count, pa.int32()), "s": [f"x{n % 3}" for n in range(count)]})


def last_commit(db: Database) -> tuple[int, datetime]:
    """Number and time, and the clock has moved on when this returns. (A merge is a commit, too.)"""
    sequence, micros = db.snapshot().sequence, db._time
    while time.time_ns() // 1000 <= micros:
        time.sleep(0)
    return sequence, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def test_every_commit_since_the_first_backup_can_be_had_again(path: str, tmp_path: Path) -> None:
    generator, numbers = random.Random(3), itertools.count()
    repository, restored = str(tmp_path / "backups"), str(tmp_path / "restored")
    states: list[tuple[int, datetime, State]] = []
    db = Database.open(path, synchronous="normal")
    for round_ in range(5):
        for _ in range(20):
            change(db, generator, next(numbers))
            states.append((*last_commit(db), state_of(db)))
        report = back_up(path, repository, incremental=round_ not in (0, 3))
        assert report.end.sequence >= states[-1][0]
        assert report.commits >= (20 if round_ else 0)
        if round_ == 2:
            db.close()
            db = Database.open(path, synchronous="normal")
    assert check(repository) == []
    # What the last backup took is let go with the next commit.
    change(db, generator, next(numbers))
    assert len(list(db.reader.scan(*keys.space(b"B")))) <= 2
    db.close()
    for sequence, _, _ in states[:19]:
        with pytest.raises(DatabaseError, match="begin with commit") as error:
            restore(repository, restored, sequence)
        assert error.value.sqlstate == "22023"
    for sequence, when, expected in [states[19], *generator.sample(states[20:], 8), states[-1]]:
        point = restore(repository, restored, generator.choice([sequence, when, when.isoformat()]))
        assert point.sequence >= sequence
        with Database.open(restored) as again:
            assert state_of(again) == expected
            assert again.check() == []
        shutil.rmtree(restored)
    for beyond in (states[-1][0] + 100, datetime.now(UTC) + timedelta(days=1)):
        with pytest.raises(DatabaseError, match="end with commit"):
            restore(repository, restored, beyond)
    assert set(os.listdir(tmp_path)) == {"backups", "test.zdb"}


def test_sequences_are_never_behind_what_was_committed(path: str, tmp_path: Path) -> None:
    repository, restored = str(tmp_path / "backups"), str(tmp_path / "restored")
    sequence = SequenceDefinition(1_000_000, "s")
    with Database.open(path) as db:
        with db.begin() as tx:
            tx.create_table("t", COLUMNS)
        back_up(path, repository)
        taken = []
        for _ in range(5):
            values = db.sequences.take(sequence, 20)
            with db.begin() as tx:
                tx.append("t", pa.table({"a": pa.array(values, pa.int32()), "s": ["x"] * 20}))
            taken.append((db.snapshot().sequence, int(values[-1])))
        db.sequences.set(sequence, 5_000, True)
        back_up(path, repository, incremental=True)
    for number, last in taken:
        restore(repository, restored, number)
        with Database.open(restored) as again:
            assert (again.sequences.current(sequence)[0] == 5_000) == (number == taken[-1][0])
            assert again.sequences.take(sequence, 1)[0] > last
        shutil.rmtree(restored)


def test_backups_while_others_write(path: str, tmp_path: Path) -> None:
    """Two writers move amounts between rows; every backup, and every commit in it, has the same total."""
    repository, restored = str(tmp_path / "backups"), str(tmp_path / "restored")
    db = Database.open(path, synchronous="normal")
    with db.begin() as tx:
        tx.create_table("a", COLUMNS)
        tx.create_table("b", COLUMNS)
        tx.append("a", rows(10, 100))
    done = threading.Event()
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        generator = random.Random(seed)
        try:
            while not done.is_set():
                amount = generator.randrange(50)
                with db.begin() as tx:
                    tx.append("a", rows(amount, generator.choice([1, 40])))
                    count = sum(len(part[0]) for part in tx.changes[tx.tables["a"].id].batches)
                    tx.append("b", rows(-amount, count))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    reports = [back_up(path, repository, incremental=number > 0) for number in range(4)]
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    db.close()
    assert check(repository) == []
    assert sum(report.commits for report in reports) > 10
    generator = random.Random(1)
    first, last = files.read_manifests(repository)[0].base, reports[-1].end
    assert first is not None
    for _ in range(4):
        wanted = generator.randrange(first.sequence, last.sequence + 1)
        found = restored_to(repository, restored, wanted)
        if found is None:
            continue
        assert sum(a for a, _ in found["a"]) + sum(b for b, _ in found["b"]) == 1_000
        assert len(found["a"]) == len(found["b"]) + 100


def restored_to(repository: str, restored: str, sequence: int) -> State | None:
    """None if the commit was made together with others."""
    try:
        restore(repository, restored, sequence)
    except DatabaseError as error:
        if "were made together" in error.message:
            return None
        raise
    with Database.open(restored) as again:
        found = state_of(again)
    shutil.rmtree(restored)
    return found


def small_backups(path: str, repository: str) -> Database:
    db = Database.open(path)
    for number in range(3):
        with db.begin() as tx:
            if number == 0:
                tx.create_table("t", COLUMNS)
            tx.append("t", rows(number, 250))
        back_up(path, repository, incremental=number > 0)
    return db


def test_flipped_and_missing_bytes_are_named(path: str, tmp_path: Path) -> None:
    repository, restored = str(tmp_path / "backups"), str(tmp_path / "restored")
    small_backups(path, repository).close()
    assert check(repository) == []
    generator = random.Random(2)
    places = [place for place in Path(repository).rglob("*") if place.is_file()]
    assert {place.name for place in places} >= {"MANIFEST", "REPOSITORY", "base", "history", "sequences", "values"}
    for place in places:
        content = place.read_bytes()
        for damage in range(4):
            wrong = bytearray(content)
            if damage == 0:
                del wrong[generator.randrange(len(wrong)) :]
            else:
                wrong[generator.randrange(len(wrong))] ^= 1 << generator.randrange(8)
            place.write_bytes(wrong)
            problems = check(repository)
            if place.name == "REPOSITORY" and not problems:
                continue  # another id
            assert any(str(place) in problem for problem in problems), (place, problems)
            if place.name != "sequences" or place.parent.name == "000003":
                with pytest.raises(DatabaseError) as error:
                    restore(repository, restored)
                assert error.value.sqlstate in ("XX001", "0A000"), error.value
            assert not os.path.exists(restored)
            assert not os.path.exists(restored + ".restoring")
        place.write_bytes(content)
    shutil.rmtree(os.path.join(repository, "000002"))
    assert "the backup that ends with commit" in check(repository)[0]
    with pytest.raises(DatabaseError, match="does not go on from there"):
        restore(repository, restored, 3)


def test_wrong_places(path: str, tmp_path: Path) -> None:
    repository, restored = str(tmp_path / "backups"), str(tmp_path / "restored")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    db = small_backups(path, repository)
    other = Database.open(str(tmp_path / "other"))
    with other.begin() as tx:
        tx.create_table("t", COLUMNS)
    expected: list[tuple[str, Any]] = [
        ("58P01", lambda: back_up(path, str(tmp_path / "no" / "such"))),
        ("58P02", lambda: back_up(path, str(tmp_path / "full"))),
        ("58P01", lambda: back_up(path, str(tmp_path / "new"), incremental=True)),
        ("58P01", lambda: back_up(str(tmp_path / "nothing"), repository)),
        ("55000", lambda: back_up(str(tmp_path / "other"), repository)),
        ("55000", lambda: back_up(str(tmp_path / "other"), repository, incremental=True)),
        ("58P02", lambda: restore(repository, path)),
        ("58P01", lambda: restore(repository, str(tmp_path / "no" / "such"))),
        ("58P01", lambda: restore(str(tmp_path / "full"), restored)),
        ("22007", lambda: restore(repository, restored, "yesterday")),
        ("22023", lambda: restore(repository, restored, "2001-01-01")),
    ]
    for sqlstate, action in expected:
        with pytest.raises(DatabaseError) as error:
            action()
        assert error.value.sqlstate == sqlstate, error.value
    assert not (tmp_path / "new").exists()
    other.close()
    db.close()


def test_history_is_bounded(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "HISTORY_BYTES_MAX", 20_000)
    repository = str(tmp_path / "backups")
    db = small_backups(path, repository)
    generator = np.random.default_rng(1)
    for number in range(20):
        with db.begin() as tx:
            texts = [generator.bytes(25).hex() for _ in range(50)]
            tx.append("t", pa.table({"a": pa.array([number] * 50, pa.int32()), "s": texts}))
        assert sum(len(value) for _, value in db.reader.scan(*keys.space(b"B"))) < 25_000
    with pytest.raises(DatabaseError, match="make a full one") as error:
        back_up(path, repository, incremental=True)
    assert error.value.sqlstate == "55000"
    assert back_up(path, repository).full
    with db.begin() as tx:
        tx.append("t", rows(1, 1))
    assert back_up(path, repository, incremental=True).commits == 1
    control.taken(path, files.repository_id(repository), None)
    with db.begin() as tx:
        tx.append("t", rows(1, 1))
    assert not list(db.reader.scan(*keys.space(b"B")))
    db.close()


def test_values_that_a_backup_needs_stay_until_it_has_them(path: str, tmp_path: Path) -> None:
    repository, restored = str(tmp_path / "backups"), str(tmp_path / "restored")
    db = small_backups(path, repository)
    import_batches(db, "t", rows(7, 70_000).to_batches())
    imported = db.snapshot().sequence
    with db.begin() as tx:
        tx.truncate("t")
    db.close()  # a restart deletes what nobody needs
    db = Database.open(path)
    with db.begin() as tx:
        tx.append("t", rows(8, 1))
    back_up(path, repository, incremental=True)
    with db.begin() as tx:
        tx.append("t", rows(9, 1))
    db.close()
    db = Database.open(path)
    with db.begin() as tx:
        tx.append("t", rows(9, 1))
    assert not list(db.reader.scan(*keys.space(b"C")))
    db.close()
    restore(repository, restored, imported)
    with Database.open(restored) as again:
        assert again.snapshot().tables["t"].row_count == 750 + 70_000


def test_a_backup_that_is_killed_leaves_the_earlier_ones(path: str, tmp_path: Path) -> None:
    repository, restored = str(tmp_path / "backups"), str(tmp_path / "restored")
    db = small_backups(path, repository)
    generator = random.Random(4)
    script = "import sys; from zerodb_storage.backups.making import back_up; print('go', flush=True); "
    script += "[back_up(sys.argv[1], sys.argv[2], incremental=True) for _ in range(100)]"
    for number in range(4):
        with db.begin() as tx:
            tx.append("t", rows(number, 100))
        command = [sys.executable, "-c", script, path, repository]
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"go\n"
            time.sleep(generator.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        assert check(repository) == []
    back_up(path, repository, incremental=True)
    assert check(repository) == []
    assert not [name for name in os.listdir(repository) if name.endswith(".partial")]
    restore(repository, restored)
    with Database.open(restored) as again:
        assert state_of(again) == state_of(db)
    db.close()


def test_a_database_that_nobody_has_open(path: str, tmp_path: Path) -> None:
    repository, restored = str(tmp_path / "backups"), str(tmp_path / "restored")
    small_backups(path, repository).close()
    back_up(path, repository, incremental=True)
    before = set(os.listdir(path))
    assert "SEAL" in before
    restore(repository, restored, "latest")
    with Database.open(path) as db, Database.open(restored) as again:
        assert state_of(again) == state_of(db)


def test_damaged_history_is_named_and_backed_up_by_nobody(path: str, tmp_path: Path) -> None:
    repository = str(tmp_path / "backups")
    db = small_backups(path, repository)
    for number in range(3):
        with db.begin() as tx:
            tx.append("t", rows(number, 1))
    found = list(db.reader.scan(*keys.space(b"B")))
    assert len(found) >= 3
    name, value = found[1]
    for wrong in (value[:-1], value[:9] + bytes([value[9] ^ 4]) + value[10:], found[0][1]):
        db._store.write(Batch(puts=[(name, wrong)]), sync=False)
        assert any(keys.describe(name) in problem for problem in db.check())
        with pytest.raises(DatabaseError, match=keys.describe(name)) as error:
            back_up(path, repository, incremental=True)
        assert error.value.sqlstate == "XX001"
    db._store.write(Batch(deletes=[name]), sync=False)
    assert any("before it is missing" in problem for problem in db.check())
    with pytest.raises(DatabaseError, match="make a full one"):
        back_up(path, repository, incremental=True)
    assert back_up(path, repository).full
    assert check(repository) == []
    db.close()
