"""Texts of a block of rows, laid one after the other for an external function.

offsets (count + 1 i32, from 0) | bytes
"""

from __future__ import annotations

from zerodb_compiler.kernels.intrinsics import i32, load8_u, load32, lt_u, memory_copy, ptr, store32
from zerodb_compiler.kernels.memory import scratch


def gather_texts(worker: ptr, texts: ptr, nulls: ptr, count: i32) -> ptr:
    """The texts whose addresses and lengths lie at `texts`, those under a NULL (a byte each at `nulls`, if that is not
    0) empty; in scratch memory, 16-byte aligned. 0 if there is no memory."""
    total = 0
    i = 0
    while i < count:
        if nulls == 0 or load8_u(nulls + i) == 0:
            before = total
            total = total + load32(texts + i * 8, 4)
            if lt_u(total, before):
                return 0
        i = i + 1
    size = total + count * 4 + 64
    if lt_u(size, total):
        return 0
    block = scratch(worker, size)
    if block == 0:
        return 0
    block = (block + 15) & -16
    heap = block + count * 4 + 4
    used = 0
    i = 0
    while i < count:
        store32(block + i * 4, used)
        if nulls == 0 or load8_u(nulls + i) == 0:
            length = load32(texts + i * 8, 4)
            memory_copy(heap + used, load32(texts + i * 8), length)
            used = used + length
        i = i + 1
    store32(block + count * 4, used)
    return block
