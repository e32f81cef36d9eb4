"""The one function that a module exports, and the functions the host calls by their numbers through it.

    run(worker, morsel, 0) -> pipeline_1(worker, morsel)
    run(worker, morsel, 1) -> pipeline_1_start(worker, morsel)
    ...

The upper half of the entry's number says how many morsels more to run after this one while they end with status 0: a
scan over many chunks is one call, after which the host's thread has to wait for Python's interpreter lock once. And the
last entry, `steps`, runs what the host has listed in memory (abi.STEP_*): a whole query, where no other thread helps.

Why one function: wasmtime compiles a trampoline for each exported function, with Cranelift even where Winch compiles
the rest: 45 us each, more than the function itself takes. A ten-table join has twenty such functions.
"""

from __future__ import annotations

from collections.abc import Sequence

from zerodb_compiler.codegen import abi
from zerodb_compiler.wasm.module import FunctionRef, Module
from zerodb_compiler.wasm.opcodes import signed, unsigned
from zerodb_compiler.wasm.values import I32, load


def define_entries(module: Module, entries: Sequence[FunctionRef]) -> list[FunctionRef]:
    """Adds the exported function, and `steps`; all entries."""
    f = module.function(abi.STEPS, [("worker", I32), ("first", I32)], [I32])
    every = [*entries, f.ref]
    run = define_run(module, every)
    worker, first_step = f.parameters
    step = f.let(first_step, "step")
    query = f.let(load("i32.load", worker, abi.WORKER_QUERY), "query")
    with f.loop() as steps:
        entry = f.let(load("i32.load", step, abi.STEP_ENTRY), "entry")
        f.return_if(entry < 0, I32.const(abi.STATUS_OK))
        first, count = f.let(load("i32.load", step, abi.STEP_FIRST)), f.let(load("i32.load", step, abi.STEP_COUNT))
        place = f.let(load("i32.load", step, abi.STEP_COUNT_AT), "place")
        with f.if_(place):
            count.set(load("i32.load", place))
        with f.block() as ended, f.loop() as stretch:
            ended.break_if(count == 0)
            some = f.let(count, "some")
            with f.if_(count.greater_u(abi.STEP_MORSELS)):
                some.set(I32.const(abi.STEP_MORSELS))
            status = f.let(f.call(run, worker, first, entry + (some - 1) * abi.MOST_ENTRIES), "status")
            with f.if_(status == abi.STATUS_DONE):
                step.set(load("i32.load", step, abi.STEP_DONE))
                steps.continue_()
            f.return_if(status, status)
            f.return_if(load("i32.load", query, abi.QUERY_INTERRUPT), I32.const(abi.STATUS_INTERRUPTED))
            first.set(first + some)
            count.set(count - some)
            stretch.continue_()
        step.set(step + abi.STEP_BYTES)
        steps.continue_()
    f.unreachable()
    return every


def define_run(module: Module, entries: Sequence[FunctionRef]) -> FunctionRef:
    """Adds the exported function that calls the entry of the given number for one morsel or several."""
    f = module.function(abi.RUN, [("worker", I32), ("morsel", I32), ("entry", I32)], [I32], export=True)
    status = b"\x03"
    f.local(I32, "status")
    # A jump table over nested blocks: after the end of block i stands the call of entry i, which leaves its status in
    # the block around them; last the trap of any other entry.
    count = unsigned(len(entries))
    f.emit(b"\x03\x40\x02\x7f" + b"\x02\x40" * (len(entries) + 1))
    f.emit(b"\x20\x02\x41" + signed(abi.MOST_ENTRIES - 1) + b"\x71\x0e" + count)
    f.emit(b"".join(unsigned(place) for place in range(len(entries))) + count)
    for place, entry in enumerate(entries):
        f.emit(b"\x0b\x20\x00\x20\x01\x10" + unsigned(entry.index) + b"\x0c" + unsigned(len(entries) - place))
    f.emit(b"\x0b\x00\x0b\x21" + status)
    # if (status || !(entry >> 16)) return status
    f.emit(b"\x20" + status + b"\x20\x02\x41\x10\x76\x45\x72\x04\x40\x20" + status + b"\x0f\x0b")
    # entry -= 1 << 16; morsel += 1; again
    f.emit(b"\x20\x02\x41" + signed(abi.MOST_ENTRIES) + b"\x6b\x21\x02\x20\x01\x41\x01\x6a\x21\x01\x0c\x00\x0b\x00")
    return f.ref
