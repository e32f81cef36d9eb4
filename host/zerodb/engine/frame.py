"""A frame: the query block, worker blocks and first memory blocks of one execution, kept for the next one.

A hot statement runs in the same frame again and again: everything that depends on the program and the table versions
only (constants, descriptor and dictionary addresses, codes of constant texts, worker headers) is one template that is
copied over the blocks, which zeroes the rest too. What is left per execution are the parameters.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from zerodb.engine.bindings import Bindings, DictionaryBinding, TableBinding
from zerodb.engine.memory import Memory
from zerodb.engine.pool import out_of_memory
from zerodb.engine.steps import STEPS_BYTES
from zerodb.engine.tables import Snapshot, TableVersion
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.program import Program
from zerodb_compiler.derived import derive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zerodb.engine.external import ExternalCalls

Value = int | float | str | bytes | None

# The largest arena, scratch or text block that a frame keeps between executions.
MAX_KEPT_BYTES = 1 << 20
_MASK64 = (1 << 64) - 1


def _no_drain(_worker: WorkerState) -> None:
    raise AssertionError("output outside an execution")


class WorkerState:
    """The host's side of one worker block."""

    __slots__ = (
        "address",
        "arena",
        "dirty",
        "failure",
        "frame",
        "index",
        "kept_arena",
        "kept_scratch",
        "offset",
        "old_scratch",
        "output",
        "scratch",
        "spare",
    )

    def __init__(self, index: int, offset: int, address: int) -> None:
        self.index, self.offset, self.address = index, offset, address
        self.arena: list[int] = []
        self.scratch = 0
        self.old_scratch: list[int] = []
        self.output: set[int] = set()
        self.kept_arena = self.kept_scratch = self.spare = 0
        self.dirty = False
        self.failure: BaseException | None = None
        self.frame: Frame | None = None


