"""Aggregation: one sink, and how it finds a row's group, chosen by the keys once their form is known:

    ArrayGroups  no keys, or all keys are small dictionaries or booleans: the keys' values index an array of states
    HashGroups   everything else: a hash table per worker

After the last morsel the first worker merges the others' states; the groups are then the source of the next pipeline.
"""

from __future__ import annotations

from itertools import islice

from zerodb_compiler.codegen.accumulators import Argument, argument_of, parts_of
from zerodb_compiler.codegen.common import evaluate_all
from zerodb_compiler.codegen.context import Context
from zerodb_compiler.codegen.expressions import Environment
from zerodb_compiler.codegen.groups import ArrayGroups, HashGroups, States, array_groups
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.operators.project import ids_of
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, RowCounter, set_finish
from zerodb_compiler.codegen.sqlvalues import SqlValue
from zerodb_compiler.plan.physical import HashAggregate

MAX_ARRAY_GROUPS = 1024


class _Sink:
    """Evaluates keys and arguments and updates the states of the row's group."""

    def __init__(self, context: Context, plan: HashAggregate, needed: frozenset[int]) -> None:
        self._context, self._plan = context, plan
        self.items = tuple(item for item in plan.aggregates if item.column.id in needed)
        self.groups: ArrayGroups | HashGroups | None = None
        # The fields exist before the form is known, because `begin` comes before the first row.
        self._hash_fields = context.worker.reserve(HashGroups.FIELD_BYTES, 4)

    def describe(self) -> list[str]:
        names = ", ".join(item.call.function for item in self.items)
        form = "group" if self.groups is None else self.groups.form
        return [
            f"{form} by {', '.join(key.column.name for key in self._plan.keys) or 'nothing'}: {names or 'distinct'}"
        ]

    def begin(self, p: PipelineEmitter) -> None:
        self._table = HashGroups.open_table(p, self._hash_fields)
        if self.groups is not None:
            self.groups.begin(p)

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        p.f.comment(f"aggregate by {', '.join(key.column.name for key in self._plan.keys) or 'nothing'}")
        expressions = [key.expression for key in self._plan.keys]
        for item in self.items:
            expressions += parts_of(item.call)
        values = evaluate_all(p, expressions, env)
        evaluated = iter([value for value in values if value is not None])
        keys = list(islice(evaluated, len(self._plan.keys)))
        arguments = [argument_of(tuple(islice(evaluated, len(parts_of(item.call))))) for item in self.items]
        if self.groups is None:
            self.groups = self._choose(p, keys, arguments)
        state, offset = self.groups.find(p, keys, self._table)
        self.groups.update(p, state, offset, arguments)

    def end(self, p: PipelineEmitter) -> None:
        assert self.groups is not None
        self.groups.end(p)

    def _choose(self, p: PipelineEmitter, keys: list[SqlValue], arguments: list[Argument]) -> ArrayGroups | HashGroups:
        states = States(self._context, self.items, arguments)
        if array_groups(keys) <= MAX_ARRAY_GROUPS:
            return ArrayGroups(self._context, self._plan.keys, keys, states, arguments, p.rows_bound)
        return HashGroups(self._context, self._plan.keys, keys, states, self._hash_fields, self._plan.rows)


def produce(context: Context, plan: HashAggregate, consumer: Consumer, needed: frozenset[int]) -> None:
    sink = _Sink(context, plan, needed)
    arguments = tuple(part for item in sink.items for part in parts_of(item.call))
    read = ids_of(tuple(key.expression for key in plan.keys)) | ids_of(arguments)
    produce_plan(context, plan.input, RowCounter(sink), read)
    assert sink.groups is not None
    set_finish(context, sink.groups.define_finish())
    sink.groups.produce(consumer)
