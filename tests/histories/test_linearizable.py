"""Recorded histories of key-value stores (porcupine's fixtures) are told apart, and small ones by hand."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.conformance.corpora import corpus, corpus_files
from tests.histories.linearizable import NEVER, Operation, is_linearizable

_LINE = re.compile(r'\{:process (\d+), :type :(\w+), :f :(\w+), :key "([^"]*)", :value (?:nil|"([^"]*)")\}')


def get(found: str) -> Callable[[str], str | None]:
    return lambda state: state if state == found else None


def put(value: str) -> Callable[[str], str | None]:
    return lambda state: value


def append(value: str) -> Callable[[str], str | None]:
    return lambda state: state + value


def read_history(path: Path) -> dict[str, list[Operation[str]]]:
    """By key, the operations of a file: a line for each beginning and each end."""
    begun: dict[str, tuple[int, str, str, str]] = {}
    found: dict[str, list[Operation[str]]] = defaultdict(list)
    for place, line in enumerate(path.read_text().splitlines()):
        parts = _LINE.fullmatch(line.strip())
        assert parts is not None, line
        process, kind, function, key, value = parts.groups()
        if kind == "invoke":
            begun[process] = (place, function, key, value or "")
            continue
        start, function, key, given = begun.pop(process)
        apply = get(value or "") if function == "get" else put(given) if function == "put" else append(given)
        found[key].append(Operation(start, place, apply))
    for start, function, key, given in begun.values():
        if function != "get":
            found[key].append(Operation(start, NEVER, put(given) if function == "put" else append(given)))
    return found


@pytest.mark.parametrize("name", corpus_files("linearizability", "kv/*.txt") or ["(none)"])
def test_a_recorded_history(name: str) -> None:
    objects = read_history(corpus("linearizability") / name)
    assert all(is_linearizable(operations, "") for operations in objects.values()) == name.endswith("-ok.txt")


def op(start: int, end: int, apply: Callable[[str], str | None]) -> Operation[str]:
    return Operation(start, end, apply)


def test_small_histories() -> None:
    check = partial(is_linearizable, initial="")
    assert check([op(0, 1, put("a")), op(2, 3, get("a"))])
    assert not check([op(0, 1, put("a")), op(2, 3, get(""))])
    assert check([op(0, 3, put("a")), op(1, 2, get(""))])
    assert check([op(0, NEVER, put("a")), op(1, 2, get("a"))])
    assert check([op(0, NEVER, put("a")), op(1, 2, get(""))])
    assert not check([op(0, NEVER, put("a")), op(1, 2, get("a")), op(3, 4, get(""))])
