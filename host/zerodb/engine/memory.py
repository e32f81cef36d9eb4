"""The one linear memory of a database: buffer pool, delta store and workspace of every query.

Problem: WASM code of two wasmtime engines (Winch and Cranelift, see tiers.py) and the host must see the same bytes at
the same offsets, columns come and go, and the whole may not grow beyond a limit.

Idea: one memfd of 4 GiB - 64 KiB is mapped over the SharedMemory of each engine. The wasm type has min = max, so
nothing ever grows or moves; pages exist only once touched. The host writes through the mapping that Cranelift code
reads, so hot pages are mapped once.

    0          64 KiB                                                                   4 GiB - 64 KiB
    | guard    | page of ones | allocations ...                                         |

The allocator is best fit over free extents with coalescing, in two maps: *warm* extents have been used before (their
pages are resident) and are preferred, *cold* ones have no pages. First touch of a page is expensive (measured on a
virtual machine: 3 ms per MiB of new pages against 0.03 ms of resident ones), so freed memory stays warm until the warm
bytes pass a share of the limit; then the largest extents are given back with fallocate(PUNCH_HOLE).

Huge pages: MADV_HUGEPAGE is asked for, but a memfd gets them only where shmem_enabled is not "never". Measured in a VM,
256 MiB of random reads took 9.7 ns each with and 10.4 ns without huge pages: nothing depends on them.

Limits: 32-bit addresses, so at most ~4 GiB a database, whatever `memory_limit` says. Linux only.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any

import numpy as np
import wasmtime
from wasmtime import _ffi as ffi

from zerodb_compiler.errors import OperationalError

WASM_PAGE = 65_536
MEMORY_PAGES = 65_535
MEMORY_BYTES = MEMORY_PAGES * WASM_PAGE
# Never allocated: reading through a null pointer gives zeros (generated code makes use of it).
GUARD_BYTES = 65_536
ONES_BYTES = 65_536 + 16
ALIGNMENT = 16
# Blocks of this size and above start and end on system pages so that their pages can be given back.
PAGE_GRANULAR_BYTES = 65_536
SYSTEM_PAGE = 4096
# A copy of so many bytes takes some 20 us.
MOST_COPIED_WITH_GIL = 128 << 10
DEFAULT_LIMIT_CAP = 3_584 << 20

_MAP_FIXED = 0x10
_MADV_HUGEPAGE = 14
_FALLOC_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]


def default_memory_limit() -> int:
    """Half of the machine's memory, at most what a wasm32 memory leaves for columns and workspace."""
    ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(ram // 2, DEFAULT_LIMIT_CAP)


class SharedMemory(wasmtime.SharedMemory):
    """wasmtime-py hands imports a pointer to the pointer of a shared memory; this hands them the pointer."""

    def _as_extern(self) -> Any:
        union = ffi.wasmtime_extern_union(sharedmemory=self.ptr())
        return ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)


