"""Random queries over random tables: joins, subqueries, grouping, windows, set operations, CTEs."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.differential.searching.aggregates import aggregate
from tests.differential.searching.expressions import ORDERED_TYPES, Expressions, Ref, Scope
from tests.differential.searching.schema import Table
from tests.differential.searching.tree import Node, listed, node
from tests.differential.searching.windows import window

MOST_SUBQUERIES = 3


@dataclass(slots=True)
class Query:
    """`types` are the generator's types of the output; `ordered`: rows come in a known order."""

    tree: Node
    types: tuple[str, ...]
    ordered: bool
    views: bool = False  # ask us with views for the common table expressions

    @property
    def text(self) -> str:
        return str(self.tree)


def _recurs(common: Node) -> bool:
    return common.sort == "recursion"


@dataclass(slots=True)
class From:
    tree: Node
    scope: Scope


class Queries:
    def __init__(self, r: random.Random, tables: list[Table], types: dict[str, str]) -> None:
        self.r = r
        self.tables = tables
        self.types = types
        self.expressions = Expressions(r, types)
        self.expressions.subquery = self._subquery
        self._alias = 0
        self._common: list[tuple[str, tuple[str, ...]]] = []

    def query(self) -> Query:
        """A whole statement."""
        r = self.r
        self._alias, self._common = 0, []
        self.expressions.subqueries_left = r.randint(0, MOST_SUBQUERIES)
        types = tuple(self._type() for _ in range(r.randint(1, 4)))
        common = [self._cte() for _ in range(r.choice((0, 0, 0, 1, 2)))]
        body = self._body(types, Scope(), 2)
        ordered = r.random() < 0.35 and all(type_ in ORDERED_TYPES for type_ in types)
        tree = body
        if common:
            recursive = "recursive " if any(map(_recurs, common)) else ""
            tree = node("whole", f"with {recursive}{{}} {{}}", listed(common), tree)
        if ordered:
            places = listed(
                [Node("place", [f"{i + 1}{self._direction()}"]) for i in range(len(types))], least=len(types)
            )
            tree = node("whole", "{} order by {}{}", tree, places, self._limit())
        views = bool(common) and not any(map(_recurs, common)) and r.random() < 0.3
        return Query(tree, types, ordered, views)

    def _type(self) -> str:
        return self.r.choice(list(self.types))

    def _direction(self) -> str:
        return self.r.choice(("", "", " desc", " nulls first", " desc nulls last"))

    def _limit(self) -> Node:
        r = self.r
        choice = r.random()
        if choice < 0.5:
            return Node("clause", [], True)
        if choice < 0.8:
            return Node("clause", [f" limit {r.choice((0, 1, 3, 10))}"], True)
        if choice < 0.95:
            return Node("clause", [f" limit {r.choice((1, 3))} offset {r.choice((0, 1, 2))}"], True)
        return Node("clause", [f" fetch first {r.choice((1, 2, 3))} rows with ties"], True)

    def _cte(self) -> Node:
        name = f"w{len(self._common)}"
        if self.r.random() < 0.25:
            return self._recursive(name)
        types = tuple(self._type() for _ in range(self.r.randint(1, 3)))
        columns = ", ".join(f"k{i}" for i in range(len(types)))
        word = self.r.choice(("", "", "materialized ", "not materialized "))
        tree = node("cte", f"{name} ({columns}) as {word}({{}})", self._body(types, Scope(), 1))
        self._common.append((name, types))
        return tree

    def _recursive(self, name: str) -> Node:
        """A walk along numbers, with a value that is carried or looked up at each step."""
        r = self.r
        type_ = self._type()
        start = self._select(("int", type_), Scope(), 0)
        table = r.choice(self.tables)
        alias, step = self._new_alias(), self._new_alias()
        scope = Scope(
            (Ref(f"{alias}.k1", type_), *(Ref(f"{step}.{c.name}", c.type, c.extremes) for c in table.columns))
        )
        value = self.expressions.expression(type_, scope, 1)
        union = "union" if type_ in ORDERED_TYPES and type_ not in ("dbl", "ivl") and r.random() < 0.6 else "union all"
        joined = r.choice((f"{step}.id - 1 = {alias}.k0", f"{step}.id = {alias}.k0 / 2 and {alias}.k0 > 0"))
        tree = node(
            "recursion",
            f"{name} (k0, k1) as ({{}} {union} select {step}.id, {{}} from {name} as {alias} "
            f"join {table.name} as {step} on {joined})",
            start,
            value,
        )
        self._common.append((name, ("int", type_)))
        return tree

    # --- query expressions -------------------------------------------------------------------------------------------
    def _body(self, types: tuple[str, ...], outer: Scope, depth: int) -> Node:
        r = self.r
        sort = "query:" + ",".join(types)
        if depth > 0 and r.random() < 0.12 and all(type_ in ORDERED_TYPES for type_ in types):
            op = r.choice(("union", "union all", "intersect", "except", "intersect all", "except all"))
            left, right = self._select(types, outer, depth - 1), self._select(types, outer, depth - 1)
            return node(sort, f"({{}}) {op} ({{}})", left, right)
        if r.random() < 0.03:
            rows = [
                node("row", "({})", listed([self.expressions.constant(t) for t in types], least=len(types)))
                for _ in range(r.randint(1, 3))
            ]
            return node(sort, "values {}", listed(rows))
        return self._select(types, outer, depth)

    def _select(self, types: tuple[str, ...], outer: Scope, depth: int) -> Node:
        r = self.r
        source = self._from(outer, depth)
        scope = source.scope
        where = node("clause", " where {}", self.expressions.predicate(scope, depth), optional=True)
        if r.random() < 0.3:
            where = Node("clause", [], True)
        sort = "query:" + ",".join(types)
        if r.random() < 0.25:
            return self._grouped(sort, types, source, where)
        windows = r.random() < 0.15 and not outer.outer and depth > 0
        items = []
        for type_ in types:
            if windows and r.random() < 0.6:
                items.append(window(self.expressions, type_, scope))
            else:
                items.append(self.expressions.expression(type_, scope, depth))
        columns = listed(items, least=len(types))
        distinct = "distinct " if r.random() < 0.12 and all(t in ORDERED_TYPES for t in types) else ""
        if not distinct and scope.keys and r.random() < 0.05:
            key = self.expressions.leaf(self.expressions.comparable_type(scope), scope)
            total = ", ".join(scope.keys)
            head = node("clause", "select distinct on ({}) ", key)
            return node(
                sort, f"{{}}{{}} from {{}}{{}} order by {{}}, {total}", head, columns, source.tree, where, key.copy()
            )
        return node(sort, f"select {distinct}{{}} from {{}}{{}}", columns, source.tree, where)

    def _grouped(self, sort: str, types: tuple[str, ...], source: From, where: Node) -> Node:
        r, scope = self.r, source.scope
        keys: list[tuple[str, Node]] = []
        items: list[Node] = []
        for type_ in types:
            if r.random() < 0.5 and type_ in ORDERED_TYPES:
                key = self.expressions.column(type_, Scope(scope.refs))
                if key is not None and r.random() < 0.3:
                    key = (
                        self.expressions._function(type_, Scope(scope.refs), 0)
                        if type_ in self.expressions.by_result
                        else key
                    )
                if key is not None and (parts := str(key)) and any(ref.text in parts for ref in scope.refs):
                    keys.append((type_, key))
                    items.append(Node("fixed", [parts]))
                    continue
            if type_ == "int" and keys and r.random() < 0.3:
                items.append(Node("fixed", [f"grouping({', '.join(str(key) for _, key in keys)})"]))
                continue
            items.append(aggregate(self.expressions, type_, scope))
        group = Node("clause", [], True)
        if keys:
            names = listed([Node("fixed", [str(key)]) for _, key in keys], least=len(keys))
            form = r.choice(("{}", "{}", "{}", "{}", "rollup ({})", "cube ({})", "grouping sets (({}), ())",
                             "grouping sets (rollup ({}), ())", "distinct cube ({})"))  # fmt: skip
            group = node("clause", f" group by {form}", names)
        having = Node("clause", [], True)
        if r.random() < 0.3:
            op = r.choice((">", "<", "<=", "<>"))
            condition = node("bool", f"{{}} {op} {r.choice((0, 1, 2, 5))}", aggregate(self.expressions, "big", scope))
            having = node("clause", " having {}", condition, optional=True)
        columns = listed(items, least=len(types))
        return node(sort, "select {} from {}{}{}{}", columns, source.tree, where, group, having)

    def _subquery(self, types: tuple[str, ...], outer: Scope, depth: int) -> Node:
        """A subquery with the outer columns in scope; ("one T",) is a scalar one, of at most one row."""
        r = self.r
        around = Scope((), tuple(outer.refs) + tuple(outer.outer)) if r.random() < 0.65 else Scope()
        if types[0].startswith("one "):
            type_ = types[0][4:]
            source = self._from(around, 0)
            where = node("clause", " where {}", self.expressions.predicate(source.scope, 1), optional=True)
            sort = f"query:one {type_}"
            if r.random() < 0.6:
                return node(
                    sort, "select {} from {}{}", aggregate(self.expressions, type_, source.scope), source.tree, where
                )
            total = ", ".join(source.scope.keys)
            value = self.expressions.expression(type_, source.scope, 1)
            if not total:
                return node(
                    sort, "select {} from {}{}", aggregate(self.expressions, type_, source.scope), source.tree, where
                )
            return node(sort, f"select {{}} from {{}}{{}} order by {total} limit 1", value, source.tree, where)
        return self._body(types, around, min(depth, 1))

    # --- FROM --------------------------------------------------------------------------------------------------------
    def _new_alias(self) -> str:
        self._alias += 1
        return f"a{self._alias}"

    def _from(self, outer: Scope, depth: int) -> From:
        r = self.r
        found = self._item(outer, depth)
        for _ in range(r.choice((0, 0, 0, 1, 1, 2)) if depth > 0 else r.choice((0, 0, 0, 1))):
            found = self._join(found, outer, depth)
        outers = tuple(outer.refs) + tuple(outer.outer)
        return From(found.tree, Scope(found.scope.refs, outers, found.scope.keys))

    def _item(self, outer: Scope, depth: int, lateral: Scope | None = None) -> From:
        r = self.r
        alias = self._new_alias()
        choice = r.random()
        if choice < 0.08 and self._common:
            name, types = r.choice(self._common)
            refs = tuple(Ref(f"{alias}.k{i}", type_) for i, type_ in enumerate(types))
            return From(Node("item", [f"{name} as {alias}"]), Scope(refs))
        if depth > 0 and choice < 0.2:
            types = tuple(self._type() for _ in range(r.randint(1, 3)))
            names = ", ".join(f"x{i}" for i in range(len(types)))
            within = Scope()
            word = ""
            if lateral is not None and r.random() < 0.5:
                within, word = Scope((), lateral.refs), "lateral "
            tree = node("item", f"{word}({{}}) as {alias} ({names})", self._body(types, within, depth - 1))
            return From(tree, Scope(tuple(Ref(f"{alias}.x{i}", type_) for i, type_ in enumerate(types))))
        if choice < 0.27 and lateral is not None and r.random() < 0.5:
            found = self._function_item(alias, lateral)
            if found is not None:
                return found
        if choice < 0.22:
            tree = Node("item", [f"generate_series(1, {r.choice((0, 1, 4))}) as {alias} (g)"])
            return From(tree, Scope((Ref(f"{alias}.g", "int", False),), (), (f"{alias}.g",)))
        table = r.choice(self.tables)
        refs = tuple(Ref(f"{alias}.{c.name}", c.type, c.extremes) for c in table.columns)
        return From(Node("item", [f"{table.name} as {alias}"]), Scope(refs, (), (f"{alias}.id",)))

    def _function_item(self, alias: str, lateral: Scope) -> From | None:
        """A set-returning function of the items to the left, or rows of constants."""
        r = self.r
        arrays = [ref for ref in lateral.refs if ref.type in ("ints", "txts")]
        if arrays and r.random() < 0.6:
            array = r.choice(arrays)
            refs = (Ref(f"{alias}.v", "int" if array.type == "ints" else "txt"), Ref(f"{alias}.o", "big", False))
            tree = Node("item", [f"unnest({array.text}) with ordinality as {alias} (v, o)"])
            return From(tree, Scope(refs))
        small = [ref for ref in lateral.refs if ref.type in ("int", "small") and not ref.extremes]
        if small and r.random() < 0.6:
            stop = f"{r.choice(small).text} % 5"
            tree = Node("item", [f"generate_series(0, {stop}) as {alias} (g)"])
            return From(tree, Scope((Ref(f"{alias}.g", "int", False),)))
        types = tuple(self._type() for _ in range(r.randint(1, 2)))
        rows = [
            node("row", "({})", listed([self.expressions.constant(t) for t in types], least=len(types)))
            for _ in range(r.randint(1, 3))
        ]
        names = ", ".join(f"x{i}" for i in range(len(types)))
        tree = node("item", f"(values {{}}) as {alias} ({names})", listed(rows))
        return From(tree, Scope(tuple(Ref(f"{alias}.x{i}", type_) for i, type_ in enumerate(types))))

    def _join(self, left: From, outer: Scope, depth: int) -> From:
        r = self.r
        kind = r.choice(("join", "join", "left join", "left join", "right join", "full join", "cross join"))
        lateral = left.scope if kind in ("join", "left join", "cross join") else None
        right = self._item(outer, depth - 1, lateral)
        refs = left.scope.refs + right.scope.refs
        keys = left.scope.keys + right.scope.keys if left.scope.keys and right.scope.keys else ()
        scope = Scope(refs, tuple(outer.refs) + tuple(outer.outer), keys)
        if kind == "cross join":
            return From(node("from", "{} cross join {}", left.tree, right.tree), scope)
        pairs = [
            (a, b) for a in left.scope.refs for b in right.scope.refs if a.type == b.type and a.type in ORDERED_TYPES
        ]
        on: Node | None = None
        both = (left.scope.keys, right.scope.keys)
        if r.random() < 0.06 and all(len(keys) == 1 and keys[0].endswith(".id") for keys in both):
            return From(node("from", f"{{}} {kind} {{}} using (id)", left.tree, right.tree), scope)
        if pairs and r.random() < 0.85:
            a, b = r.choice(pairs)
            op = "=" if kind == "full join" or r.random() < 0.8 else r.choice(("<", ">=", "is not distinct from"))
            on = Node("bool", [f"({a.text} {op} {b.text})"])
            if r.random() < 0.3 and kind != "full join":
                extra = self.expressions.predicate(Scope(refs), 1)
                on = node("bool", "({} and {})", on, extra)
        elif kind == "full join":
            kind = "left join"
        if on is None:
            on = self.expressions.predicate(Scope(refs), 1)
        return From(node("from", f"{{}} {kind} {{}} on {{}}", left.tree, right.tree, on), scope)
