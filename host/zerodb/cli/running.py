"""`zerodb run`, `import` and `export`: statements and files, with their timing and progress."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from zerodb.cli.copy_data import copy_rows, copy_to_stdout, portions
from zerodb.cli.main import Failure
from zerodb.cli.output import write_csv, write_json, write_result
from zerodb.cli.report import error_text
from zerodb.errors import Error, NotSupportedError
from zerodb.psql import script_text

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.cursor import Cursor

_ENDINGS = {"pq": "parquet", "jsonl": "json", "ndjson": "json", "feather": "arrow", "ipc": "arrow"}


def run_text(
    connection: Connection, text: str, source: str, parameters: dict[str, str], format_: str, timing: bool
) -> None:
    """Every statement of the text in turn; the first error ends it."""
    console = Console()
    try:
        for statement, rows in _statements(connection, text):
            if rows is not None:
                copy_rows(connection, statement, rows)
                continue
            if copy_to_stdout(connection, statement):
                continue
            began = time.perf_counter()
            prepared = connection.prepare(statement) if parameters else None
            if prepared is not None:
                wanted = {str(parameter.name) for parameter in prepared.parameters}
                given = {name: value for name, value in parameters.items() if name in wanted}
                cursor = prepared.execute(positional(given))
            else:
                cursor = connection.execute(statement)
            finish(cursor, format_, console, began, timing)
    except Error as error:
        raise Failure(error_text(error, text, source)) from None


def _statements(connection: Connection, text: str) -> Iterator[tuple[str, str | None]]:
    """The statements of a script, each with the rows that follow it if it is a COPY FROM STDIN."""
    for part, rows in portions(text):
        found = list(connection.statements(script_text(part)))
        for statement in found[:-1] if rows is not None else found:
            yield statement, None
        if rows is not None:
            yield found[-1], rows


def positional(parameters: dict[str, str]) -> Any:
    """`--param 1=x --param 2=y` are the values of $1 and $2; None without any."""
    if not parameters:
        return None
    if all(name.isdigit() for name in parameters):
        count = max(int(name) for name in parameters)
        return [parameters.get(str(number + 1)) for number in range(count)]
    return parameters


def run_artifact(connection: Connection, file: str, parameters: dict[str, str], format_: str, timing: bool) -> None:
    """A compiled query; its own code if it is from here, else compiled again from the SQL it carries."""
    from zerodb.artifact import load

    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise click.UsageError(f"cannot read {file}: {error.strerror}") from None
    text = None
    try:
        began = time.perf_counter()
        statement = load(connection, data)
        text = statement.sql
        cursor = statement.execute(positional(parameters))
        finish(cursor, format_, Console(), began, timing)
    except Error as error:
        raise Failure(error_text(error, text, file)) from None


def finish(cursor: Cursor, format_: str, console: Console, began: float, timing: bool) -> None:
    took = time.perf_counter() - began
    write_result(cursor, format_, console)
    if timing:
        click.echo(f"Time: {took * 1000:.2f} ms", err=True)


def import_with_progress(connection: Connection, table: str, file: str, **options: Any) -> int:
    """A progress bar while it runs (on a terminal), then one line."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    began = time.perf_counter()
    path = Path(file)
    rows_known = row_total(path)
    total = rows_known or (path.stat().st_size if path.exists() else None)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"importing {table}", total=total, rows=0)

        def advance(rows: int, position: int) -> None:
            bar.update(task, completed=rows if rows_known else position, rows=rows)

        rows = connection.import_file(table, file, progress=advance, **options)
    seconds = time.perf_counter() - began
    click.echo(f"{table}: {rows:,} row{'' if rows == 1 else 's'} in {seconds:.2f} s", err=True)
    return rows


@contextlib.contextmanager
def seekable(file: str) -> Iterator[str]:
    """The path of a file that can be read more than once, as finding out a CSV file's types needs it: standard input
    (`-`) and pipes are copied first."""
    if file != "-" and not Path(file).is_fifo():
        yield file
        return
    with tempfile.NamedTemporaryFile(prefix="zerodb-import-", suffix=Path(file).suffix) as copy:
        with contextlib.ExitStack() as stack:
            source = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
            shutil.copyfileobj(source, copy)
        copy.flush()
        yield copy.name


def row_total(path: Path) -> int | None:
    """The number of rows, where the file says it."""
    if path.suffix != ".parquet" or not path.exists():
        return None
    import pyarrow as pa
    import pyarrow.ipc
    import pyarrow.parquet

    try:
        return int(pyarrow.parquet.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError):
        return None


def export_file(connection: Connection, source: str, path: Path, format_: str | None) -> int:
    """Writes beside the target and renames, so that a failure leaves no half file."""
    suffix = path.suffix.lower().lstrip(".")
    ending = format_ or _ENDINGS.get(suffix, suffix)
    if ending not in ("csv", "parquet", "json", "arrow"):
        raise NotSupportedError(f'cannot tell the format of "{path}": say --format csv, parquet, json or arrow')
    table = source in connection.tables() or source.isidentifier()
    text = 'select * from "' + source.replace('"', '""') + '"' if table else source
    cursor = connection.execute(text)
    if cursor.description is None:
        raise NotSupportedError("export needs a table or a query")
    rows = cursor.rowcount
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        _write(cursor, partial, ending)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _write(cursor: Cursor, path: Path, ending: str) -> None:
    if ending in ("csv", "json"):
        with path.open("w", encoding="utf-8", newline="") as out:
            (write_csv if ending == "csv" else write_json)(cursor, out)
        return
    import pyarrow as pa
    import pyarrow.ipc
    import pyarrow.parquet

    table = cursor.fetch_arrow()
    if ending == "parquet":
        pyarrow.parquet.write_table(table, path, compression="zstd")
        return
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
