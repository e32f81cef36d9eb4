"""EXPLAIN: what the compiler made of a statement, and with ANALYZE how it ran.

plan after the rules, physical plan, pipelines with their operators, bytes of WebAssembly, time of each stage;
with ANALYZE per pipeline: time, rows that reached its sink, morsels run and skipped, threads, tier
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from zerodb.compilation import STAGES, CompiledQuery, Prepared, Ready
from zerodb.engine.pruning import partitions_left
from zerodb.outcome import Outcome, text_table
from zerodb.queries import canonical_parameters, execute
from zerodb.sequence_values import resolved
from zerodb.values import Canonical
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.plan.format import format_logical, format_physical
from zerodb_compiler.sql import statements as st

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.engine.engine import Execution
    from zerodb.engine.scheduler import PipelineStatistics
    from zerodb.view import View


_COSTS = re.compile(r"  \[[^\]]*\]$", re.M)


def explain(connection: Connection, ready: Ready, view: View, user: Sequence[Any]) -> Outcome:
    """The result of an EXPLAIN statement; ANALYZE runs what it is about, changes too."""
    statement = ready.prepared.statement
    assert isinstance(statement, st.Explain)
    values = canonical_parameters(ready, user)
    runs, seconds, rows = _analyzed(connection, ready, view, user, values) if statement.analyze else (None, 0.0, 0)
    options = frozenset(statement.options)
    lines = list(_lines(connection, ready.prepared, options, runs, seconds, rows, values))
    if "json" in options:
        return text_table("EXPLAIN", ["QUERY PLAN"], [[_json(lines, seconds if runs is not None else None, rows)]])
    return text_table("EXPLAIN", ["QUERY PLAN"], ([line] for line in lines))


def explain_text(connection: Connection, ready: Ready, view: View, user: Sequence[Any] | None) -> Iterator[str]:
    """The lines for any prepared statement; ANALYZE if `user` values are given."""
    runs: Runs | None = None
    seconds, rows = 0.0, 0
    if user is not None:
        runs, seconds, rows = _analyzed(connection, ready, view, user, canonical_parameters(ready, user))
    yield from _lines(connection, ready.prepared, frozenset(), runs, seconds, rows)


Runs = dict[int, "Execution"]  # by the identity of the compiled query


def _analyzed(
    connection: Connection, ready: Ready, view: View, user: Sequence[Any], values: Sequence[Canonical]
) -> tuple[Runs, float, int]:
    """Runs the statement; what its queries did, the seconds it took, and the rows it gave or changed."""
    from zerodb.changes.applying import run_change

    prepared = ready.prepared
    statement = prepared.explained
    began = time.perf_counter()
    observed: Runs = {}
    connection._observed = observed
    try:
        match statement:
            case st.Query(locks=locks) if locks:
                from zerodb.row_locks import run_locking

                rows = run_locking(connection, ready, user).row_count
            case st.Query():
                assert prepared.query is not None
                rows = execute(connection, prepared.query, view, resolved(connection, values)).row_count
            case st.Insert() | st.Update() | st.Delete() | st.Merge() | st.WithChanges():
                rows = run_change(connection, ready, user).row_count
            case _:
                raise NotSupportedError("EXPLAIN ANALYZE of this statement is not supported")
    finally:
        connection._observed = None
    return observed, time.perf_counter() - began, max(rows, 0)


def _lines(
    connection: Connection,
    prepared: Prepared,
    options: frozenset[str],
    runs: Runs | None,
    seconds: float,
    rows: int,
    values: Sequence[Canonical] | None = None,
) -> Iterator[str]:
    statement = prepared.explained
    titles = [_title(statement)]
    queries = [prepared.query]
    if isinstance(statement, st.WithChanges):
        titles = [f"WITH query {i}: {_title(part.statement)}" for i, part in enumerate(statement.parts, 1)]
        titles.append(_title(statement.main))
        queries = [*prepared.parts, prepared.query]
    for title, query in zip(titles, queries, strict=True):
        if title:
            yield title
        if query is None:
            yield f"{type(statement).__name__}: runs no query"
        else:
            yield from _query_lines(query, options, None if runs is None else runs.get(id(query)), values)
    if "no summary" not in options and any(query is not None for query in queries):
        yield "Compilation: " + stage_text(prepared)
    if "buffers" in options:
        memory = connection._database.engine.memory
        yield f"Memory: {memory.limit:,} bytes at most"
    if "settings" in options and connection._options.values:
        shown = ", ".join(f"{name} = '{value}'" for name, value in sorted(connection._options.values.items()))
        yield f"Settings: {shown}"
    if runs is not None and "no summary" not in options:
        yield f"Execution: {seconds * 1000:.2f} ms, {rows} row{'' if rows == 1 else 's'}"


def _title(statement: st.Statement | st.Proposed) -> str:
    match statement:
        case st.Proposed(table=table):
            return f"Rows proposed for {table.name}"
        case st.Query(locks=locks) if locks:
            return "Lock rows: " + ", ".join(
                f"{locked.table.name} for {locked.strength.name.lower().replace('_', ' ')}" for locked in locks
            )
        case st.Insert(table=table):
            return f"Insert on {table.name}"
        case st.Update(table=table):
            return f"Update on {table.name}"
        case st.Delete(table=table):
            return f"Delete on {table.name}"
        case st.Merge(table=table, key=key):
            return (
                f"Merge on {table.name}" if key is None else f"Insert on {table.name}, on conflict ({key.name}) update"
            )
    return ""


def _query_lines(
    query: CompiledQuery, options: frozenset[str], run: Execution | None, values: Sequence[Canonical] | None
) -> Iterator[str]:
    yield "Logical plan"
    yield from _indented(format_logical(query.logical))
    yield "Physical plan"
    physical = format_physical(query.plan)
    yield from _indented(_COSTS.sub("", physical) if "no costs" in options else physical)
    if values is not None:
        for root, left, count in partitions_left(query.program, values).values():
            yield f"Partitions of {root}: {left} of {count}"
    yield from _pipelines(query, None if run is None else run.statistics, timing="no timing" not in options)
    if "no summary" not in options:
        yield f"WebAssembly: {len(query.program.wasm):,} bytes"
        yield "Machine code: " + _tier_text(query)


def _json(lines: Sequence[str], seconds: float | None, rows: int) -> str:
    """The lines by section, and PostgreSQL's keys for the times."""
    sections: dict[str, list[str]] = {}
    section: list[str] = []
    for line in lines:
        if line.startswith("  "):
            section.append(line[2:])
        else:
            section = sections.setdefault(line, [])
    found: dict[str, Any] = {"Plan": sections}
    if seconds is not None:
        found |= {"Execution Time": round(seconds * 1000, 3), "Actual Rows": rows}
    return json.dumps([found], indent=2)


