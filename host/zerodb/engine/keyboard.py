"""Ctrl-C while generated code runs in the main thread, or a change is under way.

Python runs signal handlers in the main thread between two bytecodes. Inside of a long call into WASM a Ctrl-C would
wait for its end. Worse, KeyboardInterrupt would come wherever Python runs next: at the first bytecode of the callback
that allocates memory, where nothing can catch it and ctypes then returns garbage to WASM; between taking a frame and
remembering that it is taken; before a commit that nobody then ends.

So from `armed` to `disarm` the handler only remembers the Ctrl-C, and `disarm` raises KeyboardInterrupt, when all is in
its place. They nest: around a change, so that its transaction ends, and therein around its query, after which it is
undone. For the run to end soon, the C-level handler writes the signal's number to the wakeup descriptor at once: a
thread reads it there and stops the run.

Only where SIGINT has Python's own handler and nobody else (an event loop) has a wakeup descriptor. Costs 4 us a run.
Limit: another signal's handler that raises may still hit that callback.
"""

from __future__ import annotations

import signal
import socket
import threading

# Those of `signal` take 5 us more, to make enums.
from _signal import default_int_handler, getsignal, set_wakeup_fd  # type: ignore[import-not-found]
from _signal import signal as set_handler
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGINT = int(signal.SIGINT)
_NOTE = b"\0"  # no signal has this number
_main_thread = threading.main_thread().ident
_stop: Callable[[], None] | None = None
_outer_stop: Callable[[], None] | None = None  # of what goes on when a run in it has ended
_pressed = False
_depth = 0
_sender: socket.socket | None = None
_noted = threading.Event()


def armed() -> bool:
    """Holds Ctrl-C back until `disarm`. False, and nothing to disarm, where it cannot."""
    global _depth
    if threading.get_ident() != _main_thread:
        return False
    if not _depth:
        if getsignal(_SIGINT) is not default_int_handler:
            return False
        sender = _sender or _start()
        before = set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        if before not in (-1, sender.fileno()):  # ours, if a Ctrl-C came before the handler was set
            set_wakeup_fd(before)
            return False
        set_handler(_SIGINT, _remember)
    _depth += 1
    return True


def while_waiting(stop: Callable[[], None]) -> None:
    """Within `held`: what ends the waits of the change."""
    global _outer_stop
    if _depth and threading.get_ident() == _main_thread:
        _outer_stop = stop
        on_press(stop)


@contextmanager
def held() -> Iterator[None]:
    """Ctrl-C in this block raises KeyboardInterrupt after a query that runs in it, or at its end."""
    watched = armed()
    try:
        yield
    finally:
        if watched:
            disarm()


@contextmanager
def held_once() -> Iterator[None]:
    """As `held`, unless Ctrl-C is held already: what runs within a query (a function) ends by `is_pressed`, and leaves
    what stops the query alone."""
    if _depth and threading.get_ident() == _main_thread:
        yield
        return
    with held():
        yield


def _remember(_number: int, _frame: object) -> None:
    # Does not stop the run itself: that takes a lock, which this very thread may hold.
    global _pressed
    _pressed = True


def on_press(stop: Callable[[], None]) -> None:
    """Calls `stop` (from another thread) at a Ctrl-C, or now if one came since `armed`."""
    global _stop
    _stop = stop
    if _pressed:
        stop()


def is_pressed() -> bool:
    """Whether Ctrl-C was pressed since `armed`, for what the main thread runs."""
    return _pressed and threading.get_ident() == _main_thread


def disarm() -> None:
    """Raises KeyboardInterrupt if Ctrl-C was pressed since `armed`."""
    global _stop, _outer_stop, _pressed, _depth
    _depth -= 1
    _stop = _outer_stop if _depth else None
    if not _depth:
        _outer_stop = None
        set_wakeup_fd(-1)
        set_handler(_SIGINT, default_int_handler)  # what came before is handled first, by `_remember`
    if _pressed:
        _pressed = False
        _forget_presses()
        raise KeyboardInterrupt


def _forget_presses() -> None:
    """Waits until the thread has read what was written, lest it stop the next run."""
    assert _sender is not None
    _noted.clear()
    _sender.send(_NOTE)
    _noted.wait(1.0)


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
        if stop is not None and _SIGINT in signals:
            stop()
        if _NOTE in signals:
            _noted.set()
