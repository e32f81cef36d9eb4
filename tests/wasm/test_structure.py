"""Locals, control flow, calls and sections: what the emitter builds around instructions."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest
import wasmtime
from engines import Node, Wasmtime, has_node
from hypothesis import given, settings
from hypothesis import strategies as st

from zerodb_compiler.wasm.module import Function, Module
from zerodb_compiler.wasm.opcodes import signed, unsigned
from zerodb_compiler.wasm.text import to_wat
from zerodb_compiler.wasm.values import F64, I32, I64, V128, load, select

INPUT, OUTPUT = 1024, 4096


def gcd(f: Function, a: I64, b: I64) -> None:
    x, y = f.let(a, "x"), f.let(b, "y")
    with f.loop() as again, f.if_(y != 0):
        rest = f.let(x.remainder_u(y), "rest")
        x.set(y)
        y.set(rest)
        again.continue_()
    f.return_(x)


def collatz(f: Function, a: I64, b: I64) -> None:
    """Steps until 1, at most 50, of a small number; `break_if` out of two blocks and both arms of an if."""
    n, steps = f.let((a & 1023) + 1, "n"), f.let(I64.const(0), "steps")
    turn = f.local(I32, "turn")
    with f.block() as stop, f.count_up(turn, 50) as done:
        stop.break_if(n == 1)
        with f.if_((n & 1) == 0):
            n.set(n >> 1)
        with f.else_():
            n.set(n * 3 + 1)
            with f.if_(n == 40):
                done.break_()
        steps.set(steps + 1)
    f.return_(steps * 100 + turn.to_i64_u())


def operators(f: Function, a: I64, b: I64) -> None:
    """What the operators of Integer and Float build, in one number."""
    total = f.let((a + b) * 3 - (a & b) + (a | b) * 4 + (a ^ b), "total")
    total.set(total + (a << 3) + (b >> 5) + a.shift_right_u(7) + b.rotate_left(9) + a * 8 + b * 1 + (a + 0))
    for test in (a == b, a != b, a < b, a <= b, a > b, a >= b, a.less_u(b), a.less_equal_u(b), a.greater_u(b),
                 a.greater_equal_u(b), a.is_zero()):  # fmt: skip
        total.set(total * 2 + test.to_i64_s())
    total.set(total + a.count_leading_zeros() + a.count_trailing_zeros() + b.population_count())
    low = (a & 0xFFFF).to_f64()
    real = f.let(low * 2.0 + 1.0 - low / 3.0, "real")
    real.set((-real).minimum(5.0).maximum(-1e6) + real.unary("sqrt"))
    for truth in (real == low, real != low, real < low, real <= low, real > low, real >= 2.0):
        total.set(total * 2 + truth.to_i64_u())
    total.set(total + real.as_i64() + total.tee(total + 1))
    total.set(total + real.to_f32().to_f64().as_i64() + total.as_f64().as_i64())
    f.return_(select(a.to_i32() < 0, total, I64.const(0) - total))


def vectors(f: Function, a: I64, b: I64) -> None:
    f.store("i64.store", I32.const(INPUT + 64), a)
    f.store("i64.store", I32.const(INPUT + 72), b)
    x = f.let(load("v128.load", I32.const(INPUT + 64)), "x")
    y = f.let(V128.const(bytes(range(16))), "y")
    f.store("v128.store", I32.const(INPUT + 64), (x & y) | ~x)
    f.drop(x)
    f.return_(load("i64.load", I32.const(INPUT + 64)) ^ load("i64.load", I32.const(INPUT + 72)))


BODIES: tuple[Callable[[Function, I64, I64], None], ...] = (gcd, collatz, operators, vectors)


def build() -> bytes:
    module = Module()
    module.import_memory("zerodb", "memory", 1, 65535)
    refs = []
    for body in BODIES:
        function = module.function(body.__name__, [("a", I64), ("b", I64)], [I64])
        body(function, *function.parameters)
        function.unreachable()
        refs.append(function.ref)
    pair = module.function("pair", [("a", I64)], [I64, F64])
    pair.return_(pair.parameters[0] + 1, F64.const(2.5))
    main = module.function("main", [], [], export=True)
    main.comment("every function once,\nwith the two inputs")
    operands = [main.let(load("i64.load", I32.const(INPUT + 8 * i)), f"input {i}") for i in range(2)]
    for i, ref in enumerate(refs):
        main.comment(f"result of {ref.name}")
        main.store("i64.store", I32.const(OUTPUT + 8 * i), main.call(ref, *operands))
    first, second = main.run(pair.ref, operands[0])
    main.store("i64.store", I32.const(OUTPUT + 8 * len(refs)), first)
    main.store("f64.store", I32.const(OUTPUT + 8 * len(refs) + 8), second)
    return module.encode()


BINARY = build()


@pytest.fixture(scope="module")
def engines() -> Iterator[list[Wasmtime | Node]]:
    made: list[Wasmtime | Node] = [Wasmtime(BINARY, winch=False), Wasmtime(BINARY, winch=True)]
    node = Node() if has_node else None
    if node is not None:
        node.load(BINARY)
        made.append(node)
    yield made
    if node is not None:
        node.close()


def expected_gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a


def expected_collatz(a: int) -> int:
    n, steps = (a & 1023) + 1, 0
    for turn in range(50):
        if n == 1:
            return steps * 100 + turn
        n = n >> 1 if n % 2 == 0 else n * 3 + 1
        if n == 40 and (n - 1) % 3 == 0 and was_odd(n, a, turn):
            return steps * 100 + turn
        steps += 1
    return steps * 100 + 50


def was_odd(_: int, a: int, turn: int) -> bool:
    """Whether 40 was reached by tripling (from 13) and not by halving (from 80)."""
    n = (a & 1023) + 1
    for _step in range(turn):
        n = n >> 1 if n % 2 == 0 else n * 3 + 1
    return n == 13


@settings(max_examples=200, deadline=None)
@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))
def test_programs_agree(engines: list[Wasmtime | Node], a: int, b: int) -> None:
    data = struct.pack("<QQ", a, b)
    results = {engine.run("main", INPUT, data, OUTPUT, 8 * (len(BODIES) + 2)) for engine in engines}
    assert len(results) == 1
    (result,) = results
    assert result is not None
    words = struct.unpack("<5Qd", result)
    assert words[0] == expected_gcd(a, b)
    assert words[1] == expected_collatz(a)
    assert words[4:] == ((a + 1) & (1 << 64) - 1, 2.5)


def test_tail_calls_do_not_grow_the_stack() -> None:
    """Not on Winch, which has none."""
    module = Module()
    module.import_memory("zerodb", "memory", 1, 65535)
    f = module.function("count", [("left", I32), ("sum", I64)], [I64])
    left, total = f.parameters
    f.return_if(left.is_zero(), total)
    f.return_call(f.ref, left - 1, total + left.to_i64_s())
    f.unreachable()
    main = module.function("main", [], [], export=True)
    main.store("i64.store", I32.const(OUTPUT), main.call(f.ref, I32.const(1_000_000), I64.const(0)))
    binary = module.encode()
    engines: list[Wasmtime | Node] = [Wasmtime(binary, winch=False)]
    if has_node:
        node = Node()
        node.load(binary)
        engines.append(node)
    for engine in engines:
        assert engine.run("main", INPUT, b"", OUTPUT, 8) == struct.pack("<q", 500_000_500_000)
        if isinstance(engine, Node):
            engine.close()


def test_imports_and_memory64() -> None:
    module = Module(pointer_bits=64)
    module.import_memory("zerodb", "memory", 1, 65535)
    callback = module.import_function("zerodb", "callback", [I32], [I64])
    f = module.function("f", [("address", I64)], [I64], export=True)
    f.return_(f.call(callback, I32.const(3)) + load("i64.load", f.parameters[0], 8))
    text = to_wat(module.encode())
    assert '(import "zerodb" "memory" (memory i64 1 65535 shared))' in text
    config = wasmtime.Config()
    config.wasm_memory64 = True
    config.wasm_threads = True
    wasmtime.Module(wasmtime.Engine(config), module.encode())
    assert to_wat(bytes(wasmtime.wat2wasm(text))) == text


def test_text_keeps_names_and_comments() -> None:
    text = to_wat(BINARY)
    assert "    ;; every function once, with the two inputs\n    i32.const 1024\n" in text
    assert "(local $input_0.0 i64) (local $input_1.1 i64)" in text
    assert "call $gcd" in text
    again = to_wat(bytes(wasmtime.wat2wasm(text)))
    assert again == "".join(line for line in text.splitlines(keepends=True) if ";; " not in line)


def test_text_of_a_small_function() -> None:
    module = Module()
    f = module.function("absolute difference", [("a", I32), ("a", I32)], [I32], export=True)
    a, b = f.parameters
    with f.if_(a < b):
        f.comment("the other way round")
        f.return_(b - a)
    f.return_(a - b)
    assert (
        to_wat(module.encode())
        == """\
(module
  (type (;0;) (func (param i32 i32) (result i32)))
  (export "absolute difference" (func $absolute_difference))
  (func $absolute_difference (;0;) (type 0) (param $a.0 i32) (param $a.1 i32) (result i32)
    local.get $a.0
    local.get $a.1
    i32.lt_s
    if $if1
      ;; the other way round
      local.get $a.1
      local.get $a.0
      i32.sub
      return
    end
    local.get $a.0
    local.get $a.1
    i32.sub
    return
  )
)
"""
    )


def test_what_is_no_module_of_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="not a core"):
        to_wat(b"hello")
    with pytest.raises(ValueError, match="section"):
        to_wat(bytes(wasmtime.wat2wasm("(module (global i32 (i32.const 1)))")))


@given(st.integers(0, 1 << 70), st.integers(-(1 << 63), (1 << 63) - 1))
def test_leb128(natural: int, integer: int) -> None:
    value = sum((byte & 0x7F) << (7 * i) for i, byte in enumerate(unsigned(natural)))
    assert value == natural
    code = signed(integer)
    value = sum((byte & 0x7F) << (7 * i) for i, byte in enumerate(code))
    assert (value - (1 << (7 * len(code))) if code[-1] & 0x40 else value) == integer
