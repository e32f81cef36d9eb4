"""Prepared statements, EXPLAIN, and the compile-once cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime
import wasmtime.component

import zerodb
from zerodb import artifact


@pytest.fixture
def shop(path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[zerodb.Connection]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with zerodb.connect(path) as db:
        db.execute("create table item (id integer primary key, name text, price numeric(10,2))")
        db.execute("insert into item values (1, 'pen', 1.20), (2, 'ink', 7.00), (3, 'pad', 3.50)")
        yield db


def test_prepared_statement(shop: zerodb.Connection) -> None:
    statement = shop.prepare("select name, price from item where price > $1 order by price")
    assert [(p.name, str(p.type)) for p in statement.parameters] == [(1, "numeric(10,2)")]
    assert statement.columns is not None
    assert [column.name for column in statement.columns] == ["name", "price"]
    assert [row[0] for row in statement.execute([2])] == ["pad", "ink"]
    assert [row[0] for row in statement.execute(["5"])] == ["ink"]
    shop.execute("insert into item values (4000000, 'desk', 99)")  # another layout: compiled anew
    assert [row[0] for row in statement.execute([5])] == ["ink", "desk"]
    shop.execute("delete from item where id = 2")
    assert [row[0] for row in statement.execute([5])] == ["desk"]
    assert shop.prepare("insert into item (id) values (?)").columns is None


def test_a_shape_compiles_once(shop: zerodb.Connection) -> None:
    first = shop.prepare("select name from item where id = 1")
    second = shop.prepare("select  name FROM item where id = 3")
    assert first._prepared is second._prepared
    assert second.execute().fetchall() == [("pad",)]
    assert first.execute().fetchall() == [("pen",)]


def test_places_in_errors_are_those_of_the_text_that_was_run(shop: zerodb.Connection) -> None:
    shop.execute("insert into item values (0, null, null)")
    for text in (
        "select 1 / id from item where id < 5",
        "select 1 /      id from item where id < 4",
        "select  1 / id from item where id < 77",
    ):
        with pytest.raises(zerodb.DataError) as caught:
            shop.execute(text)
        assert caught.value.sqlstate == "22012"
        assert caught.value.position is None or text[caught.value.position :].lstrip()[:1] in ("1", "/")


def test_explain(shop: zerodb.Connection) -> None:
    text = "select name, sum(price) from item where id > 1 group by name order by name"
    lines = [row[0] for row in shop.execute("explain " + text)]
    assert any("item" in line for line in lines)
    assert any(line.startswith("Pipeline 0") for line in lines)
    assert any(line.startswith("WebAssembly:") for line in lines)
    assert not any(line.startswith("Execution:") for line in lines)
    analyzed = [row[0] for row in shop.execute("explain analyze " + text)]
    assert any(line.startswith("Execution:") and "2 rows" in line for line in analyzed)
    assert "Pipeline 0" in shop.prepare(text).explain()
    assert "Execution" in shop.prepare("select * from item where id = ?").explain([1], analyze=True)


def test_artifact(shop: zerodb.Connection) -> None:
    statement = shop.prepare("select name from item where price < $limit and id <> 3 order by name")
    data = statement.wasm
    engine = wasmtime.Engine()
    wasmtime.component.Component(engine, data)  # a valid component
    parts = artifact.parse(data)
    assert parts.module == statement.module
    assert data.index(parts.module) < 64  # it comes first
    loaded = artifact.load(shop, data)
    assert loaded.runs_own_code()
    assert loaded.execute({"limit": 5}).fetchall() == [("pen",)]
    assert loaded.execute({"limit": 100}).fetchall() == [("ink",), ("pen",)]
    shop.execute("delete from item where id = 1")  # the layout has changed: the SQL is compiled
    assert not loaded.runs_own_code()
    assert loaded.execute({"limit": 100}).fetchall() == [("ink",)]


def test_a_changed_artifact_is_not_trusted(shop: zerodb.Connection) -> None:
    data = shop.prepare("select name from item where id = 2").wasm
    at = data.index(b"select name")
    changed = data[:at] + b"select NAME" + data[at + 11 :]
    loaded = artifact.load(shop, changed)
    assert not loaded.trusted
    assert loaded.execute().fetchall() == [("ink",)]
    for broken in (b"", b"hello", data[:100], b"\0asm\1\0\0\0", data[:8]):
        with pytest.raises(zerodb.Error) as caught:
            artifact.load(shop, broken)
        assert caught.value.sqlstate == "22P03"


def test_an_artifact_of_another_user_is_compiled_again(
    shop: zerodb.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = shop.prepare("select name from item where id = 2").wasm
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    loaded = artifact.load(shop, data)
    assert not loaded.trusted
    assert loaded.execute().fetchall() == [("ink",)]


def test_wat(shop: zerodb.Connection) -> None:
    statement = shop.prepare("select name from item where id = 2")
    text = statement.wat()
    assert text.startswith("(module")
    assert wasmtime.wat2wasm(text)
