"""Point statements on the host's side: a prepared statement by key is one packed call.

    execute((k,)) -> still bound? -> pack parameters -> one unchecked call -> unpack the row -> PointCursor

The function that does this is Python source made for the statement (as dataclasses make their methods): the types of
its parameters and results are known, so nothing is looked up and nothing is looped over. Whatever is not plain -
another type of value than the parameter's, text that is too long, an error - it leaves to the general path, which gives
the same answer or the right error.

A statement is bound to a snapshot. When the session would read another one, `PointStatement.bind` looks whether the
statement still fits and moves the table's directory on; sessions that read an older snapshot than the directory shows
take the general path.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zerodb.cursor import Cursor
from zerodb.engine.point_call import PointCall, call_unchecked
from zerodb.engine.pool import out_of_memory
from zerodb.points.point_cursor import PointCursor
from zerodb.view import View
from zerodb_compiler.codegen import point_abi as pa
from zerodb_compiler.codegen.point import PointProgram, generate_point
from zerodb_compiler.errors import Error
from zerodb_compiler.plan.point import point_plan
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.parameters import UserParameter
from zerodb_compiler.sql.values import to_canonical
from zerodb_compiler.types import SqlType, TypeId

if TYPE_CHECKING:
    from zerodb.compilation import Prepared, Ready
    from zerodb.connection import Connection
    from zerodb.outcome import Row
    from zerodb.sessions.open_transaction import Transaction
    from zerodb.values import Parameters
    from zerodb_compiler.codegen.program import OutputColumn
    from zerodb_storage import Snapshot, WriteTransaction

TEXT_BYTES = 4096  # of all text parameters together
_MASK = (1 << 64) - 1
_EPOCH = datetime(1970, 1, 1)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_EXACT = Context(prec=76)

General = Callable[["Parameters | None"], Cursor]


class PointStatement:
    """A statement by key of one connection. `run` executes it; `snapshot` is the one it is bound to in autocommit."""

    def __init__(self, connection: Connection, ready: Ready, program: PointProgram, general: General) -> None:
        self.connection, self.ready, self.program, self.general = connection, ready, program, general
        engine = connection._database.engine
        self.storage = connection._database.storage
        self.call = PointCall(engine, program.program)
        self.call.compiled.optimize()
        self.directory = engine.directories.of(program.table)
        self.directory.statements.add(self)
        self.seen_snapshot: Snapshot | None = None  # inside of a transaction
        self.snapshot: Snapshot | None = None
        self.version: Any = None  # of the table, in what it is bound to
        self.transaction: Transaction | None = None  # that it is bound to
        self.write: WriteTransaction | None = None
        self.own: Any = None  # OwnRows that it looks at first
        self.options_changes = -1
        self._fitted = (-1, -1)  # the shape of the snapshots, and the options, that it is known to fit
        self._text = engine.memory.allocate(TEXT_BYTES)
        if not self._text:
            raise out_of_memory(engine.memory)
        self._warming = 0  # until -1 every execution looks for optimised code
        self._put_literals()
        self.call.put(program.directory, self.directory.address, 0)
        self.columns = ready.prepared.columns or ()
        self._batches: Callable[[Sequence[Parameters]], list[Row | None]] | None = None
        self.run = self.made()

    def made(self) -> Callable[[Parameters | None], Cursor]:
        """The function that executes the statement."""
        return _source(self)

    def fetch_many(self, keys: Sequence[Parameters]) -> list[Row | None]:
        """The row of each key."""
        if not self.columns or self.connection._closed:
            return self.fetch_each(keys)
        if self._batches is None:
            from zerodb.points.point_batches import batch_function

            self._batches = batch_function(self)
        return self._batches(keys)

    def fetch_each(self, keys: Sequence[Parameters]) -> list[Row | None]:
        """The same, one after the other."""
        return [self.general(key).fetchone() for key in keys]

    @property
    def prepared(self) -> Prepared:
        return self.ready.prepared

    def __del__(self) -> None:
        text = getattr(self, "_text", 0)
        if text:
            self.connection._database.engine.unused_frames.append(text)

    def _put_literals(self) -> None:
        """The text's own literals do not change: their slots are filled once."""
        first = len(self.prepared.user)
        values = [None] * first + list(self.ready.lifted)
        memory = self.connection._database.engine.memory
        used = 0
        for slot in self.program.program.parameters:
            if slot.index < first:
                continue
            value, place = values[slot.index], self.call.address + slot.offset
            if isinstance(value, str | bytes):
                data = value.encode() if isinstance(value, str) else value
                struct.pack_into("<qiiq", memory.bytes, place, 0, self._text + used, len(data), 0)
                memory.bytes[self._text + used : self._text + used + len(data)] = data
                used += len(data)
            elif isinstance(value, float) or slot.type.is_float:
                assert isinstance(value, int | float)
                struct.pack_into("<qdq", memory.bytes, place, 0, float(value), 0)
            else:
                struct.pack_into("<qqq", memory.bytes, place, *encode_integer(value))
        self.text_start, self.text_end = self._text + used, self._text + TEXT_BYTES

    # --- binding ---
    def bind(self) -> bool:
        """Binds to what the session reads now; False if the general path has to do it."""
        connection = self.connection
        connection._check_open()
        session = connection._session
        self.snapshot = self.transaction = self.own = None
        if self._warming >= 0:
            self._warm()
        transaction = session._transaction
        if session.statement.runs:  # a function executes it, within a statement
            return False
        if session.is_alone_serializable if transaction is None else not transaction.takes_points:
            return False
        write = None if transaction is None else transaction.write
        if write is None or transaction is None:
            snapshot = connection._view().snapshot
        else:
            if transaction.isolation == "read committed":
                session.snapshot()  # moves it on
            snapshot = write.base
        if not self.shows(snapshot):
            return False
        overlay = 0
        if transaction is not None:
            transaction.queried, transaction.first = True, False
            if write is not None and not self._see_own(transaction, write):
                return False
            overlay = 0 if self.own is None else self.own.overlay.address
        engine = connection._database.engine
        engine.memory.words[(self.call.address + self.program.directory + 4) >> 2] = overlay
        if self._warming < 0:
            self.snapshot = snapshot if transaction is None else None
            self.transaction, self.write, self.seen_snapshot = transaction, write, snapshot
            self.options_changes = connection._options.changes
        return True

    def shows(self, snapshot: Snapshot) -> bool:
        """Whether the statement fits the snapshot, and the directory of its table shows that. The short way, where
        nothing but rows has changed and the directory has followed, takes the directory's stamp."""
        connection, version = self.connection, snapshot.tables.get(self.program.table.key)
        shape = (snapshot.shaped, connection._options.changes)
        directory, stamp = self.directory, self.directory.stamp
        if shape == self._fitted and version is not None and self.version is not None:
            fits = version.layout.is_read_as(self.version.layout)
            if fits and directory.version is version and stamp and directory.stamp == stamp:
                memory = connection._database.engine.memory
                memory.longs[(self.call.address + self.program.directory + 8) >> 3] = stamp
                self.version = version
                return True
        view = View(snapshot, connection._registered, connection._search_path, session=connection)
        if not self.fits(view) or not self.show(view):
            return False
        self._fitted = shape
        return True

    def fits(self, view: View) -> bool:
        """As `Prepared.fits`, but for what matters to scans only: the code finds widths and NULLs when it runs."""
        prepared = self.prepared
        if prepared.zone != self.connection._options.zone:
            return False
        for needed in prepared.dependencies:
            version = view.tables.get(needed.key)
            if version is None or version.id != needed.table_id or version.schema_version != needed.schema_version:
                return False
            if any(view.resolve(name, schema) != needed.key for name, schema in needed.names):
                return False
            if not version.layout.is_read_as(needed.layout):
                return False
        return not prepared.bound.inlined or prepared._same_views(view)

    def let_go(self) -> None:
        """The table is gone: what the statement was bound to is not kept alive."""
        self.snapshot = self.version = self.transaction = self.write = self.own = self.seen_snapshot = None
        self._fitted = (-1, -1)

    def show(self, view: View) -> bool:
        """Has the directory show the snapshot."""
        version = view.tables[self.program.table.key]
        try:
            stamp = self.directory.show(version, view.sequence, self.program.ordinals)
        except Error:
            return False
        memory = self.connection._database.engine.memory
        memory.longs[(self.call.address + self.program.directory + 8) >> 3] = stamp
        self.version = version
        return stamp != 0

    def _see_own(self, transaction: Transaction, write: WriteTransaction) -> bool:
        """What the transaction has changed in the table itself; False if it is not known here."""
        version = write.tables.get(self.program.table.key)
        own = transaction.own_rows.get(self.program.table.id)
        if own is not None and version is not None and (own.version is version or own.back_to(version)):
            self.own = own
            return True
        return version is self.version

    def is_bound(self, transaction: Transaction) -> bool:
        """Whether it still is bound to what a statement in the transaction would read."""
        write = self.write
        if transaction.write is not write or transaction.failed:
            return False
        if write is None:
            newest = transaction.isolation == "read committed"
            return (self.storage.snapshot() if newest else transaction.snapshot) is self.seen_snapshot
        table = self.program.table
        own = self.own
        return (
            transaction.own_rows.get(table.id) is own
            and write.tables.get(table.key) is (self.version if own is None else own.version)
            and (transaction.isolation != "read committed" or self.storage._snapshot is write.base)
        )

    def _warm(self) -> None:
        """Takes optimised code once it is there."""
        self.call.refresh()
        if self.call.compiled.is_final:
            self.call.refresh()
            self._warming = -1

    def absent(self, chunk: int) -> bool:
        """Loads a chunk whose columns are not resident; whether the call is worth another try."""
        try:
            self.directory.load(chunk)
        except Error:
            return False
        return True


