"""The program of a query for data from elsewhere: a bound plan over stored tables becomes one over fed tables.

    Scan item(id integer, price numeric(10,2))
        -> Project id = id, price = cast(price as numeric(10,2))
             Scan "item"(id integer, 8 bytes; price text)

A fed table has the columns in the forms of the interface and promises nothing else: no key, no index, no value range
but that of its types, so that optimizing by such facts cannot make an answer wrong. The statistics of the stored table
stay, as estimates. Literals that were lifted out of the text are put in again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_compiler.codegen import generate
from zerodb_compiler.codegen.program import Program
from zerodb_compiler.component import forms
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.layout import ColumnStatistics, TableLayout, TableStatistics
from zerodb_compiler.plan.logical import Item, LogicalPlan, Project, Scan, ScanColumn, With
from zerodb_compiler.plan.optimize import optimize
from zerodb_compiler.plan.physical_plan import plan_physical
from zerodb_compiler.sql.binder_casts import cast_expression
from zerodb_compiler.sql.expressions import Column, ColumnRef, Expression, Literal, Parameter
from zerodb_compiler.sql.parameters import Moment
from zerodb_compiler.types import TEXT, SqlType, TypeId

_FIRST_FRESH_ID = 2_000_000


@dataclass(frozen=True, slots=True)
class Input:
    """A table that is fed; its number is its place."""

    name: str
    columns: tuple[ColumnInfo, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """What users see of a column or parameter."""

    name: str
    type: SqlType
    nullable: bool


@dataclass(frozen=True, slots=True)
class Portable:
    """A program whose scans are of inputs by their numbers."""

    sql: str
    program: Program
    parameters: tuple[Described, ...]
    inputs: tuple[Input, ...]
    output: tuple[Described, ...]


def portable(
    sql: str,
    bound: LogicalPlan,
    columns: Sequence[Column],
    names: Sequence[str],
    parameters: Sequence[tuple[str, SqlType]],
    lifted: Sequence[Any],
) -> Portable:
    """Compiles a bound query anew. `lifted` are the values of the parameters behind the user's. NotSupportedError names
    what a component cannot do."""
    rewriting = _Rewriting(len(parameters), lifted)
    plan = rewriting.changed(bound)
    plan, output = rewriting.given(plan, columns)
    physical = plan_physical(optimize(plan, rewriting.fresh), output)
    program, inputs = _read_columns(generate(physical, portable=True), rewriting.tables())
    assert not program.dictionaries and not program.dictionary_codes
    check_imports(program.wasm)
    return Portable(
        sql,
        program,
        tuple(Described(name, type_, True) for name, type_ in parameters),
        inputs,
        tuple(Described(name, column.type, column.nullable) for name, column in zip(names, columns, strict=True)),
    )


def check_imports(wasm: bytes) -> None:
    """Refuses code that asks the host for more than memory, by the names of the kernels that do."""
    for kernel, what in (
        (b"\x07derived", "a pattern, format or text form that is not constant"),
        (b"\x09tables_at", "a collation"),
        (b"\x0brandom_bits", "random numbers"),
    ):
        if kernel in wasm:
            raise NotSupportedError(f"{what} needs the database: not in a component of its own")


class _Rewriting:
    """Replaces stored tables by fed ones and lifted literals by themselves, wherever they stand in a plan."""

    def __init__(self, users: int, lifted: Sequence[Any]) -> None:
        self._users, self._lifted = users, lifted
        self._ids = itertools.count(_FIRST_FRESH_ID)
        self._fed: dict[str, tuple[TableInfo, TableInfo]] = {}  # by key: the stored table and the fed one

    def fresh(self) -> int:
        return next(self._ids)

    def tables(self) -> list[TableInfo]:
        """The stored tables that are inputs now, by their numbers."""
        return [stored for stored, _ in self._fed.values()]

    def changed(self, node: Any) -> Any:
        """The plan, expression or tuple of them with all within it replaced; itself where nothing is."""
        match node:
            case Scan():
                return self._scan(node)
            case Parameter():
                return self._parameter(node)
            case tuple():
                parts = tuple([self.changed(part) for part in node])
                return node if all(new is old for new, old in zip(parts, node, strict=True)) else parts
            case Column() | SqlType() | Literal():
                return node
        if not is_dataclass(node) or isinstance(node, type):
            return node
        found = {}
        for field in fields(node):
            value = getattr(node, field.name)
            new = self.changed(value)
            if new is not value:
                found[field.name] = new
        return replace(node, **found) if found else node

    def _parameter(self, node: Parameter) -> Expression:
        """A lifted literal itself; a user's parameter that has to come as text, cast."""
        if node.index >= self._users:
            value = self._lifted[node.index - self._users]
            if isinstance(value, Moment):
                raise NotSupportedError("the present time needs the database: not in a component of its own")
            if value is not None and not isinstance(value, int | float | str | bytes):
                raise NotSupportedError("sequences need the database: not in a component of its own")
            return Literal(value, node.type)
        if forms.is_plain(node.type) or node.type.id is TypeId.NUMERIC:
            return replace(node, nullable=True, sample=None)
        return cast_expression(Parameter(node.index, TEXT), node.type, None)

    def _scan(self, scan: Scan) -> LogicalPlan:
        if scan.row_id is not None:
            raise NotSupportedError("row ids need the database: not in a component of its own")
        _, fed = self._fed.setdefault(scan.table.key, (scan.table, _fed_table(scan.table, len(self._fed))))
        columns, items = [], []
        for item in scan.columns:
            column, raw = item.column, forms.raw_type(item.column.type)
            if raw != column.type:
                column = Column(self.fresh(), column.name, raw, column.nullable)
            columns.append(ScanColumn(column, item.ordinal))
            items.append(Item(item.column, cast_expression(ColumnRef(column), item.column.type, None)))
        raw_scan = Scan(fed, tuple(columns))
        if all(isinstance(item.expression, ColumnRef) for item in items):
            return raw_scan
        return Project(raw_scan, tuple(items))

    def given(self, plan: LogicalPlan, columns: Sequence[Column]) -> tuple[LogicalPlan, tuple[Column, ...]]:
        """The plan with the columns of its result in the forms of the interface; those columns."""
        items = []
        for column in columns:
            type_ = forms.given_type(column.type)
            expression = cast_expression(ColumnRef(column), type_, None)
            same = isinstance(expression, ColumnRef)
            items.append(
                Item(column if same else Column(self.fresh(), column.name, type_, column.nullable), expression)
            )
        if all(isinstance(item.expression, ColumnRef) for item in items):
            return plan, tuple(columns)
        made = tuple(item.column for item in items)
        if isinstance(plan, With):
            return With(plan.definitions, Project(plan.body, tuple(items))), made
        return Project(plan, tuple(items)), made


