"""Modules of functions: stored once by digest, with the first function that names them, until the last one goes; in
backups and followers, and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from zerodb_compiler.errors import DatabaseError
from zerodb_storage import Database, keys, modules
from zerodb_storage.backups.restoring import restore
from zerodb_storage.kv import Batch
from zerodb_storage.kv.memory import MemoryStore

ONE, TWO = b"\0asm one", b"\0asm two"


def put(db: Database, name: str, content: bytes) -> None:
    with db.begin() as tx:
        tx.put_object("function", "public", name, {"digest": tx.put_module(content)})


def drop(db: Database, name: str) -> None:
    with db.begin() as tx:
        tx.drop_object("function", "public", name)


def stored(db: Database) -> set[bytes]:
    return {modules.read(db._store, key[1:].hex()) or b"" for key, _ in db._store.scan(*keys.space(b"W"))}


@pytest.fixture
def db() -> Database:
    return Database(MemoryStore(), read_only=False, synchronous="off")


def test_stored_once_while_a_function_names_it(db: Database) -> None:
    put(db, "f()", ONE)
    put(db, "g()", ONE)
    put(db, "h()", TWO)
    assert stored(db) == {ONE, TWO}
    drop(db, "f()")
    assert stored(db) == {ONE, TWO}
    drop(db, "g()")
    assert stored(db) == {TWO}
    put(db, "h()", ONE)  # replaced
    assert stored(db) == {ONE}
    assert db.check() == []


def test_known_within_the_transaction_and_gone_with_it(db: Database) -> None:
    digest = modules.digest_of(ONE)
    with db.begin() as tx, db.begin() as other:
        assert tx.put_module(ONE) == other.put_module(ONE) == digest
        tx.put_object("function", "public", "f()", {"digest": digest})
        assert db.module(digest) == ONE
        tx.rollback()
        assert db.module(digest) == ONE  # the other's
        other.rollback()
    assert db.module(digest) is None
    assert stored(db) == set()


def test_undone_with_a_savepoint(db: Database) -> None:
    with db.begin() as tx:
        savepoint = tx.savepoint()
        tx.put_object("function", "public", "f()", {"digest": tx.put_module(ONE)})
        tx.rollback_to(savepoint)
        tx.put_object("function", "public", "g()", {"digest": tx.put_module(TWO)})
    assert stored(db) == {TWO}
    assert db.check() == []


def test_moved_to_another_name(db: Database) -> None:
    put(db, "f()", ONE)
    with db.begin() as tx:
        data = tx.catalog["function", "public", "f()"]
        tx.drop_object("function", "public", "f()")
        tx.put_object("function", "s", "g()", data)
    assert stored(db) == {ONE}


def test_check_names_what_is_wrong(db: Database) -> None:
    put(db, "f()", ONE)
    key = keys.module(bytes.fromhex(modules.digest_of(ONE)))
    value = db._store.get(key)
    assert value is not None
    db._store.write(Batch(puts=[(key, value[:-1] + b"!")]), sync=False)
    assert any("checksum mismatch" in problem for problem in db.check())
    with pytest.raises(DatabaseError, match="checksum mismatch"):
        db.module(modules.digest_of(ONE))
    db._store.write(Batch(deletes=[key]), sync=False)
    (problem,) = db.check()
    assert "function public f()" in problem
    assert "is missing" in problem
    db._store.write(Batch(puts=[(key, value)]), sync=False)
    drop_key = keys.object_("function", "public", "f()")
    db._store.write(Batch(deletes=[drop_key]), sync=False)
    (problem,) = db.check()
    assert "no function is made of it" in problem


def test_backups_and_followers_have_them(tmp_path: Path) -> None:
    path, repository = str(tmp_path / "db"), str(tmp_path / "backups")
    digests = [modules.digest_of(content) for content in (ONE, TWO)]
    with Database.open(path) as db:
        put(db, "f()", ONE)
        db.back_up(repository)
        put(db, "g()", TWO)
        drop(db, "f()")
        db.back_up(repository, incremental=True)
        with Database.open(path, read_only=True) as follower:
            assert [follower.snapshot() and follower.module(digest) for digest in digests] == [None, TWO]
            put(db, "f()", ONE)
            assert [follower.snapshot() and follower.module(digest) for digest in digests] == [ONE, TWO]
            assert follower.check() == []
    restore(repository, str(tmp_path / "restored"))
    with Database.open(str(tmp_path / "restored")) as db:
        assert [db.module(digest) for digest in digests] == [None, TWO]
        assert db.check() == []
