"""Queries of the sqllogictest files, run as components over the same tables' rows, answer as zerodb does.

Each query is wrapped so that all its columns are texts, which compares every type in its own form.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.components.query_host import QueryError, QueryHost, case

import zerodb
from zerodb.logictest import records

FILES = sorted((Path(__file__).parents[1] / "logic").rglob("*.test"))
QUERIES_PER_FILE = 6
# Forms that Python has no values of its own for are read from the tables as text.
AS_TEXT = ("uuid", "json", "other", "decimal")


def queries(db: zerodb.Connection, file: Path) -> Iterator[str]:
    """Some queries of a file, each when the statements before it have been run."""
    found = list(records.parse(file.read_text(encoding="utf-8")))
    places = [i for i, record in enumerate(found) if isinstance(record, records.Query) and is_select(record.sql)]
    chosen = set(random.Random(file.name).sample(places, min(QUERIES_PER_FILE, len(places))))
    for place, record in enumerate(found):
        if place in chosen:
            assert isinstance(record, records.Query)
            yield record.sql
        elif isinstance(record, records.Statement):
            with contextlib.suppress(zerodb.Error):
                db.execute(record.sql)


def is_select(sql: str) -> bool:
    return sql.lstrip().lower().startswith(("select", "with", "values"))


def as_texts(db: zerodb.Connection, sql: str) -> str | None:
    """The query with all its columns as text; None if it cannot be one, or not as a component."""
    try:
        columns = db.prepare(sql).columns or ()
        names = [f"c{i}" for i in range(len(columns))]
        wrapped = f"select {', '.join(f'{name}::text' for name in names)} from ({sql}\n) q({', '.join(names)})"
        return wrapped if names and db.prepare(wrapped).component().missing is None else None
    except zerodb.Error:
        return None


def rows_of_inputs(db: zerodb.Connection, described: Any) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    for given in described.inputs:
        types = [getattr(column, "data-type") for column in given.columns]
        texts = ["::text" if case(data_type) in AS_TEXT else "" for data_type in types]
        columns = [f'"{column.name}"{text}' for column, text in zip(given.columns, texts, strict=True)]
        rows = db.execute(f"select {', '.join(columns) or 1} from {given.name}").fetchall()
        found[given.name] = rows if columns else [() for _ in rows]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_queries_of_the_logic_files(file: Path) -> None:
    with zerodb.connect(":memory:") as db:
        for sql in queries(db, file):
            wrapped = as_texts(db, sql)
            if wrapped is None:
                continue
            host = QueryHost(db.prepare(wrapped).wasm)
            try:
                inputs = rows_of_inputs(db, host.describe())
            except zerodb.Error:  # values that Python has none for, such as infinite dates; system tables
                continue
            assert component_answer(host, inputs) == answer(db, wrapped), sql


def answer(db: zerodb.Connection, sql: str) -> object:
    """The rows in no order, or the error's SQLSTATE."""
    try:
        return sorted(map(repr, db.execute(sql).fetchall()))
    except zerodb.Error as error:
        return error.sqlstate


def component_answer(host: QueryHost, inputs: dict[str, list[tuple[Any, ...]]]) -> object:
    try:
        return sorted(map(repr, host.run(inputs)))
    except QueryError as error:
        return error.sqlstate
