"""The engine: compiles programs to machine code and executes them over snapshots.

    engine = Engine(memory_limit=1 << 30, threads=2)
    compiled = engine.compile(program, key)                      # Winch code now, Cranelift's behind
    execution = engine.execute(compiled, snapshot, [24, "AIR"])
    execution.rows()  |  execution.arrow()  |  execution.batches()
    engine.close()

One Engine is one linear memory with its buffer pool; several in one process do not know of each other. All methods are
thread-safe: threads may execute at the same time, also the same program.

Interruption. Epoch checks are off, because they are far from free in the loops that queries consist of. Measured with
wasmtime 50 on loops over 16 KiB and 16 MiB, time with epochs against without:

                                            Winch      Cranelift
    SIMD sum, 16 bytes an iteration         + 0.5 %    + 450 %
    scalar filter and sum, one row          +  19 %    +  38 %

Instead generated code looks at the query block's interrupt flag at block borders, and the scheduler between morsels.
So does the statement timeout. Code that looks at neither cannot be stopped.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from _queue import SimpleQueue
from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence

import pyarrow as pa
import wasmtime

from zerodb.engine import keyboard
from zerodb.engine.alarms import Alarms
from zerodb.engine.bindings import Bindings
from zerodb.engine.cache import BlobStore, ModuleCache
from zerodb.engine.frame import Frame, Value, WorkerState
from zerodb.engine.memory import Memory, default_memory_limit
from zerodb.engine.point_directory import Directories
from zerodb.engine.pool import BufferPool
from zerodb.engine.program import CompiledProgram
from zerodb.engine.result import ResultBatch, Row, arrow_batch
from zerodb.engine.scheduler import PipelineStatistics, Run, WorkerThreads
from zerodb.engine.tables import Snapshot
from zerodb.engine.tiers import Callback, Tier, check_wasmtime, new_engine
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.program import MorselSource, Program
from zerodb_compiler.errors import DatabaseError, InterfaceError, OperationalError, error_for

# Frames that wait for their next execution, over all statements: at most so many, and this part of the memory limit.
MAX_IDLE_FRAMES = 256
IDLE_FRAMES_SHARE = 1 / 32


class Execution:
    """The result of a finished execution."""

    __slots__ = ("_batches", "_compiled", "statistics")

    def __init__(
        self, compiled: CompiledProgram, batches: list[ResultBatch], statistics: list[PipelineStatistics]
    ) -> None:
        self._compiled, self._batches, self.statistics = compiled, batches, statistics

    def batches(self) -> list[ResultBatch]:
        return self._batches

    @property
    def row_count(self) -> int:
        return sum(batch.rows for batch in self._batches)

    @property
    def schema(self) -> pa.Schema:
        return self._compiled.schema

    def rows(self) -> list[Row]:
        decode = self._compiled.decoder.rows
        if len(self._batches) == 1:
            return decode(self._batches[0])
        return [row for batch in self._batches for row in decode(batch)]

    def arrow_batches(self) -> list[pa.RecordBatch]:
        compiled = self._compiled
        return [arrow_batch(batch, compiled.program.output, compiled.schema) for batch in self._batches]

    def arrow(self) -> pa.Table:
        return pa.Table.from_batches(self.arrow_batches(), schema=self._compiled.schema)


class Engine:
    """`memory_limit` in bytes (default: half the RAM, at most 3.5 GiB); `threads` workers (default: the processors);
    `blobs` and `secret` let machine code be kept in the database (cache.py); `tiers` may name one tier only."""

    def __init__(
        self,
        memory_limit: int | None = None,
        threads: int | None = None,
        *,
        blobs: BlobStore | None = None,
        secret: bytes | None = None,
        tiers: Sequence[Tier] = (Tier.WINCH, Tier.CRANELIFT),
    ) -> None:
        check_wasmtime()
        self.threads = threads or len(os.sched_getaffinity(0))
        self._engines = {tier: new_engine(tier) for tier in sorted(tiers)}
        self.memory = Memory(list(self._engines.values()), memory_limit or default_memory_limit())
        self.pool = BufferPool(self.memory)
        self.bindings = Bindings(self.memory, self.pool)
        self.directories = Directories(self)
        self.unused_frames: deque[int] = deque()  # addresses of forgotten point statements' frames
        self.memory.reclaim = self._reclaim
        self.cache = ModuleCache(blobs, secret)
        self._allocate = Callback(self._allocate_for_worker)
        self._owners: dict[int, WorkerState] = {}
        self._lock = threading.Lock()
        self._running: set[Run] = set()
        self._no_run = threading.Condition(self._lock)
        self._idle_frames: OrderedDict[Frame, int] = OrderedDict()  # with their bytes, the oldest first
        self._idle_bytes = 0
        self._garbage: deque[Frame] = deque()
        self._workers: WorkerThreads | None = None
        self._compiler: threading.Thread | None = None
        self._to_optimize: SimpleQueue[weakref.ref[CompiledProgram] | None] = SimpleQueue()
        self._alarms = Alarms()
        self._closed = False

    # --- compiling ------------------------------------------------------------------------------------------------

    def cached(self, key: Hashable) -> CompiledProgram | None:
        """The program compiled under this key earlier, if it is still in memory: no need to generate it again."""
        return self.cache.get(key)

    def compile(self, program: Program, key: Hashable | None = None) -> CompiledProgram:
        """Ready to execute on return. Once the program proves to be worth it (`CompiledProgram.optimize`), faster code
        is compiled in the background and takes over when it is ready."""
        if key is not None and (found := self.cache.get(key)) is not None:
            return found
        self._check_open()
        best, quick = max(self._engines), min(self._engines)
        optimize = self._optimize_later if quick is not best else None
        compiled = CompiledProgram(program, self._engines, self.memory, self._allocate, self._garbage, optimize)
        if not self._load(compiled, best) and not (quick is not best and self._compile_quickly(compiled, quick)):
            self._compile(compiled, best)
        return compiled if key is None else self.cache.put(key, compiled)

    def free_frames(self) -> bool:
        """Frees the memory of point statements and overlays that were forgotten; whether there was any."""
        freed = False
        with contextlib.suppress(IndexError):  # another thread may take the last one
            while self.unused_frames:
                self.memory.free(self.unused_frames.popleft())
                freed = True
        return freed

    def compile_point(self, program: Program, allocate: Callback) -> CompiledProgram:
        """As `compile`, for a program with an `allocate` of its own (point_call.py)."""
        self._check_open()
        self.free_frames()
        best, quick = max(self._engines), min(self._engines)
        optimize = self._optimize_later if quick is not best else None
        compiled = CompiledProgram(program, self._engines, self.memory, allocate, self._garbage, optimize)
        if not self._load(compiled, best) and not (quick is not best and self._compile_quickly(compiled, quick)):
            self._compile(compiled, best)
        return compiled

    def _load(self, compiled: CompiledProgram, tier: Tier) -> bool:
        began = time.perf_counter()
        module = self.cache.load(self._engines[tier], compiled.program.wasm, tier)
        if module is None:
            return False
        compiled.statistics.seconds[tier] = time.perf_counter() - began
        compiled.statistics.from_cache.add(tier)
        compiled.add_module(tier, module)
        return True

    def _compile(self, compiled: CompiledProgram, tier: Tier) -> None:
        began = time.perf_counter()
        try:
            module = wasmtime.Module(self._engines[tier], compiled.program.wasm)
        except wasmtime.WasmtimeError as error:
            if "exceed" in str(error):  # locals, bytes of a function and so on have a limit in wasmtime
                raise error_for("54001", "statement is too complex: its WebAssembly is too large") from None
            raise error_for("XX000", f"generated code does not compile ({tier.name.lower()}): {error}") from None
        compiled.statistics.seconds[tier] = time.perf_counter() - began
        compiled.add_module(tier, module)
        if tier is max(self._engines):  # the quick code takes less time to make than to fetch
            self.cache.store(module, compiled.program.wasm, tier)

    def _compile_quickly(self, compiled: CompiledProgram, tier: Tier) -> bool:
        """Winch lacks an instruction now and then; then Cranelift's code has to be waited for."""
        try:
            self._compile(compiled, tier)
        except DatabaseError:
            return False
        return True

    def _optimize_later(self, compiled: CompiledProgram) -> None:
        self._to_optimize.put(weakref.ref(compiled))  # nobody waits for the code of a program that is forgotten
        with self._lock:
            if self._compiler is None and not self._closed:
                self._compiler = threading.Thread(target=self._optimize, name="zerodb-compiler", daemon=True)
                self._compiler.start()

    def _optimize(self) -> None:
        while (reference := self._to_optimize.get()) is not None:
            compiled = reference()
            if compiled is None:
                continue
            try:
                if not self._closed:
                    self._compile(compiled, Tier.CRANELIFT)
            except Exception as error:  # the quick code stays in use, EXPLAIN says why
                compiled.give_up_optimizing(error)
            del compiled

    # --- executing ------------------------------------------------------------------------------------------------

    def execute(
        self,
        compiled: CompiledProgram,
        snapshot: Snapshot,
        parameters: Sequence[Value] = (),
        *,
        timeout: float | None = None,
        threads: int | None = None,
        owner: object | None = None,
        result_limit: int | None = None,
        measured: bool = True,
    ) -> Execution:
        """Runs the program to its end. `parameters` are canonical values by index; `timeout` is in seconds; `owner` is
        whom `interrupt` may single out; `result_limit` the most bytes that the result may have; `measured` whether
        statistics of the pipelines are wanted, for which each takes calls of its own.

        Raises what the program's error sites say (class 22 and so on), 57014 when interrupted or timed out, 53200 when
        the memory limit is too small, 54001 for a full stack."""
        while self._garbage:
            self._close_frame(self._garbage.popleft())
        workers = self._workers_for(compiled.program, snapshot, threads)
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            return self._execute(
                compiled, snapshot, parameters, deadline, workers, owner, result_limit, measured, guarded=False
            )
        except _TryGuardedError:
            pass
        # The columns that the query kept resident left too little for its workspace: let them come and go.
        return self._execute(
            compiled, snapshot, parameters, deadline, workers, owner, result_limit, measured, guarded=True
        )

    def _execute(
        self,
        compiled: CompiledProgram,
        snapshot: Snapshot,
        parameters: Sequence[Value],
        deadline: float | None,
        workers: int,
        owner: object | None,
        result_limit: int | None,
        measured: bool,
        guarded: bool,
    ) -> Execution:
        watched = keyboard.armed()
        try:
            return self._run(
                compiled, snapshot, parameters, deadline, workers, owner, result_limit, measured, guarded, watched
            )
        finally:
            if watched:
                keyboard.disarm()

    def _run(
        self,
        compiled: CompiledProgram,
        snapshot: Snapshot,
        parameters: Sequence[Value],
        deadline: float | None,
        workers: int,
        owner: object | None,
        result_limit: int | None,
        measured: bool,
        guarded: bool,
        watched: bool,
    ) -> Execution:
        frame = self._take_frame(compiled, snapshot, workers)
        run = Run(compiled, frame, parameters, self.memory, self._workers if workers > 1 else None, guarded)
        run.owner, run.result_limit, run.measured = owner, result_limit, measured
        alarm = None
        try:
            if compiled.program.externals:
                from zerodb.engine.external import ExternalCalls

                interrupt = frame.address + abi.QUERY_INTERRUPT
                frame.externals = ExternalCalls(compiled.program, self.memory, interrupt, snapshot)
            with self._lock:
                self._check_open()
                self._running.add(run)
            if watched:
                keyboard.on_press(lambda: self._stop(run, error_for("57014", "the statement was interrupted")))
            if deadline is not None:
                reason = error_for("57014", "the statement was cancelled: it ran longer than its timeout")
                alarm = self._alarms.set(deadline, lambda: self._stop(run, reason))
            batches = run.run()
        except OperationalError as error:
            if error.sqlstate == "53200" and run.was_locked and not guarded:
                raise _TryGuardedError from None
            raise
        finally:
            if alarm is not None:
                alarm.cancel()
            with self._lock:
                self._running.discard(run)
                if self._closed:
                    self._no_run.notify_all()
            frame.finish()
            self._give_back(compiled, frame)
        return Execution(compiled, batches, run.statistics)

    def _workers_for(self, program: Program, snapshot: Snapshot, threads: int | None) -> int:
        workers = min(threads or self.threads, self.threads)
        if workers <= 1:
            return 1
        tables = snapshot.tables
        if program.scans:
            small = all(tables[scan.table_name].chunk_count < 2 for scan in program.scans)
        else:
            small = all(pipeline.source is not MorselSource.COUNTER for pipeline in program.pipelines)
        if small:
            return 1
        if self._workers is None:
            with self._lock:
                if self._workers is None:
                    self._workers = WorkerThreads(self.threads - 1)
        return workers

    def _take_frame(self, compiled: CompiledProgram, snapshot: Snapshot, workers: int) -> Frame:
        home = compiled.frames.setdefault(workers, [])
        while True:
            with self._lock:
                if not home:
                    break
                frame = home.pop()
                self._idle_bytes -= self._idle_frames.pop(frame, 0)
            if frame.fits(snapshot):
                return frame
            try:
                frame.rebind(snapshot)
            except BaseException:
                self._close_frame(frame)
                raise
            return frame
        self._check_open()
        frame = Frame(compiled.program, self.memory, self.bindings, snapshot, workers)
        for worker in frame.workers:
            worker.frame = frame
            self._owners[worker.address] = worker
        return frame

    def _give_back(self, compiled: CompiledProgram, frame: Frame) -> None:
        size = frame.bytes
        surplus = []
        with self._lock:
            frame.home = compiled.frames[len(frame.workers)]
            frame.home.append(frame)
            self._idle_frames[frame] = size
            self._idle_bytes += size
            most = int(self.memory.limit * IDLE_FRAMES_SHARE)
            while len(self._idle_frames) > MAX_IDLE_FRAMES or (self._idle_bytes > most and len(self._idle_frames) > 1):
                surplus.append(self._pop_idle_frame())
        for oldest in surplus:
            if oldest is not None:
                self._close_frame(oldest)

    def _pop_idle_frame(self) -> Frame | None:
        if not self._idle_frames:
            return None
        frame, size = self._idle_frames.popitem(last=False)
        self._idle_bytes -= size
        frame.home.remove(frame)
        return frame

    def _close_frame(self, frame: Frame) -> None:
        with self._lock:
            self._idle_bytes -= self._idle_frames.pop(frame, 0)
            if self._owners.get(frame.workers[0].address) is not frame.workers[0]:
                return  # closed already: a collected program's frames may be met twice
            for worker in frame.workers:
                del self._owners[worker.address]
        frame.close()

    # --- memory ---------------------------------------------------------------------------------------------------

    def _allocate_for_worker(self, address: int, size: int, kind: int) -> int:
        worker = self._owners[address & 0xFFFFFFFF]
        try:
            assert worker.frame is not None
            return worker.frame.allocate(worker, size & 0xFFFFFFFF, kind)
        except BaseException as failure:
            worker.failure = failure
            return 0

    def _reclaim(self, wanted: int) -> bool:
        """Makes room: what was forgotten, columns that nobody reads, then idle frames, then bindings without a user,
        then what guarded executions can do without."""
        if self.free_frames() or self.pool.reclaim(wanted):
            return True
        with self._lock:
            frame = self._pop_idle_frame()
        if frame is not None:
            self._close_frame(frame)
            return True
        return self.bindings.release_oldest() or self.directories.release()

    def forget_table(self, table_id: int) -> None:
        """To be called after DROP TABLE has committed, so that nothing keeps the table's data alive."""
        self.bindings.forget(table_id)
        self.directories.forget(table_id)

    # --- stopping -------------------------------------------------------------------------------------------------

    def interrupt(self, owner: object | None = None) -> None:
        """Ends the owner's executions that run now, or all, with 57014; thread-safe, returns at once."""
        with self._lock:
            for run in self._running:
                if owner is None or run.owner is owner:
                    run.stop(error_for("57014", "the statement was interrupted"))

    def _stop(self, run: Run, reason: DatabaseError) -> None:
        with self._lock:
            if run in self._running:
                run.stop(reason)

    def _check_open(self) -> None:
        if self._closed:
            raise InterfaceError("the database is closed", sqlstate="08003")

    def close(self) -> None:
        """Ends what runs (57P01), stops all threads and frees all memory. Executions' results stay valid."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for run in self._running:
                run.stop(error_for("57P01", "the database was closed"))
            while self._running:
                self._no_run.wait()
        if self._compiler is not None:
            self._to_optimize.put(None)
            self._compiler.join()
        if self._workers is not None:
            self._workers.close()
        self._alarms.close()
        self.cache.clear()
        self._idle_frames.clear()
        self._owners.clear()
        self.memory.close()


class _TryGuardedError(Exception):
    """Out of memory while chunks were locked: the execution is worth another try with guarded bindings."""