def point_statement(connection: Connection, ready: Ready, general: General, executed: int = 0) -> PointStatement | None:
    """The statement as a point statement, None if it is none; `executed`: how often it was executed by now."""
    prepared = ready.prepared
    statement = prepared.statement
    if connection._guard is not None:
        connection._guard(prepared)
    if isinstance(statement, st.Insert | st.Update | st.Delete):
        from zerodb.points.point_changes import change_statement

        return change_statement(connection, ready, general, executed)
    if not isinstance(statement, st.Query) or statement.locks:
        return None
    if prepared.query is None or len(prepared.dependencies) != 1:
        return None
    if statement.locks:  # FOR UPDATE and its like are more than reading
        return None
    columns = prepared.columns
    if not is_packable(ready) or columns is None or not all(_decoded(column.type, 0) for column in columns):
        return None
    plan = point_plan(statement.plan, statement.columns)
    if plan is None:
        from zerodb.points.point_queries import query_statement

        return query_statement(connection, ready, statement, general, executed)
    version = connection._session.snapshot().tables.get(plan.table.key)
    if version is None or version.id != plan.table.id:
        return None
    # The layout that `fits` compares with: the transaction's own rows may have led to another one by now.
    layout = prepared.dependencies[0].layout
    program = generate_point(plan, layout, prepared.user) if prepared.dependencies[0].table_id == version.id else None
    return None if program is None else PointStatement(connection, ready, program, general)