def _indented(text: str) -> Iterator[str]:
    for line in text.rstrip("\n").split("\n"):
        yield "  " + line


def _pipelines(query: CompiledQuery, statistics: Sequence[PipelineStatistics] | None, *, timing: bool) -> Iterator[str]:
    for index, pipeline in enumerate(query.program.pipelines):
        ran = ""
        if statistics is not None:
            found = statistics[index]
            parts = [f"{found.seconds * 1000:.2f} ms"] if timing else []
            if found.rows is not None:
                parts.append(f"{found.rows:,} rows")
            skipped = f" ({found.morsels_skipped} skipped)" if found.morsels_skipped else ""
            parts.append(f"{found.morsels} morsels{skipped}")
            parts.append(f"{found.threads} thread{'' if found.threads == 1 else 's'}")
            parts.append(found.tier.name.lower())
            ran = ": " + ", ".join(parts)
        yield f"Pipeline {index} ({pipeline.function}){ran}"
        yield from ("  " + line for line in pipeline.description)


def _tier_text(query: CompiledQuery) -> str:
    """`winch 3.1 ms, cranelift 14.0 ms (kept from an earlier process)`; what is not ready yet is not there."""
    statistics = query.code.statistics
    parts = []
    for tier, seconds in sorted(statistics.seconds.items()):
        kept = " (kept from an earlier process)" if tier in statistics.from_cache else ""
        parts.append(f"{tier.name.lower()} {seconds * 1000:.2f} ms{kept}")
    return ", ".join(parts)


def stage_text(prepared: Prepared) -> str:
    """`parse 0.5 ms, bind 1.2 ms, ...`"""
    seconds = prepared.stages.seconds
    parts = [f"{stage} {seconds[stage] * 1000:.2f} ms" for stage in STAGES if stage in seconds]
    return ", ".join(parts) + f"; {prepared.stages.total * 1000:.2f} ms in all"
