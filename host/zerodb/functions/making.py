"""`Connection.create_function` and `create_functions` over files of WebAssembly: CREATE FUNCTION without the SQL, with
the types that a component says itself.

A core module says numbers of parameters only, so there the types have to be given.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zerodb.functions import files
from zerodb.row_expressions import quoted
from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.types import SqlType

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.functions.component_types import Shape

File = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Found:
    """A function that a component has: its name for SQL, its export, and the types that it says itself."""

    name: str
    export: str
    kind: str
    arguments: tuple[tuple[str, SqlType], ...]
    results: tuple[tuple[str, SqlType], ...]


def create_from_file(
    connection: Connection,
    name: str,
    file: File,
    parameters: Sequence[str] | None,
    returns: str | None,
    *,
    volatility: str | None,
    strict: bool | None,
    replace: bool,
    export: str | None,
) -> None:
    """Makes one function. `name` may have a schema."""
    path = os.fspath(file)
    content = files.read(path)
    language = files.WASM if not _is_core(content) else files.WASM_CORE
    if parameters is not None and returns is not None:
        arguments, result = ", ".join(parameters), returns
    elif language == files.WASM_CORE:
        hint = "a core module does not say them itself"
        raise ProgrammingError(f"function {name}: name the types of its parameters and result", hint=hint)
    else:
        wanted = export or name.rpartition(".")[2]
        found = _named(functions_of(connection, content), wanted)
        arguments, result = _declared(found.arguments), _result(found)
        export = export or found.export
    options = [] if volatility is None else [volatility]
    options += [] if strict is None else ["strict" if strict else "called on null input"]
    _create(connection, _quoted_name(name), arguments, result, language, path, export, options, replace=replace)


def create_from_component(connection: Connection, file: File, schema: str | None, *, replace: bool) -> list[str]:
    """Makes a function of each export that SQL can call; their names."""
    path = os.fspath(file)
    content = files.read(path)
    if _is_core(content):
        raise ProgrammingError(f'"{path}" is a core module: its functions are made one by one, with their types')
    found = functions_of(connection, content)
    if not found:
        raise error_for("42883", f'"{path}" has no functions that SQL can call')
    with contextlib.nullcontext() if connection.in_transaction else connection.transaction():
        for function in found:
            name = quoted(function.name) if schema is None else f"{quoted(schema)}.{quoted(function.name)}"
            arguments, result = _declared(function.arguments), _result(function)
            _create(connection, name, arguments, result, files.WASM, path, function.export, [], replace=replace)
    return [function.name for function in found]


def _create(
    connection: Connection,
    name: str,
    arguments: str,
    result: str,
    language: str,
    path: str,
    export: str | None,
    options: Sequence[str],
    *,
    replace: bool,
) -> None:
    head = "create or replace function" if replace else "create function"
    source = _literal(path) + (f", {_literal(export)}" if export is not None else "")
    connection.execute(
        f"{head} {name}({arguments}) returns {result} language {language} as {source} {' '.join(options)}"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted_name(name: str) -> str:
    return ".".join(quoted(part) for part in name.lower().split("."))


def _is_core(content: bytes) -> bool:
    return content[4:8] == b"\x01\x00\x00\x00"


def _declared(columns: Sequence[tuple[str, SqlType]]) -> str:
    return ", ".join(f"{quoted(name)} {type_}" if name else str(type_) for name, type_ in columns)


def _result(found: Found) -> str:
    return f"table ({_declared(found.results)})" if found.kind == "table" else str(found.results[0][1])


def _named(found: Sequence[Found], wanted: str) -> Found:
    from zerodb.functions.component_exports import wit_name

    for function in found:
        if wanted in (function.export, function.name) or wit_name(wanted) == wit_name(function.name):
            return function
    if len(found) == 1:
        return found[0]
    names = ", ".join(function.name for function in found)
    hint = f"it has {names}; say which: export=" if names else None
    raise error_for("42883", f'the component has no function "{wanted}"', hint=hint)


def functions_of(connection: Connection, content: bytes) -> list[Found]:
    """All functions of a component that SQL can call."""
    from zerodb.components.engine import component_engine
    from zerodb.functions import component_exports as exports
    from zerodb.functions.component_described import signatures
    from zerodb.functions.component_pool import pool_for

    engine = component_engine()
    component = engine.load(content, "component")
    found: list[Found] = []
    for export in exports.own_exports(component, engine.engine):
        shape = _likely(export.shapes)
        if shape is not None:
            found.append(_found(export, shape))
    interfaces = exports.interfaces(component, engine.engine)
    for kind, interface in exports.DESCRIBING.items():
        if interface in interfaces:
            found += [
                Found(exports.sql_name(one.name), one.export, kind, one.arguments, one.results)
                for one in signatures(pool_for(connection._database, content), kind, interface)
            ]
    return found


def _likely(shapes: Sequence[Shape]) -> Shape | None:
    """Of a function over list<u8> alone, the one over single byteas: batches of such small numbers are rare."""
    from zerodb.components.wit_types import Primitive

    for shape in shapes:
        slots = [slot for _, slot in shape.arguments] + [shape.result]
        doubtful = shape.batch and any(slot.type == Primitive("u8") and not slot.nullable for slot in slots)
        if not doubtful or len(shapes) == 1:
            return shape
    return None


def _found(export: object, shape: Shape) -> Found:
    from zerodb.functions.component_exports import OwnExport, sql_name
    from zerodb.functions.component_types import natural

    assert isinstance(export, OwnExport)
    name = sql_name(export.name)
    arguments = []
    for argument, slot in shape.arguments:
        type_ = natural(slot.type)
        assert type_ is not None, "else it were no shape"
        arguments.append((sql_name(argument), type_))
    result = natural(shape.result.type)
    assert result is not None
    return Found(name, export.path, "scalar", tuple(arguments), ((name, result),))
