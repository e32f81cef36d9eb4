"""The Unicode collation: which text comes before which for people, not for bytes.

The order is that of the Unicode Collation Algorithm with CLDR's root data, as ICU and so PostgreSQL's "und-x-icu" have
it: letters first by what they are, then by accents, then by case; punctuation counts; ties go by bytes, so that only
equal texts are equal. A text is a sequence of *collation elements*, each with a primary, a secondary and a tertiary
weight; its sort key (kernels/collation.py) has the primary weights of all elements, then the secondary and tertiary
ones, then the text.

`tables` gives what the kernel reads, made by tools/make_collation_tables.py; little-endian:

    u32 offsets of: index, entries, expansions, contractions, primaries, secondaries, tertiaries, runs, classes
    u32 number of runs, classes, primaries; the common secondary and tertiary weight
    index          u16 for each 64 code points: their page of entries
    entries        u32 for each code point: its collation element, or a special entry
    expansions     elements of those with several (or none)
    contractions   at each start: the entry of the character alone, how many; for each, the longest first:
                   the second character, the third or 0, the entry
    primaries      primary weights, 4 bytes in the order of the key, zeros last; secondaries: 2; tertiaries: 1
    runs           first, last character, element of the first: Han characters with consecutive primaries
    classes        code point << 8 | canonical combining class, of all that have one

    element        primary << 14 | secondary << 5 | tertiary, as indices. Primaries beyond the table are those of Han
                   characters, in order; tertiary UNASSIGNED: a code point << 5 without any data
    special        tertiary SPECIAL, then 3 bits of kind:
                   offset << 13 | count << 8 | EXPANSION, offset << 8 | CONTRACTION, HANGUL, HAN

Limits: text is taken as it is, in ICU's way without normalization: marks on one letter in another than the canonical
order differ.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from pathlib import Path

MAGIC = b"ZCOL1"
PAGE = 64
UNASSIGNED, SPECIAL = 30, 31
EXPANSION, CONTRACTION, HANGUL, HAN = 0, 1, 2, 3
# Sort keys give Han characters and code points without data three bytes from here on.
FIRST_HAN = 0x800000
FIRST_UNASSIGNED = 0x900000


@lru_cache(maxsize=1)
def tables() -> bytes:
    data = Path(__file__).with_name("root.bin").read_bytes()
    assert data.startswith(MAGIC)
    return zlib.decompress(data[len(MAGIC) :])
