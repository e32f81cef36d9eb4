"""A database that was closed in order and then cut short is reported by the name of the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from zerodb_compiler import types
from zerodb_compiler.errors import DatabaseError
from zerodb_storage import Column, Database


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    path = tmp_path / "a.zdb"
    with Database.open(str(path)) as database, database.begin() as transaction:
        transaction.create_table("t", [Column("a", types.BIGINT, False, None)])
        transaction.append("t", pa.table({"a": pa.array(range(1000), pa.int64())}))
        transaction.commit()
    return path


def test_every_file_cut_short_is_named(closed: Path, tmp_path: Path) -> None:
    names = [
        file.name
        for file in closed.iterdir()
        if file.name.startswith(("MANIFEST", "CURRENT")) or file.suffix in (".log", ".sst", ".blob")
    ]
    assert any(name.startswith("MANIFEST") for name in names)
    for name in names:
        for size in (0, (closed / name).stat().st_size // 2):
            if (closed / name).stat().st_size == size:
                continue
            copy = tmp_path / f"copy-{name}-{size}"
            shutil.copytree(closed, copy)
            with open(copy / name, "r+b") as file:
                file.truncate(size)
            before = sorted(file.name for file in copy.iterdir())
            with pytest.raises(DatabaseError, match=name) as raised:
                Database.open(str(copy))
            assert raised.value.sqlstate == "XX001"
            assert sorted(file.name for file in copy.iterdir()) == before, "nothing was deleted"


def test_a_missing_file_is_named(closed: Path) -> None:
    (manifest,) = closed.glob("MANIFEST-*")
    manifest.unlink()
    with pytest.raises(DatabaseError, match=manifest.name):
        Database.open(str(closed))


def test_the_seal_comes_off_while_open_and_back_on_close(closed: Path) -> None:
    seal = closed / "SEAL"
    assert seal.exists()
    database = Database.open(str(closed))
    assert not seal.exists()
    database.close()
    assert seal.exists()
    Database.open(str(closed)).close()


def test_reading_only_leaves_the_seal(closed: Path) -> None:
    Database.open(str(closed), read_only=True).close()
    assert (closed / "SEAL").exists()
