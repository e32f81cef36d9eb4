"""A sink that keeps rows in tuple buffers, and the pipeline that reads them back in insertion order."""

from __future__ import annotations

from collections.abc import Sequence

from zerodb_compiler.codegen.context import Context
from zerodb_compiler.codegen.expressions import Environment
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, Source, open_pipeline
from zerodb_compiler.codegen.program import MorselSource
from zerodb_compiler.codegen.sqlvalues import SqlValue, with_null
from zerodb_compiler.codegen.tuples import TupleBuffer, TupleLayout
from zerodb_compiler.wasm.values import I32


class RowBuffer:
    """Keeps the columns of the given ids; `layout` and `buffer` are known after the first row was generated."""

    def __init__(self, context: Context, ids: Sequence[int], header: int = 0) -> None:
        self._context, self.ids, self._header = context, tuple(ids), header
        self.layout: TupleLayout | None = None
        self.buffer: TupleBuffer | None = None

    def describe(self) -> list[str]:
        return ["buffer rows"]

    def begin(self, p: PipelineEmitter) -> None:
        del p

    def end(self, p: PipelineEmitter) -> None:
        del p

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        self.append(p, [p.keep_value(env[id_]) for id_ in self.ids])

    def append(self, p: PipelineEmitter, values: Sequence[SqlValue]) -> I32:
        """Adds a tuple; gives its address (the header is the caller's to fill)."""
        if self.layout is None:
            self.layout = TupleLayout(values, self._header)
            self.buffer = TupleBuffer(self._context, self.layout.size)
        assert self.buffer is not None
        fitted = [
            with_null(value, I32.const(0)) if item.null_offset is not None and value.null is None else value
            for value, item in zip(values, self.layout.fields, strict=True)
        ]
        place = self.buffer.append(p)
        self.layout.write(p, place, fitted)
        return place

    def produce(self, consumer: Consumer) -> None:
        """A pipeline of one morsel over the first worker's tuples."""

        def body(p: PipelineEmitter) -> None:
            consumer.begin(p)
            assert self.layout is not None and self.buffer is not None
            with p.row_loop(), self.buffer.each(p, p.worker) as place:
                consumer.row(p, dict(zip(self.ids, self.layout.read(place), strict=True)))
            consumer.end(p)

        open_pipeline(self._context, Source(MorselSource.SINGLE, "buffered rows", parallel=False), consumer, body)
