"""From typed Python to WebAssembly: the kernel compiler.

A kernel is a Python function with annotated parameters that uses the vocabulary of intrinsics.py. `kernel(module, f)`
gives it as a function of a module under construction, together with what it calls; each is added once a module.

    source ──ast──> FunctionDef ──translate (once a process)──> Compiled ──link (once a module)──> Function

`Compiled` is relocatable: encoded instructions with references to callees in between, so linking is a join of bytes.

The subset: names, assignments (also augmented, and unpacking of a call's or a tuple's values), if, while, `for i in
range(...)`, break, continue, return, assert (ignored), conditional expressions, and/or/not, calls of kernels and
intrinsics, integers and floats, constants of the module (also dotted ones) and `Table`s. A local's type is the type of
its first value; an integer literal takes the type of what it meets, and is i32 on its own. Truth values are i32.
`x: i64 = 0` gives a literal a type. Limits: wasm32 addresses; no closures, default arguments or keyword arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from zerodb_compiler.kernels.intrinsics import ImportedFunction, Table
from zerodb_compiler.kernels.language import Compiled, KernelError, Wide
from zerodb_compiler.kernels.statements import Translator
from zerodb_compiler.wasm.module import FunctionRef, Module
from zerodb_compiler.wasm.opcodes import signed, unsigned
from zerodb_compiler.wasm.values import BY_KIND, I32

_compiled: dict[FunctionType, Compiled] = {}


def compile_kernel(function: FunctionType) -> Compiled:
    """The relocatable form of a kernel; KernelError if it is outside the subset."""
    done = _compiled.get(function)
    if done is None:
        done = _compiled[function] = Translator(function).translate()
    return done


def kernel(module: Module, function: Callable[..., Any] | Table) -> FunctionRef:
    """The kernel as a function of `module`; it and its callees are added at first use."""
    known: FunctionRef | None = module.extensions.get(function)
    if known is not None:
        return known
    if isinstance(function, Table):
        return _link_table(module, function)
    if isinstance(function, ImportedFunction):
        for ref in module._imported:
            if ref.name == function.name:
                module.extensions[function] = ref
                return ref
        raise KernelError(f"the module does not import {function.name}")
    assert isinstance(function, FunctionType)
    compiled = compile_kernel(function)
    target = module.function(
        compiled.name,
        [(name, BY_KIND[kind]) for name, kind in compiled.parameters],
        [BY_KIND[kind] for kind in compiled.results],
    )
    module.extensions[function] = target.ref
    for name, kind in compiled.locals:
        target.local(BY_KIND[kind], name)
    for part in compiled.body:
        match part:
            case bytes():
                target.emit(part)
            case Wide(name=name):
                target.emit(module.wide_code(name))
            case callee:
                target.emit(b"\x10" + unsigned(kernel(module, callee).index))
    return target.ref


def _link_table(module: Module, table: Table) -> FunctionRef:
    """A table as a function: an index picks one of as many constants by a jump table."""
    kind = BY_KIND[table.kind]
    target = module.function(f"{table.name}[]", [("index", I32)], [kind])
    module.extensions[table] = target.ref
    distinct = list(dict.fromkeys(table.values))
    places = {value: place for place, value in enumerate(distinct)}
    code = bytearray(b"\x02\x40" * (len(distinct) + 1))
    code += b"\x20\x00\x0e" + unsigned(len(table.values))
    code += b"".join(unsigned(places[value]) for value in table.values) + unsigned(len(distinct))
    opcode, half = (b"\x41", 1 << 31) if table.kind == "i32" else (b"\x42", 1 << 63)
    for value in distinct:
        code += b"\x0b" + opcode + signed(value - 2 * half if value >= half else value) + b"\x0f"
    code += b"\x0b\x00"
    target.emit(bytes(code))
    return target.ref
