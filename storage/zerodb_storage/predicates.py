"""What a transaction has read, as predicates, and whether rows that others changed satisfy one of them.

A serializable transaction does not remember rows or pages but what it asked for (precision locking: Jordan, Banerjee,
Batman 1981; Neumann, Mühlbauer, Kemper 2015): a table and a conjunction of conditions on its columns. A row that
another transaction inserted, or the old values of one that it deleted or replaced, conflicts if it satisfies the
predicate. So a phantom is caught as a changed row is, and two transactions that look at different rows never meet.

    select ... where w = 1 and i = 7       -> a point: slots (w, i), values (1, 7)         looked up in a set
    select ... where v between 3 and 9     -> Predicate(table, (Between(v, 3, 9),))        tested one by one
    anything else                          -> Predicate(table): the whole table

Columns are named by slot. Values are canonical (zerodb_compiler.types), text and blobs as bytes. Conditions are closed
under forgetting: leaving one out makes the predicate larger, never wrong. Memory is bounded: beyond POINTS_MAX and
RANGES_MAX of one table the predicates are given up for the whole table.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from zerodb_storage.values import Array, Form, Values, as_binary

Scalar: TypeAlias = int | float | bytes

POINTS_MAX = 65_536  # of one table in one transaction
RANGES_MAX = 256
FEW_ROWS = 64  # changes of so few rows are tested as Python values: quicker than an array operation per condition
_MASK = (1 << 64) - 1
_LEAST, _GREATEST = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Between:
    """Not NULL, and within the bounds, where they are given (None: no bound). NaN values are greater than all others,
    and no bound is one: whoever makes conditions leaves out what compares with a NaN."""

    slot: int
    low: Scalar | None = None
    high: Scalar | None = None
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class Among:
    """One of the values, none of which is a NaN."""

    slot: int
    values: frozenset[Scalar]


@dataclass(frozen=True, slots=True)
class IsNull:
    slot: int
    null: bool = True


Condition: TypeAlias = Between | Among | IsNull


@dataclass(frozen=True, slots=True)
class Predicate:
    """Rows of a table that satisfy all conditions; no conditions: all rows."""

    table_id: int
    conditions: tuple[Condition, ...] = ()

    @property
    def point(self) -> tuple[tuple[int, ...], tuple[Scalar, ...]] | None:
        """(slots, values) where every condition is an equality with one value, on different columns."""
        found: dict[int, Scalar] = {}
        for condition in self.conditions:
            if not isinstance(condition, Among) or len(condition.values) != 1 or condition.slot in found:
                return None
            (found[condition.slot],) = condition.values
        slots = tuple(sorted(found))
        return (slots, tuple([found[slot] for slot in slots])) if slots else None


class Rows:
    """Rows of one table that were changed: `column(slot)` gives the values of a column, text as TEXT, or None for one
    that these rows do not have (then every condition on it counts as satisfied). Columns are fetched when first asked
    for."""

    __slots__ = ("_column", "_few", "_values", "count")

    def __init__(self, count: int, column: Callable[[int], Values | None]) -> None:
        self.count = count
        self._column = column
        self._values: dict[int, Values | None] = {}
        self._few: dict[int, list[Scalar | None] | None] = {}

    def values(self, slot: int) -> Values | None:
        if slot not in self._values:
            self._values[slot] = self._column(slot)
        return self._values[slot]

    def few(self, slot: int) -> list[Scalar | None] | None:
        """The same as Python values."""
        if slot not in self._few:
            found = self.values(slot)
            self._few[slot] = None if found is None else scalars(found)
        return self._few[slot]


NO_ROWS = Rows(0, lambda _slot: None)


@dataclass(frozen=True, slots=True, eq=False)
class TableChange:
    """What one transaction did to a table: the new rows and the old values of those that are gone. `whole`: every
    reader of the table is concerned (it was emptied, or its columns changed)."""

    inserted: Rows = NO_ROWS
    deleted: Rows = NO_ROWS
    whole: bool = False


class Reads:
    """What one transaction has read, by table."""

    __slots__ = ("_tables",)

    def __init__(self) -> None:
        self._tables: dict[int, _TableReads | None] = {}  # None: the whole table

    def __bool__(self) -> bool:
        return bool(self._tables)

    @property
    def tables(self) -> frozenset[int]:
        return frozenset(self._tables)

    def note(self, predicate: Predicate) -> None:
        table_id = predicate.table_id
        known = self._tables.get(table_id, _MISSING)
        if known is None:
            return
        if not predicate.conditions:
            self._tables[table_id] = None
            return
        if known is _MISSING:
            known = self._tables[table_id] = _TableReads()
        assert isinstance(known, _TableReads)
        if not known.note(predicate):
            self._tables[table_id] = None

    def note_point(self, table_id: int, slots: tuple[int, ...], values: tuple[Scalar, ...]) -> None:
        """The row with these values in these columns; `slots` ascending. The quick way for look-ups by key."""
        known = self._tables.get(table_id, _MISSING)
        if known is None:
            return
        if known is _MISSING:
            known = self._tables[table_id] = _TableReads()
        assert isinstance(known, _TableReads)
        if not known.note_point(slots, values):
            self._tables[table_id] = None

    def note_points(self, table_id: int, slots: tuple[int, ...], columns: Sequence[Values]) -> None:
        """The rows that have one of these keys, given column by column; those with a NULL or a NaN are left out."""
        if len(columns[0]) > POINTS_MAX:
            self.note_table(table_id)
            return
        for values in zip(*[scalars(column) for column in columns], strict=True):
            if all(value is not None and value == value for value in values):
                self.note_point(table_id, slots, values)

    def note_table(self, table_id: int) -> None:
        self._tables[table_id] = None

    def note_all(self, predicates: Iterable[Predicate]) -> None:
        for predicate in predicates:
            self.note(predicate)

    def concerned_by(self, table_id: int, change: TableChange) -> bool:
        """Whether the change would have made a difference to what was read."""
        known = self._tables.get(table_id, _MISSING)
        if known is _MISSING:
            return False
        if known is None or change.whole:
            return change.whole or change.inserted.count + change.deleted.count > 0
        assert isinstance(known, _TableReads)
        return known.find(change.inserted) or known.find(change.deleted)


class _Missing:
    pass


_MISSING = _Missing()


class _TableReads:
    """Points by their columns, and the other predicates."""

    __slots__ = ("point_count", "points", "ranges")

    def __init__(self) -> None:
        self.points: dict[tuple[int, ...], set[tuple[Scalar, ...]]] = {}
        self.point_count = 0
        self.ranges: dict[Predicate, None] = {}

    def note(self, predicate: Predicate) -> bool:
        """False if there are too many."""
        match predicate.conditions:
            case (Among(slot=slot, values=values),):
                return all(self.note_point((slot,), (value,)) for value in values)
        point = predicate.point
        if point is not None:
            return self.note_point(*point)
        self.ranges[predicate] = None
        return len(self.ranges) <= RANGES_MAX

    def note_point(self, slots: tuple[int, ...], values: tuple[Scalar, ...]) -> bool:
        found = self.points.setdefault(slots, set())
        if values not in found:
            found.add(values)
            self.point_count += 1
        return self.point_count <= POINTS_MAX

    def find(self, rows: Rows) -> bool:
        if rows.count == 0:
            return False
        has_point, satisfies = (_has_point, _satisfied) if rows.count > FEW_ROWS else (_few_have_point, _few_satisfy)
        return any(has_point(rows, slots, found) for slots, found in self.points.items()) or any(
            satisfies(rows, predicate) for predicate in self.ranges
        )


# --- few rows: Python values ------------------------------------------------------------------------------------------


def scalars(values: Values) -> list[Scalar | None]:
    """Canonical Python values, None for NULL, text as bytes."""
    found: list[Scalar | None]
    match values.form:
        case Form.TEXT:
            assert values.text is not None
            text, ends = values.text.tobytes(), values.data.tolist()
            found = [text[begin:end] for begin, end in itertools.pairwise(ends)]
        case Form.WIDE:
            found = [(high << 64) | (low & _MASK) for low, high in values.data.tolist()]
        case _:
            found = values.data.tolist()
    if values.validity is not None:
        found = [value if there else None for value, there in zip(found, values.validity.tolist(), strict=True)]
    return found


def _few_have_point(rows: Rows, slots: tuple[int, ...], points: set[tuple[Scalar, ...]]) -> bool:
    columns = [rows.few(slot) for slot in slots]
    known = [column for column in columns if column is not None]
    if len(known) < len(columns):
        return True
    return not points.isdisjoint(zip(*known, strict=True))


def _few_satisfy(rows: Rows, predicate: Predicate) -> bool:
    left: Iterable[int] = range(rows.count)
    for condition in predicate.conditions:
        values = rows.few(condition.slot)
        if values is not None:
            left = [row for row in left if holds(condition, values[row])]
    return bool(list(left))


def holds(condition: Condition, value: Scalar | None) -> bool:
    """Whether one value satisfies the condition."""
    match condition:
        case IsNull(null=null):
            return (value is None) is null
        case Among(values=values):
            return value is not None and value in values
        case Between(low=low, high=high):
            if value is None:
                return False
            is_nan = value != value
            if low is not None and not is_nan and not (value > low if condition.low_open else value >= low):  # type: ignore[operator]
                return False
            return high is None or (value < high if condition.high_open else value <= high)  # type: ignore[operator]


# --- many rows: arrays ------------------------------------------------------------------------------------------------


def _has_point(rows: Rows, slots: tuple[int, ...], points: set[tuple[Scalar, ...]]) -> bool:
    columns = [rows.values(slot) for slot in slots]
    known = [column for column in columns if column is not None]
    if len(known) < len(columns):
        return True
    left = np.arange(rows.count)
    for place, column in enumerate(known):
        test = Among(0, frozenset(point[place] for point in points))
        left = left[_mask(column.take(left), test)]
        if len(left) == 0:
            return False
    if len(slots) == 1:
        return True
    return not points.isdisjoint(zip(*[scalars(column.take(left)) for column in known], strict=True))


def _satisfied(rows: Rows, predicate: Predicate) -> bool:
    mask = np.ones(rows.count, np.bool_)
    for condition in predicate.conditions:
        values = rows.values(condition.slot)
        if values is not None:
            mask &= _mask(values, condition)
            if not mask.any():
                return False
    return True


def _mask(values: Values, condition: Condition) -> Array:
    """Per row, whether it satisfies the condition."""
    present = np.ones(len(values), np.bool_) if values.validity is None else values.validity != 0
    match condition:
        case IsNull(null=null):
            return ~present if null else present
        case Among(values=wanted):
            return present & _among(values, wanted)
        case Between(low=low, high=high):
            found = present
            if low is not None:
                found = found & _above(values, low, strictly=condition.low_open)
            if high is not None:
                at_most = ~_above(values, high, strictly=not condition.high_open)
                found = found & at_most
            return found


def _among(values: Values, wanted: frozenset[Scalar]) -> Array:
    match values.form:
        case Form.TEXT:
            import pyarrow.compute as pc

            found: Array = pc.is_in(as_binary(values), pa.array(wanted, pa.large_binary())).to_numpy(
                zero_copy_only=False
            )
            return found
        case Form.INT:
            return np.isin(values.data, np.array([v for v in wanted if _LEAST <= v <= _GREATEST], np.int64))  # type: ignore[operator]
        case Form.FLOAT:
            return np.isin(values.data, np.array(list(wanted), np.float64))
        case Form.WIDE:
            equal = np.zeros(len(values), np.bool_)
            for value in wanted:
                assert isinstance(value, int)
                low, high = _halves(value)
                equal |= (values.data[:, 1] == high) & (values.data[:, 0].view(np.uint64) == low)
            return equal
        case Form.CODES:
            raise AssertionError("codes are decoded first")


def _above(values: Values, bound: Scalar, *, strictly: bool) -> Array:
    """Per row, whether it is greater than the bound, or as great."""
    match values.form:
        case Form.TEXT:
            import pyarrow.compute as pc

            compare = pc.greater if strictly else pc.greater_equal
            found: Array = compare(as_binary(values), pa.scalar(bound, pa.large_binary())).to_numpy(
                zero_copy_only=False
            )
            return found
        case Form.INT:
            assert isinstance(bound, int)
            if not _LEAST <= bound <= _GREATEST:
                return np.full(len(values), bound < 0)
            greater: Array = values.data > bound if strictly else values.data >= bound
            return greater
        case Form.FLOAT:
            above: Array = values.data > bound if strictly else values.data >= bound
            return above | np.isnan(values.data)
        case Form.WIDE:
            assert isinstance(bound, int)
            low, high = _halves(bound)
            lows, highs = values.data[:, 0].view(np.uint64), values.data[:, 1]
            same = (lows > low) if strictly else (lows >= low)
            later: Array = (highs > high) | ((highs == high) & same)
            return later
        case Form.CODES:
            raise AssertionError("codes are decoded first")


def _halves(value: int) -> tuple[np.uint64, int]:
    return np.uint64(value & _MASK), value >> 64
