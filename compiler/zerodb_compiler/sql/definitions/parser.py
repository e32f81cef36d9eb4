"""Definition statements, by a recursive descent over the tokens: the first words say whose parser knows the rest.

`parse_definition` gives None for statements that define nothing.
"""

from __future__ import annotations

from sqlglot.tokenizer_core import Token

from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.ddl_tokens import Cursor
from zerodb_compiler.sql.definitions.index_parser import create_index
from zerodb_compiler.sql.definitions.maintenance_parser import cluster, maintain, reindex
from zerodb_compiler.sql.definitions.sequence_parser import sequence_options
from zerodb_compiler.sql.definitions.table_parser import create_table, select_into
from zerodb_compiler.sql.definitions.type_parser import create_type

# May begin, behind CREATE, what object_parser.py reads.
OBJECT_WORDS = frozenset(["VIEW", "MATERIALIZED", "OR", "TEMP", "TEMPORARY", "LOCAL", "GLOBAL", "RECURSIVE", "SCHEMA"])


def parse_definition(tokens: list[Token], text: str) -> ddl.Definition | None:
    """The statement, if it begins like one of those here. ProgrammingError 42601 with its place."""
    c = Cursor(tokens, text)
    found: ddl.Definition | None = None
    match c.word:
        case "COMMENT" | "REFRESH" | "GRANT" | "REVOKE" | "SECURITY" | "REASSIGN":
            from zerodb_compiler.sql.definitions.object_parser import parse_other

            found = parse_other(c)
        case "CREATE":
            found = _create(c)
        case "DROP":
            found = _drop(c)
        case "ALTER":
            from zerodb_compiler.sql.definitions.alter_parser import alter

            found = alter(c)
        case "ANALYZE" | "ANALYSE" | "VACUUM":
            found = maintain(c)
        case "REINDEX":
            found = reindex(c)
        case "CLUSTER":
            found = cluster(c)
        case "SELECT" | "WITH":
            return select_into(c, tokens, text)
    if found is not None:
        c.end()
    return found


def _create(c: Cursor) -> ddl.Definition | None:
    c.expect("CREATE")
    if c.word in OBJECT_WORDS:
        from zerodb_compiler.sql.definitions.object_parser import create_object

        found = create_object(c)
        if found is not None:
            return found
    if "TRIGGER" in (c.word, c.peek(1), c.peek(2), c.peek(3)):
        from zerodb_compiler.sql.definitions.trigger_parser import create_trigger

        trigger = create_trigger(c)
        if trigger is not None:
            return trigger
    if c.word in ("FUNCTION", "PROCEDURE", "OR"):
        from zerodb_compiler.sql.definitions.function_parser import create_function

        function = create_function(c)
        if function is not None:
            return function
    if c.looking_at("OR", "REPLACE") and c.peek(2) in ("TABLE", "INDEX", "SEQUENCE", "TEMP", "UNIQUE"):
        c.expect("OR", "REPLACE")
        raise c.error()
    local = bool(c.accept_any(("GLOBAL", "LOCAL")))
    temporary = bool(c.accept_any(("TEMP", "TEMPORARY")))
    if local and not temporary:
        raise c.error()
    unlogged = not temporary and c.accept("UNLOGGED")
    match c.word:
        case "TABLE":
            c.expect("TABLE")
            return create_table(c, temporary)
        case "SEQUENCE":
            c.expect("SEQUENCE")
            if_not_exists = c.accept("IF", "NOT", "EXISTS")
            return ddl.CreateSequence(c.name(), sequence_options(c), temporary, if_not_exists)
        case "TYPE" if not temporary and not unlogged:
            c.expect("TYPE")
            return create_type(c)
        case "INDEX" | "UNIQUE" if not temporary and not unlogged:
            if c.looking_at("UNIQUE") and c.peek(1) != "INDEX":
                raise c.error()
            return create_index(c)
    if unlogged:
        raise c.error()
    return None


def create_element(c: Cursor) -> ddl.Definition:
    """A statement within CREATE SCHEMA."""
    element = _create(c)
    if element is None:
        raise c.error()
    return element


def _drop(c: Cursor) -> ddl.Definition | None:
    c.expect("DROP")
    if c.word not in ("TABLE", "INDEX", "SEQUENCE", "TYPE"):
        from zerodb_compiler.sql.definitions.object_parser import drop_object

        return drop_object(c)
    kind = c.expect_any("TABLE", "INDEX", "SEQUENCE", "TYPE").lower()
    concurrently = kind == "index" and c.accept("CONCURRENTLY")
    if_exists = c.accept("IF", "EXISTS")
    names = c.names()
    cascade = c.accept("CASCADE")
    if not cascade:
        c.accept("RESTRICT")
    return ddl.Drop(kind, names, if_exists, cascade, concurrently)
