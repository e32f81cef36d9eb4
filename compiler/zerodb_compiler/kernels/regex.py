"""Running compiled regular expressions (zerodb_compiler/regex/layout.py says what a program is).

`find` gives the leftmost match as PostgreSQL defines it: of the matches that begin first, the longest or the shortest,
by the preference of the whole; groups then by taking the match apart. A place in the text is an address; NOWHERE none.
`start` and `end` are the text's; `p` is where a search or an automaton begins.

Time: an automaton looks at each character once. A search may run one from each place of the text. Taking apart a match
runs automata for each candidate place of a division, and goes back only for back references.
"""

from __future__ import annotations

from zerodb_compiler.kernels.intrinsics import (
    gt_u,
    i32,
    inline,
    load8_u,
    load32,
    ptr,
    store32,
)
from zerodb_compiler.kernels.text import character_bytes
from zerodb_compiler.kernels.text_building import decode, lower_character
from zerodb_compiler.regex import layout

NOWHERE = -1
LONGEST = 0
SHORTEST = 1
IN_LOOK = 3  # shortest; there are no look-around conditions inside
MAX_DEPTH = 2000


def high_color(code: ptr, character: i32) -> i32:
    """The color of a character beyond ASCII."""
    starts = code + load32(code, layout.HEADER_RANGES)
    count = load32(code, layout.HEADER_RANGE_COUNT)
    low = 0
    high = count - 1
    while low < high:
        middle = (low + high + 1) >> 1
        if load32(starts + (middle << 2)) <= character:
            low = middle
        else:
            high = middle - 1
    return load32(starts + ((count + low) << 2))


@inline
def color_of(code: ptr, p: ptr) -> tuple[i32, i32]:
    """Color and bytes of the character at p."""
    byte = load8_u(p)
    if byte < 0x80:
        return load8_u(code + byte, layout.ASCII), 1
    character, size = decode(p)
    return high_color(code, character), size


def before(p: ptr) -> ptr:
    """Where the character that ends at p begins."""
    p -= 1
    while load8_u(p) & 0xC0 == 0x80:
        p -= 1
    return p


def kind_before(code: ptr, start: ptr, p: ptr) -> i32:
    if p == start:
        return 0
    color, _ = color_of(code, before(p))
    return load8_u(code + load32(code, layout.HEADER_KINDS) + color)


def looks(code: ptr, start: ptr, end: ptr, p: ptr, count: i32) -> i32:
    """Which look-around conditions hold at p, a bit each."""
    bits = 0
    entry = code + load32(code, layout.HEADER_LOOK_TABLE)
    for number in range(count):
        automaton = load32(entry)
        found = NOWHERE
        if load32(entry, 4):
            found = run(code, automaton, start, end, p, p, end, IN_LOOK)
        else:
            found = run(code, automaton, start, end, start, p, p, IN_LOOK)
        if (found != NOWHERE) != (load32(entry, 8) != 0):
            bits |= 1 << number
        entry += layout.LOOK_BYTES
    return bits


def run(code: ptr, automaton: ptr, start: ptr, end: ptr, p: ptr, least: ptr, limit: ptr, mode: i32) -> ptr:
    """Where the longest or shortest match from p that ends in least ... limit ends. The text goes on to `end`: what
    follows the limit counts for anchors."""
    row = load32(code + automaton + (kind_before(code, start, p) << 2))
    last = NOWHERE
    shift = load32(code, layout.HEADER_LOOKS)
    while row != 0:
        color = 0
        size = 0
        if p == end:
            color = load32(code, layout.HEADER_COLORS)
        else:
            color, size = color_of(code, p)
        column = color << shift
        if shift > 0 and mode != IN_LOOK:
            column |= looks(code, start, end, p, shift)
        entry = load32(code + row + (column << 2))
        if entry & 1 and not gt_u(least, p):
            last = p
            if mode != LONGEST:
                break
        if p == limit:
            break
        row = entry & -4
        p += size
    return last


