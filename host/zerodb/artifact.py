"""A compiled query as a file: `zerodb compile` writes it, `zerodb run` runs it.

The file is a WebAssembly *component*: what other hosts run, and custom sections that they skip.

    00 61 73 6d 0d 00 01 00     preamble of a component
    00 "zerodb.module"          the core module that our code generator made, verbatim
    ...                         the export zerosys:db/compiled-query (query_component.py): other core modules and types
    00 "zerodb.query"           msgpack: SQL text, parameters, columns, tables as they were, how to run the module
    00 "zerodb.signature"       BLAKE2b over all of the above, keyed with a secret of this user on this machine

Why our own module is no section of code: it wants a shared memory and wide arithmetic. Hosts check all code of a
component before they run any (Node compiles it), and would refuse the file for code that they never need.

The core module runs over the memory that holds all tables, so it is run only if the signature says that our own
compiler made it, and if the tables still have the schema and layout it was made for. Otherwise the SQL text that it
carries is compiled like any other: a file from elsewhere can do no more than its SQL could.

Limit: a query that needs the database while it runs (see zerodb_compiler/component) makes a file without the export;
`Made.missing` says why.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zerodb import codec
from zerodb.cursor import Cursor
from zerodb.engine.cache import user_secret
from zerodb.outcome import Outcome, QueryBatches
from zerodb.queries import present_moments
from zerodb.query_component import (
    CUSTOM_SECTION,
    PREAMBLE,
    component_sections,
    leb,
    section,
    unsigned,
)
from zerodb.values import Canonical, Parameters, bind_parameters
from zerodb_compiler.codegen.program import OutputColumn, Program
from zerodb_compiler.component.driver import CoreModules, core_modules
from zerodb_compiler.component.portable import portable
from zerodb_compiler.errors import NotSupportedError, error_for
from zerodb_compiler.layout import TableLayout
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.computed import Computed
from zerodb_compiler.sql.parameters import UserParameter
from zerodb_compiler.sql.values import to_canonical

if TYPE_CHECKING:
    from zerodb.compilation import CompiledQuery, Ready
    from zerodb.connection import Connection
    from zerodb.engine.program import CompiledProgram
    from zerodb.view import View

FORMAT_VERSION = 4
MODULE_SECTION = "zerodb.module"
QUERY_SECTION = "zerodb.query"
SIGNATURE_SECTION = "zerodb.signature"
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Artifact:
    """The parts of a file. `about` has the keys format, sql, user, lifted, output, tables and program."""

    module: bytes
    about: dict[str, Any]
    signature: bytes
    signed_bytes: int


@dataclass(frozen=True, slots=True)
class Made:
    """A file, and why it does not export zerosys:db/compiled-query; None if it does."""

    data: bytes
    missing: str | None


def component(ready: Ready, view: View) -> Made:
    """The file for a compiled query."""
    prepared = ready.prepared
    if not isinstance(prepared.statement, st.Query) or prepared.query is None:
        raise error_for("0A000", "only a query can be compiled to a file")
    if prepared.statement.locks:
        raise error_for("0A000", "a query with FOR UPDATE or FOR SHARE cannot be compiled to a file")
    if any(dependency.table_id < 0 for dependency in prepared.dependencies):
        raise error_for("0A000", "a query over registered tables cannot be compiled to a file")
    if any(functions for _, _, functions in prepared.bound.functions):
        raise error_for("0A000", "a query that calls functions from outside cannot be compiled to a file")
    query = prepared.query
    if query.program.externals:
        names = ", ".join(sorted({call.function.name for call in query.program.externals}))
        raise error_for("0A000", f"a query that calls a function of the user ({names}) cannot be compiled to a file")
    if any(isinstance(value, Computed) for value in ready.lifted):
        raise error_for("0A000", "a query with sequences or functions of the session cannot be compiled to a file")
    about = {
        "format": FORMAT_VERSION,
        "sql": ready.text,
        "user": prepared.user,
        "lifted": list(ready.lifted),
        "output": query.output,
        "tables": {dependency.key: _table(view, dependency.key) for dependency in prepared.dependencies},
        "program": replace(query.program, wasm=b""),
    }
    data, missing = PREAMBLE + _custom(MODULE_SECTION, query.program.wasm), None
    try:
        data += component_sections(_modules(ready, prepared.statement, query))
    except NotSupportedError as reason:
        missing = reason.message
    data += _custom(QUERY_SECTION, codec.pack(about))
    return Made(data + _custom(SIGNATURE_SECTION, _signature(data)), missing)


def _modules(ready: Ready, statement: st.Query, query: CompiledQuery) -> CoreModules:
    """What runs the query in other hosts; NotSupportedError if it needs the database."""
    parameters = [(str(declared.name), declared.type) for declared in ready.prepared.user]
    names = [column.name for column in query.output]
    made = portable(ready.text, query.bound, statement.columns, names, parameters, ready.lifted)
    return core_modules(made)


def _table(view: View, name: str) -> dict[str, Any]:
    """All that generated code assumes of a table."""
    version = view.tables[name]
    return {
        "id": version.id,
        "columns": tuple((column.name, str(column.type), column.not_null) for column in version.columns),
        "primary_key": version.primary_key,
        "layout": version.layout,
    }


class CompiledStatement:
    """An artifact's query on a connection: like a prepared statement. `trusted` says that its own code may run."""

    def __init__(self, connection: Connection, artifact: Artifact, *, trusted: bool) -> None:
        self.connection = connection
        self.sql: str = artifact.about["sql"]
        self.trusted = trusted
        self._tables: dict[str, dict[str, Any]] = artifact.about["tables"]
        self._user: tuple[UserParameter, ...] = artifact.about["user"]
        self._lifted: tuple[Canonical, ...] = artifact.about["lifted"]
        self._output: tuple[OutputColumn, ...] = artifact.about["output"]
        self._program: Program = replace(artifact.about["program"], wasm=artifact.module)
        self._code: CompiledProgram | None = None

    def runs_own_code(self) -> bool:
        """Whether the next execution runs the artifact's module, not a new compilation of its SQL."""
        return self.trusted and self._fits(self.connection._view())

    def execute(self, parameters: Parameters | None = None) -> Cursor:
        connection = self.connection
        connection._check_open()
        with connection._lock:
            view = connection._view()
            if not (self.trusted and self._fits(view)) or connection._session.is_serializable:
                return connection.execute(self.sql, parameters)
            given = bind_parameters(self._user, parameters)
            values = [to_canonical(declared.type, value) for declared, value in zip(self._user, given, strict=True)]
            engine, options = connection._database.engine, connection._options
            if self._code is None:
                self._code = engine.compile(self._program)
            code = self._code
            execution = engine.execute(
                code,
                view,
                [*values, *present_moments(self._lifted)],
                timeout=options.statement_timeout_s,
                threads=options.threads,
                owner=connection,
                measured=False,
            )
            batches = QueryBatches(execution.batches(), self._output, code.decoder)
            cursor = Cursor(connection)
            cursor._start(Outcome("SELECT", execution.row_count, self._output, batches))
            return cursor

    def _fits(self, view: View) -> bool:
        for name, expected in self._tables.items():
            if name not in view.tables or _table(view, name) != expected:
                return False
            assert isinstance(expected["layout"], TableLayout)
        return True


