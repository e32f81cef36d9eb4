"""What a scan's predicates say of the columns a partitioned table is partitioned by (pruning.py).

Literals decide at planning; where there are parameters (lifted literals too) the host decides at each execution, by a
program.PartitionTest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.plan.logical import ScanColumn
from zerodb_compiler.plan.physical import Constant
from zerodb_compiler.pruning import Known, can_match
from zerodb_compiler.sql.expressions import Call, ColumnRef, Expression, Literal, Parameter
from zerodb_compiler.sql.functions import SWAPPED

Test = tuple[int, str, tuple[Constant, ...]]


def partition_tests(table: TableInfo, columns: Sequence[ScanColumn], predicates: Sequence[Expression]) -> list[Test]:
    """(ordinal, "in" or a comparison, operands) of the predicates on key columns."""
    if table.partition is None:
        return []
    keys = {key.ordinal for level in table.partition.levels for key in level.keys}
    ordinals = {item.column.id: item.ordinal for item in columns if item.ordinal in keys}
    return list(_tests(ordinals, predicates)) if ordinals else []


def _tests(ordinals: dict[int, int], predicates: Sequence[Expression]) -> Iterator[Test]:
    for predicate in predicates:
        match predicate:
            case Call(function="in", arguments=(ColumnRef(column), *items)) if column.id in ordinals:
                values = tuple([item for item in items if isinstance(item, (Literal, Parameter))])
                if len(values) == len(items):
                    yield ordinals[column.id], "in", values
            case Call(function="eq" | "lt" | "le" | "gt" | "ge" as name, arguments=(left, right)):
                comparison: str = name
                if not isinstance(left, ColumnRef):
                    left, right, comparison = right, left, SWAPPED[name]
                if not isinstance(left, ColumnRef) or left.column.id not in ordinals:
                    continue
                if isinstance(right, Literal | Parameter):
                    yield ordinals[left.column.id], comparison, (right,)


def is_excluded(table: TableInfo, tests: Sequence[Test]) -> bool:
    """Whether the partition can have no row, as far as the constants among the tests say."""
    if table.partition is None or not tests:
        return False
    known: dict[int, Known] = {}
    for ordinal, name, operands in tests:
        values = [item.value for item in operands if isinstance(item, Literal)]
        if len(values) == len(operands):
            known[ordinal] = known.get(ordinal, Known()).having(name, values)
    return not can_match(table.partition.levels, known)
