"""The labels of an enumeration: looking up."""

from __future__ import annotations

from zerodb_compiler.kernels.intrinsics import (
    i32,
    i64,
    load32,
    ptr,
)
from zerodb_compiler.kernels.text import equal_bytes


def find_label(p: ptr, length: i32, labels: ptr, count: i32) -> i32:
    """The number of a label in a table of offsets (count + 1, 32 bits, from the table's start) and bytes, or -1."""
    for i in range(count):
        start = load32(labels + i * 4)
        if load32(labels + i * 4 + 4) - start == length and equal_bytes(labels + start, p, length):
            return i
    return -1


def label_at(index: i64, labels: ptr) -> tuple[ptr, i32]:
    place = labels + i32(index) * 4
    start = load32(place)
    return labels + start, load32(place + 4) - start
