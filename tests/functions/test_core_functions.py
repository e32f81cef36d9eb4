"""Functions in core modules: columns in and out, NULLs, errors, limits."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.functions.asking import failure
from tests.functions.building import compile_c, core_module

import zerodb

Body = Callable[..., Any]
UTC = datetime.UTC


def test_slices_begin_anywhere(body: Body) -> None:
    double, is_even = body("f(a bigint)", "bigint", "core", "double"), body("g(a int)", "boolean", "core", "is_even")
    assert double.call([pa.array([5, 6, 7, 8])[2:]], 2).to_pylist() == [14, 16]
    assert is_even.call([pa.array(range(20), pa.int32())[3:]], 17).to_pylist() == [n % 2 == 0 for n in range(3, 20)]


def test_nulls(body: Body) -> None:
    nullable = body("f(a bigint)", "bigint", "core", "nullable")
    assert nullable.call([pa.array([1, None, 7, 3])], 4).to_pylist() == [1, 7, None, 3]
    assert nullable.call([pa.array([None, 1, None, 7])[1:]], 3).to_pylist() == [1, 7, None]
    assert nullable.call([pa.array([1, 2])], 2).null_count == 0


def test_text(body: Body) -> None:
    shout = body("f(a text)", "text", "core", "shout")
    texts = ["banana", "", "ä", "a" * 5000]
    assert shout.call([pa.array(texts)], 4).to_pylist() == [text.replace("a", "A") for text in texts]
    assert shout.call([pa.array(texts)[1:3]], 2).to_pylist() == ["", "ä"]
    assert shout.call([pa.array([], pa.string())], 0).to_pylist() == []
    many = [f"a{number}" for number in range(40_000)]
    assert shout.call([pa.array(many)], len(many)).to_pylist() == [text.replace("a", "A") for text in many]


_COPY = """(func (export "copy{size}") (param $n i32) (param $a i32) (param $out i32)
  (memory.copy (local.get $out) (local.get $a) (i32.mul (local.get $n) (i32.const {size}))))"""


@pytest.mark.parametrize(
    ("type_", "size", "values"),
    [
        ("boolean", 1, pa.array([True, False, True])),
        ("smallint", 2, pa.array([-32768, 0, 32767], pa.int16())),
        ("integer", 4, pa.array([-5, 0, 5], pa.int32())),
        ("real", 4, pa.array([1.5, -0.0, float("inf")], pa.float32())),
        ("double precision", 8, pa.array([1.5, 2.5e300, -1.0])),
        ("date", 4, pa.array([datetime.date(1969, 5, 1), datetime.date(2020, 1, 2)])),
        ("time", 8, pa.array([datetime.time(1, 2, 3, 4)])),
        ("timestamp", 8, pa.array([datetime.datetime(2020, 1, 2, 3)], pa.timestamp("us"))),
        ("timestamptz", 8, pa.array([datetime.datetime(2020, 1, 2, tzinfo=UTC)], pa.timestamp("us", "UTC"))),
        ("uuid", 16, pa.array([uuid.UUID(int=5).bytes, uuid.UUID(int=1 << 127).bytes], pa.uuid())),
        ("bytea", 0, pa.array([b"", b"\0\xff"])),
    ],
)
def test_types(wasm_db: zerodb.Connection, tmp_path: Path, type_: str, size: int, values: pa.Array) -> None:
    copy = _COPY.format(size=size)
    if not size:
        copy = """(func (export "copy0") (param $n i32) (param $o i32) (param $a i32) (param $out i32) (param $at i32)
          (memory.copy (local.get $out) (local.get $o) (i32.mul (i32.add (local.get $n) (i32.const 1)) (i32.const 4)))
          (i32.store (local.get $at) (local.get $a)))"""
    (tmp_path / "m.wasm").write_bytes(core_module(copy))
    file = tmp_path / "m.wasm"
    wasm_db.execute(f"create function f({type_}) returns {type_} language wasm_core as '{file}', 'copy{size}'")
    view = wasm_db._view()
    found = view.body(view.functions("f")[0]).call([values], len(values))
    assert found.type == values.type
    assert found.equals(values)


@pytest.mark.parametrize(
    ("export", "sqlstate", "part"),
    [
        ("outside", "39000", "out of bounds"),
        ("deep", "39000", "call stack exhausted"),
        ("greedy", "53200", "it needs more memory than its limit allows"),
    ],
)
def test_what_ends_an_instance(body: Body, export: str, sqlstate: str, part: str) -> None:
    broken, double = body("f(a bigint)", "bigint", "core", export), body("g(a bigint)", "bigint", "core", "double")
    for _ in range(2):
        state, message, row = failure(lambda: broken.call([pa.array([1])], 1))
        assert (state, row) == (sqlstate, None)
        assert part in message
        assert double.call([pa.array([1])], 1).to_pylist() == [2]


@pytest.mark.parametrize(
    ("export", "sqlstate", "part"), [("broken_text", "39000", "no text"), ("binary_text", "22021", "UTF-8")]
)
def test_text_that_is_none(body: Body, export: str, sqlstate: str, part: str) -> None:
    broken = body("f(a text)", "text", "core", export)
    found = failure(lambda: broken.call([pa.array(["x"])], 1))
    assert found[0] == sqlstate
    assert part in found[1]


def test_c(wasm_db: zerodb.Connection, tmp_path: Path) -> None:
    source = """
    #include <stdint.h>
    extern unsigned char __heap_base;
    static uint32_t next;
    __attribute__((export_name("alloc"))) void *alloc(uint32_t size) {
      if (!next) next = (uint32_t)&__heap_base;
      uint32_t at = (next + 15) & ~15u, end = at + size, have = __builtin_wasm_memory_size(0) << 16;
      if (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) >> 16) == (uint32_t)-1) return 0;
      next = end;
      return (void *)at;
    }
    __attribute__((export_name("mix"))) void mix(int32_t n, const int64_t *a, const double *b, double *out) {
      for (int32_t i = 0; i < n; i++) out[i] = a[i] * b[i];
    }
    """
    (tmp_path / "mix.wasm").write_bytes(compile_c(source, "-msimd128"))
    wasm_db.execute(f"""
        create function mix(a bigint, b double precision) returns double precision
        language wasm_core as '{tmp_path / "mix.wasm"}' immutable""")
    view = wasm_db._view()
    found = view.body(view.functions("mix")[0]).call([pa.array([2, 3]), pa.array([1.5, -1.0])], 2)
    assert found.to_pylist() == [3.0, -3.0]
