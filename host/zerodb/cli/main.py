"""The command line: `zerodb shell`, `run`, `compile`, `explain`, `import`, `export`, `check`,
`backup`, `restore`, `test`, `demo`, `new`, `build`.

Exit status: 0, 1 for an SQL or data error, 2 for wrong usage. Errors are one line on stderr with the SQLSTATE and,
where the place is known, the SQL with a caret under it. Only click is imported here; the rest comes with the command.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import zerodb
from zerodb.cli.guests import build_project, new
from zerodb.cli.output import FORMATS
from zerodb.cli.report import error_text
from zerodb.errors import Error

if TYPE_CHECKING:
    from zerodb.connection import Connection

EXPORT_FORMATS = ("csv", "parquet", "json", "arrow")


class Failure(click.ClickException):
    """An SQL or data error, already in words."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        click.echo(self.message, file=sys.stderr)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(zerodb.__version__, prog_name="zerodb")
def cli() -> None:
    """A database whose queries are WebAssembly."""


def open_database(path: str, **options: Any) -> Connection:
    try:
        connection = zerodb.connect(path, **options)
    except Error as error:
        raise Failure(error_text(error, None)) from None
    connection.add_notice_handler(lambda notice: click.echo(str(notice), err=True))
    return connection


def existing_database(path: str, **options: Any) -> Connection:
    """A database that must be there already: a mistyped name is an error, not an empty database."""
    if path != ":memory:" and not Path(path).exists():
        raise Failure(f'ERROR 58P01: there is no database "{path}"')
    return open_database(path, **options)


