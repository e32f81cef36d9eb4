"""`zerodb shell`: type SQL, see results.

A statement ends with `;` and may have many lines. Lines that begin with a dot are commands of the shell. On a terminal
there is editing, history (kept in the user's state directory) and completion of keywords, tables and columns; with
standard input from elsewhere it reads lines and prints results, nothing else.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from prompt_toolkit.completion import Completer, Completion
from rich.console import Console

from zerodb.cli.output import write_result
from zerodb.cli.report import error_text
from zerodb.errors import Error

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    from zerodb.connection import Connection

HELP = """\
.tables                  the tables and how many rows they have
.schema [TABLE]          how tables are declared
.functions               the functions that were made for this database
.import TABLE FILE       append a CSV, Parquet, JSON lines or Arrow file
.timing [on|off]         say how long statements take
.help                    this text
.quit                    leave (or Ctrl-D)
A statement ends with a semicolon."""

_KEYWORD_TEXT = """
select from where group by having order limit offset distinct as and or not null is in between like ilike exists
case when then else end cast join left right inner cross on using union all with values insert into update set
delete create table drop if primary key default begin commit rollback explain analyze asc desc nulls first last
count sum avg min max coalesce extract interval date timestamp integer bigint numeric text boolean
"""
KEYWORDS = _KEYWORD_TEXT.split()


class SqlCompleter(Completer):
    """Keywords, table and column names that begin with the word under the cursor; commands after a dot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        line = document.current_line_before_cursor
        if line.startswith(".") and " " not in line:
            commands = [entry.split()[0] for entry in HELP.splitlines() if entry.startswith(".")]
            return [Completion(command, -len(line)) for command in commands if command.startswith(line)]
        word = document.get_word_before_cursor()
        if not word:
            return []
        names = sorted(set(self._names()))
        found = [Completion(name, -len(word)) for name in names if name.lower().startswith(word.lower())]
        upper = word.isupper()
        found += [
            Completion(keyword.upper() if upper else keyword, -len(word))
            for keyword in KEYWORDS
            if keyword.startswith(word.lower())
        ]
        return found

    def _names(self) -> Iterator[str]:
        for table in self._connection.tables():
            yield table
            for column in self._connection.schema(table).columns:
                yield column.name


