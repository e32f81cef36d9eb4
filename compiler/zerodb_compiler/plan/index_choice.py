"""Which index a scan should use, if any: the one whose key columns, from the first on, are bound by the most selective
predicates, as long as few rows are left.

    columns of the index     a     b     c     d
    predicates               =     IN    between        -> equal, equal, range; d and later ones do not matter

Every key counts: indexes made by CREATE INDEX over columns, UNIQUE constraints, the primary key. Whether the lookup
then pays is seen at execution, when zone maps have said how many chunks would be scanned and the index how many rows
it finds; generated code can do either. Limits: partial indexes and those over expressions are not used; an index gives
rows in the order of the table, so it saves no sort (but see ordered_access.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_compiler.plan.logical import ScanColumn
from zerodb_compiler.plan.physical import Constant, IndexAccess
from zerodb_compiler.sql.expressions import Call, ColumnRef, Expression, Literal, Parameter
from zerodb_compiler.sql.functions import SWAPPED

LEAST_ROWS = 3 * CHUNK_ROWS  # a scan of fewer is quicker than any lookup
MOST_SHARE = 1 / 50  # of the rows, as estimated
MOST_SEARCHES = 64  # combinations of values of IN lists


@dataclass(slots=True)
class _Bounds:
    """What the predicates say of one column."""

    equal: list[tuple[tuple[Constant, ...], Expression]] = field(default_factory=list)
    low: list[tuple[Constant, Expression]] = field(default_factory=list)
    high: list[tuple[Constant, Expression]] = field(default_factory=list)


def choose_index(
    table: TableInfo,
    columns: Sequence[ScanColumn],
    predicates: Sequence[Expression],
    selectivity: Callable[[Expression], float],
) -> IndexAccess | None:
    if table.statistics.row_count <= LEAST_ROWS or not predicates:
        return None
    bounds = bounds_of(table, columns, predicates)
    best: IndexAccess | None = None
    least = MOST_SHARE
    for name, key, declared in keys_of(table):
        found = _access(name, key, declared, bounds, selectivity)
        if found is not None and found[1] < least:
            best, least = found
    return best


def keys_of(table: TableInfo) -> Iterator[tuple[str, tuple[int, ...], bool]]:
    """(name, columns, made by CREATE INDEX) of the table's indexes."""
    for index in table.constraints.indexes:
        if index.is_plain:
            yield index.name, tuple(key.column for key in index.keys if key.column is not None), True
    for unique in table.constraints.uniques:
        if unique.constraint:
            yield unique.name, unique.columns, False
    if table.primary_key:
        yield table.constraints.primary_key_name or f"{table.name}_pkey", table.primary_key, False


def _access(
    name: str,
    key: tuple[int, ...],
    declared: bool,
    bounds: dict[int, _Bounds],
    selectivity: Callable[[Expression], float],
) -> tuple[IndexAccess, float] | None:
    equal: list[tuple[Constant, ...]] = []
    low: tuple[Constant, ...] = ()
    high: tuple[Constant, ...] = ()
    share, searches = 1.0, 1
    for ordinal in key:
        found = bounds.get(ordinal)
        if found is None:
            break
        if found.equal:
            values, predicate = min(found.equal, key=lambda item: len(item[0]))
            if searches * len(values) > MOST_SEARCHES:
                break
            searches *= len(values)
            equal.append(values)
            share *= selectivity(predicate)
            continue
        low, high = tuple([value for value, _ in found.low]), tuple([value for value, _ in found.high])
        lows, highs = [selectivity(test) for _, test in found.low], [selectivity(test) for _, test in found.high]
        cut = sum(1.0 - min(shares) for shares in (lows, highs) if shares)
        share *= max(1.0 - cut, 0.1 * min(lows + highs))
        break
    if not equal and not low and not high:
        return None
    return IndexAccess(name, key, tuple(equal), low, high, declared), share


def bounds_of(table: TableInfo, columns: Sequence[ScanColumn], predicates: Sequence[Expression]) -> dict[int, _Bounds]:
    ordinals = {item.column.id: item.ordinal for item in columns}
    found: dict[int, _Bounds] = {}
    for predicate in predicates:
        match predicate:
            case Call(function="in", arguments=(ColumnRef(column), *items)) if column.id in ordinals:
                values = tuple([item for item in items if isinstance(item, (Literal, Parameter))])
                if len(values) == len(items) and has_order(table, ordinals[column.id]):
                    found.setdefault(ordinals[column.id], _Bounds()).equal.append((values, predicate))
            case Call(function=name, arguments=(left, right)) if name in SWAPPED or name == "eq":
                if not isinstance(left, ColumnRef):
                    left, right, name = right, left, SWAPPED.get(name, name)
                if not isinstance(left, ColumnRef) or left.column.id not in ordinals:
                    continue
                ordinal = ordinals[left.column.id]
                if not isinstance(right, (Literal, Parameter)) or not has_order(table, ordinal):
                    continue
                bounds = found.setdefault(ordinal, _Bounds())
                match name:
                    case "eq":
                        bounds.equal.append(((right,), predicate))
                    case "lt" | "le":
                        bounds.high.append((right, predicate))
                    case "gt" | "ge":
                        bounds.low.append((right, predicate))
    return {ordinal: bounds for ordinal, bounds in found.items() if bounds.equal or bounds.low or bounds.high}


def has_order(table: TableInfo, ordinal: int) -> bool:
    """Whether the column's values are ordered as an index orders them: numbers, and strings byte by byte."""
    type_ = table.columns[ordinal].type
    return not type_.is_variable or (type_.is_text and not type_.padded)
