"""What a serializable transaction reads: a query's predicates with the values of its execution, noted before it runs.

Noted are all scans of every query that runs (those of changes, of views and subqueries too) and the keys that ON
CONFLICT asks for. Foreign keys and unique keys hold by locks at every level. A statement that failed has read as well:
nothing is taken back with a savepoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zerodb.values import Canonical
from zerodb_compiler.plan.scan_reads import ReadTest, ScanRead
from zerodb_compiler.sql.expressions import Literal
from zerodb_storage import TableVersion
from zerodb_storage.predicates import Among, Between, Condition, IsNull, Predicate, Reads, Scalar
from zerodb_storage.values import Values


def note(reads: Reads, scans: Sequence[ScanRead], parameters: Sequence[Canonical]) -> None:
    """The reads of one execution of a query."""
    for scan in scans:
        predicate = predicate_of(scan, parameters)
        if predicate is not None:
            reads.note(predicate)


def note_keys(reads: Reads | None, table: TableVersion, columns: Sequence[int], keys: Sequence[Values]) -> None:
    """The rows of a stored table that have one of the keys."""
    if reads is not None:
        slots = table.schema.slots
        order = sorted(range(len(columns)), key=lambda place: slots[columns[place]])
        places = tuple(slots[columns[place]] for place in order)
        reads.note_points(table.id, places, [keys[place] for place in order])


def predicate_of(scan: ScanRead, parameters: Sequence[Canonical]) -> Predicate | None:
    """None where nothing can satisfy it: a comparison with NULL."""
    conditions: list[Condition] = []
    for test in scan.tests:
        if test.operator in ("is_null", "is_not_null"):
            conditions.append(IsNull(test.slot, test.operator == "is_null"))
            continue
        values = _values(test, parameters)
        if values is None:
            continue
        if not values:
            return None
        conditions.append(_condition(test, values))
    return Predicate(scan.table_id, tuple(conditions))


def _values(test: ReadTest, parameters: Sequence[Canonical]) -> list[Scalar] | None:
    """The operands that are not NULL; None if one is no value that predicates know: then the test is left out."""
    found: list[Scalar] = []
    for operand in test.operands:
        value: Any = operand.value if isinstance(operand, Literal) else parameters[operand.index]
        if isinstance(value, str):
            value = value.encode()
        if value is None:
            continue
        if not isinstance(value, int | float | bytes) or value != value:
            return None
        found.append(value)
    return found


def _condition(test: ReadTest, values: list[Scalar]) -> Condition:
    match test.operator:
        case "in" | "eq":
            return Among(test.slot, frozenset(values))
        case "lt" | "le":
            return Between(test.slot, None, values[0], high_open=test.operator == "lt")
        case "gt" | "ge":
            return Between(test.slot, values[0], None, low_open=test.operator == "gt")
    raise AssertionError(test.operator)
