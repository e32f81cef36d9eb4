"""Functions in core modules (LANGUAGE wasm_core): for hot loops, over a memory of their own.

A component's values cross the border one by one; here a batch of rows crosses as columns, which is one copy in and one
out. The module imports nothing and exports

    memory
    alloc(bytes: i32) -> i32              memory for columns, 16-byte aligned, for the instance's life; 0: there is none
    f(n: i32, in0: i32, ..., out: i32)    the function, over n rows; with or without a result (i32)
    error_message() -> i32                optional: the text (ended by a zero byte) of the error that f has answered

Every argument and the result is the address of a column of n values:

    boolean  u8, 0 or 1      smallint  i16      integer, date  i32      bigint, time, timestamp, timestamptz  i64
    real  f32                double precision  f64                      uuid  16 bytes
    text, bytea              two addresses: n + 1 offsets (i32, beginning with 0), and the bytes; of the result: where
                             to put the offsets, and where to put the address (i32) of the bytes, which are the
                             module's own and stay until the next call

A function that takes NULLs has one address more behind each column, the result's too: of its validity, a byte for each
row, 1 where there is a value. Which of the two a function is, the number of its parameters says. One without is
never called with a NULL, and its result is none.

A result of f other than 0 is an error: 1 + the number of the row it failed for (-1: of no one row).

Each instance runs in one thread at a time; there are as many as threads have called at once. One that trapped is thrown
away. Columns that a call got are valid until it returns.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import wasmtime

from zerodb.engine.result import arrow_type
from zerodb.functions import files
from zerodb.functions.body import FunctionError
from zerodb.functions.core_columns import Layout, layout_of
from zerodb.functions.core_instance import CoreInstance, core_engine
from zerodb.functions.declaration import Declaration, Exported
from zerodb_compiler.errors import error_for
from zerodb_compiler.sql.external import ExternalFunction

if TYPE_CHECKING:
    import pyarrow as pa

    from zerodb.view import View

BATCH_ROWS = 16_384  # a few columns of so many rows lie in a core's second cache
_HINT = "see docs/functions.md: f(n: i32, a column's address for each argument, the result's address)"


def exported(content: bytes, declared: Declaration) -> Exported:
    """What the module exports for a declaration. 42P13 if the module is not of the form above, 42804 if the export's
    parameters are not those that the declared types need."""
    if declared.kind is not None:
        raise error_for("42P13", f"LANGUAGE wasm_core makes scalar functions, not {declared.kind} functions")
    module = _module(content)
    _check_module(module)
    export = declared.export or declared.name
    layouts = [layout_of(type_) for _, type_ in (*declared.arguments, *declared.results)]
    found = {item.name: item.type for item in module.exports}.get(export)
    if not isinstance(found, wasmtime.FuncType):
        names = sorted(item.name for item in module.exports if _is_function(item))
        hint = f"it exports {', '.join(names)}" if names else "it exports no function that could be one"
        raise error_for("42883", f'the module exports no function "{export}"', hint=hint)
    nulls = _takes_nulls(found, layouts)
    if nulls is None:
        wanted = _parameters(layouts, nulls=False), _parameters(layouts, nulls=True)
        texts = " or ".join(f"({', '.join(['i32'] * count)})" for count in wanted)
        message = (
            f'function {declared.text} needs an export with parameters {texts}, but "{export}" has {_shown(found)}'
        )
        raise error_for("42804", message, hint=_HINT)
    if not nulls and declared.strict is False:
        hint = "without CALLED ON NULL INPUT its result is NULL where an argument is"
        raise error_for("42P13", f"function {declared.name} takes no NULLs: its export has no validities", hint=hint)
    return Exported(export, strict=bool(declared.strict) or not nulls)


def _check_module(module: wasmtime.Module) -> None:
    imported = next(iter(module.imports), None)
    if imported is not None:
        message = f'the module imports "{imported.module}.{imported.name}": a core function imports nothing'
        raise error_for("42P13", message, hint="a component (LANGUAGE wasm) may import interfaces")
    types = {item.name: item.type for item in module.exports}
    memory = types.get("memory")
    if not isinstance(memory, wasmtime.MemoryType) or memory.is_64 or memory.is_shared:
        raise error_for("42P13", 'the module exports no memory (32-bit, not shared) named "memory"', hint=_HINT)
    alloc = types.get("alloc")
    if not isinstance(alloc, wasmtime.FuncType) or (_kinds(alloc.params), _kinds(alloc.results)) != (["i32"], ["i32"]):
        raise error_for("42P13", "the module exports no function alloc(bytes: i32) -> i32", hint=_HINT)


def _module(content: bytes) -> wasmtime.Module:
    try:
        return wasmtime.Module(core_engine(), content)
    except wasmtime.WasmtimeError as error:
        raise error_for("42P13", f"the module is not valid: {files.first_line(error)}") from None


def _kinds(types: Sequence[Any]) -> list[str]:
    return [str(type_) for type_ in types]


def _is_function(item: Any) -> bool:
    return isinstance(item.type, wasmtime.FuncType) and item.name not in ("alloc", "error_message", "_initialize")


def _shown(found: wasmtime.FuncType) -> str:
    results = _kinds(found.results)
    return f"({', '.join(_kinds(found.params))}){' -> ' + ', '.join(results) if results else ''}"


def _parameters(layouts: Sequence[Layout], *, nulls: bool) -> int:
    return 1 + sum(layout.addresses + nulls for layout in layouts)


def _takes_nulls(found: wasmtime.FuncType, layouts: Sequence[Layout]) -> bool | None:
    """Whether the export takes validities; None if it fits neither way."""
    params, results = _kinds(found.params), _kinds(found.results)
    if set(params) != {"i32"} or results not in ([], ["i32"]):
        return None
    return next((nulls for nulls in (False, True) if len(params) == _parameters(layouts, nulls=nulls)), None)


# --- running ----------------------------------------------------------------------------------------------------------


def open_body(view: View, function: ExternalFunction, data: dict[str, Any]) -> CoreBody:
    """The body of a stored function."""
    assert view.session is not None
    content = view.session._database.storage.module(data["digest"])
    if content is None:
        raise error_for("42883", f"function {function.signature} was dropped meanwhile")
    return CoreBody(_compiled(content), function, data["export"])


@cache
def _compiled_lock() -> threading.Lock:
    return threading.Lock()


_compiled_modules: dict[bytes, wasmtime.Module] = {}
_MODULES_MAX = 64


def _compiled(content: bytes) -> wasmtime.Module:
    """The module's code; that of several functions in one module is the same."""
    with _compiled_lock():
        found = _compiled_modules.pop(content, None) or _module(content)
        _compiled_modules[content] = found
        while len(_compiled_modules) > _MODULES_MAX:
            del _compiled_modules[next(iter(_compiled_modules))]
        return found


