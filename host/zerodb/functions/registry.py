"""The external functions of one open database: which there are, and their bodies.

Two kinds are found by one name. *Stored* functions are catalog objects of the kind "function", named by their
signature, f(bigint,text), because names may be overloaded; their data is plain:

    {"id", "version", "name", "kind", "arguments": [[name, type]], "results": [[name, type]], "volatility", "strict",
     "language": "wasm" | "wasm_core" | "sql" | "plpgsql", "file", "export", "digest"}

(those of SQL and PL/pgSQL have their body's text instead, definition/bodies.py).

*Python callables* are known to this process only and go before stored ones of the same arguments in the schema.

A body is opened when a statement first needs it, and kept. Of more than MAX_BODIES the oldest stored ones are
forgotten; like those of replaced functions they go with the last statement that runs them.
"""

from __future__ import annotations

import importlib
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zerodb_compiler.errors import error_for
from zerodb_compiler.sql.external import VOLATILE, ExternalFunction, without_doubles
from zerodb_storage.catalog import type_from

if TYPE_CHECKING:
    from zerodb.view import View

KIND = "function"
MAX_BODIES = 256

# What opens a stored function, by language: `open_body(view, function, data)` of these modules gives its body.
LANGUAGES = {
    "wasm": "zerodb.functions.component_functions",
    "wasm_core": "zerodb.functions.core_functions",
    "sql": "zerodb.functions.sql_functions",
    "plpgsql": "zerodb.functions.plpgsql_functions",
}

_INFOS_MAX = 1000
_infos: dict[int, tuple[Any, ExternalFunction]] = {}  # by the identity of the data, which is kept with it


def function_info(schema: str, data: dict[str, Any]) -> ExternalFunction:
    """What the catalog keeps of a stored function; the same object for the same data, which never changes in place."""
    known = _infos.get(id(data))
    if known is not None and known[0] is data and known[1].schema == schema:
        return known[1]
    if len(_infos) >= _INFOS_MAX:
        _infos.clear()
    info = ExternalFunction(
        id=data["id"],
        version=data["version"],
        schema=schema,
        name=data["name"],
        kind=data["kind"],
        argument_names=tuple(argument for argument, _ in data["arguments"]),
        arguments=tuple(type_from(record) for _, record in data["arguments"]),
        results=tuple((result, type_from(record)) for result, record in data["results"]),
        volatility=data["volatility"],
        strict=data["strict"],
        language=data["language"],
        source=data.get("source", ""),
        void=data.get("void", False),
        named_columns=data.get("columns", False),
        defaults=tuple(data.get("defaults", ())),
        outwards=tuple((mode, name, place) for mode, name, place in data.get("outwards", ())),
    )
    _infos[id(data)] = data, info
    return info


def calls_volatile(view: View, expression: str) -> bool:
    """Whether the SQL text of an expression may call a volatile function that is not built in."""
    from sqlglot import exp

    from zerodb_compiler.sql.binder_functions import function_name
    from zerodb_compiler.sql.parse import parse

    tree = parse(f"select {expression}")[0].tree
    assert tree is not None
    names = {function_name(call) for call in tree.find_all(exp.Anonymous)}
    return any(found.volatility == VOLATILE for name in names for found in view.functions(name))


class Functions:
    """Thread-safe. `functions` is what the catalog protocol asks for; `body` what a call runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(-1, -1)
        self._versions = itertools.count(1)
        self._python: dict[str, list[ExternalFunction]] = {}  # by name
        self._bodies: dict[tuple[Any, ...], Any] = {}  # by id and version, generic ones by their arguments, too
        self._stored: tuple[Any, dict[str, list[ExternalFunction]]] = None, {}  # of the catalog last asked about

    # --- finding ------------------------------------------------------------------------------------------------------
    def named(self, view: View, name: str, schema: str | None) -> Sequence[ExternalFunction]:
        """Those of the schema, or of the search path without doubles."""
        catalog = view.snapshot.catalog
        if not catalog and not self._python:
            return ()
        stored = self.stored(catalog).get(name, ()) if catalog else ()
        own = self._python.get(name, ())
        if not stored and not own:
            return ()
        places = view.path if schema is None else (view.schema_named(schema),)
        return without_doubles(
            [function for function in group if function.schema == place] for place in places for group in (own, stored)
        )

    def stored(self, catalog: Mapping[tuple[str, str, str], Any]) -> dict[str, list[ExternalFunction]]:
        """The stored functions of a snapshot's catalog, by name."""
        kept, found = self._stored
        if kept is catalog:
            return found
        found = {}
        for (kind, schema, _), data in catalog.items():
            if kind == KIND:
                info = function_info(schema, data)
                found.setdefault(info.name, []).append(info)
        self._stored = catalog, found
        return found

    def all_python(self) -> list[ExternalFunction]:
        """The Python callables, for listings."""
        with self._lock:
            return [function for group in self._python.values() for function in group]

    # --- Python callables ---------------------------------------------------------------------------------------------
    def add(self, make: Callable[[int, int], ExternalFunction], body: Any, *, replace: bool) -> ExternalFunction:
        """Makes a function known whose `make(id, version)` gives its signature. 42723 if there is one with the same
        arguments, unless it is to be replaced: then it keeps the id."""
        with self._lock:
            function = make(next(self._ids), next(self._versions))
            same = self._same(function)
            if same is not None and not replace:
                raise error_for("42723", f"function {function.signature} already exists with same argument types")
            if same is not None:
                function = make(same.id, function.version)
                del self._bodies[same.id, same.version]
            group = [other for other in self._python.get(function.name, ()) if other is not same]
            self._bodies[function.id, function.version] = body
            self._python = {**self._python, function.name: [*group, function]}
            return function

    def _same(self, function: ExternalFunction) -> ExternalFunction | None:
        wanted = function.schema, function.arguments
        group = self._python.get(function.name, ())
        return next((other for other in group if (other.schema, other.arguments) == wanted), None)

    def remove(self, functions: Sequence[ExternalFunction]) -> None:
        """Forgets these callables. What runs goes on with them."""
        with self._lock:
            gone = {function.id for function in functions}
            for function in functions:
                self._bodies.pop((function.id, function.version), None)
            python = {
                name: [function for function in group if function.id not in gone]
                for name, group in self._python.items()
            }
            self._python = {name: group for name, group in python.items() if group}

    # --- bodies -------------------------------------------------------------------------------------------------------
    def body(self, view: View, function: ExternalFunction) -> Any:
        """What runs when the function is called: a FunctionBody for a scalar one."""
        own = function.id, function.version
        key = (*own, function.arguments) if function.generic else own
        found = self._bodies.get(key)
        if found is not None:
            return found
        data = next(
            (
                data
                for (kind, schema, signature), data in view.snapshot.catalog.items()
                if kind == KIND and schema == function.schema and (data["id"], data["version"]) == own
            ),
            None,
        )
        if data is None:
            raise error_for("42883", f"function {function.signature} does not exist")
        opened = importlib.import_module(LANGUAGES[data["language"]]).open_body(view, function, data)
        with self._lock:
            first = self._bodies.setdefault(key, opened)
            stored = [other for other in self._bodies if other[0] > 0]
            for other in stored[: max(len(stored) - MAX_BODIES, 0)]:
                del self._bodies[other]
        if first is not opened:
            opened.close()
        return first

    def close(self) -> None:
        """Closes all bodies."""
        with self._lock:
            bodies = list(self._bodies.values())
            self._bodies.clear()
            self._python = {}
        for body in bodies:
            body.close()
