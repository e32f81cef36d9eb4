"""ANALYZE, VACUUM, REINDEX, CLUSTER."""

from __future__ import annotations

from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.ddl_tokens import Cursor


def maintain(c: Cursor) -> ddl.Maintain:
    command = c.expect_any("ANALYZE", "ANALYSE", "VACUUM").replace("ANALYSE", "ANALYZE")
    if c.accept("("):
        while not c.accept(")"):
            if c.done:
                raise c.error()
            c.expression(frozenset())
            c.accept(",")
    while c.accept_any(("FULL", "FREEZE", "VERBOSE", "ANALYZE", "ANALYSE")):
        pass
    names: list[ddl.Name] = []
    while not c.done:
        names.append(c.name())
        if c.looking_at("("):
            c.column_list()
        if not c.accept(","):
            break
    return ddl.Maintain(command, tuple(names))


def reindex(c: Cursor) -> ddl.Maintain:
    c.expect("REINDEX")
    concurrently = False
    if c.accept("("):
        while not c.accept(")"):
            if c.done:
                raise c.error()
            concurrently = concurrently or c.looking_at("CONCURRENTLY")
            c.expression(frozenset())
            c.accept(",")
    kind = c.expect_any("INDEX", "TABLE", "SCHEMA", "DATABASE", "SYSTEM").lower()
    concurrently = c.accept("CONCURRENTLY") or concurrently
    return ddl.Maintain("REINDEX", () if c.done else (c.name(),), kind, concurrently)


def cluster(c: Cursor) -> ddl.Maintain:
    c.expect("CLUSTER")
    c.accept("VERBOSE")
    if c.done:
        return ddl.Maintain("CLUSTER")
    table = c.name()
    if not c.accept("USING"):
        raise c.unsupported("CLUSTER of a table without USING")
    return ddl.Maintain("CLUSTER", (table,), index=c.name())
