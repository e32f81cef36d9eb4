"""Checks without an oracle: two ways of asking that must agree.

TLP (Rigger and Su, "Finding Bugs in Database Systems via Query Partitioning"): the rows of a query are those where a
predicate is true, those where it is false and those where it is NULL; aggregates and HAVING likewise. NoREC ("Detecting
Optimization Bugs in Database Engines via Non-optimizing Reference Engine Construction"): a filter keeps as many rows as
there are for which the predicate, computed as a value, is true.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.differential.searching.aggregates import aggregate
from tests.differential.searching.expressions import ORDERED_TYPES, Scope
from tests.differential.searching.queries import Queries
from tests.differential.searching.tree import Node, listed, node


@dataclass(slots=True)
class Pair:
    """Two queries with the same rows. The second tree is built from parts of the first by `rebuild`, so that only one
    tree shrinks: `parts` is a node over what both have."""

    kind: str
    parts: Node
    types: tuple[str, ...]

    def texts(self, parts: Node | None = None) -> tuple[str, str]:
        source, predicate, *items = map(str, (parts or self.parts).parts)
        columns = ", ".join(items)
        ways = (predicate, f"not ({predicate})", f"({predicate}) is null")
        match self.kind:
            case "TLP where":
                whole = f"select {columns} from {source}"
                return whole, " union all ".join(f"{whole} where {way}" for way in ways)
            case "TLP distinct":
                whole = f"select distinct {columns} from {source}"
                return whole, " union ".join(f"{whole} where {way}" for way in ways)
            case "TLP aggregate":
                whole = f"select {columns} from {source}"
                merged = ", ".join(f"{_merge(item)}(m{i})" for i, item in enumerate(items))
                named = ", ".join(f"{item} as m{i}" for i, item in enumerate(items))
                united = " union all ".join(f"select {named} from {source} where {way}" for way in ways)
                return whole, f"select {merged} from ({united}) as u"
            case "TLP having":
                key = items[0]
                whole = f"select {columns} from {source} group by {key}"
                return whole, " union all ".join(f"{whole} having {way}" for way in ways)
            case "NoREC":
                counted = f"select count(*) from {source} where {predicate}"
                return counted, f"select coalesce(sum(case when {predicate} then 1 else 0 end), 0) from {source}"
        raise AssertionError(self.kind)


def _merge(item: str) -> str:
    return "sum" if item.startswith(("count", "sum")) else item[:3]


def make_pair(queries: Queries) -> Pair:
    r = queries.r
    queries._alias, queries._common = 0, []
    queries.expressions.subqueries_left = r.randint(0, 2)
    source = queries._from(Scope(), 1)
    scope = source.scope
    predicate = queries.expressions.predicate(scope, 2)
    kind = r.choice(("TLP where", "TLP where", "TLP distinct", "TLP aggregate", "TLP having", "NoREC", "NoREC"))
    ordered = [type_ for type_ in queries.types if type_ in ORDERED_TYPES]
    types: tuple[str, ...] = ("big",)
    items: list[Node] = []
    match kind:
        case "TLP where":
            types = tuple(r.choice(list(queries.types)) for _ in range(r.randint(1, 3)))
            items = [queries.expressions.expression(type_, scope, 1) for type_ in types]
        case "TLP distinct":
            types = tuple(r.choice(ordered) for _ in range(r.randint(1, 3)))
            items = [queries.expressions.expression(type_, scope, 1) for type_ in types]
        case "TLP aggregate":
            types = tuple(r.choice(("big", "int", "txt")) for _ in range(r.randint(1, 3)))
            for type_ in types:
                argument = queries.expressions.leaf("int" if type_ == "big" else type_, scope)
                call = r.choice(("count({})", "sum({})")) if type_ == "big" else r.choice(("min({})", "max({})"))
                items.append(node(type_, call, argument))
        case "TLP having":
            key_type = r.choice(ordered)
            key = queries.expressions.column(key_type, Scope(scope.refs))
            if key is None:
                key_type, key = scope.refs[0].type, Node(scope.refs[0].type, [scope.refs[0].text])
            if key_type not in ORDERED_TYPES:
                return make_pair(queries)
            types = (key_type, "big")
            items = [Node("fixed", [str(key)]), aggregate(queries.expressions, "big", scope)]
            predicate = node(
                "bool", f"({{}} {r.choice(('>', '<', '='))} {{}})", aggregate(queries.expressions, "big", scope),
                aggregate(queries.expressions, "big", scope),
            )  # fmt: skip
    return Pair(kind, listed([source.tree, predicate, *items], "\n", least=2 + len(items)), types)
