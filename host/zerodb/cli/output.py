"""Writing a result set: a table for people, CSV, JSON lines or an Arrow IPC stream for programs."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from zerodb.cursor import Cursor

FORMATS = ("table", "csv", "json", "arrow", "none")
TABLE_ROWS_MAX = 1000
TEXT_WIDTH_MAX = 80
_WIDTH_MAX = 100_000
_FLOAT_WORDS = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}


def write_result(cursor: Cursor, format_: str, console: Console, out: IO[str] | None = None) -> None:
    """The cursor's result set on standard output, or the command tag of a statement without one."""
    stream = out if out is not None else sys.stdout
    if cursor.description is None:
        if format_ == "table" and cursor.statusmessage:
            console.print(cursor.statusmessage, style="dim", highlight=False)
        return
    match format_:
        case "table":
            write_table(cursor, console)
        case "csv":
            write_csv(cursor, stream)
        case "json":
            write_json(cursor, stream)
        case "arrow":
            write_arrow(cursor, stream)
        case "none":
            pass
        case _:
            raise AssertionError(format_)


def write_table(cursor: Cursor, console: Console) -> None:
    """A table of at most TABLE_ROWS_MAX rows, numbers to the right, and the number of rows."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    import zerodb.dbapi as dbapi

    description = cursor.description
    assert description is not None
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name, type_name, *_ in description:
        right = type_name == dbapi.NUMBER
        if right:
            table.add_column(Text(name), justify="right", no_wrap=True)
        else:
            table.add_column(Text(name), overflow="fold", max_width=TEXT_WIDTH_MAX)
    rows = cursor.fetchmany(TABLE_ROWS_MAX)
    for row in rows:
        table.add_row(*(Text("NULL", style="dim") if value is None else Text(text_of(value)) for value in row))
    if description:
        print_whole(table, console)
    total = cursor.rowcount
    shown = f", the first {len(rows)} shown" if total > len(rows) else ""
    console.print(f"({total} row{'' if total == 1 else 's'}{shown})", style="dim", highlight=False)


def print_whole(table: Table, console: Console) -> None:
    """A table that is wider than the terminal is not squeezed: numbers cut in two are unreadable."""
    from rich.console import Console
    from rich.measure import Measurement

    needed = Measurement.get(console, console.options.update(max_width=_WIDTH_MAX), table).maximum
    wide = console if needed <= console.width else Console(file=console.file, width=needed)
    wide.print(table)


def text_of(value: Any) -> str:
    """PostgreSQL's text of a value."""
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case datetime.datetime():
            text = value.isoformat(sep=" ")
            return text.rstrip("0") if value.microsecond else text
        case float():
            text = str(value)
            return _FLOAT_WORDS.get(text) or text.removesuffix(".0")
    return str(value)


def write_csv(cursor: Cursor, out: IO[str]) -> None:
    """RFC 4180 with a header line; NULL is an empty field, an empty string is `""`."""
    assert cursor.description is not None
    out.write(",".join(_csv_field(column[0]) for column in cursor.description) + "\n")
    for rows in _portions(cursor):
        out.write("".join(",".join(map(_csv_field, row)) + "\n" for row in rows))
    out.flush()


def _csv_field(value: Any) -> str:
    if value is None:
        return ""
    text = text_of(value)
    if not text or any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def write_json(cursor: Cursor, out: IO[str]) -> None:
    """JSON lines: one object a row. Exact numerics are written with all their digits; dates are ISO strings."""
    assert cursor.description is not None
    keys = [json.dumps(column[0], ensure_ascii=False) for column in cursor.description]
    for rows in _portions(cursor):
        out.write("".join(_json_line(keys, row) for row in rows))
    out.flush()


def _json_line(keys: Sequence[str], row: Sequence[Any]) -> str:
    return "{" + ", ".join(f"{key}: {_json_value(value)}" for key, value in zip(keys, row, strict=True)) + "}\n"


def _json_value(value: Any) -> str:
    match value:
        case None | bool() | int() | str():
            return json.dumps(value, ensure_ascii=False)
        case Decimal():
            return format(value, "f")
        case float():
            # JSON has no infinities and no NaN
            return repr(value) if value - value == 0 else json.dumps(text_of(value))
    return json.dumps(text_of(value))


def write_arrow(cursor: Cursor, out: IO[str]) -> None:
    """An Arrow IPC stream."""
    import pyarrow as pa
    import pyarrow.ipc

    reader = pa.RecordBatchReader.from_stream(cursor)
    binary = getattr(out, "buffer", out)
    with pa.ipc.new_stream(binary, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    binary.flush()


def _portions(cursor: Cursor) -> Iterable[list[tuple[Any, ...]]]:
    while rows := cursor.fetchmany(10_000):
        yield rows
