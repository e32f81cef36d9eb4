"""Guests written in C, built in the test: compiled by zig (PyPI: ziglang), made a component by the text below.

What tools such as wit-bindgen do is done by hand here: `COMPONENT` imports the interfaces query and transaction of
wit/, lowers their functions over a memory and an allocator that the C module imports, and lifts its `run`. The C code
imports functions by the names and signatures that the canonical ABI gives them (tests/components/guest.h).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
CACHE_VERSION = 1

TYPES = """
  (import "zerosys:db/types@0.1.0" (instance $types
    (type $i (record (field "months" s32) (field "days" s32) (field "microseconds" s64)))
    (export "interval" (type $interval (eq $i)))
    (type $v (variant (case "null") (case "boolean" bool) (case "int64" s64) (case "float64" float64)
      (case "text" string) (case "binary" (list u8)) (case "date" s32) (case "time" s64) (case "timestamp" s64)
      (case "timestamptz" s64) (case "interval" $interval) (case "decimal" string) (case "uuid" string)
      (case "json" string) (case "other" string)))
    (export "value" (type $value (eq $v)))
    (type $c (record (field "name" string) (field "data-type" string) (field "nullable" bool)))
    (export "column" (type $column (eq $c)))
    (type $d (variant (case "booleans" (list bool)) (case "int64s" (list s64)) (case "float64s" (list float64))
      (case "texts" (list string)) (case "binaries" (list (list u8))) (case "dates" (list s32))
      (case "times" (list s64)) (case "timestamps" (list s64)) (case "timestamptzs" (list s64))
      (case "intervals" (list $interval)) (case "decimals" (list string)) (case "uuids" (list string))
      (case "jsons" (list string)) (case "others" (list string))))
    (export "column-data" (type $column-data (eq $d)))
    (type $cv (record (field "validity" (option (list u8))) (field "data" $column-data)))
    (export "column-values" (type $column-values (eq $cv)))
    (type $b (record (field "row-count" u32) (field "columns" (list $column-values))))
    (export "record-batch" (type $record-batch (eq $b)))
    (type $e (record (field "sqlstate" string) (field "message" string) (field "hint" (option string))
      (field "position" (option u32)) (field "retryable" bool)))
    (export "error" (type $error (eq $e)))
  ))
  (alias export $types "value" (type $value))
  (alias export $types "column" (type $column))
  (alias export $types "record-batch" (type $record-batch))
  (alias export $types "error" (type $error))
"""
QUERY = """
  (import "zerosys:db/query@0.1.0" (instance $query
    (alias outer 1 $value (type $v)) (export "value" (type $value (eq $v)))
    (alias outer 1 $column (type $c)) (export "column" (type $column (eq $c)))
    (alias outer 1 $record-batch (type $b)) (export "record-batch" (type $record-batch (eq $b)))
    (alias outer 1 $error (type $e)) (export "error" (type $error (eq $e)))
    (export "connection" (type $connection (sub resource)))
    (export "statement" (type $statement (sub resource)))
    (export "cursor" (type $cursor (sub resource)))
    (type $made-connection (result (own $connection) (error $error)))
    (type $made-statement (result (own $statement) (error $error)))
    (type $made-cursor (result (own $cursor) (error $error)))
    (type $count (result u64 (error $error)))
    (type $done (result (error $error)))
    (export "[static]connection.open" (func (param "name" string) (result $made-connection)))
    (export "[method]connection.prepare"
      (func (param "self" (borrow $connection)) (param "sql" string) (result $made-statement)))
    (export "[method]connection.execute" (func (param "self" (borrow $connection)) (param "sql" string)
      (param "parameters" (list $value)) (result $count)))
    (export "[method]connection.query" (func (param "self" (borrow $connection)) (param "sql" string)
      (param "parameters" (list $value)) (result $made-cursor)))
    (export "[method]connection.execute-script"
      (func (param "self" (borrow $connection)) (param "sql" string) (result $done)))
    (export "[method]statement.parameters" (func (param "self" (borrow $statement)) (result (list $column))))
    (export "[method]statement.columns" (func (param "self" (borrow $statement)) (result (list $column))))
    (export "[method]statement.execute"
      (func (param "self" (borrow $statement)) (param "parameters" (list $value)) (result $count)))
    (export "[method]statement.execute-batch"
      (func (param "self" (borrow $statement)) (param "parameters" $record-batch) (result $count)))
    (export "[method]statement.query"
      (func (param "self" (borrow $statement)) (param "parameters" (list $value)) (result $made-cursor)))
    (type $row (result (option (list $value)) (error $error)))
    (export "[method]statement.query-row"
      (func (param "self" (borrow $statement)) (param "parameters" (list $value)) (result $row)))
    (export "[method]cursor.columns" (func (param "self" (borrow $cursor)) (result (list $column))))
    (type $batch (result (option $record-batch) (error $error)))
    (export "[method]cursor.next-batch"
      (func (param "self" (borrow $cursor)) (param "max-rows" u32) (result $batch)))
    (type $rows (result (list (list $value)) (error $error)))
    (export "[method]cursor.next-rows"
      (func (param "self" (borrow $cursor)) (param "max-rows" u32) (result $rows)))
  ))
  (alias export $query "connection" (type $connection))
