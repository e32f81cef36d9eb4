"""The component around a compiled query: what `zerodb compile` adds so that any component host can run it.

    core modules 0-2  heap, query and driver (zerodb_compiler/component)
    the rest          types, instances, and the export zerosys:db/compiled-query@0.1.0

The rest is the same for every query. wasmtime's text parser encodes it with empty modules, in whose place the real ones
are put: a section 1 of a component is a core module, and nothing refers to it but by number.

The component imports nothing: it defines, and exports, the types of zerosys:db/types itself. An exported function may
only name types that are exported or imported with it, so the interface is the instance of an inner component that takes
the types and functions as imports and exports them (as wit-component does it).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import wasmtime

from zerodb_compiler.component.driver import CoreModules

PREAMBLE = b"\0asm\x0d\0\x01\0"
CUSTOM_SECTION = 0
CORE_MODULE_SECTION = 1

_CORE = """
  (core module $heap
    (memory (export "memory") 1)
    (func (export "take") (param i32) (result i32) unreachable)
    (func (export "give") (param i32))
    (func (export "take_for") (param i32 i32) (result i32) unreachable)
    (func (export "give_all") (param i32))
    (func (export "allocate") (param i32 i32 i32) (result i32) unreachable)
    (func (export "reallocate") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "end_intake"))
    (func (export "drop_run") (param i32)))
  (core module $query
    (import "zerodb" "memory" (memory 1))
    (import "zerodb" "allocate" (func (param i32 i32 i32) (result i32)))
    (func (export "run") (param i32 i32 i32) (result i32) unreachable))
  (core module $driver
    (import "heap" "memory" (memory 1))
    (import "heap" "take" (func (param i32) (result i32)))
    (import "heap" "give" (func (param i32)))
    (import "heap" "take_for" (func (param i32 i32) (result i32)))
    (import "heap" "give_all" (func (param i32)))
    (import "heap" "end_intake" (func))
    (import "query" "run" (func (param i32 i32 i32) (result i32)))
    (import "canon" "new-resource" (func (param i32) (result i32)))
    (func (export "describe") (result i32) unreachable)
    (func (export "new") (param i32 i32) (result i32) unreachable)
    (func (export "feed") (param i32 i32 i32 i32 i32) (result i32) unreachable)
    (func (export "next") (param i32 i32) (result i32) unreachable))
  (core instance $heap (instantiate $heap))
  (core instance $query (instantiate $query (with "zerodb" (instance $heap))))
  (type $run (resource (rep i32) (dtor (core func $heap "drop_run"))))
  (core func $new-resource (canon resource.new $run))
  (core instance $canon (export "new-resource" (func $new-resource)))
  (core instance $driver (instantiate $driver
    (with "heap" (instance $heap)) (with "query" (instance $query)) (with "canon" (instance $canon))))
  (alias core export $heap "memory" (core memory $memory))
  (alias core export $heap "reallocate" (core func $reallocate))
