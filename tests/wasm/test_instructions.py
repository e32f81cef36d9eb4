"""Every instruction the emitter knows, on three engines, with values that hypothesis chooses.

One function runs all instructions that cannot trap and stores each result in its own slot; those that can trap have a
function each. That a name has the right opcode is checked by assembling the printed text with another assembler.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest
import wasmtime
from engines import Node, Wasmtime, has_node
from hypothesis import given, settings
from hypothesis import strategies as st

from zerodb_compiler.wasm import opcodes, values
from zerodb_compiler.wasm.module import Function, Module
from zerodb_compiler.wasm.text import to_wat
from zerodb_compiler.wasm.values import BY_KIND, F32, F64, I32, I64, V128, Value, load

INPUT, AREA, OUTPUT = 1024, 2048, 4096
LOADS = {"i32": "i32.load", "i64": "i64.load", "f32": "f32.load", "f64": "f64.load", "v128": "v128.load"}
STORES = {"i32": "i32.store", "i64": "i64.store", "f32": "f32.store", "f64": "f64.store", "v128": "v128.store"}
TRAPS = ("div_s", "div_u", "rem_s", "rem_u")
Case = tuple[str, str, Callable[[Function], Value]]  # name, how to compare ("f32", "f64" or ""), the expression


def operand(kind: str, slot: int) -> Value:
    value: Value = load(LOADS[kind], I32.const(INPUT), 16 * slot)
    return value


def near(mask: int = 15) -> I32:
    """An address in the area, chosen by the third operand."""
    index = operand("i32", 2)
    assert isinstance(index, I32)
    return (index & mask) + AREA


def floats_of(name: str) -> str:
    if name.startswith(("f32x4", "f64x2")):
        return name[:3]
    return name[:3] if name[0] == "f" else ""


def scalar_cases() -> Iterator[Case]:
    for name, opcode in opcodes.BINARY.items():
        kind = name[:3]
        code = operand(kind, 0).code + operand(kind, 1).code + opcode
        yield name, floats_of(name), lambda f, k=kind, c=code: BY_KIND[k](c)
    for name, opcode in opcodes.COMPARE.items():
        code = operand(name[:3], 0).code + operand(name[:3], 1).code + opcode
        yield name, "", lambda f, c=code: I32(c)
    for table in (opcodes.UNARY, opcodes.TEST):
        for name, opcode in table.items():
            kind = "i32" if table is opcodes.TEST else name[:3]
            code = operand(name[:3], 0).code + opcode
            yield name, floats_of(name), lambda f, k=kind, c=code: BY_KIND[k](c)
    for name, (_, source) in opcodes.CONVERT.items():
        # A reinterpretation of a NaN keeps its bits: nothing to forgive there.
        forgiving = "" if "reinterpret" in name else floats_of(name)
        yield name, forgiving, lambda f, n=name, s=source: values.convert(n, operand(s, 0))
    for kind in ("i32", "i64", "f32", "f64", "v128"):
        condition = operand("i32", 2)
        assert isinstance(condition, I32)
        yield f"select {kind}", "", lambda f, k=kind, c=condition: values.select(c, operand(k, 0), operand(k, 1))


def simd_cases() -> Iterator[Case]:
    a, b = operand("v128", 0), operand("v128", 1)
    assert isinstance(a, V128)
    assert isinstance(b, V128)
    shift = operand("i32", 2)
    assert isinstance(shift, I32)
    for name in opcodes.SIMD_BINARY:
        forgiving = "" if name.split(".")[1] in ("eq", "ne", "lt", "gt", "le", "ge") else floats_of(name)
        yield name, forgiving, lambda f, n=name: values.simd(n, a, b)
    for name in opcodes.SIMD_UNARY:
        yield name, floats_of(name), lambda f, n=name: values.simd(n, a)
    for name in opcodes.SIMD_TEST:
        yield name, "", lambda f, n=name: values.simd_test(n, a)
    for name in opcodes.SIMD_SHIFT:
        yield name, "", lambda f, n=name: values.simd_shift(n, a, shift)
    for name, (_, kind) in opcodes.SIMD_SPLAT.items():
        yield name, "", lambda f, n=name, k=kind: values.splat(n, operand(k, 0))
    for table in (opcodes.SIMD_EXTRACT, opcodes.SIMD_REPLACE):
        for name, (_, kind) in table.items():
            for lane in range(int(name.split("x")[1].split(".")[0])):
                if table is opcodes.SIMD_EXTRACT:
                    yield f"{name} {lane}", "", lambda f, n=name, i=lane: values.extract_lane(n, a, i)
                else:
                    yield (
                        f"{name} {lane}",
                        "",
                        lambda f, n=name, i=lane, k=kind: values.replace_lane(n, a, i, operand(k, 1)),
                    )
    lanes = bytes((0, 31, 16, 5, 7, 30, 2, 2, 19, 11, 8, 25, 13, 1, 14, 17))
    yield "shuffle", "", lambda f: values.shuffle(a, b, lanes)
    yield "bit_select", "", lambda f: values.bit_select(a, b, operand("v128", 2))  # type: ignore[arg-type]
    yield "v128 const", "", lambda f: V128.const(lanes)


def memory_cases() -> Iterator[Case]:
    for table in (opcodes.LOAD, opcodes.SIMD_LOAD):
        for name in table:
            yield name, "", lambda f, n=name: load(n, near(), 5)
    for name, (_, align) in opcodes.ATOMIC_LOAD.items():
        yield name, "", lambda f, n=name, a=align: load(n, near(16 - (1 << a)), 8)
    for name, (_, align) in opcodes.ATOMIC_RMW.items():
        kind = name[:3]
        yield name, "", lambda f, n=name, a=align, k=kind: values.atomic_rmw(n, near(16 - (1 << a)), operand(k, 1), 16)
    for name, (_, align) in opcodes.ATOMIC_CMPXCHG.items():
        kind = name[:3]
        yield (
            name,
            "",
            lambda f, n=name, a=align, k=kind: values.compare_exchange(
                n, near(16 - (1 << a)), operand(k, 0), operand(k, 1), 16
            ),
        )


def store_cases() -> Iterator[tuple[str, Callable[[Function, int], None]]]:
    for table in (opcodes.STORE, opcodes.SIMD_STORE, opcodes.ATOMIC_STORE):
        for name in table:
            yield name, lambda f, place, n=name: f.store(n, I32.const(place - 8), operand(n.split(".")[0], 0), 8)

    def copy(f: Function, place: int) -> None:
        f.memory_copy(I32.const(place + 1), near(), I32.const(13))

    def fill(f: Function, place: int) -> None:
        value = operand("i32", 0)
        assert isinstance(value, I32)
        f.memory_fill(I32.const(place + 3), value, I32.const(11))

    yield "memory.copy", copy
    yield "memory.fill", fill


def constants() -> Iterator[Case]:
    for number in (0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192, (1 << 31) - 1, -(1 << 31), (1 << 32) - 1):
        yield f"i32.const {number}", "", lambda f, n=number: I32.const(n)
    for number in (0, -1, 1 << 40, -(1 << 62) - 1, (1 << 63) - 1, -(1 << 63), (1 << 64) - 1):
        yield f"i64.const {number}", "", lambda f, n=number: I64.const(n)
    for real in (0.0, -0.0, 1.5, float("inf"), 1e-310, 3.4e38):
        yield f"f64.const {real}", "", lambda f, n=real: F64.const(n)
        yield f"f32.const {real}", "", lambda f, n=real: F32.const(n)


class Built:
    """The module, where each result is, and how to compare it."""

    def __init__(self) -> None:
        module = Module()
        module.import_memory("zerodb", "memory", 1, 65535)
        self.slots: list[tuple[str, str]] = []
        self.trapping: list[tuple[str, str]] = []
        everything = module.function("everything", [], [], export=True)
        for name, compare, make in [*constants(), *scalar_cases(), *simd_cases(), *memory_cases()]:
            can_trap = name.split(".")[-1] in TRAPS or "i32.trunc_f" in name or "i64.trunc_f" in name
            target = module.function(name, [], [], export=True) if can_trap else everything
            place = OUTPUT if can_trap else OUTPUT + 16 * len(self.slots)
            value = make(target)
            target.store(STORES[value.kind], I32.const(0), value, place)
            (self.trapping if can_trap else self.slots).append((name, compare))
        for name, write in store_cases():
            write(everything, OUTPUT + 16 * len(self.slots))
            self.slots.append((name, ""))
        self.size = 16 * len(self.slots)
        self.binary = module.encode()


BUILT = Built()
ints32 = st.one_of(st.sampled_from([0, 1, -1, 31, 32, 127, -128, 255, 1 << 15, (1 << 31) - 1, -(1 << 31)]),
                   st.integers(-(1 << 31), (1 << 31) - 1))  # fmt: skip
ints64 = st.one_of(st.sampled_from([0, 1, -1, (1 << 63) - 1, -(1 << 63), 1 << 32]),
                   st.integers(-(1 << 63), (1 << 63) - 1))  # fmt: skip
halves = st.sampled_from([0.5, -0.5, 1.5, 2.5, -2.5, 2147483647.5, -2147483648.9, 4294967295.5, 9.3e18, 1.9e19])
singles = st.one_of(st.floats(width=32), halves)
doubles = st.one_of(st.floats(), halves)
slots = st.one_of(
    st.binary(min_size=16, max_size=16),
    st.tuples(ints32, ints32, ints32, ints32).map(lambda v: struct.pack("<4i", *v)),
    st.tuples(ints64, ints64).map(lambda v: struct.pack("<2q", *v)),
    st.tuples(singles, singles, singles, singles).map(lambda v: struct.pack("<4f", *v)),
    st.tuples(doubles, doubles).map(lambda v: struct.pack("<2d", *v)),
)
inputs = st.one_of(
    st.tuples(slots, slots, slots).map(b"".join),
    slots.map(lambda one: one * 3),
)


def settled(data: bytes, kind: str) -> bytes:
    """A result in which every NaN is the same NaN: the standard leaves their bits open."""
    if not kind:
        return data
    form, size = ("<f", 4) if kind == "f32" else ("<d", 8)
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    nan = struct.pack(form, float("nan"))
    numbers = [struct.unpack(form, part)[0] for part in parts]
    return b"".join(part if number == number else nan for part, number in zip(parts, numbers, strict=True))


@pytest.fixture(scope="module")
def engines() -> Iterator[list[Wasmtime | Node]]:
    made: list[Wasmtime | Node] = [Wasmtime(BUILT.binary, winch=False), Wasmtime(BUILT.binary, winch=True)]
    node = Node() if has_node else None
    if node is not None:
        node.load(BUILT.binary)
        made.append(node)
    yield made
    if node is not None:
        node.close()


def test_node_is_there() -> None:
    if not has_node:
        pytest.skip("node is not installed: instructions are compared on wasmtime's two compilers only")


@settings(max_examples=200, deadline=None)
@given(inputs, st.binary(min_size=48, max_size=48))
def test_engines_agree(engines: list[Wasmtime | Node], data: bytes, area: bytes) -> None:
    written = data.ljust(AREA - INPUT, b"\0") + area.ljust(OUTPUT - AREA, b"\0") + bytes(BUILT.size)
    results = [engine.run("everything", INPUT, written, OUTPUT, BUILT.size) for engine in engines]
    first = results[0]
    assert first is not None
    for other in results[1:]:
        assert other is not None
        for i, (name, compare) in enumerate(BUILT.slots):
            place = slice(16 * i, 16 * i + 16)
            assert settled(first[place], compare) == settled(other[place], compare), name


@settings(max_examples=60, deadline=None)
@given(inputs)
def test_engines_trap_alike(engines: list[Wasmtime | Node], data: bytes) -> None:
    for name, _ in BUILT.trapping:
        results = {engine.run(name, INPUT, data, OUTPUT, 8) for engine in engines}
        assert len(results) == 1, name


def test_names_and_opcodes_belong_together() -> None:
    """Another assembler, reading our text, must arrive at the same instructions."""
    text = to_wat(BUILT.binary)
    assert to_wat(bytes(wasmtime.wat2wasm(text))) == text
    for table in (opcodes.BINARY, opcodes.SIMD_BINARY, opcodes.SIMD_UNARY, opcodes.ATOMIC_RMW, opcodes.CONVERT):
        for name in table:
            assert f" {name}" in text, name


M64 = (1 << 64) - 1


@pytest.fixture(scope="module")
def wide_engines() -> Iterator[list[Wasmtime | Node]]:
    """The instructions on wasmtime, and the functions that replace them everywhere."""
    made: list[Wasmtime | Node] = []
    for wide_arithmetic in (True, False):
        module = Module(wide_arithmetic=wide_arithmetic)
        module.import_memory("zerodb", "memory", 1, 65535)
        f = module.function("wide", [], [], export=True)
        operands = [f.let(load("i64.load", I32.const(INPUT + 8 * i))) for i in range(4)]
        for i, (name, (_, arity)) in enumerate(opcodes.WIDE.items()):
            low, high = f.wide(name, *operands[:arity])
            f.store("i64.store", I32.const(OUTPUT + 16 * i), low)
            f.store("i64.store", I32.const(OUTPUT + 16 * i + 8), high)
        binary = module.encode()
        assert to_wat(bytes(wasmtime.wat2wasm(to_wat(binary)))) == to_wat(binary)
        made += [Wasmtime(binary, winch=False), Wasmtime(binary, winch=True)]
    node = Node() if has_node else None
    if node is not None:
        node.load(binary)
        made.append(node)
    yield made
    if node is not None:
        node.close()


@settings(max_examples=200, deadline=None)
@given(st.lists(ints64, min_size=4, max_size=4))
def test_wide_arithmetic(wide_engines: list[Wasmtime | Node], numbers: list[int]) -> None:
    """Against Python's integers; on V8, which has no wide arithmetic, only the replacement."""
    a, b = (numbers[1] << 64) | numbers[0] & M64, (numbers[3] << 64) | numbers[2] & M64
    x, y = numbers[0], numbers[1]
    expected = [a + b, a - b, x * y, (x & M64) * (y & M64)]
    for engine in wide_engines:
        data = engine.run("wide", INPUT, struct.pack("<4q", *numbers), OUTPUT, 64)
        assert data is not None
        results = [int.from_bytes(data[i : i + 16], "little") for i in range(0, 64, 16)]
        assert results == [value & (1 << 128) - 1 for value in expected]
