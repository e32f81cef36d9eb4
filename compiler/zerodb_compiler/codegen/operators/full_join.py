"""What FULL joins add to a hash or nested-loop join: build rows remember whether they matched, and a further pipeline
gives those that did not, with NULLs for the probe side.

Both pipelines feed one consumer, so all columns go through `canonical`: one form whichever side a row comes from.
"""

from __future__ import annotations

from zerodb_compiler.codegen.context import Context
from zerodb_compiler.codegen.expressions import Environment, null_of
from zerodb_compiler.codegen.operators.buffered import RowBuffer
from zerodb_compiler.codegen.operators.project import Step, canonical
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, Source, open_pipeline
from zerodb_compiler.codegen.program import MorselSource
from zerodb_compiler.codegen.sqlvalues import SqlValue
from zerodb_compiler.sql.expressions import Column
from zerodb_compiler.wasm.values import I32, load

MATCHED = 1
NULL_KEY = 2


class BothSides(Step):
    """In front of the consumer: every column in its canonical form, nullable."""

    def __init__(self, columns: tuple[Column, ...], next_: Consumer) -> None:
        super().__init__(next_)
        self._columns = columns

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        self.next.row(p, {column.id: p.keep_value(canonical(p, env[column.id], column)) for column in self._columns})


def mark_matched(p: PipelineEmitter, place: I32, offset: int) -> None:
    """Sets the flag of a build tuple; several workers may do so at once, all storing the same."""
    with p.f.if_(place):
        p.f.store("i32.store", place, load("i32.load", place, offset) | MATCHED, offset)


def produce_unmatched(
    context: Context,
    build: RowBuffer,
    first_payload: int,
    payload: tuple[int, ...],
    columns: tuple[Column, ...],
    flags: int,
    consumer: Consumer,
) -> None:
    """The pipeline over the build rows whose flag is not set; `columns` are those the consumer reads."""

    def body(p: PipelineEmitter) -> None:
        assert build.layout is not None and build.buffer is not None
        consumer.begin(p)
        env: dict[int, SqlValue] = {column.id: null_of(column.type) for column in columns}
        with p.row_loop(), build.buffer.each_of_all(p) as place:
            unmatched = (load("i32.load", place, flags) & MATCHED).is_zero()
            with p.f.if_(unmatched):
                row = dict(zip(payload, build.layout.read(place)[first_payload:], strict=True))
                consumer.row(p, {**env, **row})
        consumer.end(p)

    open_pipeline(context, Source(MorselSource.SINGLE, "unmatched rows", parallel=False), consumer, body)
