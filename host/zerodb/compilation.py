"""From SQL text to a program that is ready to run, stage by stage, each stage timed.

    parse -> bind -> optimize -> physical -> generate -> compile (machine code)

A `Prepared` statement holds every stage's result, for execution and for EXPLAIN. It stays valid as long as the tables
it read have the same identity, schema and physical layout (`fits`).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from zerodb.engine.engine import Engine
from zerodb.engine.program import CompiledProgram
from zerodb.values import Canonical
from zerodb.view import View
from zerodb_compiler import zones
from zerodb_compiler.catalog import TRANSIENT, TableInfo
from zerodb_compiler.codegen import generate
from zerodb_compiler.codegen.program import OutputColumn, Program
from zerodb_compiler.layout import TableLayout
from zerodb_compiler.plan import physical
from zerodb_compiler.plan.index_choice import LEAST_ROWS
from zerodb_compiler.plan.logical import LogicalPlan, Values
from zerodb_compiler.plan.optimize import optimize
from zerodb_compiler.plan.physical_plan import plan_physical
from zerodb_compiler.plan.scan_reads import ScanRead, scan_reads
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.analyze import bind_shape
from zerodb_compiler.sql.expressions import Column, Literal, Parameter
from zerodb_compiler.sql.parameters import UserParameter
from zerodb_compiler.sql.parse import ParsedStatement
from zerodb_compiler.sql.shape import BoundShape, Shape, shape_of
from zerodb_compiler.sql.variables import Variables
from zerodb_compiler.types import SqlType

_FIRST_FRESH_ID = 1_000_000  # columns that the rules make; the binder counts from 1
STAGES = ("parse", "bind", "optimize", "physical", "generate", "compile")


@dataclass(slots=True)
class Stages:
    """Seconds per stage of one compilation."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


@dataclass(frozen=True, slots=True)
class Dependency:
    """What a compiled statement assumes of one table: its key, and the names by which the text calls it."""

    key: str
    names: tuple[tuple[str, str | None], ...]
    table_id: int
    schema_version: int
    layout: TableLayout
    is_large: bool  # has rows enough for indexes to be used


@dataclass(frozen=True, slots=True, eq=False)
class CompiledQuery:
    """One plan, in all its forms."""

    bound: LogicalPlan
    logical: LogicalPlan
    plan: physical.Output
    program: Program
    code: CompiledProgram
    output: tuple[OutputColumn, ...]  # with the names that users see
    reads: tuple[ScanRead, ...] = ()  # of stored tables


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A bound statement; `query` is there if running it needs generated code. `dependencies` are the tables it was
    compiled for; `bound` says which parameters it has and which other texts it serves."""

    text: str
    shape: Shape
    bound: BoundShape
    dependencies: tuple[Dependency, ...]
    query: CompiledQuery | None
    stages: Stages
    parts: tuple[CompiledQuery | None, ...] = ()  # the queries of a WithChanges' parts; `query` is the main one's
    zone: zones.Zone = zones.UTC  # the session's time zone, which is in the code

    @property
    def statement(self) -> st.Statement:
        return self.bound.statement

    @property
    def user(self) -> tuple[UserParameter, ...]:
        """The user's parameters; they take the first slots, the lifted literals those after them."""
        return self.bound.user_parameters

    @property
    def explained(self) -> st.Statement:
        """The statement, or the one that EXPLAIN is about."""
        return self.statement.statement if isinstance(self.statement, st.Explain) else self.statement

    @property
    def columns(self) -> tuple[OutputColumn, ...] | None:
        """The columns of the result; None for a statement without a result set."""
        statement, query = self.statement, self.query
        if isinstance(statement, st.WithChanges):
            statement = statement.main
        if query is None:
            return None
        match statement:
            case st.Query(columns=columns):
                return query.output[: len(columns)]  # behind them the ids of the rows to lock
            case st.Insert(returning=found) | st.Update(returning=found) | st.Delete(returning=found) if found:
                return returned(statement.source, query.output, found)[1]
            case st.Merge(returning=found) if found:
                return returned(statement.source, query.output, found)[1]
        return None

    def fits(self, view: View) -> bool:
        """Whether the tables and the session's time zone are as they were when it was compiled."""
        if self.zone is not (zone := zones.session_zone()) and self.zone != zone:
            return False
        for needed in self.dependencies:
            version = view.tables.get(needed.key)
            if version is None and needed.table_id < 0 and view.load(needed.key):
                version = view.tables[needed.key]
            if version is None or version.id != needed.table_id or version.schema_version != needed.schema_version:
                return False
            for name, schema in needed.names:
                if view.resolve(name, schema) != needed.key:
                    return False
            if (version.row_count > LEAST_ROWS) is not needed.is_large:
                return False
            layout = version.layout
            if layout is not needed.layout and layout != needed.layout:
                return False
        for name, schema, functions in self.bound.functions:
            if tuple(view.functions(name, schema)) != functions:
                return False
        return not self.bound.inlined or self._same_views(view)

    def _same_views(self, view: View) -> bool:
        return all(view.view(name, schema) == info for name, schema, info in self.bound.views) and all(
            view.relation_with_id(info.id) == info for info in self.bound.inlined
        )


