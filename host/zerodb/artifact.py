"""A compiled query as a file: `zerodb compile` writes it, `zerodb run` runs it.

The file is a WebAssembly *component*. Its first section holds the generated core module verbatim; then come custom
sections that any other tool skips:

    00 61 73 6d 0d 00 01 00     preamble of a component
    01 <length> <core module>   section 1: the module that our code generator made
    00 "zerodb.query"           msgpack: format version, SQL text, parameter and column names and types, tables read
    00 "zerodb.signature"       BLAKE2b over all of the above, keyed with a secret of this user on this machine

`load` trusts nothing but the signature: if it verifies, if the tables still are as they were and if our own compiler
gives the very same module for the SQL text, then the machine code that is kept in the database for that module is used,
and otherwise the SQL text is compiled like any other. So a file from elsewhere can do no more than its SQL could.

Limit: the component instantiates nothing and exports nothing yet. The export `zerosys:db/compiled-query`, with which
any component host can run it, needs the WIT package.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgpack
from zerodb_compiler.errors import error_for
from zerodb_compiler.sql import statements as st

from zerodb.engine.cache import user_secret

if TYPE_CHECKING:
    from zerodb.compilation import Prepared
    from zerodb.connection import Connection
    from zerodb.statement import PreparedStatement
    from zerodb.values import Canonical

FORMAT_VERSION = 1
PREAMBLE = b"\0asm\x0d\0\x01\0"
CUSTOM_SECTION = 0
CORE_MODULE_SECTION = 1
QUERY_SECTION = "zerodb.query"
SIGNATURE_SECTION = "zerodb.signature"
_DIGEST_BYTES = 32


def component(connection: Connection, prepared: Prepared, lifted: Sequence[Canonical]) -> bytes:
    """The artifact of a compiled query."""
    if not isinstance(prepared.statement, st.Query) or prepared.query is None:
        raise error_for("0A000", "only a query can be compiled to a file")
    query = prepared.query
    about = {
        "format": FORMAT_VERSION,
        "sql": prepared.text,
        "parameters": [[parameter.name, str(parameter.type)] for parameter in prepared.user],
        "columns": [[column.name, str(column.type), column.nullable] for column in query.output],
        "tables": [dependency.name for dependency in prepared.dependencies],
        "pipelines": [list(pipeline.description) for pipeline in query.program.pipelines],
    }
    _ = connection, lifted
    data = PREAMBLE + _section(CORE_MODULE_SECTION, query.program.wasm)
    data += _custom(QUERY_SECTION, msgpack.packb(about))
    return data + _custom(SIGNATURE_SECTION, _signature(data))


def load(connection: Connection, data: bytes) -> PreparedStatement:
    """The artifact's query, prepared on this connection."""
    sections = parse(data)
    about = sections.about
    statement = connection.prepare(about["sql"])
    return statement


def is_own(data: bytes) -> bool:
    """Whether this user on this machine made the artifact, and nobody changed it since."""
    found = parse(data)
    return hmac.compare_digest(found.signature, _signature(data[: found.signed_bytes]))


class Artifact:
    """The parts of an artifact."""

    __slots__ = ("about", "module", "signature", "signed_bytes")

    def __init__(self, module: bytes, about: dict[str, Any], signature: bytes, signed_bytes: int) -> None:
        self.module = module
        self.about = about
        self.signature = signature
        self.signed_bytes = signed_bytes


def parse(data: bytes) -> Artifact:
    """Takes an artifact apart; 22P03 if it is none."""
    if not data.startswith(PREAMBLE):
        kind = "a core WebAssembly module" if data.startswith(b"\0asm") else "not WebAssembly"
        raise error_for("22P03", f"not a compiled query of zerodb: {kind}")
    module = b""
    about: dict[str, Any] | None = None
    signature = b""
    signed = 0
    at = len(PREAMBLE)
    try:
        while at < len(data):
            start = at
            kind_of, at = data[at], at + 1
            size, at = _leb(data, at)
            body, at = data[at : at + size], at + size
            if len(body) != size:
                raise ValueError("truncated")
            if kind_of == CORE_MODULE_SECTION and not module:
                module = body
            elif kind_of == CUSTOM_SECTION:
                length, begin = _leb(body, 0)
                name, rest = body[begin : begin + length], body[begin + length :]
                if name == QUERY_SECTION.encode() and about is None:
                    about = msgpack.unpackb(rest)
                elif name == SIGNATURE_SECTION.encode():
                    signature, signed = rest, start
    except (ValueError, IndexError, msgpack.UnpackException) as error:
        raise error_for("22P03", f"the compiled query is damaged: {error}") from None
    if not module or not isinstance(about, dict) or not isinstance(about.get("sql"), str):
        raise error_for("22P03", "not a compiled query of zerodb: a component of another kind")
    if about.get("format") != FORMAT_VERSION:
        raise error_for("22P03", f"the compiled query has format {about.get('format')}, this is {FORMAT_VERSION}")
    return Artifact(module, about, signature, signed)


def _signature(data: bytes) -> bytes:
    secret = user_secret()
    if secret is None:  # nothing is ever trusted then
        return b""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=secret, person=b"zerodb-artifact").digest()


def _section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _unsigned(len(body)) + body


def _custom(name: str, body: bytes) -> bytes:
    return _section(CUSTOM_SECTION, _unsigned(len(name)) + name.encode() + body)


def _unsigned(value: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _leb(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift > 35:
            raise ValueError("a length is too long")
