"""The core modules of a component: heap, query and driver, and how they are joined (see __init__.py).

The driver exports the interface's functions as the canonical ABI calls them:

    describe() -> address of a description
    new(parameters, count) -> handle of a run
    feed(run, input, rows, columns, count) -> address of a result<_, error>
    next(run, most) -> address of a result<option<record-batch>, error>

What a call leaves behind is freed when the next one begins.
"""

from __future__ import annotations

from dataclasses import dataclass

from zerodb_compiler.codegen import abi
from zerodb_compiler.component import layout as at
from zerodb_compiler.component.delivering import next_batch
from zerodb_compiler.component.feeding import feed
from zerodb_compiler.component.heap import heap_module, import_heap
from zerodb_compiler.component.imports import end_intake, give_all
from zerodb_compiler.component.parameter_values import construct
from zerodb_compiler.component.portable import Portable
from zerodb_compiler.component.static import Description, StaticData, describe
from zerodb_compiler.kernels.compiler import kernel
from zerodb_compiler.wasm.module import Function, Module
from zerodb_compiler.wasm.values import I32

QUERY = "query"
NEW_RESOURCE = "new-resource"


@dataclass(frozen=True, slots=True)
class CoreModules:
    """`driver` imports heap.*, query.run and canon.new-resource; `query` imports zerodb.*, which is the heap too."""

    heap: bytes
    query: bytes
    driver: bytes


def core_modules(query: Portable) -> CoreModules:
    data = StaticData(at.STATIC)
    description = describe(data, query)
    return CoreModules(heap_module(data.end), query.program.wasm, _driver(data, description))


def _driver(data: StaticData, description: Description) -> bytes:
    module = Module(wide_arithmetic=False)
    import_heap(module)
    module.import_function(QUERY, abi.RUN, [I32] * 3, [I32])
    new_resource = module.import_function("canon", NEW_RESOURCE, [I32], [I32])
    about = I32.const(description.about)

    f = module.function("describe", [], [I32], export=True)
    f.return_(I32.const(description.described))

    f = _begin(module, "new", ["parameters", "count"])
    run = f.let(f.call(kernel(module, construct), about, *f.parameters), "run")
    _end(module, f)
    f.return_(f.call(new_resource, run))

    f = _begin(module, "feed", ["run", "input", "rows", "columns", "count"])
    result = f.let(f.call(kernel(module, feed), about, *f.parameters), "result")
    _end(module, f)
    f.return_(result)

    f = _begin(module, "next", ["run", "most"])
    f.return_(f.call(kernel(module, next_batch), about, *f.parameters))
    module.data(at.STATIC, data.data)
    return module.encode()


def _begin(module: Module, name: str, parameters: list[str]) -> Function:
    """Opens an exported function, which frees the result of the call before it."""
    f = module.function(name, [(parameter, I32) for parameter in parameters], [I32], export=True)
    f.run(kernel(module, give_all), I32.const(at.OUTGOING_BLOCKS))
    return f


def _end(module: Module, f: Function) -> None:
    """Frees what the caller put into the memory for this call."""
    f.run(kernel(module, end_intake))