def load(connection: Connection, data: bytes) -> CompiledStatement:
    """The query of an artifact, ready to run on this connection. 22P03 if the file is none."""
    artifact = parse(data)
    expected = _signature(data[: artifact.signed_bytes])
    trusted = bool(expected) and hmac.compare_digest(artifact.signature, expected)
    return CompiledStatement(connection, artifact, trusted=trusted)


def parse(data: bytes) -> Artifact:
    """Takes a file apart; 22P03 if it is not an artifact."""
    if not data.startswith(PREAMBLE):
        kind = "a core WebAssembly module" if data.startswith(b"\0asm") else "not WebAssembly"
        raise error_for("22P03", f"not a compiled query of zerodb: {kind}")
    module, about, signature, signed = b"", None, b"", 0
    at = len(PREAMBLE)
    try:
        while at < len(data):
            start = at
            kind_of, body, at = _next_section(data, at)
            if kind_of == CUSTOM_SECTION:
                name, rest = _name(body)
                if name == MODULE_SECTION and not module:
                    module = rest
                elif name == QUERY_SECTION and about is None:
                    about = codec.unpack(rest)
                elif name == SIGNATURE_SECTION:
                    signature, signed = rest, start
    except (ValueError, IndexError) as error:
        raise error_for("22P03", f"the compiled query is damaged: {error}") from None
    if not module or not isinstance(about, dict) or not isinstance(about.get("sql"), str):
        raise error_for("22P03", "not a compiled query of zerodb: a component of another kind")
    if about.get("format") != FORMAT_VERSION:
        raise error_for("22P03", f"the compiled query has format {about.get('format')}, this is {FORMAT_VERSION}")
    return Artifact(module, about, signature, signed)


def _signature(data: bytes) -> bytes:
    secret = user_secret()
    if secret is None:  # then nothing is ever trusted
        return b""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=secret, person=b"zerodb-artifact").digest()


def _next_section(data: bytes, at: int) -> tuple[int, bytes, int]:
    """(kind, body, where the next one begins)."""
    size, begin = leb(data, at + 1)
    body = data[begin : begin + size]
    if len(body) != size:
        raise ValueError("it ends too early")
    return data[at], body, begin + size


def _name(body: bytes) -> tuple[str, bytes]:
    length, begin = leb(body, 0)
    return body[begin : begin + length].decode(), body[begin + length :]


def _custom(name: str, body: bytes) -> bytes:
    return section(CUSTOM_SECTION, unsigned(len(name)) + name.encode() + body)
