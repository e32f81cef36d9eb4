"""The modules that several tests use."""

from __future__ import annotations

from functools import cache

from tests.functions.building import component, core_module, lifted

_EACH = """(local $i i32)
    (block $done (loop $rows (br_if $done (i32.ge_u (local.get $i) (local.get $n)))"""
_NEXT = "(local.set $i (i32.add (local.get $i) (i32.const 1))) (br $rows)))"


def _at(base: str, shift: int) -> str:
    return f"(i32.add (local.get ${base}) (i32.shl (local.get $i) (i32.const {shift})))"


@cache
def core() -> bytes:
    """double(bigint), nullable(bigint): 7 for NULL and NULL for 7, is_even(integer): boolean, shout(text): text with
    'a' made 'A', failing(bigint): fails for the first negative value, forever, trapped, greedy."""
    load, store = f"(i64.load {_at('a', 3)})", f"(i64.store {_at('out', 3)}"
    return core_module(f"""
    (data (i32.const 1024) "negative\\00")
    (func (export "error_message") (result i32) (i32.const 1024))
    (func (export "double") (param $n i32) (param $a i32) (param $out i32)
      {_EACH} {store} (i64.shl {load} (i64.const 1))) {_NEXT})
    (func (export "nullable") (param $n i32) (param $a i32) (param $av i32) (param $out i32) (param $ov i32)
      {_EACH}
        (if (i32.load8_u {_at("av", 0)})
          (then {store} {load}) (i32.store8 {_at("ov", 0)} (i64.ne {load} (i64.const 7))))
          (else {store} (i64.const 7)) (i32.store8 {_at("ov", 0)} (i32.const 1))))
      {_NEXT})
    (func (export "is_even") (param $n i32) (param $a i32) (param $out i32)
      {_EACH} (i32.store8 {_at("out", 0)} (i32.eqz (i32.and (i32.load {_at("a", 2)}) (i32.const 1)))) {_NEXT})
    (func (export "shout") (param $n i32) (param $offsets i32) (param $a i32) (param $out i32) (param $bytes i32)
      (result i32)
      (local $i i32) (local $size i32)
      (local.set $size (i32.load (i32.add (local.get $offsets) (i32.shl (local.get $n) (i32.const 2)))))
      (memory.copy (local.get $out) (local.get $offsets)
        (i32.shl (i32.add (local.get $n) (i32.const 1)) (i32.const 2)))
      (block $done (loop $rows (br_if $done (i32.ge_u (local.get $i) (local.get $size)))
        (if (i32.eq (i32.load8_u {_at("a", 0)}) (i32.const 97)) (then (i32.store8 {_at("a", 0)} (i32.const 65))))
        {_NEXT}
      (i32.store (local.get $bytes) (local.get $a))
      (i32.const 0))
    (func (export "failing") (param $n i32) (param $a i32) (param $out i32) (result i32)
      {_EACH}
        (if (i64.lt_s {load} (i64.const 0)) (then (return (i32.add (local.get $i) (i32.const 1)))))
        {store} {load}) {_NEXT}
      (i32.const 0))
    (func (export "broken_text") (param $n i32) (param i32 i32) (param $out i32) (param $bytes i32)
      (i32.store (local.get $out) (i32.const 5)))
    (func (export "binary_text") (param $n i32) (param i32 i32) (param $out i32) (param $bytes i32)
      (i32.store (local.get $out) (i32.const 0)) (i32.store offset=4 (local.get $out) (i32.const 1))
      (i32.store8 (i32.const 64) (i32.const 255)) (i32.store (local.get $bytes) (i32.const 64)))
    (func (export "forever") (param i32 i32 i32) (loop $again (br $again)))
    (func (export "trapped") (param i32 i32 i32) unreachable)
    (func (export "outside") (param i32 i32 i32) (i32.store (i32.const -8) (i32.const 1)))
    (func $deep (export "deep") (param i32 i32 i32) (call $deep (local.get 0) (local.get 1) (local.get 2)))
    (func (export "greedy") (param i32 i32 i32)
      (loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable)
    (func (export "wide") (param i32 i64 i32))
    """)


