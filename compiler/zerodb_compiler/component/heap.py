"""The heap of a component: its memory, blocks of it, and what the query module and the canonical ABI take from it.

Blocks come in size classes, four to a doubling, each with a list of free blocks; nothing is joined again, so the memory
stays as large as it once was. Each block is readable 16 bytes past its end: the memory always goes on a little.
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.component import layout as at
from zerodb_compiler.kernels.compiler import kernel
from zerodb_compiler.kernels.intrinsics import (
    clz,
    gt_u,
    i32,
    i64,
    load32,
    memory_copy,
    memory_grow,
    memory_size,
    ptr,
    select,
    shr_u,
    store32,
    u64,
    unreachable,
)
from zerodb_compiler.wasm.module import Module
from zerodb_compiler.wasm.values import I32

MODULE = "heap"
MEMORY = "memory"
PAGE = 1 << 16
_SLACK = 64
_GROWTH_PAGES = 16
_INTAKE = 1 << 16


def grow(end: i64) -> i32:
    """Makes sure that the memory reaches beyond `end`; 0 if it cannot."""
    pages = i32(shr_u(end + _SLACK + (PAGE - 1), 16)) - memory_size()
    if pages <= 0:
        return 1
    wanted = select(pages > _GROWTH_PAGES, pages, _GROWTH_PAGES)
    if memory_grow(wanted) != -1:
        return 1
    if memory_grow(pages) != -1:
        return 1
    return 0


def take(size: i32) -> ptr:
    """A block of at least `size` bytes, 16-byte aligned, as it happens to be; 0 if there is no memory."""
    if gt_u(size, 0x70000000):
        return 0
    wanted = select(size < 16, 16, (size + 15) & -16)
    power = 31 - clz(wanted - 1)
    step = 1 << (power - 2)
    wanted = (wanted + step - 1) & (0 - step)
    number = (power << 2) | (((wanted - 1) >> (power - 2)) & 3)
    free = at.FREE_LISTS + (number << 2)
    block = load32(free)
    if block != 0:
        store32(free, load32(block, at.BLOCK_NEXT))
        return block + at.BLOCK_HEADER
    block = load32(at.HEAP_NEXT)
    end = u64(block) + u64(wanted) + at.BLOCK_HEADER
    if end > 0xFFFF0000:
        return 0
    if grow(end) == 0:
        return 0
    store32(at.HEAP_NEXT, i32(end))
    store32(block, number, at.BLOCK_CLASS)
    return block + at.BLOCK_HEADER


def give(block: ptr) -> None:
    """Gives a block back."""
    free = at.FREE_LISTS + (load32(block - at.BLOCK_HEADER, at.BLOCK_CLASS) << 2)
    store32(block - at.BLOCK_HEADER, load32(free), at.BLOCK_NEXT)
    store32(free, block - at.BLOCK_HEADER)


def take_for(owner: ptr, size: i32) -> ptr:
    """A block on the list at `owner`, which is given back with all others on it."""
    block = take(size)
    if block != 0:
        store32(block - at.BLOCK_HEADER, load32(owner), at.BLOCK_NEXT)
        store32(owner, block)
    return block


def give_all(owner: ptr) -> None:
    block = load32(owner)
    while block != 0:
        following = load32(block - at.BLOCK_HEADER, at.BLOCK_NEXT)
        give(block)
        block = following
    store32(owner, 0)


def allocate(worker: ptr, size: i32, kind: i32) -> ptr:
    """The query module's import (codegen/abi.py). What would need the host's help gives no memory."""
    if kind == abi.ALLOCATE_OUTPUT:
        return take(size)
    if kind == abi.ALLOCATE_ARENA or kind == abi.ALLOCATE_SCRATCH:
        return take_for(load32(worker, abi.WORKER_QUERY) - at.RUN_HEADER + at.RUN_BLOCKS, size)
    return 0


def reallocate(old: ptr, old_size: i32, align: i32, size: i32) -> ptr:
    """The canonical ABI's `realloc`: room for what a call brings, until the call ends (end_intake)."""
    following = load32(at.INTAKE_NEXT)
    if old != 0:
        if gt_u(size, old_size) == 0:
            if old + old_size == following:
                store32(at.INTAKE_NEXT, old + size)
            return old
        if old + old_size == following and gt_u(size - old_size, load32(at.INTAKE_END) - following) == 0:
            store32(at.INTAKE_NEXT, old + size)
            return old
    start = (following + align - 1) & (0 - align)
    if following == 0 or u64(start) + u64(size) > u64(load32(at.INTAKE_END)):
        room = select(gt_u(size, _INTAKE - 16), size + 16, _INTAKE)
        start = take_for(at.INTAKE_BLOCKS, room)
        if start == 0:
            unreachable()
        store32(at.INTAKE_END, start + room)
    store32(at.INTAKE_NEXT, start + size)
    if old != 0:
        memory_copy(start, old, old_size)
    return start


def end_intake() -> None:
    give_all(at.INTAKE_BLOCKS)
    store32(at.INTAKE_NEXT, 0)
    store32(at.INTAKE_END, 0)


def drop_run(run: ptr) -> None:
    """The destructor of a run."""
    block = load32(run, at.RUN_OUTPUT)
    while block != 0:
        following = load32(block, abi.OUTPUT_NEXT)
        give(block)
        block = following
    worker = load32(run, at.RUN_WORKER)
    block = load32(worker, abi.WORKER_OUTPUT_FIRST)
    while block != 0:
        following = load32(block, abi.OUTPUT_NEXT)
        give(block)
        block = following
    if load32(run, at.RUN_DELIVERED) != 0:
        give(load32(run, at.RUN_DELIVERED))
    give_all(run + at.RUN_BLOCKS)
    give(run)


EXPORTED = (take, give, take_for, give_all, allocate, reallocate, end_intake, drop_run)


def heap_module(static_end: int) -> bytes:
    """The module whose memory has room for constants up to `static_end`."""
    module = Module(wide_arithmetic=False)
    start = -(-static_end // 16) * 16
    module.define_memory(MEMORY, (start + _SLACK) // PAGE + 1)
    for function in EXPORTED:
        ref = kernel(module, function)
        names = [(f"p{i}", kind) for i, kind in enumerate(ref.signature.parameters)]
        f = module.function(function.__name__, names, ref.signature.results, export=True)
        if ref.signature.results:
            f.return_(f.call(ref, *f.parameters))
        else:
            f.run(ref, *f.parameters)
    module.data(at.HEAP_NEXT, start.to_bytes(4, "little"))
    return module.encode()


def import_heap(module: Module) -> None:
    """Makes a module use the heap: its memory, and the functions by the names of imports.py."""
    module.import_memory(MODULE, MEMORY, 1, None)
    for name, parameters, results in (("take", 1, 1), ("give", 1, 0), ("take_for", 2, 1), ("give_all", 1, 0),
                                      ("end_intake", 0, 0)):  # fmt: skip
        module.import_function(MODULE, name, [I32] * parameters, [I32] * results)
