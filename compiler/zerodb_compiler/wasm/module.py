"""Functions and modules: statements, structured control flow and the binary format.

    module = Module()
    memory = module.import_memory("zerodb", "memory", 1, 65535)
    f = module.function("sum", [("address", I32), ("count", I32)], [I64], export=True)
    address, count = f.parameters
    total = f.let(I64.const(0), "total")
    with f.loop() as again:
        total.set(total + load("i64.load32_s", address))
        address.set(address + 4)
        count.set(count - 1)
        again.continue_if(count)
    f.return_(total)
    binary = module.encode()

Imports come before functions, as in the format. The name section names functions and locals; comments made with
`Function.comment` go to the custom section "zerodb.comments" (see encode_comments).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Self, TypeVar

from zerodb_compiler.wasm import opcodes, wide
from zerodb_compiler.wasm.opcodes import unsigned
from zerodb_compiler.wasm.values import BY_KIND, F32, F64, I32, I64, V128, Value

V = TypeVar("V", bound=Value)


@dataclass(frozen=True, slots=True)
class Signature:
    parameters: tuple[type[Value], ...]
    results: tuple[type[Value], ...]

    def encode(self) -> bytes:
        def types(kinds: tuple[type[Value], ...]) -> bytes:
            return unsigned(len(kinds)) + b"".join(kind.type_code for kind in kinds)

        return b"\x60" + types(self.parameters) + types(self.results)


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """Something that can be called: an import, a function being built, or one already done."""

    index: int
    name: str
    signature: Signature


class Label:
    """A block or loop, open within `with`; branches to it are relative to the nesting depth where they stand."""

    __slots__ = ("_function", "_opening", "depth", "is_loop")

    def __init__(self, function: Function, opening: bytes, is_loop: bool) -> None:
        self._function = function
        self._opening = opening
        self.is_loop = is_loop

    def __enter__(self) -> Self:
        function = self._function
        function.body += self._opening
        function.depth = self.depth = function.depth + 1
        return self

    def __exit__(self, *_: object) -> None:
        function = self._function
        function.body += b"\x0b"
        function.depth -= 1

    def _branch(self, opcode: bytes) -> bytes:
        return opcode + unsigned(self._function.depth - self.depth)

    def break_(self) -> None:
        """Leaves a block."""
        assert not self.is_loop
        self._function.emit(self._branch(b"\x0c"))

    def break_if(self, condition: I32) -> None:
        assert not self.is_loop
        self._function.emit(condition.code + self._branch(b"\x0d"))

    def continue_(self) -> None:
        """Starts a loop's next turn."""
        assert self.is_loop
        self._function.emit(self._branch(b"\x0c"))

    def continue_if(self, condition: I32) -> None:
        assert self.is_loop
        self._function.emit(condition.code + self._branch(b"\x0d"))


class _Local:
    """Mixed into a value class: a local variable is the value of reading it, and can be set."""

    __slots__ = ()
    kind: ClassVar[str]
    index: int
    function: Function

    def set(self, value: Any) -> None:
        if not isinstance(value, Value):
            value = type(self).of(value)  # type: ignore[attr-defined]
        assert value.kind == self.kind, f"{value.kind} into {self.kind}"
        self.function.body += value.code + b"\x21" + unsigned(self.index)

    def tee(self, value: Any) -> Any:
        """Sets the local and is the value."""
        assert value.kind == self.kind
        return type(self).plain(value.code + b"\x22" + unsigned(self.index))  # type: ignore[attr-defined]


class LocalI32(I32, _Local):
    __slots__ = ("function", "index")
    plain = I32


class LocalI64(I64, _Local):
    __slots__ = ("function", "index")
    plain = I64


class LocalF32(F32, _Local):
    __slots__ = ("function", "index")
    plain = F32


class LocalF64(F64, _Local):
    __slots__ = ("function", "index")
    plain = F64


class LocalV128(V128, _Local):
    __slots__ = ("function", "index")
    plain = V128


LOCALS: dict[str, Any] = {"i32": LocalI32, "i64": LocalI64, "f32": LocalF32, "f64": LocalF64, "v128": LocalV128}


