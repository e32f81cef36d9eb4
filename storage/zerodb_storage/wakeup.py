"""Waking many threads at once.

A `threading.Lock` per waiting thread is one call of the system each, made while Python's global lock is held; where the
woken thread takes the processor over at once, it then waits for that lock, and so the one who wakes sixteen is switched
away sixteen times (a third of the time of sixteen threads that commit). An eventfd is one call for all of them, without
the lock.

Where the system has none (Python on anything but Linux), it is locks after all.
"""

from __future__ import annotations

import os
import sys
import threading


class Wakeup:
    """Threads wait until as many are woken; those that come later do not wait, as long as some are left to wake. Used
    once."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_CLOEXEC) if hasattr(os, "eventfd") else -1
        self._semaphore = threading.Semaphore(0) if self._descriptor < 0 else None

    def wait(self) -> None:
        if self._semaphore is not None:
            self._semaphore.acquire()
        else:
            os.read(self._descriptor, 8)  # not eventfd_read, which any signal ends

    def give(self, count: int) -> None:
        """Wakes so many."""
        if self._semaphore is not None:
            self._semaphore.release(count)
        else:
            os.write(self._descriptor, count.to_bytes(8, sys.byteorder))

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
