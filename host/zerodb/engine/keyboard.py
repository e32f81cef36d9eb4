"""Ctrl-C while generated code runs in the main thread.

Python runs signal handlers in the main thread between two bytecodes, so inside of a long call into WASM a Ctrl-C would
wait for its end. But the C-level handler writes the signal's number to the wakeup descriptor at once: a thread reads it
there and stops the run, the call returns, and KeyboardInterrupt comes as everywhere in Python.

Only where SIGINT has Python's own handler and nobody else (an event loop) has a wakeup descriptor. Costs 3 us a run.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable

_main_thread = threading.main_thread().ident
_stop: Callable[[], None] | None = None
_sender: socket.socket | None = None


def armed(stop: Callable[[], None]) -> bool:
    """Calls `stop` from another thread at Ctrl-C until `disarm`. False, and nothing to disarm, where it cannot."""
    global _stop
    if threading.get_ident() != _main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    sender = _sender or _start()
    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    if before not in (-1, sender.fileno()):  # ours, if a Ctrl-C came before the last `disarm`
        signal.set_wakeup_fd(before)
        return False
    _stop = stop
    return True


def disarm() -> None:
    global _stop
    _stop = None
    signal.set_wakeup_fd(-1)


def _start() -> socket.socket:
    global _sender
    receiver, sender = socket.socketpair()
    sender.setblocking(False)  # a signal handler must not wait
    threading.Thread(target=_watch, args=(receiver,), name="zerodb-keyboard", daemon=True).start()
    _sender = sender
    return sender


def _watch(receiver: socket.socket) -> None:
    while signals := receiver.recv(64):
        stop = _stop
        if stop is not None and signal.SIGINT in signals:
            stop()