# Operators on a local give plain values, not locals: Integer._binary builds `type(self)(code)`, so the constructors of
# local classes fall back to their plain class when called with code alone.
def _plain_new(plain: type[Value]) -> Callable[..., Value]:
    def new(cls: type[Value], code: bytes, constant: int | None = None, *_: object) -> Value:
        value = _new(plain)
        value.code = code
        value.constant = constant
        return value

    return new


for _class in LOCALS.values():
    _class.__new__ = _plain_new(_class.plain)


_new = object.__new__


class Function:
    """A function being written; every statement method appends to its body."""

    def __init__(self, ref: FunctionRef, parameter_names: Sequence[str], module: Module) -> None:
        self.ref = ref
        self.module = module
        self.depth = 0
        self.body = bytearray()
        self.comments: list[tuple[int, str]] = []
        self.local_names: list[str] = list(parameter_names)
        self._declared: list[type[Value]] = []
        self.parameters: list[Any] = [self._local(kind, index) for index, kind in enumerate(ref.signature.parameters)]

    # --- locals -------------------------------------------------------------------------------------------------------
    def _local(self, kind: type[Value], index: int) -> Any:
        local = _new(LOCALS[kind.kind])
        local.code = b"\x20" + unsigned(index)
        local.constant = None
        local.index = index
        local.function = self
        return local

    def local(self, kind: type[V], name: str = "") -> Any:
        """A new local, zero at function entry."""
        names = self.local_names
        index = len(names)
        names.append(name)
        self._declared.append(BY_KIND[kind.kind])
        return self._local(kind, index)

    def let(self, value: Value, name: str = "") -> Any:
        """A new local set to the value."""
        local = self.local(type(value), name)
        self.body += value.code + b"\x21" + unsigned(local.index)
        return local

    # --- statements ---------------------------------------------------------------------------------------------------
    def emit(self, code: bytes) -> None:
        self.body += code

    def comment(self, text: str) -> None:
        """Says, for the WAT, what the code from here on is for."""
        self.comments.append((len(self.body), text))

    def store(self, name: str, address: Value, value: Value, offset: int = 0) -> None:
        """A store by its specification name (i32.store8, v128.store, i64.atomic.store, ...)."""
        table = opcodes.STORE.get(name) or opcodes.SIMD_STORE.get(name)
        if table is not None:
            self.body += address.code + value.code + table[0] + b"\x00" + unsigned(offset)
        else:
            opcode, align = opcodes.ATOMIC_STORE[name]
            self.emit(address.code + value.code + opcode + bytes((align,)) + unsigned(offset))

    def memory_copy(self, target: Value, source: Value, count: Value) -> None:
        self.emit(target.code + source.code + count.code + b"\xfc\x0a\x00\x00")

    def memory_fill(self, target: Value, byte: I32 | int, count: Value) -> None:
        self.emit(target.code + I32.of(byte).code + count.code + b"\xfc\x0b\x00")

    def drop(self, value: Value) -> None:
        self.emit(value.code + b"\x1a")

    def return_(self, *values: Value) -> None:
        self.emit(b"".join(value.code for value in values) + b"\x0f")

    def return_if(self, condition: I32, *values: Value) -> None:
        with self.if_(condition):
            self.return_(*values)

    def return_call(self, target: FunctionRef, *arguments: Value) -> None:
        """A tail call (not on Winch)."""
        self.emit(b"".join(argument.code for argument in arguments) + b"\x12" + unsigned(target.index))

    def unreachable(self) -> None:
        self.emit(b"\x00")

    # --- calls --------------------------------------------------------------------------------------------------------
    @staticmethod
    def _call_code(target: FunctionRef, arguments: Sequence[Value]) -> bytes:
        kinds = [argument.kind for argument in arguments]
        assert kinds == [kind.kind for kind in target.signature.parameters], f"{target}: {kinds}"
        return b"".join(argument.code for argument in arguments) + b"\x10" + unsigned(target.index)

    def call(self, target: FunctionRef, *arguments: Value) -> Any:
        """The value of a call with one result. The call happens where the value is used."""
        assert len(target.signature.results) == 1
        return target.signature.results[0](self._call_code(target, arguments))

    def run(self, target: FunctionRef, *arguments: Value) -> tuple[Any, ...]:
        """Calls now; gives a new local per result."""
        self.emit(self._call_code(target, arguments))
        locals_ = tuple(self.local(kind) for kind in target.signature.results)
        for local in reversed(locals_):
            self.emit(b"\x21" + unsigned(local.index))
        return locals_

    def wide(self, name: str, *operands: I64) -> tuple[Any, Any]:
        """A wide-arithmetic instruction now: i64.add128/sub128 (low, high, low, high), i64.mul_wide_s/u (a, b); gives
        (low, high)."""
        assert len(operands) == opcodes.WIDE[name][1]
        self.emit(b"".join(operand.code for operand in operands) + self.module.wide_code(name))
        low, high = self.local(I64), self.local(I64)
        self.emit(b"\x21" + unsigned(high.index) + b"\x21" + unsigned(low.index))
        return low, high

    # --- control flow -------------------------------------------------------------------------------------------------
    def block(self) -> Label:
        """`with f.block() as done:` - `done.break_if(...)` leaves it."""
        return Label(self, b"\x02\x40", False)

    def loop(self) -> Label:
        """`with f.loop() as again:` - `again.continue_if(...)` repeats; falling through ends it."""
        return Label(self, b"\x03\x40", True)

    def if_(self, condition: I32) -> Label:
        return Label(self, condition.code + b"\x04\x40", False)

    def else_(self) -> Label:
        """Directly after an `if_` block: reopens it for the other case."""
        assert self.body[-1] == 0x0B
        del self.body[-1]
        return Label(self, b"\x05", False)

    @contextmanager
    def count_up(self, counter: Any, end: Value | int, step: int = 1) -> Iterator[Label]:
        """Runs the body while counter < end (signed), checked before; gives a label whose break_ ends the loop."""
        with self.block() as done, self.loop() as again:
            done.break_if(counter >= end)
            yield done
            counter.set(counter + step)
            again.continue_()

    # --- binary -------------------------------------------------------------------------------------------------------
    def encode(self) -> bytes:
        assert self.depth == 0, f"{self.ref.name} has an open block"
        runs: list[tuple[int, bytes]] = []
        for kind in self._declared:
            if runs and runs[-1][1] == kind.type_code:
                runs[-1] = (runs[-1][0] + 1, kind.type_code)
            else:
                runs.append((1, kind.type_code))
        head = unsigned(len(runs)) + b"".join(unsigned(count) + code for count, code in runs)
        body = head + bytes(self.body) + b"\x0b"
        return unsigned(len(body)) + body


