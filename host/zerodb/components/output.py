"""What a guest writes to its standard output and error: lines of Python's logging, under the guest's name.

    logging.getLogger("zerodb.guest.app")    INFO for standard output, WARNING for standard error

A line is logged when it ends, a last one without an end with the guest. Text that is not UTF-8 shows as U+FFFD, control
characters as escapes: a guest's line is one line of a log and does nothing to a terminal. A long line comes in pieces,
and after a million bytes in one run the rest is dropped, with a line that says so.
"""

from __future__ import annotations

import atexit
import logging
import re
import time
from collections import deque

LINE_BYTES = 8192
MOST_BYTES = 1 << 20
_KEPT_LINES = 10
_SETTLE_S = 0.1
_RUNTIME = re.compile(r"\s*(thread '|note: |Python function threw|stack backtrace:|at |\d+: )")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


# wasmtime hands the lines over on threads of its own, perhaps after the guest has ended. One that then waits for an
# interpreter that shuts down would abort the process; so those under way get through before.
atexit.register(time.sleep, _SETTLE_S)


class Lines:
    """One stream of one guest. `write` is called by wasmtime with what comes, in pieces of any size."""

    def __init__(self, name: str, level: int) -> None:
        self._logger = logging.getLogger(f"zerodb.guest.{name}")
        self._level = level
        self._rest = b""
        self._bytes = 0
        self._last: deque[str] = deque(maxlen=_KEPT_LINES)

    def write(self, data: bytes) -> None:
        if self._bytes > MOST_BYTES:
            return
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            self.flush()
            self._logger.log(self._level, "the guest wrote more than %d bytes: the rest is not shown", MOST_BYTES)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._log(line)
        while len(self._rest) >= LINE_BYTES:
            self._log(self._rest[:LINE_BYTES])
            self._rest = self._rest[LINE_BYTES:]

    def flush(self) -> None:
        if self._rest:
            rest, self._rest = self._rest, b""
            self._log(rest)

    def _log(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").removesuffix("\r")
        text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
        self._last.append(text)
        self._logger.log(self._level, "%s", text)

    def last_words(self) -> str | None:
        """What a guest said last, without what its language's runtime says of its end."""
        found = [line for line in self._last if line.strip() and not _RUNTIME.match(line)]
        return found[-1].strip() if found else None


class Output:
    """The two streams of a guest."""

    def __init__(self, name: str) -> None:
        self.stdout = Lines(name, logging.INFO)
        self.stderr = Lines(name, logging.WARNING)

    def flush(self) -> None:
        self.stdout.flush()
        self.stderr.flush()
