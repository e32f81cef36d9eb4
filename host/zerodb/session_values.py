"""What functions say of the session (compiler: sql/binder_session.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerodb.utility import set_setting, setting
from zerodb.values import Canonical
from zerodb.view import SYSTEM_SCHEMAS
from zerodb_compiler.errors import Error
from zerodb_compiler.sql.computed import Computed
from zerodb_compiler.sql.values import to_canonical
from zerodb_compiler.types import TEXT, array
from zerodb_storage.catalog import is_temporary

if TYPE_CHECKING:
    from zerodb.connection import Connection

USER = "zerodb"
_POSTGRES = "15.0"  # the PostgreSQL whose behaviour is meant


def _is_schema(connection: Connection, name: str) -> bool:
    if is_temporary(name):
        return False
    snapshot = connection._session.seen()
    return name == "public" or name in SYSTEM_SCHEMAS or snapshot.object("schema", "", name) is not None


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
            return connection._view().database
        case "current_schema":
            return next((name for name in connection._search_path if _is_schema(connection, name)), None)
        case "current_schemas":
            names = [name for name in connection._search_path if _is_schema(connection, name)]
            return to_canonical(array(TEXT), ["pg_catalog", *names] if what.called else names)
        case "pg_backend_pid":
            return connection._session.locks.locker.number
        case "txid_current" | "pg_current_xact_id":
            return connection._session.number()
        case "txid_current_if_assigned" | "pg_current_xact_id_if_assigned":
            return connection._session.number(assign=False)
        case "version":
            import zerodb

            return f"PostgreSQL {_POSTGRES} (zerodb {zerodb.__version__})"
    raise AssertionError(what)
