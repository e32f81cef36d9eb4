"""`statement.query-row` without detours: the quick way to look up by key.

The general way (query.py) makes a Variant for each value and walks types to write it. Here parameters are read from
wasmtime's memory as Python values at once, and a statement keeps the memory in which its result is laid out:

    result -> option -> list -> variant, variant, ... -> payload, payload, ...

All sizes and pointers in it stay as they are from row to row; a row is a few writes of numbers and copies of text into
it, and wasmtime copies the whole. Types that need more than a number or a text (intervals, bytes) go the general way,
as does whatever is no row.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from typing import Any

from zerodb.components import vals
from zerodb.components.guest_values import case_of, converter, from_value
from zerodb.components.vals import MEMORY, VAL_BYTES, MalformedError, Variant, constant
from zerodb_compiler.types import SqlType

_three_words = struct.Struct("<QQQ").unpack_from
_two_words = struct.Struct("<QQ").unpack_from
_number = struct.Struct("<q").unpack_from
_put_number = struct.Struct("<q").pack_into
_put_double = struct.Struct("<d").pack_into
_put_words = struct.Struct("<QQ").pack_into
_put_val = struct.Struct("<QQQQ").pack_into
_TEXT_BYTES = 256  # of a column's buffer at first

# --- parameters -------------------------------------------------------------------------------------------------------


def _int64(at: int) -> int:
    if MEMORY[at] != vals.S64:
        raise MalformedError("a value of another type")
    found: int = _number(MEMORY, at + 8)[0]
    return found


def _text(at: int) -> str:
    if MEMORY[at] != vals.STRING:
        raise MalformedError("a value of another type")
    return vals.lift_string(at + 8)


_READERS: dict[bytes, Callable[[int], Any]] = {b"int64": _int64, b"text": _text}


def lift_parameters(at: int) -> list[Any]:
    """list<value> as Python objects for a statement's parameters."""
    if MEMORY[at] != vals.LIST:
        raise MalformedError("no list where the interface has one")
    size, start = _two_words(MEMORY, at + 8)
    found = []
    for place in range(start, start + size * VAL_BYTES, VAL_BYTES):
        if MEMORY[place] != vals.VARIANT:
            raise MalformedError("no value where the interface has one")
        length, name, payload = _three_words(MEMORY, place + 8)
        tag = bytes(MEMORY[name : name + length])
        read = _READERS.get(tag)
        if read is not None and payload:
            found.append(read(payload))
        else:
            found.append(from_value(Variant(tag.decode(), vals.lift(payload) if payload else None)))
    return found


# --- the result -------------------------------------------------------------------------------------------------------

_INTEGERS = {"int64": vals.S64, "time": vals.S64, "timestamp": vals.S64, "timestamptz": vals.S64, "date": vals.S32}
_TEXTS = frozenset({"text", "decimal", "uuid", "json", "other"})


class RowMemory:
    """Where the rows of a statement are laid out. `write` gives the address of the whole result. One thread at a time:
    statements belong to a guest."""

    def __init__(self, types: Sequence[SqlType]) -> None:
        count = len(types)
        self._memory = ctypes.create_string_buffer((3 + 2 * count) * VAL_BYTES)
        base = self._address = ctypes.addressof(self._memory)
        variants, payloads = base + 3 * VAL_BYTES, base + (3 + count) * VAL_BYTES
        _put_val(MEMORY, base, vals.RESULT, 1, base + VAL_BYTES, 0)
        _put_val(MEMORY, base + VAL_BYTES, vals.OPTION, base + 2 * VAL_BYTES, 0, 0)
        _put_val(MEMORY, base + 2 * VAL_BYTES, vals.LIST, count, variants, 0)
        self._columns = [
            _Column(type_, variants + index * VAL_BYTES, payloads + index * VAL_BYTES)
            for index, type_ in enumerate(types)
        ]

    def write(self, row: Sequence[Any]) -> int:
        for column, value in zip(self._columns, row, strict=True):
            if value is not None:
                if column.is_null:
                    column.show()
                column.put(value)
            elif not column.is_null:
                column.hide()
        return self._address


class _Column:
    """One value of the row. It begins as NULL; its case is known from its type."""

    __slots__ = ("_at", "_case", "_payload", "_room", "_text", "convert", "is_null", "put")

    def __init__(self, type_: SqlType, at: int, payload: int) -> None:
        self._at, self._payload = at, payload
        self._case = case_of(type_)
        self.convert = converter(type_)
        self._text = ctypes.create_string_buffer(_TEXT_BYTES)
        self._room = _TEXT_BYTES
        self.hide()
        self.put = self._writer()

    def hide(self) -> None:
        self.is_null = True
        _put_val(MEMORY, self._at, vals.VARIANT, *constant("null"), 0)

    def show(self) -> None:
        self.is_null = False
        _put_val(MEMORY, self._at, vals.VARIANT, *constant(self._case), self._payload)

    def _writer(self) -> Callable[[Any], None]:
        place, case, convert = self._payload + 8, self._case, self.convert
        if case == "boolean":
            MEMORY[self._payload] = vals.BOOL
            return lambda value: _put_number(MEMORY, place, 1 if value else 0)
        if case == "float64":
            MEMORY[self._payload] = vals.F64
            return lambda value: _put_double(MEMORY, place, value)
        if case in _INTEGERS:
            MEMORY[self._payload] = _INTEGERS[case]
            if case == "int64":
                return lambda value: _put_number(MEMORY, place, value)
            return lambda value: _put_number(MEMORY, place, convert(value).payload)
        MEMORY[self._payload] = vals.STRING
        if case == "text":
            return self._put_text
        return lambda value: self._put_text(convert(value).payload)

    def _put_text(self, value: str) -> None:
        data = value.encode()
        size = len(data)
        if size > self._room:
            self._room = size * 2
            self._text = ctypes.create_string_buffer(self._room)
        start = ctypes.addressof(self._text)
        MEMORY[start : start + size] = data
        _put_words(MEMORY, self._payload + 8, size, start)


def row_memory(types: Sequence[SqlType]) -> RowMemory | None:
    """None for types whose values are more than a number or a text."""
    simple = all(case_of(type_) in _TEXTS or case_of(type_) in (*_INTEGERS, "boolean", "float64") for type_ in types)
    return RowMemory(types) if simple else None