def read_text(name: str) -> tuple[str, str]:
    """The text of a file or of standard input (`-`), and what to call it in errors."""
    if name == "-":
        return sys.stdin.read(), "<stdin>"
    try:
        return Path(name).read_text(encoding="utf-8"), name
    except OSError as error:
        raise click.UsageError(f"cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Failure(f"ERROR 22021: {name} is not UTF-8 text") from None


def parse_parameters(given: tuple[str, ...]) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--param needs name=value, not {item!r}")
        parameters[name.lstrip("$")] = value
    return parameters


database_option = click.option("--db", "database", default=":memory:", show_default=True, help="Its directory.")
parameter_option = click.option("--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A value for $NAME.")


@cli.command()
@click.argument("database", default=":memory:", required=False)
@click.option("--read-only", is_flag=True, help="Open for reading only.")
def shell(database: str, read_only: bool) -> None:
    """Type SQL, see results."""
    from zerodb.cli.shell import Shell

    with open_database(database, read_only=read_only) as connection:
        Shell(connection, database).run()


@cli.command()
@click.argument("file", required=False)
@click.option("-c", "command", help="SQL text instead of a file.")
@database_option
@parameter_option
@click.option("--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--timing", is_flag=True, help="Say how long each statement took, on stderr.")
@click.option("--threads", type=int, help="Worker threads.")
@click.option("--grant", "grants", multiple=True, help="What a guest may do, such as read:public.*; may be repeated.")
@click.option("--memory", help="A guest's memory limit, such as 64MB.")
@click.option("--timeout", type=float, help="Seconds after which a guest is ended.")
@click.option("--fuel", type=int, help="Instructions, about, after which a guest is ended.")
@click.argument("arguments", nargs=-1)
def run(
    file: str | None,
    command: str | None,
    database: str,
    parameters: tuple[str, ...],
    format_: str,
    timing: bool,
    threads: int | None,
    grants: tuple[str, ...],
    memory: str | None,
    timeout: float | None,
    fuel: int | None,
    arguments: tuple[str, ...],
) -> None:
    """Run the statements of FILE.sql (or - for standard input), a compiled query FILE.wasm, or a component FILE.wasm
    that uses the database, with ARGUMENTS (after --)."""
    from zerodb.cli.running import run_artifact, run_text

    if (file is None) == (command is None):
        raise click.UsageError("give either a FILE or -c SQL")
    values = parse_parameters(parameters)
    if file is not None and file.endswith(".wasm"):
        from zerodb.cli.running_guests import GuestOptions, is_guest, run_guest

        if is_guest(file):
            options = GuestOptions(arguments, grants or None, memory, timeout, fuel, timing)
            with open_database(database, threads=threads) as connection:
                run_guest(connection, file, options)
            return
        with existing_database(database, threads=threads) as connection:
            run_artifact(connection, file, values, format_, timing)
        return
    text, source = (command, "<command>") if command is not None else read_text(str(file))
    with open_database(database, threads=threads) as connection:
        run_text(connection, str(text), source, values, format_, timing)


@cli.command(name="compile")
@click.argument("file")
@click.option("--db", "database", required=True, help="The database whose tables the query reads.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Where to write the component.")
@click.option("--wat", is_flag=True, help="Print the generated code in readable form.")
def compile_(file: str, database: str, output: str | None, wat: bool) -> None:
    """Compile one query to a WebAssembly component."""
    if output is None and not wat:
        raise click.UsageError("say where to write it (-o Q.wasm), or --wat to print it")
    text, source = read_text(file)
    with existing_database(database, read_only=True) as connection:
        try:
            statement = connection.prepare(text)
            if wat:
                click.echo(statement.wat())
            if output is not None:
                made = statement.component()
                Path(output).write_bytes(made.data)
                click.echo(f"{output}: {len(made.data):,} bytes", err=True)
                if made.missing is not None:
                    click.echo(f"{output}: for zerodb only, not for other hosts: {made.missing}", err=True)
        except Error as error:
            raise Failure(error_text(error, text, source)) from None
        except OSError as error:
            raise Failure(f"ERROR 58030: cannot write {output}: {error.strerror}") from None


@cli.command()
@click.argument("file", required=False)
@click.option("-c", "command", help="SQL text instead of a file.")
@click.option("--db", "database", default=":memory:", show_default=True, help="The database directory.")
@click.option("--analyze", is_flag=True, help="Run it, and say rows and time per pipeline.")
@parameter_option
def explain(file: str | None, command: str | None, database: str, analyze: bool, parameters: tuple[str, ...]) -> None:
    """Show a query's plans, pipelines and compile times."""
    if (file is None) == (command is None):
        raise click.UsageError("give either a FILE or -c SQL")
    text, source = (command, "<command>") if command is not None else read_text(str(file))
    assert text is not None
    with existing_database(database) as connection:
        try:
            statement = connection.prepare(text)
            click.echo(statement.explain(parse_parameters(parameters), analyze=analyze))
        except Error as error:
            raise Failure(error_text(error, text, source)) from None


@cli.command(name="import")
@click.argument("database")
@click.argument("table")
@click.argument("file", type=click.Path())
@click.option("--format", "format_", type=click.Choice(("csv", "parquet", "json", "arrow")), help="Default: by name.")
@click.option("--header/--no-header", default=None, help="Whether a CSV file begins with the columns' names.")
@click.option("--delimiter", help="The character between the fields of a CSV file.")
@click.option("--null", "nulls", multiple=True, help="A field that means NULL; may be repeated.")
@click.option("--columns", help="Names for the columns of a CSV file, separated by commas.")
@click.option("--primary-key", help="Columns of the new table's primary key, separated by commas.")
def import_(
    database: str,
    table: str,
    file: str,
    format_: str | None,
    header: bool | None,
    delimiter: str | None,
    nulls: tuple[str, ...],
    columns: str | None,
    primary_key: str | None,
) -> None:
    """Append a CSV, Parquet, JSON lines or Arrow file (- for standard input, with --format) to TABLE, which is created
    if it is not there."""
    from zerodb.cli.running import import_with_progress, seekable

    if file == "-" and format_ is None:
        raise click.UsageError("standard input has no name to tell its format from: give --format")
    with open_database(database) as connection, seekable(file) as path:
        try:
            import_with_progress(
                connection,
                table,
                path,
                format=format_,
                header=header,
                delimiter="\t" if delimiter == "\\t" else delimiter,
                nulls=nulls or None,
                names=_names(columns),
                primary_key=_names(primary_key) or (),
            )
        except Error as error:
            raise Failure(error_text(error, None)) from None


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",")] if text else None


