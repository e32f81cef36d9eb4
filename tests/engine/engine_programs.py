"""Hand-written programs that follow codegen/abi.py."""

from __future__ import annotations

import re

import wasmtime

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.program import (
    DictionaryCode,
    DictionarySlot,
    ErrorSite,
    MorselSource,
    OutputColumn,
    ParameterSlot,
    Pipeline,
    Program,
    Scan,
    ZonePredicate,
)
from zerodb_compiler.types import BIGINT

SCAN_SLOT = 16
PARAMETER = 24
DICTIONARY = 48
CODE = 56
COUNT = 60
CONSTANTS = 64
QUERY_BYTES = 128
WORKER_BYTES = 128
SUM = abi.WORKER_FREE
ROWS = abi.WORKER_FREE + 8

PRELUDE = f"""
  (import "zerodb" "memory" (memory 1 65535 shared))
  (import "zerodb" "allocate" (func $allocate (param i32 i32 i32) (result i32)))
  (func $query (param $w i32) (result i32) (i32.load (local.get $w)))
  (func $chunk (param $w i32) (param $morsel i32) (param $columns i32) (result i32)
    (i32.add (i32.load offset={SCAN_SLOT} (call $query (local.get $w)))
      (i32.mul (local.get $morsel) (i32.add (i32.const 16) (i32.shl (local.get $columns) (i32.const 3))))))
  ;; a block for `rows` rows of one bigint column, linked as the worker's first
  (func $block (param $w i32) (param $morsel i32) (param $rows i32) (result i32) (local $b i32) (local $size i32)
    (local.set $size (i32.add (i32.const 64) (i32.shl (local.get $rows) (i32.const 3))))
    (local.set $b (i32.load offset={abi.WORKER_OUTPUT_SPARE} (local.get $w)))
    (if (i32.and (i32.ne (local.get $b) (i32.const 0))
                 (i32.ge_u (i32.load offset={abi.WORKER_OUTPUT_SPARE_BYTES} (local.get $w)) (local.get $size)))
      (then (i32.store offset={abi.WORKER_OUTPUT_SPARE} (local.get $w) (i32.const 0)))
      (else (local.set $b (call $allocate (local.get $w) (local.get $size) (i32.const {abi.ALLOCATE_OUTPUT})))))
    (if (i32.eqz (local.get $b)) (then (return (i32.const 0))))
    (i32.store (local.get $b) (local.get $rows))
    (i32.store offset={abi.OUTPUT_MORSEL} (local.get $b) (local.get $morsel))
    (i32.store offset={abi.OUTPUT_NEXT} (local.get $b) (i32.load offset={abi.WORKER_OUTPUT_FIRST} (local.get $w)))
    (i32.store offset={abi.WORKER_OUTPUT_FIRST} (local.get $w) (local.get $b))
    (i32.store offset={abi.OUTPUT_HEADER} (local.get $b) (i32.add (local.get $b) (i32.const 64)))
    (i32.store offset={abi.OUTPUT_HEADER + 4} (local.get $b) (i32.const 0))
    (local.get $b))
"""


_ENTRY = re.compile(r'\(func (?:\$\w+ )?\(export "(\w+)"\)(?= \(param)')
_entries: dict[bytes, tuple[str, ...]] = {}  # by module


def module(body: str) -> bytes:
    """A module of functions that are written as exports, which are called through `run`."""
    names = tuple(_ENTRY.findall(body))
    body = _ENTRY.sub(lambda found: f"(func ${found[1]}", body)
    calls = "".join(f") (return (call ${name} (local.get 0) (local.get 1)))" for name in names)
    targets = " ".join(str(number) for number in range(len(names)))
    run = f"""
  (func $one (param i32 i32 i32) (result i32)
    {"(block " * len(names)} (br_table {targets} (local.get 2)) {calls}
    unreachable)
  (func (export "run") (param i32 i32 i32) (result i32) (local $status i32)
    (loop $more
      (local.set $status (call $one (local.get 0) (local.get 1) (i32.and (local.get 2) (i32.const 0xffff))))
      (if (local.get $status) (then (return (local.get $status))))
      (local.set 1 (i32.add (local.get 1) (i32.const 1)))
      (local.set 2 (i32.sub (local.get 2) (i32.const {abi.MOST_ENTRIES})))
      (br_if $more (i32.ge_s (local.get 2) (i32.const 0))))
    (i32.const 0))"""
    wasm = bytes(wasmtime.wat2wasm(f"(module {PRELUDE} {body} {run if names else ''})"))
    _entries[wasm] = names
    return wasm


