"""Text kernels against Python's str."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_runner import WORKER, Kernels

from zerodb_compiler.kernels import casemap, errors, hashing, memory, patterns, text, text_building

K = Kernels(
    text.equal_text, text.compare_text, text.starts_with, text.ends_with, text.find_text, text.contains,
    text.char_length, text.substring, text.substring_from, text.left, text.right, text.strpos, text.ltrim, text.rtrim,
    text.trim, text.trim_spaces, text.is_ascii, text_building.lower, text_building.upper, text_building.concat,
    text_building.repeat, text_building.replace, patterns.like, patterns.ilike, hashing.hash_text, hashing.hash_i64,
    hashing.hash_i128, hashing.combine, memory.arena_allocate, memory.scratch, memory.copy_text_to_arena,
    text_building.lower_character, text_building.upper_character,
)  # fmt: skip

few = st.text("ab%_éß中𝄞A ", max_size=40)
texts = st.one_of(few, st.text(max_size=60), st.text("abc", min_size=10, max_size=70))
counts = st.integers(-50, 50)
FAST = settings(max_examples=150, deadline=None)


def put(value: str) -> tuple[int, int]:
    return K.put(value.encode())


@FAST
@given(texts, texts, st.integers(0, 10), st.integers(0, 20))
def test_comparison_and_search(a: str, b: str, start: int, size: int) -> None:
    for other in (b, a[start : start + size], a + b, a[: -start or None]):
        K.reset()
        x, y = put(a), put(other)
        left, right = a.encode(), other.encode()
        assert K.run(text.equal_text, *x, *y) == (left == right)
        order = K.run(text.compare_text, *x, *y)
        assert (order > 0) - (order < 0) == (left > right) - (left < right)
        assert K.run(text.starts_with, *x, *y) == left.startswith(right)
        assert K.run(text.ends_with, *x, *y) == left.endswith(right)
        assert K.run(text.find_text, *x, *y) == left.find(right)
        assert K.run(text.contains, *x, *y) == (right in left)
        assert K.run(text.strpos, *x, *y) == a.find(other) + 1
        assert (K.run(hashing.hash_text, *x) == K.run(hashing.hash_text, *y)) == (left == right)


@FAST
@given(texts, counts, counts)
def test_parts(a: str, start: int, count: int) -> None:
    K.reset()
    x = put(a)
    assert K.run(text.char_length, *x) == len(a)
    assert K.run(text.is_ascii, *x) == a.isascii()
    assert K.text(text.substring_from, *x, start) == a[max(start - 1, 0) :].encode()
    address, length, status = K.run(text.substring, *x, start, count)
    if count < 0:
        assert status == errors.INVALID_COUNT
    else:
        assert status == errors.OK
        assert K.get(address, length).decode() == a[max(start - 1, 0) : max(start - 1 + count, 0)]
    assert K.text(text.left, *x, count) == a[:count].encode()
    assert K.text(text.right, *x, count) == (a[-count:] if count else "").encode()


@FAST
@given(texts, st.text("ab é中", max_size=4))
def test_trim(a: str, characters: str) -> None:
    K.reset()
    x, y = put(a), put(characters)
    assert K.text(text.trim_spaces, *x) == a.strip(" ").encode()
    if characters:
        assert K.text(text.trim, *x, *y) == a.strip(characters).encode()
        assert K.text(text.ltrim, *x, *y) == a.lstrip(characters).encode()
        assert K.text(text.rtrim, *x, *y) == a.rstrip(characters).encode()
    else:
        assert K.text(text.trim, *x, *y) == a.encode()


def lower(value: str) -> str:
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in value)


def upper(value: str) -> str:
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in value)


@FAST
@given(texts, st.text("abZz", max_size=3), few, st.integers(-2, 9))
def test_building(a: str, old: str, new: str, count: int) -> None:
    K.reset()
    x = put(a)
    known = all(ord(c) < 0x10000 for c in a)  # later planes grow with every Unicode version
    if known:
        assert K.text(text_building.lower, WORKER, *x) == lower(a).encode()
        assert K.text(text_building.upper, WORKER, *x) == upper(a).encode()
    assert K.text(text_building.concat, WORKER, *x, *put(new)) == (a + new).encode()
    assert K.text(text_building.repeat, WORKER, *x, count) == (a * count).encode()
    expected = a.replace(old, new) if old else a
    assert K.text(text_building.replace, WORKER, *x, *put(old), *put(new)) == expected.encode()


def test_case_of_the_mapped_characters() -> None:
    for runs, function in ((casemap.LOWER_RUNS, text_building.lower_character),
                           (casemap.UPPER_RUNS, text_building.upper_character)):  # fmt: skip
        mapped = {first + i * step: distance for first, count, step, distance in runs for i in range(count)}
        around = {c + d for c in list(mapped)[::7] for d in (-1, 0, 1)} | {0x80, 0x4E2D, 0x10FFFF}
        for character in around:
            if character >= 0x80:
                assert K.run(function, character) == character + mapped.get(character, 0), hex(character)
    assert lower("ÀÉΣДĀĲ") == "".join(chr(K.run(text_building.lower_character, ord(c))) for c in "ÀÉΣДĀĲ")


def regex(pattern: str, escape: str) -> re.Pattern[str] | None:
    out, i = "", 0
    while i < len(pattern):
        c = pattern[i]
        if c == escape:
            if i + 1 == len(pattern):
                return None
            i += 1
            out += re.escape(pattern[i])
        else:
            out += {"%": ".*", "_": "."}.get(c) or re.escape(c)
        i += 1
    return re.compile(out, re.DOTALL)


@settings(max_examples=400, deadline=None)
@given(st.text("aabé中\\%_", max_size=24), st.text("ab%%_é\\", max_size=10), st.sampled_from(["\\", "", "b", "%", "_"]))
def test_like(a: str, pattern: str, escape: str) -> None:
    K.reset()
    code = ord(escape) if escape else -1
    matched, status = K.run(patterns.like, *put(a), *put(pattern), code)
    expected = regex(pattern, escape)
    if expected is None:
        assert status == errors.INVALID_ESCAPE or not matched
        return
    assert status == errors.OK
    assert matched == (expected.fullmatch(a) is not None)
    if a:
        matched, status = K.run(patterns.like, *put(a), *put("%" + a[len(a) // 2] + "%"), -1)
        if a[len(a) // 2] not in "%_":
            assert matched


def test_ilike_ignores_case() -> None:
    K.reset()
    assert K.run(patterns.ilike, WORKER, *put("Zürich HB"), *put("ZÜ%hb"), 0x5C) == (1, errors.OK)
    assert K.run(patterns.ilike, WORKER, *put("Zürich HB"), *put("ZU%hb"), 0x5C) == (0, errors.OK)


def test_memory_runs_out_in_an_orderly_way() -> None:
    K.reset()
    first = K.run(memory.arena_allocate, WORKER, 40)
    second = K.run(memory.arena_allocate, WORKER, 8)
    assert first % 16 == 0
    assert second == first + 48
    assert K.run(memory.arena_allocate, WORKER, 64 << 20) == 0
    assert K.run(memory.arena_allocate, WORKER, -1) == 0
    assert K.run(memory.scratch, WORKER, 64 << 20) == 0
    assert K.run(memory.scratch, WORKER, 2 << 20) > 0
    copy = K.run(memory.copy_text_to_arena, WORKER, *put("hello"))
    assert K.get(copy, 5) == b"hello"
    assert K.run(memory.arena_allocate, WORKER, 1) % 16 == 0
    assert K.run(text_building.repeat, WORKER, *put("x" * 100), 1 << 30) == (0, 0)


def test_hashes_spread() -> None:
    """Every 12 bits of the hash, top or bottom, fill a table of 4,096 as random numbers would (63 % of the places)."""
    for values in (range(4096), range(0, 4096 << 20, 1 << 20), range(-4096, 0)):
        hashes = [K.run(hashing.hash_i64, value) for value in values]
        assert len(set(hashes)) == 4096
        for shift in (0, 26, 52):
            assert len({h >> shift & 4095 for h in hashes}) > 2450
    K.reset()
    places = [put(f"Customer#{i:09d}") for i in range(4096)]
    hashes = [K.run(hashing.hash_text, *place) for place in places]
    for shift in (0, 26, 52):
        assert len({h >> shift & 4095 for h in hashes}) > 2450
    assert K.run(hashing.combine, 1, 2) != K.run(hashing.combine, 2, 1)
    assert K.run(hashing.hash_i128, 1, 0) != K.run(hashing.hash_i128, 0, 1)
