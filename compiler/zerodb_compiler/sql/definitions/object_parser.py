"""Views, schemas, comments, changes of types, privileges: statements about what is no table, from the tokens."""

from __future__ import annotations

from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.ddl import Action, Definition
from zerodb_compiler.sql.ddl_tokens import Cursor
from zerodb_compiler.sql.definitions import function_parser, trigger_parser

_DATA = (("WITH", "NO", "DATA"), ("WITH", "DATA"))
_CHECKS = (("WITH", "CASCADED", "CHECK", "OPTION"), ("WITH", "LOCAL", "CHECK", "OPTION"), ("WITH", "CHECK", "OPTION"))
_COMMENTED = ("TABLE", "VIEW", "INDEX", "SEQUENCE", "TYPE", "SCHEMA", "DATABASE")


def create_object(c: Cursor) -> Definition | None:
    """CREATE behind the word; None, with nothing passed, if it is not about a view or schema."""
    ahead = 2 if c.looking_at("OR", "REPLACE") else 0
    ahead += c.peek(ahead) in ("GLOBAL", "LOCAL")
    ahead += c.peek(ahead) in ("TEMP", "TEMPORARY")
    ahead += c.peek(ahead) == "RECURSIVE"
    if c.looking_at("SCHEMA"):
        return _create_schema(c)
    if c.looking_at("MATERIALIZED", "VIEW"):
        return _create_materialized(c)
    if c.peek(ahead) != "VIEW":
        return None
    return _create_view(c)


def _create_view(c: Cursor) -> Definition:
    replace = c.accept("OR", "REPLACE")
    c.accept_any(("GLOBAL", "LOCAL"))
    temporary = bool(c.accept_any(("TEMP", "TEMPORARY")))
    recursive = c.accept("RECURSIVE")
    c.expect("VIEW")
    name = c.name()
    columns = c.column_list() if c.looking_at("(") else ()
    if recursive and not columns:
        raise c.error()
    if c.looking_at("WITH"):
        raise c.unsupported("WITH options of a view")
    c.expect("AS")
    query = c.rest(_CHECKS)
    if c.looking_at("WITH"):
        raise c.unsupported("WITH CHECK OPTION")
    return ddl.CreateView(name, query, columns, replace, temporary, recursive)


def _create_materialized(c: Cursor) -> Definition:
    c.expect("MATERIALIZED", "VIEW")
    if_not_exists = c.accept("IF", "NOT", "EXISTS")
    name = c.name()
    columns = c.column_list() if c.looking_at("(") else ()
    if c.word in ("USING", "WITH", "TABLESPACE"):
        raise c.unsupported(f"{c.word} of a materialized view")
    c.expect("AS")
    query = c.rest(_DATA)
    with_data = not c.accept("WITH", "NO", "DATA")
    c.accept("WITH", "DATA")
    return ddl.CreateView(name, query, columns, materialized=True, if_not_exists=if_not_exists, with_data=with_data)


def _create_schema(c: Cursor) -> Definition:
    from zerodb_compiler.sql.definitions.parser import create_element

    c.expect("SCHEMA")
    if_not_exists = c.accept("IF", "NOT", "EXISTS")
    position = c.position
    owner = ""
    name = None if c.looking_at("AUTHORIZATION") else c.identifier()
    if c.accept("AUTHORIZATION"):
        owner = c.identifier()
    elements: list[Definition] = []
    while not c.done:
        elements.append(create_element(c))
    if elements and if_not_exists:
        raise c.unsupported("CREATE SCHEMA IF NOT EXISTS with elements")
    return ddl.CreateSchema(ddl.Name(name or owner, None, position), if_not_exists, tuple(elements))


def drop_object(c: Cursor) -> ddl.Drop | ddl.DropTrigger | ddl.DropFunction | None:
    if c.word == "TRIGGER":
        return trigger_parser.drop_trigger(c)
    if c.word in function_parser.KINDS:
        return function_parser.drop_function(c)
    if c.accept("MATERIALIZED", "VIEW"):
        kind = "materialized view"
    elif c.word in ("VIEW", "SCHEMA"):
        kind = c.expect_any("VIEW", "SCHEMA").lower()
    elif c.accept("EXTENSION", "IF", "EXISTS"):
        raise c.unsupported("DROP EXTENSION")
    else:
        return None
    if_exists = c.accept("IF", "EXISTS")
    names = c.names()
    cascade = c.accept("CASCADE")
    if not cascade:
        c.accept("RESTRICT")
    return ddl.Drop(kind, names, if_exists, cascade)


