"""UPDATE and DELETE of a few rows, found by a part of a key or index: each a record of the transaction's own rows.

The rows are found as those of a point query (point_query.py): all places are known before the first row changes, so no
change is seen by the statement itself. For each row the function appends a record (point_changes.py). It may end in the
middle - a value is refused, the texts have no room - and then the host takes back what was appended. The room for the
records themselves is made sure of beforehand, so those of one call lie one after another, and the host finds in them
which rows to lock.

Limits: MOST_CHANGED rows, since the host locks them one by one.
"""

from __future__ import annotations

from dataclasses import replace

from zerodb_compiler.codegen import point_abi as pa
from zerodb_compiler.codegen.expressions import Environment
from zerodb_compiler.codegen.pipeline import PipelineEmitter
from zerodb_compiler.codegen.point import MOST_RESULTS, Found, PointProgram, RowFinder, as_column, key_hash
from zerodb_compiler.codegen.point_changes import append_record, check_values
from zerodb_compiler.codegen.point_query import Building, Results
from zerodb_compiler.codegen.sqlvalues import Int, SqlValue
from zerodb_compiler.layout import TableLayout
from zerodb_compiler.plan.point_query import PointQuery
from zerodb_compiler.sql.expressions import Column
from zerodb_compiler.sql.parameters import UserParameter
from zerodb_compiler.wasm.values import I32, load

MOST_CHANGED = 64


def generate_set_change(
    query: PointQuery,
    layout: TableLayout,
    user: tuple[UserParameter, ...],
    *,
    deletes: bool,
    returning: tuple[Column, ...] = (),
) -> PointProgram | None:
    """`query.output` is the row id and, of an UPDATE, the new value of every column, then what RETURNING needs."""
    if len(returning) > MOST_RESULTS:
        return None
    built = Building.of(query, layout, user)
    built.source.with_key = True
    kinds = tuple(pa.kind_of(column.type) for column in returning)
    return built.finish(_Changes(built, layout, deletes, returning), kinds)


class _Changes:
    """The sink: appends a record for each row, and what RETURNING gives of it to the results."""

    def __init__(self, built: Building, layout: TableLayout, deletes: bool, returning: tuple[Column, ...]) -> None:
        self._built, self._layout, self._deletes = built, layout, deletes
        self._results = Results(returning, built.room)

    def describe(self) -> list[str]:
        return ["changes"]

    def begin(self, p: PipelineEmitter) -> None:
        f, built = p.f, self._built
        table = built.query.table
        self._finder = RowFinder(p, table, self._layout, table.primary_key)
        self._overlay = f.let(p.query_i32(built.directory + 4), "changed")
        self._results.begin(p)
        wanted = built.source.places.count
        p.fail_if(wanted.greater_u(MOST_CHANGED), pa.STATUS_REFUSED)
        end = load("i32.load", self._overlay, pa.OVERLAY_NEXT) + wanted * self._finder.record.stride
        with f.if_(end.greater_u(load("i32.load", self._overlay, pa.OVERLAY_END))):
            f.store("i32.store", p.query, I32.const(0), built.results + 8)
            p.fail(pa.STATUS_FULL)

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        f, built = p.f, self._built
        table, source = built.query.table, built.source
        f.comment("a changed row")
        keys = tuple([replace(source.row.values[ordinal], null=None) for ordinal in table.primary_key])
        hashed = f.let(key_hash(p, table, table.primary_key, keys).to_i32(), "key_hash")
        values: list[SqlValue | None] = [None] * len(table.columns)
        if self._deletes:
            for ordinal, key in zip(table.primary_key, keys, strict=True):
                values[ordinal] = key
        else:
            output = built.query.output[1 : 1 + len(table.columns)]
            new = [as_column(p, env[column.id], column) for column in output]
            check_values(p, table, new)
            values = [*new]
        row_id = env[built.query.output[0].id]
        assert isinstance(row_id, Int)
        found = Found(f.let(I32.const(1), "visible"), source.places.own, hashed)
        replaced = f.let(row_id.value, "replaced")
        alive = not self._deletes
        append_record(p, self._overlay, built.results, self._finder, found, values, replaced, alive=alive)
        self._results.row(p, env)

    def end(self, p: PipelineEmitter) -> None:
        self._results.end(p)
