"""The morsel scheduler: runs the pipelines of a compiled program over worker threads.

One `Run` is one execution. Each pipeline is `start`, then its morsels, then `finish`. Morsels are taken from one shared
iterator, whose `next` is atomic under the GIL; the WASM between two morsels runs without it. With one thread, or few
morsels, everything happens in the calling thread. Between two morsels a worker changes to faster code if it has become
ready, copies finished output out, and sees whether the run was stopped.

Stopping: the interrupt flag of the query block (generated code looks at it at block borders) plus `stopped`, looked at
between morsels. The first failure of any worker stops the others; nobody returns before all workers are out.
"""

from __future__ import annotations

import threading
from _queue import SimpleQueue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from zerodb.engine.bindings import TableBinding
from zerodb.engine.frame import Frame, Value, WorkerState
from zerodb.engine.memory import Memory
from zerodb.engine.pool import Array, out_of_memory
from zerodb.engine.program import CompiledProgram
from zerodb.engine.pruning import may_match, surviving_chunks
from zerodb.engine.result import ResultBatch, read_block
from zerodb.engine.steps import MOST_STEPS, packed, steps
from zerodb.engine.tiers import FastCall, Instance, Tier
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.program import ErrorSite, IndexLookup, MorselSource, Pipeline
from zerodb_compiler.errors import DatabaseError, error_for

# Below this a hand-off to other threads (about 50 us) costs more than it gives: rows for a scan, else morsels.
MIN_PARALLEL_ROWS = 100_000
MIN_PARALLEL_MORSELS = 4
# A pipeline of so many morsels asks for Cranelift's code before it begins.
MIN_OPTIMIZED_MORSELS = 2
# Morsels of one call: others may want the interpreter lock, so taking it back after each of them takes long.
MOST_MORSELS_OF_A_CALL = 64
# So few missing chunks (those that changed with the last commit) are loaded before the pipelines start.
LOADED_BEFORE = 2


@dataclass(frozen=True, slots=True)
class PipelineStatistics:
    """One pipeline of one execution, for EXPLAIN ANALYZE. `rows` reached the sink (None: not counted)."""

    seconds: float
    rows: int | None
    morsels: int
    morsels_skipped: int
    threads: int
    tier: Tier


class WorkerThreads:
    """Persistent helper threads. A task is called once on some helper, or never if its run is over before."""

    def __init__(self, number: int) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"zerodb-worker-{i + 1}", daemon=True) for i in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
            del task  # or the last task would keep its run alive until the next one

    def submit(self, task: Callable[[], None]) -> None:
        self._tasks.put(task)

    def close(self) -> None:
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()