@inline
def matches(code: ptr, automaton: ptr, start: ptr, end: ptr, p: ptr, q: ptr) -> bool:
    """Whether exactly the text from p to q matches."""
    return run(code, automaton, start, end, p, q, q, SHORTEST) != NOWHERE


# --- captures: for group n the addresses of its beginning (NOWHERE: unset) and end at captures + 8n -------------------
def clear(captures: ptr, first: i32, last: i32) -> None:
    for group in range(first, last + 1):
        store32(captures + (group << 3), NOWHERE)
        store32(captures + (group << 3), NOWHERE, 4)


def same_text(p: ptr, q: ptr, r: ptr, s: ptr, ignore_case: i32) -> bool:
    """Whether the texts p ... q and r ... s are the same."""
    while p != q and r != s:
        a, size = decode(p)
        b, size_b = decode(r)
        if a != b and (ignore_case == 0 or lower_of(a) != lower_of(b)):
            return False
        p += size
        r += size_b
    return (p == q) & (r == s)


def lower_of(character: i32) -> i32:
    if character < 0x80:
        return character + 32 if (character >= 0x41) & (character <= 0x5A) else character
    return lower_character(character)


def dissect(code: ptr, node: ptr, start: ptr, end: ptr, p: ptr, q: ptr, captures: ptr) -> i32:
    """Sets the groups inside a node that is known to match p ... q; 0 if back references forbid it."""
    node = code + node
    kind = load32(node)
    if kind == layout.CONCAT:
        return divide(code, node, start, end, p, q, captures)
    if kind == layout.GROUP:
        if dissect(code, load32(node, layout.NODE_A), start, end, p, q, captures) == 0:
            return 0
        place = captures + (load32(node, layout.NODE_B) << 3)
        store32(place, p)
        store32(place, q, 4)
        return 1
    if kind == layout.ALTERNATIVE:
        while True:
            if matches(code, load32(node, layout.NODE_C), start, end, p, q):
                if dissect(code, load32(node, layout.NODE_A), start, end, p, q, captures):
                    return 1
                clear(captures, load32(node, layout.NODE_FIRST_GROUP), load32(node, layout.NODE_LAST_GROUP))
            following = load32(node, layout.NODE_B)
            if following == 0:
                return 0
            node = code + following
    if kind == layout.REPEAT:
        return repeated(code, node, start, end, p, q, 0, captures)
    if kind == layout.REFERENCE:
        place = captures + (load32(node, layout.NODE_A) << 3)
        if load32(place) == NOWHERE:
            return 0
        return same_text(load32(place), load32(place, 4), p, q, load32(node, layout.NODE_B))
    return 1


def divide(code: ptr, node: ptr, start: ptr, end: ptr, p: ptr, q: ptr, captures: ptr) -> i32:
    """A concatenation: the first division, in the order of the left side's preference, that both sides accept."""
    left = load32(node, layout.NODE_A)
    right = load32(node, layout.NODE_B)
    mode = load32(node, layout.NODE_C)
    left_automaton = load32(code + left, layout.NODE_AUTOMATON)
    right_automaton = load32(code + right, layout.NODE_AUTOMATON)
    middle = run(code, left_automaton, start, end, p, p, q, mode)
    while middle != NOWHERE:
        if matches(code, right_automaton, start, end, middle, q):
            done = dissect(code, left, start, end, p, middle, captures)
            if done and dissect(code, right, start, end, middle, q, captures):
                return 1
            clear(captures, load32(node, layout.NODE_FIRST_GROUP), load32(node, layout.NODE_LAST_GROUP))
        if mode == SHORTEST:
            if middle == q:
                break
            middle = run(code, left_automaton, start, end, p, middle + character_bytes(load8_u(middle)), q, SHORTEST)
        else:
            if middle == p:
                break
            middle = run(code, left_automaton, start, end, p, p, before(middle), LONGEST)
    return 0


