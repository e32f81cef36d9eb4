"""Sequence values: numbers that are never given twice, whether or not the transaction that took them commits.

A sequence's definition is a catalog object, transactional like a table. Its value is not: it lies under a key of its
own, written before a value beyond the last reservation is handed out (32 ahead, as PostgreSQL does), in the log before
the commit that uses it. After a crash up to 32 values are skipped; after `close` none.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from zerodb_compiler.errors import error_for
from zerodb_storage import keys, records
from zerodb_storage.kv import Batch, KeyValueStore
from zerodb_storage.values import Array

RESERVED_AHEAD = 32


@dataclass(frozen=True, slots=True)
class SequenceDefinition:
    """`id` is unique in the database and never given again."""

    id: int
    name: str
    start: int = 1
    increment: int = 1
    minimum: int = 1
    maximum: int = (1 << 63) - 1
    cycle: bool = False


@dataclass(slots=True)
class _State:
    last: int
    called: bool
    reserved: int  # values up to this one may be handed out without writing


class Sequences:
    """All sequences' values of one open database. Thread-safe."""

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        self._states: dict[int, _State] = {}
        self.lock = threading.RLock()
        self.noted: dict[bytes, bytes] | None = None  # what was written since it was last emptied, if anybody asks

    def take(self, definition: SequenceDefinition, count: int) -> Array:
        """The next `count` values (int64). 2200H if there are not that many."""
        with self.lock:
            state = self._state(definition)
            step = definition.increment
            first = state.last + step if state.called else state.last
            left = (definition.maximum - first) // step if step > 0 else (first - definition.minimum) // -step
            if left + 1 < count:
                return self._cycled(definition, state, first, max(left + 1, 0), count)
            self._move(definition, state, first + (count - 1) * step)
            return first + np.arange(count, dtype=np.int64) * step

    def _cycled(self, definition: SequenceDefinition, state: _State, first: int, left: int, count: int) -> Array:
        step = definition.increment
        if not definition.cycle:
            end, limit = ("maximum", definition.maximum) if step > 0 else ("minimum", definition.minimum)
            raise error_for("2200H", f'nextval: reached {end} value of sequence "{definition.name}" ({limit})')
        begin = definition.minimum if step > 0 else definition.maximum
        whole = (definition.maximum - definition.minimum) // abs(step) + 1
        head = first + np.arange(left, dtype=np.int64) * step
        rest = begin + np.arange(count - left, dtype=np.int64) % whole * step
        values = np.concatenate((head, rest))
        last = int(values[-1])
        self._write(definition.id, _State(last, True, last))
        state.last, state.called, state.reserved = last, True, last
        return values

    def set(self, definition: SequenceDefinition, value: int, called: bool) -> None:
        """setval; 22003 if the value is beyond the sequence's bounds."""
        if not definition.minimum <= value <= definition.maximum:
            bounds = f"({definition.minimum}..{definition.maximum})"
            message = f'setval: value {value} is out of bounds for sequence "{definition.name}" {bounds}'
            raise error_for("22003", message)
        with self.lock:
            state = _State(value, called, value)
            self._write(definition.id, state)
            self._states[definition.id] = state

    def current(self, definition: SequenceDefinition) -> tuple[int, bool]:
        """(last value, whether it was handed out), as PostgreSQL's `select last_value, is_called from sequence`."""
        with self.lock:
            state = self._state(definition)
            return state.last, state.called

    def forget(self) -> None:
        """In a process that only reads: another one may have moved them on."""
        with self.lock:
            self._states = {}

    def settle(self) -> None:
        """Before closing: write the values as they are, so that none is skipped."""
        with self.lock:
            for id_, state in self._states.items():
                if state.reserved != state.last:
                    self._write(id_, _State(state.last, state.called, state.last))
                    state.reserved = state.last

    def _state(self, definition: SequenceDefinition) -> _State:
        state = self._states.get(definition.id)
        if state is None:
            key = keys.sequence(definition.id)
            value = self._store.get(key)
            if value is None:
                state = _State(definition.start, False, definition.start)
                state.reserved -= definition.increment
            else:
                record: dict[str, Any] = records.unpack(key, value)
                with records.reading(key):
                    state = _State(record["last"], record["called"], record["last"])
            self._states[definition.id] = state
        return state

    def _move(self, definition: SequenceDefinition, state: _State, last: int) -> None:
        step = definition.increment
        if (last > state.reserved) if step > 0 else (last < state.reserved):
            ahead = last + RESERVED_AHEAD * step
            reserved = max(min(ahead, definition.maximum), definition.minimum)
            self._write(definition.id, _State(reserved, True, reserved))  # may fail: then nothing was taken
            state.reserved = reserved
        state.last, state.called = last, True

    def _write(self, id_: int, state: _State) -> None:
        key = keys.sequence(id_)
        record = {"last": state.last, "called": state.called}
        pair = key, records.pack(key, record)
        self._store.write(Batch(puts=[pair]), sync=False)
        if self.noted is not None:
            self.noted[key] = pair[1]
