"""Triggers of a table, as the catalog keeps them: what is called when its rows change.

They are part of the table's declaration (plain data under "triggers" among its schema's options), so they come and go
with the table, move with its name, and a statement that was compiled without them does not fit any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

OPTION = "triggers"
EVENTS = ("insert", "update", "delete")


@dataclass(frozen=True, slots=True)
class Trigger:
    """`timing` is "before" or "after"; `events` are some of EVENTS. `columns` are the slots of UPDATE OF (none: any
    column). `for_rows`: FOR EACH ROW. `when` is the text of its condition. `function` is (schema, name) of what is
    called, with the `arguments`; `function_id` the id of the catalog's object, None for a Python callable."""

    id: int
    name: str
    timing: str
    events: tuple[str, ...]
    function: tuple[str, str]
    function_id: int | None
    columns: tuple[int, ...] = ()
    for_rows: bool = False
    when: str | None = None
    enabled: bool = True
    arguments: tuple[str, ...] = ()

    def fires(self, timing: str, event: str) -> bool:
        return self.enabled and self.timing == timing and event in self.events

    def record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Trigger:
        found = dict(record)
        for name in ("events", "function", "columns", "arguments"):
            found[name] = tuple(found.get(name, ()))
        return cls(**found)


def triggers_in(options: Sequence[tuple[str, Any]]) -> tuple[Trigger, ...]:
    """In the order in which they run: that of their names."""
    for name, records in options:
        if name == OPTION:
            return tuple(map(Trigger.of, records))
    return ()


def with_triggers(options: Sequence[tuple[str, Any]], triggers: Sequence[Trigger]) -> tuple[tuple[str, Any], ...]:
    kept = tuple(option for option in options if option[0] != OPTION)
    ordered = sorted(triggers, key=lambda trigger: trigger.name)
    return (*kept, (OPTION, [trigger.record() for trigger in ordered])) if ordered else kept
