"""Frames: the rows of a partition that a row's function sees.

Bounds are row numbers, start included and end not. Those of RANGE with an offset are found by walking on from the row
before's, since both only ever move forward in the window's order (PostgreSQL's in_range): a row's key plus or minus the
offset is compared with the keys of the rows. NULLs are in range of NULLs only; for floats an infinite key less an
infinite offset has every number in range, and NaN equals NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zerodb_compiler.codegen import arithmetic
from zerodb_compiler.codegen.comparison import compare
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.sqlvalues import Int, Real, SqlValue, Wide, with_null
from zerodb_compiler.codegen.windows.partition import Partition
from zerodb_compiler.codegen.windows.tuples import MOST_ROWS, WindowTuple
from zerodb_compiler.plan.logical import SortKey
from zerodb_compiler.plan.windows import BoundKind, Exclusion, Frame, FrameBound, FrameMode, bounds_of
from zerodb_compiler.sql.expressions import Expression
from zerodb_compiler.types import SqlType, TypeId
from zerodb_compiler.wasm.values import F64, I32, I64, select

Range = tuple[Any, Any]  # first row and the one behind the last, never less: locals
_HUGEINT = SqlType(TypeId.HUGEINT)
_INFINITY = float("inf")


def simplified(frame: Frame | None, order: Sequence[SortKey]) -> Frame | None:
    """Without an order all rows are peers: the frame is everything where it is bounded by peers."""
    if frame is None or order or frame.mode is FrameMode.ROWS:
        return frame
    first, last = FrameBound(BoundKind.UNBOUNDED_PRECEDING), FrameBound(BoundKind.UNBOUNDED_FOLLOWING)
    if any(bound.offset is not None for bound in bounds_of(frame)):
        return frame
    return Frame(FrameMode.ROWS, first, last, frame.exclusion)


def is_running(frame: Frame) -> bool:
    """Whether each row's frame begins with the frame of the row before."""
    return frame.start.kind is BoundKind.UNBOUNDED_PRECEDING and frame.exclusion is Exclusion.NO_OTHERS


def needs_peers(frame: Frame) -> bool:
    if frame.exclusion in (Exclusion.GROUP, Exclusion.TIES):
        return True
    unbounded = (BoundKind.UNBOUNDED_PRECEDING, BoundKind.UNBOUNDED_FOLLOWING)
    return frame.mode is not FrameMode.ROWS and any(bound.kind not in unbounded for bound in bounds_of(frame))


def _least(p: Partition, a: I32, b: I32, name: str) -> Any:
    local = p.f.let(a, name)
    with p.f.if_(local > b):
        local.set(b)
    return local


def _greatest(p: Partition, a: I32, b: I32, name: str) -> Any:
    local = p.f.let(a, name)
    with p.f.if_(local < b):
        local.set(b)
    return local


def frame_offset(
    e: Emitter,
    frame: Frame,
    bound: FrameBound,
    name: str,
    *,
    read: Callable[[Expression], SqlValue],
    without_rows: bool = False,
) -> SqlValue | None:
    """The bound's offset, checked (RANGE's sign only where there are rows); rows and groups count up to MOST_ROWS."""
    if bound.offset is None:
        return None
    value = e.keep_value(read(bound.offset))
    if value.null is not None:
        e.error_if(value.null, "22004", f"frame {name} offset must not be null", None)
        value = with_null(value, None)
    ranged = frame.mode is FrameMode.RANGE
    negative = "invalid preceding or following size in window function"
    message = negative if ranged else f"frame {name} offset must not be negative"
    if ranged and without_rows:
        return value
    match value:
        case Real(value=number):
            e.error_if((number < F64.const(0.0)) | (number != number), "22013", message, None)
            return value
        case Int() | Wide():
            e.error_if(compare(e, "lt", value, arithmetic.exact_constant(0)), "22013", message, None)
            if ranged:
                return value
            assert isinstance(value, Int)
            rows = select(value.value > MOST_ROWS, I64.const(MOST_ROWS), value.value)
            return Int(e.f.let(rows, "offset"), 0, MOST_ROWS)
    raise AssertionError(f"an offset of {type(value).__name__}")


