"""The errors users see: the PEP 249 classes, each with SQLSTATE, place in the SQL text and `retryable`.

They live in the lowest layer because the binder, the storage and the host all raise them; users import them from
`zerodb.errors`. `raise` is for users; our own invariants are `assert`.
"""

from __future__ import annotations


class Error(Exception):
    """Base of all zerodb errors.

    `sqlstate` is PostgreSQL's five-character code; `position` the zero-based character offset in the SQL text where the
    error was found, or None; `hint` a suggestion ("did you mean ...?"); `retryable` says that the same transaction may
    succeed if tried again. `detail` says more of it, `context` where in which functions it was raised, a line for each,
    the innermost first.
    """

    default_sqlstate = "XX000"

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        position: int | None = None,
        hint: str | None = None,
        retryable: bool = False,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate or self.default_sqlstate
        self.position = position
        self.hint = hint
        self.retryable = retryable
        self.detail = detail
        self.context: str | None = None

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Warning(Exception):  # noqa: A001 - PEP 249 asks for this name
    """An important warning (PEP 249)."""


class InterfaceError(Error):
    """Wrong use of the Python interface, such as a closed cursor (PEP 249)."""

    default_sqlstate = "08003"


class DatabaseError(Error):
    """An error of the database (PEP 249)."""


class DataError(DatabaseError):
    """A value that cannot be processed: overflow, division by zero, bad input (class 22)."""

    default_sqlstate = "22000"


class OperationalError(DatabaseError):
    """Something outside the query's control: memory, disk, interruption, a locked file (classes 53, 57, 58)."""

    default_sqlstate = "58000"


class IntegrityError(DatabaseError):
    """A constraint was violated (class 23)."""

    default_sqlstate = "23000"


class InternalError(DatabaseError):
    """A broken invariant of zerodb itself, or corrupted data (XX001)."""

    default_sqlstate = "XX000"


class ProgrammingError(DatabaseError):
    """Wrong SQL: syntax, unknown names, wrong types, wrong number of parameters (class 42)."""

    default_sqlstate = "42601"


class NotSupportedError(DatabaseError):
    """Valid SQL that zerodb does not do (0A000)."""

    default_sqlstate = "0A000"


_CLASS_BY_PREFIX: dict[str, type[DatabaseError]] = {
    "0A": NotSupportedError,
    "21": DataError,
    "22": DataError,
    "23": IntegrityError,
    "25": OperationalError,
    "2B": ProgrammingError,
    "38": OperationalError,  # external code says so, or
    "39": OperationalError,  # broke down
    "3D": ProgrammingError,
    "3F": ProgrammingError,
    "40": OperationalError,
    "42": ProgrammingError,
    "53": OperationalError,
    "54": OperationalError,
    "55": OperationalError,
    "57": OperationalError,
    "58": OperationalError,
    "72": OperationalError,
    "P0": ProgrammingError,  # RAISE and its kin of PL/pgSQL
}


_RETRYABLE = ("40001", "40P01", "55P03", "72000")  # lost against, or waited too long for, another transaction


def error_for(sqlstate: str, message: str, *, position: int | None = None, hint: str | None = None) -> DatabaseError:
    """The exception of the right PEP 249 class for a SQLSTATE."""
    kind = _CLASS_BY_PREFIX.get(sqlstate[:2], InternalError)
    return kind(message, sqlstate=sqlstate, position=position, hint=hint, retryable=sqlstate in _RETRYABLE)