def is_packable(ready: Ready) -> bool:
    """Whether parameters and literals can be put into fixed places."""
    lifted = ready.lifted
    if not all(value is None or type(value) in (int, float, str, bytes) for value in lifted):
        return False
    if sum(len(value) * 4 for value in lifted if isinstance(value, str | bytes)) > TEXT_BYTES // 2:
        return False
    return all(parameter_kind(parameter.type) for parameter in ready.prepared.user)


# --- parameters ----------------------------------------------------------------------------------------------------


def parameter_kind(type_: SqlType) -> str | None:
    """How a value of the type is packed."""
    if type_.is_variable:
        if type_.id is TypeId.TEXT:
            return "text"
        return "bytes" if type_.id is TypeId.BYTEA else None
    if type_.id is TypeId.DOUBLE:
        return "double"
    if type_.is_float:
        return "real"
    if type_.id is TypeId.NULL:
        return None
    return "integer" if type_.is_integer and type_.bounds[1] < 1 << 63 else "any"


def encode_integer(value: int | None) -> tuple[int, int, int]:
    """is NULL, low half, high half of a canonical integer."""
    if value is None:
        return 1, 0, 0
    low = value & _MASK
    return 0, low - (1 << 64) if low >> 63 else low, value >> 64


def _encoder(type_: SqlType) -> Callable[[Any], tuple[int, int, int]]:
    """For types whose Python values need SQL's rules."""

    def encode(value: Any) -> tuple[int, int, int]:
        canonical = to_canonical(type_, value)
        assert canonical is None or isinstance(canonical, int)
        return encode_integer(canonical)

    return encode


