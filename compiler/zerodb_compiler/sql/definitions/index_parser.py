"""CREATE INDEX, and the parts that keys of tables and partitions have in common with it."""

from __future__ import annotations

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import collations, ddl
from zerodb_compiler.sql.ddl_tokens import Cursor


def create_index(c: Cursor) -> ddl.CreateIndex:
    unique = c.accept("UNIQUE")
    c.expect("INDEX")
    concurrently = c.accept("CONCURRENTLY")
    if_not_exists = c.accept("IF", "NOT", "EXISTS")
    name = None if c.looking_at("ON") else c.identifier()
    if name is None and if_not_exists:
        raise c.error()
    c.expect("ON")
    c.accept("ONLY")
    table = c.name()
    method = "btree"
    if c.accept("USING"):
        position = c.position
        method = c.identifier()
        if method not in ("btree", "hash", "gin", "gist", "brin", "spgist"):
            raise ProgrammingError(f'access method "{method}" does not exist', sqlstate="42704", position=position)
    keys = index_keys(c)
    include = c.column_list() if c.accept("INCLUDE") else ()
    distinct = nulls_distinct(c)
    storage_parameters(c)
    if c.looking_at("TABLESPACE"):
        raise c.unsupported("TABLESPACE")
    predicate = c.expression(frozenset()) if c.accept("WHERE") else None
    return ddl.CreateIndex(name, table, keys, unique, if_not_exists, method, predicate, distinct, include, concurrently)


def index_keys(c: Cursor) -> tuple[ddl.KeyDef, ...]:
    c.expect("(")
    found: list[ddl.KeyDef] = []
    stops = frozenset(("ASC", "DESC", "NULLS", "COLLATE"))
    while True:
        position = c.position
        if c.looking_at("("):
            inner = c.parenthesised()
            key = ddl.KeyDef(None, inner, position=position)
        elif c.peek(1) in ("(", ".") or c.word in ("CAST", "CASE"):
            key = ddl.KeyDef(None, c.expression(stops), position=position)
        else:
            key = ddl.KeyDef(c.identifier(), position=position)
        collated = collation(c) if c.accept("COLLATE") else None
        if c.word not in (",", ")", "ASC", "DESC", "NULLS", ""):
            c.name()  # an operator class
        order = c.accept_any(("ASC", "DESC"))
        nulls_first = order == "DESC"
        if c.accept("NULLS"):
            nulls_first = c.expect_any("FIRST", "LAST") == "FIRST"
        found.append(ddl.KeyDef(key.column, key.expression, order == "DESC", nulls_first, position, collated))
        if not c.accept(","):
            break
    c.expect(")")
    return tuple(found)


def collation(c: Cursor) -> str:
    """The name behind COLLATE, of a collation that there is."""
    name = c.name()
    return collations.known(f"{name}" if name.schema not in (None, "pg_catalog") else name.name, name.position)


def nulls_distinct(c: Cursor) -> bool:
    if c.accept("NULLS", "NOT", "DISTINCT"):
        return False
    c.accept("NULLS", "DISTINCT")
    return True


def storage_parameters(c: Cursor) -> None:
    """WITH (fillfactor = 70): how PostgreSQL stores rows means nothing here, and is accepted."""
    if c.accept("WITHOUT", "OIDS"):
        return
    if c.looking_at("WITH", "("):
        c.expect("WITH", "(")
        while True:
            c.identifier()
            if c.accept("."):
                c.identifier()
            if c.accept("="):
                c.expression(frozenset())
            if not c.accept(","):
                break
        c.expect(")")
