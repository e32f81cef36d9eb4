"""A text of unknown length under construction, at the end of the worker's scratch memory.

base = begin(worker)            no other scratch may be taken until the text is finished
base = reserve(worker, base, used, more)    room for `more` bytes behind base + used; 0 if there is no memory
finish(worker, base + used)
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.kernels.intrinsics import gt_u, i32, inline, load32, lt_u, memory_copy, ptr
from zerodb_compiler.kernels.memory import scratch, scratch_end, scratch_refill
from zerodb_compiler.kernels.text_building import MAX_TEXT_BYTES


@inline
def begin(worker: ptr) -> ptr:
    return scratch(worker, 0)


def reserve(worker: ptr, base: ptr, used: i32, more: i32) -> ptr:
    """The buffer's address, perhaps a new one; 0 if there is no memory. 16 bytes more can be written to."""
    if base == 0 or gt_u(used, MAX_TEXT_BYTES) or gt_u(more, MAX_TEXT_BYTES) or gt_u(used + more, MAX_TEXT_BYTES):
        return 0
    if lt_u(more + 16, load32(worker, abi.WORKER_SCRATCH_END) - base - used):
        return base
    larger = scratch_refill(worker, (used + more + 16) << 1)
    if larger != 0:
        memory_copy(larger, base, used)
    return larger


def append(worker: ptr, base: ptr, used: i32, p: ptr, length: i32) -> ptr:
    """The buffer with a copy of a text behind base + used; 0 if there is no memory."""
    base = reserve(worker, base, used, length)
    if base != 0:
        memory_copy(base + used, p, length)
    return base


@inline
def finish(worker: ptr, end: ptr) -> None:
    scratch_end(worker, end)
