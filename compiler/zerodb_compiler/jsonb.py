"""jsonb in its binary form, shared by this encoder, the kernels (kernels/jsonb*.py) and the host.

A value is a node, a tagged tree that is walked without parsing:

    0   u8    tag: null, string, number, false, true, array, object (NULL .. OBJECT below)
    string    its UTF-8 bytes, to the end of the node
    number    its decimal text, to the end: "-1.50"; no exponent, no needless zero before the point, all zeros after it
    array     i32 number of entries, then for each entry the i32 offset in the data at which it ends, then the data:
              the elements' nodes
    object    the same; the entries are first all keys (UTF-8 bytes), then all values' nodes. Keys are sorted by
              (length, bytes), as PostgreSQL's, and no two are equal

A node's length is known from its container, or is that of the whole value. Entry i is found by two loads, a key by
binary search. Numbers are text because output keeps zeros at the end (1.0 is not 1 to the eye) and because there is no
bound to their digits; comparing and hashing go by a sort key (kernels/jsonb_keys.py).

Limits: MAX_DEPTH levels, 1 GB a value; numbers of PostgreSQL's numeric (131,072 digits before the point, 16,383 after).
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from typing import Any

from zerodb_compiler.errors import DataError, error_for
from zerodb_compiler.types import SqlType

NULL, STRING, NUMBER, FALSE, TRUE, ARRAY, OBJECT = range(7)
MAX_DEPTH = 200
MAX_WHOLE = 131_072
MAX_FRACTION = 16_383

_NUMBER = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?\Z")
_CONTROL = re.compile(r'[\x00-\x1f"\\]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Number(str):
    """A number in a tree, as its canonical text."""

    __slots__ = ()


class _NotANumber(ValueError):
    pass


# --- text to tree -----------------------------------------------------------------------------------------------------
def canonical_number(text: str) -> Number:
    found = _NUMBER.match(text)
    assert found is not None, text
    sign, whole, fraction, exponent = found[1], found[2], found[3] or "", int((found[4] or "0")[:12])
    if abs(exponent) > MAX_WHOLE + len(text):
        raise _overflow()
    digits, scale = whole + fraction, len(fraction) - exponent
    if scale < 0:
        digits, scale = digits + "0" * -scale, 0
    digits = digits.rjust(scale + 1, "0")
    whole, fraction = (digits[:-scale], digits[-scale:]) if scale else (digits, "")
    whole = whole.lstrip("0") or "0"
    if len(whole) > MAX_WHOLE or scale > MAX_FRACTION:
        raise _overflow()
    if not digits.strip("0"):
        sign = ""
    return Number(f"{sign}{whole}.{fraction}" if scale else f"{sign}{whole}")


def _overflow() -> DataError:
    return DataError("value overflows numeric format", sqlstate="22003")


def _refuse_constant(text: str) -> Any:
    raise _NotANumber(text)


def _loads(text: str, position: int | None) -> Any:
    """The tree of a JSON text: None, bool, str, Number, list, and objects as lists of pairs in a tuple."""
    depth = deepest = 0
    if text.count("[") + text.count("{") > MAX_DEPTH:
        for sign in re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.S):
            depth += (sign in "[{") - (sign in "]}")
            deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise error_for("54001", "stack depth limit exceeded", position=position)
    try:
        return json.loads(
            text,
            parse_int=canonical_number,
            parse_float=canonical_number,
            parse_constant=_refuse_constant,
            object_pairs_hook=tuple,
        )
    except DataError as error:
        error.position = position
        raise
    except ValueError:
        raise DataError("invalid input syntax for type json", sqlstate="22P02", position=position, hint=None) from None


def check_json(type_: SqlType, text: str, position: int | None) -> bytes:
    """The canonical bytes of a json value: the text itself, if it is JSON."""
    del type_
    try:
        _loads(text.replace("\\u0000", "\\u0001"), position)
    except DataError as error:
        if error.sqlstate != "22003":
            raise
    return text.encode()


def parse_jsonb(type_: SqlType, text: str, position: int | None) -> bytes:
    del type_
    tree = _loads(text, position)
    try:
        data = encode(tree)
    except UnicodeEncodeError:  # half of a surrogate pair
        message = "invalid input syntax for type json"
        raise DataError(message, sqlstate="22P02", position=position) from None
    except _ZeroCharacter:
        message = "unsupported Unicode escape sequence"
        raise DataError(message, sqlstate="22P05", position=position) from None
    return data


class _ZeroCharacter(Exception):
    pass


# --- tree to bytes ----------------------------------------------------------------------------------------------------
def _text_bytes(text: str) -> bytes:
    if "\0" in text:
        raise _ZeroCharacter
    return text.encode()


def encode(tree: Any) -> bytes:
    """The node of a tree (see `_loads`; objects may be dicts too)."""
    match tree:
        case None:
            return bytes((NULL,))
        case bool():
            return bytes((TRUE if tree else FALSE,))
        case Number():
            return bytes((NUMBER,)) + tree.encode()
        case str():
            return bytes((STRING,)) + _text_bytes(tree)
        case list():
            return _container(ARRAY, [encode(item) for item in tree])
    pairs = {_text_bytes(key): encode(value) for key, value in (tree.items() if isinstance(tree, dict) else tree)}
    keys = sorted(pairs, key=lambda key: (len(key), key))
    return _container(OBJECT, [*keys, *(pairs[key] for key in keys)])


def _container(tag: int, entries: list[bytes]) -> bytes:
    ends, end = [], 0
    for entry in entries:
        end += len(entry)
        ends.append(end)
    return struct.pack(f"<Bi{len(ends)}i", tag, len(ends), *ends) + b"".join(entries)


# --- bytes to text and objects ----------------------------------------------------------------------------------------
def _entries(data: bytes) -> list[bytes]:
    (count,) = struct.unpack_from("<i", data, 1)
    ends = struct.unpack_from(f"<{count}i", data, 5)
    start = 5 + 4 * count
    starts = (0, *ends)
    return [data[start + first : start + last] for first, last in zip(starts, ends, strict=False)]


def _pairs(data: bytes) -> Iterator[tuple[str, bytes]]:
    entries = _entries(data)
    half = len(entries) // 2
    return ((key.decode(), value) for key, value in zip(entries[:half], entries[half:], strict=True))


def quoted(text: str) -> str:
    return '"' + _CONTROL.sub(lambda found: _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}", text) + '"'


def format_jsonb(type_: SqlType, data: bytes) -> str:
    """PostgreSQL's output form."""
    del type_
    return _text(data)


