"""The interface zerosys:db/transaction: several statements of a guest's connection that take effect together.

A transaction resource is one transaction of its connection and no other: when that has ended another way (COMMIT as a
statement, the connection dropped), the resource means nothing any more (25P01), and dropping it does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zerodb.components import types, vals
from zerodb.components.instance import HostFunction, Instance, Interface
from zerodb.components.query import CONNECTION, GuestConnection, lift_text
from zerodb.components.vals import MalformedError, Own, lower_own, result_of
from zerodb_compiler.errors import error_for

if TYPE_CHECKING:
    from zerodb.connection import Connection

TRANSACTION = 11
ISOLATIONS = {
    "default-level": None,
    "read-committed": "read committed",
    "repeatable-read": "repeatable read",
    "serializable": "serializable",
}
ACCESSES = {"read-write": False, "read-only": True}


class GuestTransaction:
    def __init__(self, connection: Connection, isolation: str | None, read_only: bool) -> None:
        connection.begin(isolation, read_only=read_only)
        self.connection = connection
        self._begun: Any = connection._session._transaction

    def _check(self) -> None:
        if not self._is_open():
            raise error_for("25P01", "the transaction has ended")

    def _is_open(self) -> bool:
        return not self.connection._closed and self.connection._session._transaction is self._begun

    def run(self, statement: str, name: str) -> None:
        """A statement about a savepoint."""
        self._check()
        quoted = name.replace('"', '""')
        self.connection.execute(f'{statement} "{quoted}"')

    def commit(self) -> None:
        self._check()
        if not self.connection.commit():
            message = "a statement of the transaction failed: it was rolled back"
            raise error_for("25P02", message, hint="see the first error")

    def rollback(self) -> None:
        self._check()
        self.connection.rollback()

    def close(self) -> None:
        if self._is_open():
            self.connection.rollback()


def _begin(instance: Instance, connection: GuestConnection, isolation: str, access: str) -> Own:
    if isolation not in ISOLATIONS or access not in ACCESSES:
        raise MalformedError("an isolation level or access mode that there is not")
    begun = GuestTransaction(connection.connection, ISOLATIONS[isolation], ACCESSES[access])
    return instance.handles.add(TRANSACTION, begun)


def _commit(_: Instance, self: GuestTransaction) -> None:
    try:
        self.commit()
    finally:
        self.close()


def _rollback(_: Instance, self: GuestTransaction) -> None:
    self.rollback()


def _savepoint(_: Instance, self: GuestTransaction, name: str) -> None:
    self.run("savepoint", name)


def _rollback_to(_: Instance, self: GuestTransaction, name: str) -> None:
    self.run("rollback to savepoint", name)


def _release(_: Instance, self: GuestTransaction, name: str) -> None:
    self.run("release savepoint", name)


def _lift_case(at: int) -> str:
    if vals.MEMORY[at] != vals.ENUM:
        raise MalformedError("no enum where the interface has one")
    return vals.lift_string(at + 8)


_DONE = result_of(None, types.ERROR)
TRANSACTIONS = Interface(
    types.interface_name("transaction"),
    {"transaction": TRANSACTION},
    {
        "[static]transaction.begin": HostFunction(
            _begin, (CONNECTION,), (_lift_case, _lift_case), result_of(lower_own, types.ERROR)
        ),
        "[static]transaction.commit": HostFunction(_commit, (-TRANSACTION,), (), _DONE),
        "[static]transaction.rollback": HostFunction(_rollback, (-TRANSACTION,), (), _DONE),
        "[method]transaction.savepoint": HostFunction(_savepoint, (TRANSACTION,), (lift_text,), _DONE),
        "[method]transaction.rollback-to": HostFunction(_rollback_to, (TRANSACTION,), (lift_text,), _DONE),
        "[method]transaction.release": HostFunction(_release, (TRANSACTION,), (lift_text,), _DONE),
    },
)
