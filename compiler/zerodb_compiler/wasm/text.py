"""From a binary of our emitter back to WAT: readable, and accepted by any WAT parser.

Functions, locals and labels have names, blocks are indented, and the comments that code generation left in the custom
section "zerodb.comments" stand before the instructions they speak of. Only what module.py emits is understood: types,
imports, functions, exports, code, names and comments; anything else is a ValueError. Alignment hints are left out, so
that assembling the text gives the same code but not always the same bytes.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field

from zerodb_compiler.wasm import opcodes

_TYPES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128", 0x70: "funcref"}
_KINDS = ("func", "table", "memory", "global")
_PLAIN_EXTRA = {
    b"\x00": "unreachable",
    b"\x01": "nop",
    b"\x0f": "return",
    b"\x1a": "drop",
    b"\x1b": "select",
    b"\xfc\x0a\x00\x00": "memory.copy",
    b"\xfc\x0b\x00": "memory.fill",
    b"\xfd\x52": "v128.bitselect",
    b"\xfe\x03\x00": "atomic.fence",
}
_PLAIN: dict[bytes, str] = {
    **_PLAIN_EXTRA,
    **{
        code: name
        for table in (
            opcodes.COMPARE,
            opcodes.TEST,
            opcodes.BINARY,
            opcodes.UNARY,
            opcodes.SIMD_BINARY,
            opcodes.SIMD_UNARY,
            opcodes.SIMD_TEST,
            opcodes.SIMD_SHIFT,
        )
        for name, code in table.items()
    },
    **{row[0]: name for table in (opcodes.CONVERT, opcodes.WIDE, opcodes.SIMD_SPLAT) for name, row in table.items()},
}
_MEMORY: dict[bytes, str] = {
    row[0]: name
    for table in (
        opcodes.LOAD,
        opcodes.STORE,
        opcodes.SIMD_LOAD,
        opcodes.SIMD_STORE,
        opcodes.ATOMIC_LOAD,
        opcodes.ATOMIC_STORE,
        opcodes.ATOMIC_RMW,
        opcodes.ATOMIC_CMPXCHG,
    )
    for name, row in table.items()
}
_LANE: dict[bytes, str] = {
    row[0]: name for table in (opcodes.SIMD_EXTRACT, opcodes.SIMD_REPLACE) for name, row in table.items()
}
_MAX_INDENT = 20  # the blocks of a jump table are hundreds deep
_BRANCHES = {0x0C: "br", 0x0D: "br_if"}
_LOCALS = {0x20: "local.get", 0x21: "local.set", 0x22: "local.tee"}
_CALLS = {0x10: "call", 0x12: "return_call"}
_OPENERS = {0x02: "block", 0x03: "loop", 0x04: "if"}


class _Reader:
    """A cursor over a part of the binary."""

    __slots__ = ("data", "end", "place")

    def __init__(self, data: bytes, place: int = 0, end: int | None = None) -> None:
        self.data = data
        self.place = place
        self.end = len(data) if end is None else end

    def byte(self) -> int:
        self.place += 1
        return self.data[self.place - 1]

    def take(self, count: int) -> bytes:
        self.place += count
        return self.data[self.place - count : self.place]

    def unsigned(self) -> int:
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return result

    def signed(self) -> int:
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return result - (1 << shift) if byte & 0x40 else result

    def name(self) -> str:
        return self.take(self.unsigned()).decode()

    def kinds(self) -> tuple[str, ...]:
        return tuple(_TYPES[self.byte()] for _ in range(self.unsigned()))


@dataclass(slots=True)
class _Binary:
    """The sections, decoded as far as printing needs."""

    types: list[tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)
    imports: list[tuple[str, str, str, int, str]] = field(default_factory=list)  # module, name, kind, type, memory text
    functions: list[int] = field(default_factory=list)  # type index of each defined function
    exports: list[tuple[str, str, int]] = field(default_factory=list)
    bodies: list[_Reader] = field(default_factory=list)
    function_names: dict[int, str] = field(default_factory=dict)
    local_names: dict[int, dict[int, str]] = field(default_factory=dict)
    comments: dict[int, list[tuple[int, str]]] = field(default_factory=dict)

    @property
    def imported(self) -> list[int]:
        """Type indexes of the imported functions."""
        return [entry[3] for entry in self.imports if entry[2] == "func"]


def to_wat(module: bytes) -> str:
    """The module as WebAssembly text."""
    binary = _read(module)
    return "\n".join(_Printer(binary).lines()) + "\n"


# --- reading ----------------------------------------------------------------------------------------------------------
def _read(module: bytes) -> _Binary:
    if module[:8] != b"\x00asm\x01\x00\x00\x00":
        raise ValueError("not a core WebAssembly module")
    binary = _Binary()
    reader = _Reader(module, 8)
    while reader.place < reader.end:
        number, size = reader.byte(), reader.unsigned()
        section = _Reader(module, reader.place, reader.place + size)
        reader.place += size
        match number:
            case 0:
                _read_custom(section, binary)
            case 1:
                for _ in range(section.unsigned()):
                    if section.byte() != 0x60:
                        raise ValueError("a type that is no function")
                    binary.types.append((section.kinds(), section.kinds()))
            case 2:
                binary.imports = [_read_import(section) for _ in range(section.unsigned())]
            case 3:
                binary.functions = [section.unsigned() for _ in range(section.unsigned())]
            case 7:
                binary.exports = [
                    (section.name(), _KINDS[section.byte()], section.unsigned()) for _ in range(section.unsigned())
                ]
            case 10:
                for _ in range(section.unsigned()):
                    length = section.unsigned()
                    binary.bodies.append(_Reader(module, section.place, section.place + length))
                    section.place += length
            case _:
                raise ValueError(f"section {number} is not one of our emitter's")
    return binary


def _read_import(section: _Reader) -> tuple[str, str, str, int, str]:
    module, name, kind = section.name(), section.name(), _KINDS[section.byte()]
    if kind == "func":
        return module, name, kind, section.unsigned(), ""
    if kind != "memory":
        raise ValueError(f"an import of a {kind}")
    flags = section.byte()
    limits = [str(section.unsigned()) for _ in range(1 + (flags & 1))]
    parts = (["i64"] if flags & 4 else []) + limits + (["shared"] if flags & 2 else [])
    return module, name, kind, 0, " ".join(parts)


def _read_custom(section: _Reader, binary: _Binary) -> None:
    name = section.name()
    if name == "zerodb.comments":
        for _ in range(section.unsigned()):
            index = section.unsigned()
            binary.comments[index] = [(section.unsigned(), section.name()) for _ in range(section.unsigned())]
    elif name == "name":
        while section.place < section.end:
            part, size = section.byte(), section.unsigned()
            following = section.place + size
            if part == 1:
                binary.function_names = {section.unsigned(): section.name() for _ in range(section.unsigned())}
            elif part == 2:
                for _ in range(section.unsigned()):
                    index = section.unsigned()
                    binary.local_names[index] = {section.unsigned(): section.name() for _ in range(section.unsigned())}
            section.place = following


# --- printing ---------------------------------------------------------------------------------------------------------
def _identifier(name: str, taken: set[str]) -> str:
    """A WAT identifier of this name, unlike all those taken."""
    base = "$" + ("".join(c if c.isascii() and (c.isalnum() or c in "_.+-*/:<>=?@") else "_" for c in name) or "_")
    candidate, count = base, 1
    while candidate in taken:
        count += 1
        candidate = f"{base}~{count}"
    taken.add(candidate)
    return candidate


def _quoted(text: str) -> str:
    safe = (chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\{b:02x}" for b in text.encode())
    return '"' + "".join(safe) + '"'


def _clause(word: str, kinds: tuple[str, ...]) -> str:
    return f" ({word} {' '.join(kinds)})" if kinds else ""


class _Printer:
    def __init__(self, binary: _Binary) -> None:
        self.binary = binary
        taken: set[str] = set()
        count = len(binary.imported) + len(binary.functions)
        self.functions = [_identifier(binary.function_names.get(i, f"f{i}"), taken) for i in range(count)]

    def lines(self) -> list[str]:
        binary = self.binary
        out = ["(module"]
        for index, (parameters, results) in enumerate(binary.types):
            out.append(f"  (type (;{index};) (func{_clause('param', parameters)}{_clause('result', results)}))")
        place = 0
        for module, name, kind, type_index, memory in binary.imports:
            what = f"(memory {memory})"
            if kind == "func":
                what = f"(func {self.functions[place]} (type {type_index}))"
                place += 1
            out.append(f"  (import {_quoted(module)} {_quoted(name)} {what})")
        for name, kind, index in binary.exports:
            target = self.functions[index] if kind == "func" else str(index)
            out.append(f"  (export {_quoted(name)} ({kind} {target}))")
        for offset, body in enumerate(binary.bodies):
            out += self._function(len(binary.imported) + offset, binary.functions[offset], body)
        out.append(")")
        return out

    def _function(self, index: int, type_index: int, body: _Reader) -> list[str]:
        parameters, results = self.binary.types[type_index]
        declared = [kind for _ in range(body.unsigned()) for kind in [body.unsigned() * [_TYPES[body.byte()]]]]
        kinds = [kind for run in declared for kind in run]
        names = self.binary.local_names.get(index, {})
        taken: set[str] = set()
        known = [_identifier(names.get(i, f"l{i}"), taken) for i in range(len(parameters) + len(kinds))]
        head = f"  (func {self.functions[index]} (;{index};) (type {type_index})"
        head += "".join(f" (param {known[i]} {kind})" for i, kind in enumerate(parameters))
        out = [head + _clause("result", results)]
        line = ""
        for i, kind in enumerate(kinds, len(parameters)):
            entry = f"(local {known[i]} {kind})"
            if line and len(line) + len(entry) > 110:
                out.append("    " + line)
                line = ""
            line += (" " if line else "") + entry
        if line:
            out.append("    " + line)
        return out + self._code(index, body, known) + ["  )"]

    def _code(self, index: int, body: _Reader, local_names: list[str]) -> list[str]:
        out: list[str] = []
        start = body.place
        comments = self.binary.comments.get(index, [])
        next_comment = 0
        labels: list[str] = []
        label_count = 0

        def indent(extra: int) -> str:
            return "    " + "  " * min(len(labels) + extra, _MAX_INDENT)

        while True:
            while next_comment < len(comments) and comments[next_comment][0] <= body.place - start:
                text = comments[next_comment][1].replace("\n", " ")
                out.append(indent(0) + f";; {text}")
                next_comment += 1
            opcode = body.byte()
            if opcode == 0x0B and not labels:
                return out
            if opcode == 0x0B:
                labels.pop()
                text = "end"
            elif opcode == 0x05:
                out.append(indent(-1) + "else")
                continue
            elif opcode in _OPENERS:
                label_count += 1
                label = f"${_OPENERS[opcode]}{label_count}"
                out.append(indent(0) + f"{_OPENERS[opcode]} {label}{self._block_type(body)}")
                labels.append(label)
                continue
            else:
                text = self._instruction(opcode, body, local_names, labels)
            out.append(indent(0) + text)

    @staticmethod
    def _block_type(body: _Reader) -> str:
        code = body.signed()
        if code == -64:
            return ""
        return f" (type {code})" if code >= 0 else f" (result {_TYPES[code + 128]})"

    def _instruction(self, opcode: int, body: _Reader, local_names: list[str], labels: list[str]) -> str:
        def label(depth: int) -> str:
            return labels[-1 - depth] if depth < len(labels) else str(depth)

        if opcode in _LOCALS:
            return f"{_LOCALS[opcode]} {local_names[body.unsigned()]}"
        if opcode in _BRANCHES:
            return f"{_BRANCHES[opcode]} {label(body.unsigned())}"
        if opcode in _CALLS:
            return f"{_CALLS[opcode]} {self.functions[body.unsigned()]}"
        match opcode:
            case 0x0E:
                targets = [label(body.unsigned()) for _ in range(body.unsigned() + 1)]
                return f"br_table {' '.join(targets)}"
            case 0x1C:
                return f"select{_clause('result', body.kinds())}"
            case 0x41 | 0x42:
                return f"i{32 if opcode == 0x41 else 64}.const {body.signed()}"
            case 0x43:
                bits = body.take(4)
                return f"f32.const {_float(struct.unpack('<f', bits)[0], int.from_bytes(bits, 'little') & 0x7FFFFF)}"
            case 0x44:
                bits = body.take(8)
                fraction = int.from_bytes(bits, "little") & ((1 << 52) - 1)
                return f"f64.const {_float(struct.unpack('<d', bits)[0], fraction)}"
        return self._by_table(opcode, body)

    @staticmethod
    def _by_table(opcode: int, body: _Reader) -> str:
        code = bytes((opcode,))
        if opcode in (0xFC, 0xFD, 0xFE):
            code += opcodes.unsigned(body.unsigned())
        if code in (b"\xfc\x0a", b"\xfc\x0b", b"\xfe\x03"):
            code += body.take(2 if code == b"\xfc\x0a" else 1)
        if code in _PLAIN:
            return _PLAIN[code]
        if code in _MEMORY:
            body.unsigned()
            offset = body.unsigned()
            return _MEMORY[code] + (f" offset={offset}" if offset else "")
        if code in _LANE:
            return f"{_LANE[code]} {body.byte()}"
        if code == b"\xfd\x0c":
            return "v128.const i32x4 " + " ".join(f"{word:#010x}" for word in struct.unpack("<4I", body.take(16)))
        if code == b"\xfd\x0d":
            return "i8x16.shuffle " + " ".join(str(lane) for lane in body.take(16))
        raise ValueError(f"instruction {code.hex()} is not one of our emitter's")


def _float(value: float, fraction: int) -> str:
    if math.isnan(value):
        return f"{'-' if math.copysign(1, value) < 0 else ''}nan:{fraction:#x}"
    return repr(value)
