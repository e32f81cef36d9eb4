"""Constraints, of columns and of tables."""

from __future__ import annotations

from zerodb_compiler.errors import NotSupportedError, ProgrammingError
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.ddl_tokens import Cursor
from zerodb_compiler.sql.definitions.index_parser import collation, nulls_distinct, storage_parameters
from zerodb_compiler.sql.definitions.sequence_parser import sequence_options

_STOPS = """
    CONSTRAINT NOT NULL DEFAULT CHECK PRIMARY UNIQUE REFERENCES GENERATED COLLATE DEFERRABLE INITIALLY STORAGE
    COMPRESSION
"""
COLUMN_STOPS = frozenset(_STOPS.split())
DEFAULT_STOPS = COLUMN_STOPS - {"COLLATE"}


def column_constraint(c: Cursor) -> ddl.ConstraintDef | None:
    position = c.position
    name = c.identifier() if c.accept("CONSTRAINT") else None
    if c.accept("NOT", "NULL"):
        return ddl.ConstraintDef("not null", name, position=position)
    if c.accept("NULL"):
        return ddl.ConstraintDef("null", name, position=position)
    if c.accept("DEFAULT"):
        return ddl.ConstraintDef("default", name, expression=c.expression(DEFAULT_STOPS), position=position)
    if c.accept("COLLATE"):
        return ddl.ConstraintDef("collate", mode=collation(c), position=position)
    if c.accept("CHECK"):
        expression = c.parenthesised()
        c.accept("NO", "INHERIT")
        return ddl.ConstraintDef("check", name, expression=expression, position=position)
    if c.accept("GENERATED"):
        return _generated(c, name, position)
    if kind := c.accept_any(("PRIMARY", "UNIQUE")):
        if kind == "PRIMARY":
            c.expect("KEY")
        distinct = nulls_distinct(c) if kind == "UNIQUE" else True
        _index_parameters(c)
        word = "primary key" if kind == "PRIMARY" else "unique"
        deferrable, deferred, _ = attributes(c)
        return ddl.ConstraintDef(
            word, name, nulls_distinct=distinct, deferrable=deferrable, deferred=deferred, position=position
        )
    if c.looking_at("REFERENCES"):
        reference = _reference(c)
        deferrable, deferred, _ = attributes(c)
        return ddl.ConstraintDef(
            "foreign key", name, reference=reference, deferrable=deferrable, deferred=deferred, position=position
        )
    if c.word in ("STORAGE", "COMPRESSION"):
        c.expect_any("STORAGE", "COMPRESSION")
        c.identifier()
        return None
    raise c.error()


def _generated(c: Cursor, name: str | None, position: int) -> ddl.ConstraintDef:
    always = c.accept("ALWAYS")
    if not always:
        c.expect("BY", "DEFAULT")
    c.expect("AS")
    if c.accept("IDENTITY"):
        options = None
        if c.accept("("):
            options = sequence_options(c)
            c.expect(")")
        mode = "always" if always else "by default"
        return ddl.ConstraintDef(
            "identity", name, mode=mode, sequence=options or ddl.SequenceOptions(), position=position
        )
    if not always:
        raise ProgrammingError(
            "for a generated column, GENERATED ALWAYS must be specified", sqlstate="42601", position=position
        )
    expression = c.parenthesised()
    if not c.accept("STORED"):
        if c.looking_at("VIRTUAL"):
            raise c.unsupported("a virtual generated column")
        raise c.error()
    return ddl.ConstraintDef("generated", name, expression=expression, position=position)


