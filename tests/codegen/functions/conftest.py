"""Expressions evaluated over every way that a value can reach generated code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import zerodb

Row = Sequence[Any]
Evaluate = Callable[[str, Sequence[str], Sequence[Row]], dict[str, list[tuple[Any, ...]]]]

_ARROW = {
    "text": pa.string(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "double precision": pa.float64(),
}
# So often a string must repeat in a file for its column to get a dictionary.
_REPEATS = 12


@pytest.fixture(scope="module")
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect(":memory:", threads=1) as connection:
        yield connection


@pytest.fixture(scope="module")
def evaluate(db: zerodb.Connection, tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """evaluate("a text, n integer", ["upper(a)", ...], rows): the expressions' values for each row, by where the values
    come from: `inserted` (the delta, raw text), `imported` (segments, texts in dictionaries), `parameters`."""
    folder = tmp_path_factory.mktemp("parquet")

    def run(schema: str, expressions: Sequence[str], rows: Sequence[Row]) -> dict[str, list[tuple[Any, ...]]]:
        columns = [item.strip().split(" ", 1) for item in schema.split(",")]
        select = ", ".join(expressions)
        results: dict[str, list[tuple[Any, ...]]] = {}
        db.execute("drop table if exists inserted")
        db.execute(f"create table inserted (row_number integer, {schema})")
        places = ", ".join("?" * (len(columns) + 1))
        db.executemany(f"insert into inserted values ({places})", [(i, *row) for i, row in enumerate(rows)])
        results["inserted"] = db.execute(f"select {select} from inserted order by row_number").fetchall()
        db.execute("drop table if exists imported")
        db.import_file("imported", _parquet(folder, columns, rows))
        query = f"select {select} from imported order by row_number"
        results["imported"] = db.execute(query).fetchall()[::_REPEATS]
        typed = ", ".join(f"cast(? as {type_}) as {name}" for name, type_ in columns)
        results["parameters"] = [
            db.execute(f"select {select} from (select {typed}) as one", list(row)).fetchall()[0] for row in rows[:3]
        ]
        return results

    return run


def _parquet(folder: Path, columns: list[list[str]], rows: Sequence[Row]) -> str:
    repeated = [(i, *row) for i, row in enumerate(rows) for _ in range(_REPEATS)]
    fields = [("row_number", pa.int32()), *((name, _ARROW[type_]) for name, type_ in columns)]
    arrays = [pa.array([row[i] for row in repeated], type_) for i, (_, type_) in enumerate(fields)]
    path = folder / "imported.parquet"
    pq.write_table(pa.table(arrays, names=[name for name, _ in fields]), path)
    return str(path)


@pytest.fixture(scope="module")
def check(evaluate: Evaluate) -> Callable[..., None]:
    """check(schema, {expression: Python function of the row}, rows): NULL arguments give NULL unless the function
    takes None itself (`nulls=True`)."""

    def compare(schema: str, cases: dict[str, Callable[..., Any]], rows: Sequence[Row], *, strict: bool = True) -> None:
        names = list(cases)
        found = evaluate(schema, names, rows)
        columns = [item.strip().split(" ", 1)[0] for item in schema.split(",")]
        for source, results in found.items():
            for row, result in zip(rows, results, strict=False):
                given = dict(zip(columns, row, strict=True))
                for name, value in zip(names, result, strict=True):
                    function = cases[name]
                    used = function.__code__.co_varnames[: function.__code__.co_argcount]
                    arguments = [given[column] for column in used]
                    expected = None if strict and None in arguments else function(*arguments)
                    assert repr(value) == repr(expected), (source, name, given)

    return compare