def _fed_table(table: TableInfo, number: int) -> TableInfo:
    """The table as it is fed: number + 1 is its id."""
    columns = tuple(
        ColumnInfo(column.name, forms.raw_type(column.type), column.not_null, slot=column.slot)
        for column in table.columns
    )
    layout = TableLayout(tuple(forms.raw_layout(column.type, column.not_null) for column in table.columns))
    known = tuple(ColumnStatistics(column.distinct, column.null_count) for column in table.statistics.columns)
    statistics = TableStatistics(table.statistics.row_count, known)
    return TableInfo(number + 1, table.name, columns, (), layout, statistics, schema=table.schema)


def _read_columns(program: Program, tables: Sequence[TableInfo]) -> tuple[Program, tuple[Input, ...]]:
    """The inputs with only the columns that some scan reads, and the program over them."""
    read = [
        sorted({ordinal for scan in program.scans if scan.table_id == number + 1 for ordinal in scan.ordinals})
        for number in range(len(tables))
    ]
    scans = tuple(
        replace(scan, ordinals=tuple(read[scan.table_id - 1].index(ordinal) for ordinal in scan.ordinals))
        for scan in program.scans
    )
    inputs = tuple(
        Input(table.name if table.schema == "public" else f"{table.schema}.{table.name}",
              tuple(table.columns[ordinal] for ordinal in ordinals))
        for table, ordinals in zip(tables, read, strict=True)
    )  # fmt: skip
    return replace(program, scans=scans), inputs