# --- results -------------------------------------------------------------------------------------------------------


def _numeric(scale: int) -> Callable[[int, int], Decimal]:
    exponent, shift = Decimal(-scale), _EXACT.scaleb

    def decode(low: int, high: int) -> Decimal:
        return shift(Decimal((high << 64) | (low & _MASK)), exponent)

    return decode


def _date(ticks: int) -> date:
    return date.fromordinal(_EPOCH_ORDINAL + ticks)


def _timestamp(ticks: int) -> datetime:
    return _EPOCH + timedelta(0, 0, ticks)


def _uuid(low: int, high: int) -> UUID:
    return UUID(int=((high << 64) | (low & _MASK)) + (1 << 127))


def _wide(low: int, high: int) -> int:
    return (high << 64) | (low & _MASK)


def _decoded(type_: SqlType, number: int) -> tuple[str, str, Any] | None:
    """Of a result: its names, the expression that makes the Python object of them, and what that calls `d<number>`."""
    a, b = f"a{number}", f"b{number}"
    match type_.id:
        case TypeId.BOOLEAN:
            return a, f"{a} != 0", None
        case TypeId.TEXT:
            return f"{a}, {b}", f"str(memory[{a}:{a} + {b}], 'utf-8')", None
        case TypeId.BYTEA:
            return f"{a}, {b}", f"bytes(memory[{a}:{a} + {b}])", None
        case TypeId.REAL | TypeId.DOUBLE:
            return a, a, None
        case TypeId.DATE:
            return a, f"d{number}({a})", _date
        case TypeId.TIMESTAMP:
            return a, f"d{number}({a})", _timestamp
        case TypeId.ENUM:
            return a, f"d{number}[{a}]", type_.labels
        case TypeId.UUID:
            return f"{a}, {b}", f"d{number}({a}, {b})", _uuid
        case TypeId.HUGEINT | TypeId.U64:
            return f"{a}, {b}", f"d{number}({a}, {b})", _wide
        case TypeId.NUMERIC if type_.shown is None and pa.kind_of(type_) == pa.WIDE:
            return f"{a}, {b}", f"d{number}({a}, {b})", _numeric(type_.scale)
        case TypeId.NUMERIC if type_.shown is None:
            decode = _numeric(type_.scale)
            return a, f"d{number}({a}, {a} >> 63)", decode
    return (a, a, None) if type_.is_integer else None


def is_decoded(type_: SqlType) -> bool:
    """Whether values of the type can be unpacked from results."""
    return _decoded(type_, 0) is not None


_FORMATS = {pa.INT: "q", pa.WIDE: "qq", pa.REAL: "d", pa.SINGLE: "d", pa.TEXT: "II"}


def values_format(kinds: Sequence[str]) -> str:
    """What `struct` unpacks values of these kinds by."""
    return "".join(_FORMATS[kind] for kind in kinds)


def results_format(program: PointProgram) -> str:
    """What `struct` unpacks the results by."""
    return "<iI" + values_format(program.kinds)