class _Extents:
    """Free ranges of one kind: best fit by size, coalesced by address."""

    def __init__(self) -> None:
        self.bytes = 0
        self._starts: list[int] = []
        self._size: dict[int, int] = {}
        self._by_size: list[tuple[int, int]] = []

    def add(self, start: int, size: int) -> None:
        index = bisect_left(self._starts, start)
        end = start + size
        self.bytes += size
        if index < len(self._starts) and self._starts[index] == end:
            size += self._take_at(index)
        if index > 0 and self._starts[index - 1] + self._size[self._starts[index - 1]] == start:
            start = self._starts[index - 1]
            size += self._take_at(index - 1)
            index -= 1
        self._starts.insert(index, start)
        self._size[start] = size
        insort(self._by_size, (size, start))

    def _take_at(self, index: int) -> int:
        start = self._starts.pop(index)
        size = self._size.pop(start)
        del self._by_size[bisect_left(self._by_size, (size, start))]
        return size

    def take(self, size: int, granularity: int) -> int:
        """The start of `size` bytes aligned to `granularity`, or 0."""
        by_size = self._by_size
        for index in range(bisect_left(by_size, (size, 0)), len(by_size)):
            extent_size, start = by_size[index]
            aligned = -(-start // granularity) * granularity
            if aligned + size <= start + extent_size:
                self._take_at(bisect_left(self._starts, start))
                self.bytes -= extent_size
                if aligned > start:
                    self.add(start, aligned - start)
                if start + extent_size > aligned + size:
                    self.add(aligned + size, start + extent_size - aligned - size)
                return aligned
        return 0

    def take_largest(self) -> tuple[int, int]:
        size, start = self._by_size[-1]
        self._take_at(bisect_left(self._starts, start))
        self.bytes -= size
        return start, size


class Memory:
    """The linear memory, its host views and its allocator. All methods are thread-safe.

    `bytes`, and the casts `words` (u32), `longs` (i64), `doubles` are views of the whole memory; indexes of the casts
    are address // element size. `ones` is the address of the shared page of ones.
    """

    def __init__(self, engines: list[wasmtime.Engine], limit: int) -> None:
        self.limit = min(limit, MEMORY_BYTES - (1 << 20))
        self.used = 0
        self.peak = 0
        # Called with the bytes wanted when the limit is reached; frees what it can and says whether it freed anything.
        self.reclaim: Callable[[int], bool] = lambda _bytes: False
        self._lock = threading.Lock()
        self._sizes: dict[int, int] = {}
        self._warm, self._cold = _Extents(), _Extents()
        self._descriptor = os.memfd_create("zerodb", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self._descriptor, MEMORY_BYTES)
        except OSError as error:  # a limit on the size of files holds for memory files, too
            os.close(self._descriptor)
            raise OperationalError(f"cannot get the linear memory: {error.strerror}", sqlstate="53200") from error
        limits = wasmtime.Limits(MEMORY_PAGES, MEMORY_PAGES)
        self.shared = [SharedMemory(engine, wasmtime.MemoryType(limits, shared=True)) for engine in engines]
        self.base = [self._map(shared) for shared in self.shared][-1]
        array = (ctypes.c_ubyte * MEMORY_BYTES).from_address(self.base)
        self.bytes = memoryview(array).cast("B")
        self.words = self.bytes.cast("I")
        self.longs = self.bytes.cast("q")
        self.doubles = self.bytes.cast("d")
        self.array: np.ndarray[Any, np.dtype[np.uint8]] = np.frombuffer(self.bytes, dtype=np.uint8)
        self._cold.add(GUARD_BYTES, MEMORY_BYTES - GUARD_BYTES)
        self.ones = self.allocate(ONES_BYTES)
        self.array[self.ones : self.ones + ONES_BYTES] = 1

    def _map(self, shared: SharedMemory) -> int:
        base = ctypes.addressof(shared.data_ptr().contents)
        protection, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED | _MAP_FIXED
        if _libc.mmap(base, MEMORY_BYTES, protection, flags, self._descriptor, 0) != base:
            raise OperationalError("cannot map the linear memory", sqlstate="53200")
        _libc.madvise(base, MEMORY_BYTES, _MADV_HUGEPAGE)
        return base

    @property
    def warm_bytes(self) -> int:
        """Free bytes whose pages are still resident."""
        return self._warm.bytes

    def allocate(self, size: int) -> int:
        """The address of `size` fresh bytes (not zeroed), 16-byte aligned, or 0 if the limit forbids it even after
        `reclaim`. The block may be read 16 bytes past its end."""
        large = size + 16 >= PAGE_GRANULAR_BYTES
        granularity = SYSTEM_PAGE if large else ALIGNMENT
        rounded = -(-(size + 16) // granularity) * granularity
        while True:
            with self._lock:
                address = self._allocate_locked(rounded, granularity)
            if address or not self.reclaim(rounded):
                return address

    def _allocate_locked(self, rounded: int, granularity: int) -> int:
        if self.used + rounded > self.limit:
            return 0
        address = self._warm.take(rounded, granularity) or self._cold.take(rounded, granularity)
        if not address:
            self._trim(0)
            address = self._cold.take(rounded, granularity)
            if not address:
                return 0
        self._sizes[address] = rounded
        self.used += rounded
        if self.used > self.peak:
            self.peak = self.used
        if self.used + self._warm.bytes > self.limit:
            self._trim(max(0, self.limit - self.used))
        return address

    def free(self, address: int) -> None:
        with self._lock:
            size = self._sizes.pop(address)
            self.used -= size
            self._warm.add(address, size)
            if self._warm.bytes > self.limit >> 2:
                self._trim(self.limit >> 3)

    def size_of(self, address: int) -> int:
        """Bytes that the block at `address` takes from the limit."""
        return self._sizes[address]

    def _trim(self, keep: int) -> None:
        """Gives the pages of the largest warm extents back until at most `keep` warm bytes are left."""
        while self._warm.bytes > keep:
            start, size = self._warm.take_largest()
            first = -(-start // SYSTEM_PAGE) * SYSTEM_PAGE
            last = (start + size) // SYSTEM_PAGE * SYSTEM_PAGE
            if last > first:
                _libc.fallocate(self._descriptor, _FALLOC_PUNCH_HOLE_KEEP_SIZE, first, last - first)
            self._cold.add(start, size)

    def trim(self) -> None:
        """Gives all free pages back to the system."""
        with self._lock:
            self._trim(0)

    def zero(self, address: int, size: int) -> None:
        if size > MOST_COPIED_WITH_GIL:
            ctypes.memset(self.base + address, 0, size)
        else:
            self.bytes[address : address + size] = bytes(size)

    def write(self, address: int, data: np.ndarray[Any, Any]) -> None:
        """Copies an array in: a large one without the GIL, for other threads' sake. To have it back takes longer than a
        small copy if others compute meanwhile."""
        data = np.ascontiguousarray(data)
        size = data.nbytes
        if size > MOST_COPIED_WITH_GIL:
            ctypes.memmove(self.base + address, data.ctypes.data, size)
        elif size:
            self.bytes[address : address + size] = data.data.cast("B")

    def close(self) -> None:
        """Unmaps everything. No instance and no view of the memory may be used afterwards."""
        if self._descriptor < 0:
            return
        del self.array
        for view in (self.words, self.longs, self.doubles, self.bytes):
            view.release()
        # The pages are given back now, whatever else still holds a mapping (an instance awaiting collection). Not by
        # truncation: a stray access would then be a SIGBUS.
        _libc.fallocate(self._descriptor, _FALLOC_PUNCH_HOLE_KEEP_SIZE, 0, MEMORY_BYTES)
        os.close(self._descriptor)
        self._descriptor = -1
        self.shared.clear()
