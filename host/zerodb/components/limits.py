"""What a guest may use up: memory, stack, time or fuel; and how it is stopped.

Generated code looks at the engine's epoch in every loop and function. While guests run, one thread, the watch, moves
the epoch on every 10 ms; at each step the guest's thread comes to `Instance.tick`, and goes on if nobody wants it to
end. So a guest is stopped within 10 ms, by its deadline, by `Connection.interrupt` or by Ctrl-C. A host call that takes
long is a statement: the watch interrupts the statements of a guest that is to end, as often as it takes.

Fuel counts instructions instead, the same on every machine; code for it is compiled apart and is slower.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zerodb.options import parse_size
from zerodb_compiler.errors import DatabaseError, error_for

if TYPE_CHECKING:
    import wasmtime

TICK_S = 0.01
DEFAULT_MEMORY_BYTES = 256 << 20
LEAST_MEMORY_BYTES = 1 << 16
TABLE_ELEMENTS = 1 << 20  # 8 MB; a Python guest has 13,000 functions in its tables
INSTANCES, TABLES, MEMORIES = 200, 50, 4  # of core modules within a component


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory_bytes` bounds each linear memory (a component has one, as a rule); `timeout_s` counts from the call,
    `fuel` for the instance's life."""

    memory_bytes: int = DEFAULT_MEMORY_BYTES
    timeout_s: float | None = None
    fuel: int | None = None

    @classmethod
    def of(cls, memory: int | str | None, timeout: float | None, fuel: int | None) -> Limits:
        """From what users give; 22023 if it makes no sense."""
        size = DEFAULT_MEMORY_BYTES if memory is None else parse_size(memory)
        if size < LEAST_MEMORY_BYTES:
            raise error_for("22023", f"a guest needs a memory limit of at least 64 kB, not {memory}")
        if timeout is not None and not timeout > 0:
            raise error_for("22023", f"a guest's timeout must be more than 0 seconds, not {timeout}")
        if fuel is not None and not 0 < fuel < 1 << 63:
            raise error_for("22023", f"a guest's fuel must be more than 0, not {fuel}")
        return cls(size, timeout, fuel)


class Run:
    """One call into a guest, from its beginning to its end, with all that it calls. `stop` may be called from any
    thread; `interrupts` are the ways to end what host functions wait for. `stopped` says why the statement that it is
    called from is to end, or None."""

    __slots__ = ("deadline", "interrupts", "reason", "stopped")

    def __init__(self, timeout_s: float | None, stopped: Callable[[], str | None] | None = None) -> None:
        self.stopped = stopped
        self.deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self.reason: DatabaseError | None = None  # why it is to end
        self.interrupts: list[Callable[[], None]] = []

    def stop(self, reason: DatabaseError) -> None:
        if self.reason is None:
            self.reason = reason

    def check(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline:
            self.stop(error_for("57014", "the guest was cancelled: it ran longer than its timeout"))
        why = self.stopped() if self.stopped is not None else None
        if why is not None:
            self.stop(error_for("57014", why))
        if self.reason is not None:
            for interrupt in list(self.interrupts):
                interrupt()


class Watch:
    """Moves an engine's epoch on while guests run on it."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._runs: set[Run] = set()
        self._some = threading.Condition()
        self._thread: threading.Thread | None = None

    def begin(self, run: Run) -> None:
        with self._some:
            self._runs.add(run)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="zerodb-guests", daemon=True)
                self._thread.start()
            elif len(self._runs) == 1:
                self._some.notify()

    def end(self, run: Run) -> None:
        with self._some:
            self._runs.discard(run)

    def _work(self) -> None:
        while True:
            with self._some:
                while not self._runs:
                    self._some.wait()
                runs = list(self._runs)
            now = time.monotonic()
            for run in runs:
                run.check(now)
            self._engine.increment_epoch()
            time.sleep(TICK_S)


_RESERVED_BYTES = 1 << 31  # more than that without access behind a memory: wasmtime's reservation


def linear_memories() -> dict[int, int]:
    """Addresses and sizes of the memories of all guests in the process, on Linux: wasmtime keeps gigabytes of addresses
    behind each. Whether a guest that gave up had used its memory up, wasmtime's C interface does not say."""
    found: dict[int, int] = {}
    start = end = 0
    try:
        with open("/proc/self/maps") as maps:
            for line in maps:
                span, access = line.split(maxsplit=2)[:2]
                low, high = (int(part, 16) for part in span.split("-"))
                if access == "rw-p":
                    start, end = (start if low == end else low), high
                elif access == "---p" and low == end and high - low > _RESERVED_BYTES:
                    found[start] = end - start
    except OSError:
        pass
    return found
