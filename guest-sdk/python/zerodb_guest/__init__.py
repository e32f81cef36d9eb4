"""zerodb from within: what a WebAssembly component written in Python uses.

    from zerodb_guest import connect

    def run(arguments):
        with connect() as db:
            for name, price in db.query("select name, price from item where price > $1", [2]):
                ...
            return "done"

`zerodb new guest --lang python NAME` makes a project, `zerodb build` builds it. Functions that SQL calls: functions.py
and triggers.py.

A component has no files when it runs: what a module needs is imported when the component is built, so import at the
top of your modules, not within functions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from zerodb_guest.errors import (
    DataError,
    Error,
    FunctionError,
    IntegrityError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from zerodb_guest.values import Interval

if TYPE_CHECKING:
    from zerodb_guest.connection import Column, Connection, Cursor, Statement, connect
    from zerodb_guest.functions import aggregate, scalar, table
    from zerodb_guest.kv import Bucket
    from zerodb_guest.transactions import Transaction
    from zerodb_guest.triggers import Change, Event, trigger

__all__ = [
    "Bucket",
    "Change",
    "Column",
    "Connection",
    "Cursor",
    "DataError",
    "Error",
    "Event",
    "FunctionError",
    "IntegrityError",
    "InternalError",
    "Interval",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Statement",
    "Transaction",
    "aggregate",
    "connect",
    "scalar",
    "table",
    "trigger",
]

# A world has only the interfaces that it imports, so what needs one of them is imported when it is asked for.
_MODULES = {
    **dict.fromkeys(("Column", "Connection", "Cursor", "Statement", "connect"), "connection"),
    **dict.fromkeys(("aggregate", "scalar", "table"), "functions"),
    **dict.fromkeys(("Change", "Event", "trigger"), "triggers"),
    "Bucket": "kv",
    "Transaction": "transactions",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"zerodb_guest.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
