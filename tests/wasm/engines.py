"""The engines that emitted code is compared on: wasmtime's Cranelift, wasmtime's Winch and Node's V8.

Each runs exported functions without parameters over a shared memory: `run(name, address, data, start, size)` writes
the data, calls, and gives the bytes read or None for a trap.
"""

from __future__ import annotations

import base64
import ctypes
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import _ffi as ffi

PAGES = 2


class _SharedMemory(wasmtime.SharedMemory):
    def _as_extern(self) -> Any:  # wasmtime-py 50 hands over a pointer too many
        union = ffi.wasmtime_extern_union(sharedmemory=self.ptr())
        return ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)


class Wasmtime:
    def __init__(self, binary: bytes, winch: bool) -> None:
        config = wasmtime.Config()
        config.wasm_threads = True
        config.shared_memory = True
        config.wasm_wide_arithmetic = True
        config.wasm_tail_call = not winch
        if winch:
            config.wasm_gc = False
            config.wasm_function_references = False
            ffi.wasmtime_config_strategy_set(config.ptr(), 2)
        engine = wasmtime.Engine(config)
        self.memory = _SharedMemory(engine, wasmtime.MemoryType(wasmtime.Limits(PAGES, 65535), shared=True))
        base = ctypes.addressof(self.memory.data_ptr().contents)
        self.bytes = (ctypes.c_ubyte * (PAGES << 16)).from_address(base)
        self.store = wasmtime.Store(engine)
        module = wasmtime.Module(engine, binary)
        self.exports = wasmtime.Instance(self.store, module, [self.memory]).exports(self.store)

    def run(self, name: str, address: int, data: bytes, start: int, size: int) -> bytes | None:
        self.bytes[address : address + len(data)] = data
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        try:
            function(self.store)
        except wasmtime.Trap:
            return None
        return bytes(self.bytes[start : start + size])


class Node:
    """One long-lived process; a new module replaces the old one."""

    def __init__(self) -> None:
        node = shutil.which("node")
        assert node is not None
        self.process = subprocess.Popen(
            [node, str(Path(__file__).parent / "node_server.js")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer
        return answer

    def load(self, binary: bytes) -> None:
        self._ask({"wasm": base64.b64encode(binary).decode(), "pages": PAGES})

    def run(self, name: str, address: int, data: bytes, start: int, size: int) -> bytes | None:
        answer = self._ask({"write": [address, base64.b64encode(data).decode()], "call": name, "read": [start, size]})
        return None if "trap" in answer else base64.b64decode(answer["data"])

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


has_node = shutil.which("node") is not None
