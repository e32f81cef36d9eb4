"""Batches of keys: a SELECT by key for many keys, with one call for hundreds of them.

keys --pack--> parameters, one set after another --one call--> results, one after another --unpack--> rows
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zerodb.engine.point_call import call_unchecked
from zerodb.engine.pool import out_of_memory
from zerodb.outcome import Row
from zerodb.points.point import (
    newest_source,
    parameter_kind,
    parameters_source,
    results_format,
    results_source,
    taken_source,
)
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen import point_abi as pa
from zerodb_compiler.codegen.point import BATCH_COUNT, BATCH_NEXT, BATCH_PARAMETERS, BATCH_RESULTS
from zerodb_compiler.errors import Error

if TYPE_CHECKING:
    from zerodb.points.point import PointStatement
    from zerodb.values import Parameters

KEYS = 512  # of one call
TEXT_BYTES = 1 << 15  # of the keys of one call


class _Call:
    """The memory of batches, and their calls."""

    def __init__(self, statement: PointStatement) -> None:
        self._statement = statement
        memory = statement.connection._database.engine.memory
        self._words = memory.words
        self.stride = abi.PARAMETER_BYTES * len(statement.prepared.user)
        self.result_bytes = struct.calcsize(results_format(statement.program))
        sizes = KEYS * self.stride, KEYS * self.result_bytes + 16, TEXT_BYTES
        self._block = memory.allocate(sum(sizes) + 64)
        if not self._block:
            raise out_of_memory(memory)
        self.parameters = self._block
        self.results = self.parameters + sizes[0]
        self.texts = self.results + sizes[1]
        fields = statement.program.batch
        statement.call.put(fields + BATCH_PARAMETERS, self.parameters)
        statement.call.put(fields + BATCH_RESULTS, self.results)
        self._next = (statement.call.address + fields + BATCH_NEXT) >> 2
        self._count = (statement.call.address + fields + BATCH_COUNT) >> 2

    def __del__(self) -> None:
        block = getattr(self, "_block", 0)
        if block:
            self._statement.connection._database.engine.unused_frames.append(block)

    def run(self, count: int) -> bool:
        """Looks for the first `count` keys; False if the general path has to."""
        statement, words = self._statement, self._words
        words[self._next], words[self._count] = 0, count
        statement.call.prepare(1, 0)
        try:
            while True:
                before = words[self._next]
                call_unchecked(*statement.call.arguments)
                done = words[self._next]
                if done == count:
                    return True
                place = (self.results + done * self.result_bytes) >> 2
                status = words[place] - (1 << 32)
                if status != pa.STATUS_ABSENT or not statement.absent(words[place + 2]):
                    return False
                if done == before:
                    continue  # the chunk is there now
        finally:
            statement.call.prepare(0, 0)

    def packed(self, part: Sequence[Any]) -> bool:
        """Packs keys of plain integers column by column; False if they are not."""
        user = self._statement.prepared.user
        if set(map(type, part)) != {tuple} or set(map(len, part)) != {len(user)}:
            return False
        for number, (parameter, column) in enumerate(zip(user, zip(*part, strict=True), strict=True)):
            if set(map(type, column)) != {int} or parameter.name != number + 1:
                return False
            low, high = parameter.type.bounds
            if min(column) < low or max(column) > high:
                return False
            place = self.parameters + number * abi.PARAMETER_BYTES
            self._field(place + abi.PARAMETER_IS_NULL, len(part))[:] = 0
            self._field(place + abi.PARAMETER_VALUE, len(part))[:] = column
        return True

    def _field(self, address: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """A field of parameters that lie one set after another."""
        memory = self._statement.connection._database.engine.memory
        return np.ndarray((count,), np.int64, memory.array, address, (self.stride,))


def batch_function(statement: PointStatement) -> Callable[[Sequence[Parameters]], list[Row | None]]:
    """Makes the function."""
    connection, call = statement.connection, _Call(statement)
    names: dict[str, Any] = {
        "Error": Error,
        "bind": statement.bind,
        "connection": connection,
        "directory": statement.directory,
        "each": statement.fetch_each,
        "is_bound": statement.is_bound,
        "lock": connection._lock,
        "memory": connection._database.engine.memory.bytes,
        "options": connection._options,
        "packed": call.packed,
        "overflow": (struct.error, ValueError, OverflowError),
        "run": call.run,
        "session": connection._session,
        "state": statement,
        "storage": statement.storage,
        "text_end": call.texts + TEXT_BYTES,
        "text_start": call.texts,
    }
    is_plain = bool(statement.prepared.user) and all(
        parameter_kind(parameter.type) == "integer" for parameter in statement.prepared.user
    )
    lines, form, packed = parameters_source(statement.prepared.user, names)
    lines = [line for line in lines if line != "place = text_start"]
    names["pack"] = struct.Struct(form).pack_into
    names["unpack"] = struct.Struct(results_format(statement.program)).iter_unpack
    unpacked, made = results_source(statement.columns, names)
    nullable = ", ".join(f"None if flags & {1 << number} else {value}" for number, value in enumerate(made))
    body = [
        "rows = []",
        "with lock:",
        "    t = session._transaction",
        f"    if ({newest_source(statement)} is not state.snapshot if t is None"
        " else t is not state.transaction or not is_bound(t))"
        " or options.changes != state.options_changes or connection._closed:",
        "        if not bind(): return each(keys)",
        f"    for first in range(0, len(keys), {KEYS}):",
        f"        part = keys[first:first + {KEYS}]",
        f"        at, place = {call.parameters}, text_start",
        "        for parameters in () if packed(part) else part:" if is_plain else "        for parameters in part:",
        *(f"            {line}" for line in [*taken_source(statement.prepared.user), *lines]),
        f"            try: pack(memory, at, {', '.join(packed)})" if packed else "            pass",
        "            except overflow: return each(keys)" if packed else "            pass",
        f"            at += {call.stride}",
        "        known = directory.let_go",
        "        if not run(len(part)): return each(keys)",
        f"        results = memory[{call.results}:{call.results} + len(part) * {call.result_bytes}]",
        "        try:",
        f"            rows += [None if status != {pa.STATUS_ROW} else ({nullable},) if flags else ({', '.join(made)},)",
        f"                     for {', '.join(unpacked)}, in unpack(results)]",
        "        except overflow: return each(keys)",
        # Other threads may have run since the call, and let the memory go that texts lie in.
        "        if directory.let_go != known: return each(keys)",
        "return rows",
    ]
    text = "def fetch(keys):\n" + "\n".join(f"    {line}" for line in body)
    text = text.replace("return general(parameters)", "return each(keys)")
    exec(compile(text, "<point statement>", "exec"), names)  # made here, of nothing but types
    fetch: Callable[[Sequence[Parameters]], list[Row | None]] = names["fetch"]
    return fetch
