"""Random INSERT ... SELECT, ON CONFLICT, UPDATE, DELETE and MERGE, some with RETURNING.

Both sides must give the same rows back, change the same number of rows, and have the same table afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.differential.searching.expressions import Ref, Scope
from tests.differential.searching.queries import Queries
from tests.differential.searching.schema import Table
from tests.differential.searching.tree import Node, listed, node


@dataclass(slots=True)
class Change:
    tree: Node
    table: Table

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(column.type for column in self.table.columns)


def make_change(queries: Queries, serial: int) -> Change:
    """`serial` keeps the ids of inserted rows apart."""
    r = queries.r
    queries._alias, queries._common = 1, []  # a0 and a1 are taken
    queries.expressions.subqueries_left = r.randint(0, 2)
    table = r.choice(queries.tables)
    kind = r.choice(("insert", "conflict", "merge", "update", "update", "delete", "delete"))
    if kind == "merge":
        return _merge(queries, table, serial)
    target = _refs(table, "a0")
    if kind in ("insert", "conflict"):
        return _insert(queries, table, serial if kind == "insert" else 0)
    source, joined, scope = "", "", Scope(target)
    if r.random() < 0.35:
        other = r.choice(queries.tables)
        scope = Scope(target + _refs(other, "a1"))
        source = f" {'from' if kind == 'update' else 'using'} {other.name} as a1"
        joined = "a1.id = a0.id and "  # one partner at most: otherwise any may be taken
    condition = queries.expressions.predicate(scope, 2)
    returning = _returning(queries, scope)
    if kind == "delete":
        text = f"delete from {table.name} as a0{source} where {joined}{{}}{{}}"
        return Change(node("whole", text, condition, returning), table)
    assigned = _assigned(queries, table, scope)
    text = f"update {table.name} as a0 set {{}}{source} where {joined}{{}}{{}}"
    return Change(node("whole", text, assigned, condition, returning), table)


def _refs(table: Table, alias: str) -> tuple[Ref, ...]:
    return tuple(Ref(f"{alias}.{c.name}", c.type, c.extremes) for c in table.columns)


def _returning(queries: Queries, scope: Scope) -> Node:
    """The value has a type that prints in one way; subqueries would see the table before or after."""
    if queries.r.random() < 0.6:
        return Node("clause", [], True)
    types = [type_ for type_ in ("int", "txt", "date", "bool") if type_ in queries.types]
    plain = Scope(scope.refs)
    left, queries.expressions.subqueries_left = queries.expressions.subqueries_left, 0
    value = queries.expressions.expression(queries.r.choice(types), plain, 1)
    queries.expressions.subqueries_left = left
    return node("clause", f" returning {scope.refs[0].text}, {{}}", value, optional=True)


def _assigned(queries: Queries, table: Table, scope: Scope) -> Node:
    columns = queries.r.sample(table.columns[1:], queries.r.randint(1, min(2, len(table.columns) - 1)))
    return listed([node("set", f"{c.name} = {{}}", queries.expressions.expression(c.type, scope, 2)) for c in columns])


def _insert(queries: Queries, table: Table, serial: int) -> Change:
    """Without a serial the ids may be there already."""
    r = queries.r
    other = r.choice(queries.tables)
    scope = Scope(_refs(other, "a1"))
    values = [queries.expressions.expression(c.type, scope, 2) for c in table.columns[1:]]
    where = node("clause", " where {}", queries.expressions.predicate(scope, 1), optional=True)
    conflict = Node("clause", [])
    if serial == 0:
        conflict = Node("clause", [" on conflict do nothing"])
        if r.random() < 0.7:
            both = Scope(_refs(table, "a0") + _refs(table, "excluded"))
            left, queries.expressions.subqueries_left = queries.expressions.subqueries_left, 0
            condition = node("clause", " where {}", queries.expressions.predicate(both, 1), optional=True)
            assigned = _assigned(queries, table, both)
            queries.expressions.subqueries_left = left
            conflict = node("clause", " on conflict (id) do update set {}{}", assigned, condition)
    start = 1000 * serial if serial else r.choice((0, 5, 30))
    text = f"insert into {table.name} as a0 select {start} + a1.id, {{}} from {other.name} as a1{{}}{{}}{{}}"
    returning = _returning(queries, Scope(_refs(table, "a0")))
    return Change(node("whole", text, listed(values, least=len(values)), where, conflict, returning), table)


def _merge(queries: Queries, table: Table, serial: int) -> Change:
    r = queries.r
    other = r.choice(queries.tables)
    target, source = _refs(table, "a0"), _refs(other, "a1")
    left, queries.expressions.subqueries_left = queries.expressions.subqueries_left, 0
    both, new = Scope(target + source), Scope(source)
    arms = []
    for _ in range(r.randint(0, 2)):
        action: Node | str = node("clause", "update set {}", _assigned(queries, table, both))
        if r.random() < 0.4:
            action = r.choice(("delete", "do nothing"))
        condition = node("clause", " and {}", queries.expressions.predicate(both, 1), optional=True)
        arms.append(node("arm", " when matched{} then {}", condition, action))
    values = [queries.expressions.expression(c.type, new, 1) for c in table.columns[1:]]
    condition = node("clause", " and {}", queries.expressions.predicate(new, 1), optional=True)
    text = f" when not matched{{}} then insert values ({1000 * serial} + a1.id, {{}})"
    arms.append(node("arm", text, condition, listed(values, least=len(values))))
    queries.expressions.subqueries_left = left
    text = f"merge into {table.name} as a0 using {other.name} as a1 on a0.id = a1.id + {r.choice((0, 3))}{{}}"
    return Change(node("whole", text, listed(arms, "")), table)