"""
TRANSACTION = """
  (import "zerosys:db/transaction@0.1.0" (instance $transaction
    (alias outer 1 $error (type $e)) (export "error" (type $error (eq $e)))
    (alias outer 1 $connection (type $c)) (export "connection" (type $connection (eq $c)))
    (type $i (enum "default-level" "read-committed" "repeatable-read" "serializable"))
    (export "isolation-level" (type $isolation-level (eq $i)))
    (type $a (enum "read-write" "read-only"))
    (export "access-mode" (type $access-mode (eq $a)))
    (export "transaction" (type $transaction (sub resource)))
    (type $begun (result (own $transaction) (error $error)))
    (type $done (result (error $error)))
    (export "[static]transaction.begin" (func (param "connection" (borrow $connection))
      (param "isolation" $isolation-level) (param "access" $access-mode) (result $begun)))
    (export "[static]transaction.commit" (func (param "open" (own $transaction)) (result $done)))
    (export "[static]transaction.rollback" (func (param "open" (own $transaction)) (result $done)))
    (export "[method]transaction.savepoint"
      (func (param "self" (borrow $transaction)) (param "name" string) (result $done)))
    (export "[method]transaction.rollback-to"
      (func (param "self" (borrow $transaction)) (param "name" string) (result $done)))
    (export "[method]transaction.release"
      (func (param "self" (borrow $transaction)) (param "name" string) (result $done)))
  ))
"""
KV = """
  (import "zerosys:db/kv@0.1.0" (instance $kv
    (alias outer 1 $error (type $e)) (export "error" (type $error (eq $e)))
    (alias outer 1 $connection (type $c)) (export "connection" (type $connection (eq $c)))
    (type $p (record (field "key" string) (field "value" (list u8)))) (export "key-value" (type $key-value (eq $p)))
    (type $k (record (field "keys" (list string)) (field "cursor" (option string))))
    (export "key-page" (type $key-page (eq $k)))
    (export "bucket" (type $bucket (sub resource)))
    (type $opened (result (own $bucket) (error $error)))
    (type $found (result (option (list u8)) (error $error)))
    (type $all-found (result (list (option (list u8))) (error $error)))
    (type $yes (result bool (error $error)))
    (type $count (result u64 (error $error)))
    (type $sum (result s64 (error $error)))
    (type $page (result $key-page (error $error)))
    (type $done (result (error $error)))
    (export "[static]bucket.open"
      (func (param "connection" (borrow $connection)) (param "name" string) (result $opened)))
    (export "[method]bucket.get" (func (param "self" (borrow $bucket)) (param "key" string) (result $found)))
    (export "[method]bucket.get-many"
      (func (param "self" (borrow $bucket)) (param "keys" (list string)) (result $all-found)))
    (export "[method]bucket.set"
      (func (param "self" (borrow $bucket)) (param "key" string) (param "value" (list u8)) (result $done)))
    (export "[method]bucket.set-many"
      (func (param "self" (borrow $bucket)) (param "pairs" (list $key-value)) (result $done)))
    (export "[method]bucket.set-with-ttl" (func (param "self" (borrow $bucket)) (param "key" string)
      (param "value" (list u8)) (param "ttl-ms" u64) (result $done)))
    (export "[method]bucket.delete" (func (param "self" (borrow $bucket)) (param "key" string) (result $yes)))
    (export "[method]bucket.delete-many"
      (func (param "self" (borrow $bucket)) (param "keys" (list string)) (result $count)))
    (export "[method]bucket.exists" (func (param "self" (borrow $bucket)) (param "key" string) (result $yes)))
    (export "[method]bucket.list-keys" (func (param "self" (borrow $bucket)) (param "prefix" string)
      (param "cursor" (option string)) (param "limit" u32) (result $page)))
    (export "[method]bucket.increment"
      (func (param "self" (borrow $bucket)) (param "key" string) (param "delta" s64) (result $sum)))
    (export "[method]bucket.compare-and-swap" (func (param "self" (borrow $bucket)) (param "key" string)
      (param "expected" (option (list u8))) (param "value" (list u8)) (result $yes)))
  ))
"""
# Gives the memory, and room in it from 1 MB on; what is taken is never given back.
MEMORY = """
  (core module $memory
    (memory (export "memory") 32)
    (global $next (mut i32) (i32.const 1048576))
    (func (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
      (local $at i32) (local $pages i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get $new)))
      (local.set $pages (i32.sub (i32.add (i32.shr_u (global.get $next) (i32.const 16)) (i32.const 1)) (memory.size)))
      (if (i32.gt_s (local.get $pages) (i32.const 0))
        (then (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then unreachable))))
      (local.get $at))
    (func (export "forget") (global.set $next (i32.const 1048576))))
  (core instance $memory (instantiate $memory))
"""
RUN = """
  (type $answer (result string (error string)))
  (func $run (param "arguments" (list string)) (result $answer) (canon lift (core func $main "run")
    (memory (core memory $memory "memory")) (realloc (core func $memory "cabi_realloc"))))
  (export "run" (func $run))