@cli.command()
@click.argument("database")
@click.argument("source", metavar="TABLE_OR_QUERY")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--format", "format_", type=click.Choice(EXPORT_FORMATS), help="Default: by the file's name.")
def export(database: str, source: str, file: str, format_: str | None) -> None:
    """Write a table, or the result of a query, to a CSV, Parquet, JSON lines or Arrow file."""
    from zerodb.cli.running import export_file

    with existing_database(database, read_only=True) as connection:
        try:
            rows = export_file(connection, source, Path(file), format_)
        except Error as error:
            raise Failure(error_text(error, source)) from None
        except OSError as error:
            raise Failure(f"ERROR 58030: cannot write {file}: {error.strerror}") from None
    click.echo(f"{file}: {rows:,} row{'' if rows == 1 else 's'}", err=True)


@cli.command()
@click.argument("database")
@click.argument("destination")
@click.option("--incremental", is_flag=True, help="Only what changed since the backup before.")
def backup(database: str, destination: str, incremental: bool) -> None:
    """Back up DATABASE into the directory DESTINATION, also while another process writes it."""
    from zerodb.cli.backups import back_up

    back_up(database, destination, incremental)


@cli.command()
@click.argument("source")
@click.argument("database")
@click.option("--to", default="latest", show_default=True, help="A time (UTC without a zone), or a commit's number.")
def restore(source: str, database: str, to: str) -> None:
    """Make DATABASE from the backups in SOURCE, with all commits up to a time."""
    from zerodb.cli.backups import restored

    restored(source, database, to)


@cli.command()
@click.argument("database")
def check(database: str) -> None:
    """Read and verify every record of a database, or of a directory of backups."""
    from zerodb.cli.backups import check_backups, is_backups

    if is_backups(database):
        check_backups(database)
        return
    with existing_database(database, read_only=True) as connection:
        try:
            problems = connection.check()
        except Error as error:
            raise Failure(error_text(error, None)) from None
    if problems:
        raise Failure("\n".join(f"ERROR XX001: {problem}" for problem in problems))
    click.echo(f"{database}: no problem found")


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True), metavar="FILE.test|FOLDER...")
@click.option("--engine", default="postgresql", show_default=True, help="The name in skipif and onlyif.")
@click.option("--fail-fast", is_flag=True, help="End at the first failure.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
@click.option("--stride", type=click.IntRange(min=1), default=1, help="Run only every N-th query.")
@click.option("--timing", is_flag=True, help="Say how long each file took, on stderr.")
@click.option("--report", type=click.Path(dir_okay=False), help="Write counts and failures to a file, as JSON lines.")
@click.option("--threads", type=int, help="Worker threads a process; 1 if there are several processes.")
def test(
    files: tuple[str, ...],
    engine: str,
    fail_fast: bool,
    jobs: int,
    stride: int,
    timing: bool,
    report: str | None,
    threads: int | None,
) -> None:
    """Run sqllogictest files, each on a database of its own in memory."""
    from zerodb.cli.testing import run_tests
    from zerodb.logictest.files import RunOptions

    options = RunOptions(engine, fail_fast, stride, threads or (1 if jobs > 1 else None))
    if not run_tests(files, options, jobs, timing, report):
        raise SystemExit(1)


@cli.command()
@click.option("--scale", type=click.FloatRange(min=0.01), default=0.1, show_default=True, help="TPC-H scale factor.")
@click.option("--directory", type=click.Path(file_okay=False), default=".", help="Where to leave demo.zdb and q1.wasm.")
@click.option("--threads", type=int, help="Worker threads.")
def demo(scale: float, directory: str, threads: int | None) -> None:
    """Make TPC-H data, import it, run queries and show where the time goes."""
    from zerodb.cli.demo import run_demo

    try:
        run_demo(scale, Path(directory), threads)
    except Error as error:
        raise Failure(error_text(error, None)) from None


cli.add_command(new)
cli.add_command(build_project)


def main() -> None:
    """The console script. A closed pipe (`| head`) and Ctrl-C end quietly."""
    try:
        cli(prog_name="zerodb")
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:  # standard output on a full disk
        click.echo(f"ERROR 58030: {error.strerror}", file=sys.stderr)
        _drop_standard_output()
        raise SystemExit(1) from None


def _drop_standard_output() -> None:
    """What could not be written would be tried, and complained about, once more at exit."""
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    main()
