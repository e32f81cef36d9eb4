"""Join ordering: the cheapest tree over a region of joins, bushy trees included.

A *relation* is a leaf of the region with the bit of its number; a set of relations is an int. Edges are

    classes      expressions known to be equal (a = b and b = c make one class of three): any two members from two
                 sides give a hash key, so the order is not bound to the equalities that the text happens to have
    predicates   every other condition over two relations or more, applied at the first join that has all it reads
    dependents   the right side of a LEFT, SINGLE, SEMI or ANTI join: it may join only alone, as the right side, and
                 only to a set that has all relations its condition reads ("requires"). So semi joins sink to where
                 they are cheapest (TPC-H Q18, Q20) and the preserved side stays the left one

Connected pairs of sets are enumerated once each (DPccp, Moerkotte and Neumann, VLDB 2006). Beyond `PAIR_LIMIT` pairs
the greedy operator ordering (GOO, Fegaras 1998) takes over: join the two trees with the smallest result, repeatedly.

In the tree the right side is the build side of the hash join. Unconnected parts are connected by cross products between
their smallest relations.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from zerodb_compiler.plan.cardinality import combined_distinct, joined_rows
from zerodb_compiler.plan.costs import hash_join_cost, nested_loop_cost
from zerodb_compiler.plan.logical import JoinKind, LogicalPlan
from zerodb_compiler.sql.expressions import Expression

PAIR_LIMIT = 2_500


@dataclass(slots=True)
class Member:
    """An expression of a class and the relation it is from."""

    relation: int
    expression: Expression
    distinct: float


@dataclass(slots=True)
class EqualityClass:
    members: list[Member]
    mask: int = 0


@dataclass(slots=True)
class Predicate:
    """`selectivity` is what it keeps of the rows that conditions derived from it have left."""

    expression: Expression
    mask: int
    selectivity: float


@dataclass(slots=True)
class Relation:
    """A leaf. `rows` after its own filters, `base_rows` the most distinct keys it can have."""

    plan: LogicalPlan
    rows: float
    base_rows: float
    kind: JoinKind = JoinKind.INNER
    requires: int = 0  # for dependents: the relations its condition reads on the left
    condition: tuple[Expression, ...] = ()  # for dependents
    selectivity: float = 1.0  # for dependents, of the whole condition against the cross product
    share: float = 1.0  # for dependents: of left rows that have a match
    has_keys: bool = True  # for dependents: whether the condition has an equality
    order: int | None = None  # the class whose order the rows come in: that of a table's leading key column
    key: frozenset[int] = frozenset()  # the classes that hold the columns of a composite primary key


@dataclass(slots=True)
class Tree:
    """A subplan of the search: a relation, or a join with the build side right."""

    mask: int
    rows: float
    cost: float
    left: Tree | None = None
    right: Tree | None = None
    relation: int = -1
    order: int | None = None  # the class whose order the rows come in; the probe side keeps its order
    # class number -> the member with the fewest distinct values
    distinct: dict[int, Member] = field(default_factory=dict)


@dataclass(slots=True)
class Region:
    relations: list[Relation]
    classes: list[EqualityClass]
    predicates: list[Predicate]


def order(region: Region) -> Tree:
    """The cheapest tree found."""
    count = len(region.relations)
    search = _Search(region)
    leaves = [search.leaf(i) for i in range(count)]
    if count == 1:
        return leaves[0]
    neighbours = _neighbours(region, leaves)
    pairs = _limited(neighbours, count)
    if pairs is None:
        return _greedy(search, leaves, neighbours)
    best: dict[int, Tree] = {1 << i: leaf for i, leaf in enumerate(leaves)}
    for first, second in pairs:
        one, two = best.get(first), best.get(second)
        if one is None or two is None:  # not buildable: a dependent among others
            continue
        found = search.join(one, two, best.get(first | second))
        if found is not None:
            best[first | second] = found
    whole = best.get((1 << count) - 1)
    return whole if whole is not None else _greedy(search, leaves, neighbours)


class _Search:
    __slots__ = ("_dependents", "_region", "_rows")

    def __init__(self, region: Region) -> None:
        self._region = region
        self._rows: dict[int, float] = {}
        self._dependents = 0
        for i, relation in enumerate(region.relations):
            if relation.kind is not JoinKind.INNER:
                self._dependents |= 1 << i

    def leaf(self, number: int) -> Tree:
        relation = self._region.relations[number]
        distinct: dict[int, Member] = {}
        for i, equal in enumerate(self._region.classes):
            for member in equal.members:
                if member.relation == number and (i not in distinct or member.distinct < distinct[i].distinct):
                    distinct[i] = member
        return Tree(1 << number, relation.rows, 0.0, None, None, number, relation.order, distinct)

    def join(self, one: Tree, two: Tree, best: Tree | None) -> Tree | None:
        """The better of `best` and the join of the two in its better direction; None if they may not be joined."""
        dependents = self._dependents
        for left, right in ((one, two), (two, one)):
            if right.mask & dependents and right.left is None:
                if left.mask & dependents and left.left is None:
                    return best
                return self._dependent(left, right, best)
        mask = one.mask | two.mask
        shared = one.distinct.keys() & two.distinct.keys()
        rows = self._rows.get(mask)
        if rows is None:
            rows = self._rows[mask] = self._inner_rows(one, two)
        below = one.cost + two.cost
        if best is not None and below >= best.cost:
            return best
        probe, build = (one, two) if one.rows >= two.rows else (two, one)
        if shared:
            build_in_order = len(shared) == 1 and build.order in shared
            in_order = build_in_order and probe.order == build.order
            total = below + hash_join_cost(
                probe.rows, build.rows, rows, build_in_order=build_in_order, in_order=in_order
            )
        else:
            total = below + nested_loop_cost(probe.rows, build.rows, rows)
        if best is not None and total >= best.cost:
            return best
        return Tree(mask, rows, total, probe, build, -1, probe.order, _merged(one.distinct, two.distinct))

    def _dependent(self, left: Tree, right: Tree, best: Tree | None) -> Tree | None:
        relation = self._region.relations[right.relation]
        if relation.requires & ~left.mask:
            return best
        rows = joined_rows(relation.kind, left.rows, right.rows, relation.selectivity, relation.share)
        mask = left.mask | right.mask
        rows *= self._applied(left.mask, right.mask)
        rows = self._rows.setdefault(mask, max(rows, 1e-3))
        cost = hash_join_cost if relation.has_keys else nested_loop_cost
        total = left.cost + cost(left.rows, right.rows, rows)
        if best is not None and total >= best.cost:
            return best
        return Tree(mask, rows, total, left, right, -1, left.order, _merged(left.distinct, right.distinct))

    def _inner_rows(self, one: Tree, two: Tree) -> float:
        first: list[float] = []
        second: list[float] = []
        sources: tuple[set[int], set[int]] = (set(), set())
        keyed = self._composite_key(one, two)
        pairs = 1.0 if keyed is None else keyed[1]
        for i, member in one.distinct.items():
            other = two.distinct.get(i)
            if other is not None and (keyed is None or i not in keyed[0]):
                first.append(member.distinct)
                second.append(other.distinct)
                sources[0].add(member.relation)
                sources[1].add(other.relation)
        rows = one.rows * two.rows
        if first:
            left = combined_distinct(first, one.rows, self._bound(sources[0]))
            rows /= max(left, combined_distinct(second, two.rows, self._bound(sources[1])), 1.0)
        rows /= pairs
        return max(rows * self._applied(one.mask, two.mask), 1e-3)

    def _composite_key(self, one: Tree, two: Tree) -> tuple[frozenset[int], float] | None:
        """The classes of a composite primary key that the join covers, and the rows of its table: the other side's
        foreign keys refer to these, however many combinations of the columns one could count."""
        shared = one.distinct.keys() & two.distinct.keys()
        if len(shared) < 2:
            return None
        whole = one.mask | two.mask
        found: tuple[frozenset[int], float] | None = None
        for number, relation in enumerate(self._region.relations):
            covered = whole >> number & 1 and relation.key and relation.key <= shared
            if covered and (found is None or relation.base_rows > found[1]):
                found = relation.key, relation.base_rows
        return found

    def _bound(self, sources: set[int]) -> float:
        """Composite keys of one relation are at most as many as its rows."""
        return min(self._region.relations[source].base_rows for source in sources) if len(sources) == 1 else math.inf

    def _applied(self, one: int, two: int) -> float:
        """Selectivity of the predicates that this join is the first to know everything for."""
        selectivity = 1.0
        whole = one | two
        for predicate in self._region.predicates:
            mask = predicate.mask
            if mask & ~whole == 0 and mask & ~one and mask & ~two:
                selectivity *= predicate.selectivity
        return selectivity


def _merged(one: dict[int, Member], two: dict[int, Member]) -> dict[int, Member]:
    merged = dict(one)
    for i, member in two.items():
        other = merged.get(i)
        if other is None or member.distinct < other.distinct:
            merged[i] = member
    return merged


# --- the graph ------------------------------------------------------------------------------------------------------
def _neighbours(region: Region, leaves: list[Tree]) -> list[int]:
    """For each relation the set it has an edge with; unconnected parts are connected."""
    count = len(region.relations)
    found = [0] * count
    masks = [equal.mask for equal in region.classes] + [predicate.mask for predicate in region.predicates]
    masks += [relation.requires | 1 << i for i, relation in enumerate(region.relations) if relation.requires]
    for mask in masks:
        for i in range(count):
            if mask >> i & 1:
                found[i] |= mask & ~(1 << i)
    parts = _components(found)
    if len(parts) > 1:
        least = [min(_bits(part), key=lambda i: leaves[i].rows) for part in parts]
        for i in least:
            for j in least:
                if i != j:
                    found[i] |= 1 << j
    return found


def _components(neighbours: list[int]) -> list[int]:
    parts: list[int] = []
    seen = 0
    for start in range(len(neighbours)):
        if seen >> start & 1:
            continue
        part, front = 0, 1 << start
        while front:
            part |= front
            reached = 0
            for i in _bits(front):
                reached |= neighbours[i]
            front = reached & ~part
        seen |= part
        parts.append(part)
    return parts


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _limited(neighbours: list[int], count: int) -> list[tuple[int, int]] | None:
    """All pairs, or None if they are too many."""
    if (count**3 - count) // 6 > PAIR_LIMIT:  # what a chain has; no connected graph has fewer
        return None
    pairs: list[tuple[int, int]] = []
    for pair in connected_pairs(neighbours, count):
        pairs.append(pair)
        if len(pairs) > PAIR_LIMIT:
            return None
    # Smaller unions first, so that both halves are solved before they are joined.
    pairs.sort(key=lambda pair: (pair[0] | pair[1]).bit_count())
    return pairs


def connected_pairs(neighbours: list[int], count: int) -> Iterator[tuple[int, int]]:
    """Every pair of disjoint connected sets with an edge between them, once (DPccp)."""
    for i in range(count - 1, -1, -1):
        start = 1 << i
        yield from _complements(neighbours, start, neighbours[i])
        for grown, reached in _grown(neighbours, start, neighbours[i], (start << 1) - 1):
            yield from _complements(neighbours, grown, reached)


def _grown(neighbours: list[int], mask: int, reached: int, excluded: int) -> Iterator[tuple[int, int]]:
    """Connected supersets of `mask` that avoid `excluded`, each with all that its relations have edges with; `reached`
    is that of `mask`."""
    stack = [(mask, reached, excluded)]
    while stack:
        mask, reached, excluded = stack.pop()
        around = reached & ~mask & ~excluded
        if not around:
            continue
        excluded |= around
        found: list[tuple[int, int, int]] = []
        subset = around & -around
        while subset:
            reached_too, rest = reached, subset
            while rest:
                reached_too |= neighbours[(rest & -rest).bit_length() - 1]
                rest &= rest - 1
            yield mask | subset, reached_too
            found.append((mask | subset, reached_too, excluded))
            subset = (subset - around) & around
        found.reverse()
        stack += found


def _complements(neighbours: list[int], mask: int, reached: int) -> Iterator[tuple[int, int]]:
    lowest = mask & -mask
    excluded = ((lowest << 1) - 1) | mask
    around = rest = reached & ~excluded
    while rest:
        number = rest.bit_length() - 1  # the highest first
        start = 1 << number
        rest ^= start
        yield mask, start
        for grown, _ in _grown(neighbours, start, neighbours[number], excluded | (around & ((start << 1) - 1))):
            yield mask, grown


def _greedy(search: _Search, leaves: list[Tree], neighbours: list[int]) -> Tree:
    """Join the two connected trees with the smallest result until one is left. Trees are numbered as they are made;
    of equal results the one of the first trees is taken."""
    trees = dict(enumerate(leaves))
    reach = [neighbours[tree.relation] for tree in leaves]
    candidates: list[tuple[float, int, int, Tree]] = []  # a heap; trees that are in another already stay in it

    def offer(first: int, second: int) -> None:
        joined = search.join(trees[first], trees[second], None)
        if joined is not None:
            heapq.heappush(candidates, (joined.rows, first, second, joined))

    for first, second in itertools.combinations(trees, 2):
        if reach[first] & trees[second].mask:
            offer(first, second)
    while len(trees) > 1:
        while candidates and not (candidates[0][1] in trees and candidates[0][2] in trees):
            heapq.heappop(candidates)
        if candidates:
            _, first, second, best = heapq.heappop(candidates)
        else:  # what is connected may not be joined yet
            found = [
                (joined.rows, first, second, joined)
                for first, second in itertools.combinations(trees, 2)
                if (joined := search.join(trees[first], trees[second], None)) is not None
            ]
            _, first, second, best = min(found, key=lambda candidate: candidate[:3])
        new = len(reach)
        reach.append((reach[first] | reach[second]) & ~best.mask)
        del trees[first], trees[second]
        trees[new] = best
        for other, tree in trees.items():
            if reach[other] & best.mask or reach[new] & tree.mask:
                offer(other, new)
    return next(iter(trees.values()))