def program(
    wasm: bytes,
    pipelines: tuple[Pipeline, ...],
    scans: tuple[Scan, ...] = (),
    dictionaries: tuple[DictionarySlot, ...] = (),
    codes: tuple[DictionaryCode, ...] = (),
    parameters: tuple[ParameterSlot, ...] = (),
    errors: tuple[ErrorSite, ...] = (),
    output: tuple[OutputColumn, ...] = (OutputColumn("v", BIGINT, False),),
    output_block_bytes: int = 4096,
    constants: tuple[tuple[int, bytes], ...] = (),
) -> Program:
    return Program(
        wasm, QUERY_BYTES, WORKER_BYTES, pipelines, scans, dictionaries, codes, parameters, constants, errors,
        output, output_block_bytes, True, entries=_entries[wasm],
    )  # fmt: skip


def pipeline(
    function: str, source: MorselSource, start: str | None = None, finish: str | None = None, parallel: bool = True,
    rows_offset: int | None = None,
) -> Pipeline:  # fmt: skip
    scan = 0 if source is MorselSource.SCAN else None
    count = COUNT if source is MorselSource.COUNTER else None
    return Pipeline(function, source, scan, count, start, finish, (function,), parallel, rows_offset)


SUM_BODY = f"""
  (func (export "scan") (param $w i32) (param $m i32) (result i32)
    (local $c i32) (local $p i32) (local $end i32) (local $s i64) (local $least i64)
    (local.set $c (call $chunk (local.get $w) (local.get $m) (i32.const 1)))
    (local.set $least (i64.load offset={PARAMETER + 8} (call $query (local.get $w))))
    (local.set $p (i32.load offset=16 (local.get $c)))
    (local.set $end (i32.add (local.get $p) (i32.shl (i32.load (local.get $c)) (i32.const 2))))
    (i64.store offset={ROWS} (local.get $w)
      (i64.add (i64.load offset={ROWS} (local.get $w)) (i64.extend_i32_u (i32.load (local.get $c)))))
    (if (i32.load (call $query (local.get $w))) (then (return (i32.const {abi.STATUS_INTERRUPTED}))))
    (block $out (loop $again
      (br_if $out (i32.ge_u (local.get $p) (local.get $end)))
      (if (i64.ge_s (i64.load32_s (local.get $p)) (local.get $least))
        (then (local.set $s (i64.add (local.get $s) (i64.load32_s (local.get $p))))))
      (local.set $p (i32.add (local.get $p) (i32.const 4)))
      (br $again)))
    (i64.store offset={SUM} (local.get $w) (i64.add (i64.load offset={SUM} (local.get $w)) (local.get $s)))
    (i32.const 0))
  (func (export "emit") (param $w i32) (param $m i32) (result i32)
    (local $s i64) (local $i i32) (local $b i32) (local $v i32)
    (local.set $v (local.get $w))
    (loop $again
      (local.set $s (i64.add (local.get $s) (i64.load offset={SUM} (local.get $v))))
      (local.set $v (i32.add (local.get $v) (i32.const {WORKER_BYTES})))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.load offset=4 (call $query (local.get $w))))))
    (local.set $b (call $block (local.get $w) (local.get $m) (i32.const 1)))
    (if (i32.eqz (local.get $b)) (then (return (i32.const {abi.STATUS_OUT_OF_MEMORY}))))
    (i64.store offset=64 (local.get $b) (local.get $s))
    (i32.const 0))
"""


def sum_program(
    table_id: int, name: str = "t", zone_predicates: tuple[ZonePredicate, ...] = (), body: str = SUM_BODY
) -> Program:
    """select sum(column 0) from t where column 0 >= $0, over 4-byte integers."""
    return program(
        module(body),
        (pipeline("scan", MorselSource.SCAN, rows_offset=ROWS), pipeline("emit", MorselSource.SINGLE)),
        scans=(Scan(table_id, name, (0,), SCAN_SLOT, zone_predicates),),
        parameters=(ParameterSlot(0, BIGINT, PARAMETER),),
    )


def copy_program(table_id: int, name: str = "t", ordinals: tuple[int, ...] = (0,)) -> Program:
    """select column 0 from t, over 8-byte integers."""
    body = f"""
  (func (export "scan") (param $w i32) (param $m i32) (result i32) (local $c i32) (local $b i32)
    (local.set $c (call $chunk (local.get $w) (local.get $m) (i32.const {len(ordinals)})))
    (local.set $b (call $block (local.get $w) (local.get $m) (i32.load (local.get $c))))
    (if (i32.eqz (local.get $b)) (then (return (i32.const {abi.STATUS_OUT_OF_MEMORY}))))
    (memory.copy (i32.add (local.get $b) (i32.const 64)) (i32.load offset=16 (local.get $c))
       (i32.shl (i32.load (local.get $c)) (i32.const 3)))
    (i32.const 0))"""
    return program(
        module(body), (pipeline("scan", MorselSource.SCAN),), scans=(Scan(table_id, name, ordinals, SCAN_SLOT, ()),)
    )


def single_program(body: str, errors: tuple[ErrorSite, ...] = (), **more: object) -> Program:
    """A program of one function "run" over no table; body is WAT."""
    return program(module(body), (pipeline("run", MorselSource.SINGLE),), errors=errors, **more)  # type: ignore[arg-type]
