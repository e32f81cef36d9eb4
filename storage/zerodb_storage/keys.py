"""Keys: every pair's place in the ordered key space.

    format                                     "F"   -> format version
    state                                      "S"   -> sequence number of the last commit, next table id
    table     T table                          -> name, columns, primary key, how text columns are kept
    strings   D table column first-code        -> a run of a column's dictionary
    header    H table partition segment        -> row count and statistics per column of a segment
    column    C table partition segment column -> one encoded column
    deleted   V table partition segment        -> which rows of a segment are deleted
    log       L table partition sequence       -> one transaction's changes to one partition
    garbage   G table partition segment        -> values that no header makes reachable (unfinished or dropped)
    code      M key                            -> the module cache
    object    O kind, schema, name             -> a catalog object that is no table
    sequence  N sequence                       -> a sequence's value
    module    W digest                         -> the bytes of a WebAssembly module that functions are made of
    history   B sequence                       -> a commit's changes to all pairs, for backups

Numbers are big-endian, so the byte order is the numeric one. There is one partition per table for now.
"""

from __future__ import annotations

import struct

FORMAT = b"F"
STATE = b"S"
PARTITION = 0
WHOLE_TABLE = (1 << 64) - 1  # as the segment of a garbage key: all segments of the table

_TABLE = struct.Struct(">cI")
_PARTITION = struct.Struct(">cII")
_SEGMENT = struct.Struct(">cIIQ")
_COLUMN = struct.Struct(">cIIQH")
_STRINGS = struct.Struct(">cIHI")
_HISTORY = struct.Struct(">cQ")


def table(table_id: int) -> bytes:
    return _TABLE.pack(b"T", table_id)


def strings(table_id: int, column: int, first_code: int) -> bytes:
    return _STRINGS.pack(b"D", table_id, column, first_code)


def header(table_id: int, segment: int) -> bytes:
    return _SEGMENT.pack(b"H", table_id, PARTITION, segment)


def column(table_id: int, segment: int, column: int) -> bytes:
    return _COLUMN.pack(b"C", table_id, PARTITION, segment, column)


def deleted(table_id: int, segment: int) -> bytes:
    return _SEGMENT.pack(b"V", table_id, PARTITION, segment)


def log(table_id: int, sequence: int) -> bytes:
    return _SEGMENT.pack(b"L", table_id, PARTITION, sequence)


def garbage(table_id: int, segment: int) -> bytes:
    return _SEGMENT.pack(b"G", table_id, PARTITION, segment)


def object_(kind: str, schema: str, name: str) -> bytes:
    return b"O" + "\0".join((kind, schema, name)).encode()


def object_of(key: bytes) -> tuple[str, str, str]:
    """(kind, schema, name)"""
    kind, schema, name = key[1:].decode().split("\0", 2)
    return kind, schema, name


def sequence(sequence_id: int) -> bytes:
    return _TABLE.pack(b"N", sequence_id)


def module(digest: bytes) -> bytes:
    return b"W" + digest


def history(sequence: int) -> bytes:
    return _HISTORY.pack(b"B", sequence)


def history_sequence(key: bytes) -> int:
    return int(_HISTORY.unpack(key)[1])


def code(key: bytes) -> bytes:
    return b"M" + key


def table_range(space: bytes, table_id: int) -> tuple[bytes, bytes]:
    """The range of all keys of one table in one space (D, H, C, V or L)."""
    return _TABLE.pack(space, table_id), _TABLE.pack(space, table_id + 1)


def segment_columns(table_id: int, segment: int) -> tuple[bytes, bytes]:
    """The range of one segment's column values."""
    return (
        _SEGMENT.pack(b"C", table_id, PARTITION, segment),
        _SEGMENT.pack(b"C", table_id, PARTITION, segment + 1),
    )


def space(letter: bytes) -> tuple[bytes, bytes]:
    """The range of a whole key space."""
    return letter, bytes([letter[0] + 1])


def table_of(key: bytes) -> int:
    return int(_TABLE.unpack_from(key)[1])


def segment_of(key: bytes) -> int:
    """The segment (H, C, V, G) or sequence number (L) in a key."""
    return int(_SEGMENT.unpack_from(key)[3])


def first_code_of(key: bytes) -> tuple[int, int]:
    """(column, first code) of a dictionary key."""
    _, _, number, first = _STRINGS.unpack(key)
    return int(number), int(first)


def describe(key: bytes) -> str:
    """A key as a person reads it, for damage reports."""
    try:
        return _described(key)
    except struct.error:
        return f"unknown key {key[:16].hex()}"


def _described(key: bytes) -> str:
    match key[:1]:
        case b"F":
            return "format record"
        case b"S":
            return "state record"
        case b"T":
            return f"catalog record of table {table_of(key)}"
        case b"D":
            number, first = first_code_of(key)
            return f"dictionary of table {table_of(key)} column {number} from code {first}"
        case b"H":
            return f"header of table {table_of(key)} segment {segment_of(key)}"
        case b"C":
            number = int(_COLUMN.unpack(key)[4])
            return f"table {table_of(key)} segment {segment_of(key)} column {number}"
        case b"V":
            return f"deleted rows of table {table_of(key)} segment {segment_of(key)}"
        case b"L":
            return f"commit record {segment_of(key)} of table {table_of(key)}"
        case b"G":
            return f"garbage record of table {table_of(key)}"
        case b"M":
            return "module cache entry"
        case b"O":
            return "catalog record of " + key[1:].replace(b"\0", b" ").decode(errors="replace")
        case b"N":
            return f"value of sequence {table_of(key)}"
        case b"W":
            return f"module {key[1:].hex()[:16]} of functions"
        case b"B":
            return f"history of commit {history_sequence(key)}"
    return f"unknown key {key[:16].hex()}"
