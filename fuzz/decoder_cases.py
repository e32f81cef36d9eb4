"""Stored bytes: decoding any bytes gives a value or "the database is damaged" (XX001), never another exception.

A checksum guards every stored value; here it is always right, so that the decoders themselves are met. The first byte
of an input chooses the decoder.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from functools import cache

import msgpack
import numpy as np
import pyarrow as pa

from zerodb_compiler.errors import Error
from zerodb_storage import Column, Database, commit_log, encoding, keys, records, recovery, segment
from zerodb_storage.kv.memory import MemoryStore
from zerodb_storage.values import Form, Values

_ROWS = struct.Struct("<I")
_ROWS_AT = 4  # in the head of an encoded column
MOST_ROWS = 1 << 16  # memory is not what is looked for


def _encoded(content: bytes) -> None:
    if len(content) >= _ROWS_AT + 4 and _ROWS.unpack_from(content, _ROWS_AT)[0] > MOST_ROWS:
        return
    try:
        encoding.decode(content)
    except ValueError:  # what its callers make XX001 of
        return


def _header(content: bytes) -> None:
    key = keys.header(1, 2)
    segment.from_header(key, records.seal(key, content))


def _commit(content: bytes) -> None:
    key = keys.log(1, 7)
    commit_log.unpack(key, records.seal(key, content))


def _catalog(content: bytes) -> None:
    key = keys.table(1)
    recovery.read_schema(key, records.seal(key, content))


def _key(content: bytes) -> None:
    keys.describe(content)


def _unsealed(content: bytes) -> None:
    records.unpack(keys.STATE, content)


DECODERS: tuple[Callable[[bytes], None], ...] = (_encoded, _header, _commit, _catalog, _key, _unsealed)


def check(data: bytes) -> bool:
    """True if the bytes were decoded. Anything but a zerodb error is raised on."""
    if not data:
        return False
    try:
        DECODERS[data[0] % len(DECODERS)](data[1:])
    except Error as error:
        if error.sqlstate != "XX001":
            raise
        return False
    return True


@cache
def seeds() -> tuple[bytes, ...]:
    """Values as the storage writes them."""
    found: list[bytes] = []
    for values in _columns():
        found.append(b"\0" + encoding.encode(values))
    store = MemoryStore()
    with Database(store, read_only=False, synchronous="off") as db:
        with db.begin() as tx:
            tx.create_table("t", [Column("a", _type("integer"), True), Column("s", _type("text"))], ("a",))
        for start in (0, 50, 5000):
            rows = list(range(start, start + 40))
            with db.begin() as tx:
                tx.append("t", pa.table({"a": pa.array(rows, pa.int32()), "s": [f"text {row % 7}" for row in rows]}))
                tx.delete("t", np.array([3]))
    for key, value in store.scan(b"\0", b"\xff"):
        found.append(b"\4" + key)
        kind = {b"H": 1, b"L": 2, b"T": 3}.get(key[:1])
        if kind is not None:
            found.append(bytes([kind]) + value[4:])
        found.append(b"\5" + value)
    return tuple(found)


def _type(name: str) -> object:
    from zerodb_compiler import types

    return getattr(types, name.upper())


def _columns() -> list[Values]:
    found = []
    for count in (0, 1, 40, 3000):
        numbers = np.arange(count, dtype=np.int64)
        validity = (numbers % 3 != 0).astype(np.uint8)
        found.append(Values(Form.INT, numbers * 7 + 3, None))
        found.append(Values(Form.INT, numbers % 5 * 1000, validity))
        found.append(Values(Form.FLOAT, numbers / 3, validity))
        found.append(Values(Form.WIDE, np.stack([numbers, -numbers], axis=1), None))
        offsets = np.zeros(count + 1, np.int64)
        np.cumsum(numbers % 4, out=offsets[1:])
        found.append(Values(Form.TEXT, offsets, validity, np.full(int(offsets[-1]), 97, np.uint8)))
    return found


def mutated(data: bytes, r: random.Random) -> bytes:
    """Changed bytes; msgpack records are changed as records, so that they stay readable."""
    if data and data[0] in (1, 2, 3) and r.random() < 0.6:
        try:
            record = msgpack.unpackb(data[1:], raw=False, strict_map_key=False)
            return data[:1] + bytes(msgpack.packb(_changed(record, r)))
        except (ValueError, TypeError, OverflowError):
            pass
    content = bytearray(data)
    for _ in range(r.choice((1, 1, 2, 4, 10))):
        at = r.randrange(len(content) + 1)
        match r.randrange(4):
            case 0:
                del content[at : at + r.choice((1, 4, 30))]
            case 1:
                content[at:at] = bytes(r.randrange(256) for _ in range(r.choice((1, 4))))
            case _ if at < len(content):
                content[at] = r.choice((0, 1, 127, 128, 255, content[at] ^ (1 << r.randrange(8))))
    return bytes(content)


def _changed(value: object, r: random.Random) -> object:
    """The record with one place changed."""
    strange = (None, 0, -1, 1 << 40, "x", b"\xff" * 3, [], {}, [None, 1], 1.5, True)
    if isinstance(value, dict) and value and r.random() < 0.9:
        copy = dict(value)
        name = r.choice(list(copy))
        if r.random() < 0.1:
            del copy[name]
        else:
            copy[name] = _changed(copy[name], r)
        return copy
    if isinstance(value, list) and value and r.random() < 0.85:
        items = list(value)
        at = r.randrange(len(items))
        if r.random() < 0.1:
            del items[at]
        else:
            items[at] = _changed(items[at], r)
        return items
    if isinstance(value, bytes) and value and r.random() < 0.7:
        return mutated(value, r) if value[:1] not in (b"\1", b"\2", b"\3") else value[:-1]
    return r.choice(strange)
