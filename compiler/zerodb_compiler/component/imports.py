"""What the driver's kernels call in the other modules of the component."""

from __future__ import annotations

from zerodb_compiler.component import layout as at
from zerodb_compiler.kernels.intrinsics import ImportedFunction, i32, load32, memory_copy, ptr, store32, unreachable

take = ImportedFunction("heap.take", ("i32",), ("i32",))
give = ImportedFunction("heap.give", ("i32",), ())
take_for = ImportedFunction("heap.take_for", ("i32", "i32"), ("i32",))
give_all = ImportedFunction("heap.give_all", ("i32",), ())
end_intake = ImportedFunction("heap.end_intake", (), ())
call_query = ImportedFunction("query.run", ("i32", "i32", "i32"), ("i32",))


def outgoing(size: i32) -> ptr:
    """Room for a result, until the next call. A trap if there is none: there is no way to say so."""
    block = take_for(at.OUTGOING_BLOCKS, size)
    if block == 0:
        unreachable()
    return block


def kept_copy(run: ptr, source: ptr, size: i32) -> ptr:
    """A copy that lives as long as the run; 0 if there is no memory."""
    block = take_for(run + at.RUN_BLOCKS, size)
    if block != 0:
        memory_copy(block, source, size)
    return block


def entry(table: ptr, index: i32, size: i32) -> ptr:
    """Entry `index` of a table whose address is at `table`."""
    return load32(table) + index * size


def store_pair(place: ptr, first: i32, second: i32) -> None:
    store32(place, first)
    store32(place, second, 4)
