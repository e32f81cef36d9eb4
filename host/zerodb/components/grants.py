"""What a guest may do, as a list of texts.

    read:shop.orders    queries of the table orders in the schema shop; * stands for any characters: read:shop.*, read:*
    write:shop.orders   changes of its rows, too (also TRUNCATE, LOCK TABLE, SELECT FOR UPDATE)
    define              definition statements: CREATE, ALTER, DROP, COMMENT; with it comes everything of every table
    files               COPY and CREATE FUNCTION from and to files of the host, which a guest reads and writes as zerodb
    all                 read:*, write:* and define
    wasi:env            the host's environment; wasi:env=NAME one variable of it
    wasi:dir=PATH       the directory, under the same path, for reading; wasi:dir=PATH:rw for writing, too
    wasi:stdio          standard input, and output to the host's own instead of log lines
    wasi:sleep          waiting, which no timeout ends

Names without a schema are in public. Without a list a guest has `all`; with a list it has what the list says and
nothing else. Clocks and random numbers every guest has.

Checked are the tables of the bound statement, after views are expanded, whenever it runs in the general way; a
statement by key is checked when it is compiled, for the tables that it is bound to. Not checked: pg_catalog and
information_schema, a session's own temporary tables, sequences, and what a statement causes elsewhere (foreign keys'
actions, triggers).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeAlias

import wasmtime

from zerodb_compiler.catalog import TRANSIENT, TableInfo
from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql import utility_statements as us
from zerodb_storage.catalog import is_temporary

if TYPE_CHECKING:
    from zerodb.compilation import Prepared

_TABLE = re.compile(r"(read|write):(?:([^.]+)\.)?([^.]+)\Z")
Name: TypeAlias = tuple[str, str]  # schema and table, patterns in a grant


@dataclass(frozen=True, slots=True)
class Grants:
    read: tuple[Name, ...] = ()
    write: tuple[Name, ...] = ()
    define: bool = False
    files: bool = False
    environment: tuple[str, ...] | None = ()  # None: all variables
    folders: tuple[tuple[str, bool], ...] = ()  # paths, and whether they may be written
    stdio: bool = False
    sleep: bool = False

    def wasi(self) -> wasmtime.WasiConfig:
        """What WASI gives the guest; 58P01 if a directory is not there."""
        config = wasmtime.WasiConfig()
        names = os.environ if self.environment is None else self.environment
        config.env = [(name, os.environ[name]) for name in names if name in os.environ]
        for path, writable in self.folders:
            try:
                config.preopen_dir(path, path, writable)
            except wasmtime.WasmtimeError:
                raise error_for("58P01", f'cannot open the directory "{path}" for a guest') from None
        if self.stdio:
            config.inherit_stdin()
            config.inherit_stdout()
            config.inherit_stderr()
        return config

    def check(self, prepared: Prepared) -> None:
        """42501 if a statement may not run."""
        statement = prepared.explained
        match statement:
            case st.Define(definition=ddl.CreateFunction(body=ddl.Body())):
                self._check_definition("a function's body")
            case st.Define(definition=definition):
                self._check_definition(type(definition).__name__)
            case st.CreateTableAs():
                self._check_definition("CREATE TABLE AS")
            case us.Copy():
                self._check_copy(statement)
            case us.Truncate(tables=tables) | us.LockTable(tables=tables):
                for named in tables:
                    self._check_table(named.schema or "public", named.name, writes=True)
        written = {(table.base or table).key for table in _written(statement)}
        for table in (*prepared.bound.tables, *_written(statement)):
            table = table.base or table
            if table.kind != "system catalog" and not table.name.startswith(TRANSIENT):
                self._check_table(table.schema, table.name, writes=table.key in written)

    def _check_table(self, schema: str, name: str, *, writes: bool) -> None:
        if is_temporary(schema) or self.define:
            return
        granted = self.write if writes else (*self.read, *self.write)
        if any(fnmatchcase(schema, of) and fnmatchcase(name, pattern) for of, pattern in granted):
            return
        shown = name if schema == "public" else f"{schema}.{name}"
        needed = f"{'write' if writes else 'read'}:{schema}.{name}"
        raise _denied(f"permission denied for table {shown}", needed)

    def _check_definition(self, what: str) -> None:
        if not self.define:
            raise _denied("permission denied for definition statements", "define")
        if what == "CreateFunction" and not self.files:
            raise _denied("permission denied to read a function's file", "files")

    def _check_copy(self, statement: us.Copy) -> None:
        if not self.files:
            raise _denied("permission denied for COPY", "files")
        if statement.table is None:
            if not self.define:
                raise _denied("permission denied for COPY of a query", "define")
        else:
            self._check_table(statement.table.schema or "public", statement.table.name, writes=statement.into)


def _denied(message: str, grant: str) -> DatabaseError:
    return error_for("42501", message, hint=f'the guest was not granted "{grant}"')


def _written(statement: object) -> Iterator[TableInfo]:
    """The tables whose rows it changes or locks."""
    match statement:
        case st.Insert(table=table) | st.Update(table=table) | st.Delete(table=table) | st.Merge(table=table):
            yield table
        case st.Query(locks=locks):
            yield from (locked.table for locked in locks)
        case st.WithChanges(parts=parts, main=main):
            for part in parts:
                yield from _written(part.statement)
            yield from _written(main)


_EVERYTHING = (("*", "*"),)
DEFAULT = Grants(read=_EVERYTHING, write=_EVERYTHING, define=True)


def parse_grants(texts: Iterable[str] | None) -> Grants:
    """From what users give; 22023 for what is no grant."""
    if texts is None:
        return DEFAULT
    if isinstance(texts, str):
        raise error_for("22023", "grants are a list of texts")
    given = list(texts)
    read: list[Name] = []
    write: list[Name] = []
    folders: list[tuple[str, bool]] = []
    names: list[str] = []
    for text in given:
        table = _TABLE.match(text)
        if table is not None:
            schema = table[2] or ("*" if table[3] == "*" else "public")
            (read if table[1] == "read" else write).append((schema, table[3]))
        elif text == "all":
            read += _EVERYTHING
            write += _EVERYTHING
        elif text.startswith("wasi:env="):
            names.append(text.removeprefix("wasi:env="))
        elif text.startswith("wasi:dir="):
            path = text.removeprefix("wasi:dir=")
            folders.append((path.removesuffix(":rw"), path.endswith(":rw")))
        elif text not in _WORDS:
            raise error_for("22023", f'"{text}" is not a grant', hint="such as read:public.*, write:orders, define")
    return Grants(
        tuple(read),
        tuple(write),
        define=_has(given, "define", "all"),
        files="files" in given,
        environment=None if "wasi:env" in given else tuple(names),
        folders=tuple(folders),
        stdio="wasi:stdio" in given,
        sleep="wasi:sleep" in given,
    )


_WORDS = frozenset({"define", "files", "wasi:env", "wasi:stdio", "wasi:sleep"})


def _has(given: Sequence[str], *words: str) -> bool:
    return any(word in given for word in words)
