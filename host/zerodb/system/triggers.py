"""pg_trigger, information_schema.triggers, and what pg_get_triggerdef gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from zerodb.system import Row, system_table
from zerodb.system.model import Model, RelationEntry, ident
from zerodb_compiler.triggers import EVENTS, Trigger, triggers_in

_BITS = {"insert": 4, "delete": 8, "update": 16}
_ROW, _BEFORE = 1, 2
_ORDER = ("insert", "delete", "update")  # in which PostgreSQL writes the events


def of_relation(relation: RelationEntry) -> tuple[Trigger, ...]:
    return () if relation.version is None else triggers_in(relation.version.schema.options)


def _triggers(model: Model) -> Iterator[tuple[RelationEntry, Trigger]]:
    return ((relation, trigger) for relation in model.relations for trigger in of_relation(relation))


def _columns(relation: RelationEntry, trigger: Trigger) -> list[tuple[int, str]]:
    """Number and name of the columns of UPDATE OF."""
    assert relation.version is not None
    places = {column.slot: number for number, column in enumerate(relation.version.columns)}
    entries = [relation.columns[places[slot]] for slot in trigger.columns if slot in places]
    return [(entry.number, entry.name) for entry in entries]


def _called(model: Model, trigger: Trigger) -> tuple[str, str]:
    """Schema and name of the function, which may have been renamed since."""
    for (kind, schema, _), data in model.snapshot.catalog.items():
        if kind == "function" and data["id"] == trigger.function_id:
            return schema, data["name"]
    return trigger.function


def function_oid(model: Model, trigger: Trigger) -> int:
    schema, name = _called(model, trigger)
    return model.oid("function", schema, f"{name}()")


@system_table("pg_trigger")
def triggers(model: Model) -> Iterable[Row]:
    for relation, trigger in _triggers(model):
        bits = sum(_BITS[event] for event in trigger.events)
        yield {
            "oid": trigger.id,
            "tgrelid": relation.oid,
            "tgname": trigger.name,
            "tgfoid": function_oid(model, trigger),
            "tgtype": bits + _ROW * trigger.for_rows + _BEFORE * (trigger.timing == "before"),
            "tgenabled": "O" if trigger.enabled else "D",
            "tgattr": [number for number, _ in _columns(relation, trigger)],
            "tgnargs": len(trigger.arguments),
            "tgargs": b"".join(argument.encode() + b"\0" for argument in trigger.arguments),
            "tgqual": None if trigger.when is None else f"({trigger.when})",
        }


@system_table("__triggerdef")
def definitions(model: Model) -> Iterable[Row]:
    for relation, trigger in _triggers(model):
        plain = f"{ident(relation.schema)}.{ident(relation.name)}"
        yield {"__k": trigger.id, "__n": 0, "__v": definition(model, relation, trigger, plain)}
        shown = model.shown(relation.schema, relation.name)
        yield {"__k": trigger.id, "__n": 1, "__v": definition(model, relation, trigger, shown)}


def definition(model: Model, relation: RelationEntry, trigger: Trigger, table: str) -> str:
    """As pg_get_triggerdef writes it."""
    events = [event.upper() for event in _ORDER if event in trigger.events]
    of = ", ".join(ident(name) for _, name in _columns(relation, trigger))
    if of:
        events[events.index("UPDATE")] = f"UPDATE OF {of}"
    each = "ROW" if trigger.for_rows else "STATEMENT"
    when = "" if trigger.when is None else f" WHEN ({trigger.when})"
    head = f"CREATE TRIGGER {ident(trigger.name)} {trigger.timing.upper()} {' OR '.join(events)} ON {table}"
    return f"{head} FOR EACH {each}{when} {_statement(model, trigger)}"


def _statement(model: Model, trigger: Trigger) -> str:
    schema, name = _called(model, trigger)
    shown = ident(name) if schema in model.view.path else f"{ident(schema)}.{ident(name)}"
    given = ", ".join("'" + argument.replace("'", "''") + "'" for argument in trigger.arguments)
    return f"EXECUTE FUNCTION {shown}({given})"


@system_table("triggers", "information_schema")
def standard(model: Model) -> Iterable[Row]:
    """A row for each event; `action_order` counts the triggers of one table, event, timing and orientation."""
    for relation in model.relations:
        known = of_relation(relation)
        for event in EVENTS:
            counts: dict[tuple[str, bool], int] = {}
            for trigger in known:
                if event not in trigger.events:
                    continue
                kind = trigger.timing, trigger.for_rows
                counts[kind] = counts.get(kind, 0) + 1
                yield {
                    "trigger_catalog": model.view.database,
                    "trigger_schema": relation.schema,
                    "trigger_name": trigger.name,
                    "event_manipulation": event.upper(),
                    "event_object_catalog": model.view.database,
                    "event_object_schema": relation.schema,
                    "event_object_table": relation.name,
                    "action_order": counts[kind],
                    "action_condition": None if trigger.when is None else f"({trigger.when})",
                    "action_statement": _statement(model, trigger),
                    "action_orientation": "ROW" if trigger.for_rows else "STATEMENT",
                    "action_timing": trigger.timing.upper(),
                }