class Run:
    """One execution in a frame. `batches` and, if `measured`, `statistics` are filled by `run`."""

    def __init__(
        self,
        compiled: CompiledProgram,
        frame: Frame,
        parameters: Sequence[Value],
        memory: Memory,
        threads: WorkerThreads | None,
        guarded: bool,
    ) -> None:
        self.compiled, self.frame, self.parameters = compiled, frame, parameters
        self._memory, self._words, self._threads = memory, memory.words, threads
        self._guarded = guarded
        self.owner: object | None = None
        self.measured = True  # `statistics` are wanted
        self.result_limit: int | None = None  # bytes
        self._result_bytes = 0
        self.stopped: DatabaseError | None = None
        self._failure: BaseException | None = None
        self._ended = False  # the current pipeline needs no further morsel
        self._instances: list[Instance | None] = [None] * len(frame.workers)
        self._locked: list[TableBinding] = []
        self._lists: list[int] = []  # addresses of the lists of rows that indexes found
        self._chunks: list[tuple[Array | range, bool]] = []
        self._output: list[tuple[int, int, ResultBatch]] = []
        self.statistics: list[PipelineStatistics] = []
        frame.drain = self._drain

    @property
    def was_locked(self) -> bool:
        """Whether the run kept chunks from being evicted that a guarded run would have let go."""
        return bool(self._locked)

    def stop(self, reason: DatabaseError) -> None:
        """Asks the run to end with this error; any thread may call it while the run is registered."""
        if self.stopped is None:
            self.stopped = reason
        self._words[(self.frame.address + abi.QUERY_INTERRUPT) >> 2] = 1

    def run(self) -> list[ResultBatch]:
        began = perf_counter()
        try:
            self.frame.reset(self.parameters)
            if self.stopped is not None:
                raise self.stopped
            self._choose_chunks()
            self._pipelines()
        finally:
            self.compiled.ran(perf_counter() - began)
            for instance in self._instances:
                if instance is not None:
                    self.compiled.check_in(instance)
            for binding in self._locked:
                binding.unlock()
            for address in self._lists:
                self._memory.free(address)
        if len(self._output) > 1:
            self._output.sort(key=lambda item: item[:2])
        return [batch for _, _, batch in self._output]

    def _pipelines(self) -> None:
        """Runs them in order, going back where a loop (a recursion) has rows for another round."""
        program = self.compiled.program
        if not program.loops:
            if not self.measured and self.frame.steps and self._at_once():
                return
            for pipeline in program.pipelines:
                self._pipeline(pipeline)
            return
        at = 0
        while at < len(program.pipelines):
            entered = next((loop for loop in program.loops if loop.first == at), None)
            if entered is not None and not self._words[(self.frame.address + entered.offset) >> 2]:
                at = entered.last + 1
                while len(self.statistics) < at:
                    self.statistics.append(PipelineStatistics(0.0, 0, 0, 0, 1, Tier.CRANELIFT))
                continue
            self._pipeline(program.pipelines[at], at)
            ended = next((loop for loop in program.loops if loop.last == at), None)
            at = ended.first if ended is not None else at + 1

    def _at_once(self) -> bool:
        """Runs all pipelines in one call, if that can be."""
        frame, compiled = self.frame, self.compiled
        if compiled.tier is not Tier.CRANELIFT or any(enter for _, enter in self._chunks):
            return False
        found = steps(compiled.program, compiled.numbers, frame.address, [chunks for chunks, _ in self._chunks])
        if len(found) > MOST_STEPS:
            return False
        listed, worker = packed(found, frame.steps), frame.workers[0]
        self._memory.bytes[frame.steps : frame.steps + len(listed)] = listed
        status = self._function(0, abi.STEPS)(worker.address, frame.steps)
        if status:
            raise self._error(status, worker)
        if worker.dirty or self._words[(worker.address + abi.WORKER_OUTPUT_FIRST) >> 2]:
            self._drain(worker)
            self._free_scratch(worker)
        if self.stopped is not None:
            raise self.stopped
        return True

    def _choose_chunks(self) -> None:
        """Per scan, the chunks to run and whether each must be entered (see bindings.py)."""
        for scan, binding in zip(self.compiled.program.scans, self.frame.scans, strict=True):
            chunks: Array | range | None = None
            if scan.partition is not None and not may_match(scan.partition, self.parameters):
                chunks = range(0)
            elif scan.zone_predicates:
                chunks = surviving_chunks(binding, scan.zone_predicates, self.parameters)
            if chunks is None:
                chunks = binding.all_chunks
            if scan.index is not None and len(chunks):
                chunks = self._looked_up(scan.index, binding, chunks)
            locked = not self._guarded and (
                binding.lock(chunks) or (binding.load_few(chunks, LOADED_BEFORE) and binding.lock(chunks))
            )
            if locked:
                self._locked.append(binding)
            self._chunks.append((chunks, not locked))

    def _looked_up(self, lookup: IndexLookup, binding: TableBinding, chunks: Array | range) -> Array | range:
        """The chunks with rows that the index finds, if that is quicker than a scan of `chunks`."""
        from zerodb.engine.index_lists import found_rows, write_lists

        row_ids = found_rows(binding, lookup, chunks, self.parameters)
        if row_ids is None:
            return chunks
        address, found = write_lists(self._memory, binding, row_ids)
        if not address:
            return chunks
        self._lists.append(address)
        self._words[(self.frame.address + lookup.slot) >> 2] = address
        return found

    def _pipeline(self, pipeline: Pipeline, number: int | None = None) -> None:
        began = perf_counter()
        worker = self.frame.workers[0]
        self._ended = False
        if pipeline.start is not None:
            self._single(pipeline.start, worker)
        binding: TableBinding | None = None
        skipped = 0
        match pipeline.source:
            case MorselSource.SCAN:
                assert pipeline.scan is not None
                chunks, enter = self._chunks[pipeline.scan]
                skipped = self.frame.scans[pipeline.scan].chunk_count - len(chunks)
                if enter:
                    binding = self.frame.scans[pipeline.scan]
            case MorselSource.COUNTER:
                assert pipeline.count_offset is not None
                chunks = range(self._words[(self.frame.address + pipeline.count_offset) >> 2])
            case MorselSource.SINGLE:
                chunks = range(1)
        morsels = chunks.tolist() if isinstance(chunks, np.ndarray) else chunks
        if len(morsels) >= MIN_OPTIMIZED_MORSELS:
            self.compiled.optimize()
        helpers = 0
        if self._threads is not None and pipeline.parallel and self._is_large(pipeline, len(morsels)):
            helpers = min(len(self.frame.workers), len(morsels)) - 1
        if helpers:
            self._parallel(pipeline.function, iter(morsels), binding, helpers)
        elif binding is None and len(morsels) > 1:
            self._stretches(pipeline.function, worker, morsels)
        else:
            self._morsels(pipeline.function, worker, iter(morsels), binding)
        if pipeline.finish is not None:
            self._single(pipeline.finish, worker)
        if self.stopped is not None:
            raise self.stopped
        rows = None
        if pipeline.rows_offset is not None:
            longs, offset = self._memory.longs, pipeline.rows_offset
            rows = sum(longs[(state.address + offset) >> 3] for state in self.frame.workers)
        instance = self._instances[0]
        tier = instance.tier if instance is not None else Tier.CRANELIFT
        found = PipelineStatistics(perf_counter() - began, rows, len(morsels), skipped, helpers + 1, tier)
        if number is None or number >= len(self.statistics):
            self.statistics.append(found)
        else:  # another round
            before = self.statistics[number]
            self.statistics[number] = replace(
                found, seconds=before.seconds + found.seconds, morsels=before.morsels + found.morsels
            )

    def _is_large(self, pipeline: Pipeline, morsels: int) -> bool:
        if pipeline.scan is None:
            return morsels >= MIN_PARALLEL_MORSELS
        lookup = self.compiled.program.scans[pipeline.scan].index
        if lookup is not None and self._words[(self.frame.address + lookup.slot) >> 2]:
            return False
        binding = self.frame.scans[pipeline.scan]
        return morsels > 1 and binding.rows * morsels >= MIN_PARALLEL_ROWS * binding.chunk_count

    def _function(self, worker: int, name: str) -> FastCall:
        """The function in the best tier's code for this worker."""
        instance, compiled = self._instances[worker], self.compiled
        if instance is None or instance.tier is not compiled.tier:
            if instance is not None:
                self._instances[worker] = None
                compiled.check_in(instance)
            instance = self._instances[worker] = compiled.check_out()
        return instance.function(name)

    def _single(self, name: str, worker: WorkerState) -> None:
        status = self._function(worker.index, name)(worker.address, 0)
        if status and status != abi.STATUS_DONE:
            raise self._error(status, worker)
        if worker.dirty or self._words[(worker.address + abi.WORKER_OUTPUT_FIRST) >> 2]:
            self._drain(worker)
            self._free_scratch(worker)

    def _morsels(self, name: str, worker: WorkerState, morsels: Iterator[int], binding: TableBinding | None) -> None:
        """Runs morsels until there are none; called by every worker thread of the pipeline."""
        words, compiled, address = self._words, self.compiled, worker.address
        output = (address + abi.WORKER_OUTPUT_FIRST) >> 2
        function, tier = self._function(worker.index, name), compiled.tier
        for morsel in morsels:
            if self._ended:
                return
            if tier is not compiled.tier:
                function, tier = self._function(worker.index, name), compiled.tier
            if binding is None:
                status = function(address, morsel)
            else:
                binding.enter(morsel)
                try:
                    status = function(address, morsel)
                finally:
                    binding.leave(morsel)
            if status:
                if status != abi.STATUS_DONE:
                    raise self._error(status, worker)
                self._ended = True
            if words[output] or worker.dirty:
                self._drain(worker)
                self._free_scratch(worker)
            if self.stopped is not None:
                raise self.stopped

    def _stretches(self, name: str, worker: WorkerState, morsels: range | list[int]) -> None:
        """Runs morsels on this thread, those side by side in one call, one by one while quicker code is being made."""
        words, compiled, address = self._words, self.compiled, worker.address
        output = (address + abi.WORKER_OUTPUT_FIRST) >> 2
        at, end = 0, len(morsels)
        while at < end and not self._ended:
            function, first, count = self._function(worker.index, name), morsels[at], 1
            if compiled.tier is Tier.CRANELIFT:
                most = min(end - at, MOST_MORSELS_OF_A_CALL)
                while count < most and morsels[at + count] == first + count:
                    count += 1
            status = function(address, first, count)
            if status:
                if status != abi.STATUS_DONE:
                    raise self._error(status, worker)
                self._ended = True
            if words[output] or worker.dirty:
                self._drain(worker)
                self._free_scratch(worker)
            if self.stopped is not None:
                raise self.stopped
            at += count

    def _parallel(self, name: str, morsels: Iterator[int], binding: TableBinding | None, helpers: int) -> None:
        """The morsels on this thread and up to `helpers` others."""
        assert self._threads is not None
        tickets = list(self.frame.workers[1 : helpers + 1])
        finished: SimpleQueue[None] = SimpleQueue()

        def help_out() -> None:
            try:
                worker = tickets.pop()
            except IndexError:  # the pipeline is over; this helper was busy elsewhere
                return
            try:
                self._morsels(name, worker, morsels, binding)
            except BaseException as failure:
                self._fail(failure)
            finally:
                finished.put(None)

        for _ in range(helpers):
            self._threads.submit(help_out)
        try:
            self._morsels(name, self.frame.workers[0], morsels, binding)
        except BaseException as failure:
            self._fail(failure)
        started = helpers
        while tickets:
            tickets.pop()
            started -= 1
        while started:
            try:
                finished.get()
                started -= 1
            except BaseException as failure:  # KeyboardInterrupt: still nobody may leave before the helpers
                self._fail(failure)
        if self._failure is not None:
            raise self._failure

    def _fail(self, failure: BaseException) -> None:
        """Keeps the first failure (but KeyboardInterrupt before all) and makes the other workers stop."""
        if self._failure is None or not isinstance(failure, Exception):
            self._failure = failure
        self._ended = True
        self._words[(self.frame.address + abi.QUERY_INTERRUPT) >> 2] = 1

    def _drain(self, worker: WorkerState) -> None:
        """Copies finished output out of linear memory."""
        words, memory, base = self._words, self._memory, worker.address
        output = self.compiled.program.output
        block = words[(base + abi.WORKER_OUTPUT_FIRST) >> 2]
        while block:
            if words[(block + abi.OUTPUT_ROWS) >> 2]:
                morsel = words[(block + abi.OUTPUT_MORSEL) >> 2]
                batch = read_block(words, memory.bytes, block, output)
                self._output.append((morsel, len(self._output), batch))
                if self.result_limit is not None:
                    self._count(batch, self.result_limit)
            following = words[(block + abi.OUTPUT_NEXT) >> 2]
            if block in worker.output:
                worker.output.discard(block)
                memory.free(block)
            block = following
        words[(base + abi.WORKER_OUTPUT_FIRST) >> 2] = 0
        words[(base + abi.WORKER_OUTPUT_CURRENT) >> 2] = 0
        words[(base + abi.WORKER_OUTPUT_SPARE) >> 2] = worker.spare
        words[(base + abi.WORKER_OUTPUT_SPARE_BYTES) >> 2] = self.compiled.program.output_block_bytes
        worker.dirty = bool(worker.old_scratch)

    def _count(self, batch: ResultBatch, limit: int) -> None:
        self._result_bytes += batch.nbytes
        if self._result_bytes > limit:
            message = f"the result is larger than {limit >> 20} MB"
            raise error_for("53200", message, hint="ask for fewer rows")

    def _free_scratch(self, worker: WorkerState) -> None:
        """Scratch blocks that were replaced by larger ones are of no use once the morsel has ended."""
        while worker.old_scratch:
            self._memory.free(worker.old_scratch.pop())
        worker.dirty = False

    def _error(self, status: int, worker: WorkerState) -> BaseException:
        if self.stopped is not None:
            return self.stopped
        if status == abi.STATUS_OUT_OF_MEMORY:
            return worker.failure or out_of_memory(self._memory)
        if status == abi.STATUS_INTERRUPTED:
            return self._failure or error_for("57014", "the statement was interrupted")
        errors = self.compiled.program.errors
        assert 0 < status <= len(errors), f"generated code returned the unknown status {status}"
        return self._user_error(errors[status - 1], worker.address)

    def _user_error(self, site: ErrorSite, worker: int) -> DatabaseError:
        message = site.message
        if "{value}" in message:
            message = message.replace("{value}", str(self._memory.longs[(worker + abi.WORKER_ERROR_VALUE) >> 3]))
        if "{text}" in message:
            place = (worker + abi.WORKER_ERROR_TEXT) >> 2
            start, length = self._words[place : place + 2]
            text = bytes(self._memory.bytes[start : start + length]).decode(errors="replace")
            message = message.replace("{text}", text)
        return error_for(site.sqlstate, message, position=site.position)
