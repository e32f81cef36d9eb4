"""Functions of triggers that note their calls, and the words that tests about them are written in."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from zerodb import Connection


class Log:
    """A function that notes what it was called with."""

    def __init__(self, decision: Any = None) -> None:
        self.events: list[Any] = []
        self._decision = decision

    def __call__(self, event: Any) -> Any:
        self.events.append(event)
        return self._decision(event) if self._decision is not None else None

    @property
    def seen(self) -> list[tuple[Any, ...]]:
        def ids(rows: pa.Table | None) -> list[int] | None:
            return None if rows is None else rows["id"].to_pylist()

        return [(e.trigger, e.timing, e.operation, ids(e.old), ids(e.new)) for e in self.events]


def make(db: Connection, name: str, what: str, function: Any, clause: str = "for each row") -> Any:
    db.create_trigger_function(f"{name}_f", function)
    db.execute(f"create trigger {name} {what} on t {clause} execute function {name}_f()")
    return function


def rows(db: Connection, text: str = "select * from t order by id") -> list[tuple[Any, ...]]:
    return db.execute(text).fetchall()


def shouted(event: Any) -> pa.Table:
    return event.new.set_column(1, "name", pc.utf8_upper(event.new["name"]))
