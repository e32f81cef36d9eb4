"""Statement timeouts: one thread that sleeps until the next deadline. Setting and cancelling an alarm is cheap."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from itertools import count


class Alarm:
    __slots__ = ("action", "deadline")

    def __init__(self, deadline: float, action: Callable[[], None]) -> None:
        self.deadline = deadline
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Alarms:
    """`set(deadline, action)` calls the action in the alarm thread at `deadline` (time.monotonic) unless cancelled."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Alarm]] = []
        self._number = count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def set(self, deadline: float, action: Callable[[], None]) -> Alarm:
        alarm = Alarm(deadline, action)
        with self._changed:
            heapq.heappush(self._heap, (deadline, next(self._number), alarm))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="zerodb-alarms", daemon=True)
                self._thread.start()
            elif self._heap[0][2] is alarm:
                self._changed.notify()
        return alarm

    def _work(self) -> None:
        while True:
            with self._changed:
                while self._heap and self._heap[0][2].action is None:
                    heapq.heappop(self._heap)
                if self._closed:
                    return
                wait = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                _, _, alarm = heapq.heappop(self._heap)
            action = alarm.action
            if action is not None:
                action()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
