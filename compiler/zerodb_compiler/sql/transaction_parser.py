"""Transaction control read from the tokens: BEGIN, START TRANSACTION, COMMIT, END, ROLLBACK, ABORT, SAVEPOINT, RELEASE,
SET TRANSACTION, SET SESSION CHARACTERISTICS, SET CONSTRAINTS. Modes come in any order, with commas or without, and the
last of a kind counts, as in PostgreSQL. Two-phase commit and imported snapshots are refused by name.
"""

from __future__ import annotations

from sqlglot.tokenizer_core import Token

from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql import utility_statements as us
from zerodb_compiler.sql.utility_parser import Reader

_ISOLATION = ("serializable", "repeatable read", "read committed", "read uncommitted")
Control = st.Begin | st.Commit | st.Rollback | st.Savepoint | st.ReleaseSavepoint | st.RollbackToSavepoint


def transaction_control(tokens: list[Token], text: str) -> Control | None:
    """The statement, or None if it is none of these."""
    reader = Reader(tokens, text)
    match reader.one_of("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"):
        case "BEGIN":
            _ = reader.accept("WORK") or reader.accept("TRANSACTION")
            return st.Begin(modes(reader, needed=False))
        case "START":
            reader.expect("TRANSACTION")
            return st.Begin(modes(reader, needed=False))
        case "COMMIT" | "END" | "ROLLBACK" | "ABORT" as word:
            return _end(reader, word)
        case "SAVEPOINT":
            return st.Savepoint(_last_name(reader))
        case "RELEASE":
            reader.accept("SAVEPOINT")
            return st.ReleaseSavepoint(_last_name(reader))
    return None


def _end(reader: Reader, word: str) -> Control:
    if word in ("COMMIT", "ROLLBACK") and reader.word() == "PREPARED":
        raise NotSupportedError(f"{word} PREPARED is not supported", position=reader.tokens[0].start)
    _ = reader.accept("WORK") or reader.accept("TRANSACTION")
    if word == "ROLLBACK" and reader.accept("TO"):
        reader.accept("SAVEPOINT")
        return st.RollbackToSavepoint(_last_name(reader))
    chain = False
    if reader.accept("AND"):
        chain = not reader.accept("NO")
        reader.expect("CHAIN")
    reader.end()
    return st.Commit(chain) if word in ("COMMIT", "END") else st.Rollback(chain)


def _last_name(reader: Reader) -> str:
    name = reader.name()
    reader.end()
    return name


def modes(reader: Reader, *, needed: bool = True) -> us.TransactionModes:
    """ISOLATION LEVEL ..., READ ONLY | READ WRITE, [NOT] DEFERRABLE up to the end of the statement."""
    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None
    while needed or not reader.at_end:
        if reader.accept("ISOLATION", "LEVEL"):
            isolation = next((level for level in _ISOLATION if reader.accept(*level.upper().split())), None)
            if isolation is None:
                raise reader.error()
        elif reader.accept("READ", "ONLY"):
            read_only = True
        elif reader.accept("READ", "WRITE"):
            read_only = False
        elif reader.accept("NOT", "DEFERRABLE"):
            deferrable = False
        elif reader.accept("DEFERRABLE"):
            deferrable = True
        else:
            raise reader.error()
        needed = reader.accept(",")
    return us.TransactionModes(isolation, read_only, deferrable)


def set_transaction(reader: Reader) -> us.SetTransaction:
    """What follows SET TRANSACTION."""
    if reader.word() == "SNAPSHOT":
        raise NotSupportedError("SET TRANSACTION SNAPSHOT is not supported", position=reader.tokens[0].start)
    return us.SetTransaction(modes(reader))


def set_constraints(reader: Reader) -> us.SetConstraints:
    """What follows SET CONSTRAINTS."""
    names: list[us.TableName] = []
    if not reader.accept("ALL"):
        names.append(reader.table())
        while reader.accept(","):
            names.append(reader.table())
    deferred = reader.accept("DEFERRED")
    if not deferred:
        reader.expect("IMMEDIATE")
    reader.end()
    return us.SetConstraints(tuple(names), deferred)
