"""Block-wise filters: the conjuncts of a scan that SIMD can test, 16 rows at a time, into a selection vector.

For each group of 16 rows every test gives lanes of "bad" rows at the column's own width; bad lanes of equal width are
OR-ed before they are narrowed to bytes, so a second test on a 16-bit column costs two compares and an OR. The 16 bits
of the group then go through a table of 256 entries that turns 8 bits into the positions of those set (as in Lemire and
others' work on decoding bit sets), so the code has one branch per group: nothing selected.

    tests:   column between two bounds (all of = < <= > >= BETWEEN, intersected per column)
             column <> constant, column IN (constants), on integers and dictionary codes
             column compared with a column of the same width

Bounds are computed in 64 bits and clamped to the lanes' range, so a constant beyond the narrowed column's range is
right too. What no test covers stays a scalar predicate in the row loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import code_operand, evaluate
from zerodb_compiler.codegen.sqlvalues import Bool, Code, Int, SqlValue, fits_i64
from zerodb_compiler.layout import ColumnLayout, Encoding
from zerodb_compiler.sql.expressions import Call, ColumnRef, Expression, Literal, Parameter
from zerodb_compiler.sql.functions import SWAPPED
from zerodb_compiler.wasm.values import I32, I64, V128, load, select, shuffle, simd, simd_test, splat

LANES = {1: "i8x16", 2: "i16x8", 4: "i32x4", 8: "i64x2"}
GROUP_ROWS = 16
MAX_IN_ITEMS = 16


@dataclass(frozen=True, slots=True)
class ScanField:
    """A scanned column as the filter sees it: address locals and the sample of its values."""

    layout: ColumnLayout
    data: I32
    validity: I32 | None
    sample: SqlValue


Fields = Mapping[int, ScanField]  # by column id
Constant = Literal | Parameter


@dataclass(slots=True)
class RangeTest:
    """All ordering conjuncts on one column."""

    column: int
    conjuncts: list[tuple[str, Constant]] = field(default_factory=list)
    low: Any = None
    high: Any = None


@dataclass(slots=True)
class MemberTest:
    """column [NOT] IN constants; `negated` is for <>."""

    column: int
    items: tuple[Constant, ...]
    negated: bool
    lanes: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class ColumnTest:
    """Two columns of equal width compared."""

    left: int
    right: int
    op: str


Test = RangeTest | MemberTest | ColumnTest


def _is_constant(expression: Expression) -> TypeGuard[Constant]:
    """A constant whose value fits 64 bits (or is a text, for codes)."""
    if not isinstance(expression, Literal | Parameter):
        return False
    if expression.type.is_variable:
        return True
    if not expression.type.is_discrete:
        return False
    if isinstance(expression, Literal):
        return expression.value is None or (
            isinstance(expression.value, int) and fits_i64(expression.value, expression.value)
        )
    return fits_i64(*expression.type.bounds)


def _integer_field(expression: Expression, fields: Fields) -> ScanField | None:
    if isinstance(expression, ColumnRef):
        found = fields.get(expression.column.id)
        if found is not None and found.layout.encoding is Encoding.INT and found.layout.width in LANES:
            return found
    return None


def _code_field(expression: Expression, fields: Fields) -> ScanField | None:
    if isinstance(expression, ColumnRef):
        found = fields.get(expression.column.id)
        if found is not None and found.layout.encoding is Encoding.DICTIONARY:
            return found
    return None


def classify(predicates: tuple[Expression, ...], fields: Fields) -> tuple[list[Test], list[Expression]]:
    """The conjuncts as SIMD tests, and those that are left."""
    tests: list[Test] = []
    rest: list[Expression] = []
    ranges: dict[int, RangeTest] = {}
    for predicate in predicates:
        test = _classify_one(predicate, fields, ranges)
        if test is None:
            rest.append(predicate)
        elif test not in tests:
            tests.append(test)
    return tests, rest


def _classify_one(predicate: Expression, fields: Fields, ranges: dict[int, RangeTest]) -> Test | None:
    if not isinstance(predicate, Call):
        return None
    if predicate.function == "in":
        operand, *others = predicate.arguments
        items = [item for item in others if _is_constant(item)]
        if not 0 < len(items) <= MAX_IN_ITEMS or len(items) < len(others):
            return None
        if isinstance(operand, ColumnRef) and (_integer_field(operand, fields) or _code_field(operand, fields)):
            return MemberTest(operand.column.id, tuple(items), False)
        return None
    if predicate.function not in SWAPPED:
        return None
    op, (left, right) = predicate.function, predicate.arguments
    if not isinstance(left, ColumnRef) or (isinstance(right, ColumnRef) and right.column.id not in fields):
        left, right, op = right, left, SWAPPED[op]
    if not isinstance(left, ColumnRef):
        return None
    number, code = _integer_field(left, fields), _code_field(left, fields)
    if isinstance(right, ColumnRef):
        other = _integer_field(right, fields)
        if number and other and number.layout.width == other.layout.width:
            return ColumnTest(left.column.id, right.column.id, op)
        return None
    if not _is_constant(right):
        return None
    if code is not None:
        return MemberTest(left.column.id, (right,), op == "ne") if op in ("eq", "ne") else None
    if number is None:
        return None
    if op == "ne":
        return MemberTest(left.column.id, (right,), True)
    test = ranges.setdefault(left.column.id, RangeTest(left.column.id))
    test.conjuncts.append((op, right))
    return test


class BlockFilter:
    """The generated code of a scan's SIMD tests; `prepare` before the loops, `group` per 16 rows."""

    def __init__(self, tests: list[Test], fields: Fields, visibility: I32 | None) -> None:
        self._tests, self._fields, self._visibility = tests, fields, visibility

    def prepare(self, e: Emitter) -> None:
        for test in self._tests:
            match test:
                case RangeTest():
                    self._prepare_range(e, test)
                case MemberTest():
                    self._prepare_members(e, test)

    def _constant_int(self, e: Emitter, operand: Constant) -> tuple[I64, I32 | None]:
        value = evaluate(e, operand, {})
        if isinstance(value, Bool):
            return e.keep(value.value.to_i64_u()), value.null
        assert isinstance(value, Int)
        return e.keep(value.value), value.null

    def _prepare_range(self, e: Emitter, test: RangeTest) -> None:
        f, width = e.f, self._fields[test.column].layout.width
        least, greatest = -(1 << (8 * width - 1)), (1 << (8 * width - 1)) - 1
        low, high = f.let(I64.const(least), "low"), f.let(I64.const(greatest), "high")
        empty = f.local(I32, "empty")
        for op, operand in test.conjuncts:
            value, null = self._constant_int(e, operand)
            if null is not None:
                empty.set(empty | null)
            if op in ("eq", "ge", "gt"):
                bound = value
                if op == "gt":
                    empty.set(empty | (value == I64.const((1 << 63) - 1)))
                    bound = value + 1
                low.set(select(low > bound, low, f.let(bound)))
            if op in ("eq", "le", "lt"):
                bound = value
                if op == "lt":
                    empty.set(empty | (value == I64.const(-(1 << 63))))
                    bound = value - 1
                high.set(select(high < bound, high, f.let(bound)))
        # An empty range is written as the one that no lane value is in.
        with f.if_(empty | (low > high) | (low > I64.const(greatest)) | (high < I64.const(least))):
            low.set(I64.const(greatest))
            high.set(I64.const(least))
        # A side that no conjunct bounds still rejects rows where the range is empty.
        test.low = f.let(self._splat(width, low), "low_lanes")
        test.high = f.let(self._splat(width, high), "high_lanes")

    @staticmethod
    def _splat(width: int, value: I64) -> V128:
        return splat(f"{LANES[width]}.splat", value if width == 8 else value.to_i32())

    def _prepare_members(self, e: Emitter, test: MemberTest) -> None:
        """Per item: lanes of the value, and a mask that is zero where the item can match nothing."""
        f, item_field = e.f, self._fields[test.column]
        width = item_field.layout.width
        test.lanes = []
        for item in test.items:
            if item_field.layout.encoding is Encoding.DICTIONARY:
                assert isinstance(item_field.sample, Code)
                code, null = code_operand(e, item_field.sample, item)
                code = e.keep(code)
                possible: I32 = code >= 0
                lanes = splat(f"{LANES[width]}.splat", code)
            else:
                value, null = self._constant_int(e, item)
                half = 1 << (8 * width - 1)
                possible = (value >= I64.const(-half)) & (value <= I64.const(half - 1))
                lanes = self._splat(width, value)
            if null is not None:
                null = e.keep(null)
                assert null is not None
                possible = possible & null.is_zero()
            mask = splat("i32x4.splat", I32.const(0) - possible)
            never = None if null is None else splat("i32x4.splat", I32.const(0) - null)
            test.lanes.append((f.let(lanes, "item"), f.let(mask, "possible"), None if never is None else f.let(never)))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to filter by."""
        return not self._tests and self._visibility is None

    # --- per group ----------------------------------------
    def group(self, e: Emitter, row: I32) -> I32:
        """The 16 bits, in a local, of the rows row .. row + 15 that pass; bits past the chunk's end are undefined."""
        f = e.f
        bad: dict[int, list[V128 | None]] = {}
        for test in self._tests:
            self._test(e, test, row, bad)
        for column in {id_ for test in self._tests for id_ in self._columns_of(test)}:
            validity = self._fields[column].validity
            if validity is not None:
                self._merge(e, bad, 1, [simd("i8x16.eq", load("v128.load", validity + row), V128.const(bytes(16)))])
        if self._visibility is not None:
            self._merge(e, bad, 1, [simd("i8x16.eq", load("v128.load", self._visibility + row), V128.const(bytes(16)))])
        narrow: V128 | None = None
        for width, vectors in bad.items():
            byte_lanes = self._narrow(width, [vector for vector in vectors if vector is not None])
            narrow = byte_lanes if narrow is None else narrow | byte_lanes
        assert narrow is not None
        return f.let(simd_test("i8x16.bitmask", narrow) ^ 0xFFFF, "selected")

    @staticmethod
    def _columns_of(test: Test) -> tuple[int, ...]:
        return (test.left, test.right) if isinstance(test, ColumnTest) else (test.column,)

    def _vectors(self, e: Emitter, column: int, row: I32) -> list[V128]:
        item = self._fields[column]
        width = item.layout.width
        address = e.f.let(item.data + row * width, "group_address")
        return [load("v128.load", address, 16 * i) for i in range(width)]

    def _test(self, e: Emitter, test: Test, row: I32, bad: dict[int, list[V128 | None]]) -> None:
        f = e.f
        width = self._fields[self._columns_of(test)[0]].layout.width
        lanes = LANES[width]
        result: list[V128] = []
        match test:
            case RangeTest(column=column, low=low, high=high):
                for vector in self._vectors(e, column, row):
                    kept = f.let(vector, "lanes")
                    result.append(simd(f"{lanes}.gt_s", low, kept) | simd(f"{lanes}.gt_s", kept, high))
            case MemberTest(column=column, negated=negated):
                for vector in self._vectors(e, column, row):
                    kept = f.let(vector, "lanes")
                    result.append(self._member(test, lanes, kept, negated))
            case ColumnTest(left=left, right=right, op=op):
                pairs = zip(self._vectors(e, left, row), self._vectors(e, right, row), strict=True)
                result = [_bad_comparison(lanes, op, a, b) for a, b in pairs]
        self._merge(e, bad, width, result)

    @staticmethod
    def _member(test: MemberTest, lanes: str, vector: V128, negated: bool) -> V128:
        match: V128 | None = None
        never: V128 | None = None
        for value, possible, null in test.lanes:
            equal = simd(f"{lanes}.eq", vector, value) & possible
            match = equal if match is None else match | equal
            if null is not None:
                never = null if never is None else never | null
        assert match is not None
        if negated:
            return match if never is None else match | never
        return ~match

    @staticmethod
    def _merge(e: Emitter, bad: dict[int, list[V128 | None]], width: int, vectors: list[V128]) -> None:
        known = bad.setdefault(width, [None] * len(vectors))
        for i, vector in enumerate(vectors):
            before = known[i]
            known[i] = e.f.let(vector if before is None else before | vector, "bad")

    @staticmethod
    def _narrow(width: int, vectors: list[V128]) -> V128:
        """Masks of any lane width as 16 byte lanes (saturation keeps 0 and -1)."""
        if width == 8:
            low_words = bytes((0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27))
            vectors = [shuffle(vectors[i], vectors[i + 1], low_words) for i in range(0, 8, 2)]
            width = 4
        if width == 4:
            vectors = [simd("i16x8.narrow_i32x4_s", vectors[i], vectors[i + 1]) for i in (0, 2)]
            width = 2
        if width == 2:
            return simd("i8x16.narrow_i16x8_s", vectors[0], vectors[1])
        return vectors[0]


def _bad_comparison(lanes: str, op: str, a: V128, b: V128) -> V128:
    match op:
        case "eq":
            return simd(f"{lanes}.ne", a, b)
        case "ne":
            return simd(f"{lanes}.eq", a, b)
        case "le":
            return simd(f"{lanes}.gt_s", a, b)
        case "ge":
            return simd(f"{lanes}.gt_s", b, a)
        case "lt":
            return ~simd(f"{lanes}.gt_s", b, a)
        case _:
            return ~simd(f"{lanes}.gt_s", a, b)


def _positions(bits: int) -> bytes:
    set_bits = [i for i in range(8) if bits >> i & 1]
    return b"".join(i.to_bytes(2, "little") for i in set_bits + [0] * (8 - len(set_bits)))


# For each byte: the positions of its set bits as eight 16-bit lanes.
POSITIONS = b"".join(_positions(bits) for bits in range(256))
