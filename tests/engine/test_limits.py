"""Interruption, timeouts, memory limits and closing: each a clean error, everything usable afterwards."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from engine_programs import (
    COUNT,
    SUM_BODY,
    copy_program,
    module,
    pipeline,
    program,
    single_program,
    sum_program,
)
from engine_tables import MemoryTable, snapshot

from zerodb.engine import Engine, Tier
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.program import MorselSource, Scan
from zerodb_compiler.errors import DatabaseError, InterfaceError, OperationalError

SPIN = f"""
  (func (export "run") (param $w i32) (param $m i32) (result i32)
    (loop $again (br_if $again (i32.eqz (i32.load (call $query (local.get $w))))))
    (i32.const {abi.STATUS_INTERRUPTED}))"""
# A morsel that looks at nothing and takes a few milliseconds.
DEAF = f"""
  (func (export "start") (param $w i32) (param $m i32) (result i32)
    (i32.store offset={COUNT} (call $query (local.get $w)) (i32.const 1000000)) (i32.const 0))
  (func (export "run") (param $w i32) (param $m i32) (result i32) (local $i i32)
    (loop $again (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))
    (i32.const 0))"""


def allocating(blocks: int, size: int, function: str = "run") -> str:
    """Allocates `blocks` arena blocks and writes to each."""
    return f"""
  (func (export "{function}") (param $w i32) (param $m i32) (result i32) (local $i i32) (local $b i32)
    (loop $again
      (local.set $b (call $allocate (local.get $w) (i32.const {size}) (i32.const {abi.ALLOCATE_ARENA})))
      (if (i32.eqz (local.get $b)) (then (return (i32.const {abi.STATUS_OUT_OF_MEMORY}))))
      (memory.fill (local.get $b) (i32.const 1) (i32.const {size}))
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {blocks}))))
    (i32.const 0))"""


def usable(engine: Engine) -> None:
    table = MemoryTable("t", [np.split(np.arange(100_000, 100_100), 10)])
    compiled = engine.compile(sum_program(table.id))
    assert engine.execute(compiled, snapshot(table), [0]).rows() == [(sum(range(100_000, 100_100)),)]


def deaf_program() -> object:
    return program(
        module(DEAF), (pipeline("start", MorselSource.SINGLE), pipeline("run", MorselSource.COUNTER)), output=()
    )


@pytest.mark.parametrize("tier", list(Tier))
def test_interrupt_ends_a_spinning_query(tier: Tier) -> None:
    engine = Engine(memory_limit=64 << 20, threads=2, tiers=[tier])
    compiled = engine.compile(single_program(SPIN))
    threading.Timer(0.05, engine.interrupt).start()
    with pytest.raises(OperationalError, match="interrupted") as caught:
        engine.execute(compiled, snapshot())
    assert caught.value.sqlstate == "57014"
    usable(engine)
    engine.close()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["spinning", "between morsels"])
def test_a_timeout_ends_a_query(engine: Engine, kind: str, threads: int) -> None:
    compiled = engine.compile(single_program(SPIN) if kind == "spinning" else deaf_program())  # type: ignore[arg-type]
    began = time.perf_counter()
    with pytest.raises(OperationalError, match="timeout") as caught:
        engine.execute(compiled, snapshot(), timeout=0.05, threads=threads)
    assert caught.value.sqlstate == "57014"
    assert time.perf_counter() - began < 2
    usable(engine)


def test_a_timeout_that_is_not_reached_does_nothing(engine: Engine) -> None:
    table = MemoryTable("t", [np.split(np.arange(100_000, 100_100), 10)])
    compiled = engine.compile(sum_program(table.id))
    for _ in range(20):
        engine.execute(compiled, snapshot(table), [0], timeout=0.02)
    time.sleep(0.05)
    usable(engine)


def test_a_query_over_the_memory_limit_is_53200(engine: Engine) -> None:
    usable(engine)
    before = engine.memory.used
    compiled = engine.compile(single_program(allocating(1000, 1 << 20)))
    for _ in range(2):
        with pytest.raises(OperationalError) as caught:
            engine.execute(compiled, snapshot())
        assert caught.value.sqlstate == "53200"
    assert engine.memory.used <= max(before, 2 << 20)
    assert engine.memory.used + engine.memory.warm_bytes <= engine.memory.limit
    usable(engine)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_table_larger_than_the_memory_is_scanned(threads: int) -> None:
    engine = Engine(memory_limit=8 << 20, threads=threads)
    table = MemoryTable("t", [np.split(np.arange(128 * 65_536) + 70_000, 128)])
    compiled = engine.compile(sum_program(table.id))
    expected = sum(int(chunk.sum()) for chunk in table.columns[0])
    for _ in range(3):
        assert engine.execute(compiled, snapshot(table), [0]).rows() == [(expected,)]
        assert engine.memory.used <= 8 << 20
    assert engine.pool.evictions > 128
    engine.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_resident_columns_make_room_for_workspace(threads: int) -> None:
    engine = Engine(memory_limit=24 << 20, threads=threads)
    table = MemoryTable("t", [np.split(np.arange(64 * 65_536) + 70_000, 64)])  # 16 MiB
    expected = [(sum(int(chunk.sum()) for chunk in table.columns[0]),)]
    wasm = module(SUM_BODY + allocating(12, 1 << 20, "work"))
    scans = (Scan(table.id, "t", (0,), 16, ()),)
    pipelines = (pipeline("work", MorselSource.SINGLE), pipeline("scan", MorselSource.SCAN),
                 pipeline("emit", MorselSource.SINGLE))  # fmt: skip
    needy = engine.compile(program(wasm, pipelines, scans))
    plain = engine.compile(sum_program(table.id))
    for _ in range(2):
        assert engine.execute(plain, snapshot(table), [0]).rows() == expected
        assert engine.execute(needy, snapshot(table)).rows() == expected
    engine.close()


def test_executions_in_many_threads(engine: Engine) -> None:
    table = MemoryTable("t", [np.split(np.arange(64 * 1000) + 70_000, 64)])
    total = engine.compile(sum_program(table.id))
    wide = MemoryTable("t", [np.split(np.arange(64 * 1000) + (1 << 40), 64)])
    copy = engine.compile(copy_program(wide.id))
    expected = [(sum(int(chunk.sum()) for chunk in table.columns[0]),)]

    def work(number: int) -> None:
        for _ in range(30):
            if number % 2:
                assert engine.execute(total, snapshot(table), [0]).rows() == expected
            else:
                assert engine.execute(copy, snapshot(wide)).row_count == 64_000

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(6)))


def test_one_failing_worker_stops_the_others(engine: Engine) -> None:
    body = f"""
      (func (export "start") (param $w i32) (param $m i32) (result i32)
        (i32.store offset={COUNT} (call $query (local.get $w)) (i32.const 8)) (i32.const 0))
      (func (export "run") (param $w i32) (param $m i32) (result i32)
        (if (i32.eq (local.get $m) (i32.const 3)) (then (unreachable)))
        (if (i32.lt_u (local.get $m) (i32.const 3)) (then (return (i32.const 0))))
        (loop $again (br_if $again (i32.eqz (i32.load (call $query (local.get $w))))))
        (i32.const {abi.STATUS_INTERRUPTED}))"""
    scan_free = program(
        module(body), (pipeline("start", MorselSource.SINGLE), pipeline("run", MorselSource.COUNTER)), output=()
    )
    compiled = engine.compile(scan_free)
    for _ in range(5):
        with pytest.raises(DatabaseError, match="unreachable"):
            engine.execute(compiled, snapshot())
    usable(engine)


def test_close_ends_what_runs() -> None:
    engine = Engine(memory_limit=64 << 20, threads=2)
    compiled = engine.compile(single_program(SPIN))
    threading.Timer(0.05, engine.close).start()
    with pytest.raises(OperationalError) as caught:
        engine.execute(compiled, snapshot())
    assert caught.value.sqlstate == "57P01"
    with pytest.raises(InterfaceError, match="closed"):
        engine.execute(compiled, snapshot())
    engine.close()


def test_databases_of_one_process_do_not_share_memory() -> None:
    engines = [Engine(memory_limit=64 << 20, threads=1) for _ in range(3)]
    table = MemoryTable("t", [np.split(np.arange(1000) + 70_000, 10)])
    for engine in engines:
        usable(engine)
    for engine in engines:
        engine.close()
        assert engine.memory.used >= 0
    assert table.loads == 0
