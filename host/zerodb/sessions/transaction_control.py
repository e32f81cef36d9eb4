"""BEGIN, COMMIT, ROLLBACK, savepoints, SET TRANSACTION and SET CONSTRAINTS.

Where PostgreSQL only warns (BEGIN inside a transaction, COMMIT outside of one, SET TRANSACTION outside), nothing is
raised here either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from zerodb.outcome import Outcome
from zerodb.sessions import deferral
from zerodb_compiler.errors import error_for
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql import utility_statements as us

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.sessions.session import Session

Control = st.Begin | st.Commit | st.Rollback | st.Savepoint | st.ReleaseSavepoint | st.RollbackToSavepoint


def control(connection: Connection, statement: Control) -> Outcome:
    session = connection._session
    match statement:
        case st.Begin(modes=modes):
            _begin(session, modes)
            return Outcome("BEGIN")
        case st.Commit(chain=chain):
            return Outcome("COMMIT" if _end(session, "COMMIT", chain=chain) else "ROLLBACK")
        case st.Rollback(chain=chain):
            _end(session, "ROLLBACK", chain=chain)
            return Outcome("ROLLBACK")
        case st.Savepoint(name=name):
            session.savepoint(name)
            return Outcome("SAVEPOINT")
        case st.ReleaseSavepoint(name=name):
            session.release(name)
            return Outcome("RELEASE")
        case st.RollbackToSavepoint(name=name):
            session.rollback_to(name)
            return Outcome("ROLLBACK")
        case _:
            assert_never(statement)


def _begin(session: Session, modes: us.TransactionModes) -> None:
    if session.in_transaction:
        session.set_transaction(modes.isolation, modes.read_only, modes.deferrable)
    else:
        session.begin(modes.isolation, read_only=modes.read_only, deferrable=modes.deferrable)


def _end(session: Session, word: str, *, chain: bool) -> bool:
    """Whether it was committed. AND CHAIN begins another transaction of the same kind."""
    if chain and not session.in_transaction:
        raise error_for("25P01", f"{word} AND CHAIN can only be used in transaction blocks")
    isolation, read_only, deferrable = session.isolation, session.is_read_only, session.is_deferrable
    committed = True
    if word == "COMMIT":
        committed = session.commit()
    else:
        session.rollback()
    if chain:
        session.begin(isolation, read_only=read_only, deferrable=deferrable)
    return committed


def set_transaction(connection: Connection, statement: us.SetTransaction) -> Outcome:
    """SET TRANSACTION, and SET SESSION CHARACTERISTICS."""
    modes = statement.modes
    if not statement.session:
        connection._session.set_transaction(modes.isolation, modes.read_only, modes.deferrable)
        return Outcome("SET")
    options = connection._options
    if modes.isolation is not None:
        options.set("default_transaction_isolation", modes.isolation)
    for name, value in (("read_only", modes.read_only), ("deferrable", modes.deferrable)):
        if value is not None:
            options.set(f"default_transaction_{name}", "on" if value else "off")
    return Outcome("SET")


def set_constraints(connection: Connection, statement: us.SetConstraints) -> Outcome:
    """SET CONSTRAINTS. What becomes IMMEDIATE is checked at once."""
    session = connection._session
    if not session.in_transaction:
        return Outcome("SET CONSTRAINTS")
    names = deferral.named(connection._view(early=True), statement.names)
    session.set_constraints(names, statement.deferred)
    return Outcome("SET CONSTRAINTS")
