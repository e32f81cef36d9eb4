"""The modes of locks and which of them exclude each other: PostgreSQL's (documentation, 13.3 "Explicit Locking")."""

from __future__ import annotations

from enum import IntEnum


class TableMode(IntEnum):
    ACCESS_SHARE = 0
    ROW_SHARE = 1
    ROW_EXCLUSIVE = 2
    SHARE_UPDATE_EXCLUSIVE = 3
    SHARE = 4
    SHARE_ROW_EXCLUSIVE = 5
    EXCLUSIVE = 6
    ACCESS_EXCLUSIVE = 7


class RowMode(IntEnum):
    KEY_SHARE = 0
    SHARE = 1
    NO_KEY_UPDATE = 2
    UPDATE = 3


class AdvisoryMode(IntEnum):
    SHARED = 0
    EXCLUSIVE = 1


# By mode: the modes it conflicts with, as a set of bits.
TABLE_CONFLICTS = (
    0b1000_0000,
    0b1100_0000,
    0b1111_0000,
    0b1111_1000,
    0b1110_1100,
    0b1111_1100,
    0b1111_1110,
    0b1111_1111,
)
ROW_CONFLICTS = (0b1000, 0b1100, 0b1110, 0b1111)
ADVISORY_CONFLICTS = (0b10, 0b11)

assert all(  # a conflict is mutual
    bool(conflicts[a] >> b & 1) == bool(conflicts[b] >> a & 1)
    for conflicts in (TABLE_CONFLICTS, ROW_CONFLICTS, ADVISORY_CONFLICTS)
    for a in range(len(conflicts))
    for b in range(len(conflicts))
)


def rows_conflict(a: int, b: int) -> bool:
    return bool(ROW_CONFLICTS[a] >> b & 1)
