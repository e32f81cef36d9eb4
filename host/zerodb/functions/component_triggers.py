"""Trigger functions in components: zerosys:db/trigger-functions.

All rows of a change are one event, and one call. What the component queries through zerosys:db/query runs on the
connection of the statement, as a part of it; so the connection that it opens is the statement's own, and dropping it
closes nothing. Handles are good for one call: the next one may be of another statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from zerodb.components.batches import from_record_batch, to_record_batch
from zerodb.components.marshal import lift_of, lower_of
from zerodb.components.query import GuestConnection
from zerodb.components.vals import MalformedError, Ok
from zerodb.components.wit_types import BYTES, COLUMN, RECORD_BATCH, EnumOf, ListOf, OptionOf, RecordOf, ResultOf
from zerodb.components.wit_types import VariantOf as Variants
from zerodb.functions.body import FunctionError
from zerodb.functions.component_functions import failure
from zerodb.functions.component_pool import Pool
from zerodb.functions.component_types import FUNCTION_ERROR, STRING
from zerodb_compiler.errors import DatabaseError, error_for

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.functions.trigger_functions import Decision, Event

EVENT = RecordOf(
    (
        ("trigger", STRING),
        ("table", STRING),
        ("timing", EnumOf(("before", "after"))),
        ("operation", EnumOf(("insert", "update", "delete"))),
        ("columns", ListOf(COLUMN)),
        ("old", OptionOf(RECORD_BATCH)),
        ("new", OptionOf(RECORD_BATCH)),
    )
)
DECISION = Variants((("keep", None), ("replace", RECORD_BATCH), ("filter", BYTES)))
_LOWER_EVENT = lower_of(EVENT)
_LIFT_ANSWER = lift_of(ResultOf(DECISION, FUNCTION_ERROR))


class CallersSession:
    """What an instance has of the database while a statement calls it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def open(self, name: str) -> GuestConnection:
        if name not in ("", "default"):
            raise error_for("3D000", f'database "{name}" does not exist', hint='a function has the database ""')
        return _CallersConnection(self._connection)

    def interrupt(self) -> None:
        """The statement's own interruption reaches what it runs."""


class _CallersConnection(GuestConnection):
    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, lambda _: None)

    def close(self) -> None:
        """It goes on with the statement."""


class ComponentTrigger:
    """A TriggerFunction."""

    def __init__(self, pool: Pool, name: str, export: str) -> None:
        self._pool, self._name, self._export = pool, name, export

    def fire(self, event: Event) -> Decision:
        types = [column.type for column in event.columns]
        record = {
            "trigger": event.trigger,
            "table": event.table,
            "timing": event.timing,
            "operation": event.operation,
            "columns": [
                {"name": column.name, "data-type": str(column.type), "nullable": column.nullable}
                for column in event.columns
            ],
            "old": _batch(event.old, types),
            "new": _batch(event.new, types),
        }
        with self._pool.instance(self._name) as instance:
            export = instance.export(self._export)
            assert export is not None, "the interface is exported"
            before, instance.owner = instance.owner, CallersSession(event.connection)
            try:
                answer = export([_LOWER_EVENT], [record], _LIFT_ANSWER)
            finally:
                instance.owner = before
                instance.handles.close()
        if not isinstance(answer, Ok):
            raise failure(answer.value, event.rows)
        try:
            return _decided(answer.value, event, types)
        except MalformedError as error:
            raise FunctionError(str(error), "22P03") from None
        except DatabaseError as error:
            raise FunctionError(error.message, error.sqlstate) from None

    def close(self) -> None:
        self._pool.close()


def _batch(rows: pa.Table | None, types: Any) -> Any:
    if rows is None:
        return None
    return to_record_batch([column.combine_chunks() for column in rows.columns], types, rows.num_rows)


def _decided(decision: Any, event: Event, types: Any) -> Decision:
    match decision.tag:
        case "replace":
            columns = from_record_batch(decision.payload, types)
            return pa.Table.from_arrays(columns, names=[column.name for column in event.columns])
        case "filter":
            rows = event.rows
            if len(decision.payload) < (rows + 7) // 8:
                raise MalformedError(f"a filter of {len(decision.payload)} bytes for {rows} rows")
            bits = np.frombuffer(bytes(decision.payload), np.uint8)
            return np.unpackbits(bits, count=rows, bitorder="little").astype(np.bool_)
    return None