def table_constraint(c: Cursor) -> ddl.ConstraintDef:
    position = c.position
    name = c.identifier() if c.accept("CONSTRAINT") else None
    if c.accept("CHECK"):
        expression = c.parenthesised()
        c.accept("NO", "INHERIT")
        deferrable, _, not_valid = attributes(c)
        if deferrable:
            raise NotSupportedError("CHECK constraints cannot be marked DEFERRABLE", position=position)
        return ddl.ConstraintDef("check", name, expression=expression, not_valid=not_valid, position=position)
    if c.accept("FOREIGN", "KEY"):
        columns = c.column_list()
        reference = _reference(c)
        deferrable, deferred, not_valid = attributes(c)
        return ddl.ConstraintDef(
            "foreign key",
            name,
            columns,
            reference=reference,
            deferrable=deferrable,
            deferred=deferred,
            not_valid=not_valid,
            position=position,
        )
    if c.looking_at("EXCLUDE"):
        raise c.unsupported("an EXCLUDE constraint")
    kind = c.expect_any("PRIMARY", "UNIQUE")
    if kind == "PRIMARY":
        c.expect("KEY")
    word = "primary key" if kind == "PRIMARY" else "unique"
    if c.accept("USING", "INDEX"):
        index = c.identifier()
        deferrable, deferred, _ = attributes(c)
        return ddl.ConstraintDef(
            word, name, using_index=index, deferrable=deferrable, deferred=deferred, position=position
        )
    distinct = nulls_distinct(c) if kind == "UNIQUE" else True
    columns = c.column_list()
    _index_parameters(c)
    deferrable, deferred, _ = attributes(c)
    return ddl.ConstraintDef(
        word,
        name,
        columns,
        nulls_distinct=distinct,
        deferrable=deferrable,
        deferred=deferred,
        position=position,
    )


def _index_parameters(c: Cursor) -> None:
    if c.accept("INCLUDE"):
        c.column_list()
    storage_parameters(c)
    if c.looking_at("USING", "INDEX", "TABLESPACE"):
        raise c.unsupported("TABLESPACE")


def _reference(c: Cursor) -> ddl.Reference:
    c.expect("REFERENCES")
    table = c.name()
    columns = c.column_list() if c.looking_at("(") else ()
    full = False
    if c.accept("MATCH"):
        kind = c.expect_any("FULL", "PARTIAL", "SIMPLE")
        if kind == "PARTIAL":
            raise c.unsupported("MATCH PARTIAL")
        full = kind == "FULL"
    actions = {"DELETE": "no action", "UPDATE": "no action"}
    set_columns: tuple[str, ...] = ()
    while c.looking_at("ON"):
        c.expect("ON")
        event = c.expect_any("DELETE", "UPDATE")
        if c.accept("NO", "ACTION"):
            action = "no action"
        elif c.accept("SET"):
            action = "set " + c.expect_any("NULL", "DEFAULT").lower()
            if event == "DELETE" and c.looking_at("("):
                set_columns = c.column_list()
        else:
            action = c.expect_any("RESTRICT", "CASCADE").lower()
        actions[event] = action
    return ddl.Reference(table, columns, actions["DELETE"], actions["UPDATE"], full, set_columns)


def attributes(c: Cursor) -> tuple[bool, bool, bool]:
    """[NOT] DEFERRABLE, INITIALLY ..., NOT VALID: (deferrable, deferred, not valid)."""
    deferrable: bool | None = None
    deferred: bool | None = None
    not_valid = False
    while True:
        position = c.position
        if c.accept("NOT", "VALID"):
            not_valid = True
        elif c.looking_at("DEFERRABLE") or c.looking_at("NOT", "DEFERRABLE"):
            if deferrable is not None:
                raise _misplaced("multiple DEFERRABLE/NOT DEFERRABLE clauses not allowed", position)
            deferrable = not c.accept("NOT")
            c.expect("DEFERRABLE")
        elif c.accept("INITIALLY"):
            if deferred is not None:
                raise _misplaced("multiple INITIALLY IMMEDIATE/DEFERRED clauses not allowed", position)
            deferred = c.expect_any("IMMEDIATE", "DEFERRED") == "DEFERRED"
        else:
            return bool(deferrable or deferred), bool(deferred), not_valid
        if deferred and deferrable is False:
            raise _misplaced("constraint declared INITIALLY DEFERRED must be DEFERRABLE", position)


def _misplaced(message: str, position: int) -> ProgrammingError:
    return ProgrammingError(message, sqlstate="42601", position=position)
