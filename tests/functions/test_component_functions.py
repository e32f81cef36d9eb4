"""Functions in components, called as SQL calls them: types, NULLs, errors, limits."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from tests.functions.asking import failure
from tests.functions.building import compile_c, component_of, lifted

import zerodb

Body = Callable[..., Any]


def test_rows_with_nulls_are_left_out(body: Body) -> None:
    double = body("f(a bigint)", "bigint", "plain", "double")
    assert double.call([pa.array([None, 1, None, 2])], 4).to_pylist() == [None, 2, None, 4]
    assert double.call([pa.array([None, None], pa.int64())], 2).to_pylist() == [None, None]
    first = body("g(a bigint, b bigint)", "bigint", "plain", "first")
    rows = [pa.array([1, None, 3, None]), pa.array([None, 2, 3, 4])]
    assert first.call(rows, 4).to_pylist() == [None, None, 3, None]


UTC = datetime.UTC
INTERVAL = pa.month_day_nano_interval()


@pytest.mark.parametrize(
    ("type_", "export", "values"),
    [
        ("bigint", "echo-optional-s64", pa.array([1, None, -(1 << 63)])),
        ("integer", "echo-s32", pa.array([1, -5, (1 << 31) - 1], pa.int32())),
        ("smallint", "echo-s16", pa.array([1, -5], pa.int16())),
        ("bigint", "echo-u32", pa.array([1, (1 << 32) - 1])),
        ("smallint", "echo-u8", pa.array([0, 255], pa.int16())),
        ("double precision", "echo-f64", pa.array([1.5, float("inf"), -0.0])),
        ("boolean", "echo-bool", pa.array([True, False, True])),
        ("boolean", "echo-optional-bool", pa.array([True, None, False])),
        ("text", "echo-string", pa.array(["", "ä", "b" * 1000])),
        ("text", "echo-optional-string", pa.array(["", None, "c"])),
        ("varchar(3)", "echo-string", pa.array(["longer"])),
        ("bytea", "echo-bytes", pa.array([b"", b"\0\xff"])),
        ("bytea", "echo-optional-bytes", pa.array([b"", None, b"x"])),
        ("date", "echo-s32", pa.array([datetime.date(1969, 1, 2)])),
        ("time", "echo-optional-s64", pa.array([datetime.time(1, 2, 3, 4), None])),
        ("timestamp", "echo-s64", pa.array([datetime.datetime(2020, 1, 2)], pa.timestamp("us"))),
        ("timestamptz", "echo-s64", pa.array([datetime.datetime(2020, 1, 2, tzinfo=UTC)], pa.timestamp("us", "UTC"))),
        ("numeric", "echo-optional-string", pa.array([Decimal("1.5"), None], pa.decimal128(38, 10))),
        ("uuid", "echo-optional-string", pa.array([uuid.UUID(int=1 << 127).bytes, None], pa.uuid())),
        ("json", "echo-optional-string", pa.array(['{"a": 1}', None])),
    ],
)
def test_types(body: Body, type_: str, export: str, values: pa.Array) -> None:
    found = body(f"f(a {type_})", type_, "plain", export).call([values], len(values))
    storage = values.storage if isinstance(values, pa.ExtensionArray) else values
    found = found.storage if isinstance(found, pa.ExtensionArray) else found
    assert found.to_pylist() == storage.to_pylist()


def test_single_values(body: Body) -> None:
    inc = body("f(a bigint)", "bigint", "plain", "inc")
    assert inc.call([pa.array([1, None, 3])], 3).to_pylist() == [2, None, 4]
    assert inc.call([pa.array(range(5000))], 5000).to_pylist() == list(range(1, 5001))


def test_values_that_do_not_fit(body: Body) -> None:
    narrow = body("f(a bigint)", "bigint", "plain", "echo-u32")
    assert failure(lambda: narrow.call([pa.array([1, None, 1 << 32])], 3)) == (
        "22003",
        "bigint 4294967296 is out of range for u32",
        2,
    )
    time = body("g(a bigint)", "time", "plain", "echo-s64")
    assert failure(lambda: time.call([pa.array([1, -1])], 2)) == ("22008", "the time -1 us is out of range", 1)
    uuids = body("h(a text)", "uuid", "plain", "echo-string")
    assert failure(lambda: uuids.call([pa.array(["{"])], 1))[0] == "22P02"
    zero = body("i(a bytea)", "bytea", "plain", "echo-bytes")
    assert zero.call([pa.array([b"\0"])], 1).to_pylist() == [b"\0"]


def test_errors_name_the_row_among_nulls(body: Body) -> None:
    failing = body("f(a bigint)", "bigint", "plain", "failing")
    assert failure(lambda: failing.call([pa.array([1, None, -2])], 3)) == ("22P02", "it is negative", 2)


def test_a_result_of_another_length(body: Body) -> None:
    short = body("f(a bigint)", "bigint", "plain", "short")
    assert failure(lambda: short.call([pa.array([1, 2])], 2)) == (
        "39000",
        "it gave 0 values for 2 rows",
        None,
    )


C_SOURCE = """
#include <stdint.h>
#include <stddef.h>
#define EXPORT(name) __attribute__((export_name(name)))
extern unsigned char __heap_base;
static uintptr_t next;
EXPORT("cabi_realloc") void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  if (!next) next = (uintptr_t)&__heap_base;
  uintptr_t at = (next + align - 1) & ~(align - 1), end = at + size, have = __builtin_wasm_memory_size(0) << 16;
  if (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) >> 16) == (size_t)-1) __builtin_trap();
  next = end;
  return (void *)at;
}
static struct { void *data; size_t count; } list;
EXPORT("collatz") void *collatz(const int64_t *values, size_t count) {
  int64_t *out = cabi_realloc(0, 0, 8, count * 8);
  for (size_t i = 0; i < count; i++) {
    int64_t steps = 0;
    for (uint64_t v = values[i]; v > 1; v = v & 1 ? 3 * v + 1 : v >> 1) steps++;
    out[i] = steps;
  }
  list.data = out; list.count = count;
  return &list;
}
EXPORT("free") void free_all(void *answer) { next = 0; }
"""
PLACEHOLDER = """
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "collatz") (param i32 i32) (result i32) unreachable)
  (func (export "free") (param i32))"""


def test_c(wasm_db: zerodb.Connection, tmp_path: Any) -> None:
    exports = lifted("collatz", '(param "n" (list s64))', "(list s64)", extra='(post-return (core func $i "free"))')
    (tmp_path / "c.wasm").write_bytes(component_of(compile_c(C_SOURCE), PLACEHOLDER, exports))
    wasm_db.execute(f"create function collatz(n bigint) returns bigint language wasm as '{tmp_path / 'c.wasm'}'")
    view = wasm_db._view()
    found = view.body(view.functions("collatz")[0]).call([pa.array([1, 6, 27])], 3)
    assert found.to_pylist() == [0, 8, 111]