@dataclass(frozen=True, slots=True)
class Ready:
    """A prepared statement for one text of its shape: `lifted` are that text's own literals, for the slots after the
    user's parameters. `again` compiles a function's own statement anew."""

    text: str
    prepared: Prepared
    lifted: Sequence[Canonical]
    again: Callable[[View], Ready] | None = None


def prepare(
    text: str,
    parsed: ParsedStatement,
    shape: Shape,
    view: View,
    engine: Engine,
    stages: Stages,
    types: Sequence[SqlType] = (),
    variables: Variables | None = None,
) -> Prepared:
    """Bind and compile one parsed statement, the only one of `text`; `types` are those of its first parameters, where
    they are declared; `variables` those of the function whose body it is in."""
    with stages.timed("bind"):
        bound = bind_shape(parsed, view, shape, types, variables)
    statement = bound.statement
    explained = statement.statement if isinstance(statement, st.Explain) else statement
    parts: tuple[CompiledQuery | None, ...] = ()
    if isinstance(explained, st.WithChanges):
        parts = tuple(_compiled(part.statement, engine, stages) for part in explained.parts)
        explained = explained.main
    query = _compiled(explained, engine, stages)
    needed = tuple(_dependency(bound, table) for table in bound.tables if not table.name.startswith(TRANSIENT))
    return Prepared(text, shape, bound, needed, query, stages, parts, zones.session_zone())


def _compiled(statement: st.Statement | st.Proposed, engine: Engine, stages: Stages) -> CompiledQuery | None:
    source = _source(statement)
    if source is None:
        return None
    plan, columns, names = source
    by_key = isinstance(statement, st.Merge) and statement.key is not None and not statement.table.partitions
    return _compile(plan, columns, names, engine, stages, by_key=by_key)


def _dependency(bound: BoundShape, table: TableInfo) -> Dependency:
    large = table.statistics.row_count > LEAST_ROWS
    return Dependency(table.key, bound.table_names[table.key], table.id, table.schema_version, table.layout, large)


def _source(statement: st.Statement | st.Proposed) -> tuple[LogicalPlan, Sequence[Column], Sequence[str]] | None:
    """The plan that running a statement needs, with the columns it has to give."""
    match statement:
        case st.Query(plan=plan, columns=columns, names=names, locks=locks):
            ids = [locked.row_id for locked in locks]
            return plan, [*columns, *ids], [*names, *(column.name for column in ids)]
        case (
            st.CreateTableAs(query=st.Query(plan=plan, columns=columns, names=names))
            | st.Proposed(query=st.Query(plan=plan, columns=columns, names=names))
            | st.SetSequence(query=st.Query(plan=plan, columns=columns, names=names))
        ):
            return plan, columns, names
        case st.Insert(source=source) if statement.returning is not None or not is_constant(source):
            return source, source.output, [column.name for column in source.output]
        case st.Update(source=source) | st.Delete(source=source) | st.Merge(source=source):
            return source, source.output, ["row id", *(column.name for column in source.output[1:])]
    return None


def is_constant(plan: LogicalPlan) -> bool:
    """Rows of literals and parameters only: an INSERT of them runs no query."""
    return isinstance(plan, Values) and all(
        isinstance(value, (Literal, Parameter)) for row in plan.rows for value in row
    )


def _compile(
    bound: LogicalPlan,
    columns: Sequence[Column],
    names: Sequence[str],
    engine: Engine,
    stages: Stages,
    *,
    by_key: bool,
) -> CompiledQuery:
    fresh = itertools.count(_FIRST_FRESH_ID)
    with stages.timed("optimize"):
        logical = optimize(bound, lambda: next(fresh))
    with stages.timed("physical"):
        plan = plan_physical(logical, tuple(columns))
    with stages.timed("generate"):
        program = generate(plan)
    with stages.timed("compile"):
        code = engine.compile(program)
    # What the program knows of NULLs is true of the present layout only; users see what the schema says.
    output = tuple(
        OutputColumn(name, made.type, column.nullable)
        for name, made, column in zip(names, program.output, columns, strict=True)
    )
    return CompiledQuery(bound, logical, plan, program, code, output, scan_reads(bound, plan, by_key=by_key))


def returned(
    source: LogicalPlan, output: Sequence[OutputColumn], returning: st.Returning
) -> tuple[list[int], tuple[OutputColumn, ...]]:
    """Which columns of the source's output RETURNING gives, and what users see of them."""
    places = {column.id: index for index, column in enumerate(source.output)}
    indices = [places[column.id] for column in returning.columns]
    shown = tuple(replace(output[index], name=name) for index, name in zip(indices, returning.names, strict=True))
    return indices, shown


def place_in(text: str, position: int, prepared: Prepared) -> int:
    """Where in `text`, another text of the statement's shape, the place `position` of the statement's own text is."""
    start = other = 0
    for piece, same in zip(prepared.shape.pieces, shape_of(text).pieces, strict=False):
        if position < start + len(piece):
            return other + min(position - start, max(len(same) - 1, 0))
        start += len(piece)
        other += len(same)
    return min(other, len(text))