class Shell:
    """One session. `run` returns when the user leaves."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._timing = False
        self._console = Console()
        self._interactive = sys.stdin.isatty()
        self.failed = False

    def run(self) -> None:
        if not self._interactive:
            for statement in self._pieces(iter(sys.stdin.readline, "")):
                self.handle(statement)
            if self.failed:
                raise SystemExit(1)
            return
        self._console.print(f"zerodb, database [bold]{self._name}[/bold]. [dim].help for help[/dim]", highlight=False)
        session = self._session()
        while True:
            try:
                text = session.prompt("zerodb> ")
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            for piece in self._pieces(iter([line + "\n" for line in text.splitlines()])):
                if not self.handle(piece):
                    return

    def _session(self) -> PromptSession[str]:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.filters import Condition
        from prompt_toolkit.history import FileHistory, InMemoryHistory
        from prompt_toolkit.lexers import PygmentsLexer
        from pygments.lexers.sql import PostgresLexer

        path = _history_path()
        session: PromptSession[str] = PromptSession(
            history=FileHistory(str(path)) if path is not None else InMemoryHistory(),
            completer=SqlCompleter(self._connection),
            complete_while_typing=False,
            lexer=PygmentsLexer(PostgresLexer),
            prompt_continuation="   ...> ",
            multiline=Condition(lambda: not _complete(session.default_buffer.text)),
        )
        return session

    def _pieces(self, lines: Iterator[str]) -> Iterator[str]:
        """Dot commands and complete statements, and what is left at the end."""
        buffer = ""
        for line in lines:
            if not buffer.strip() and line.lstrip().startswith("."):
                buffer = ""
                yield line.strip()
                continue
            buffer += line
            if _complete(buffer):
                yield buffer
                buffer = ""
        if buffer.strip():
            yield buffer

    def handle(self, text: str) -> bool:
        """Runs one piece; False if the user wants to leave."""
        if text.startswith("."):
            return self._command(text)
        if not text.strip().strip(";").strip():
            return True
        try:
            for statement in self._connection.statements(text):
                began = time.perf_counter()
                cursor = self._connection.execute(statement)
                took = time.perf_counter() - began
                write_result(cursor, "table", self._console)
                if self._timing:
                    self._console.print(f"Time: {took * 1000:.2f} ms", style="dim", highlight=False)
        except Error as error:
            self._error(error_text(error, text))
        except KeyboardInterrupt:
            self._connection.interrupt()
            self._error("interrupted")
        return True

    def _error(self, text: str) -> None:
        self.failed = True
        click.secho(text, fg="red" if self._interactive else None, err=True)

    def _command(self, text: str) -> bool:
        try:
            words = shlex.split(text)
        except ValueError as error:
            self._error(f"{text}: {error}")
            return True
        match words:
            case [".quit" | ".exit" | ".q"]:
                return False
            case [".help"]:
                click.echo(HELP)
            case [".tables"]:
                self._tables()
            case [".functions"]:
                self._functions()
            case [".schema", *names] if len(names) <= 1:
                self._schema(names)
            case [".timing", *rest] if rest in ([], ["on"], ["off"]):
                self._timing = rest == ["on"] if rest else not self._timing
                click.echo(f"timing is {'on' if self._timing else 'off'}")
            case [".import", table, file]:
                self._import(table, file)
            case _:
                self._error(f"unknown command or wrong arguments: {text} (.help lists them)")
        return True

    def _tables(self) -> None:
        for name in self._connection.tables():
            rows = self._connection.schema(name).row_count
            click.echo(f"{name:<24} {rows:>12,} row{'' if rows == 1 else 's'}")

    def _functions(self) -> None:
        query = """
            select pg_get_functiondef(p.oid) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
            where n.nspname not in ('pg_catalog', 'information_schema') and prokind = 'f' order by n.nspname, proname"""
        for (text,) in self._connection.execute(query):
            click.echo(text.removeprefix("CREATE OR REPLACE ").replace("\n", "").strip())

    def _schema(self, names: list[str]) -> None:
        try:
            for name in names or self._connection.tables():
                click.echo(declaration(self._connection, name))
        except Error as error:
            self._error(error_text(error, None))

    def _import(self, table: str, file: str) -> None:
        from zerodb.cli.running import import_with_progress

        try:
            import_with_progress(self._connection, table, file)
        except Error as error:
            self._error(error_text(error, None))


def declaration(connection: Connection, name: str) -> str:
    """CREATE TABLE for a table."""
    version = connection.schema(name)
    lines = []
    for column in version.columns:
        default = f" default {column.default}" if column.default is not None else ""
        lines.append(f"  {_quoted(column.name)} {column.type}{' not null' if column.not_null else ''}{default}")
    if version.primary_key:
        keys = ", ".join(_quoted(version.columns[ordinal].name) for ordinal in version.primary_key)
        lines.append(f"  primary key ({keys})")
    return f"create table {_quoted(name)} (\n" + ",\n".join(lines) + "\n);"


def _quoted(name: str) -> str:
    plain = name.isidentifier() and name == name.lower() and name.isascii() and name not in KEYWORDS
    return name if plain else '"' + name.replace('"', '""') + '"'


_DOLLARS = re.compile(r"\$(?:[^\W\d]\w*)?\$")


def _complete(text: str) -> bool:
    """Whether the text is a dot command or ends with a semicolon that is in no string and no comment."""
    stripped = text.strip()
    if stripped.startswith(".") or not stripped:
        return True
    state = ""
    at = 0
    last = ""
    while at < len(text):
        pair, mark = text[at : at + 2], text[at]
        if state == "" and (dollars := _DOLLARS.match(text, at)) is not None:
            end = text.find(dollars[0], dollars.end())
            if end < 0:
                return False
            at, last = end + len(dollars[0]), "$"
            continue
        if state == "":
            if mark in "'\"":
                state = mark
            elif pair == "--":
                state = "\n"
            elif pair == "/*":
                state = "*/"
                at += 1
            if state in ("'", '"') or (not state and not mark.isspace()):
                last = mark
        elif state == pair:
            state = ""
            at += 1
        elif state == mark:
            state = ""
        at += 1
    return state in ("", "\n") and last == ";"


def _history_path() -> Path | None:
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    path = Path(base) / "zerodb" / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return path
