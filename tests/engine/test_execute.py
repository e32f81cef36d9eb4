"""Programs over tables, in both tiers, alone and in parallel."""

from __future__ import annotations

import numpy as np
import pytest
from engine_programs import (
    COUNT,
    SUM,
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
from zerodb_compiler.codegen.program import ErrorSite, MorselSource, Program, ZonePredicate
from zerodb_compiler.errors import DataError, InternalError, OperationalError


def numbers(chunks: int, rows: int = 8000) -> MemoryTable:
    values = np.arange(chunks * rows, dtype=np.int64) * 3 + 70_000
    return MemoryTable("t", [np.split(values, chunks)])


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("threads", [1, 2])
def test_a_sum_in_each_tier(tier: Tier, threads: int) -> None:
    engine = Engine(memory_limit=64 << 20, threads=threads, tiers=[tier])
    table = numbers(17)
    compiled = engine.compile(sum_program(table.id))
    expected = sum(int(chunk.sum()) for chunk in table.columns[0])
    for _ in range(3):
        execution = engine.execute(compiled, snapshot(table), [0])
        assert execution.rows() == [(expected,)]
        assert execution.statistics[0].rows == 17 * 8000
        assert execution.statistics[0].tier is tier
        assert execution.statistics[0].threads == threads
    assert table.loads == 17
    engine.close()


def test_chunks_that_zone_maps_exclude_are_neither_run_nor_loaded(engine: Engine) -> None:
    table = numbers(20)
    compiled = engine.compile(sum_program(table.id, zone_predicates=(ZonePredicate(0, "ge", None, 0),)))
    least = int(table.columns[0][18][0])
    execution = engine.execute(compiled, snapshot(table), [least])
    assert execution.rows() == [(sum(int(chunk.sum()) for chunk in table.columns[0][18:]),)]
    assert (execution.statistics[0].morsels, execution.statistics[0].morsels_skipped) == (2, 18)
    assert table.loads == 2
    assert engine.execute(compiled, snapshot(table), [None]).rows() == [(0,)]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_large_result_is_in_morsel_order_and_leaves_linear_memory(engine: Engine, threads: int) -> None:
    values = np.arange(40 * 5000, dtype=np.int64) + (1 << 40)
    table = MemoryTable("t", [np.split(values, 40)])
    compiled = engine.compile(copy_program(table.id))
    execution = engine.execute(compiled, snapshot(table), threads=threads)
    assert execution.row_count == len(values)
    np.testing.assert_array_equal(execution.arrow().column(0).to_numpy(), values)
    used = engine.memory.used
    engine.execute(compiled, snapshot(table), threads=threads)
    assert engine.memory.used == used


def test_an_empty_table_has_no_morsel(engine: Engine) -> None:
    table = MemoryTable("t", [[]])
    compiled = engine.compile(sum_program(table.id))
    assert engine.execute(compiled, snapshot(table), [0]).rows() == [(0,)]


def test_a_new_version_of_a_table_is_seen(engine: Engine) -> None:
    first = numbers(5)
    compiled = engine.compile(sum_program(first.id))
    engine.execute(compiled, snapshot(first), [0])
    second = MemoryTable("t", [[*first.columns[0], np.array([1_000_000])]], id=first.id)
    total = sum(int(chunk.sum()) for chunk in first.columns[0])
    assert engine.execute(compiled, snapshot(second), [0]).rows() == [(total + 1_000_000,)]
    assert second.loads == 1, "the chunks that did not change are not loaded again"
    assert engine.execute(compiled, snapshot(first), [0]).rows() == [(total,)]
    engine.forget_table(first.id)
    assert engine.execute(compiled, snapshot(second), [0]).rows() == [(total + 1_000_000,)]


def test_faster_code_takes_over(engine: Engine) -> None:
    table = numbers(10)
    compiled = engine.compile(sum_program(table.id))
    assert compiled.tier is not None
    expected = engine.execute(compiled, snapshot(table), [0]).rows()
    assert compiled.wait_optimized(10)
    execution = engine.execute(compiled, snapshot(table), [0])
    assert execution.rows() == expected
    assert execution.statistics[0].tier is Tier.CRANELIFT


def test_an_error_site_becomes_the_users_error(engine: Engine) -> None:
    body = """
      (func (export "run") (param $w i32) (param $m i32) (result i32)
        (i64.store offset=48 (local.get $w) (i64.const -42))
        (i32.store offset=56 (local.get $w) (local.get $w))
        (i32.store8 (local.get $w) (i32.const 0x68)) (i32.store8 offset=1 (local.get $w) (i32.const 0x69))
        (i32.store offset=60 (local.get $w) (i32.const 2))
        (i32.const 2))"""
    sites = (ErrorSite("XX000", "no", None), ErrorSite("22003", "integer {value} of {text} out of range", 7))
    compiled = engine.compile(single_program(body, sites))
    with pytest.raises(DataError, match="integer -42 of hi out of range") as caught:
        engine.execute(compiled, snapshot())
    assert (caught.value.sqlstate, caught.value.position) == ("22003", 7)


@pytest.mark.parametrize("tier", list(Tier))
def test_a_trap_is_an_internal_error_with_the_wasm_trace(tier: Tier) -> None:
    engine = Engine(memory_limit=64 << 20, threads=1, tiers=[tier])
    inner = "(func $inner_part (result i32) (unreachable))"
    body = inner + '(func $run (export "run") (param i32 i32) (result i32) (call $inner_part))'
    compiled = engine.compile(single_program(body))
    for _ in range(2):
        with pytest.raises(InternalError, match=r"unreachable.*inner_part < run") as caught:
            engine.execute(compiled, snapshot())
        assert caught.value.sqlstate == "XX000"
    engine.close()


def test_a_full_stack_is_54001(engine: Engine) -> None:
    body = '(func $run (export "run") (param i32 i32) (result i32) (call $run (local.get 0) (i32.const 1)))'
    compiled = engine.compile(single_program(body))
    with pytest.raises(OperationalError) as caught:
        engine.execute(compiled, snapshot())
    assert caught.value.sqlstate == "54001"


def test_code_that_does_not_validate_is_an_internal_error(engine: Engine) -> None:
    program = single_program('(func (export "run") (param i32 i32) (result i32) (i32.const 0))')
    broken = type(program)(**{**{f: getattr(program, f) for f in program.__slots__}, "wasm": program.wasm[:-1]})
    with pytest.raises(InternalError, match="does not compile"):
        engine.compile(broken)


def test_one_morsel_with_more_output_than_the_memory_holds() -> None:
    engine = Engine(memory_limit=4 << 20, threads=1)
    body = """
      (func (export "run") (param $w i32) (param $m i32) (result i32) (local $i i64) (local $b i32) (local $k i32)
        (loop $blocks
          (local.set $b (call $block (local.get $w) (local.get $m) (i32.const 500)))
          (if (i32.eqz (local.get $b)) (then (return (i32.const -2))))
          (local.set $k (i32.const 0))
          (loop $rows
            (i64.store offset=64 (i32.add (local.get $b) (i32.shl (local.get $k) (i32.const 3))) (local.get $i))
            (local.set $i (i64.add (local.get $i) (i64.const 1)))
            (br_if $rows (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 500))))
          (br_if $blocks (i64.lt_u (local.get $i) (i64.const 1000000))))
        (i32.const 0))"""
    compiled = engine.compile(single_program(body, output_block_bytes=4096))
    for _ in range(2):
        execution = engine.execute(compiled, snapshot())
        np.testing.assert_array_equal(execution.arrow().column(0).to_numpy(), np.arange(1_000_000))
    engine.close()


def counted(body: str, count: int, finish: str = "") -> Program:
    """A program whose function "run" has `count` morsels."""
    start = f"""
      (func (export "start") (param $w i32) (param $m i32) (result i32)
        (i32.store offset={COUNT} (call $query (local.get $w)) (i32.const {count})) (i32.const 0))"""
    pipelines = (pipeline("start", MorselSource.SINGLE), pipeline("run", MorselSource.COUNTER))
    if finish:
        pipelines += (pipeline("end", MorselSource.SINGLE),)
    return program(module(start + body + finish), pipelines)


# Adds 1 to the worker's sum.
COUNT_ONE = (
    f"""(i64.store offset={SUM} (local.get $w) (i64.add (i64.load offset={SUM} (local.get $w)) (i64.const 1)))"""
)
EMIT = SUM_BODY[SUM_BODY.index('  (func (export "emit")') :].replace('"emit"', '"end"')


@pytest.mark.parametrize("threads", [1, 2])
def test_a_limit_ends_its_pipeline_early(engine: Engine, threads: int) -> None:
    body = f"""
      (func (export "run") (param $w i32) (param $m i32) (result i32) {COUNT_ONE}
        (if (i32.ge_u (local.get $m) (i32.const 9)) (then (return (i32.const {abi.STATUS_DONE})))) (i32.const 0))"""
    compiled = engine.compile(counted(body, 1_000_000, EMIT))
    ((morsels,),) = engine.execute(compiled, snapshot(), threads=threads).rows()
    assert 10 <= morsels <= 10 + threads


def test_every_worker_block_is_reachable_from_the_first(engine: Engine) -> None:
    body = f"""
      (func (export "run") (param $w i32) (param $m i32) (result i32) {COUNT_ONE} (i32.const 0))"""
    walk = f"""
      (func (export "end") (param $w i32) (param $m i32) (result i32) (local $s i64) (local $v i32) (local $b i32)
        (local.set $v (local.get $w))
        (loop $again
          (local.set $s (i64.add (local.get $s) (i64.load offset={SUM} (local.get $v))))
          (br_if $again (local.tee $v (i32.load offset={abi.WORKER_NEXT} (local.get $v)))))
        (local.set $b (call $block (local.get $w) (i32.const 0) (i32.const 1)))
        (i64.store offset=64 (local.get $b) (local.get $s)) (i32.const 0))"""
    compiled = engine.compile(counted(body, 5000, walk))
    for threads in (1, 2):
        assert engine.execute(compiled, snapshot(), threads=threads).rows() == [(5000,)]


@pytest.mark.parametrize("kind", [abi.ALLOCATE_ARENA, abi.ALLOCATE_SCRATCH])
def test_blocks_last_as_long_as_promised(engine: Engine, kind: int) -> None:
    """Two blocks are asked for and written in each morsel; the first must be intact at its end."""
    body = f"""
      (func (export "run") (param $w i32) (param $m i32) (result i32) (local $a i32) (local $b i32)
        (local.set $a (call $allocate (local.get $w) (i32.const 70000) (i32.const {kind})))
        (memory.fill (local.get $a) (i32.const 1) (i32.const 70000))
        (local.set $b (call $allocate (local.get $w) (i32.const 140000) (i32.const {kind})))
        (memory.fill (local.get $b) (i32.const 2) (i32.const 140000))
        (if (i32.ne (i32.load8_u offset=69999 (local.get $a)) (i32.const 1)) (then (unreachable)))
        (if (i32.and (local.get $b) (i32.const 15)) (then (unreachable)))
        (i32.const 0))"""
    compiled = engine.compile(counted(body, 200))
    used = []
    for _ in range(4):
        engine.execute(compiled, snapshot(), threads=1)
        used.append(engine.memory.used)
    assert used[1] == used[3], "every execution gives back what it took"
    peak = engine.memory.peak
    assert (peak > 200 * 210_000) is (kind == abi.ALLOCATE_ARENA)
