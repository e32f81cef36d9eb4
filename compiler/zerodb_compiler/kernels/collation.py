"""Sort keys of the Unicode collation: texts whose bytes compare as the texts do.

`tables` is the address of the tables of collation/__init__.py. A text becomes its collation elements first, an array
at the end of the worker's scratch memory; the key is written behind it and moved to its place in the end:

    primary weights | 1 | secondary weights | 1 | tertiary weights | 1 | the text

Weights are one to four bytes, none of which begins with 0 or 1, and none is the beginning of another. The common
weights at the end of the secondary and the tertiary level are left out, which changes no order: whatever is compared
with them is not less.
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.collation import (
    CONTRACTION,
    EXPANSION,
    FIRST_HAN,
    FIRST_UNASSIGNED,
    HAN,
    HANGUL,
    PAGE,
    SPECIAL,
    UNASSIGNED,
)
from zerodb_compiler.kernels.intrinsics import (
    clz,
    div_s,
    gt_u,
    i32,
    load8_u,
    load16_u,
    load32,
    memory_copy,
    ptr,
    select,
    shr_u,
    store8,
    store16,
    store32,
)
from zerodb_compiler.kernels.memory import allocate
from zerodb_compiler.kernels.text_buffer import begin, finish, reserve
from zerodb_compiler.kernels.text_building import decode

INDEX, ENTRIES, EXPANSIONS, CONTRACTIONS, PRIMARIES, SECONDARIES, TERTIARIES, RUNS, CLASSES = range(0, 36, 4)
RUN_COUNT, CLASS_COUNT, PRIMARY_COUNT, COMMON_SECONDARY, COMMON_TERTIARY = range(36, 56, 4)
PAGE_BITS = PAGE.bit_length() - 1
assert SPECIAL == 31 and EXPANSION == 0

# What one character can need of the buffer: 31 elements.
CHARACTER_BYTES = 128


def tables_at(worker: ptr, field: ptr, number: i32) -> ptr:
    """The tables, which the host makes when they are first wanted; `field` keeps their address. 0: no memory."""
    tables = load32(field)
    if tables == 0:
        store32(worker, 0, abi.WORKER_ERROR_TEXT)
        store32(worker, 0, abi.WORKER_ERROR_TEXT + 4)
        tables = allocate(worker, number, abi.ALLOCATE_DERIVED)
        store32(field, tables)
    return tables


def entry_of(tables: ptr, character: i32) -> i32:
    page = load16_u(tables + load32(tables, INDEX) + ((character >> PAGE_BITS) << 1))
    return load32(tables + load32(tables, ENTRIES) + (((page << PAGE_BITS) + (character & (PAGE - 1))) << 2))


def han_element(tables: ptr, character: i32) -> i32:
    """The element of a character of a run."""
    runs = tables + load32(tables, RUNS)
    low = 0
    high = load32(tables, RUN_COUNT) - 1
    while low < high:
        middle = (low + high + 1) >> 1
        if load32(runs + middle * 12) <= character:
            low = middle
        else:
            high = middle - 1
    run = runs + low * 12
    return load32(run, 8) + ((character - load32(run)) << 14)


def combining_class(tables: ptr, character: i32) -> i32:
    classes = tables + load32(tables, CLASSES)
    low = 0
    high = load32(tables, CLASS_COUNT) - 1
    while low < high:
        middle = (low + high + 1) >> 1
        if load32(classes + (middle << 2)) >> 8 <= character:
            low = middle
        else:
            high = middle - 1
    found = load32(classes + (low << 2))
    if found >> 8 == character:
        return found & 255
    return 0


def put_entry(tables: ptr, out: ptr, entry: i32, character: i32) -> ptr:
    """Writes the elements of a character's entry, which is no contraction; gives the address behind them."""
    if entry & 31 < UNASSIGNED:
        store32(out, entry)
        return out + 4
    if entry & 31 == UNASSIGNED:
        store32(out, character << 5 | UNASSIGNED)
        return out + 4
    kind = entry >> 5 & 7
    if kind == EXPANSION:
        size = (entry >> 8 & 31) << 2
        memory_copy(out, tables + load32(tables, EXPANSIONS) + (shr_u(entry, 13) << 2), size)
        return out + size
    if kind == HAN:
        store32(out, han_element(tables, character))
        return out + 4
    return out


def put_hangul(tables: ptr, out: ptr, syllable: i32) -> ptr:
    """A syllable has the elements of the two or three letters it consists of."""
    index = syllable - 0xAC00
    lead = div_s(index, 588)
    rest = index - lead * 588
    vowel = div_s(rest, 28)
    tail = rest - vowel * 28
    out = put_entry(tables, out, entry_of(tables, 0x1100 + lead), 0)
    out = put_entry(tables, out, entry_of(tables, 0x1161 + vowel), 0)
    if tail != 0:
        out = put_entry(tables, out, entry_of(tables, 0x11A7 + tail), 0)
    return out


def find_suffix(contraction: ptr, second: i32, third: i32) -> ptr:
    """The entry's address of the contraction that goes on with these characters; 0 if there is none."""
    at = contraction + 8
    end = at + load32(contraction, 4) * 12
    while at < end:
        if load32(at) == second and load32(at, 4) == third:
            return at + 8
        at += 12
    return 0


