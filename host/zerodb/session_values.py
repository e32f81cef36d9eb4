"""What functions say of the session (compiler: sql/binder_session.py)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from zerodb.utility import set_setting, setting
from zerodb.values import Canonical
from zerodb_compiler.errors import Error
from zerodb_compiler.sql.computed import Computed

if TYPE_CHECKING:
    from zerodb.connection import Connection

USER = "zerodb"
_POSTGRES = "15.0"  # the PostgreSQL whose behaviour is meant


def session_value(connection: Connection, what: Computed) -> Canonical:
    assert isinstance(what.sequence, str)
    match what.kind:
        case "setting":
            try:
                return setting(connection, what.sequence)
            except Error as error:
                if what.called and error.sqlstate == "42704":
                    return None
                raise
        case "set setting":
            name, value = what.sequence.split("\0", 1)
            set_setting(connection, name.lower(), value, local=what.called)
            return setting(connection, name)
    match what.sequence:
        case "current_user" | "session_user":
            return USER
        case "current_database":
            path = connection._database.path
            return "memory" if path is None else Path(path).stem
        case "current_schema":
            return next(iter(connection._options.search_path), None)
        case "pg_backend_pid":
            return os.getpid()
        case "version":
            import zerodb

            return f"PostgreSQL {_POSTGRES} (zerodb {zerodb.__version__})"
    raise AssertionError(what)
