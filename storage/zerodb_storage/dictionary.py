"""Table-wide dictionaries of text columns that repeat: code <-> string, append-only.

One `DictionaryStore` per column lives as long as the table; a `Dictionary` is the store as one table version sees it:
the first `size` strings. Strings of a rolled-back transaction stay in the store beyond every visible size, or become
unused entries; codes never change.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
import pyarrow as pa

from zerodb_storage.values import Array, Form, Values, as_binary, binary_buffers

SIZE_MAX = 1 << 16  # strings; a column with more is not worth a dictionary
_REPEAT = 10  # a string must occur this often on average when the decision is taken
_SAMPLE_ROWS = 1 << 16


class DictionaryStore:
    """All strings of one column's dictionary, in the order of their codes."""

    __slots__ = ("_bytes", "_codes", "_growing", "_offsets", "size")

    def __init__(self) -> None:
        self.size = 0
        self._codes: dict[bytes, int] = {}
        self._growing = Lock()
        self._offsets: Array = np.zeros(256, np.int64)
        self._bytes: Array = np.empty(4096, np.uint8)

    def append(self, strings: list[bytes]) -> None:
        """Give the next codes to strings, all of them new."""
        if not strings:
            return
        joined = np.frombuffer(b"".join(strings), np.uint8)
        lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        first = self.size
        used = int(self._offsets[first])
        # Readers keep views of the old arrays, so growing makes new ones and never moves a byte that is visible.
        self._offsets = _grown(self._offsets, first + 1, len(strings))
        self._bytes = _grown(self._bytes, used, len(joined))
        np.cumsum(lengths, out=self._offsets[first + 1 : first + 1 + len(strings)])
        self._offsets[first + 1 : first + 1 + len(strings)] += used
        self._bytes[used : used + len(joined)] = joined
        self._codes.update(zip(strings, range(first, first + len(strings)), strict=True))
        self.size = first + len(strings)

    def codes_for(self, strings: list[bytes]) -> Array | None:
        """Codes of distinct strings, appending the new ones; None (and no change) if that would pass `SIZE_MAX`."""
        with self._growing:  # of several transactions that bring new strings
            new = [string for string in strings if string not in self._codes]
            if self.size + len(new) > SIZE_MAX:
                return None
            self.append(new)
        return np.fromiter(map(self._codes.__getitem__, strings), np.int32, len(strings))

    def code_of(self, string: bytes) -> int | None:
        return self._codes.get(string)

    def buffers(self, begin: int, end: int) -> tuple[Array, Array]:
        """Offsets (int64, absolute in the dictionary) and bytes of the strings begin..end-1."""
        offsets = self._offsets[begin : end + 1]
        return offsets, self._bytes[int(offsets[0]) : int(offsets[-1])]


def _grown(array: Array, used: int, more: int) -> Array:
    if used + more <= len(array):
        return array
    grown = np.zeros(max(2 * len(array), used + more), array.dtype)
    grown[:used] = array[:used]
    return grown


@dataclass(frozen=True, slots=True)
class Dictionary:
    """The first `size` strings of a store."""

    store: DictionaryStore
    size: int

    def code_of(self, string: str | bytes) -> int | None:
        """The code of a string, None if this version has no such string."""
        code = self.store.code_of(string.encode() if isinstance(string, str) else string)
        return code if code is not None and code < self.size else None

    def strings_as_buffers(self) -> tuple[Array, Array]:
        """Offsets (int64, size + 1, the first 0) and the bytes they cut."""
        return self.store.buffers(0, self.size)

    def decode(self, values: Values) -> Values:
        """CODES as TEXT."""
        assert values.form is Form.CODES
        offsets, text = self.strings_as_buffers()
        if self.size == 0:  # then all are NULL
            return Values(Form.TEXT, np.zeros(len(values) + 1, np.int64), values.validity, np.empty(0, np.uint8))
        strings = as_binary(Values(Form.TEXT, offsets, None, text)).take(pa.array(values.data))
        if values.validity is not None:
            import pyarrow.compute as pc  # 35 ms that a process without such strings need not spend

            strings = pc.if_else(pa.array(values.validity != 0), strings, pa.scalar(b"", pa.large_binary()))
        taken_offsets, taken = binary_buffers(strings)
        return Values(Form.TEXT, taken_offsets, values.validity, taken)


def distinct_strings(values: Values) -> tuple[Array, list[bytes]]:
    """TEXT as (int32 indexes, the distinct strings in order of appearance); NULLs have index 0."""
    array = as_binary(values)
    if values.validity is not None:
        import pyarrow.compute as pc

        array = pc.if_else(pa.array(values.validity != 0), array, pa.scalar(None, pa.large_binary()))
    encoded = array.dictionary_encode()
    indices = encoded.indices
    if indices.null_count:
        indices = indices.fill_null(0)
    return indices.to_numpy(zero_copy_only=False), encoded.dictionary.to_pylist()


def encode(values: Values, store: DictionaryStore) -> Values | None:
    """TEXT as CODES, appending new strings to the store; None if the dictionary would outgrow its limit."""
    indices, strings = distinct_strings(values)
    return coded(indices, strings, values.validity, store)


def coded(indices: Array, strings: list[bytes], validity: Array | None, store: DictionaryStore) -> Values | None:
    """CODES from indexes into distinct strings (any index under a NULL); None if the dictionary would outgrow it."""
    codes = store.codes_for(strings)
    if codes is None:
        return None
    data = codes[indices] if len(codes) else np.zeros(len(indices), np.int32)
    if validity is not None:
        data *= validity
    return Values(Form.CODES, data, validity)


def worth_it(values: Values) -> bool:
    """Whether a column's first rows repeat enough for a dictionary: at most a tenth distinct, within the limit."""
    rows = len(values)
    if rows < _REPEAT:
        return False
    if rows > 2 * _SAMPLE_ROWS and not _repeats(values.slice(0, _SAMPLE_ROWS), 2):
        return False
    return _repeats(values, _REPEAT)


def _repeats(values: Values, times: int) -> bool:
    present = len(values) - values.null_count
    if present == 0:
        return False
    _, strings = distinct_strings(values)
    return len(strings) * times <= present and len(strings) <= SIZE_MAX


def few(distinct: int, rows: int) -> bool:
    """The rule of `worth_it` for known counts."""
    return 0 < distinct * _REPEAT <= rows and distinct <= SIZE_MAX
