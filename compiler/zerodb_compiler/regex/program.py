"""From a pattern to the bytes of its program, whose layout is in layout.py."""

from __future__ import annotations

import struct

from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.regex.automaton import Automaton, Builder, Colors, looks_of, make_colors
from zerodb_compiler.regex.layout import (
    ALTERNATIVE,
    ASCII,
    CONCAT,
    GROUP,
    HEADER_BYTES,
    LEAF,
    LOOK_BYTES,
    NODE_BYTES,
    REFERENCE,
    REPEAT,
)
from zerodb_compiler.regex.syntax import Flags, parse
from zerodb_compiler.regex.tree import (
    Alternatives,
    BackReference,
    Concat,
    Group,
    Look,
    Node,
    Repeat,
    has_back_references,
    has_captures,
    is_mixed,
    preference,
)


def compile_regex(pattern: str, options: int = 0) -> bytes:
    """The program of a pattern; 2201B for a wrong one. `options` are those of Flags.bits."""
    flags = Flags.from_bits(options)
    tree, groups = parse(pattern, flags)
    return _Writer(tree, groups, flags).write()


class _Writer:
    def __init__(self, tree: Node, groups: int, flags: Flags) -> None:
        self._tree, self._count, self._flags = tree, groups, flags
        self._groups: dict[int, Node] = {}
        self._collect(tree)
        self._colors: Colors = make_colors(tree)
        self._looks = looks_of(tree)
        self._builder = Builder(self._colors, self._looks, self._groups)
        self._out = bytearray(HEADER_BYTES + 128)
        self._automata: dict[Node, int] = {}

    def _collect(self, node: Node) -> None:
        match node:
            case Group(index=index, child=child):
                self._groups[index] = child
                self._collect(child)
            case Concat(items=parts) | Alternatives(branches=parts):
                for part in parts:
                    self._collect(part)
            case Repeat(child=child):
                self._collect(child)
            case _:
                pass

    def _put(self, place: int, *values: int) -> None:
        struct.pack_into(f"<{len(values)}i", self._out, place, *values)

    def _reserve(self, size: int) -> int:
        place = -(-len(self._out) // 4) * 4
        self._out.extend(bytes(place + size - len(self._out)))
        return place

    def write(self) -> bytes:
        colors = self._colors
        place = 0
        for code in range(128):
            while place + 1 < len(colors.starts) and colors.starts[place + 1] <= code:
                place += 1
            self._out[ASCII + code] = colors.colors[place]
        kinds = self._reserve(colors.count)
        self._out[kinds : kinds + colors.count] = bytes(colors.kinds)
        ranges = self._reserve(8 * len(colors.starts))
        self._put(ranges, *colors.starts, *colors.colors)
        look_table = self._reserve(LOOK_BYTES * len(self._looks))
        for number, look in enumerate(self._looks):
            automaton = self._automaton(look.child, anywhere=not look.ahead)
            self._put(look_table + number * LOOK_BYTES, automaton, int(look.ahead), int(look.negated))
        tree = self._tree
        main = self._automaton(tree)
        search = self._builder.build(tree, anywhere=True, first_only=True) if not self._looks else None
        shortest = int(preference(tree) is False)
        checked = int(has_back_references(tree))
        search_place = self._write_automaton(search) if search is not None else 0
        root = self._node(tree) if has_captures(tree) else 0
        self._put(
            0, colors.count, len(self._looks), self._count, shortest, checked, kinds, ranges, len(colors.starts),
            look_table, main, search_place, root,
        )  # fmt: skip
        return bytes(self._out)

    def _automaton(self, node: Node, anywhere: bool = False) -> int:
        key: Node = Look(node, False, False) if anywhere else node
        known = self._automata.get(key)
        if known is None:
            if looks_of(node) and self._is_inside_look(node):
                raise NotSupportedError("look-around conditions within look-around conditions")
            built = self._builder.build(node, anywhere=anywhere)
            if built is None:
                raise NotSupportedError("a regular expression that needs as many states as this one")
            known = self._automata[key] = self._write_automaton(built)
        return known

    def _is_inside_look(self, node: Node) -> bool:
        return any(look.child is node for look in self._looks)

    def _write_automaton(self, automaton: Automaton) -> int:
        width = 4 * len(automaton.rows[0])
        place = self._reserve(16 + width * len(automaton.rows))
        first = place + 16
        # State 0 is dead: offset 0.
        offsets = [0, *(first + number * width for number in range(1, len(automaton.rows)))]
        self._put(place, *(offsets[state] for state in automaton.starts))
        for number, row in enumerate(automaton.rows):
            self._put(first + number * width, *(offsets[state] | accepts for state, accepts in row))
        return place

    # --- nodes ----------------------------------------
    def _node(self, node: Node) -> int:
        numbers = sorted(self._groups_in(node))
        first, last = (numbers[0], numbers[-1]) if numbers else (1, 0)
        automaton = self._automaton(node)
        match node:
            case Concat(items=items):
                parts = self._merged(items)
                if len(parts) == 1:
                    return self._leaf(automaton)
                head, rest = parts[0], parts[1] if len(parts) == 2 else Concat(tuple(parts[1:]))
                values = (CONCAT, automaton, first, last, self._node(head), self._node(rest))
                return self._emit(*values, int(preference(head) is False))
            case Group(index=index, child=child):
                return self._emit(GROUP, automaton, first, last, self._node(child), index)
            case Alternatives(branches=branches) if has_captures(node):
                following = 0
                for branch in reversed(branches):
                    own = self._automaton(branch)
                    following = self._emit(ALTERNATIVE, automaton, first, last, self._node(branch), following, own)
                return following
            case Repeat(child=child, least=least, most=most) if has_captures(node):
                star = self._automaton(Repeat(child, 0, None, True))
                bounds = (least, -1 if most is None else most, int(preference(child) is False))
                return self._emit(REPEAT, automaton, first, last, self._node(child), *bounds, star)
            case BackReference(index=index):
                return self._emit(REFERENCE, automaton, 1, 0, index, int(self._flags.ignore_case))
        return self._leaf(automaton)

    def _leaf(self, automaton: int) -> int:
        return self._emit(LEAF, automaton, 1, 0)

    def _emit(self, *values: int) -> int:
        place = self._reserve(NODE_BYTES)
        self._put(place, *values)
        return place

    def _groups_in(self, node: Node) -> set[int]:
        match node:
            case Group(index=index, child=child):
                return {index} | self._groups_in(child)
            case Concat(items=parts) | Alternatives(branches=parts):
                return set().union(*(self._groups_in(part) for part in parts))
            case Repeat(child=child):
                return self._groups_in(child)
            case _:
                return set()

    def _merged(self, items: tuple[Node, ...]) -> list[Node]:
        """Neighbours that need no taking apart and have no conflict of preference, as one part each."""
        parts: list[Node] = []
        run: list[Node] = []
        for item in items:
            plain = not has_captures(item) and not is_mixed(item)
            if plain and not is_mixed(Concat((*run, item))):
                run.append(item)
                continue
            if run:
                parts.append(run[0] if len(run) == 1 else Concat(tuple(run)))
            run = [item] if plain else []
            if not plain:
                parts.append(item)
        if run:
            parts.append(run[0] if len(run) == 1 else Concat(tuple(run)))
        return parts