def results_source(columns: tuple[OutputColumn, ...], names: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What the results are unpacked to, and the expressions for the columns of a row without NULLs."""
    unpacked, made = ["status", "flags"], []
    for number, column in enumerate(columns):
        found = _decoded(column.type, number)
        assert found is not None
        unpacked.append(found[0])
        made.append(found[1])
        if found[2] is not None:
            names[f"d{number}"] = found[2]
    return unpacked, made


def newest_source(statement: PointStatement) -> str:
    """The newest snapshot."""
    return "storage._snapshot" if statement.storage.follower is None else "storage.snapshot()"


# --- the function --------------------------------------------------------------------------------------------------


def parameters_source(user: tuple[UserParameter, ...], names: dict[str, Any]) -> tuple[list[str], str, list[str]]:
    """Lines that check and convert the parameters p0, p1, ..., the format they are packed by, and what is packed."""
    lines: list[str] = []
    form, packed = "<", []
    has_text = False
    for number, parameter in enumerate(user):
        p, type_ = f"p{number}", parameter.type
        match parameter_kind(type_):
            case "integer":
                low, high = type_.bounds
                narrow = "" if high == (1 << 63) - 1 else f" or not {low} <= {p} <= {high}"
                lines += [f"n{number} = 0", f"if type({p}) is not int{narrow}:"]
                lines += [f"    if {p} is not None: return general(parameters)", f"    n{number}, {p} = 1, 0"]
                form += "qq8x"
                packed += [f"n{number}", p]
            case "double":
                lines += [f"n{number} = 0", f"if type({p}) is not float:"]
                lines += [f"    if {p} is not None: return general(parameters)", f"    n{number}, {p} = 1, 0.0"]
                form += "qd8x"
                packed += [f"n{number}", p]
            case "real":
                names[f"e{number}"] = partial(to_canonical, type_)
                lines += [f"n{number} = 0", f"if {p} is None: n{number}, {p} = 1, 0.0"]
                lines += ["else:", f"    try: {p} = e{number}({p})", "    except Error: return general(parameters)"]
                form += "qd8x"
                packed += [f"n{number}", p]
            case "text" | "bytes" as kind:
                if not has_text:
                    lines += ["place = text_start"]
                    has_text = True
                lines += [f"n{number} = l{number} = 0", f"if type({p}) is {'str' if kind == 'text' else 'bytes'}:"]
                if kind == "text":
                    if type_.padded:
                        lines += [f"    {p} = {p}.rstrip(' ')"]
                    if type_.length is not None:
                        lines += [f"    if len({p}) > {type_.length}: return general(parameters)"]
                    lines += [f"    try: {p} = {p}.encode()", "    except overflow: return general(parameters)"]
                lines += [
                    f"    l{number} = len({p})",
                    f"    if place + l{number} > text_end" + (f" or 0 in {p}" if kind == "text" else "")
                    + ": return general(parameters)",
                    f"    memory[place:place + l{number}] = {p}",
                    f"elif {p} is None: n{number} = 1",
                    "else: return general(parameters)",
                    f"t{number} = place",
                    f"place += l{number}",
                ]  # fmt: skip
                form += "qII8x"
                packed += [f"n{number}", f"t{number}", f"l{number}"]
            case _:
                names[f"e{number}"] = _encoder(type_)
                lines += [f"try: n{number}, {p}, h{number} = e{number}({p})"]
                lines += ["except Error: return general(parameters)"]
                form += "qqq"
                packed += [f"n{number}", p, f"h{number}"]
    return lines, form, packed


def taken_source(user: tuple[UserParameter, ...]) -> list[str]:
    """Lines that take the parameters out of what the user gave."""
    if not user:
        return ["if parameters: return general(parameters)"]
    if isinstance(user[0].name, str):
        lines = ["if type(parameters) is not dict: return general(parameters)", "try:"]
        lines += [f"    p{number} = parameters[{parameter.name!r}]" for number, parameter in enumerate(user)]
        return [*lines, "except KeyError: return general(parameters)"]
    count = max(int(parameter.name) for parameter in user)
    places = {int(parameter.name): f"p{number}" for number, parameter in enumerate(user)}
    targets = ", ".join(places.get(number, "_") for number in range(1, count + 1))
    return [
        f"if type(parameters) is not tuple and type(parameters) is not list or len(parameters) != {count}:",
        "    return general(parameters)",
        f"{targets}{',' if count == 1 else ''} = parameters",
    ]


def statement_names(statement: PointStatement) -> dict[str, Any]:
    """What the source of `run` names."""
    connection = statement.connection
    return {
        "Error": Error,
        "PointCursor": PointCursor,
        "absent": statement.absent,
        "bind": statement.bind,
        "call": statement.call,
        "columns": statement.columns,
        "connection": connection,
        "directory": statement.directory,
        "general": statement.general,
        "invoke": call_unchecked,
        "is_bound": statement.is_bound,
        "lock": connection._lock,
        "memory": connection._database.engine.memory.bytes,
        "options": connection._options,
        "overflow": (struct.error, ValueError, OverflowError),
        "session": connection._session,
        "state": statement,
        "storage": connection._database.storage,
        "text_end": statement.text_end,
        "text_start": statement.text_start,
    }


def _source(statement: PointStatement) -> Callable[[Parameters | None], Cursor]:
    """Makes `run`."""
    program = statement.program
    names = statement_names(statement)
    lines, form, packed = parameters_source(statement.prepared.user, names)
    names["pack"] = struct.Struct(form + "i").pack_into
    names["pack_at"] = statement.call.address + program.parameters
    names["unpack"] = struct.Struct(results_format(program)).unpack_from
    names["unpack_at"] = statement.call.address + program.results
    unpacked, made = results_source(statement.columns, names)
    row = f"({', '.join(made)},)"
    has_texts = pa.TEXT in program.kinds
    newest = newest_source(statement)
    nullable = ", ".join(f"None if flags & {1 << number} else {value}" for number, value in enumerate(made))
    body = [
        *taken_source(statement.prepared.user),
        "with lock:",
        "    t = session._transaction",
        f"    if ({newest} is not state.snapshot if t is None"
        " else t is not state.transaction or not is_bound(t))"
        " or options.changes != state.options_changes or connection._closed:",
        "        if not bind(): return general(parameters)",
        *(f"    {line}" for line in lines),
        f"    try: pack(memory, pack_at, {', '.join([*packed, str(pa.STATUS_PENDING)])})",
        "    except overflow: return general(parameters)",
        *(["    known = directory.let_go"] if has_texts else []),
        "    invoke(*call.arguments)",
        f"    {', '.join(unpacked)}, = unpack(memory, unpack_at)",
        f"    while status == {pa.STATUS_ABSENT} or status == {pa.STATUS_STALE}:",
        f"        if status == {pa.STATUS_STALE}:",
        "            if not bind(): return general(parameters)",
        "        elif not absent(int.from_bytes(memory[unpack_at + 8:unpack_at + 12], 'little')):"
        " return general(parameters)",
        *(["        known = directory.let_go"] if has_texts else []),
        "        invoke(*call.arguments)",
        f"        {', '.join(unpacked)}, = unpack(memory, unpack_at)",
        f"    if status == {pa.STATUS_ROW}:",
        "        try:",
        f"            row = {row} if not flags else ({nullable},)",
        # Other threads may have run since the call, and let the memory go that texts lie in.
        *(["            if directory.let_go != known: return general(parameters)"] if has_texts else []),
        "            return PointCursor(connection, columns, [row])",
        "        except overflow: return general(parameters)",
        f"    if status == {pa.STATUS_NONE}: return PointCursor(connection, columns, [])",
        "    state.snapshot = state.transaction = None",
        "    return general(parameters)",
    ]
    text = "def run(parameters=None):\n" + "\n".join(f"    {line}" for line in body)
    exec(compile(text, "<point statement>", "exec"), names)  # made here, of nothing but types
    run: Callable[[Parameters | None], Cursor] = names["run"]
    return run
