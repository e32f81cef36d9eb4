"""CREATE, ALTER and DROP TRIGGER, from the tokens.

    CREATE [OR REPLACE] TRIGGER name {BEFORE | AFTER} event [OR event ...] ON table
        [FOR [EACH] {ROW | STATEMENT}] [WHEN (condition)] EXECUTE {FUNCTION | PROCEDURE} function([argument, ...])

What PostgreSQL has and zerodb has not is refused by name.
"""

from __future__ import annotations

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.ddl_tokens import Cursor


def create_trigger(c: Cursor) -> ddl.CreateTrigger | None:
    """CREATE behind the word; None, with nothing passed, if it is not about a trigger."""
    ahead = 2 if c.looking_at("OR", "REPLACE") else 0
    if c.peek(ahead) == "CONSTRAINT" and c.peek(ahead + 1) == "TRIGGER":
        raise c.unsupported("CREATE CONSTRAINT TRIGGER")
    if c.peek(ahead) != "TRIGGER":
        return None
    replace = c.accept("OR", "REPLACE")
    c.expect("TRIGGER")
    name = ddl.Name(c.identifier(), None, c.position)
    if c.looking_at("INSTEAD"):
        raise c.unsupported("INSTEAD OF triggers")
    timing = c.expect_any("BEFORE", "AFTER").lower()
    events, columns = _events(c)
    c.expect("ON")
    table = c.name()
    if c.word in ("FROM", "DEFERRABLE", "INITIALLY", "NOT"):
        raise c.unsupported(f"{c.word} of a trigger")
    if c.looking_at("REFERENCING"):
        raise c.unsupported("REFERENCING (a trigger's function gets the old and new rows as they are)")
    for_rows = False
    if c.accept("FOR"):
        c.accept("EACH")
        for_rows = c.expect_any("ROW", "STATEMENT") == "ROW"
    when = c.parenthesised() if c.accept("WHEN") else None
    c.expect("EXECUTE")
    c.expect_any("FUNCTION", "PROCEDURE")
    function = c.name()
    c.expect("(")
    arguments: list[str] = []
    while not c.looking_at(")"):
        arguments.append(_argument(c))
        if not c.accept(","):
            break
    c.expect(")")
    return ddl.CreateTrigger(name, table, timing, events, columns, for_rows, when, function, replace, tuple(arguments))


def _argument(c: Cursor) -> str:
    """A string, a number or a word: they come to the function as text."""
    try:
        return c.string()
    except ProgrammingError:
        found = c.word
        if found.replace(".", "").replace("-", "").isdigit():
            c.accept(found)
            return found
        return c.identifier()


def _events(c: Cursor) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The events, and the columns of UPDATE OF."""
    events: list[str] = []
    columns: list[str] = []
    while True:
        position = c.position
        if c.looking_at("TRUNCATE"):
            raise c.unsupported("TRUNCATE triggers")
        event = c.expect_any("INSERT", "UPDATE", "DELETE").lower()
        if event in events:
            raise ProgrammingError("duplicate trigger events specified", sqlstate="42601", position=position)
        events.append(event)
        if event == "update" and c.accept("OF"):
            columns.append(c.identifier())
            while c.accept(","):
                columns.append(c.identifier())
        if not c.accept("OR"):
            return tuple(events), tuple(columns)


def drop_trigger(c: Cursor) -> ddl.DropTrigger:
    c.expect("TRIGGER")
    if_exists = c.accept("IF", "EXISTS")
    position = c.position
    name = ddl.Name(c.identifier(), None, position)
    c.expect("ON")
    table = c.name()
    if not c.accept("CASCADE"):
        c.accept("RESTRICT")
    return ddl.DropTrigger(name, table, if_exists)


def alter_trigger(c: Cursor) -> ddl.AlterTrigger:
    c.expect("TRIGGER")
    position = c.position
    name = ddl.Name(c.identifier(), None, position)
    c.expect("ON")
    table = c.name()
    if not c.looking_at("RENAME"):
        raise c.unsupported("this ALTER TRIGGER")
    c.expect("RENAME", "TO")
    return ddl.AlterTrigger(name, table, c.identifier())


def enabling(c: Cursor) -> ddl.Action | None:
    """ENABLE or DISABLE TRIGGER of an ALTER TABLE; None, with nothing passed, if it is not about triggers."""
    position = c.position
    if c.peek(1) in ("REPLICA", "ALWAYS") and c.peek(2) == "TRIGGER":
        raise c.unsupported(f"ENABLE {c.peek(1)} TRIGGER")
    if c.peek(1) != "TRIGGER":
        return None
    kind = f"{c.expect_any('ENABLE', 'DISABLE').lower()} trigger"
    c.expect("TRIGGER")
    if c.accept_any(("ALL", "USER")):
        return ddl.Action(kind, position=position)
    return ddl.Action(kind, c.identifier(), position=position)
