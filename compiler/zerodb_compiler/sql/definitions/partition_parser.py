"""The bounds of a partition: FOR VALUES ..., DEFAULT."""

from __future__ import annotations

from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.ddl_tokens import Cursor


def partition_bound(c: Cursor) -> ddl.PartitionBound:
    position = c.position
    if c.accept("DEFAULT"):
        return ddl.PartitionBound(default=True, position=position)
    c.expect("FOR", "VALUES")
    if c.accept("IN"):
        return ddl.PartitionBound(values=tuple(v for v in _bounds(c) if isinstance(v, ddl.Sql)), position=position)
    if c.accept("WITH"):
        c.expect("(", "MODULUS")
        modulus = c.integer()
        c.expect(",", "REMAINDER")
        remainder = c.integer()
        c.expect(")")
        return ddl.PartitionBound(modulus=modulus, remainder=remainder, position=position)
    c.expect("FROM")
    low = _bounds(c)
    c.expect("TO")
    return ddl.PartitionBound(low=low, high=_bounds(c), position=position)


def _bounds(c: Cursor) -> tuple[ddl.Sql | str, ...]:
    c.expect("(")
    found: list[ddl.Sql | str] = []
    while True:
        keyword = c.accept_any(("MINVALUE", "MAXVALUE"))
        found.append(keyword or c.expression(frozenset()))
        if not c.accept(","):
            break
    c.expect(")")
    return tuple(found)
