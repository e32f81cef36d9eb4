"""Numbers that are given once."""

from __future__ import annotations

import threading


class Counter:
    """An iterator over the numbers from the first on. Thread-safe; `following` is what comes next."""

    def __init__(self, first: int) -> None:
        self.following = first
        self._lock = threading.Lock()

    def __iter__(self) -> Counter:
        return self

    def __next__(self) -> int:
        with self._lock:
            self.following += 1
            return self.following - 1
