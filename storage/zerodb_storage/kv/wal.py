"""Reading RocksDB's write-ahead log while another process writes it.

RocksDB's own follower ("secondary instance") does not work with blob files, so a process that follows a writer reads
the log itself. The format is simple and has been stable for years (RocksDB wiki, "Write Ahead Log File Format";
write_batch.cc):

    file    = blocks of 32,768 bytes
    block   = fragments, then fewer than 7 zero bytes
    fragment= checksum 4 | length 2 | type 1 | content      type 1 whole record, 2 first, 3 middle, 4 last
    record  = sequence number 8 | count 4 | changes          one atomic batch
    change  = tag 1 | varint length, key | [varint length, value or end of range]

A decoder is fed bytes as they come and gives whole records only; a record whose end is not there yet is kept until it
is. Limits: the checksums of fragments (CRC-32C) are not verified, for what is read here was written by a living process
a moment ago; every value carries a checksum of its own (`records`), and whoever opens a database that nobody writes
reads it through RocksDB, which verifies.
"""

from __future__ import annotations

import struct
from typing import Final

from zerodb_compiler.errors import InternalError
from zerodb_storage.kv import Batch

BLOCK_BYTES: Final = 32_768
_HEADER: Final = struct.Struct("<IHB")
_BATCH_HEADER_BYTES: Final = 12
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_DELETE, _PUT, _LOG_DATA, _SINGLE_DELETE, _NOOP, _DELETE_RANGE = 0x0, 0x1, 0x3, 0x7, 0xD, 0xF


def _unreadable(why: str) -> InternalError:
    return InternalError(f"the write-ahead log cannot be followed: {why}", sqlstate="XX001")


class LogDecoder:
    """From the bytes of one log file, in order, to its records. `offset` is where the first byte fed lies; it must be
    that of a fragment, and a record that began before it is skipped."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset  # of the first byte not taken apart yet
        self._rest = b""
        self._parts: list[bytes] | None = None  # of a record whose last fragment is still to come
        self._skipping = offset > 0

    @property
    def is_between_records(self) -> bool:
        """Whether nothing is known of a record that is not complete."""
        return not self._rest and self._parts is None

    def feed(self, data: bytes) -> list[bytes]:
        data = self._rest + data if self._rest else data
        records: list[bytes] = []
        position = 0
        while True:
            left = BLOCK_BYTES - self.offset % BLOCK_BYTES
            if left < _HEADER.size:  # the end of a block is filled with zeros
                if len(data) - position < left:
                    break
                position += left
                self.offset += left
                continue
            if len(data) - position < _HEADER.size:
                break
            _, length, kind = _HEADER.unpack_from(data, position)
            if len(data) - position < _HEADER.size + length:
                break
            content = data[position + _HEADER.size : position + _HEADER.size + length]
            position += _HEADER.size + length
            self.offset += _HEADER.size + length
            self._take(kind, content, records)
        self._rest = data[position:]
        return records

    def _take(self, kind: int, content: bytes, records: list[bytes]) -> None:
        match kind:
            case 1:  # whole
                self._parts, self._skipping = None, False
                records.append(content)
            case 2:  # first
                self._parts, self._skipping = [content], False
            case 3 | 4 if self._skipping:  # the rest of a record that began before
                pass
            case 3 | 4 if self._parts is not None:
                self._parts.append(content)
                if kind == _LAST:
                    records.append(b"".join(self._parts))
                    self._parts = None
            case _ if kind >= 9 or (kind == 0 and not content):  # remarks about the file; room not written yet
                pass
            case _:
                raise _unreadable(f"fragment of type {kind} before byte {self.offset}")


def block_start(data: bytes, offset: int) -> bool:
    """Whether the block whose first bytes are `data` begins with the beginning of a record."""
    return offset == 0 or (len(data) >= _HEADER.size and data[6] in (_WHOLE, _FIRST))


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _string(data: bytes, position: int) -> tuple[bytes, int]:
    length, position = _varint(data, position)
    if position + length > len(data):
        raise IndexError("string beyond the end")
    return data[position : position + length], position + length


def changes(record: bytes) -> list[Batch]:
    """A record's changes in order, as batches that `Batch`'s own order (ranges, puts, deletes) does not change the
    meaning of."""
    found = [Batch()]
    position = _BATCH_HEADER_BYTES
    try:
        while position < len(record):
            tag = record[position]
            position += 1
            batch = found[-1]
            if tag == _NOOP:
                continue
            first, position = _string(record, position)
            if tag == _PUT:
                if batch.deletes:
                    found.append(batch := Batch())
                value, position = _string(record, position)
                batch.puts.append((first, value))
            elif tag in (_DELETE, _SINGLE_DELETE):
                batch.deletes.append(first)
            elif tag == _DELETE_RANGE:
                if batch.puts or batch.deletes:
                    found.append(batch := Batch())
                end, position = _string(record, position)
                batch.range_deletes.append((first, end))
            elif tag != _LOG_DATA:
                raise _unreadable(f"change of type {tag}")
    except IndexError:
        raise _unreadable("a batch ends in the middle") from None
    return [batch for batch in found if batch]
