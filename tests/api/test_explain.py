"""EXPLAIN's options; EXPLAIN ANALYZE runs what it explains, changes too."""

from __future__ import annotations

import json

import pytest

import zerodb
from zerodb import Connection


@pytest.fixture
def table() -> Connection:
    db = zerodb.connect(":memory:")
    db.execute("create table t (a int primary key, b text)")
    db.execute("insert into t values (1, 'x'), (2, 'y')")
    return db


def lines(db: Connection, sql: str) -> list[str]:
    cursor = db.execute(sql)
    assert [column[0] for column in cursor.description or ()] == ["QUERY PLAN"]
    return [str(row[0]) for row in cursor.fetchall()]


def test_explain_alone_changes_nothing(table: Connection) -> None:
    assert lines(table, "explain delete from t")[0] == "Delete on t"
    assert table.execute("select count(*) from t").fetchone() == (2,)


@pytest.mark.parametrize(
    ("sql", "title", "rows"),
    [
        ("update t set b = 'z' where a = 1", "Update on t", [(1, "z"), (2, "y")]),
        ("insert into t select a + 10, b from t", "Insert on t", [(1, "x"), (2, "y"), (11, "x"), (12, "y")]),
        ("delete from t where a = 2", "Delete on t", [(1, "x")]),
        ("merge into t using (values (1)) v(k) on a = k when matched then delete", "Merge on t", [(2, "y")]),
        ("with d as (delete from t returning a) select * from d", "WITH query 1: Delete on t", []),
    ],
)
def test_analyze_runs_changes(table: Connection, sql: str, title: str, rows: list[tuple[int, str]]) -> None:
    shown = lines(table, f"explain analyze {sql}")
    assert shown[0] == title
    assert shown[-1].startswith("Execution: ")
    assert any(line.startswith("Pipeline 0") and " ms" in line for line in shown)
    assert table.execute("select * from t order by a").fetchall() == rows


def test_options(table: Connection) -> None:
    bare = lines(table, "explain (analyze, costs off, timing off, summary off) select * from t where a > 1")
    assert not any(line.endswith("]") and "Output" in line and "  [" in line for line in bare)
    assert not any(" ms" in line for line in bare)
    table.execute("set application_name = 'me'")
    assert "Settings: application_name = 'me'" in lines(table, "explain (settings) select 1")
    (text,) = lines(table, "explain (analyze, format json) select * from t")
    (found,) = json.loads(text)
    assert found["Actual Rows"] == 2
    assert "Physical plan" in found["Plan"]


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("explain (nix) select 1", "42601"),
        ("explain (analyze maybe) select 1", "42601"),
        ("explain (format nix) select 1", "22023"),
        ("explain (format yaml) select 1", "0A000"),
        ("explain (timing) select 1", "22023"),
        ("explain", "42601"),
        ("explain analyze create table u as select 1", "0A000"),
    ],
)
def test_refusals(table: Connection, sql: str, sqlstate: str) -> None:
    with pytest.raises(zerodb.Error) as caught:
        table.execute(sql)
    assert caught.value.sqlstate == sqlstate
