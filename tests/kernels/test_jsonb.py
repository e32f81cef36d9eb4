"""jsonb: the kernels against the Python encoder, and both against Python's json."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_runner import WORKER, Kernels

from zerodb_compiler import jsonb as form
from zerodb_compiler.errors import DatabaseError
from zerodb_compiler.kernels import jsonb, jsonb_keys, jsonb_text
from zerodb_compiler.types import JSONB

TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=8)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), TEXT)
DOCUMENTS = st.recursive(
    SCALARS, lambda part: st.one_of(st.lists(part, max_size=4), st.dictionaries(TEXT, part, max_size=4)), max_leaves=12
)
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    names = (
        jsonb_text.parse_jsonb,
        jsonb_text.format_jsonb,
        jsonb_keys.jsonb_key,
        jsonb.compare_numbers,
        jsonb.contains,
    )
    return Kernels(*names)


def parsed(kernels: Kernels, text: str) -> bytes | None:
    kernels.reset()
    address, length, status = kernels.run(jsonb_text.parse_jsonb, WORKER, *kernels.put(text.encode()))
    return None if status else kernels.get(address, length)


@SETTINGS
@given(DOCUMENTS, st.booleans())
def test_documents_round_trip(kernels: Kernels, value: object, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    data = form.parse_jsonb(JSONB, text, None)
    assert parsed(kernels, text) == data
    assert form.to_python(data) == value
    shown = kernels.text(jsonb_text.format_jsonb, WORKER, *kernels.put(data), -1)
    assert shown is not None
    assert shown.decode() == form.format_jsonb(JSONB, data)
    assert json.loads(shown) == value


@SETTINGS
@given(NUMBERS, NUMBERS)
def test_numbers_keep_their_digits_and_compare_by_value(kernels: Kernels, a: str, b: str) -> None:
    nodes = [form.parse_jsonb(JSONB, text, None) for text in (a, b)]
    assert [parsed(kernels, text) for text in (a, b)] == nodes
    x, y = Decimal(a), Decimal(b)
    assert [Decimal(node[1:].decode()) for node in nodes] == [x, y]
    kernels.reset()
    keys = [kernels.text(jsonb_keys.jsonb_key, WORKER, *kernels.put(node)) for node in nodes]
    assert keys[0] is not None
    assert keys[1] is not None
    assert (keys[0] < keys[1], keys[0] == keys[1]) == (x < y, x == y)
    sides = [part for node in nodes for part in kernels.put(node[1:])]
    assert kernels.run(jsonb.compare_numbers, *sides) == (x > y) - (x < y)


@SETTINGS
@given(DOCUMENTS)
def test_a_value_contains_itself(kernels: Kernels, value: object) -> None:
    kernels.reset()
    data = form.parse_jsonb(JSONB, json.dumps(value), None)
    assert kernels.run(jsonb.contains, *kernels.put(data), *kernels.put(data)) == 1


@SETTINGS
@given(st.text('[]{}",:\\u0123e.-+ntrfalse ', max_size=12))
def test_malformed_text_is_refused_by_both(kernels: Kernels, text: str) -> None:
    try:
        data: bytes | None = form.parse_jsonb(JSONB, text, None)
    except DatabaseError:
        data = None
    assert parsed(kernels, text) == data


def test_nesting_has_a_limit(kernels: Kernels) -> None:
    deep = "[" * form.MAX_DEPTH + "]" * form.MAX_DEPTH
    assert parsed(kernels, deep) == form.parse_jsonb(JSONB, deep, None)
    assert parsed(kernels, f"[{deep}]") is None
    with pytest.raises(DatabaseError):
        form.parse_jsonb(JSONB, f"[{deep}]", None)