def _section(number: int, entries: Sequence[bytes]) -> bytes:
    if not entries:
        return b""
    content = unsigned(len(entries)) + b"".join(entries)
    return bytes((number,)) + unsigned(len(content)) + content


def _name(text: str) -> bytes:
    encoded = text.encode()
    return unsigned(len(encoded)) + encoded


@lru_cache(maxsize=1 << 13)
def _local_name(index: int, name: str) -> bytes:
    """An entry of the name section; the same ones come again in every module."""
    return unsigned(index) + _name(f"{name}.{index}")


def _custom(name: str, content: bytes) -> bytes:
    content = _name(name) + content
    return b"\x00" + unsigned(len(content)) + content


@dataclass(slots=True)
class Module:
    """A module under construction. `pointer_bits` 64 makes the imported memory a memory64; without `wide_arithmetic`
    calls of functions (wide.py) stand for those instructions."""

    pointer_bits: int = 32
    wide_arithmetic: bool = True
    _types: dict[Signature, int] = field(default_factory=dict)
    _imports: list[bytes] = field(default_factory=list)
    _imported: list[FunctionRef] = field(default_factory=list)
    _functions: list[Function | None] = field(default_factory=list)
    _refs: list[FunctionRef] = field(default_factory=list)
    _exports: list[bytes] = field(default_factory=list)
    _memories: list[bytes] = field(default_factory=list)
    _data: list[bytes] = field(default_factory=list)
    extensions: dict[Any, Any] = field(default_factory=dict)  # per-module caches of layers above (kernels)

    def _type(self, signature: Signature) -> int:
        return self._types.setdefault(signature, len(self._types))

    def import_memory(self, module: str, name: str, minimum: int, maximum: int | None) -> None:
        """A shared memory, limits in 64 KiB pages; without a maximum one that is not shared."""
        if maximum is None:
            limits = b"\x00" + unsigned(minimum)
        else:
            limits = (b"\x03" if self.pointer_bits == 32 else b"\x07") + unsigned(minimum) + unsigned(maximum)
        self._imports.append(_name(module) + _name(name) + b"\x02" + limits)

    def define_memory(self, name: str, minimum: int) -> None:
        """A memory of the module's own, not shared, exported by that name."""
        assert not self._memories and self.pointer_bits == 32
        self._memories.append(b"\x00" + unsigned(minimum))
        self._exports.append(_name(name) + b"\x02\x00")

    def data(self, address: int, content: bytes) -> None:
        """Bytes that the memory holds from the start."""
        self._data.append(b"\x00\x41" + opcodes.signed(address) + b"\x0b" + unsigned(len(content)) + content)

    def import_function(
        self, module: str, name: str, parameters: Sequence[type[Value]], results: Sequence[type[Value]]
    ) -> FunctionRef:
        assert not self._refs, "imports come first"
        signature = Signature(tuple(parameters), tuple(results))
        self._imports.append(_name(module) + _name(name) + b"\x00" + unsigned(self._type(signature)))
        ref = FunctionRef(len(self._imported), f"{module}.{name}", signature)
        self._imported.append(ref)
        return ref

    def function(
        self,
        name: str,
        parameters: Sequence[tuple[str, type[Value]]],
        results: Sequence[type[Value]],
        *,
        export: bool = False,
    ) -> Function:
        """Declares a function and opens its body."""
        signature = Signature(tuple(kind for _, kind in parameters), tuple(results))
        self._type(signature)
        ref = FunctionRef(len(self._imported) + len(self._refs), name, signature)
        function = Function(ref, [parameter for parameter, _ in parameters], self)
        self._refs.append(ref)
        self._functions.append(function)
        if export:
            self._exports.append(_name(name) + b"\x00" + unsigned(ref.index))
        return function

    def wide_code(self, name: str) -> bytes:
        """The code of a wide-arithmetic instruction, by its full name such as i64.add128."""
        if self.wide_arithmetic:
            return opcodes.WIDE[name][0]
        if name not in self.extensions:
            self.extensions[name] = wide.define(self, name)
        return b"\x10" + unsigned(self.extensions[name].index)

    def encode(self) -> bytes:
        functions = [function for function in self._functions if function is not None]
        sections = (
            _section(1, [signature.encode() for signature in self._types]),
            _section(2, self._imports),
            _section(3, [unsigned(self._types[ref.signature]) for ref in self._refs]),
            _section(5, self._memories),
            _section(7, self._exports),
            _section(10, [function.encode() for function in functions]),
            _section(11, self._data),
            _custom("name", self._encode_names(functions)),
            _custom("zerodb.comments", self._encode_comments(functions)),
        )
        return b"\x00asm\x01\x00\x00\x00" + b"".join(sections)

    def _encode_names(self, functions: Sequence[Function]) -> bytes:
        named = [(ref.index, ref.name) for ref in (*self._imported, *self._refs)]
        function_names = unsigned(len(named)) + b"".join(unsigned(index) + _name(name) for index, name in named)
        maps = []
        for function in functions:
            locals_ = [(i, name) for i, name in enumerate(function.local_names) if name]
            if locals_:
                entries = b"".join([_local_name(i, name) for i, name in locals_])
                maps.append(unsigned(function.ref.index) + unsigned(len(locals_)) + entries)
        local_names = unsigned(len(maps)) + b"".join(maps)
        return b"".join(
            number + unsigned(len(content)) + content
            for number, content in ((b"\x01", function_names), (b"\x02", local_names))
        )

    @staticmethod
    def _encode_comments(functions: Sequence[Function]) -> bytes:
        """Vector of (function index, vector of (offset into the instructions after the local declarations, text))."""
        with_comments = [function for function in functions if function.comments]
        return unsigned(len(with_comments)) + b"".join(
            unsigned(function.ref.index)
            + unsigned(len(function.comments))
            + b"".join(unsigned(offset) + _name(text) for offset, text in function.comments)
            for function in with_comments
        )


__all__ = ["Function", "FunctionRef", "Label", "Module", "Signature"]