def _text(data: bytes) -> str:
    match data[0]:
        case 0:
            return "null"
        case 1:
            return quoted(data[1:].decode())
        case 2:
            return data[1:].decode()
        case 3:
            return "false"
        case 4:
            return "true"
        case 5:
            return f"[{', '.join(map(_text, _entries(data)))}]"
    return "{" + ", ".join(f"{quoted(key)}: {_text(value)}" for key, value in _pairs(data)) + "}"


def to_python(data: bytes) -> Any:
    """What json.loads would make of the text."""
    match data[0]:
        case 0:
            return None
        case 1:
            return data[1:].decode()
        case 2:
            text = data[1:].decode()
            return float(text) if "." in text else int(text)
        case 3:
            return False
        case 4:
            return True
        case 5:
            return [to_python(entry) for entry in _entries(data)]
    return {key: to_python(value) for key, value in _pairs(data)}


_KINDS = ("null", "string", "number", "boolean", "boolean", "array or object", "array or object")


def scalar(data: bytes, target: str, wants_boolean: bool, position: int | None) -> str:
    """The text of a number or boolean that is cast to the type of the name `target`."""
    if (data[0] in (FALSE, TRUE)) if wants_boolean else data[0] == NUMBER:
        return _text(data)
    kind = _KINDS[data[0]]
    raise error_for("22023", f"cannot cast jsonb {kind} to type {target}", position=position)


def text_of_python(value: Any) -> str | None:
    """JSON text of an object given for a parameter; None if it is not of JSON's types."""
    if not isinstance(value, (dict, list, tuple, int, float, bool)):
        return None
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        return None