def alter_object(c: Cursor) -> Definition | None:
    if c.word == "SCHEMA":
        c.expect("SCHEMA")
        name = ddl.Name(c.identifier(), None, c.position)
        if c.accept("OWNER", "TO"):
            c.identifier()
            return ddl.AlterSchema(name, name.name)
        c.expect("RENAME", "TO")
        return ddl.AlterSchema(name, c.identifier())
    if c.word == "TYPE":
        return _alter_type(c)
    if c.word == "TRIGGER":
        return trigger_parser.alter_trigger(c)
    if c.word in function_parser.KINDS:
        return function_parser.alter_function(c)
    kind = "materialized view" if c.accept("MATERIALIZED", "VIEW") else "view" if c.accept("VIEW") else ""
    if not kind:
        return None
    if_exists = c.accept("IF", "EXISTS")
    name = c.name()
    position = c.position
    if c.accept("RENAME", "TO"):
        action = Action("rename", new_name=c.identifier(), position=position)
    elif c.accept("RENAME"):
        c.accept("COLUMN")
        old = c.identifier()
        c.expect("TO")
        action = Action("rename column", old, c.identifier(), position=position)
    elif c.accept("SET", "SCHEMA"):
        action = Action("set schema", new_name=c.identifier(), position=position)
    elif c.accept("OWNER", "TO"):
        c.identifier()
        action = Action("nothing", position=position)
    else:
        raise c.unsupported(f"this ALTER {kind.upper()}")
    return ddl.AlterTable(name, (action,), if_exists, kind)


def _alter_type(c: Cursor) -> Definition:
    c.expect("TYPE")
    name = c.name()
    if c.accept("RENAME", "TO"):
        return ddl.AlterType(name, "rename", c.identifier())
    if c.accept("RENAME", "VALUE"):
        old = c.string()
        c.expect("TO")
        return ddl.AlterType(name, "rename value", "", c.string(), old)
    if c.accept("SET", "SCHEMA"):
        return ddl.AlterType(name, "set schema", c.identifier())
    if c.accept("OWNER", "TO"):
        c.identifier()
        return ddl.AlterType(name, "nothing")
    if c.accept("ADD", "VALUE"):
        if_not_exists = c.accept("IF", "NOT", "EXISTS")
        label = c.string()
        side = c.accept_any(("BEFORE", "AFTER"))
        neighbour = c.string() if side else None
        return ddl.AlterType(name, "add value", "", label, neighbour, side == "BEFORE", if_not_exists)
    raise c.unsupported("this ALTER TYPE")


def parse_other(c: Cursor) -> Definition:
    if c.accept("REFRESH"):
        c.expect("MATERIALIZED", "VIEW")
        c.accept("CONCURRENTLY")
        name = c.name()
        with_data = not c.accept("WITH", "NO", "DATA")
        c.accept("WITH", "DATA")
        return ddl.RefreshView(name, with_data)
    if c.accept("COMMENT", "ON"):
        return _comment(c)
    raise c.unsupported(c.word)  # a database has one user, who may do everything


def _comment(c: Cursor) -> Definition:
    part: str | None = None
    function: ddl.FunctionName | None = None
    if c.accept("COLUMN"):
        kind, position = "column", c.position
        names = [c.identifier()]
        while c.accept("."):
            names.append(c.identifier())
        if len(names) < 2:
            raise c.error()
        part = names.pop()
        name = ddl.Name(names[-1], names[-2] if len(names) > 1 else None, position)
    elif c.accept("CONSTRAINT"):
        kind, part = "constraint", c.identifier()
        c.expect("ON")
        name = c.name()
    elif c.accept("TRIGGER"):
        kind, part = "trigger", c.identifier()
        c.expect("ON")
        name = c.name()
    elif c.accept("MATERIALIZED", "VIEW"):
        kind, name = "materialized view", c.name()
    elif word := c.accept_any(function_parser.KINDS):
        kind, function = word.lower(), function_parser.signature(c)
        name = function.name
    elif c.word in _COMMENTED:
        kind = c.expect_any(*_COMMENTED).lower()
        name = c.name()
    else:
        raise c.unsupported(f"COMMENT ON {c.word}")
    c.expect("IS")
    text = None if c.accept("NULL") else c.string()
    return ddl.Comment(kind, name, part, text or None, function)
