"""The options of sequences."""

from __future__ import annotations

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.ddl_tokens import Cursor


def sequence_options(c: Cursor) -> ddl.SequenceOptions:
    """The options of CREATE and ALTER SEQUENCE, and of identity columns, in any order."""
    given: dict[str, object] = {}

    def say(**options: object) -> None:
        for option, value in options.items():
            if option in given:
                raise ProgrammingError("conflicting or redundant options", sqlstate="42601", position=c.position)
            given[option] = value

    while not c.done and c.word != ")":
        if c.accept("AS"):
            say(type=c.expect_any("SMALLINT", "INTEGER", "INT", "BIGINT", "INT2", "INT4", "INT8").lower())
        elif c.accept("INCREMENT"):
            c.accept("BY")
            say(increment=c.integer())
        elif c.accept("MINVALUE"):
            say(minimum=c.integer())
        elif c.accept("MAXVALUE"):
            say(maximum=c.integer())
        elif c.accept("NO", "MINVALUE"):
            say(no_minimum=True)
        elif c.accept("NO", "MAXVALUE"):
            say(no_maximum=True)
        elif c.accept("NO", "CYCLE"):
            say(cycle=False)
        elif c.accept("CYCLE"):
            say(cycle=True)
        elif c.accept("START"):
            c.accept("WITH")
            say(start=c.integer())
        elif c.accept("RESTART"):
            with_ = c.accept("WITH")
            say(restart=c.integer() if with_ or c.word.isdigit() or c.word == "-" else True)
        elif c.accept("CACHE"):
            say(cache=c.integer())
        elif c.accept("SEQUENCE", "NAME"):
            say(name=c.name())
        elif c.accept("OWNED", "BY"):
            say(owned_by=_owner(c))
        else:
            raise c.error()
    return ddl.SequenceOptions(**given)  # type: ignore[arg-type]


def _owner(c: Cursor) -> tuple[ddl.Name, str] | tuple[()]:
    if c.accept("NONE"):
        return ()
    position = c.position
    parts = [c.identifier()]
    while c.accept("."):
        parts.append(c.identifier())
    if len(parts) < 2:
        raise ProgrammingError("invalid OWNED BY option", position=position, hint="OWNED BY table.column or NONE")
    schema = parts[-3] if len(parts) > 2 else None
    return ddl.Name(parts[-2], schema, position), parts[-1]
