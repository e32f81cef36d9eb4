"""The allocator and the buffer pool."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zerodb.engine.memory import MEMORY_BYTES, Memory, SharedMemory
from zerodb.engine.pool import BufferPool, Loaded
from zerodb.engine.tiers import Tier, new_engine
from zerodb_compiler.errors import OperationalError


@pytest.fixture(scope="module")
def memory() -> Iterator[Memory]:
    made = Memory([new_engine(tier) for tier in Tier], 64 << 20)
    yield made
    made.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 300_000)), max_size=120))
def test_blocks_are_aligned_and_never_overlap(memory: Memory, steps: list[tuple[bool, int]]) -> None:
    before = memory.used
    blocks: dict[int, int] = {}
    try:
        for allocate, number in steps:
            if allocate or not blocks:
                address = memory.allocate(number)
                assert address >= 1024
                assert address % 16 == 0
                assert address + number + 16 <= MEMORY_BYTES
                blocks[address] = number
            else:
                address = list(blocks)[number % len(blocks)]
                memory.free(address)
                del blocks[address]
        ordered = sorted(blocks.items())
        for (start, size), (following, _) in itertools.pairwise(ordered):
            assert start + size + 16 <= following
    finally:
        for address in blocks:
            memory.free(address)
    assert memory.used == before


def test_freed_ranges_coalesce(memory: Memory) -> None:
    for _ in range(20):
        blocks = [memory.allocate(1 << 20) for _ in range(50)]
        assert all(blocks)
        random.Random(1).shuffle(blocks)
        for address in blocks:
            memory.free(address)
        large = memory.allocate(50 << 20)
        assert large
        memory.free(large)


def test_the_limit_bounds_used_and_resident_bytes(memory: Memory) -> None:
    blocks = []
    while address := memory.allocate(3 << 20):
        blocks.append(address)
        assert memory.used + memory.warm_bytes <= memory.limit
    assert len(blocks) == 63 // 3
    for address in blocks:
        memory.free(address)
    assert memory.warm_bytes <= memory.limit // 4
    memory.trim()
    assert memory.warm_bytes == 0


def test_all_engines_and_the_host_see_the_same_bytes(memory: Memory) -> None:
    address = memory.allocate(64)
    memory.write(address, np.arange(8, dtype=np.int64))
    assert memory.longs[(address >> 3) + 5] == 5
    assert memory.words[(address >> 2) + 10] == 5
    for shared in memory.shared:
        assert isinstance(shared, SharedMemory)
        assert shared.data_ptr()[address + 40] == 5
    memory.zero(address, 64)
    assert not memory.array[address : address + 64].any()
    memory.free(address)
    assert (memory.array[memory.ones : memory.ones + 65_552] == 1).all()


def test_threads_allocate_at_once(memory: Memory) -> None:
    def work(seed: int) -> None:
        rng = random.Random(seed)
        mine: list[tuple[int, int]] = []
        for _ in range(400):
            if mine and rng.random() < 0.5:
                address, size = mine.pop(rng.randrange(len(mine)))
                assert memory.array[address] == memory.array[address + size - 1] == seed
                memory.free(address)
            else:
                size = rng.choice([1, 40, 5000, 70_000])
                address = memory.allocate(size)
                memory.array[address] = memory.array[address + size - 1] = seed
                mine.append((address, size))
        for address, _ in mine:
            memory.free(address)

    before = memory.used
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(1, 5)))
    assert memory.used == before


@pytest.fixture
def pool() -> Iterator[BufferPool]:
    memory = Memory([new_engine(Tier.CRANELIFT)], 8 << 20)
    pool = BufferPool(memory)
    memory.reclaim = pool.reclaim
    yield pool
    memory.close()


def column(size: int) -> Loaded:
    return Loaded(np.zeros(size, dtype=np.uint8))


def test_unpinned_entries_are_evicted_oldest_first(pool: BufferPool) -> None:
    entries = [pool.pin(i, lambda: column(1 << 20)) for i in range(7)]
    with pytest.raises(OperationalError) as caught:
        pool.pin("one more", lambda: column(2 << 20))
    assert caught.value.sqlstate == "53200"
    for i in (3, 1, 5):
        pool.unpin(entries[i])
    pool.pin("one more", lambda: column(2 << 20))
    assert pool.evictions == 2
    loads: list[int] = []
    pool.pin(5, lambda: loads.append(1) or column(1))  # type: ignore[func-returns-value]
    assert loads == [], "5 was unpinned last and is still there"


def test_two_threads_do_not_load_twice(pool: BufferPool) -> None:
    inside, proceed, loads = threading.Event(), threading.Event(), []

    def load() -> Loaded:
        loads.append(1)
        inside.set()
        proceed.wait()
        return column(100)

    with ThreadPoolExecutor(4) as threads:
        pins = [threads.submit(pool.pin, "k", load) for _ in range(4)]
        inside.wait()
        proceed.set()
        entries = [pin.result() for pin in pins]
    assert len(loads) == 1
    assert all(entry is entries[0] for entry in entries)
    assert entries[0].pins == 4


def test_a_failed_load_leaves_nothing_and_the_next_one_may_succeed(pool: BufferPool) -> None:
    def fail() -> Loaded:
        raise OSError("damaged")

    with pytest.raises(OSError, match="damaged"):
        pool.pin("k", fail)
    assert pool.resident_bytes == 0
    assert pool.pin("k", lambda: column(10)).pins == 1


def test_text_gets_absolute_addresses_and_validity_its_place(pool: BufferPool) -> None:
    memory = pool._memory
    text = np.frombuffer(b"onetwothree", dtype=np.uint8)
    validity = np.array([1, 1, 0], dtype=np.uint8)
    entry = pool.pin("t", lambda: Loaded(np.array([0, 3, 6, 11], dtype=np.int64), validity, text))
    bounds = memory.words[entry.data >> 2 : (entry.data >> 2) + 4].tolist()
    assert [bytes(memory.bytes[a:b]) for a, b in itertools.pairwise(bounds)] == [b"one", b"two", b"three"]
    assert memory.array[entry.validity : entry.validity + 3].tolist() == [1, 1, 0]
    assert entry.validity % 16 == 0
    pool.discard(entry)
    assert pool.resident_bytes == 0
