"""Modules for tests, from sources: WAT, and C by ziglang's clang where it is installed.

A component is made of WAT text around a core module. For one made of C the text has a placeholder with the same
exports, whose section is replaced by the compiled module: WAT cannot hold a binary module within a component.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import wasmtime

ALLOCATOR = """
    (global $next (mut i32) (i32.const 65536))
    (func $take (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
        (then (if (i32.eq (i32.const -1)
            (memory.grow (i32.add (i32.shr_u (local.get $size) (i32.const 16)) (i32.const 1)))) (then unreachable))))
      (local.get $at))
"""


def core_module(functions: str, memory: str = "2") -> bytes:
    """A core module with an allocator for LANGUAGE wasm_core."""
    text = f"""(module (memory (export "memory") {memory}) {ALLOCATOR}
      (func (export "alloc") (param i32) (result i32) (call $take (local.get 0))) {functions})"""
    return bytes(wasmtime.wat2wasm(text))


def lifted(name: str, parameters: str, result: str, core: str | None = None, extra: str = "") -> str:
    """An export of a component; `parameters` as in `(param "a" (list s64))`."""
    inner = name.replace("-", "_")
    return f"""
      (func ${inner} {parameters} (result {result})
        (canon lift (core func $i "{core or name}") (memory (core memory $i "memory"))
          (realloc (core func $i "cabi_realloc")) {extra}))
      (export "{name}" (func ${inner}))"""


def component(functions: str, exports: str, memory: str = "2") -> bytes:
    """A component over a core module with an allocator; `free` is a post-return that starts it again."""
    text = f"""(component
      (core module $m (memory (export "memory") {memory}) {ALLOCATOR}
        (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (call $take (local.get 3)))
        (func (export "free") (param i32) (global.set $next (i32.const 65536)))
        {functions})
      (core instance $i (instantiate $m))
      {exports})"""
    return bytes(wasmtime.wat2wasm(text))


# --- C ----------------------------------------------------------------------------------------------------------------


def compile_c(source: str, *flags: str) -> bytes:
    """A core module of C; skips the test where there is no ziglang. Cached by source and version."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("needs ziglang (pip install ziglang)")
    version = importlib.metadata.version("ziglang")
    digest = hashlib.sha256(repr((source, flags, version)).encode()).hexdigest()[:24]
    cached = Path(tempfile.gettempdir()) / "zerodb-tests" / f"{digest}.wasm"
    if not cached.exists():
        cached.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            file, out = Path(folder) / "source.c", Path(folder) / "out.wasm"
            file.write_text(source)
            command = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding", "-O2", "-nostdlib"]
            command += ["-Wl,--no-entry", "-Wl,--export-memory", *flags, str(file), "-o", str(out)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr
            out.replace(cached) if out.stat().st_dev == cached.parent.stat().st_dev else cached.write_bytes(
                out.read_bytes()
            )
    return cached.read_bytes()


def component_of(core: bytes, placeholder: str, exports: str) -> bytes:
    """A component over a compiled core module. `placeholder` is the inside of a module with the same exports."""
    text = f"(component (core module $m {placeholder}) (core instance $i (instantiate $m)) {exports})"
    made = bytes(wasmtime.wat2wasm(text))
    assert made[8] == 1, "the core module comes first"
    size, begin = _leb(made, 9)
    return made[:9] + _leb_of(len(core)) + core + made[begin + size :]


def _leb(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _leb_of(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(found) + bytes([value])