def contracted(tables: ptr, contraction: ptr, p: ptr, end: ptr) -> tuple[ptr, i32, i32]:
    """The longest contraction of a character and what follows it at p: the address of its entry, the bytes of
    directly following characters it takes, and a bit for each later one it takes, marks over other marks."""
    found = contraction
    taken = 0
    second = 0
    third = 0
    if p < end:
        c1, size1 = decode(p)
        if p + size1 < end:
            c2, size2 = decode(p + size1)
            longer = find_suffix(contraction, c1, c2)
            if longer != 0:
                return longer, size1 + size2, 0
        shorter = find_suffix(contraction, c1, 0)
        if shorter != 0:
            found = shorter
            taken = size1
            second = c1
    mask = 0
    bit = 1
    last = 0
    p += taken
    while p < end and bit > 0 and third == 0:
        mark, size = decode(p)
        class_ = combining_class(tables, mark)
        if class_ == 0:
            break
        longer = 0
        if last < class_ and bit != 1:
            longer = find_suffix(contraction, mark, 0) if second == 0 else find_suffix(contraction, second, mark)
        if longer != 0:
            found = longer
            mask |= bit
            if second == 0:
                second = mark
            else:
                third = mark
        else:
            last = class_
        p += size
        bit <<= 1
    return found, taken, mask


def elements(worker: ptr, tables: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    """The buffer (text_buffer.py) with the text's collation elements, and their bytes; 0 if there is no memory."""
    base = reserve(worker, begin(worker), 0, (length << 2) + CHARACTER_BYTES)
    if base == 0:
        return 0, 0
    limit = base + (length << 2)
    out = base
    end = p + length
    passed = 0
    while p < end:
        if gt_u(out, limit):
            used = out - base
            base = reserve(worker, base, used, used + (CHARACTER_BYTES << 1))
            if base == 0:
                return 0, 0
            out = base + used
            limit = out + used
        character, size = decode(p)
        p += size
        if passed & 1 == 0:
            entry = entry_of(tables, character)
            if entry & 31 < UNASSIGNED:
                store32(out, entry)
                out += 4
            elif entry & 255 == HANGUL << 5 | SPECIAL:
                out = put_hangul(tables, out, character)
            elif entry & 255 == CONTRACTION << 5 | SPECIAL:
                found = tables + load32(tables, CONTRACTIONS) + (shr_u(entry, 8) << 2)
                while passed & 2 != 0:  # what an earlier contraction has taken is not between
                    _, taken = decode(p)
                    p += taken
                    passed = shr_u(passed, 1)
                if shr_u(passed, 1) == 0:
                    found, taken, mask = contracted(tables, found, p, end)
                    p += taken
                    passed = mask << 1
                out = put_entry(tables, out, load32(found), character)
            else:
                out = put_entry(tables, out, entry, character)
        passed = shr_u(passed, 1)
    return base, out - base


def put_primaries(tables: ptr, out: ptr, from_: ptr, to: ptr) -> tuple[ptr, i32]:
    """Gives also in which bits the elements' other weights differ from the common ones."""
    primaries = tables + load32(tables, PRIMARIES)
    count = load32(tables, PRIMARY_COUNT)
    common = load32(tables, COMMON_SECONDARY) << 5 | load32(tables, COMMON_TERTIARY)
    different = 0
    while from_ < to:
        element = load32(from_)
        index = shr_u(element, 14)
        different |= (element ^ common) & 0x3FFF
        if element & 31 != UNASSIGNED and index < count:
            weight = load32(primaries + (index << 2))
            store32(out, weight)
            out += 4 - (clz(weight) >> 3)
        else:
            beyond = FIRST_HAN + index - count
            if element & 31 == UNASSIGNED:
                beyond = FIRST_UNASSIGNED + shr_u(element, 5)
            store8(out, beyond >> 16)
            store8(out, beyond >> 8, 1)
            store8(out, beyond, 2)
            out += 3
        from_ += 4
    return out, different


def put_secondaries(tables: ptr, out: ptr, from_: ptr, to: ptr) -> ptr:
    secondaries = tables + load32(tables, SECONDARIES)
    common = load32(tables, COMMON_SECONDARY)
    last = out
    while from_ < to:
        element = load32(from_)
        index = select(element & 31 == UNASSIGNED, common, element >> 5 & 511)
        weight = load16_u(secondaries + (index << 1))
        store16(out, weight)
        out += 4 - (clz(weight) >> 3)
        if index != common and weight != 0:
            last = out
        from_ += 4
    return last


def put_tertiaries(tables: ptr, out: ptr, from_: ptr, to: ptr) -> ptr:
    tertiaries = tables + load32(tables, TERTIARIES)
    common = load32(tables, COMMON_TERTIARY)
    last = out
    while from_ < to:
        index = load32(from_) & 31
        index = select(index == UNASSIGNED, common, index)
        weight = load8_u(tertiaries + index)
        store8(out, weight)
        out += i32(weight != 0)
        if index != common and weight != 0:
            last = out
        from_ += 4
    return last


def collation_key(worker: ptr, tables: ptr, p: ptr, length: i32) -> tuple[ptr, i32]:
    """The sort key of a text, in scratch memory; address 0 if there is none."""
    base, used = elements(worker, tables, p, length)
    # Of each element at most 4 bytes of primary weight, 2 of secondary, 1 of tertiary; all written 4 bytes wide.
    base = reserve(worker, base, used, (used << 1) + length + 16)
    if base == 0:
        return 0, 0
    end = base + used
    out, different = put_primaries(tables, end, base, end)
    store8(out, 1)
    out += 1
    if different >> 5 != 0:
        out = put_secondaries(tables, out, base, end)
    store8(out, 1)
    out += 1
    if different & 31 != 0:
        out = put_tertiaries(tables, out, base, end)
    store8(out, 1)
    memory_copy(out + 1, p, length)
    size = out + 1 + length - end
    memory_copy(base, end, size)
    finish(worker, base + size)
    return base, size
