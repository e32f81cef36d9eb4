"""From a regular expression's tree to deterministic automata over character classes.

Code points that no set of the pattern tells apart are one *color* (Spencer). An automaton's state is a set of places in
the pattern together with what the previous character was; its row has one entry a color, and one for the end of the
text, telling the next state and whether a match ends *before* that character. That is how anchors and word boundaries,
which look at both sides of a place, need no code of their own: the entry knows both. Look-around conditions, which may
look anywhere, are evaluated by running their own automaton, and multiply the columns by two each (at most `MAX_LOOKS`).

States are made by subset construction with Python's integers as bit sets. Matching then is one table look-up a
character, whatever the pattern; a pattern that would need more than `MAX_ENTRIES` entries is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from zerodb_compiler.errors import NotSupportedError, error_for
from zerodb_compiler.regex.tree import (
    NEWLINE,
    Alternatives,
    Anchor,
    BackReference,
    Chars,
    Concat,
    Empty,
    Group,
    Look,
    Node,
    Repeat,
)
from zerodb_compiler.regex.unicode_classes import MAX_CODE_POINT, Ranges, named_class

MAX_LOOKS = 4
MAX_PLACES = 20_000
MAX_ENTRIES = 100_000
MAX_SEARCH_ENTRIES = 10_000  # the automaton that finds out whether there is a match at all can be done without

# What the character on one side of a place is.
EDGE, LINE, WORD, OTHER = 0, 1, 2, 3  # beginning or end of the text, newline, letter digit or underscore, another


@dataclass(frozen=True, slots=True)
class Colors:
    """`starts[i]` begins a run of code points of color `colors[i]`; `kinds` says for each color what its characters
    are (LINE, WORD or OTHER)."""

    starts: tuple[int, ...]
    colors: tuple[int, ...]
    kinds: tuple[int, ...]
    of_set: dict[Ranges, tuple[int, ...]]

    @property
    def count(self) -> int:
        return len(self.kinds)


@dataclass(frozen=True, slots=True)
class Automaton:
    """`starts`: the first state by the kind of the previous character. A row has (colors + 1) << looks entries, each
    (next state, does a match end before this character); state 0 is dead."""

    starts: tuple[int, int, int, int]
    rows: tuple[tuple[tuple[int, bool], ...], ...]


def sets_of(node: Node) -> list[Ranges]:
    match node:
        case Chars(ranges=ranges):
            return [ranges]
        case Concat(items=parts) | Alternatives(branches=parts):
            return [ranges for part in parts for ranges in sets_of(part)]
        case Repeat(child=child) | Group(child=child) | Look(child=child):
            return sets_of(child)
        case _:
            return []


def anchors_of(node: Node) -> set[str]:
    match node:
        case Anchor(kind=kind):
            return {kind}
        case Concat(items=parts) | Alternatives(branches=parts):
            return set().union(*(anchors_of(part) for part in parts))
        case Repeat(child=child) | Group(child=child) | Look(child=child):
            return anchors_of(child)
        case _:
            return set()


def looks_of(node: Node) -> list[Look]:
    """Outer ones only; each once."""
    match node:
        case Look():
            return [node]
        case Concat(items=parts) | Alternatives(branches=parts):
            return list(dict.fromkeys(look for part in parts for look in looks_of(part)))
        case Repeat(child=child) | Group(child=child):
            return looks_of(child)
        case _:
            return []


def make_colors(node: Node) -> Colors:
    """The coarsest division of the code points that all sets of the tree, and its anchors, need."""
    sets = list(dict.fromkeys(sets_of(node)))
    anchors = anchors_of(node)
    words = named_class("word")
    assert words is not None
    marks: list[tuple[Ranges, int]] = []
    if anchors & {"line_start", "line_end"}:
        marks.append((NEWLINE, LINE))
    if anchors & {"word_start", "word_end", "word_boundary", "not_word_boundary"}:
        marks.append((words, WORD))
    groups = [*sets, *(ranges for ranges, _ in marks)]
    changes: dict[int, int] = {0: 0}
    for bit, ranges in enumerate(groups):
        for first, last in ranges:
            changes[first] = changes.get(first, 0) ^ 1 << bit
            changes[last + 1] = changes.get(last + 1, 0) ^ 1 << bit
    colors: dict[int, int] = {}
    starts: list[int] = []
    places: list[int] = []
    members = 0
    for start in sorted(changes):
        members ^= changes[start]
        color = colors.setdefault(members, len(colors))
        if start <= MAX_CODE_POINT and (not places or places[-1] != color):
            starts.append(start)
            places.append(color)
    if len(colors) > 255:
        raise error_for("2201B", "invalid regular expression: too many colors")
    kinds = []
    for bits in colors:
        kind = OTHER
        for number, (_, mark) in enumerate(marks):
            if bits >> len(sets) + number & 1:
                kind = mark
        kinds.append(kind)
    of_set = {ranges: tuple(c for bits, c in colors.items() if bits >> bit & 1) for bit, ranges in enumerate(sets)}
    return Colors(tuple(starts), tuple(places), tuple(kinds), of_set)


def _holds(kind: str, before: int, after: int) -> bool:
    match kind:
        case "text_start":
            return before == EDGE
        case "text_end":
            return after == EDGE
        case "line_start":
            return before in (EDGE, LINE)
        case "line_end":
            return after in (EDGE, LINE)
        case "word_start":
            return before != WORD and after == WORD
        case "word_end":
            return before == WORD and after != WORD
        case "word_boundary":
            return (before == WORD) != (after == WORD)
    return (before == WORD) == (after == WORD)


@dataclass(slots=True)
class _Places:
    """A nondeterministic automaton. A place that reads a character goes to the next place in number."""

    reads: dict[int, Ranges] = field(default_factory=dict)
    free: dict[int, list[int]] = field(default_factory=dict)
    tests: dict[int, tuple[Anchor | Look, int]] = field(default_factory=dict)
    count: int = 0

    def new(self) -> int:
        self.count += 1
        if self.count > MAX_PLACES:
            raise error_for("2201B", "invalid regular expression: regular expression is too complex")
        return self.count - 1

    def link(self, source: int, target: int) -> None:
        self.free.setdefault(source, []).append(target)

    def add(self, node: Node, start: int, groups: dict[int, Node]) -> int:
        """Adds the node from `start` on; its last place."""
        match node:
            case Empty():
                return start
            case Chars(ranges=ranges):
                place, end = self.new(), self.new()
                self.link(start, place)
                self.reads[place] = ranges
                assert end == place + 1
                return end
            case Concat(items=items):
                for item in items:
                    start = self.add(item, start, groups)
                return start
            case Alternatives(branches=branches):
                end = self.new()
                for branch in branches:
                    first = self.new()
                    self.link(start, first)
                    self.link(self.add(branch, first, groups), end)
                return end
            case Repeat(child=child, least=least, most=most):
                return self._repeat(child, least, most, start, groups)
            case Group(child=child):
                return self.add(child, start, groups)
            case BackReference(index=index):
                # What the group can match, at least; the text itself is compared when the match is taken apart.
                return self.add(groups[index], start, groups)
            case Anchor() | Look():
                place, end = self.new(), self.new()
                self.link(start, place)
                self.tests[place] = (node, end)
                return end

    def _repeat(self, child: Node, least: int, most: int | None, start: int, groups: dict[int, Node]) -> int:
        for _ in range(least):
            start = self.add(child, start, groups)
        end = self.new()
        if most is None:
            again = self.new()
            self.link(start, again)
            self.link(again, end)
            self.link(self.add(child, again, groups), again)
            return end
        for _ in range(most - least):
            self.link(start, end)
            start = self.add(child, start, groups)
        self.link(start, end)
        return end


class Builder:
    """Makes automata for parts of one pattern."""

    def __init__(self, colors: Colors, looks: list[Look], groups: dict[int, Node]) -> None:
        self._colors, self._looks, self._groups = colors, looks, groups
        if len(looks) > MAX_LOOKS:
            raise NotSupportedError(f"regular expressions with more than {MAX_LOOKS} look-around conditions")

    def build(self, node: Node, *, anywhere: bool = False, first_only: bool = False) -> Automaton | None:
        """The automaton of one part; `anywhere`: of texts that end in it; `first_only`: it is left where a match has
        been found. None if it would be too large."""
        places = _Places()
        start = places.new()
        if anywhere:
            # Each character may be skipped: the start stays in every set.
            again = places.new()
            places.link(start, again)
            read, end = places.new(), places.new()
            places.link(again, read)
            places.reads[read] = ((0, MAX_CODE_POINT),)
            places.link(end, again)
            start_of_match = places.new()
            places.link(again, start_of_match)
            final = places.add(node, start_of_match, self._groups)
        else:
            final = places.add(node, start, self._groups)
        limit = MAX_SEARCH_ENTRIES if first_only else MAX_ENTRIES
        return _Construction(places, final, self._colors, self._looks).run(start, limit, first_only)


class _Construction:
    """Subset construction."""

    def __init__(self, places: _Places, final: int, colors: Colors, looks: list[Look]) -> None:
        self._places, self._final, self._colors = places, final, colors
        self._looks = looks
        self._masks = [0] * colors.count
        everything = ((0, MAX_CODE_POINT),)
        for place, ranges in places.reads.items():
            for color in range(colors.count) if ranges == everything else colors.of_set[ranges]:
                self._masks[color] |= 1 << place
        self._closed: dict[tuple[int, int, int, int], int] = {}
        tests = [test for test, _ in places.tests.values()]
        self._has_anchors = any(isinstance(test, Anchor) for test in tests)
        self._tests_looks = any(isinstance(test, Look) for test in tests)

    def _closure(self, place: int, before: int, after: int, bits: int) -> int:
        """The places that can be reached from one without reading, as a set that includes it."""
        key = (place, before, after, bits)
        known = self._closed.get(key)
        if known is not None:
            return known
        seen, stack = 1 << place, [place]
        places = self._places
        while stack:
            item = stack.pop()
            for target in places.free.get(item, ()):
                if not seen >> target & 1:
                    seen |= 1 << target
                    stack.append(target)
            test = places.tests.get(item)
            if test is None or seen >> test[1] & 1:
                continue
            condition, target = test
            if isinstance(condition, Anchor):
                passes = _holds(condition.kind, before, after)
            else:
                passes = bool(bits >> self._looks.index(condition) & 1)
            if passes:
                seen |= 1 << target
                stack.append(target)
        self._closed[key] = seen
        return seen

    def _close(self, members: int, before: int, after: int, bits: int) -> int:
        closed = 0
        while members:
            lowest = members & -members
            if not closed & lowest:  # closures are whole
                closed |= self._closure(lowest.bit_length() - 1, before, after, bits)
            members ^= lowest
        return closed

    def run(self, start: int, limit: int, stop_at_match: bool) -> Automaton | None:
        colors, looks = self._colors, len(self._looks)
        kinds = (*colors.kinds, EDGE)
        numbers: dict[tuple[int, int], int] = {(0, OTHER): 0}
        queue: list[tuple[int, int]] = [(0, OTHER)]

        def number(members: int, before: int) -> int:
            key = (members, before) if members and self._has_anchors else (members, OTHER)
            found = numbers.get(key)
            if found is None:
                found = numbers[key] = len(queue)
                queue.append(key)
            return found

        first = tuple(number(1 << start, kind) for kind in (EDGE, LINE, WORD, OTHER))
        rows: list[tuple[tuple[int, bool], ...]] = []
        width = len(kinds) << looks
        final = 1 << self._final
        done = 0
        while done < len(queue):
            members, before = queue[done]
            done += 1
            if done * width > limit:
                return None
            row: list[tuple[int, bool]] = []
            closed_by: dict[tuple[int, int], int] = {}
            for color, after in enumerate(kinds):
                kind = after if self._has_anchors else OTHER
                for bits in range(1 << looks):
                    bits = bits if self._tests_looks else 0
                    closed = closed_by.get((kind, bits))
                    if closed is None:
                        closed = closed_by[kind, bits] = self._close(members, before, kind, bits)
                    accepts = bool(closed & final)
                    if color == colors.count or (accepts and stop_at_match):
                        row.append((0, accepts))
                    else:
                        row.append((number((closed & self._masks[color]) << 1, after), accepts))
            rows.append(tuple(row))
        assert len(first) == 4
        return Automaton((first[0], first[1], first[2], first[3]), tuple(rows))
