"""What one query's code generation shares: the module, the query and worker blocks, errors, constants, pipelines.

Operators never compute offsets by hand: they reserve fields (`query_field`, `worker_field`) and read them through the
`Pipeline` they generate code in. A `Pipeline` is one function under construction that the host calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from zerodb_compiler.codegen import abi, program
from zerodb_compiler.codegen.entries import define_entries, define_run
from zerodb_compiler.codegen.sqlvalues import PARTS, Dictionary, S
from zerodb_compiler.kernels.compiler import kernel
from zerodb_compiler.types import SqlType
from zerodb_compiler.wasm.module import Function, FunctionRef, Module
from zerodb_compiler.wasm.values import I32, Value, load

# Longest encoded expression that may simply be repeated (a local.get, a constant) instead of being kept in a local.
_REPEATABLE_BYTES = 3


class BlockLayout:
    """Hands out offsets in the query or worker block."""

    def __init__(self, first: int) -> None:
        self.size = first
        self._kept: list[tuple[int, int]] = []

    def reserve(self, size: int, align: int = 8, *, kept: bool = False) -> int:
        """`kept` fields are filled in by the host or outlive the rounds of a recursion; others are operators' state."""
        offset = -(-self.size // align) * align
        self.size = offset + size
        if kept:
            self._kept.append((offset, offset + size))
        return offset

    def state_since(self, mark: int) -> list[tuple[int, int]]:
        """The ranges of operators' state that were reserved from the size `mark` on."""
        ranges: list[tuple[int, int]] = []
        for start, end in self._kept:
            if start >= mark:
                if start > mark:
                    ranges.append((mark, start))
                mark = end
        return [*ranges, (mark, self.size)] if self.size > mark else ranges


class Context:
    """The state of generating one program."""

    def __init__(self, *, portable: bool = False) -> None:
        """`portable` code runs over a memory that is not shared, without instructions that not every engine has."""
        self.module = Module(wide_arithmetic=not portable)
        self.module.import_memory("zerodb", "memory", 1, None if portable else 65535)
        self.allocate = self.module.import_function("zerodb", "allocate", [I32, I32, I32], [I32])
        self.query = BlockLayout(abi.QUERY_FREE)
        self.worker = BlockLayout(abi.WORKER_FREE)
        self.errors: list[program.ErrorSite] = []
        self.entries: list[FunctionRef] = []
        self.pipelines: list[program.Pipeline] = []
        self.scans: list[program.Scan] = []
        self.ordered = False
        self.loops: list[program.Loop] = []
        self.externals: list[program.ExternalCall] = []
        self.common_tables: dict[int, object] = {}  # operators/common_table.CommonTable by number
        self.table_scan: Callable[..., None] | None = None  # how tables are read if not chunk by chunk: as `produce`
        self.recursions: dict[int, object] = {}  # operators/recursive.Recursion by number, while its step is generated
        self.row_counters: dict[int, int] = {}  # pipeline number -> worker field
        self._error_index: dict[program.ErrorSite, int] = {}
        self._dictionaries: dict[tuple[int, int], Dictionary] = {}
        self._codes: dict[tuple[Any, ...], program.DictionaryCode] = {}
        self._parameters: dict[int, program.ParameterSlot] = {}
        self._constants: dict[bytes, int] = {}
        self._worker_fields: dict[str, int] = {}
        self.names = 0

    def kernel(self, function: Any) -> FunctionRef:
        """The kernel (zerodb_compiler.kernels) as a function of this module."""
        return kernel(self.module, function)

    def entry(self, name: str) -> Function:
        """Opens a function that the host can call (entries.py)."""
        function = self.module.function(name, [("worker", I32), ("morsel", I32)], [I32])
        self.entries.append(function.ref)
        return function

    def fresh(self, stem: str) -> str:
        self.names += 1
        return f"{stem}_{self.names}"

    def worker_field(self, name: str) -> int:
        """Offset of a field of the worker, 0 at first, that all of the query's code shares; it is kept."""
        if name not in self._worker_fields:
            self._worker_fields[name] = self.worker.reserve(4, 4, kept=True)
        return self._worker_fields[name]

    @property
    def has_worker_fields(self) -> bool:
        return bool(self._worker_fields)

    # --- errors ----------------------------------------
    def error_status(self, sqlstate: str, message: str, position: int | None) -> int:
        """The status that generated code returns for this error."""
        site = program.ErrorSite(sqlstate, message, position)
        if site not in self._error_index:
            self._error_index[site] = len(self.errors)
            self.errors.append(site)
        return self._error_index[site] + 1

    # --- what the host fills in ----------------------------------------
    def parameter(self, index: int, type_: SqlType) -> int:
        """Offset of the parameter's slot."""
        if index not in self._parameters:
            offset = self.query.reserve(abi.PARAMETER_BYTES, kept=True)
            self._parameters[index] = program.ParameterSlot(index, type_, offset)
        slot = self._parameters[index]
        assert slot.type == type_, f"parameter {index} is {slot.type} and {type_}"
        return slot.offset

    def dictionary(self, table_id: int, ordinal: int, size: int) -> Dictionary:
        key = (table_id, ordinal)
        if key not in self._dictionaries:
            offset = self.query.reserve(abi.DICTIONARY_BYTES, kept=True)
            self._dictionaries[key] = Dictionary(table_id, ordinal, offset, size)
        return self._dictionaries[key]

    def dictionary_code(self, dictionary: Dictionary, constant: str | bytes | None, parameter: int | None) -> int:
        """Offset of the i32 code that the host looks up for a text."""
        key = (dictionary.table_id, dictionary.ordinal, constant, parameter)
        if key not in self._codes:
            self._codes[key] = program.DictionaryCode(
                dictionary.table_id, dictionary.ordinal, self.query.reserve(4, 4, kept=True), constant, parameter
            )
        return self._codes[key].offset

    def constant(self, data: bytes) -> int:
        """Offset of constant bytes in the query block (16-byte aligned)."""
        if data not in self._constants:
            self._constants[data] = self.query.reserve(len(data) + 16, 16, kept=True)
        return self._constants[data]

    # --- the result ----------------------------------------
    def finish(
        self, output: tuple[program.OutputColumn, ...], output_block_bytes: int, *, steps: bool = False
    ) -> program.Program:
        """The program; with `steps`, whole pipelines of it can be run in one call (entries.py)."""
        if steps:
            self.entries = define_entries(self.module, self.entries)
        else:
            define_run(self.module, self.entries)
        query_bytes = self.query.reserve(0, 16)
        worker_bytes = self.worker.reserve(0, 16)
        return program.Program(
            wasm=self.module.encode(),
            query_bytes=query_bytes,
            worker_bytes=worker_bytes,
            pipelines=tuple(self.pipelines),
            scans=tuple(self.scans),
            dictionaries=tuple(
                program.DictionarySlot(item.table_id, item.ordinal, item.slot) for item in self._dictionaries.values()
            ),
            dictionary_codes=tuple(self._codes.values()),
            parameters=tuple(self._parameters.values()),
            constants=tuple((offset, data) for data, offset in self._constants.items()),
            errors=tuple(self.errors),
            output=output,
            output_block_bytes=output_block_bytes,
            ordered=self.ordered,
            loops=tuple(self.loops),
            externals=tuple(self.externals),
            entries=tuple(entry.name for entry in self.entries),
        )


class Emitter:
    """Generates code in one function with the (worker, morsel) signature or a helper that has a `worker` parameter."""

    def __init__(self, context: Context, function: Function) -> None:
        self.context = context
        self.f = function
        self.worker: I32 = function.parameters[0]
        self.query: I32 = function.let(load("i32.load", self.worker, abi.WORKER_QUERY), "query")
        # In a pipeline: what its start function has to do. None where nothing can run beforehand.
        self.start_actions: list[Callable[[Emitter], None]] | None = None
        self.maps: dict[Any, Any] = {}  # dictionary maps of this pipeline, by condition

    # --- fields ----------------------------------------
    def query_i32(self, offset: int) -> I32:
        return load("i32.load", self.query, offset)

    def worker_i32(self, offset: int) -> I32:
        return load("i32.load", self.worker, offset)

    def set_query_i32(self, offset: int, value: I32) -> None:
        self.f.store("i32.store", self.query, value, offset)

    def set_worker_i32(self, offset: int, value: I32) -> None:
        self.f.store("i32.store", self.worker, value, offset)

    def constant_address(self, data: bytes) -> I32:
        """Address of constant bytes, readable 16 bytes past their end."""
        return self.query + self.context.constant(data)

    # --- status ----------------------------------------
    def fail(self, status: int) -> None:
        self.f.return_(I32.const(status))

    def fail_if(self, condition: I32, status: int) -> None:
        with self.f.if_(condition):
            self.fail(status)

    def error_if(self, condition: I32, sqlstate: str, message: str, position: int | None) -> None:
        self.fail_if(condition, self.context.error_status(sqlstate, message, position))

    def check_status(self, status: I32) -> None:
        """Passes a callee's status on if it is not OK."""
        kept = self.f.let(status, "status")
        with self.f.if_(kept):
            self.f.return_(kept)

    def check_interrupt(self) -> None:
        self.fail_if(self.query_i32(abi.QUERY_INTERRUPT), abi.STATUS_INTERRUPTED)

    # --- values ----------------------------------------
    def keep(self, value: Value | None, name: str = "") -> Any:
        """The value in a local, unless reading it again costs nothing."""
        if value is None or value.constant is not None or len(value.code) <= _REPEATABLE_BYTES:
            return value
        return self.f.let(value, name)

    def keep_value(self, value: S) -> S:
        """A SQL value whose parts may be read any number of times."""
        kept: dict[str, Any] = {}
        for name in (*PARTS[type(value)], "null"):
            part = getattr(value, name)
            local = self.keep(part, "null" if name == "null" else "")
            if local is not part:
                kept[name] = local
        return replace(value, **kept) if kept else value

    @contextmanager
    def only_if(self, condition: I32 | None) -> Iterator[None]:
        """Runs the body under a condition, or always where there is none."""
        if condition is None:
            yield
        else:
            with self.f.if_(condition):
                yield

    def allocate(self, size: I32, kind: int, name: str = "block") -> Any:
        """A block from the host, in a local; returns out-of-memory from the function if refused."""
        address = self.f.let(self.f.call(self.context.allocate, self.worker, size, I32.const(kind)), name)
        self.fail_if(address.is_zero(), abi.STATUS_OUT_OF_MEMORY)
        return address


Body = Callable[[Emitter], None]


def define(context: Context, name: str, body: Body) -> str:
    """A function (worker, morsel) -> status around `body` that the host can call; its name."""
    function = context.entry(name)
    body(Emitter(context, function))
    function.return_(I32.const(abi.STATUS_OK))
    return name
