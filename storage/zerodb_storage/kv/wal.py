"""Reading RocksDB's write-ahead log while another process writes it.

RocksDB's own follower ("secondary instance") does not work with blob files, so a process that follows a writer reads
the log itself. The format is simple and has been stable for years (RocksDB wiki, "Write Ahead Log File Format";
write_batch.cc):

    file    = blocks of 32,768 bytes
    block   = fragments, then fewer than 7 zero bytes
    fragment= checksum 4 | length 2 | type 1 | content      type 1 whole record, 2 first, 3 middle, 4 last
    record  = sequence number 8 | count 4 | changes          one atomic batch
    change  = tag 1 | varint length, key | [varint length, value or end of range]

A log that is synced often has room allocated behind its last record (log_files.py), so it ends with zeros, not with the
file; and another process may see a fragment before all of its bytes are there. So a decoder takes fragments whose
checksum (CRC-32C, "masked") fits, stops at the first that does not or at zeros, and is asked again from there.

A record that was being written when the machine stopped is torn: what the disk has of it are whole sectors, the others
are zeros. RocksDB forgives that where the file ends with the record, not where zeros follow; `torn_at` finds it.
"""

from __future__ import annotations

import os
import struct
from typing import Final

import google_crc32c

from zerodb_compiler.errors import InternalError
from zerodb_storage.kv import Batch

BLOCK_BYTES: Final = 32_768
_SECTOR_BYTES: Final = 512
_PIECE_BYTES: Final = 4 << 20
_HEADER: Final = struct.Struct("<IHB")
_BATCH_HEADER_BYTES: Final = 12
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_DELETE, _PUT, _LOG_DATA, _SINGLE_DELETE, _NOOP, _DELETE_RANGE = 0x0, 0x1, 0x3, 0x7, 0xD, 0xF


def _unreadable(why: str) -> InternalError:
    return InternalError(f"the write-ahead log cannot be followed: {why}", sqlstate="XX001")


class LogDecoder:
    """From the bytes of one log file, in order, to its records. `offset` is where what was not taken yet begins: that
    of a fragment; a record that began before the first one is skipped."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self.is_stuck = False  # at a fragment whose checksum does not fit, or which is not all there
        self.record_start = offset  # of the last record that was begun
        self._parts: list[bytes] | None = None  # of a record whose last fragment is still to come
        self._skipping = offset > 0

    @property
    def is_between_records(self) -> bool:
        """Whether nothing is known of a record that is not complete."""
        return self._parts is None and not self.is_stuck

    @property
    def is_within_record(self) -> bool:
        return self._parts is not None

    def feed(self, data: bytes) -> list[bytes]:
        """The records that end in `data`, the bytes of the file from `offset` on."""
        records: list[bytes] = []
        begin = self.offset
        self.is_stuck = False
        while True:
            position = self.offset - begin
            left = BLOCK_BYTES - self.offset % BLOCK_BYTES
            if left < _HEADER.size:  # the end of a block is filled with zeros
                if len(data) - position < left:
                    return records
                self.offset += left
                continue
            if len(data) - position < _HEADER.size:
                self.is_stuck = position < len(data) and any(data[position:])
                return records
            checksum, length, kind = _HEADER.unpack_from(data, position)
            if not (checksum or length or kind):  # room not written yet
                return records
            end = position + _HEADER.size + length
            if length > left - _HEADER.size or end > len(data) or _checksum(data[position + 6 : end]) != checksum:
                self.is_stuck = True
                return records
            if kind in (_WHOLE, _FIRST):
                self.record_start = self.offset
            self.offset += _HEADER.size + length
            self._take(kind, data[position + _HEADER.size : end], records)

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
            case _ if kind >= 9:  # remarks about the file
                pass
            case _:
                raise _unreadable(f"fragment of type {kind} before byte {self.offset}")


def _checksum(data: bytes) -> int:
    """Of a fragment's type and content, as RocksDB masks it (util/crc32c.h)."""
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def goes_on(descriptor: int, offset: int) -> bool:
    """Whether anything is written behind what ends at `offset`."""
    left = BLOCK_BYTES - offset % BLOCK_BYTES
    return any(os.pread(descriptor, _HEADER.size + (left if left < _HEADER.size else 0), offset))


def last_block(descriptor: int) -> int:
    """Where the last block begins that anything is written in."""
    low, high = 0, os.fstat(descriptor).st_size // BLOCK_BYTES  # blocks are written in order
    while low < high:
        middle = (low + high + 1) // 2
        if any(os.pread(descriptor, _HEADER.size, middle * BLOCK_BYTES)):
            low = middle
        else:
            high = middle - 1
    return low * BLOCK_BYTES


def torn_at(descriptor: int) -> int | None:
    """Where the last record begins, if it is torn and zeros follow it: RocksDB would call that damage. What may be
    damage, a wrong byte in what is all there or records behind it, is left to RocksDB to find."""
    decoder = LogDecoder()
    while data := os.pread(descriptor, _PIECE_BYTES, decoder.offset):
        before = decoder.offset
        decoder.feed(data)
        if decoder.offset == before:
            break
    size = os.fstat(descriptor).st_size
    if decoder.is_between_records or decoder.offset >= size:
        return None
    end = decoder.offset
    if decoder.is_stuck:
        header = os.pread(descriptor, _HEADER.size, decoder.offset)
        end += _HEADER.size + (_HEADER.unpack(header)[1] if len(header) == _HEADER.size else 0)
        fragment = os.pread(descriptor, end - decoder.offset, decoder.offset)
        if end >= size or not _has_empty_sector(fragment, decoder.offset):
            return None
    following = -(-end // BLOCK_BYTES) * BLOCK_BYTES
    if any(os.pread(descriptor, following - end, end)) or _begins_record(descriptor, following, size):
        return None
    return decoder.record_start if decoder.is_within_record else decoder.offset


def _begins_record(descriptor: int, offset: int, size: int) -> bool:
    """Whether a record begins in one of the blocks from `offset` on."""
    for block in range(offset, size, BLOCK_BYTES):
        data = os.pread(descriptor, BLOCK_BYTES, block)
        position = 0
        while position + _HEADER.size <= len(data):
            checksum, length, kind = _HEADER.unpack_from(data, position)
            end = position + _HEADER.size + length
            if end > len(data) or _checksum(data[position + 6 : end]) != checksum:
                break
            if kind in (_WHOLE, _FIRST):
                return True
            position = end
    return False


def _has_empty_sector(data: bytes, offset: int) -> bool:
    """Whether all that `data`, which lies at `offset` of the file, has of some sector is zeros."""
    first = -offset % _SECTOR_BYTES
    pieces = [data[:first], *(data[at : at + _SECTOR_BYTES] for at in range(first, len(data), _SECTOR_BYTES))]
    return any(piece and not any(piece) for piece in pieces)


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
