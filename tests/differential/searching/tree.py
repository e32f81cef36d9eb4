"""A query as a tree of text, made so that it can be made smaller without knowing SQL.

Each node has a *sort* ("int", "bool", "query:int,txt", ...). A node may be replaced by a descendant of its sort, by the
simplest text of its sort, or, if it is optional, by nothing; a list may lose members.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Node:
    sort: str
    parts: list[str | Node] = field(default_factory=list)
    optional: bool = False
    separator: str | None = None  # parts are the members of a list
    least: int = 1  # members that a list keeps

    def __str__(self) -> str:
        return (self.separator or "").join(map(str, self.parts))

    def walk(self) -> Iterator[Node]:
        yield self
        for part in self.parts:
            if isinstance(part, Node):
                yield from part.walk()

    def copy(self) -> Node:
        parts = [part.copy() if isinstance(part, Node) else part for part in self.parts]
        return Node(self.sort, parts, self.optional, self.separator, self.least)

    @property
    def size(self) -> int:
        return sum(1 for _ in self.walk())


def node(sort: str, template: str, *children: Node | str, optional: bool = False) -> Node:
    """The template's `{}` are the children, in order."""
    pieces = template.split("{}")
    assert len(pieces) == len(children) + 1, (template, children)
    parts: list[str | Node] = [pieces[0]]
    for child, piece in zip(children, pieces[1:], strict=True):
        parts += [child, piece]
    return Node(sort, [part for part in parts if part != ""], optional)


def listed(members: list[Node], separator: str = ", ", least: int = 1) -> Node:
    return Node("list", list(members), separator=separator, least=least)


def smaller(root: Node, simplest: dict[str, str]) -> Iterator[Node]:
    """Trees that are a step smaller, the largest steps first."""
    nodes = sorted(enumerate(root.walk()), key=lambda item: -item[1].size)
    for index, found in nodes:
        if found.optional and found.parts:
            yield _with(root, index, Node(found.sort, [], True))
        if found.separator is not None and len(found.parts) > found.least:
            for member in range(len(found.parts)):
                kept = found.parts[:member] + found.parts[member + 1 :]
                yield _with(root, index, Node(found.sort, kept, found.optional, found.separator, found.least))
        if found.sort in ("list", "clause"):
            continue
        for other in found.walk():
            if other is not found and other.sort == found.sort:
                yield _with(root, index, other)
        simple = simplest.get(found.sort)
        if simple is not None and str(found) != simple and found.size + len(str(found)) > len(simple):
            yield _with(root, index, Node(found.sort, [simple]))


def _with(root: Node, index: int, replacement: Node) -> Node:
    """A copy of the tree in which the node of that number (in the order of `walk`) is another one."""
    counter = iter(range(1 << 30))

    def build(current: Node) -> Node:
        if next(counter) == index:
            for _ in range(current.size - 1):
                next(counter)
            return replacement.copy()
        parts = [build(part) if isinstance(part, Node) else part for part in current.parts]
        return Node(current.sort, parts, current.optional, current.separator, current.least)

    return build(root)
