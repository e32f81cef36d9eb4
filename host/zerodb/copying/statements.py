"""COPY between tables and files.

COPY FROM makes a table of texts of the file's fields (`text`) and inserts from it, with the columns' casts, in
one INSERT ... SELECT: defaults, constraints and errors are an INSERT's, all rows come or none. COPY TO is a query that
casts its columns to text. Parquet goes through Arrow as it is, JSON is one object a line.

Limit: the file is read as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from zerodb.copying import text as copy_text
from zerodb.copying.options import CopyOptions, copy_options
from zerodb.functions import firing
from zerodb.outcome import Outcome
from zerodb.sequence_values import resolved
from zerodb.utility import table_key
from zerodb.virtual import virtual_table
from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_compiler.errors import DataError, Error, NotSupportedError, ProgrammingError, error_for
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql import utility_statements as us
from zerodb_compiler.types import TEXT, SqlType, TypeId
from zerodb_storage import schema_of

if TYPE_CHECKING:
    from zerodb.compilation import Ready
    from zerodb.connection import Connection
    from zerodb.view import View

SOURCE = "copy source"  # the name of the file's rows while they are inserted


def run_copy(connection: Connection, statement: us.Copy, stream: IO[Any] | None = None) -> Outcome:
    """`stream` is what STDIN or STDOUT means."""
    options = copy_options(statement)
    if statement.target is None and stream is None:
        what = "STDIN: use copy_from(sql, file)" if statement.into else "STDOUT: use copy_to(sql, file)"
        raise ProgrammingError(f"COPY needs a file for {what}", sqlstate="08P01", position=statement.position)
    if statement.into:
        return _copy_from(connection, statement, options, _read(statement, stream))
    return _copy_to(connection, statement, options, stream)


def _read(statement: us.Copy, stream: IO[Any] | None) -> bytes:
    if statement.target is None:
        assert stream is not None
        content = stream.read()
        return content.encode() if isinstance(content, str) else bytes(content)
    try:
        return Path(statement.target).read_bytes()
    except OSError as error:
        raise _file_error(statement.target, "reading", error) from None


def _file_error(path: str, what: str, error: OSError) -> Exception:
    sqlstate = {FileNotFoundError: "58P01", PermissionError: "42501"}.get(type(error), "58030")
    return error_for(sqlstate, f'could not open file "{path}" for {what}: {error.strerror}')


# --- COPY FROM --------------------------------------------------------------------------------------------------------


def _copy_from(connection: Connection, statement: us.Copy, options: CopyOptions, content: bytes) -> Outcome:
    from zerodb.changes.applying import change

    assert statement.table is not None
    with connection._session.writing() as write:
        view = connection._view()
        key = table_key(view, statement.table)
        info = view.table(statement.table.name, statement.table.schema)
        assert info is not None
        targets = _targets(info, statement.columns)
        names = [info.columns[i].name for i in targets]
        for listed in (options.force_not_null, options.force_null):
            _check_listed(listed, names, info)
        rows = _rows(content, options, names, info)
        types = [TEXT] * len(names) if options.format in ("text", "csv") else _types(rows)
        source = virtual_table(SOURCE, rows, types, repeats=False)
        view = view.having(SOURCE, source)
        sql = _insert(info, [info.columns[i].name for i in targets], types, statement.where)
        ready = connection._database.prepare(sql, view)
        assert isinstance(ready.prepared.statement, st.Insert)
        values = resolved(connection, list(ready.lifted))
        try:
            with firing.statement(connection):
                outcome = change(connection, write, ready.prepared.statement, ready.prepared.query, view, values)
        except DataError as error:
            error.position = None
            _locate(connection, view, error, rows, names, info, types, 1 + (options.header != "off"))
            raise
        except Error as error:
            error.position = None
            raise
        finally:
            connection._database.engine.forget_table(source.id)
        assert key == info.key
    return Outcome("COPY", outcome.row_count)


def _targets(info: TableInfo, columns: Sequence[str]) -> list[int]:
    """The ordinals of the columns: those named, else all that are not generated."""
    known = {column.name: i for i, column in enumerate(info.columns)}
    if not columns:
        return [i for i, column in enumerate(info.columns) if column.generated is None]
    found: list[int] = []
    for name in columns:
        if name not in known:
            raise ProgrammingError(f'column "{name}" of relation "{info.name}" does not exist', sqlstate="42703")
        if known[name] in found:
            raise ProgrammingError(f'column "{name}" specified more than once', sqlstate="42701")
        if info.columns[known[name]].generated is not None:
            raise ProgrammingError(f'column "{name}" is a generated column', sqlstate="42P10")
        found.append(known[name])
    return found


def _check_listed(listed: Sequence[str] | None, names: Sequence[str], info: TableInfo) -> None:
    for name in listed or ():
        if name not in names:
            raise ProgrammingError(f'column "{name}" of relation "{info.name}" does not exist', sqlstate="42703")


def _rows(content: bytes, options: CopyOptions, names: Sequence[str], info: TableInfo) -> pa.Table:
    if options.format in ("text", "csv"):
        arrays = copy_text.read(content, options, names, info.name)
        return pa.Table.from_arrays(arrays, names=[f"c{i}" for i in range(len(names))])
    try:
        if options.format == "parquet":
            from pyarrow import parquet

            found = parquet.read_table(pa.BufferReader(content))
        else:
            from pyarrow import json

            found = json.read_json(pa.BufferReader(content)) if content.strip() else pa.table({})
            arrays = [found[name] if name in found.column_names else pa.nulls(found.num_rows) for name in names]
            found = pa.Table.from_arrays(arrays, names=list(names))
    except (pa.ArrowException, OSError) as error:
        raise error_for("22P04", f"the {options.format} data cannot be read: {error}") from None
    if found.num_columns != len(names):
        raise error_for("22P04", f"the file has {found.num_columns} columns, not {len(names)}")
    return found.rename_columns([f"c{i}" for i in range(len(names))])


def _types(rows: pa.Table) -> list[SqlType]:
    return [column.type for column in schema_of(rows.schema)]


def _insert(info: TableInfo, names: Sequence[str], types: Sequence[SqlType], where: str | None) -> str:
    by_name = {column.name: column.type for column in info.columns}
    values = [_cast(f"c{i}", types[i], by_name[name]) for i, name in enumerate(names)]
    target = f"{quoted(info.schema)}.{quoted(info.name)}"
    into = f"insert into {target} ({', '.join(map(quoted, names))})"
    if where is None:
        return f"{into} select {', '.join(values)} from {quoted(SOURCE)}"
    named = ", ".join(f"{value} as {quoted(name)}" for value, name in zip(values, names, strict=True))
    return f"{into} select * from (select {named} from {quoted(SOURCE)}) {quoted(info.name)} where {where}"


def _cast(column: str, source: SqlType, target: SqlType) -> str:
    """Text goes into text as it is: an explicit cast would cut it to length."""
    return column if target.is_text and source.is_text else f"cast({column} as {target})"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _locate(
    connection: Connection,
    view: View,
    error: DataError,
    rows: pa.Table,
    names: Sequence[str],
    info: TableInfo,
    types: Sequence[SqlType],
    first_line: int,
) -> None:
    """Says in the hint which line the error is of: the first whose values do not convert, found by halving."""
    if not (error.sqlstate or "").startswith("22") or error.hint is not None:
        return
    by_name = {column.name: column.type for column in info.columns}
    for i, name in enumerate(names):
        value = _cast("c0", types[i], by_name[name])
        if value == "c0":
            continue
        sql = f"select {value} from {quoted(SOURCE)}"
        column = rows.select([i]).rename_columns(["c0"])

        def fails(begin: int, end: int, sql: str = sql, column: pa.Table = column, type_: SqlType = types[i]) -> bool:
            part = virtual_table(SOURCE, column.slice(begin, end - begin), [type_], repeats=False)
            over = view.having(SOURCE, part)
            try:
                connection._run_ready(connection._database.prepare(sql, over), over, None)
            except DataError:
                return True
            finally:
                connection._database.engine.forget_table(part.id)
            return False

        if not fails(0, rows.num_rows):
            continue
        begin, end = 0, rows.num_rows
        while end - begin > 1:
            middle = (begin + end) // 2
            begin, end = (begin, middle) if fails(begin, middle) else (middle, end)
        shown = rows.column(i)[begin].as_py()
        error.hint = f'COPY {info.name}, line {begin + first_line}, column {name}: "{shown}"'
        return


# --- COPY TO ----------------------------------------------------------------------------------------------------------


def _copy_to(connection: Connection, statement: us.Copy, options: CopyOptions, stream: IO[Any] | None) -> Outcome:
    view = connection._view()
    table_columns: Sequence[ColumnInfo] = ()
    if statement.table is not None:
        info = view.table(statement.table.name, statement.table.schema)
        if info is None:
            table_key(view, statement.table)
            raise AssertionError
        table_columns = info.columns
        names = [info.columns[i].name for i in _targets(info, statement.columns)]
        target = f"{quoted(info.schema)}.{quoted(info.name)}" if info.id > 0 else quoted(info.name)
        sql = f"select {', '.join(map(quoted, names))} from {target}"
        start = 0
    else:
        assert statement.query is not None
        sql, start = statement.query, statement.start
    ready = connection._database.prepare(" " * start + sql, view)
    if not isinstance(ready.prepared.statement, st.Query):
        ready, view, sql = _returned_rows(connection, ready, view, statement)
    names = [column.name for column in ready.prepared.columns or ()]
    for name in options.force_quote or ():
        if name not in names:
            if statement.table is not None and any(column.name == name for column in table_columns):
                raise ProgrammingError(f'FORCE_QUOTE column "{name}" not referenced by COPY', sqlstate="42P10")
            raise ProgrammingError(f'column "{name}" does not exist', sqlstate="42703")
    content, count = _content(connection, view, ready, sql, options, names)
    _write(statement, stream, content, options)
    return Outcome("COPY", count)


def _returned_rows(connection: Connection, ready: Ready, view: View, statement: us.Copy) -> tuple[Ready, View, str]:
    """COPY (INSERT ... RETURNING ...): the change runs, and what it returns is what is copied."""
    columns = ready.prepared.columns
    if columns is None:
        raise NotSupportedError("COPY query must have a RETURNING clause", position=statement.position)
    rows = connection._run_ready(ready, view, None).table(stored=True)
    labels = [f"r{i}" for i in range(len(columns))]
    named = ", ".join(f"{label} as {quoted(c.name)}" for label, c in zip(labels, columns, strict=True))
    view = view.having(SOURCE, virtual_table(SOURCE, rows.rename_columns(labels), [c.type for c in columns]))
    sql = f"select {named} from {quoted(SOURCE)}"
    return connection._database.prepare(sql, view), view, sql


def _content(
    connection: Connection, view: View, ready: Ready, sql: str, options: CopyOptions, names: Sequence[str]
) -> tuple[bytes, int]:
    if options.format == "parquet":
        from pyarrow import parquet

        table = connection._run_ready(ready, view, None).table()
        sink = pa.BufferOutputStream()
        try:
            parquet.write_table(table, sink)
        except pa.ArrowNotImplementedError as error:
            raise NotSupportedError(f"COPY to Parquet of these types is not supported: {error}") from None
        return sink.getvalue().to_pybytes(), table.num_rows
    columns = ready.prepared.columns
    assert columns is not None
    types = [column.type for column in columns]
    if not names:
        raise NotSupportedError("COPY of a query without columns is not supported")
    labels = [f"c{i}" for i in range(len(types))]
    shown = [_text(label, type_) for label, type_ in zip(labels, types, strict=True)]
    wrapped = f"select {', '.join(shown)} from ({sql}) as copied({', '.join(labels)})"
    outcome = connection._run_ready(connection._database.prepare(wrapped, view), view, None)
    table = outcome.table()
    texts = [_large(table.column(i), type_) for i, type_ in enumerate(types)]
    if options.format == "json":
        return copy_text.write_json(texts, types, names), table.num_rows
    return copy_text.write(texts, options, names, header=True), table.num_rows


def _text(label: str, type_: SqlType) -> str:
    """The column in the form in which PostgreSQL's COPY writes it."""
    if type_.id is TypeId.BOOLEAN:
        return f"case when {label} then 't' when not {label} then 'f' end"
    return label if type_.is_text else f"cast({label} as text)"


def _large(column: pa.ChunkedArray, type_: SqlType) -> pa.Array:
    array = column.cast(pa.large_string()).combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], pa.large_string())
    if type_.padded and type_.length is not None:
        array = pc.utf8_rpad(array, type_.length, " ")
    return array


def _write(statement: us.Copy, stream: IO[Any] | None, content: bytes, options: CopyOptions) -> None:
    if options.encoding != "utf-8":
        try:
            content = content.decode().encode(options.encoding)
        except UnicodeEncodeError:
            raise error_for("22P05", f"a character has no equivalent in encoding {options.encoding}") from None
    if statement.target is not None:
        try:
            Path(statement.target).write_bytes(content)
        except OSError as error:
            raise _file_error(statement.target, "writing", error) from None
        return
    assert stream is not None
    try:
        stream.write(content)
    except TypeError:  # a stream of texts
        stream.write(content.decode())
