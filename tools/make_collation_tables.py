"""Makes compiler/zerodb_compiler/collation/root.bin: the collation elements of Unicode's root collation (CLDR).

    python tools/make_collation_tables.py

The data are read out of an ICU library of the system (libicui18n, with ctypes), which holds CLDR's root collation in
the order in which PostgreSQL's "und-x-icu" sorts; no other part of zerodb needs ICU. What the file looks like is said
in zerodb_compiler/collation/__init__.py, whose reader is kernels/collation.py. Takes a minute; the result is the same
for the same version of ICU.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import struct
import zlib
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from zerodb_compiler.collation import (
    CONTRACTION,
    EXPANSION,
    FIRST_HAN,
    FIRST_UNASSIGNED,
    HAN,
    HANGUL,
    MAGIC,
    PAGE,
    SPECIAL,
    UNASSIGNED,
)

TARGET = Path(__file__).parents[1] / "compiler/zerodb_compiler/collation/root.bin"
COMMON = 0x500
Element = tuple[int, int, int]  # primary (32 bits), secondary and tertiary weight (16 bits), the first byte highest
Elements = tuple[Element, ...]


class Icu:
    """The few functions of ICU's C interface that are needed; their names end in the version."""

    def __init__(self) -> None:
        names = [ctypes.util.find_library(name) for name in ("icuuc", "icui18n")]
        if None in names:
            raise SystemExit("no ICU library (libicuuc, libicui18n) found")
        self._libraries = [ctypes.CDLL(name) for name in names]
        assert names[1] is not None
        self.version = names[1].rpartition(".so.")[2].split(".")[0]
        self._error = ctypes.c_int(0)
        self._collator = self._call("ucol_open", ctypes.c_void_p)(b"", ctypes.byref(self._error))
        text = ctypes.create_string_buffer(2)
        self._iterator = self._call("ucol_openElements", ctypes.c_void_p)(
            ctypes.c_void_p(self._collator), text, 1, ctypes.byref(self._error)
        )

    def _call(self, name: str, result: Any) -> Callable[..., Any]:
        for library in self._libraries:
            function = getattr(library, f"{name}_{self.version}", None)
            if function is not None:
                function.restype = result
                return function  # type: ignore[no-any-return]
        raise SystemExit(f"ICU {self.version} has no {name}")

    def elements(self, text: str) -> Elements:
        """ICU gives an element of 64 bits as two of 32; the second is marked by 0xC0."""
        data = text.encode("utf-16-le")
        buffer = ctypes.create_string_buffer(data)
        error = ctypes.byref(self._error)
        iterator = ctypes.c_void_p(self._iterator)
        self._call("ucol_setText", None)(iterator, buffer, len(data) // 2, error)
        next_ = self._call("ucol_next", ctypes.c_int32)
        found: list[Element] = []
        while (order := next_(iterator, error)) != -1:
            order &= 0xFFFFFFFF
            if order & 0xC0 == 0xC0:
                primary, secondary, tertiary = found[-1]
                found[-1] = primary | order >> 16, secondary | order >> 8 & 255, tertiary | order & 0x3F
            elif order:
                found.append((order & 0xFFFF0000, order & 0xFF00, (order & 0x3F) << 8))
        return tuple(found)

    def contractions(self) -> dict[str, Elements]:
        """Strings that have elements of their own, those with a context before them too (l before a middle dot)."""
        error = ctypes.byref(self._error)
        strings = ctypes.c_void_p(self._call("uset_openEmpty", ctypes.c_void_p)())
        self._call("ucol_getContractionsAndExpansions", None)(
            ctypes.c_void_p(self._collator), strings, None, ctypes.c_int8(1), error
        )
        found: dict[str, Elements] = {}
        start, end, buffer = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(64)
        item = self._call("uset_getItem", ctypes.c_int)
        for i in range(self._call("uset_getItemCount", ctypes.c_int)(strings)):
            length = item(strings, i, ctypes.byref(start), ctypes.byref(end), buffer, 32, error)
            if length >= 2:
                text = buffer.raw[: 2 * length].decode("utf-16-le")
                found[text] = self.elements(text)
        return found

    def combining_class(self, character: int) -> int:
        return int(self._call("u_getCombiningClass", ctypes.c_uint8)(character))


def _is_han(element: Element) -> bool:
    return 0xFA <= element[0] >> 24 <= 0xFD


def _is_unassigned(elements: Elements) -> bool:
    return len(elements) == 1 and elements[0][0] >> 24 == 0xFE


class Tables:
    def __init__(self, single: dict[int, Elements], contractions: dict[str, Elements]) -> None:
        self._single = single
        starts: dict[int, list[str]] = {}
        for text in contractions:
            starts.setdefault(ord(text[0]), []).append(text)
        self._starts, self._contractions = starts, contractions
        every = [e for found in (*single.values(), *contractions.values()) for e in found if e[0] >> 24 != 0xFE]
        self.primaries = sorted({e[0] for e in every if not _is_han(e)})
        self.secondaries = sorted({e[1] for e in every})
        self.tertiaries = sorted({e[2] for e in every})
        han = sorted({e[0] for e in every if _is_han(e)})
        assert len(self.primaries) + len(han) < 1 << 18
        assert len(self.secondaries) <= 512
        assert len(self.tertiaries) <= 30
        assert all(weight & 255 == 0 for weight in self.tertiaries)
        _check_bytes(_bytes(p, 4) for p in self.primaries if p)
        _check_bytes(_bytes(s, 2) for s in self.secondaries if s)
        self._primary = {p: i for i, p in enumerate([*self.primaries, *han])}
        self._secondary = {s: i for i, s in enumerate(self.secondaries)}
        self._tertiary = {t: i for i, t in enumerate(self.tertiaries)}
        self.expansions: list[int] = []
        self._expansion_at: dict[Elements, int] = {}
        self.contraction_words: list[int] = []
        self.runs = self._han_runs()

    def common(self) -> tuple[int, int]:
        return self._secondary[COMMON], self._tertiary[COMMON]

    def packed(self, element: Element) -> int:
        primary, secondary, tertiary = element
        return self._primary[primary] << 14 | self._secondary[secondary] << 5 | self._tertiary[tertiary]

    def entry_of(self, elements: Elements) -> int:
        if _is_unassigned(elements):
            return UNASSIGNED
        if len(elements) == 1:
            return self.packed(elements[0])
        at = self._expansion_at.get(elements)
        if at is None:
            at = self._expansion_at[elements] = len(self.expansions)
            self.expansions += map(self.packed, elements)
        assert len(elements) < 32
        assert at < 1 << 19
        return at << 13 | len(elements) << 8 | EXPANSION << 5 | SPECIAL

    def _han_runs(self) -> list[tuple[int, int, int]]:
        """(first, last, packed element of the first) of Han characters whose elements follow one another."""
        runs: list[tuple[int, int, int]] = []
        for character in sorted(self._single):
            found = self._single[character]
            if len(found) == 1 and _is_han(found[0]) and found[0][1:] == (COMMON, COMMON):
                packed = self.packed(found[0])
                if runs and runs[-1][1] + 1 == character and packed == runs[-1][2] + (character - runs[-1][0] << 14):
                    runs[-1] = runs[-1][0], character, runs[-1][2]
                else:
                    runs.append((character, character, packed))
        return [run for run in runs if run[1] - run[0] >= PAGE]

    def entry(self, character: int) -> int:
        found = self._single.get(character, ())
        if character in self._starts:
            return self._contraction(character) << 8 | CONTRACTION << 5 | SPECIAL
        if 0xAC00 <= character <= 0xD7A3:
            return HANGUL << 5 | SPECIAL
        if any(first <= character <= last for first, last, _ in self.runs):
            return HAN << 5 | SPECIAL
        return self.entry_of(found)

    def _contraction(self, character: int) -> int:
        at = len(self.contraction_words)
        texts = sorted(self._starts[character], key=lambda text: (-len(text), text))
        self.contraction_words += [self.entry_of(self._single[character]), len(texts)]
        for text in texts:
            assert 2 <= len(text) <= 3
            last = ord(text[2]) if len(text) == 3 else 0
            self.contraction_words += [ord(text[1]), last, self.entry_of(self._contractions[text])]
        return at


def _bytes(weight: int, size: int) -> bytes:
    return weight.to_bytes(size, "big").rstrip(b"\0")


def _check_bytes(weights: Iterable[bytes]) -> None:
    """No weight is the beginning of another, and none has a byte 0 or begins with 1."""
    ordered = sorted(weights)
    for a, b in pairwise(ordered):
        assert not b.startswith(a), (a, b)
    assert all(0 not in weight and weight[0] > 1 for weight in ordered)


def main() -> None:
    icu = Icu()
    characters = [*range(1, 0xD800), *range(0xE000, 0x110000)]
    tables = Tables({c: icu.elements(chr(c)) for c in characters}, icu.contractions())
    assert tables.primaries[-1] >> 24 == 0xFF
    regular = [p for p in tables.primaries if p >> 24 != 0xFF]
    assert regular[-1] >> 24 < FIRST_HAN >> 16
    assert FIRST_UNASSIGNED + 0x110000 < 0xFF0000
    pages: dict[tuple[int, ...], int] = {}
    index: list[int] = []
    for first in range(0, 0x110000, PAGE):
        page = tuple(tables.entry(c) for c in range(first, first + PAGE))
        index.append(pages.setdefault(page, len(pages)))
    classes = [c << 8 | icu.combining_class(c) for c in characters if icu.combining_class(c)]
    runs = [word for run in tables.runs for word in run]
    common_secondary, common_tertiary = tables.common()
    parts = [
        struct.pack(f"<{len(index)}H", *index),
        b"".join(struct.pack(f"<{PAGE}I", *page) for page in pages),
        _words(tables.expansions),
        _words(tables.contraction_words),
        b"".join(primary.to_bytes(4, "big") for primary in tables.primaries),
        b"".join(secondary.to_bytes(2, "big") for secondary in tables.secondaries),
        bytes(weight >> 8 for weight in tables.tertiaries),
        _words(runs),
        _words(classes),
    ]
    header_words = len(parts) + 5
    offsets: list[int] = []
    body = b""
    for part in parts:
        offsets.append(4 * header_words + len(body))
        body += part + bytes(-len(part) % 4)
    counts = [len(tables.runs), len(classes), len(tables.primaries), common_secondary, common_tertiary]
    blob = _words([*offsets, *counts]) + body
    TARGET.write_bytes(MAGIC + zlib.compress(blob, 9))
    print(f"ICU {icu.version}: {len(blob)} bytes, {TARGET.stat().st_size} in {TARGET.name}, {len(pages)} pages,")
    print(f"{len(tables.primaries)} primaries, {len(tables.expansions)} in expansions, {len(tables.runs)} Han runs")


def _words(values: list[int]) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


if __name__ == "__main__":
    main()
