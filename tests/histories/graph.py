"""The graph of dependencies between transactions, and the cycles in it that are anomalies.

    a -ww-> b   b overwrote what a wrote           a -rt-> b   a had ended when b began
    a -wr-> b   b read what a wrote
    a -rw-> b   a read what b then overwrote (an anti-dependency; `predicate`: b wrote a row that a's query would have
                found)

After Adya's definitions (Weak Consistency, 1999), named as in Elle (Kingsbury, Alvaro: "Elle: Inferring Isolation
Anomalies from Experimental Observations", VLDB 2020):

    G0                 a cycle of ww                          G-nonadjacent   of several rw, no two of them in a row
    G1c                of ww and wr                           G2-item         any other
    G-single           with one rw (read skew)                G2              with a predicate's rw
    lost update        G-single of rw and ww of one key       ...-realtime    that needs an rt to be one

Snapshot isolation forbids all down to G-nonadjacent: it is acyclicity of (ww | wr) ; rw? (Cerone, Gotsman: "Analysing
Snapshot Isolation", 2018); with rt among the first, of its strong form. Serializability forbids all cycles.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

WW, WR, RW, RT = "ww", "wr", "rw", "rt"
_TRIED = 50
Node = TypeVar("Node", int, tuple[int, bool])


@dataclass(frozen=True, slots=True)
class Edge:
    source: int
    target: int
    kind: str
    key: object = None
    predicate: bool = False

    def __str__(self) -> str:
        return f"T{self.source} -{self.kind}{'' if self.key is None else f' {self.key}'}-> T{self.target}"


@dataclass(frozen=True, slots=True)
class Anomaly:
    name: str
    text: str
    edges: tuple[Edge, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


@dataclass(slots=True)
class Graph:
    """Edges by source. There is at most one of a kind between two transactions."""

    edges: dict[int, dict[tuple[int, str], Edge]] = field(default_factory=dict)

    def add(self, source: int, target: int, kind: str, key: object = None, *, predicate: bool = False) -> None:
        if source != target:
            self.edges.setdefault(source, {}).setdefault((target, kind), Edge(source, target, kind, key, predicate))

    def out(self, source: int) -> Iterable[Edge]:
        return self.edges.get(source, {}).values()

    def all(self) -> Iterator[Edge]:
        for found in self.edges.values():
            yield from found.values()


def components(edges: Mapping[Node, Iterable[Node]]) -> list[list[Node]]:
    """The strongly connected components, each after those that can be reached from it (Tarjan's algorithm, without
    recursion)."""
    index: dict[Node, int] = {}
    low: dict[Node, int] = {}
    stack: list[Node] = []
    on_stack: set[Node] = set()
    found: list[list[Node]] = []
    for root in edges:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(edges[root]))]
        while work:
            node, following = work[-1]
            for target in following:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(edges.get(target, ()))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    place = stack.index(node)
                    found.append(stack[place:])
                    on_stack.difference_update(stack[place:])
                    del stack[place:]
    return found


def _shortest(graph: Graph, kinds: frozenset[str], starts: Iterable[Edge], rule: Rule) -> tuple[Edge, ...] | None:
    """The shortest of the cycles that begin with one of some edges; a few of them are tried."""
    ways = (_way(graph, edge, kinds, rule) for edge in itertools.islice(starts, _TRIED))
    return min((way for way in ways if way is not None), key=len, default=None)


def _way(graph: Graph, first: Edge, kinds: frozenset[str], rule: Rule) -> tuple[Edge, ...] | None:
    """The shortest way that begins with the edge `first` and comes back to where that one began."""
    queue = deque([first])
    came: dict[Edge, Edge | None] = {first: None}
    states = {(first.target, first.kind == RW)}
    while queue:
        last = queue.popleft()
        if last.target == first.source and rule.closes(last, first):
            way: list[Edge] = []
            step: Edge | None = last
            while step is not None:
                way.append(step)
                step = came[step]
            return tuple(reversed(way))
        for edge in graph.out(last.target):
            state = (edge.target, edge.kind == RW)
            if edge.kind in kinds and state not in states and rule.allows(last, edge):
                states.add(state)
                came[edge] = last
                queue.append(edge)
    return None


class Rule(Enum):
    """Which edges may be together in a cycle."""

    ANY = "any"
    SINGLE = "one rw, the first edge"
    NONADJACENT = "no two rw in a row"
    STALE = "one rw, the first edge, and an rt at the end"

    def allows(self, last: Edge, following: Edge) -> bool:
        match self:
            case Rule.ANY:
                return True
            case Rule.SINGLE | Rule.STALE:
                return following.kind != RW
            case Rule.NONADJACENT:
                return not (last.kind == RW and following.kind == RW)

    def closes(self, last: Edge, first: Edge) -> bool:
        if self is Rule.STALE:
            return last.kind == RT
        return self is not Rule.NONADJACENT or self.allows(last, first)


def _inside(graph: Graph, kinds: frozenset[str], wanted: str) -> Iterator[Edge]:
    """The edges of the kind `wanted` that are in some cycle of edges of these kinds."""
    number: dict[int, int] = {}
    successors = {
        node: [edge.target for edge in found.values() if edge.kind in kinds] for node, found in graph.edges.items()
    }
    for place, component in enumerate(components(successors)):
        for node in component:
            number[node] = place
    return (edge for edge in graph.all() if edge.kind == wanted and number[edge.source] == number[edge.target])


def _reached(graph: Graph, kinds: frozenset[str]) -> tuple[dict[int, int], dict[int, int]]:
    """For each transaction its bit, and the bits of all that can be reached from it, with itself, over these kinds."""
    successors: dict[int, list[int]] = {edge.target: [] for edge in graph.all()}
    for node, found in graph.edges.items():
        successors[node] = [edge.target for edge in found.values() if edge.kind in kinds]
    bit = {node: 1 << place for place, node in enumerate(successors)}
    reach: dict[int, int] = {}
    for component in components(successors):
        bits = 0
        for node in component:
            bits |= bit[node]
            for target in successors[node]:
                bits |= reach.get(target, 0)
        for node in component:
            reach[node] = bits
    return bit, reach


def _nonadjacent(graph: Graph, back: frozenset[str]) -> Iterator[Edge]:
    """Edges rw in a closed way without two rw in a row: the nodes are doubled, by whether the last edge was one."""
    successors: dict[tuple[int, bool], list[tuple[int, bool]]] = {}
    for edge in graph.all():
        for state in (False, True):
            if edge.kind in back:
                successors.setdefault((edge.source, state), []).append((edge.target, False))
            elif edge.kind == RW and not state:
                successors.setdefault((edge.source, state), []).append((edge.target, True))
    number = {node: place for place, found in enumerate(components(successors)) for node in found}
    for edge in graph.all():
        ends = number.get((edge.source, False)), number.get((edge.target, True))
        if edge.kind == RW and ends[0] is not None and ends[0] == ends[1]:
            yield edge


def cycles(graph: Graph) -> list[Anomaly]:
    """One cycle for each of the anomalies that are there. Those of real time only where none is without it, and
    G-nonadjacent and G2-item only where nothing before them is there."""
    found: dict[str, tuple[Edge, ...]] = {}

    def note(name: str, cycle: tuple[Edge, ...] | None) -> None:
        if cycle is None or name.removesuffix("-realtime") in found:
            return
        if not name.endswith("-realtime") or any(edge.kind == RT for edge in cycle):
            found[name] = cycle

    for suffix, time in (("", frozenset[str]()), ("-realtime", frozenset({RT}))):
        ww, back = frozenset({WW}) | time, frozenset({WW, WR}) | time
        everything = back | {RW}
        note("G0" + suffix, _shortest(graph, ww, _inside(graph, ww, WW), Rule.ANY))
        note("G1c" + suffix, _shortest(graph, back, _inside(graph, back, WR), Rule.ANY))
        bit, reach = _reached(graph, back)
        single = (edge for edge in graph.all() if edge.kind == RW and reach[edge.target] & bit[edge.source])
        note("G-single" + suffix, _shortest(graph, everything, single, Rule.SINGLE))
        if "G-single" not in found and "G-single" + suffix not in found:
            note("G-nonadjacent" + suffix, _shortest(graph, everything, _nonadjacent(graph, back), Rule.NONADJACENT))
        if not any(name.startswith(("G-single", "G-nonadjacent")) for name in found):
            cycle = _shortest(graph, everything, _inside(graph, everything, RW), Rule.ANY)
            phantom = cycle is not None and any(edge.predicate for edge in cycle)
            note(("G2" if phantom else "G2-item") + suffix, cycle)
    note("stale read", _stale_read(graph))
    return [Anomaly(name, ", ".join(map(str, cycle)), cycle) for name, cycle in found.items()]


def _stale_read(graph: Graph) -> tuple[Edge, ...] | None:
    """A reader that began after a transaction ended and did not see what that one, or one before it, had written. No
    level that reads what has been committed gives that, not even READ COMMITTED."""
    kinds = frozenset({WW, WR, RT})
    bit, reach = _reached(graph, kinds)
    ended: dict[int, int] = {}
    for edge in graph.all():
        if edge.kind == RT:
            ended[edge.target] = ended.get(edge.target, 0) | bit[edge.source]
    stale = (edge for edge in graph.all() if edge.kind == RW and reach[edge.target] & ended.get(edge.source, 0))
    return _shortest(graph, kinds, stale, Rule.STALE)


def add_real_time(graph: Graph, spans: Iterable[tuple[int, int, int]]) -> None:
    """Edges a -rt-> b for transactions (number, start, end) of which a ended before b began, without those that
    follow from others."""
    events = sorted(
        [(start, True, number) for number, start, _ in spans] + [(end, False, number) for number, _, end in spans]
    )
    frontier: set[int] = set()
    behind: dict[int, frozenset[int]] = {}
    for _, begins, number in events:
        if begins:
            behind[number] = frozenset(frontier)
            for ended in frontier:
                graph.add(ended, number, RT)
        else:
            frontier -= behind.pop(number)
            frontier.add(number)
