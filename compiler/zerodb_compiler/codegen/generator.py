"""The entry of code generation."""

from __future__ import annotations

from zerodb_compiler.codegen import functions as _functions  # noqa: F401 - registers the scalar functions
from zerodb_compiler.codegen.context import Context
from zerodb_compiler.codegen.operators import produce
from zerodb_compiler.codegen.operators.output import OutputSink
from zerodb_compiler.codegen.pipeline import RowCounter
from zerodb_compiler.codegen.program import Program
from zerodb_compiler.plan.physical import Output


def generate(plan: Output, *, portable: bool = False) -> Program:
    """Compiles a physical plan. Deterministic: equal plans over equal layouts give equal bytes."""
    context = Context(portable=portable)
    sink = OutputSink(context, plan.columns, plan.rows)
    produce(context, plan.input, RowCounter(sink), frozenset(column.id for column in plan.columns))
    context.ordered = True
    return context.finish(sink.schema(), sink.block_bytes, steps=not portable)
