"""What a trigger calls: a Python callable, or a component's zerosys:db/trigger-functions.

A function is called once for all rows that a statement changes. It gets an `Event` and says what becomes of them:

    None                            they stay as they are
    a pyarrow.Table                 these instead of the new rows (as many, same columns); before the change only
    booleans, one a row             only those rows; the others are left alone; before the change only
    an exception                    the statement fails

(Those in PL/pgSQL are called for each row; together they give a `Chosen`.)

Python callables are known to one process: a trigger names them, and fails where they are not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from zerodb.functions.body import FunctionError
from zerodb_compiler.errors import DatabaseError, Error, error_for
from zerodb_compiler.sql.external import ExternalFunction
from zerodb_compiler.types import TEXT, SqlType

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.functions.trigger_events import ChangedRows
    from zerodb.view import View
    from zerodb_compiler.triggers import Trigger

TRIGGER = "trigger"  # the kind of function
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class EventColumn:
    name: str
    type: SqlType
    nullable: bool


@dataclass(frozen=True, slots=True)
class Event:
    """The rows that one statement changes: row i of `new` takes the place of row i of `old`. INSERT has no `old`,
    DELETE no `new`. `connection` is the session that the statement runs in: what is executed there is a part of it."""

    trigger: str
    schema: str
    table: str
    timing: str  # "before" or "after"
    operation: str  # "insert", "update" or "delete"
    columns: tuple[EventColumn, ...]
    old: pa.Table | None
    new: pa.Table | None
    connection: Connection
    changed: ChangedRows | None = None  # the rows in storage's types
    for_rows: bool = False
    arguments: tuple[str, ...] = ()  # of the trigger

    @property
    def rows(self) -> int:
        found = self.old if self.new is None else self.new
        return 0 if found is None else int(found.num_rows)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Both: these instead of the new rows (None: as they are), and of them only some."""

    rows: pa.Table | None
    mask: Mask


Decision: TypeAlias = "pa.Table | Mask | Chosen | None"


class TriggerFunction(Protocol):
    def fire(self, event: Event) -> Decision: ...

    def close(self) -> None: ...


class PythonTrigger:
    """A Python callable that takes the event."""

    def __init__(self, name: str, function: Callable[[Event], Any]) -> None:
        self.name = name
        self._function = function

    def fire(self, event: Event) -> Decision:
        try:
            found = self._function(event)
        except (Error, FunctionError):
            raise
        except Exception as error:
            text = str(error).strip()
            raise FunctionError(f"{type(error).__name__}: {text}" if text else type(error).__name__) from error
        return _decision(self.name, found)

    def close(self) -> None:
        """Nothing is held."""


def _decision(name: str, found: Any) -> Decision:
    if found is None or isinstance(found, pa.Table):
        return found
    if isinstance(found, pa.RecordBatch):
        return pa.Table.from_batches([found])
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    if isinstance(found, pa.Array) and pa.types.is_boolean(found.type):
        found = found.fill_null(False).to_numpy(zero_copy_only=False)
    if isinstance(found, (np.ndarray, Sequence)) and not isinstance(found, (str, bytes)):
        mask = np.asarray(found)
        if mask.ndim == 1 and (mask.dtype == np.bool_ or not len(mask)):
            return mask.astype(np.bool_)
    message = f"trigger function {name} returned a {type(found).__name__}, not None, a table or booleans"
    raise error_for("39P01", message)


# --- who is called ----------------------------------------------------------------------------------------------------


def create_trigger_function(
    connection: Connection, name: str, function: Callable[[Event], Any], *, replace: bool
) -> None:
    if not callable(function):
        raise error_for("42804", f"a {type(function).__name__} is no function")

    def make(id_: int, version: int) -> ExternalFunction:
        return ExternalFunction(id_, version, "public", name, TRIGGER, (), (), ((name, TEXT),))

    connection._database.functions.add(make, PythonTrigger(name, function), replace=replace)


def find_function(view: View, name: str, schema: str | None) -> ExternalFunction | None:
    """The function without arguments of that name."""
    return next((found for found in view.functions(name, schema) if not found.arguments), None)


def function_of(view: View, trigger: Trigger) -> TriggerFunction:
    """What the trigger calls. 42883 for a Python callable that this process does not know."""
    schema, name = trigger.function
    found: ExternalFunction | None = None
    if trigger.function_id is None:
        found = find_function(view, name, schema)
    else:
        stored = view.session._database.functions.stored(view.snapshot.catalog) if view.session is not None else {}
        found = next((each for group in stored.values() for each in group if each.id == trigger.function_id), None)
    if found is None or found.kind != TRIGGER:
        message = f"function {name}() of trigger {trigger.name} does not exist"
        hint = f'it is a Python callable: create_trigger_function("{name}", ...) makes it known to this process'
        raise error_for("42883", message, hint=hint if trigger.function_id is None else None)
    body: TriggerFunction = view.body(found)
    return body


def failure(error: FunctionError, trigger: Trigger, table: str) -> DatabaseError:
    """The statement's error for one that the function gave."""
    row = "" if error.row is None else f", row {error.row + 1} of the change"
    where = f'trigger {trigger.name} on table "{table}"{row}'
    return error_for(error.sqlstate, error.message, hint=f"raised by function {trigger.function[1]}, {where}")
