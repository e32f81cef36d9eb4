"""The function that executes a change by key, as Python source made for the statement (see point.py)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zerodb.cursor import Cursor
from zerodb.engine.point_call import call_unchecked
from zerodb.outcome import Outcome
from zerodb.points.point import parameters_source, taken_source
from zerodb_compiler.codegen import point_abi as pa

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.points.point_changes import ChangeStatement
    from zerodb.values import Parameters


class ChangeCursor(Cursor):
    """The cursor of a change by key."""

    arraysize = 1
    _closed = False
    _row = 0
    _batch = 1
    _other: Outcome | None = None

    def __init__(self, connection: Connection, tag: str, count: int) -> None:
        self.connection = connection
        self._rows = []
        self._tag, self._count = tag, count

    @property
    def rowcount(self) -> int:
        return self._count if self._other is None else self._other.row_count

    @property
    def _outcome(self) -> Outcome | None:
        return Outcome(self._tag, self._count) if self._other is None and not self._closed else self._other

    @_outcome.setter
    def _outcome(self, outcome: Outcome | None) -> None:
        self._other = outcome


def run_function(statement: ChangeStatement) -> Callable[[Parameters | None], Cursor]:
    """Makes `run`."""
    program, user = statement.program, statement.prepared.user
    names = change_names(statement)
    packing, form, packed = parameters_source(user, names)
    names["pack"] = struct.Struct(form + "i").pack_into
    names["pack_at"] = statement.call.address + program.parameters
    names["unpack"] = struct.Struct("<iIq").unpack_from
    names["unpack_at"] = statement.call.address + program.results
    body = [
        *taken_source(user),
        "with lock:",
        *indented(BINDING),
        *indented(packing),
        f"    try: pack(memory, pack_at, {', '.join([*packed, str(pa.STATUS_PENDING)])})",
        "    except overflow: return general(parameters)",
        *indented(_CALLING),
        f"    if status == {pa.STATUS_ROW}:",
        "        if t is None:",
        "            if not commit_alone(row_id, hashed): return general(parameters)",
        "        else:",
        *indented(_locking(statement), 12),
        "            t.first = False",
        "        return ChangeCursor(connection, tag, 1)",
        f"    if status == {pa.STATUS_NONE}: return ChangeCursor(connection, tag, 0)",
        "    return general(parameters)",
    ]
    text = "\n".join(["def run(parameters=None):", *indented(body)])
    exec(compile(text, "<point statement>", "exec"), names)  # made here, of nothing but types
    run: Callable[[Parameters | None], Cursor] = names["run"]
    return run


# Whether the statement is still bound to what its session would read.
BINDING = [
    "t = session._transaction",
    "if t is None:",
    "    bound = storage._snapshot is state.snapshot",
    "else:",
    "    write = t.write",
    "    bound = t is state.transaction and write is state.write and not t.failed"
    " and write.tables.get(table_key) is state.own.version"
    " and (t.isolation != 'read committed' or storage._snapshot is write.base)",
    "if not bound or options.changes != state.options_changes or connection._closed:",
    "    if not bind(): return general(parameters)",
]
# The call, again as long as it asks for something.
_CALLING = [
    "invoke(*call.arguments)",
    "status, hashed, row_id = unpack(memory, unpack_at)",
    f"while status == {pa.STATUS_FULL} or status == {pa.STATUS_ABSENT} or status == {pa.STATUS_STALE}:",
    f"    if status == {pa.STATUS_FULL}: grow()",
    f"    elif status == {pa.STATUS_STALE}:",
    "        if not bind(): return general(parameters)",
    "    elif not absent(row_id & 0xffffffff): return general(parameters)",
    "    invoke(*call.arguments)",
    "    status, hashed, row_id = unpack(memory, unpack_at)",
]


def _locking(statement: ChangeStatement) -> list[str]:
    """Within a transaction, after the change was recorded."""
    if statement.changes_keys:
        return ["if not locked(row_id): return general(parameters)"]
    unchanged = "(storage._snapshot is state.seen or unchanged(row_id))"  # the same for a row alone
    return [
        f"if row_id >= 0 and not (lock_point(state.owner, table_id, row_id) and {unchanged}):",
        "    undo()",
        "    return general(parameters)",
    ]


def indented(lines: list[str], spaces: int = 4) -> list[str]:
    return [" " * spaces + line for line in lines]


def change_names(statement: ChangeStatement) -> dict[str, Any]:
    """What the source of `run` names."""
    connection, program = statement.connection, statement.program
    return {
        "ChangeCursor": ChangeCursor,
        "bind": statement.bind_change,
        "call": statement.call,
        "commit_alone": statement.commit_alone,
        "connection": connection,
        "general": statement.general,
        "grow": statement.grow,
        "absent": statement.absent,
        "invoke": call_unchecked,
        "lock_point": statement.locks.lock_point,
        "table_id": program.table.id,
        "table_key": program.table.key,
        "undo": statement.undo,
        "unchanged": statement.is_unchanged,
        "lock": connection._lock,
        "locked": statement.locked,
        "memory": connection._database.engine.memory.bytes,
        "options": connection._options,
        "overflow": (struct.error, ValueError, OverflowError),
        "session": connection._session,
        "state": statement,
        "storage": statement.storage,
        "tag": statement.tag,
        "text_end": statement.text_end,
        "text_start": statement.text_start,
    }