_ANSWER = "(i32.store (i32.const 16) {}) (i32.store (i32.const 20) (local.get $n)) (i32.const 16)"


@cache
def plain_component() -> bytes:
    """`double` of a list; `echo-...` of lists of several types; `inc` of one value; and some that fail."""
    load = "(i64.load (i32.add (local.get $a) (i32.shl (local.get $i) (i32.const 3))))"
    functions = f"""
    (func (export "double") (param $a i32) (param $n i32) (result i32)
      (local $i i32) (local $out i32)
      (local.set $out (call $take (i32.shl (local.get $n) (i32.const 3))))
      (block $done (loop $rows (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (i64.store {_at("out", 3)} (i64.shl {load} (i64.const 1))) {_NEXT}
      {_ANSWER.format("(local.get $out)")})
    (func (export "echo") (param $a i32) (param $n i32) (result i32) {_ANSWER.format("(local.get $a)")})
    (func (export "first") (param $a i32) (param $n i32) (param i32 i32) (result i32)
      {_ANSWER.format("(local.get $a)")})
    (func (export "short") (param $a i32) (param $n i32) (result i32)
      (local.set $n (i32.const 0)) {_ANSWER.format("(local.get $a)")})
    (func (export "inc") (param i64) (result i64) (i64.add (local.get 0) (i64.const 1)))
    (func (export "forever") (param i32 i32) (result i32) (loop $again (br $again)) unreachable)
    (func (export "trapped") (param i32 i32) (result i32) unreachable)
    (data (i32.const 1024) "it is negative22P02")
    (func (export "failing") (param $a i32) (param $n i32) (result i32)
      (local $i i32)
      (block $done (loop $rows (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (if (i64.lt_s {load} (i64.const 0)) (then
          (i32.store8 (i32.const 64) (i32.const 1))
          (i32.store (i32.const 68) (i32.const 1024)) (i32.store (i32.const 72) (i32.const 14))
          (i32.store8 (i32.const 76) (i32.const 1))
          (i32.store (i32.const 80) (i32.const 1038)) (i32.store (i32.const 84) (i32.const 5))
          (i32.store8 (i32.const 88) (i32.const 1)) (i32.store (i32.const 92) (local.get $i))
          (return (i32.const 64))))
        {_NEXT}
      (i32.store8 (i32.const 64) (i32.const 0))
      (i32.store (i32.const 68) (local.get $a)) (i32.store (i32.const 72) (local.get $n)) (i32.const 64))
    (func (export "handle") (param i32) (result i32) (local.get 0))
    """

    def echo(name: str, type_: str) -> str:
        return lifted(name, f'(param "a" (list {type_}))', f"(list {type_})", "echo")

    error = """
    (type $function-error (record
      (field "message" string) (field "sqlstate" (option string)) (field "row" (option u32))))
    (export $function-error-named "function-error" (type $function-error))"""
    exports = "".join(
        [
            lifted("double", '(param "a" (list s64))', "(list s64)", extra='(post-return (core func $i "free"))'),
            *(echo(f"echo-{type_}", type_) for type_ in ("s64", "s32", "s16", "u32", "u8", "f64", "bool", "string")),
            echo("echo-bytes", "(list u8)"),
            *(echo(f"echo-optional-{type_}", f"(option {type_})") for type_ in ("s64", "string", "bool")),
            echo("echo-optional-bytes", "(option (list u8))"),
            lifted("first", '(param "a" (list (option s64))) (param "b" (list s64))', "(list (option s64))"),
            lifted("short", '(param "a" (list s64))', "(list s64)"),
            lifted("inc", '(param "a" s64)', "s64"),
            lifted("forever", '(param "a" (list s64))', "(list s64)"),
            lifted("trapped", '(param "a" (list s64))', "(list s64)"),
            error,
            lifted("failing", '(param "a" (list s64))', "(result (list s64) (error $function-error-named))"),
        ]
    )
    return component(functions, exports)
