"""The functions that exist only in windows, for the current row of a partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zerodb_compiler.codegen.sqlvalues import Int, Real, SqlValue, with_null
from zerodb_compiler.codegen.windows.frames import Range
from zerodb_compiler.codegen.windows.partition import Partition
from zerodb_compiler.codegen.windows.tuples import MOST_ROWS, WindowTuple, is_computed, is_without_default
from zerodb_compiler.plan.windows import WindowCall, WindowItem
from zerodb_compiler.wasm.values import I32, I64, select

PEERS = frozenset({"rank", "dense_rank", "percent_rank", "cume_dist"})
_MOST = (1 << 31) - 1


class Buckets:
    """ntile: its argument counts once a partition, as it is in the first row."""

    def __init__(self, p: Partition, content: WindowTuple, item: WindowItem) -> None:
        assert isinstance(item.call, WindowCall)
        value = content.argument(p, item.call.arguments[0], p.row(I32.const(0)))
        assert isinstance(value, Int)
        self._item, self._content = item, content
        self._null = None if value.null is None else p.f.let(value.null, "no_buckets")
        self._count = p.f.let(value.value, "buckets")
        wrong = self._count <= 0
        if self._null is not None:
            wrong = wrong & self._null.is_zero()
        p.error_if(wrong, "22014", "argument of ntile must be greater than zero", item.call.position)

    def row(self, p: Partition) -> None:
        f, content, item = p.f, self._content, self._item
        if self._null is not None:
            with f.if_(self._null):
                content.set_null(p, p.tuple, item)
        with p.only_if(None if self._null is None else self._null.is_zero()):
            index, rows = f.let(p.index.to_i64_u(), "index"), f.let(p.count.to_i64_u(), "rows")
            size = f.let(rows.divide_u(self._count), "bucket_rows")
            larger = f.let(rows.remainder_u(self._count), "larger_buckets")
            border = f.let(larger * (size + 1), "border")  # the first buckets have one row more
            bucket = f.let(index.divide_u(size + 1), "bucket")
            with f.if_(index >= border):
                bucket.set(larger + (index - border).divide_u(size))
            content.set_result(p, p.tuple, item, Int(bucket + 1, 0, _MOST))


def rank_row(p: Partition, content: WindowTuple, item: WindowItem) -> None:
    """row_number, rank, dense_rank, percent_rank, cume_dist"""
    assert isinstance(item.call, WindowCall)
    value: SqlValue
    match item.call.function:
        case "row_number":
            value = Int((p.index + 1).to_i64_u(), 0, MOST_ROWS)
        case "rank":
            value = Int((p.group_start + 1).to_i64_u(), 0, MOST_ROWS)
        case "dense_rank":
            value = Int((p.group + 1).to_i64_u(), 0, MOST_ROWS)
        case "percent_rank":
            others = select(p.count > 1, p.count - 1, I32.const(1))
            value = Real(p.group_start.to_f64() / others.to_f64(), False)
        case "cume_dist":
            value = Real(p.group_end.to_f64() / p.count.to_f64(), False)
        case other:
            raise AssertionError(other)
    content.set_result(p, p.tuple, item, value)


def offset_row(p: Partition, content: WindowTuple, item: WindowItem) -> None:
    """lag and lead."""
    assert isinstance(item.call, WindowCall)
    f, (value, offset, default) = p.f, item.call.arguments
    plain = is_without_default(item)
    distance = p.keep_value(content.argument(p, offset, p.tuple))
    assert isinstance(distance, Int)
    own = p.index.to_i64_u()
    place = f.let(own - distance.value if item.call.function == "lag" else own + distance.value, "place")
    if distance.null is not None:
        with f.if_(distance.null):
            content.set_null(p, p.tuple, item)
    with p.only_if(None if distance.null is None else distance.null.is_zero()):
        with f.if_((place >= 0) & (place < p.count.to_i64_u())):
            there = f.let(p.row(place.to_i32()), "there")
            found = content.argument(p, value, there, as_uniform=not plain)
            content.set_result(p, p.tuple, item, found, own_text=is_computed(value))
        with f.else_():
            if plain:
                content.set_null(p, p.tuple, item)
            else:
                found = content.argument(p, default, p.tuple, as_uniform=True)
                content.set_result(p, p.tuple, item, found, own_text=is_computed(default))


def value_row(p: Partition, content: WindowTuple, item: WindowItem, ranges: Sequence[Range]) -> None:
    """first_value, last_value, nth_value"""
    assert isinstance(item.call, WindowCall)
    f = p.f
    place = f.let(I32.const(-1), "place")
    match item.call.function:
        case "first_value":
            for start, end in reversed(ranges):
                with f.if_(start < end):
                    place.set(start)
        case "last_value":
            for start, end in ranges:
                with f.if_(start < end):
                    place.set(end - 1)
        case _:
            _nth(p, content, item, ranges, place)
    with f.if_(place < 0):
        content.set_null(p, p.tuple, item)
    with f.else_():
        there = f.let(p.row(place), "there")
        value = item.call.arguments[0]
        content.set_result(p, p.tuple, item, content.argument(p, value, there), own_text=is_computed(value))


def _nth(p: Partition, content: WindowTuple, item: WindowItem, ranges: Sequence[Range], place: Any) -> None:
    assert isinstance(item.call, WindowCall)
    f = p.f
    value = p.keep_value(content.argument(p, item.call.arguments[1], p.tuple))
    assert isinstance(value, Int)
    wrong = value.value <= 0
    if value.null is not None:
        wrong = wrong & value.null.is_zero()
    p.error_if(wrong, "22016", "argument of nth_value must be greater than zero", item.call.position)
    left = f.let(with_null(value, None).value - 1, "rows_before")
    if value.null is not None:
        left.set(select(value.null, I64.const(_MOST), left))
    with f.block() as found:
        for start, end in ranges:
            rows = f.let((end - start).to_i64_u(), "rows")
            with f.if_(left < rows):
                place.set(start + left.to_i32())
                found.break_()
            left.set(left - rows)