class CoreBody:
    """A FunctionBody over instances of one module."""

    def __init__(self, module: wasmtime.Module, function: ExternalFunction, export: str) -> None:
        self._module, self._export = module, export
        self._name = function.signature
        self._arguments = [layout_of(type_) for type_ in function.arguments]
        self._result = layout_of(function.result)
        self._arrow = arrow_type(function.result)
        exported_type = next(item.type for item in module.exports if item.name == export)
        assert isinstance(exported_type, wasmtime.FuncType)
        found = _takes_nulls(exported_type, [*self._arguments, self._result])
        assert found is not None, "was checked when it was made"
        self._nulls = found
        self._idle: list[CoreInstance] = []
        self._lock = threading.Lock()
        self._closed = False

    def call(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array:
        import pyarrow as pa

        instance = self._take()
        pieces: list[pa.Array] = []
        for start in range(0, rows, BATCH_ROWS) or (0,):
            count = min(BATCH_ROWS, rows - start)
            try:
                piece = instance.run([argument.slice(start, count) for argument in arguments], count)
            except FunctionError as error:
                error.row = None if error.row is None else error.row + start
                if instance.is_sound:
                    self._give_back(instance)
                raise
            pieces.append(piece)
        self._give_back(instance)
        return pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)

    def _take(self) -> CoreInstance:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return CoreInstance(
            self._module, self._export, self._name, self._arguments, self._result, self._arrow, nulls=self._nulls
        )

    def _give_back(self, instance: CoreInstance) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(instance)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._idle.clear()
