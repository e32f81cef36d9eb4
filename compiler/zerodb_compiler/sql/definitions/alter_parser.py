"""ALTER TABLE, ALTER INDEX and ALTER SEQUENCE, from the tokens."""

from __future__ import annotations

from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.ddl import Action
from zerodb_compiler.sql.ddl_tokens import Cursor
from zerodb_compiler.sql.definitions.constraint_parser import attributes, table_constraint
from zerodb_compiler.sql.definitions.index_parser import collation
from zerodb_compiler.sql.definitions.partition_parser import partition_bound
from zerodb_compiler.sql.definitions.sequence_parser import sequence_options
from zerodb_compiler.sql.definitions.table_parser import column


def alter(c: Cursor) -> ddl.Definition | None:
    c.expect("ALTER")
    if c.word not in ("TABLE", "INDEX", "SEQUENCE"):
        from zerodb_compiler.sql.definitions.object_parser import alter_object

        return alter_object(c)
    kind = c.expect_any("TABLE", "INDEX", "SEQUENCE").lower()
    if_exists = c.accept("IF", "EXISTS")
    if kind == "table":
        c.accept("ONLY")
    name = c.name()
    if kind != "table":
        action = _rename_or_move(c)
        if action is not None:
            return ddl.AlterTable(name, (action,), if_exists, kind)
        if kind == "sequence":
            return ddl.AlterSequence(name, sequence_options(c), if_exists)
        raise c.unsupported("this ALTER INDEX")
    c.accept("*")
    actions = [_action(c)]
    while c.accept(","):
        actions.append(_action(c))
    return ddl.AlterTable(name, tuple(actions), if_exists)


def _rename_or_move(c: Cursor) -> Action | None:
    position = c.position
    if c.accept("RENAME", "TO"):
        return Action("rename", new_name=c.identifier(), position=position)
    if c.accept("SET", "SCHEMA"):
        return Action("set schema", new_name=c.identifier(), position=position)
    return None


def _action(c: Cursor) -> Action:
    position = c.position
    moved = _rename_or_move(c)
    if moved is not None:
        return moved
    if c.accept("RENAME", "CONSTRAINT"):
        old = c.identifier()
        c.expect("TO")
        return Action("rename constraint", old, c.identifier(), position=position)
    if c.accept("RENAME"):
        c.accept("COLUMN")
        old = c.identifier()
        c.expect("TO")
        return Action("rename column", old, c.identifier(), position=position)
    if c.accept("ADD"):
        return _add(c, position)
    if c.accept("DROP"):
        constraint = c.accept("CONSTRAINT")
        if not constraint:
            c.accept("COLUMN")
        if_exists = c.accept("IF", "EXISTS")
        name = c.identifier()
        cascade = c.accept("CASCADE")
        if not cascade:
            c.accept("RESTRICT")
        kind = "drop constraint" if constraint else "drop column"
        return Action(kind, name, if_exists=if_exists, cascade=cascade, position=position)
    if c.accept("ALTER", "CONSTRAINT"):
        name = c.identifier()
        deferrable, deferred, _ = attributes(c)
        return Action("alter constraint", name, deferrable=deferrable, deferred=deferred, position=position)
    if c.accept("ALTER"):
        c.accept("COLUMN")
        return _alter_column(c, c.identifier(), position)
    if c.accept("VALIDATE", "CONSTRAINT"):
        return Action("validate constraint", c.identifier(), position=position)
    if c.accept("ATTACH", "PARTITION"):
        return Action("attach partition", table=c.name(), bound=partition_bound(c), position=position)
    if c.accept("DETACH", "PARTITION"):
        table = c.name()
        c.accept_any(("CONCURRENTLY", "FINALIZE"))
        return Action("detach partition", table=table, position=position)
    if c.accept("OWNER", "TO"):
        c.identifier()
        return Action("nothing", position=position)
    if c.word in ("SET", "RESET") and c.peek(1) == "(":
        c.expect_any("SET", "RESET")
        c.expect("(")
        while not c.accept(")"):
            if c.done:
                raise c.error()
            c.expression(frozenset())
            c.accept(",")
        return Action("nothing", position=position)
    if c.accept("SET", "LOGGED") or c.accept("SET", "UNLOGGED") or c.accept("SET", "WITHOUT", "CLUSTER"):
        return Action("nothing", position=position)
    if c.word in ("ENABLE", "DISABLE"):
        from zerodb_compiler.sql.definitions.trigger_parser import enabling

        action = enabling(c)
        if action is not None:
            return action
    if c.word in ("ENABLE", "DISABLE", "CLUSTER", "INHERIT", "REPLICA", "OF", "FORCE", "SET", "NO"):
        raise c.unsupported(f"ALTER TABLE ... {c.word}")
    raise c.error()


def _add(c: Cursor, position: int) -> Action:
    if c.word in ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "EXCLUDE"):
        return Action("add constraint", constraint=table_constraint(c), position=position)
    c.accept("COLUMN")
    if_not_exists = c.accept("IF", "NOT", "EXISTS")
    return Action("add column", column=column(c), if_exists=if_not_exists, position=position)


def _alter_column(c: Cursor, name: str, position: int) -> Action:
    if c.accept("SET", "DATA", "TYPE") or c.accept("TYPE"):
        type_ = c.type(frozenset(("COLLATE", "USING")))
        mode = collation(c) if c.accept("COLLATE") else ""
        using = c.expression(frozenset()) if c.accept("USING") else None
        return Action("set type", name, type=type_, expression=using, mode=mode, position=position)
    if c.accept("SET", "DEFAULT"):
        return Action("set default", name, expression=c.expression(frozenset()), position=position)
    if c.accept("DROP", "DEFAULT"):
        return Action("drop default", name, position=position)
    if c.accept("SET", "NOT", "NULL"):
        return Action("set not null", name, position=position)
    if c.accept("DROP", "NOT", "NULL"):
        return Action("drop not null", name, position=position)
    if c.accept("DROP", "EXPRESSION"):
        return Action("drop expression", name, if_exists=c.accept("IF", "EXISTS"), position=position)
    if c.accept("DROP", "IDENTITY"):
        return Action("drop identity", name, if_exists=c.accept("IF", "EXISTS"), position=position)
    if c.accept("ADD", "GENERATED"):
        mode = "always" if c.accept("ALWAYS") else ""
        if not mode:
            c.expect("BY", "DEFAULT")
            mode = "by default"
        c.expect("AS", "IDENTITY")
        options = ddl.SequenceOptions()
        if c.accept("("):
            options = sequence_options(c)
            c.expect(")")
        return Action("add identity", name, mode=mode, sequence=options, position=position)
    if c.accept("SET", "GENERATED"):
        mode = "always" if c.accept("ALWAYS") else ""
        if not mode:
            c.expect("BY", "DEFAULT")
            mode = "by default"
        return Action("set identity", name, mode=mode, position=position)
    if c.accept("RESTART"):
        c.accept("WITH")
        restart = c.integer() if c.word.isdigit() or c.word == "-" else True
        return Action("restart identity", name, sequence=ddl.SequenceOptions(restart=restart), position=position)
    if c.accept("SET", "STATISTICS"):
        c.integer()
        return Action("nothing", position=position)
    if c.accept("SET", "STORAGE") or c.accept("SET", "COMPRESSION"):
        c.identifier()
        return Action("nothing", position=position)
    raise c.error()
