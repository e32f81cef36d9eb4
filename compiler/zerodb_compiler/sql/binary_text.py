"""bytea and uuid as text: PostgreSQL's hex and escape forms, and the forms of a uuid."""

from __future__ import annotations

import re

from zerodb_compiler.errors import DataError

_UUID = re.compile(r"\{?([0-9a-fA-F]{4}(?:-?[0-9a-fA-F]{4}){7})\}?\Z")
_ESCAPE = re.compile(rb"\\(\\|[0-3][0-7][0-7])?")
_BIAS = 1 << 127


def parse_bytea(text: str, position: int | None = None) -> bytes:
    if text.startswith("\\x"):
        digits = "".join(text[2:].split())
        for digit in digits:
            if digit not in "0123456789abcdefABCDEF":
                raise DataError(f'invalid hexadecimal digit: "{digit}"', sqlstate="22023", position=position)
        if len(digits) % 2:
            message = "invalid hexadecimal data: odd number of digits"
            raise DataError(message, sqlstate="22023", position=position)
        return bytes.fromhex(digits)

    def unescaped(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            raise DataError("invalid input syntax for type bytea", sqlstate="22P02", position=position)
        return b"\\" if found[1] == b"\\" else bytes([int(found[1], 8)])

    return _ESCAPE.sub(unescaped, text.encode())


def format_bytea(value: bytes) -> str:
    return "\\x" + value.hex()


def parse_uuid(text: str, position: int | None = None) -> int:
    if _UUID.match(text) is None or text.startswith("{") != text.endswith("}"):
        raise DataError(f'invalid input syntax for type uuid: "{text}"', sqlstate="22P02", position=position)
    return int(re.sub("[-{}]", "", text), 16) - _BIAS


def format_uuid(value: int) -> str:
    digits = f"{value + _BIAS:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
