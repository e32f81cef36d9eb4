"""Random INSERT ... SELECT, UPDATE and DELETE: the same number of rows changed, and the same table afterwards."""

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
    kind = r.choice(("insert", "update", "update", "delete", "delete"))
    target = tuple(Ref(f"a0.{c.name}", c.type, c.extremes) for c in table.columns)
    if kind == "insert":
        other = r.choice(queries.tables)
        scope = Scope(tuple(Ref(f"a1.{c.name}", c.type, c.extremes) for c in other.columns))
        values = [queries.expressions.expression(c.type, scope, 2) for c in table.columns[1:]]
        where = node("clause", " where {}", queries.expressions.predicate(scope, 1), optional=True)
        text = f"insert into {table.name} select {1000 * serial} + a1.id, {{}} from {other.name} as a1{{}}"
        return Change(node("whole", text, listed(values, least=len(values)), where), table)
    source, joined, scope = "", "", Scope(target)
    if r.random() < 0.35:
        other = r.choice(queries.tables)
        scope = Scope(target + tuple(Ref(f"a1.{c.name}", c.type, c.extremes) for c in other.columns))
        source = f" {'from' if kind == 'update' else 'using'} {other.name} as a1"
        joined = "a1.id = a0.id and "  # one partner at most: otherwise any may be taken
    condition = queries.expressions.predicate(scope, 2)
    if kind == "delete":
        return Change(node("whole", f"delete from {table.name} as a0{source} where {joined}{{}}", condition), table)
    columns = r.sample(table.columns[1:], r.randint(1, min(2, len(table.columns) - 1)))
    assigned = [node("set", f"{c.name} = {{}}", queries.expressions.expression(c.type, scope, 2)) for c in columns]
    text = f"update {table.name} as a0 set {{}}{source} where {joined}{{}}"
    return Change(node("whole", text, listed(assigned), condition), table)
