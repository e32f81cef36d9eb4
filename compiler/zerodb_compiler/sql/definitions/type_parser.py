"""CREATE TYPE: enumerations and composite types."""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.ddl_tokens import Cursor


def create_type(c: Cursor) -> ddl.CreateType:
    name = c.name()
    if not c.accept("AS"):
        raise c.unsupported("a base type or shell type")
    if c.accept("ENUM"):
        c.expect("(")
        labels: list[str] = []
        while not c.accept(")"):
            if labels:
                c.expect(",")
            labels.append(c.string())
        return ddl.CreateType(name, tuple(labels))
    if c.looking_at("RANGE"):
        raise c.unsupported("CREATE TYPE ... AS RANGE")
    c.expect("(")
    fields: list[tuple[str, exp.DataType, int]] = []
    while not c.accept(")"):
        if fields:
            c.expect(",")
        place = c.position
        fields.append((c.identifier(), c.type(frozenset({"COLLATE"})), place))
        if c.looking_at("COLLATE"):
            raise c.unsupported("COLLATE in a composite type")
    return ddl.CreateType(name, None, tuple(fields))