"""

# As in wit/types.wit; each may name those before it.
_TYPES = {
    "interval": """(record (field "months" s32) (field "days" s32) (field "microseconds" s64))""",
    "value": """(variant (case "null") (case "boolean" bool) (case "int64" s64) (case "float64" f64)
      (case "text" string) (case "binary" (list u8)) (case "date" s32) (case "time" s64) (case "timestamp" s64)
      (case "timestamptz" s64) (case "interval" $interval) (case "decimal" string) (case "uuid" string)
      (case "json" string) (case "other" string))""",
    "column": """(record (field "name" string) (field "data-type" string) (field "nullable" bool))""",
    "column-data": """(variant (case "booleans" (list bool)) (case "int64s" (list s64)) (case "float64s" (list f64))
      (case "texts" (list string)) (case "binaries" (list (list u8))) (case "dates" (list s32))
      (case "times" (list s64)) (case "timestamps" (list s64)) (case "timestamptzs" (list s64))
      (case "intervals" (list $interval)) (case "decimals" (list string)) (case "uuids" (list string))
      (case "jsons" (list string)) (case "others" (list string)))""",
    "column-values": """(record (field "validity" (option (list u8))) (field "data" $column-data))""",
    "record-batch": """(record (field "row-count" u32) (field "columns" (list $column-values)))""",
    "error": """(record (field "sqlstate" string) (field "message" string) (field "hint" (option string))
      (field "position" (option u32)) (field "retryable" bool))""",
}
_USED = ("value", "column", "record-batch", "error")  # by the interface compiled-query

# As in wit/compiled-query.wit.
_INPUT = '(record (field "name" string) (field "columns" (list $column)))'
_DESCRIPTION = (
    '(record (field "sql" string) (field "parameters" (list $column)) (field "inputs" (list $input))'
    ' (field "columns" (list $column)))'
)
_FUNCTIONS = {
    "describe": ("describe", "(func (result $description))"),
    "new": ("[constructor]run", '(func (param "parameters" (list $value)) (result (own $run)))'),
    "feed": (
        "[method]run.feed",
        '(func (param "self" (borrow $run)) (param "input" u32) (param "rows" $record-batch)'
        " (result (result (error $error))))",
    ),
    "next": (
        "[method]run.next-batch",
        '(func (param "self" (borrow $run)) (param "max-rows" u32)'
        " (result (result (option $record-batch) (error $error))))",
    ),
}


def _types() -> Iterator[str]:
    """The instance of zerosys:db/types, and its types by name."""
    yield "(component $types-of"
    for name, form in _TYPES.items():
        yield f"""(type ${name}' {form}) (export ${name} "{name}" (type ${name}'))"""
    yield ") (instance $types' (instantiate $types-of))"
    yield """(export $types "zerosys:db/types@0.1.0" (instance $types'))"""
    for name in _TYPES:
        yield f'(alias export $types "{name}" (type ${name}))'


def _interface() -> Iterator[str]:
    """The instance of zerosys:db/compiled-query, over the lifted functions."""
    yield f"(type $input {_INPUT}) (type $description {_DESCRIPTION})"
    for name, (_, type_) in _FUNCTIONS.items():
        yield f"""(type ${name}' {type_}) (func ${name} (type ${name}') (canon lift (core func $driver "{name}")"""
        yield "(memory (core memory $memory)) (realloc (core func $reallocate))))"
    yield "(component $interface"
    for name, form in (*_TYPES.items(), ("input", _INPUT), ("description", _DESCRIPTION)):
        yield f"""(type ${name}' {form}) (import "{name}" (type ${name} (eq ${name}')))"""
    yield '(import "run" (type $run (sub resource)))'
    for name, (_, type_) in _FUNCTIONS.items():
        yield f'(import "the-{name}" {type_.replace("(func", f"(func ${name}", 1)})'
    for name in _USED:
        yield f'(export "{name}" (type ${name}))'
    yield f"""(type $input-out' {_INPUT}) (export $input-out "input" (type $input-out'))"""
    yield f"(type $description-out' {_out(_DESCRIPTION)})"
    yield """(export $description-out "description" (type $description-out')) (export $run-out "run" (type $run))"""
    for name, (exported, type_) in _FUNCTIONS.items():
        yield f'(export "{exported}" (func ${name}) {_out(type_)})'
    yield ") (instance $interface (instantiate $interface"
    for name in (*_TYPES, "input", "description", "run"):
        yield f'(with "{name}" (type ${name}))'
    for name in _FUNCTIONS:
        yield f'(with "the-{name}" (func ${name}))'
    yield ')) (export "zerosys:db/compiled-query@0.1.0" (instance $interface))'


def _out(type_: str) -> str:
    """A type in terms of those that the interface itself exports."""
    for name in ("input", "description", "run"):
        type_ = type_.replace(f"${name})", f"${name}-out)")
    return type_


@cache
def _skeleton() -> tuple[bytes, ...]:
    """The sections around the core modules: what comes before the first, between the first and second, and so on."""
    text = "\n".join(["(component", _CORE, *_types(), *_interface(), ")"])
    data = bytes(wasmtime.wat2wasm(text))
    parts = [bytearray()]
    for kind, section in sections(data):
        if kind == CORE_MODULE_SECTION:
            parts.append(bytearray())
        elif kind != CUSTOM_SECTION:
            parts[-1] += section
    return tuple(bytes(part) for part in parts)


def component_sections(modules: CoreModules) -> bytes:
    """The sections of the component, without the preamble."""
    parts = _skeleton()
    cores = (modules.heap, modules.query, modules.driver)
    assert len(parts) == len(cores) + 1 and not parts[0]
    data = b""
    for core, part in zip(cores, parts[1:], strict=True):
        data += section(CORE_MODULE_SECTION, core) + part
    return data


def section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + unsigned(len(body)) + body


def sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, whole section) of a component."""
    at = len(PREAMBLE)
    while at < len(data):
        size, begin = leb(data, at + 1)
        yield data[at], data[at : begin + size]
        at = begin + size


def unsigned(value: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def leb(data: bytes, at: int) -> tuple[int, int]:
    """(value, where it ends) of a LEB128 number."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift > 35:
            raise ValueError("a length is too long")
