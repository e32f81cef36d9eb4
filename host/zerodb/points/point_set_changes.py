"""UPDATE and DELETE of a few rows within a transaction, found by a key or a part of a key or index, in one packed call;
with RETURNING, those of one row, too.

As with changes by key (point_changes.py): records among the transaction's own rows. After the call each row of the base
that was changed is locked (of a DELETE its key, too); if one cannot be at once, or others have changed it, all records
of the call are taken back, and the statement goes the general way.

Limits: not in autocommit, where the general path commits; MOST_CHANGED rows (codegen/point_set_changes.py), for they
are locked in a loop.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zerodb.cursor import Cursor
from zerodb.points.point import General, is_decoded, parameters_source, taken_source
from zerodb.points.point_change_source import BINDING, change_names, indented
from zerodb.points.point_changes import ChangeStatement
from zerodb.points.point_cursor import PointCursor
from zerodb.points.point_queries import PAUSE, REFUSED_OFTEN, chains_for, room_of, rows_source
from zerodb_compiler.codegen import point_abi as pa
from zerodb_compiler.codegen.point import PointProgram
from zerodb_compiler.codegen.point_query import FIELD_CHAINS, FIELD_ROOM
from zerodb_compiler.codegen.point_set_changes import MOST_CHANGED, generate_set_change
from zerodb_compiler.plan.point_query import point_query
from zerodb_compiler.sql import statements as st

if TYPE_CHECKING:
    from zerodb.compilation import Ready
    from zerodb.connection import Connection
    from zerodb.values import Parameters
    from zerodb_compiler.layout import TableLayout


class SetChangeStatement(ChangeStatement):
    """An UPDATE or DELETE of a few rows."""

    def __init__(
        self, connection: Connection, ready: Ready, program: PointProgram, general: General, tag: str, chains: int
    ) -> None:
        self.refusals = self.pause = self._record = 0
        self.room = room_of(connection)
        super().__init__(connection, ready, program, general, tag)
        self.call.put(program.room + FIELD_ROOM, self.room.address)
        self.call.put(program.room + FIELD_CHAINS, pa.chains_at(chains), pa.record_next(chains))

    def function(self) -> Callable[[Parameters | None], Cursor]:
        return _source(self)

    def locked_rows(self, count: int) -> bool:
        """Locks what the last records replace, if that is possible at once and nobody else has changed it."""
        overlay = self.own.overlay
        memory = self.connection._database.engine.memory
        words, longs = memory.words, memory.longs
        for record in overlay.last_records(count):
            row_id = -1 if words[(record + pa.RECORD_SUPERSEDES) >> 2] else longs[(record + pa.RECORD_ROW_ID) >> 3]
            self._record = record
            if not self._lock(row_id):
                return False
        return True

    def digest(self) -> int:
        return self.digest_of(self._record)

    def undo_to(self, count: int) -> None:
        """Takes all records but the first `count` back."""
        overlay = self.own.overlay
        for _ in range(overlay.count - count):
            overlay.undo()

    def refused(self, parameters: Parameters | None) -> Cursor:
        """By the general path, for a while from now on if this has happened often."""
        self.refusals += 1
        if self.refusals % REFUSED_OFTEN == 0:
            self.pause = PAUSE
        return self.general(parameters)


def set_change_statement(
    connection: Connection,
    ready: Ready,
    statement: st.Update | st.Delete,
    layout: TableLayout,
    general: General,
    executed: int,
) -> SetChangeStatement | None:
    """The statement as such a change, None if it is none, or to make chains for it does not pay yet."""
    query = point_query(statement.source, statement.source.output, changes=True)
    if query is None:
        return None
    returning = () if statement.returning is None else statement.returning.columns
    shown = ready.prepared.columns or ()
    if len(shown) != len(returning) or not all(is_decoded(column.type) for column in shown):
        return None
    deletes = isinstance(statement, st.Delete)
    program = generate_set_change(query, layout, ready.prepared.user, deletes=deletes, returning=returning)
    chains = None if program is None else chains_for(connection, query, executed)
    if program is None or chains is None:
        return None
    tag = type(statement).__name__.upper()
    return SetChangeStatement(connection, ready, program, general, tag, chains)


def _returning(statement: SetChangeStatement, names: dict[str, Any]) -> list[str]:
    """Gives the rows of RETURNING."""
    rows = rows_source(statement.program, statement.room, statement.columns, names)
    names |= {"PointCursor": PointCursor, "columns": statement.columns}
    return [
        "    try:",
        f"        return PointCursor(connection, columns, {rows}, tag)",
        "    except overflow:",
        "        undo_to(before)",
        "        return general(parameters)",
    ]


def _source(statement: SetChangeStatement) -> Callable[[Parameters | None], Cursor]:
    """Makes `run`."""
    program, user = statement.program, statement.prepared.user
    names: dict[str, Any] = change_names(statement)
    packing, form, packed = parameters_source(user, names)
    names["pack"] = struct.Struct(form + "i").pack_into
    names["pack_at"] = statement.call.address + program.parameters
    names["unpack"] = struct.Struct("<iIi").unpack_from
    names["unpack_at"] = statement.call.address + program.results
    names |= {"locked_rows": statement.locked_rows, "refused": statement.refused, "undo_to": statement.undo_to}
    names["most"] = MOST_CHANGED
    body = [
        *taken_source(user),
        "with lock:",
        "    if session._transaction is None: return general(parameters)",
        "    if state.pause:",
        "        state.pause -= 1",
        "        return general(parameters)",
        *indented(BINDING),
        *indented(packing),
        "    before = state.own.overlay.count",
        f"    try: pack(memory, pack_at, {', '.join([*packed, str(pa.STATUS_PENDING)])})",
        "    except overflow: return general(parameters)",
        "    invoke(*call.arguments)",
        "    status, count, detail = unpack(memory, unpack_at)",
        f"    while status == {pa.STATUS_FULL} or status == {pa.STATUS_ABSENT} or status == {pa.STATUS_STALE}:",
        f"        if status == {pa.STATUS_STALE}:",
        "            if not bind(): return general(parameters)",
        f"        elif status == {pa.STATUS_FULL}:",
        "            undo_to(before)",
        "            state.own.overlay.grow_for_many(most, detail)",
        "        elif not absent(detail): return general(parameters)",
        "        before = state.own.overlay.count",
        "        invoke(*call.arguments)",
        "        status, count, detail = unpack(memory, unpack_at)",
        f"    if status != {pa.STATUS_ROW}:",
        "        undo_to(before)",
        "        return refused(parameters)",
        "    if not locked_rows(count):",
        "        undo_to(before)",
        "        return general(parameters)",
        "    t.first = False",
        *(_returning(statement, names) if statement.columns else ["    return ChangeCursor(connection, tag, count)"]),
    ]
    text = "\n".join(["def run(parameters=None):", *indented(body)])
    exec(compile(text, "<point statement>", "exec"), names)  # made here, of nothing but types
    run: Callable[[Parameters | None], Cursor] = names["run"]
    return run
