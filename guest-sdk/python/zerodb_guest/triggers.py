"""Triggers: `@trigger` functions see the rows that a statement changes, before or after it.

    @trigger
    def check(event):
        for change in event:
            if change.new["price"] < 0:
                raise FunctionError("a price is not negative", "23514", change.row)
            change.new["name"] = change.new["name"].strip()     # before the change: it is stored so

`change.skip()` leaves a row alone. One call answers with replaced rows or with skipped ones, not with both: WIT's
`decision` has no form for that, and it is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from componentize_py_types import Err

from zerodb_guest.errors import FunctionError
from zerodb_guest.functions import failure
from zerodb_guest.values import batch_of, form_of_type, pack_bits, rows_of

_triggers: dict[str | None, Any] = {}


def trigger(function: Any = None) -> Any:
    """For every trigger that names this component; with a name, `@trigger("check_price")`, for that one alone."""
    if isinstance(function, str):
        name = function

        def named(body: Any) -> Any:
            _triggers[name] = body
            return body

        return named
    _triggers[None] = function
    return function


class Change:
    """One row: `old` and `new` by the names of the columns, None where there is none (INSERT has no old, DELETE no
    new). What is assigned to `new` before the change is what is stored."""

    __slots__ = ("_event", "new", "old", "row")

    def __init__(self, event: Event, row: int, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        self._event = event
        self.row = row
        self.old = old
        self.new = new

    def skip(self) -> None:
        """Leaves this row alone."""
        self._event.skipped.add(self.row)


class Event:
    """The rows that one statement changes."""

    def __init__(self, event: Any) -> None:
        self.trigger: str = event.trigger
        self.table: str = event.table
        self.timing: str = event.timing.name.lower()
        self.operation: str = event.operation.name.lower()
        self.columns: dict[str, str] = {column.name: column.data_type for column in event.columns}
        self.old = None if event.old is None else rows_of(event.old)
        self.new = None if event.new is None else rows_of(event.new)
        self.skipped: set[int] = set()
        self._changes: list[Change] | None = None

    def __len__(self) -> int:
        return len(self.new if self.new is not None else self.old or ())

    def __iter__(self) -> Iterator[Change]:
        if self._changes is None:
            names = list(self.columns)
            self._changes = [
                Change(
                    self,
                    row,
                    None if self.old is None else dict(zip(names, self.old[row], strict=True)),
                    None if self.new is None else dict(zip(names, self.new[row], strict=True)),
                )
                for row in range(len(self))
            ]
        return iter(self._changes)

    def replaced(self) -> list[tuple[Any, ...]] | None:
        """The new rows if any was changed."""
        if self._changes is None or self.new is None:
            return None
        rows: list[tuple[Any, ...]] = []
        for change in self._changes:
            assert change.new is not None
            unknown = change.new.keys() - self.columns.keys()
            if unknown:
                raise FunctionError(f"{self.table} has no column {', '.join(sorted(unknown))}", "42703", change.row)
            rows.append(tuple(change.new[name] for name in self.columns))
        return None if rows == self.new else rows


def call_trigger(event: Any, wit: Any) -> Any:
    """`wit`: the module of the exported interface, which defines the decisions."""
    try:
        body = _triggers.get(event.trigger) or _triggers.get(None)
        if body is None:
            raise FunctionError(f"the component has no trigger {event.trigger}", "42883")
        seen = Event(event)
        body(seen)
        rows = seen.replaced()
        if rows is not None and seen.skipped:
            raise FunctionError(f"{event.trigger}: rows cannot be both replaced and skipped in one statement", "0A000")
        if rows is not None:
            return wit.Decision_Replace(batch_of(rows, [form_of_type(kind) for kind in seen.columns.values()]))
        if seen.skipped:
            return wit.Decision_Filter(pack_bits([row not in seen.skipped for row in range(len(seen))]))
        return wit.Decision_Keep()
    except Err:
        raise
    except Exception as error:
        raise failure(error) from None


__all__ = ["Change", "Event", "call_trigger", "trigger"]
