"""What the kernel compiler's parts share: types of the language, opcodes by name, syntax trees and signatures."""

from __future__ import annotations

import ast
import contextlib
import linecache
import operator
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from zerodb_compiler.kernels.intrinsics import ImportedFunction, Table
from zerodb_compiler.wasm import opcodes
from zerodb_compiler.wasm.values import BY_KIND


@dataclass(frozen=True, slots=True)
class Wide:
    """A wide-arithmetic instruction: what it becomes depends on the module."""

    name: str


Callee = FunctionType | ImportedFunction | Table
Part = bytes | Callee | Wide
Code = tuple[Part, ...]

TYPES = {"i32": "i32", "i64": "i64", "f64": "f64", "f32": "f32", "v128": "v128", "bool": "i32", "ptr": "i32"}
TYPE_CODES = {kind: value.type_code for kind, value in BY_KIND.items()}
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "shl",
    ast.RShift: "shr_s",
}
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
}
FOLD: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
CONVERSIONS = {
    ("i32", "i64"): "i32.wrap_i64",
    ("i32", "f64"): "i32.trunc_sat_f64_s",
    ("i64", "i32"): "i64.extend_i32_s",
    ("i64", "f64"): "i64.trunc_sat_f64_s",
    ("f64", "i32"): "f64.convert_i32_s",
    ("f64", "i64"): "f64.convert_i64_s",
    ("f64", "f32"): "f64.promote_f32",
    ("f32", "f64"): "f32.demote_f64",
    ("f32", "i64"): "f32.convert_i64_s",
    ("f32", "i32"): "f32.convert_i32_s",
}
OPCODES: dict[str, bytes] = {
    **opcodes.COMPARE,
    **opcodes.TEST,
    **opcodes.BINARY,
    **opcodes.UNARY,
    **{name: row[0] for name, row in opcodes.CONVERT.items()},
    **{name: row[0] + b"\x00" for name, row in opcodes.LOAD.items()},
    **{name: row[0] + b"\x00" for name, row in opcodes.STORE.items()},
    **opcodes.SIMD_BINARY,
    **opcodes.SIMD_UNARY,
    **opcodes.SIMD_TEST,
    **{name: row[0] for name, row in opcodes.SIMD_SPLAT.items()},
    **{name: row[0] + b"\x00" for name, row in opcodes.SIMD_LOAD.items()},
    **{name: row[0] + b"\x00" for name, row in opcodes.SIMD_STORE.items()},
    "memory.copy": b"\xfc\x0a\x00\x00",
    "memory.fill": b"\xfc\x0b\x00",
    "memory.size": b"\x3f\x00",
    "memory.grow": b"\x40\x00",
    "select": b"\x1b",
    "unreachable": b"\x00",
}


class KernelError(Exception):
    """A kernel's source is outside the subset: a mistake of ours, shown with its place."""


@dataclass(frozen=True, slots=True)
class Typed:
    """The code of an expression. `results` has one kind, or several for a call that gives a tuple; a literal has the
    kind "literal" and a constant instead of code. `pure` code may run although its value is not wanted."""

    results: tuple[str, ...]
    code: Code = ()
    constant: int | float | None = None
    pure: bool = False
    boolean: bool = False

    @property
    def kind(self) -> str:
        assert len(self.results) == 1, "one value expected"
        return self.results[0]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A kernel in relocatable form."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    results: tuple[str, ...]
    locals: tuple[tuple[str, str], ...]
    body: Code


@dataclass(slots=True)
class Inlined:
    """Where a `return` of a body being inlined puts its values and goes (but for the last statement, which stays)."""

    kinds: tuple[str, ...]
    locals: tuple[int, ...]
    depth: int
    last: ast.stmt


def signature_of(function: FunctionType) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Parameters (name and kind) and results, from the annotations (which are texts, by the future import)."""
    code, annotations = function.__code__, function.__annotations__
    try:
        names = code.co_varnames[: code.co_argcount]
        parameters = tuple((name, TYPES[annotations[name]]) for name in names)
        result: str | None = annotations["return"]
        if result is None or result == "None":
            return parameters, ()
        return parameters, tuple(TYPES[word.strip()] for word in result.removeprefix("tuple[").rstrip("]").split(","))
    except KeyError as error:
        raise KernelError(f"{function.__qualname__}: a type is missing or unknown: {error}") from None


_trees: dict[FunctionType, ast.FunctionDef] = {}
_parsing = threading.Lock()
_TRIES = 100


def _parsed(text: str) -> ast.Module:
    """Python 3.11 counts the depth of all trees that it makes in one place: where threads take turns in the middle of
    that, one gets a SystemError (python/cpython#106905). Another module's thread may still be in the way."""
    with _parsing:
        for _ in range(_TRIES):
            with contextlib.suppress(SystemError):
                return ast.parse(text)
        return ast.parse(text)


def source_of(function: FunctionType) -> ast.FunctionDef:
    """The syntax tree of a kernel, a function at the top level of its file. Only its own lines are parsed: whole files
    would cost the first query of a process milliseconds."""
    tree = _trees.get(function)
    if tree is None:
        lines = linecache.getlines(function.__code__.co_filename, function.__globals__)
        first = function.__code__.co_firstlineno - 1  # a decorator's line, if there is one
        last = first
        while lines[last].startswith("@"):
            last += 1
        last += 1
        while last < len(lines) and lines[last][0] in " \n)":
            last += 1
        module = _parsed("".join(lines[first:last]))
        definition = module.body[0]
        assert isinstance(definition, ast.FunctionDef)
        ast.increment_lineno(module, first)
        tree = _trees[function] = definition
    return tree
