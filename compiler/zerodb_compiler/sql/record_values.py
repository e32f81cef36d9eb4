"""Records outside of queries: text to canonical bytes and back."""

from __future__ import annotations

from collections.abc import Callable

from zerodb_compiler.errors import DataError
from zerodb_compiler.nested import Scalar, decode_record, encode_record
from zerodb_compiler.types import SqlType, TypeId

_SPACES = " \t\n\r\v\f"


def parse_record(
    type_: SqlType, text: str, position: int | None, parse: Callable[[SqlType, str, int | None], Scalar]
) -> bytes:
    """'(1,"a b",)'; `parse` reads a field."""
    fields = _fields(text, position)
    types = [field for _, field in type_.fields]
    if len(fields) != len(types):
        raise _malformed(text, position)
    values = [None if item is None else parse(field, item, position) for item, field in zip(fields, types, strict=True)]
    return encode_record(types, values)


def _malformed(text: str, position: int | None) -> DataError:
    return DataError(f'malformed record literal: "{text}"', sqlstate="22P02", position=position)


def _fields(text: str, position: int | None) -> list[str | None]:
    stripped = text.strip(_SPACES)
    if not stripped.startswith("("):
        raise _malformed(text, position)
    found: list[str | None] = []
    out: list[str] | None = None
    quoted, place = False, 1
    while place < len(stripped):
        sign = stripped[place]
        place += 1
        if sign in ",)" and not quoted:
            found.append(None if out is None else "".join(out))
            out = None
            if sign == ")":
                if place != len(stripped):
                    raise _malformed(text, position)
                return found
            continue
        out = [] if out is None else out
        if sign == '"':
            if quoted and stripped[place : place + 1] == '"':
                out.append('"')
                place += 1
            else:
                quoted = not quoted
            continue
        if sign == "\\":
            sign = stripped[place : place + 1]
            place += 1
        out.append(sign)
    raise _malformed(text, position)


def format_record(type_: SqlType, data: bytes, format_: Callable[[SqlType, Scalar], str | None]) -> str:
    types = [field for _, field in type_.fields]
    texts = []
    for field, value in zip(types, decode_record(types, data), strict=True):
        if value is None:
            texts.append("")
        elif field.id is TypeId.BOOLEAN:
            texts.append("t" if value else "f")
        else:
            texts.append(_quoted(format_(field, value) or ""))
    return f"({','.join(texts)})"


def _quoted(text: str) -> str:
    if not text or any(sign in '(),"\\' or sign in _SPACES for sign in text):
        return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'
    return text
