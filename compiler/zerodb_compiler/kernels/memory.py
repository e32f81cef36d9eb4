"""Bump allocation from a worker's blocks, and copies of text that must outlive a morsel.

The arena lives until the query ends; scratch until the code resets it at the start of a morsel. Both give 0 when the
memory limit forbids more. A refill takes at least `REFILL` bytes from the host; what was left of the old block is lost.
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.kernels.intrinsics import (
    ImportedFunction,
    gt_u,
    i32,
    inline,
    load32,
    lt_u,
    memory_copy,
    ptr,
    select,
    store32,
)

allocate = ImportedFunction("zerodb.allocate", ("i32", "i32", "i32"), ("i32",))

REFILL = 256 * 1024
SCRATCH_DOUBLED_MAX = 64 * 1024 * 1024


def arena_refill(worker: ptr, size: i32) -> ptr:
    """A new arena block that begins with `size` bytes for the caller."""
    block_bytes = select(gt_u(size, REFILL), size, REFILL)
    address = allocate(worker, block_bytes, abi.ALLOCATE_ARENA)
    if address == 0:
        return 0
    store32(worker, address + size, abi.WORKER_ARENA_NEXT)
    store32(worker, address + block_bytes, abi.WORKER_ARENA_END)
    return address


def arena_allocate(worker: ptr, size: i32) -> ptr:
    """`size` bytes, 16-byte aligned, until the query ends; 0 if there is no memory."""
    rounded = (size + 15) & -16
    if lt_u(rounded, size):
        return 0
    address = load32(worker, abi.WORKER_ARENA_NEXT)
    # A worker without an arena yet has next = end = 0, where nothing at all would fit.
    if address == 0 or gt_u(rounded, load32(worker, abi.WORKER_ARENA_END) - address):
        return arena_refill(worker, rounded)
    store32(worker, address + rounded, abi.WORKER_ARENA_NEXT)
    return address


def scratch_refill(worker: ptr, size: i32) -> ptr:
    """A new scratch block of at least twice the old one's size, so that a morsel that is run again and again soon finds
    room; texts in the old block stay readable, since the host frees it only when the query ends."""
    twice = (load32(worker, abi.WORKER_SCRATCH_END) - load32(worker, abi.WORKER_SCRATCH_START)) * 2
    block_bytes = select(gt_u(size, REFILL), size, REFILL)
    if gt_u(twice, block_bytes) and lt_u(twice, SCRATCH_DOUBLED_MAX):
        block_bytes = twice
    address = allocate(worker, block_bytes, abi.ALLOCATE_SCRATCH)
    if address == 0:
        return 0
    store32(worker, address, abi.WORKER_SCRATCH_START)
    store32(worker, address + size, abi.WORKER_SCRATCH_NEXT)
    store32(worker, address + block_bytes, abi.WORKER_SCRATCH_END)
    return address


def scratch(worker: ptr, size: i32) -> ptr:
    """`size` bytes, unaligned, until the end of the morsel; 0 if there is no memory."""
    address = load32(worker, abi.WORKER_SCRATCH_NEXT)
    # Without a block yet, even no bytes at all need an address.
    if address == 0 or gt_u(size, load32(worker, abi.WORKER_SCRATCH_END) - address):
        return scratch_refill(worker, size)
    store32(worker, address + size, abi.WORKER_SCRATCH_NEXT)
    return address


@inline
def scratch_end(worker: ptr, end: ptr) -> None:
    """Gives back what was allocated last beyond `end`."""
    store32(worker, end, abi.WORKER_SCRATCH_NEXT)


def copy_text_to_arena(worker: ptr, address: ptr, length: i32) -> ptr:
    """A copy that lives until the query ends; 0 if there is no memory. An empty text gives a valid address."""
    start = load32(worker, abi.WORKER_ARENA_NEXT)
    if start == 0 or gt_u(length, load32(worker, abi.WORKER_ARENA_END) - start):
        start = arena_allocate(worker, length)
        if start == 0:
            return 0
    else:
        # Rounded up so that what arena_allocate gives stays aligned; the rounding never leaves the block, whose
        # size is a multiple of 16.
        store32(worker, (start + length + 15) & -16, abi.WORKER_ARENA_NEXT)
    memory_copy(start, address, length)
    return start
