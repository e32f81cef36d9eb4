"""What a query reads, as predicates on tables: for a serializable transaction, which commits only if nobody changed it.

    select ... from t join u on ... where t.w = $1 and t.v > 3 and f(t.x)    ->  t: w = $1, v > 3;  u: all rows

They are the conjuncts that the optimiser has pushed down to a scan, as far as they compare a column with constants;
what is left out makes a predicate larger, which is safe. Not safe would be a scan that the optimiser has removed
because of the data there is (`x is null` where no row has a NULL): a table that the plan scans less often than the
statement names it is read as a whole. Whatever is computed from the rows, and whether an index or a join leaves most of
them out, does not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.plan import logical, physical
from zerodb_compiler.plan.transform import expressions_of
from zerodb_compiler.sql.expressions import (
    AnySubquery,
    Call,
    ColumnRef,
    Exists,
    Expression,
    InSubquery,
    Literal,
    Parameter,
    ScalarSubquery,
    walk,
)
from zerodb_compiler.sql.functions import SWAPPED
from zerodb_compiler.types import BOOLEAN, SqlType, TypeId

Constant = Literal | Parameter


@dataclass(frozen=True, slots=True)
class ReadTest:
    """A condition on the column with this slot: `operator` is "in", "eq", "lt", "le", "gt", "ge", "is_null" or
    "is_not_null"."""

    slot: int
    operator: str
    operands: tuple[Constant, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanRead:
    """Rows of a table that pass all tests."""

    table_id: int
    tests: tuple[ReadTest, ...] = ()


def scan_reads(
    bound: logical.LogicalPlan, plan: physical.PhysicalPlan, *, by_key: bool = False
) -> tuple[ScanRead, ...]:
    """The reads of a query from its plan before and after the optimiser; tables that are not stored are left out.
    `by_key`: the table to change is only asked for the keys of rows to insert, which whoever inserts them notes."""
    found: dict[ScanRead, None] = {}
    times: Counter[int] = Counter()
    for scan in _physical_scans(plan):
        times[scan.table.id] += 1
        if scan.table.id > 0 and not (by_key and scan.row_id is not None):
            found[ScanRead(scan.table.id, tuple(_tests(scan)))] = None
    for table in _named(bound):
        for part in _leaves(table):
            times[part.id] -= 1
            if times[part.id] < 0 and part.id > 0:
                found[ScanRead(part.id)] = None
    return tuple(found)


def _physical_scans(plan: physical.PhysicalPlan) -> Iterator[physical.TableScan]:
    if isinstance(plan, physical.TableScan):
        yield plan
        return
    for item in fields(plan):
        value = getattr(plan, item.name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, physical.Definition):
                part = part.plan
            if isinstance(part, physical.PhysicalPlan):
                yield from _physical_scans(part)


def _named(plan: logical.LogicalPlan) -> Iterator[TableInfo]:
    """The table of each scan of a plan that may have subqueries in its expressions."""
    if isinstance(plan, logical.Scan):
        yield plan.table
    for part in logical.inputs(plan):
        yield from _named(part)
    for expression in expressions_of(plan):
        for node in walk(expression):
            if isinstance(node, ScalarSubquery | Exists | InSubquery | AnySubquery):
                yield from _named(node.plan)


def _leaves(table: TableInfo) -> Iterator[TableInfo]:
    if table.constraints.partitioning is None:
        yield table
    for part in table.partitions:
        yield from _leaves(part)


def _tests(scan: physical.TableScan) -> Iterator[ReadTest]:
    columns = {item.column.id: scan.table.columns[item.ordinal] for item in scan.columns}
    for predicate in scan.predicates:
        found = _comparison(predicate)
        if found is None or found[0].column.id not in columns:
            continue
        column = columns[found[0].column.id]
        _, operator, operands = found
        if column.slot >= 0 and all(_comparable(column.type, operator, item.type) for item in operands):
            yield ReadTest(column.slot, operator, operands)


def _comparison(predicate: Expression) -> tuple[ColumnRef, str, tuple[Constant, ...]] | None:
    match predicate:
        case ColumnRef():
            return predicate, "eq", (Literal(1, BOOLEAN),)
        case Call(function="not", arguments=(ColumnRef() as column,)):
            return column, "eq", (Literal(0, BOOLEAN),)
        case Call(function="is_null" | "is_not_null" as name, arguments=(ColumnRef() as column,)):
            return column, name, ()
        case Call(function="in", arguments=(ColumnRef() as column, *items)):
            values = tuple([item for item in items if isinstance(item, Literal | Parameter)])
            return (column, "in", values) if len(values) == len(items) else None
        case Call(function="eq" | "lt" | "le" | "gt" | "ge" as name, arguments=(left, right)):
            operator: str = name
            if not isinstance(left, ColumnRef):
                left, right, operator = right, left, SWAPPED[operator]
            if isinstance(left, ColumnRef) and isinstance(right, Literal | Parameter):
                return left, operator, (right,)
    return None


def _comparable(column: SqlType, operator: str, operand: SqlType) -> bool:
    """Whether canonical values of both types compare as the operator compares the types'."""
    if operand.id is TypeId.NULL:
        return True
    if column.is_text:
        if column.padded or operand.padded or not operand.is_text:
            return False
        return operator in ("eq", "in") or not (column.has_order_key or operand.has_order_key)
    if column.is_integer:
        return operand.is_integer
    if not column.is_discrete and column.id is not TypeId.DOUBLE:
        return False
    return column.id is operand.id and column.scale == operand.scale and not column.has_sort_key
