"""Framing of everything stored: a checksum over key and content, so that flipped, torn and misplaced values are found.

sealed value = CRC-32 of (key + content), 4 bytes, little endian | content
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import msgpack

from zerodb_compiler.errors import InternalError
from zerodb_storage import keys

_CHECKSUM = struct.Struct("<I")


def damaged(key: bytes, why: str) -> InternalError:
    return InternalError(f"the database is damaged: {keys.describe(key)}: {why}", sqlstate="XX001")


@contextlib.contextmanager
def reading(key: bytes) -> Iterator[None]:
    """Around the decoding of a record's content: what is not as it was written is XX001, naming the key."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, AssertionError, struct.error) as error:
        raise damaged(key, f"unreadable ({type(error).__name__}: {error})") from error


def seal(key: bytes, *parts: bytes) -> bytes:
    checksum = zlib.crc32(key)
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return b"".join((_CHECKSUM.pack(checksum), *parts))


def unseal(key: bytes, value: bytes | None) -> memoryview:
    """The content of a sealed value; XX001 if it is missing or is not what was written under this key."""
    if value is None:
        raise damaged(key, "missing")
    if len(value) < _CHECKSUM.size:
        raise damaged(key, "truncated")
    content = memoryview(value)[_CHECKSUM.size :]
    if zlib.crc32(content, zlib.crc32(key)) != _CHECKSUM.unpack_from(value)[0]:
        raise damaged(key, "checksum mismatch")
    return content


def pack(key: bytes, record: dict[str, Any]) -> bytes:
    """A sealed msgpack record."""
    return seal(key, msgpack.packb(record, use_bin_type=True))


def unpack(key: bytes, value: bytes | None) -> dict[str, Any]:
    content = unseal(key, value)
    try:
        record = msgpack.unpackb(content, raw=False, strict_map_key=False)
    except (ValueError, TypeError) as error:
        raise damaged(key, f"unreadable ({error})") from error
    if not isinstance(record, dict):
        raise damaged(key, "not a record")
    return record


def pack_int(value: int | None) -> bytes | None:
    """An integer of up to 128 bits for msgpack, which has only 64."""
    return None if value is None else value.to_bytes(17, "little", signed=True)


def unpack_int(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(value, "little", signed=True)
