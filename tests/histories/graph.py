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

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

WW, WR, RW, RT = "ww", "wr", "rw", "rt"


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


def components(graph: Graph, kinds: frozenset[str]) -> list[set[int]]:
    """The strongly connected components of several transactions (Tarjan's algorithm, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[set[int]] = []
    for root in list(graph.edges):
        if root in index:
            continue
        work = [(root, iter(graph.out(root)))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, following = work[-1]
            for edge in following:
                if edge.kind not in kinds:
                    continue
                target = edge.target
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(graph.out(target))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = set()
                    while True:
                        last = stack.pop()
                        on_stack.discard(last)
                        component.add(last)
                        if last == node:
                            break
                    if len(component) > 1:
                        found.append(component)
    return found


class Rule(Enum):
    """Which edges may be together in a cycle."""

    ANY = "any"
    SINGLE = "one rw, the first edge"
    NONADJACENT = "no two rw in a row"

    def allows(self, last: Edge, following: Edge) -> bool:
        match self:
            case Rule.ANY:
                return True
            case Rule.SINGLE:
                return following.kind != RW
            case Rule.NONADJACENT:
                return not (last.kind == RW and following.kind == RW)

    def closes(self, last: Edge, first: Edge) -> bool:
        return self is not Rule.NONADJACENT or self.allows(last, first)


def _way(graph: Graph, first: Edge, within: set[int], kinds: frozenset[str], rule: Rule) -> tuple[Edge, ...] | None:
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
            if edge.kind in kinds and edge.target in within and state not in states and rule.allows(last, edge):
                states.add(state)
                came[edge] = last
                queue.append(edge)
    return None


def _cycle(graph: Graph, kinds: frozenset[str], first: str, rule: Rule = Rule.ANY) -> tuple[Edge, ...] | None:
    """A cycle of edges of these kinds that begins with an edge of the kind `first`: the shortest of a component."""
    best: tuple[Edge, ...] | None = None
    for component in components(graph, kinds):
        for node in component:
            for edge in graph.out(node):
                if edge.kind == first and edge.target in component and (best is None or len(best) > 2):
                    way = _way(graph, edge, component, kinds, rule)
                    if way is not None and (best is None or len(way) < len(best)):
                        best = way
        if best is not None:
            break
    return best


def cycles(graph: Graph) -> list[Anomaly]:
    """One cycle for each of the anomalies that are there. Those of real time only where none is without it."""
    found: list[Anomaly] = []
    for suffix, time in (("", frozenset[str]()), ("-realtime", frozenset({RT}))):
        back = frozenset({WW, WR}) | time
        for name, kinds, first, rule in (
            ("G0", frozenset({WW}) | time, WW, Rule.ANY),
            ("G1c", back, WR, Rule.ANY),
            ("G-single", back | {RW}, RW, Rule.SINGLE),
            ("G-nonadjacent", back | {RW}, RW, Rule.NONADJACENT),
            ("G2-item", back | {RW}, RW, Rule.ANY),
        ):
            cycle = _cycle(graph, kinds, first, rule)
            if cycle is None or (suffix and not any(edge.kind == RT for edge in cycle)):
                continue
            anti = sum(edge.kind == RW for edge in cycle)
            if name in ("G-nonadjacent", "G2-item"):
                if anti < 2:
                    continue
                if any(edge.predicate for edge in cycle):
                    name = name.replace("G2-item", "G2")
            if name == "G2-item" and any(anomaly.name.startswith("G-nonadjacent") for anomaly in found):
                continue
            found.append(Anomaly(name + suffix, ", ".join(map(str, cycle)), cycle))
    stale = _stale_read(graph)
    if stale is not None:
        found.append(Anomaly("stale read", ", ".join(map(str, stale)), stale))
    return found


def _stale_read(graph: Graph) -> tuple[Edge, ...] | None:
    """A reader that began after a transaction ended and did not see what that one, or one before it, had written. No
    level that reads what has been committed gives that, not even READ COMMITTED."""
    kinds = frozenset({WW, WR, RT, RW})
    for component in components(graph, kinds):
        before = {edge.target: edge for edge in graph.all() if edge.kind == RT and edge.source in component}
        for edge in graph.all():
            if edge.kind != RW or edge.source not in before or edge.target not in component:
                continue
            # The way back must end with the edge of time that leads into the reader.
            way = _way(graph, edge, component, kinds, Rule.SINGLE)
            if way is not None and way[-1].kind == RT:
                return way
    return None


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
