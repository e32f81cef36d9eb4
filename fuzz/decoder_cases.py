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
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import (
    Column,
    Database,
    checking,
    commit_log,
    encoding,
    history,
    keys,
    publishing,
    records,
    recovery,
    segment,
    segment_choice,
)
from zerodb_storage.kv import Batch, wal
from zerodb_storage.kv.memory import MemoryStore
from zerodb_storage.sequences import SequenceDefinition
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


def _history(content: bytes) -> None:
    key = keys.history(7)
    history.unpack(key, records.seal(key, content)).batch()


def _log(content: bytes) -> None:
    for record in wal.LogDecoder().feed(content):
        wal.changes(record)


def _whole(content: bytes) -> None:
    """A database of which one value is another one."""
    if not content:
        return
    pairs = stored()
    key, _ = pairs[content[0] % len(pairs)]
    store = MemoryStore()
    store.write(Batch(puts=[(k, records.seal(k, content[1:]) if k == key else v) for k, v in pairs]), sync=False)
    recovery.initialise(store, read_only=True)
    checking.check(store)
    for table in recovery.recover(store).snapshot.tables.values():
        for chunk in range(table.chunk_count):
            table.visibility(chunk)
            for column in range(len(table.columns)):
                table.load(chunk, column)


DECODERS: tuple[Callable[[bytes], None], ...] = (
    _encoded,
    _header,
    _commit,
    _catalog,
    _key,
    _unsealed,
    _log,
    _history,
    _whole,
)
WHOLE = len(DECODERS) - 1


def check(data: bytes) -> bool:
    """True if the bytes were decoded. Anything but a zerodb error is raised on."""
    if not data:
        return False
    try:
        DECODERS[data[0] % len(DECODERS)](data[1:])
    except Error as error:
        if error.sqlstate not in ("XX001", "0A000"):  # 0A000: another version's format
            raise
        return False
    return True


@cache
def seeds() -> tuple[bytes, ...]:
    """Values as the storage writes them."""
    found: list[bytes] = []
    for values in _columns():
        found.append(b"\0" + encoding.encode(values))
    pairs = stored()
    found.append(b"\6" + _logged(pairs[:5], 1) + _logged(pairs[5:9], 3))
    for number, (key, value) in enumerate(pairs):
        found.append(b"\4" + key)
        kind = {b"H": 1, b"L": 2, b"T": 3, b"B": 7}.get(key[:1])
        if kind is not None:
            found.append(bytes([kind]) + value[4:])
        if key == keys.STATE:
            found.append(b"\5" + value)
        found.append(bytes([WHOLE, number]) + value[4:])
    return tuple(found)


@cache
def stored() -> tuple[tuple[bytes, bytes], ...]:
    """All pairs of a database with folded and logged rows, deletions, dictionaries, keys and objects."""
    store, folded, small = MemoryStore(), publishing.FOLD_ROWS, segment_choice.SMALL_SEGMENT_BYTES
    with Database(store, read_only=False, synchronous="off") as db:
        with db.begin() as tx:
            columns = [
                Column("a", _type("integer"), True),
                Column("s", _type("text")),
                Column("f", _type("double")),
                Column("d", _type("date")),
            ]
            tx.create_table("t", columns, (0,))
        segment_choice.SMALL_SEGMENT_BYTES = 0  # what was folded stays, and has its deleted rows beside it
        for start, count in ((0, 400), (500, 40), (1000, 40), (5000, 40)):
            publishing.FOLD_ROWS = 10 if start in (0, 1000) else folded
            rows = list(range(start, start + count))
            with db.begin() as tx:
                data = {
                    "a": pa.array(rows, pa.int32()),
                    "s": [f"text {row % 7}" if row % 5 else None for row in rows],
                    "f": [row / 3 for row in rows],
                    "d": pa.array(rows, pa.int32()).cast(pa.date32()),
                }
                segments = len(tx.table("t").segment_set.segments)
                tx.append("t", pa.table(data))
                tx.delete("t", np.array([3, start // 300]))
            with db.begin() as tx:
                if db.snapshot().tables["t"].delta_rows:
                    tx.delete("t", np.array([start // 200, segments * CHUNK_ROWS + 5]))
        segment_choice.SMALL_SEGMENT_BYTES = small
        with db.begin() as tx:
            tx.put_object("sequence", "public", "counter", {"id": 9, "start": 1, "increment": 1, "min": 1})
        db.sequences.take(SequenceDefinition(9, "counter"), 3)
        pairs = tuple(store.scan(b"\0", b"\xff"))
        sequence = db.snapshot().sequence
        return tuple(sorted([*pairs, _kept(sequence - 1, pairs[:3]), _kept(sequence, pairs[3:5])]))


def _kept(sequence: int, pairs: tuple[tuple[bytes, bytes], ...]) -> tuple[bytes, bytes]:
    """The history of a commit, as backups need it."""
    key = keys.history(sequence)
    record = {
        "time": sequence * 1000,
        "previous": sequence - 1,
        "previous_time": sequence * 1000 - 1000,
        "ranges": [keys.table_range(b"L", 1)],
        "puts": pairs,
        "deletes": [keys.header(1, 9)],
        "values": [keys.column(1, 9, 0)],
        "bytes": 100,
        "total": 100 * sequence,
    }
    return key, records.pack(key, record)


def _logged(pairs: tuple[tuple[bytes, bytes], ...], fragments: int) -> bytes:
    """Puts as RocksDB's log has them, in so many fragments."""
    record = bytes(12)
    for key, value in pairs:
        record += b"\1" + _varint(len(key)) + key + _varint(len(value)) + value
    size = -(-len(record) // fragments)
    parts = [record[begin : begin + size] for begin in range(0, len(record), size)]
    kinds = [1] if len(parts) == 1 else [2, *[3] * (len(parts) - 2), 4]
    return b"".join(struct.pack("<IHB", 0, len(part), kind) + part for part, kind in zip(parts, kinds, strict=True))


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


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
    if data and data[0] in (1, 2, 3, 7) and r.random() < 0.6:
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
