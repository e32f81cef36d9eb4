"""Pipelines: produce and consume (Neumann, "Efficiently Compiling Efficient Query Plans for Modern Hardware").

A source opens a function and generates the loop over its rows; what happens to each row is generated into
that loop by a chain of consumers, ending in a sink that materialises. A consumer has three hooks:

    begin   before the loop: load state into locals
    row     inside it: code for one row, given as an environment (column id -> value)
    end     after it: store state back

Hooks run once per pipeline that feeds the consumer (a UNION feeds one sink from several), so state of the generated
function (locals) is made anew in `begin`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Context, Emitter, define
from zerodb_compiler.codegen.expressions import Environment
from zerodb_compiler.codegen.program import MorselSource, Pipeline
from zerodb_compiler.errors import error_for
from zerodb_compiler.wasm.module import Function, Label
from zerodb_compiler.wasm.values import I32, I64, load

MOST_PIPELINES = 256  # rows of different pipelines are ordered by the pipeline's number above the morsel's 24 bits


class PipelineEmitter(Emitter):
    """The function of one pipeline. `rows_bound` is a proven upper bound of the rows one morsel sends down the chain
    at the current place, or None; `stop()` ends the morsel early but in order."""

    def __init__(self, context: Context, function: Function) -> None:
        super().__init__(context, function)
        self.morsel: I32 = function.parameters[1]
        self.rows_bound: int | None = None
        self.start_actions = []
        self.status = function.local(I32, "status")
        self.done: Label | None = None

    def stop(self) -> None:
        """Leaves the row loop; `end` hooks still run, then the function says that no morsel is needed any more."""
        assert self.done is not None
        self.status.set(I32.const(abi.STATUS_DONE))
        self.done.break_()

    @contextmanager
    def row_loop(self) -> Iterator[None]:
        """Around the source's loops: where `stop` goes to."""
        with self.f.block() as done:
            self.done = done
            yield
        self.done = None


class Consumer(Protocol):
    """One step of a pipeline after its source."""

    def describe(self) -> list[str]:
        """Lines for EXPLAIN, this step first, then those after it."""
        ...

    def begin(self, p: PipelineEmitter) -> None: ...

    def row(self, p: PipelineEmitter, env: Environment) -> None: ...

    def end(self, p: PipelineEmitter) -> None: ...


@dataclass(frozen=True, slots=True)
class Source:
    """What kind of morsels a pipeline has."""

    kind: MorselSource
    description: str
    scan: int | None = None
    count_offset: int | None = None
    parallel: bool = True


def open_pipeline(
    context: Context, source: Source, consumer: Consumer, body: Callable[[PipelineEmitter], None]
) -> None:
    """Generates a pipeline function: `body` emits the source's loops, calling the consumer's hooks."""
    if len(context.pipelines) >= MOST_PIPELINES:
        raise error_for("54001", f"statement is too complex: it needs more than {MOST_PIPELINES} pipelines")
    name = context.fresh("pipeline")
    function = context.entry(name)
    p = PipelineEmitter(context, function)
    p.f.comment(source.description)
    p.check_interrupt()
    p.set_worker_i32(abi.WORKER_SCRATCH_NEXT, p.worker_i32(abi.WORKER_SCRATCH_START))
    p.set_worker_i32(abi.WORKER_MORSEL, I32.const(len(context.pipelines) << 24) | p.morsel)
    body(p)
    p.f.return_(p.status)
    start = _define_start(context, name, p) if p.start_actions else None
    context.pipelines.append(
        Pipeline(
            function=name,
            source=source.kind,
            scan=source.scan,
            count_offset=source.count_offset,
            start=start,
            finish=None,
            description=(source.description, *consumer.describe()),
            parallel=source.parallel,
            rows_offset=context.row_counters.get(len(context.pipelines)),
        )
    )


def _define_start(context: Context, pipeline: str, p: PipelineEmitter) -> str:
    def body(e: Emitter) -> None:
        for action in p.start_actions or ():
            action(e)

    return define(context, f"{pipeline}_start", body)


def set_finish(context: Context, finish: str) -> None:
    """Names the function to run after the pipeline generated last."""
    assert context.pipelines[-1].finish is None
    context.pipelines[-1] = replace(context.pipelines[-1], finish=finish)


class RowCounter:
    """In front of a sink: counts the rows that reach it, for EXPLAIN ANALYZE."""

    def __init__(self, sink: Consumer) -> None:
        self.sink = sink

    def describe(self) -> list[str]:
        return self.sink.describe()

    def begin(self, p: PipelineEmitter) -> None:
        self._rows = p.f.local(I64, "rows_out")
        self.sink.begin(p)

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        self._rows.set(self._rows + 1)
        self.sink.row(p, env)

    def end(self, p: PipelineEmitter) -> None:
        offset = rows_offset(p.context)
        p.f.store("i64.store", p.worker, load("i64.load", p.worker, offset) + self._rows, offset)
        self.sink.end(p)


def rows_offset(context: Context) -> int:
    """Worker field of the row count of the pipeline being generated."""
    number = len(context.pipelines)
    if number not in context.row_counters:
        context.row_counters[number] = context.worker.reserve(8, kept=True)
    return context.row_counters[number]
