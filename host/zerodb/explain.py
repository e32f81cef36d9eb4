"""EXPLAIN: what the compiler made of a statement, and with ANALYZE how it ran.

plan after the rules, physical plan, pipelines with their operators, bytes of WebAssembly, time of each stage;
with ANALYZE per pipeline: time, rows that reached its sink, morsels run and skipped, threads, tier
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from zerodb.compilation import STAGES, CompiledQuery, Prepared, Ready
from zerodb.values import Canonical
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.plan.format import format_logical, format_physical
from zerodb_compiler.sql import statements as st

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.engine.scheduler import PipelineStatistics
    from zerodb.view import View


def explain(connection: Connection, prepared: Prepared, view: View, values: Sequence[Canonical]) -> Iterator[str]:
    """The lines for an EXPLAIN statement; `values` are those of all parameter slots."""
    assert isinstance(prepared.statement, st.Explain)
    yield from _lines(connection, prepared, view, values if prepared.statement.analyze else None)


def explain_text(connection: Connection, ready: Ready, view: View, user: Sequence[Any] | None) -> Iterator[str]:
    """The lines for any prepared statement; ANALYZE if `user` values are given."""
    from zerodb.queries import canonical_parameters

    values = None if user is None else canonical_parameters(ready, user)
    yield from _lines(connection, ready.prepared, view, values)


def _lines(connection: Connection, prepared: Prepared, view: View, values: Sequence[Canonical] | None) -> Iterator[str]:
    query = prepared.query
    if query is None:
        yield f"{type(prepared.explained).__name__}: runs no query"
        return
    yield "Logical plan"
    yield from _indented(format_logical(query.logical))
    yield "Physical plan"
    yield from _indented(format_physical(query.plan))
    statistics: Sequence[PipelineStatistics] | None = None
    seconds = 0.0
    rows = 0
    if values is not None:
        if not isinstance(prepared.explained, st.Query):
            raise NotSupportedError("EXPLAIN ANALYZE is for queries: it would change rows")
        from zerodb.queries import execute

        began = time.perf_counter()
        execution = execute(connection, query, view, values)
        seconds = time.perf_counter() - began
        statistics, rows = execution.statistics, execution.row_count
    yield from _pipelines(query, statistics)
    yield f"WebAssembly: {len(query.program.wasm):,} bytes"
    yield "Compilation: " + stage_text(prepared)
    yield "Machine code: " + _tier_text(query)
    if statistics is not None:
        yield f"Execution: {seconds * 1000:.2f} ms, {rows} row{'' if rows == 1 else 's'}"


def _indented(text: str) -> Iterator[str]:
    for line in text.rstrip("\n").split("\n"):
        yield "  " + line


def _pipelines(query: CompiledQuery, statistics: Sequence[PipelineStatistics] | None) -> Iterator[str]:
    for index, pipeline in enumerate(query.program.pipelines):
        ran = ""
        if statistics is not None:
            found = statistics[index]
            parts = [f"{found.seconds * 1000:.2f} ms"]
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