class FrameEmitter:
    """Made before the loop over the rows (offsets are checked once a partition); `ranges` within it."""

    def __init__(self, p: Partition, frame: Frame, order: Sequence[SortKey], content: WindowTuple) -> None:
        self._p, self._frame, self._order, self._content = p, frame, order, content
        self._offsets = {
            "start": frame_offset(p, frame, frame.start, "starting", read=self._of_first_row),
            "end": frame_offset(p, frame, frame.end, "ending", read=self._of_first_row),
        }
        self._walked = {"start": p.f.local(I32, "walked_start"), "end": p.f.local(I32, "walked_end")}

    def _of_first_row(self, offset: Expression) -> SqlValue:
        """An offset is the same in all rows."""
        return self._content.argument(self._p, offset, self._p.row(I32.const(0)))

    # --- bounds ----------------------------------------
    def ranges(self) -> list[Range]:
        """The row's frame as ranges in order, for the current row of the partition."""
        p = self._p
        start = self._bound(self._frame.start, "start")
        end = _greatest(p, self._bound(self._frame.end, "end"), start, "frame_end")
        return self._excluding(p.f.let(start, "frame_start"), end)

    def _bound(self, bound: FrameBound, side: str) -> Any:
        p = self._p
        match bound.kind:
            case BoundKind.UNBOUNDED_PRECEDING:
                return p.f.let(I32.const(0), side)
            case BoundKind.UNBOUNDED_FOLLOWING:
                return p.f.let(p.count, side)
            case BoundKind.CURRENT_ROW:
                if self._frame.mode is FrameMode.ROWS:
                    return p.f.let(p.index if side == "start" else p.index + 1, side)
                return p.f.let(p.group_start if side == "start" else p.group_end, side)
        preceding = bound.kind is BoundKind.PRECEDING
        if self._frame.mode is FrameMode.RANGE:
            return self._walk(side, preceding)
        offset = self._offsets[side]
        assert isinstance(offset, Int)
        distance = offset.value.to_i32()
        if self._frame.mode is FrameMode.ROWS:
            return self._row_bound(distance, side, preceding)
        return self._group_bound(distance, side, preceding)

    def _row_bound(self, distance: I32, side: str, preceding: bool) -> Any:
        p = self._p
        place = p.index if side == "start" else p.index + 1
        if preceding:
            return _greatest(p, place - distance, I32.const(0), side)
        return _least(p, place + distance, p.count, side)

    def _group_bound(self, distance: I32, side: str, preceding: bool) -> Any:
        p = self._p
        group = p.group if side == "start" else p.group + 1
        if preceding:
            return p.f.let(p.group_first(_greatest(p, group - distance, I32.const(0), "group")), side)
        return p.f.let(p.group_first(_least(p, group + distance, p.group_count, "group")), side)

    # --- RANGE with an offset ----------------------------------------
    def _walk(self, side: str, preceding: bool) -> Any:
        p, f = self._p, self._p.f
        key = self._order[0]
        offset = self._offsets[side]
        assert offset is not None and self._content.layout is not None
        bound = self._frame.start if side == "start" else self._frame.end
        compared = key.expression if bound.key is None else bound.key
        if not self._content.keeps(compared):  # a constant key: all rows are equally far
            return f.let(p.group_start if side == "start" else p.group_end, side)
        place = self._content.place(compared)
        own = p.keep_value(self._content.layout.read(p.tuple)[place])
        if bound.limit is not None:
            limit = p.keep_value(with_null(self._content.argument(p, bound.limit, p.tuple), None))
        else:
            limit = self._limit(with_null(own, None), offset, side, preceding)
        walked = self._walked[side]
        with f.block() as found, f.loop() as again:
            found.break_if(walked >= p.count)
            other = p.keep_value(self._content.layout.read(p.row(walked))[place])
            found.break_if(self._is_before(side, own, other, limit).is_zero())
            walked.set(walked + 1)
            again.continue_()
        return walked

    def _limit(self, own: SqlValue, offset: SqlValue, side: str, preceding: bool) -> SqlValue:
        """The key's value at the frame's border."""
        p = self._p
        subtract = preceding != self._order[0].descending
        if isinstance(own, Real):
            assert isinstance(offset, Real)
            sum_ = p.f.let(own.value - offset.value if subtract else own.value + offset.value, "limit")
            lost = (sum_ != sum_) & (own.value == own.value)  # infinity less infinity: all numbers are in range
            least = (side == "start") != self._order[0].descending
            sum_.set(select(lost, F64.const(-_INFINITY if least else _INFINITY), sum_))
            return Real(sum_, False)
        assert isinstance(own, Int | Wide) and isinstance(offset, Int | Wide)
        combine = arithmetic.subtract if subtract else arithmetic.add
        return p.keep_value(combine(p, self._scaled(own), offset, None, _HUGEINT, None))

    def _scaled(self, value: Int | Wide) -> Int | Wide:
        """The key in the scale of the offsets."""
        offset = next(bound.offset for bound in bounds_of(self._frame) if bound.offset is not None)
        digits = offset.type.scale - self._order[0].expression.type.scale
        if digits <= 0:
            return value
        scaled = self._p.keep_value(arithmetic.rescale_up(self._p, value, digits, _HUGEINT, None))
        assert isinstance(scaled, Int | Wide)
        return scaled

    def _is_before(self, side: str, own: SqlValue, other: SqlValue, limit: SqlValue) -> I32:
        """Whether the walk goes on past the other row: it is before the start, or not yet behind the end."""
        p, key = self._p, self._order[0]
        plain = with_null(other, None)
        if isinstance(plain, Int | Wide):
            plain = self._scaled(plain)
        if side == "start":
            passed = compare(p, "gt" if key.descending else "lt", plain, limit)
        else:
            passed = compare(p, "ge" if key.descending else "le", plain, limit)
        if own.null is None or other.null is None:
            return passed
        passed = p.keep(passed)
        if side == "start":
            of_nulls = own.null.is_zero() if key.nulls_first else other.null.is_zero()
        else:
            of_nulls = other.null if key.nulls_first else own.null
        return select(own.null | other.null, of_nulls, passed)

    # --- EXCLUDE ----------------------------------------
    def _excluding(self, start: Any, end: Any) -> list[Range]:
        p = self._p
        match self._frame.exclusion:
            case Exclusion.NO_OTHERS:
                return [(start, end)]
            case Exclusion.CURRENT_ROW:
                first, behind = p.index, p.index + 1
            case _:
                first, behind = p.group_start, p.group_end
        before = (start, _greatest(p, _least(p, end, first, "before_end"), start, "before_end"))
        late = _greatest(p, start, behind, "after_start")
        after = (late, _greatest(p, end, late, "after_end"))
        if self._frame.exclusion is not Exclusion.TIES:
            return [before, after]
        own = _greatest(p, start, p.index, "own_start")
        own_end = _greatest(p, _least(p, end, p.index + 1, "own_end"), own, "own_end")
        return [before, (own, own_end), after]


__all__ = ["FrameEmitter", "Range", "frame_offset", "is_running", "needs_peers", "simplified"]
