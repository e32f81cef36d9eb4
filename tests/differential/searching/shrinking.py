"""From a failing query over random tables to a small one: the query's tree first, then rows, columns and tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.differential.searching.schema import SIMPLEST, Table
from tests.differential.searching.tree import Node, smaller

Fails = Callable[[Node, list[Table]], bool]


def shrink(tree: Node, tables: list[Table], fails: Fails, seconds: float = 30.0) -> tuple[Node, list[Table]]:
    """The smallest tree and tables found for which `fails` still holds, within the time."""
    deadline = time.monotonic() + seconds
    progress = True
    while progress and time.monotonic() < deadline:
        progress = False
        for candidate in smaller(tree, SIMPLEST):
            if time.monotonic() > deadline:
                break
            if fails(candidate, tables):
                tree, progress = candidate, True
                break
        if progress:
            continue
        for fewer in _fewer(tables, str(tree)):
            if time.monotonic() > deadline:
                break
            if fails(tree, fewer):
                tables, progress = fewer, True
                break
    return tree, tables


def _fewer(tables: list[Table], text: str) -> Iterator[list[Table]]:
    unused = [table for table in tables if table.name not in text]
    if unused:
        yield [table for table in tables if table.name in text]
    for number, table in enumerate(tables):

        def changed(new: Table, number: int = number) -> list[Table]:
            return [*tables[:number], new, *tables[number + 1 :]]

        if table.constraints or table.indexes:
            yield changed(replace(table, constraints=[], indexes=[]))
        rows = table.rows
        step = max(1, len(rows) // 2)
        while rows:
            for start in range(0, len(rows), step):
                yield changed(replace(table, rows=rows[:start] + rows[start + step :]))
            if step == 1:
                break
            step //= 2
        for index in range(1, len(table.columns)):
            if f".{table.columns[index].name}" in text:
                continue
            columns = table.columns[:index] + table.columns[index + 1 :]
            kept = [row[:index] + row[index + 1 :] for row in rows]
            yield changed(replace(table, columns=columns, rows=kept, constraints=[], indexes=[]))
