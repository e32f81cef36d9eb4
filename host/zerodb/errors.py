"""The errors users catch: the PEP 249 classes, each with `.sqlstate`, `.position` in the SQL text and `.retryable`."""

from zerodb_compiler.errors import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,  # noqa: A004 - PEP 249 asks for this name
)


class GuestError(OperationalError):
    """What a component that was run says went wrong (38000)."""

    default_sqlstate = "38000"


__all__ = [
    "DataError",
    "DatabaseError",
    "Error",
    "GuestError",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Warning",
]
