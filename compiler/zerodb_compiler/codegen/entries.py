"""The one function that a module exports, and the functions the host calls by their numbers through it.

    run(worker, morsel, 0) -> pipeline_1(worker, morsel)
    run(worker, morsel, 1) -> pipeline_1_start(worker, morsel)
    ...

Why: wasmtime compiles a trampoline for each exported function, with Cranelift even where Winch compiles the rest: 45 us
each, more than the function itself takes. A ten-table join has twenty such functions.
"""

from __future__ import annotations

from collections.abc import Sequence

from zerodb_compiler.codegen import abi
from zerodb_compiler.wasm.module import FunctionRef, Module
from zerodb_compiler.wasm.opcodes import unsigned
from zerodb_compiler.wasm.values import I32


def define_run(module: Module, entries: Sequence[FunctionRef]) -> None:
    """Adds the exported function that calls the entry of the given number."""
    f = module.function(abi.RUN, [("worker", I32), ("morsel", I32), ("entry", I32)], [I32], export=True)
    # A jump table over nested blocks: after the end of block i stands the call of entry i, last the trap of any other.
    count = unsigned(len(entries))
    f.emit(b"\x02\x40" * (len(entries) + 1))
    f.emit(b"\x20\x02\x0e" + count + b"".join(unsigned(place) for place in range(len(entries))) + count)
    for entry in entries:
        f.emit(b"\x0b\x20\x00\x20\x01\x10" + unsigned(entry.index) + b"\x0f")
    f.emit(b"\x0b\x00")
