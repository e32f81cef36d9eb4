"""A compiled regular expression as bytes, position-independent, for kernels/regex.py.

All fields are little-endian i32; offsets count from the program's beginning. "Automaton" is the offset of four offsets
of first rows (by the kind of the previous character), entries are offsets of rows, with 1 added where a match ends.

    header      HEADER_* below
    ascii       128 bytes: the color of each ASCII character
    kinds       a byte a color
    ranges      code points at which runs of one color begin, ascending; then as many colors
    looks       for each: automaton, 1 for ahead and 0 for behind, negated, 0
    nodes       how to take a match apart (Spencer's "dissection"), NODE_* below

A node says what a part of the pattern is, for parts with groups inside. A concatenation is a pair: its left side takes
the longest (or shortest) text that the automata of both sides allow, then both sides are taken apart. The others:
group, alternatives (the first that matches), repetition, back reference, and `leaf` where nothing remains to be done.
"""

from __future__ import annotations

# --- header ----------------------------------------
HEADER_COLORS = 0  # number of colors: the end of the text is the column after them
HEADER_LOOKS = 4
HEADER_GROUPS = 8
HEADER_SHORTEST = 12  # 1 if the whole prefers the shortest match
HEADER_CHECKED = 16  # 1 if a match must be taken apart to be one (back references)
HEADER_KINDS = 20
HEADER_RANGES = 24
HEADER_RANGE_COUNT = 28
HEADER_LOOK_TABLE = 32
HEADER_MAIN = 36  # automaton of the whole
HEADER_SEARCH = 40  # automaton of texts that end in a match; 0 if there is none
HEADER_ROOT = 44  # node; 0 where there are no groups
HEADER_BYTES = 48
ASCII = HEADER_BYTES

# --- nodes: kind, then ----------------------------------------
NODE_KIND = 0
LEAF = 0
CONCAT = 1  # left, right nodes, shortest
GROUP = 2  # child node, index
ALTERNATIVE = 3  # node, next alternative or 0, automaton of the node (the other is that of all alternatives)
REPEAT = 4  # child node, least, most (-1: no limit), shortest, automaton of child*
REFERENCE = 5  # index, ignore case
NODE_AUTOMATON = 4  # every node: its automaton
NODE_FIRST_GROUP = 8  # the groups inside are first ... last
NODE_LAST_GROUP = 12
NODE_A = 16
NODE_B = 20
NODE_C = 24
NODE_D = 28
NODE_E = 32
NODE_BYTES = 36

LOOK_BYTES = 16