def repeated(code: ptr, node: ptr, start: ptr, end: ptr, p: ptr, q: ptr, done: i32, captures: ptr) -> i32:
    """A repetition, `done` of which have been taken off already: each takes what it prefers and the rest allows. The
    groups are those of the last one."""
    child = load32(node, layout.NODE_A)
    least = load32(node, layout.NODE_B)
    most = load32(node, layout.NODE_C)
    mode = load32(node, layout.NODE_D)
    rest = load32(node, layout.NODE_E)
    automaton = load32(code + child, layout.NODE_AUTOMATON)
    first_group = load32(node, layout.NODE_FIRST_GROUP)
    last_group = load32(node, layout.NODE_LAST_GROUP)
    # Without back references a rest that the automaton accepts can be taken apart: no way back is needed.
    certain = load32(code, layout.HEADER_CHECKED) == 0
    if p == q and done >= least:
        return 1
    if done > MAX_DEPTH:
        store32(captures + (load32(code, layout.HEADER_GROUPS) << 3), 1, 8)
        return 0
    middle = run(code, automaton, start, end, p, p, q, mode)
    while middle != NOWHERE:
        again = False
        if middle == q:
            if done + 1 >= least or p == q:
                clear(captures, first_group, last_group)
                if dissect(code, child, start, end, p, q, captures):
                    return 1
        elif (
            (most < 0 or done + 1 < most)
            and (middle != p or done + 1 < least)
            and matches(code, rest, start, end, middle, q)
        ):
            clear(captures, first_group, last_group)
            if dissect(code, child, start, end, p, middle, captures):
                if certain and most < 0 and done + 2 >= least:
                    again = True
                elif repeated(code, node, start, end, middle, q, done + 1, captures):
                    return 1
        if again:
            p = middle
            done += 1
            middle = run(code, automaton, start, end, p, p, q, mode)
        elif mode == SHORTEST:
            if middle == q:
                break
            middle = run(code, automaton, start, end, p, middle + character_bytes(load8_u(middle)), q, SHORTEST)
        else:
            if middle == p:
                break
            middle = run(code, automaton, start, end, p, p, before(middle), LONGEST)
    return 0


# --- search -----------------------------------------------------------------------------------------------------------
def match_at(code: ptr, start: ptr, end: ptr, p: ptr, captures: ptr) -> i32:
    """The match that begins at p, with its groups. 0 if there is none."""
    main = load32(code, layout.HEADER_MAIN)
    mode = load32(code, layout.HEADER_SHORTEST)
    root = load32(code, layout.HEADER_ROOT)
    q = run(code, main, start, end, p, p, end, mode)
    while q != NOWHERE:
        clear(captures, 0, load32(code, layout.HEADER_GROUPS))
        store32(captures, p)
        store32(captures, q, 4)
        if root == 0:
            return 1
        if dissect(code, root, start, end, p, q, captures):
            return 1
        if load32(code, layout.HEADER_CHECKED) == 0:
            return 1
        if mode == SHORTEST:
            if q == end:
                break
            q = run(code, main, start, end, p, q + character_bytes(load8_u(q)), end, SHORTEST)
        else:
            if q == p:
                break
            q = run(code, main, start, end, p, p, before(q), LONGEST)
    return 0


def find(code: ptr, start: ptr, end: ptr, p: ptr, captures: ptr) -> i32:
    """The first match from p on, with its groups: 1, or 0 if there is none. `captures` has room for one pair more than
    the groups and the whole match; the word after the last group is set where the pattern is too complex."""
    search = load32(code, layout.HEADER_SEARCH)
    if search != 0 and run(code, search, start, end, p, p, end, SHORTEST) == NOWHERE:
        return 0
    while True:
        if match_at(code, start, end, p, captures):
            return 1
        if p == end:
            return 0
        p += character_bytes(load8_u(p))


def captures_bytes(code: ptr) -> i32:
    return (load32(code, layout.HEADER_GROUPS) + 2) << 3
