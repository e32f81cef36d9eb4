"""DO and CALL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerodb.outcome import Outcome
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.sql import utility_statements as us

if TYPE_CHECKING:
    from zerodb.connection import Connection


def run_procedure(connection: Connection, statement: us.Do | us.Call) -> Outcome:
    what = "DO" if isinstance(statement, us.Do) else "CALL"
    raise NotSupportedError(f"{what} is not supported")
