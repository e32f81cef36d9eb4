"""Point queries on the host's side: a SELECT over a few rows, found by a part of a key or index, is one packed call.

As with statements by key (point.py), and bound in the same way; the result is any number of rows, which lie one after
another in the connection's room (codegen/point_query.py). Which columns are looked for has been decided by statistics,
so a call may meet very many rows: it is then refused, and the general path computes the answer; a statement that is
refused again and again takes that at once for a while.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from zerodb.cursor import Cursor
from zerodb.engine.pool import out_of_memory
from zerodb.points.point import (
    PointStatement,
    newest_source,
    parameters_source,
    results_source,
    statement_names,
    taken_source,
    values_format,
)
from zerodb_compiler.codegen import point_abi as pa
from zerodb_compiler.codegen.point import PointProgram
from zerodb_compiler.codegen.point_query import FIELD_CHAINS, FIELD_ROOM, ROOM_BYTES, ROOM_RESULTS, generate_query
from zerodb_compiler.errors import Error
from zerodb_compiler.plan.point_query import PointQuery, point_query

if TYPE_CHECKING:
    from zerodb.compilation import Ready
    from zerodb.connection import Connection
    from zerodb.engine.engine import Engine
    from zerodb.outcome import Row
    from zerodb.points.point import General
    from zerodb.values import Parameters
    from zerodb_compiler.codegen.program import OutputColumn
    from zerodb_compiler.sql import statements as st

REFUSED_OFTEN = 8
PAUSE = 1000  # executions by the general path after so many refusals
ROWS_AN_EXECUTION = 1 << 14  # that may be put into chains for each execution of a statement that there was


class Room:
    """The block of memory that a connection's point queries compute in."""

    def __init__(self, engine: Engine) -> None:
        self._unused = engine.unused_frames
        self.address = engine.memory.allocate(ROOM_BYTES)
        if not self.address:
            raise out_of_memory(engine.memory)

    def __del__(self) -> None:
        # Not freed here: a collection may run while this thread holds the allocator's lock.
        if self.address:
            self._unused.append(self.address)


class QueryStatement(PointStatement):
    """A point query of one connection."""

    def __init__(
        self, connection: Connection, ready: Ready, program: PointProgram, general: General, chains: int
    ) -> None:
        self.refusals = self.pause = 0
        self.room = room_of(connection)
        super().__init__(connection, ready, program, general)
        self.call.put(program.room + FIELD_ROOM, self.room.address)
        self.call.put(program.room + FIELD_CHAINS, pa.chains_at(chains), pa.record_next(chains))

    def made(self) -> Callable[[Parameters | None], Cursor]:
        return _source(self)

    def fetch_many(self, keys: Sequence[Parameters]) -> list[Row | None]:
        return self.fetch_each(keys)

    def refused(self, parameters: Parameters | None) -> Cursor:
        """By the general path, for a while from now on if this has happened often."""
        self.refusals += 1
        if self.refusals % REFUSED_OFTEN == 0:
            self.pause = PAUSE
        return self.general(parameters)


def query_statement(
    connection: Connection, ready: Ready, statement: st.Query, general: General, executed: int
) -> QueryStatement | None:
    """The statement as a point query, None if it is none, or to make chains for it does not pay yet."""
    query = point_query(statement.plan, statement.columns)
    if query is None:
        return None
    needed = ready.prepared.dependencies[0]
    if needed.table_id != query.table.id:
        return None
    program = generate_query(query, needed.layout, ready.prepared.user)
    chains = None if program is None else chains_for(connection, query, executed)
    if program is None or chains is None:
        return None
    return QueryStatement(connection, ready, program, general, chains)


def chains_for(connection: Connection, query: PointQuery, executed: int) -> int | None:
    """The number of the chains to look in; None if to make them does not pay yet, or is not possible."""
    version = connection._session.snapshot().tables.get(query.table.key)
    if version is None or version.id != query.table.id:
        return None
    directory = connection._database.engine.directories.of(query.table)
    if not directory.has_chains_of(query.key) and version.row_count > ROWS_AN_EXECUTION * max(executed, 2):
        return None
    try:
        return directory.chains_of(query.key)
    except Error:  # memory is short
        return None


def room_of(connection: Connection) -> Room:
    """The connection's room."""
    room = connection._point_room
    if room is None:
        room = connection._point_room = Room(connection._database.engine)
    return room


def rows_source(program: PointProgram, room: Room, columns: tuple[OutputColumn, ...], names: dict[str, Any]) -> str:
    """The expression that gives the rows of a result, of which there are `count`."""
    form = struct.Struct("<q" + values_format(program.kinds))
    names["unpack_rows"] = form.iter_unpack
    names["rows_at"] = room.address + ROOM_RESULTS
    unpacked, made = results_source(columns, names)
    nullable = ", ".join(f"None if flags & {1 << number} else {value}" for number, value in enumerate(made))
    return (
        f"[({', '.join(made)},) if not flags else ({nullable},) for {', '.join(unpacked[1:])}"
        f" in unpack_rows(memory[rows_at:rows_at + count * {form.size}])]"
    )


def _source(statement: QueryStatement) -> Callable[[Parameters | None], Cursor]:
    """Makes `run`."""
    program = statement.program
    names: dict[str, Any] = statement_names(statement)
    lines, form, packed = parameters_source(statement.prepared.user, names)
    names["pack"] = struct.Struct(form + "i").pack_into
    names["pack_at"] = statement.call.address + program.parameters
    names["unpack"] = struct.Struct("<iII").unpack_from
    names["unpack_at"] = statement.call.address + program.results
    names["refused"] = statement.refused
    rows = rows_source(program, statement.room, statement.columns, names)
    body = [
        *taken_source(statement.prepared.user),
        "with lock:",
        "    if state.pause:",
        "        state.pause -= 1",
        "        return general(parameters)",
        "    t = session._transaction",
        f"    if ({newest_source(statement)} is not state.snapshot if t is None"
        " else t is not state.transaction or not is_bound(t))"
        " or options.changes != state.options_changes or connection._closed:",
        "        if not bind(): return general(parameters)",
        *(f"    {line}" for line in lines),
        f"    try: pack(memory, pack_at, {', '.join([*packed, str(pa.STATUS_PENDING)])})",
        "    except overflow: return general(parameters)",
        "    invoke(*call.arguments)",
        "    status, count, chunk = unpack(memory, unpack_at)",
        f"    while status == {pa.STATUS_ABSENT} or status == {pa.STATUS_STALE}:",
        f"        if status == {pa.STATUS_STALE}:",
        "            if not bind(): return general(parameters)",
        "        elif not absent(chunk): return general(parameters)",
        "        invoke(*call.arguments)",
        "        status, count, chunk = unpack(memory, unpack_at)",
        f"    if status == {pa.STATUS_ROW}:",
        "        try:",
        f"            return PointCursor(connection, columns, {rows})",
        "        except overflow: return general(parameters)",
        "    state.snapshot = state.transaction = None",
        "    return refused(parameters)",
    ]
    text = "def run(parameters=None):\n" + "\n".join(f"    {line}" for line in body)
    exec(compile(text, "<point query>", "exec"), names)  # made here, of nothing but types
    run: Callable[[Parameters | None], Cursor] = names["run"]
    return run