"""
FUNCTIONS = {
    "query": [
        *("[static]connection.open", "[method]connection.prepare", "[method]connection.execute"),
        *("[method]connection.query", "[method]connection.execute-script", "[method]statement.parameters"),
        *("[method]statement.columns", "[method]statement.execute", "[method]statement.execute-batch"),
        *("[method]statement.query", "[method]statement.query-row", "[method]cursor.columns"),
        *("[method]cursor.next-batch", "[method]cursor.next-rows"),
    ],
    "transaction": [
        *("[static]transaction.begin", "[static]transaction.commit", "[static]transaction.rollback"),
        *("[method]transaction.savepoint", "[method]transaction.rollback-to", "[method]transaction.release"),
    ],
    "kv": [
        *("[static]bucket.open", "[method]bucket.get", "[method]bucket.get-many", "[method]bucket.set"),
        *("[method]bucket.set-many", "[method]bucket.set-with-ttl", "[method]bucket.delete"),
        *("[method]bucket.delete-many", "[method]bucket.exists", "[method]bucket.list-keys"),
        *("[method]bucket.increment", "[method]bucket.compare-and-swap"),
    ],
}
RESOURCES = {"query": ("connection", "statement", "cursor"), "transaction": ("transaction",), "kv": ("bucket",)}


def component(core: bytes, exports: str = RUN) -> bytes:
    """A guest around a core module."""
    from wasmtime import wat2wasm

    binary = bytes(wat2wasm(_component_text(exports)))
    start, end = _last_core_module(binary)
    return binary[:start] + b"\x01" + _unsigned(len(core)) + core + binary[end:]


def _last_core_module(binary: bytes) -> tuple[int, int]:
    """Where the section of the last core module lies: the text has an empty one, since it cannot name a binary."""
    at, found = 8, (0, 0)
    while at < len(binary):
        kind, size, shift, place = binary[at], 0, 0, at + 1
        while True:
            size |= (binary[place] & 0x7F) << shift
            shift += 7
            place += 1
            if binary[place - 1] < 0x80:
                break
        if kind == 1:
            found = at, place + size
        at = place + size
    return found


def _unsigned(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _component_text(exports: str) -> str:
    lines = ["(component", TYPES, QUERY, TRANSACTION, KV, MEMORY]
    for interface, names in FUNCTIONS.items():
        lines.append(f"  (core instance ${interface}-imports")
        inner = []
        for number, name in enumerate(names):
            lines.insert(
                -1,
                f'  (core func ${interface}{number} (canon lower (func ${interface} "{name}")\n'
                '    (memory (core memory $memory "memory")) (realloc (core func $memory "cabi_realloc"))))',
            )
            inner.append(f'    (export "{name}" (func ${interface}{number}))')
        for name in RESOURCES[interface]:
            lines.insert(-1, f'  (alias export ${interface} "{name}" (type ${interface}-{name}))')
            lines.insert(-1, f"  (core func $drop-{name} (canon resource.drop ${interface}-{name}))")
            inner.append(f'    (export "[resource-drop]{name}" (func $drop-{name}))')
        lines += [*inner, "  )"]
    lines.append("  (core module $main)")
    imports = "".join(f' (with "zerosys:db/{name}@0.1.0" (instance ${name}-imports))' for name in FUNCTIONS)
    lines.append(f'  (core instance $main (instantiate $main{imports} (with "env" (instance $memory))))')
    return "\n".join([*lines, exports, ")"])


@functools.cache
def cache_folder() -> Path:
    """Where built guests are kept between runs of the tests."""
    folder = Path(tempfile.gettempdir()) / "zerodb-test-guests"
    folder.mkdir(exist_ok=True)
    return folder


def c_guest(source: str, exports: str = RUN) -> bytes:
    """A guest from C, the component's bytes. Skips the test where there is no zig."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("the C compiler is not here: pip install ziglang")
    from importlib.metadata import version

    header = (FOLDER / "guest.h").read_text()
    about = f"{CACHE_VERSION} {version('ziglang')} {Path(__file__).read_text()}"
    digest = hashlib.sha256("\0".join((about, header, source, exports)).encode()).hexdigest()
    built = cache_folder() / f"{digest}.wasm"
    if not built.exists():
        with tempfile.TemporaryDirectory() as folder:
            core = compile_c(source, Path(folder))
        partial = built.with_suffix(f".{digest[:8]}.partial")
        partial.write_bytes(component(core, exports))
        partial.replace(built)
    return built.read_bytes()


def compile_c(source: str, folder: Path) -> bytes:
    code, out = folder / "guest.c", folder / "guest.wasm"
    code.write_text(source)
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding", "-O2", "-g0", "-nostdlib", "-I"]
    command += [str(FOLDER), str(code), "-o", str(out), "-Wl,--no-entry", "-Wl,--import-memory"]
    command += ["-Wl,--initial-memory=2097152", "-Wl,-z,stack-size=65536"]
    subprocess.run(command, check=True, timeout=120)
    return out.read_bytes()