class Frame:
    """Memory for one execution at a time of `program` with `workers` workers over the tables of one snapshot."""

    def __init__(self, program: Program, memory: Memory, bindings: Bindings, snapshot: Snapshot, workers: int) -> None:
        self.program, self._memory = program, memory
        self._bindings = bindings
        size = program.query_bytes + workers * program.worker_bytes
        self.steps = 0  # the address of a list of steps (steps.py)
        self.address = memory.allocate(size + (STEPS_BYTES if workers == 1 and program.can_step else 0))
        if not self.address:
            raise out_of_memory(memory)
        if workers == 1 and program.can_step:
            self.steps = self.address + size
        first = self.address + program.query_bytes
        self.workers = tuple(
            WorkerState(i, program.query_bytes + i * program.worker_bytes, first + i * program.worker_bytes)
            for i in range(workers)
        )
        self.home: list[Frame] = []  # where an idle frame waits
        # Copies a worker's finished output out; set by the run in this frame.
        self.drain: Callable[[WorkerState], None] = _no_drain
        self.externals: ExternalCalls | None = None  # of the execution
        self._text, self._text_bytes = 0, 0
        self._template = bytearray(size)
        self.scans: tuple[TableBinding, ...] = ()
        self._versions: tuple[tuple[str, TableVersion], ...] = ()
        self._dictionaries: tuple[DictionaryBinding, ...] = ()
        try:
            self._bind(snapshot)
            self._fill_template()
        except BaseException:
            bindings.leave(self.bound)
            self.close()
            raise

    @property
    def bound(self) -> tuple[TableBinding | DictionaryBinding, ...]:
        return (*self.scans, *self._dictionaries)

    def fits(self, snapshot: Snapshot) -> bool:
        """Whether the frame still is right for the snapshot; if so its bindings have one user more."""
        tables = snapshot.tables
        for name, version in self._versions:
            if tables.get(name) is not version:
                return False
        return self._bindings.use(self.scans, self._versions, self._dictionaries)

    def rebind(self, snapshot: Snapshot) -> None:
        """Makes a frame that no execution uses right for another snapshot, over tables of the same layouts; its
        bindings have one user more."""
        self.scans, self._versions, self._dictionaries = (), (), ()
        try:
            self._bind(snapshot)
        except BaseException:
            self._bindings.leave(self.bound)
            raise
        self._put_bindings()

    def _bind(self, snapshot: Snapshot) -> None:
        program, names = self.program, {scan.table_id: scan.table_name for scan in self.program.scans}
        for scan in program.scans:
            version = snapshot.tables[scan.table_name]
            assert version.id == scan.table_id, f"table {scan.table_name} is another one than at compilation"
            self.scans += (self._bindings.table(version, scan.ordinals),)
            self._versions += ((scan.table_name, version),)
        for slot in program.dictionaries:
            version = snapshot.tables[names[slot.table_id]]
            self._dictionaries += (self._bindings.dictionary(version, slot.ordinal),)
        self._parameter_codes = []
        for code in program.dictionary_codes:
            dictionary = snapshot.tables[names[code.table_id]].dictionaries[code.ordinal]
            if code.parameter is None:
                assert code.constant is not None
                found = dictionary.code_of(code.constant)
                self._put(code.offset, -1 if found is None else found)
            else:
                self._parameter_codes.append((code.offset >> 2, code.parameter, dictionary))

    def _put(self, offset: int, value: int) -> None:
        self._template[offset : offset + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")

    def _fill_template(self) -> None:
        program = self.program
        for offset, data in program.constants:
            self._template[offset : offset + len(data)] = data
        self._put(abi.QUERY_WORKERS, len(self.workers))
        self._put_bindings()
        for worker in self.workers:
            self._put(worker.offset + abi.WORKER_QUERY, self.address)
            self._put(worker.offset + abi.WORKER_INDEX, worker.index)
        for worker, following in itertools.pairwise(self.workers):
            self._put(worker.offset + abi.WORKER_NEXT, following.address)
            if worker.index + 1 < len(self.workers):
                self._put(worker.offset + abi.WORKER_NEXT, self.workers[worker.index + 1].address)
        if program.output and program.output_block_bytes:
            self._give_spare(self.workers[0])

    def _put_bindings(self) -> None:
        program = self.program
        for scan, binding in zip(program.scans, self.scans, strict=True):
            self._put(scan.slot, binding.address)
        for slot, bound in zip(program.dictionaries, self._dictionaries, strict=True):
            self._put(slot.offset + abi.DICTIONARY_ADDRESS, bound.address)
            self._put(slot.offset + abi.DICTIONARY_SIZE, bound.size)

    def _give_spare(self, worker: WorkerState) -> None:
        worker.spare = self._memory.allocate(self.program.output_block_bytes)
        self._put(worker.offset + abi.WORKER_OUTPUT_SPARE, worker.spare)
        self._put(worker.offset + abi.WORKER_OUTPUT_SPARE_BYTES, self.program.output_block_bytes if worker.spare else 0)

    def reset(self, parameters: Sequence[Value]) -> None:
        """Makes the blocks ready for an execution with these parameters (canonical values, see types.py)."""
        memory, address = self._memory, self.address
        memory.bytes[address : address + len(self._template)] = self._template
        longs, texts = memory.longs, None
        for slot in self.program.parameters:
            value = parameters[slot.index]
            place = (address + slot.offset) >> 3
            if value is None:
                longs[place] = 1
            elif slot.type.is_discrete:
                assert isinstance(value, int)
                if -(1 << 63) <= value < 1 << 63:
                    longs[place + 1] = value
                    longs[place + 2] = -1 if value < 0 else 0
                else:
                    low = value & _MASK64
                    longs[place + 1] = low - (1 << 64) if low >> 63 else low
                    longs[place + 2] = value >> 64
            elif slot.type.is_float:
                assert isinstance(value, int | float)
                memory.doubles[place + 1] = value
            elif slot.type.is_variable:
                assert isinstance(value, str | bytes)
                texts = texts or []
                texts.append((place, value.encode() if isinstance(value, str) else value))
        if texts:
            self._write_texts(texts)
        base = address >> 2
        for offset, index, dictionary in self._parameter_codes:
            text = parameters[index]
            code = dictionary.code_of(text) if isinstance(text, str | bytes) else None
            memory.words[base + offset] = 0xFFFFFFFF if code is None else code

    def _write_texts(self, texts: list[tuple[int, bytes]]) -> None:
        memory = self._memory
        needed = sum(len(text) for _, text in texts)
        if needed > self._text_bytes:
            if self._text:
                memory.free(self._text)
                self._text = self._text_bytes = 0
            size = max(needed, 4096)
            self._text = memory.allocate(size)
            if not self._text:
                raise out_of_memory(memory)
            self._text_bytes = size
        position = self._text
        for place, text in texts:
            memory.bytes[position : position + len(text)] = text
            memory.longs[place + 1] = 0
            memory.words[2 * (place + 1)] = position
            memory.words[2 * (place + 1) + 1] = len(text)
            position += len(text)

    def allocate(self, worker: WorkerState, size: int, kind: int) -> int:
        """The import ("zerodb", "allocate") for a worker of this frame."""
        memory = self._memory
        if kind == abi.ALLOCATE_OUTPUT:
            return self._allocate_output(worker, size)
        if kind == abi.ALLOCATE_DERIVED:
            return self._derive(worker, size)
        if kind == abi.ALLOCATE_EXTERNAL:
            assert self.externals is not None
            return self.externals.call(worker, size)
        if kind == abi.ALLOCATE_RANDOM:
            return secrets.randbits(31)
        address = memory.allocate(size)
        if not address:
            return 0
        if kind == abi.ALLOCATE_ARENA:
            worker.arena.append(address)
        else:
            if worker.scratch:
                # Texts in the old block may still be in use until the morsel ends.
                worker.old_scratch.append(worker.scratch)
                worker.dirty = True
            worker.scratch = address
        return address

    def _derive(self, worker: WorkerState, number: int) -> int:
        """The program that the compiler makes of the text the worker names; what it raises is the query's error."""
        memory = self._memory
        place = (worker.address + abi.WORKER_ERROR_TEXT) >> 2
        start, length = memory.words[place : place + 2]
        program = derive(number, bytes(memory.bytes[start : start + length]).decode())
        address = memory.allocate(len(program) + 16)
        if address:
            worker.arena.append(address)
            memory.bytes[address : address + len(program)] = program
        return address

    def _allocate_output(self, worker: WorkerState, size: int) -> int:
        """Code asks for a block when those before it are complete: they are copied out now, so that a morsel of any
        output needs a block or two; the spare block then comes round again."""
        memory = self._memory
        if memory.words[(worker.address + abi.WORKER_OUTPUT_FIRST) >> 2]:
            self.drain(worker)
        if size <= self.program.output_block_bytes:
            if not worker.spare:
                self._give_spare(worker)
            if worker.spare:
                memory.words[(worker.address + abi.WORKER_OUTPUT_SPARE) >> 2] = 0
                return worker.spare
        address = memory.allocate(size)
        if address:
            worker.output.add(address)
            worker.dirty = True
        return address

    def finish(self) -> None:
        """Frees what the execution allocated, but for a block or two that the next one will want, and the bindings."""
        memory = self._memory
        self.drain, self.externals = _no_drain, None
        for worker in self.workers:
            if worker.output or worker.old_scratch:
                for address in (*worker.output, *worker.old_scratch):
                    memory.free(address)
                worker.output.clear()
                worker.old_scratch.clear()
            if worker.arena:
                self._keep_arena(worker)
            if worker.scratch != worker.kept_scratch:
                self._keep_scratch(worker)
            worker.dirty = False
            worker.failure = None
        if self._text_bytes > MAX_KEPT_BYTES:
            memory.free(self._text)
            self._text = self._text_bytes = 0
        self._bindings.leave(self.bound)

    def _keep_arena(self, worker: WorkerState) -> None:
        memory = self._memory
        for address in worker.arena:
            size = memory.size_of(address)
            if not worker.kept_arena and size <= MAX_KEPT_BYTES:
                worker.kept_arena = address
                self._put(worker.offset + abi.WORKER_ARENA_NEXT, address)
                self._put(worker.offset + abi.WORKER_ARENA_END, address + size - 16)
            else:
                memory.free(address)
        worker.arena.clear()

    def _keep_scratch(self, worker: WorkerState) -> None:
        memory, address = self._memory, worker.scratch
        size = memory.size_of(address)
        if size > MAX_KEPT_BYTES:
            memory.free(address)
            address = end = 0
        else:
            end = address + size - 16
        self._put(worker.offset + abi.WORKER_SCRATCH_START, address)
        self._put(worker.offset + abi.WORKER_SCRATCH_NEXT, address)
        self._put(worker.offset + abi.WORKER_SCRATCH_END, end)
        worker.scratch = worker.kept_scratch = address

    @property
    def bytes(self) -> int:
        """What the frame keeps between two executions."""
        size_of = self._memory.size_of
        total = size_of(self.address) + self._text_bytes
        for worker in self.workers:
            for block in (worker.kept_arena, worker.scratch, worker.spare):
                if block:
                    total += size_of(block)
        return total

    def close(self) -> None:
        """Frees all memory of a frame that no execution uses."""
        memory = self._memory
        for worker in self.workers:
            for address in (worker.kept_arena, worker.scratch, worker.spare, *worker.arena, *worker.output,
                            *worker.old_scratch):  # fmt: skip
                if address:
                    memory.free(address)
        if self._text:
            memory.free(self._text)
        memory.free(self.address)
