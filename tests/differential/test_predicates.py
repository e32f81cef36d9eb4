"""Comparisons over columns of every width, nullable or not, with deletions and a delta: three-valued logic in Python.

The constants are also ones beyond the range that the column's layout was narrowed to, and NULL parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from differential_scratch import Scratch, fold_after, to_python
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from zerodb_compiler.types import BIGINT, HUGEINT, INTEGER, SMALLINT, TEXT, U8, U32, U64, SqlType, numeric

TYPES = (SMALLINT, INTEGER, BIGINT, HUGEINT, U8, U32, U64, numeric(9, 2), numeric(38, 4))
Truth = bool | None
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def compare(op: str, a: Any, b: Any) -> Truth:
    return None if a is None or b is None else COMPARE[op](a, b)


def both(a: Truth, b: Truth) -> Truth:
    return False if a is False or b is False else None if a is None or b is None else True


def either(a: Truth, b: Truth) -> Truth:
    return negated(both(negated(a), negated(b)))


def negated(a: Truth) -> Truth:
    return None if a is None else not a


@st.composite
def cases(draw: st.DrawFn) -> tuple[SqlType, list[tuple[Any, Any]], list[Any]]:
    """A type, rows of two columns of it, and constants in, at and beyond what the columns hold."""
    type_ = draw(st.sampled_from(TYPES))
    low, high = type_.bounds
    reach = draw(st.sampled_from([3, 127, 128, 255, 32_767, 32_768, (1 << 31) - 1, 1 << 31, (1 << 63) - 1, 1 << 63]))
    near = st.integers(max(low, -reach - 1), min(high, reach))
    values: Any = st.one_of(near, st.sampled_from([max(low, -reach - 1), min(high, reach)]))
    if draw(st.booleans()):
        values = st.one_of(st.none(), values)
    rows = draw(st.lists(st.tuples(values, values), min_size=1, max_size=70))
    beyond = [v for b in (reach, -reach - 1) for v in (b - 1, b, b + 1) if low <= v <= high] + [low, high, 0]
    constants = draw(st.lists(st.one_of(st.sampled_from(beyond), near, st.none()), min_size=3, max_size=3))
    return type_, rows, constants


def predicates(x: list[Any]) -> list[tuple[str, int, Callable[[Any, Any], Truth]]]:
    """Text with `?` for the constants used (a prefix of x), how many, and what it means for a row (a, b)."""
    found: list[tuple[str, int, Callable[[Any, Any], Truth]]] = []
    for op in COMPARE:
        found.append((f"a {op} ?", 1, lambda a, b, op=op: compare(op, a, x[0])))  # type: ignore[misc]
        found.append((f"? {op} a", 1, lambda a, b, op=op: compare(op, x[0], a)))  # type: ignore[misc]
        found.append((f"a {op} b", 0, lambda a, b, op=op: compare(op, a, b)))  # type: ignore[misc]
        found.append((f"not a {op} ?", 1, lambda a, b, op=op: negated(compare(op, a, x[0]))))  # type: ignore[misc]
    return [
        *found,
        ("a between ? and ?", 2, lambda a, b: both(compare(">=", a, x[0]), compare("<=", a, x[1]))),
        ("a not between ? and ?", 2, lambda a, b: negated(both(compare(">=", a, x[0]), compare("<=", a, x[1])))),
        ("a in (?, ?, ?)", 3, lambda a, b: either(either(*(compare("=", a, v) for v in x[:2])), compare("=", a, x[2]))),
        ("a not in (?, ?)", 2, lambda a, b: negated(either(*(compare("=", a, v) for v in x[:2])))),
        ("a > ? and a < ? and b <> ?", 3,
         lambda a, b: both(both(compare(">", a, x[0]), compare("<", a, x[1])), compare("<>", b, x[2]))),
        ("a >= ? or b < ?", 2, lambda a, b: either(compare(">=", a, x[0]), compare("<", b, x[1]))),
        ("a is distinct from ?", 1, lambda a, b: (a is None) != (x[0] is None) or a != x[0]),
        ("a is not distinct from b", 0, lambda a, b: a == b),
        ("coalesce(a, b) = ?", 1, lambda a, b: compare("=", b if a is None else a, x[0])),
        ("nullif(a, ?) is null", 1, lambda a, b: a is None or compare("=", a, x[0]) is True),
        ("case when a < ? then b end > ?", 2,
         lambda a, b: compare(">", b if compare("<", a, x[0]) else None, x[1])),
    ]  # fmt: skip


def check(scratch: Scratch, drawn: tuple[SqlType, list[tuple[Any, Any]], list[Any]], folded: int) -> None:
    type_, rows, x = drawn
    cut = len(rows) * folded // 2
    table = [(i, *row) for i, row in enumerate(rows)]
    with scratch.temporary([("id", INTEGER), ("a", type_), ("b", type_)], table[:cut], folded=True) as name:
        if table[cut:]:
            values = [[i, to_python(type_, a), to_python(type_, b)] for i, a, b in table[cut:]]
            with fold_after(1 << 40):
                scratch.db.executemany(f"insert into {name} values (?, ?, ?)", values)
                scratch.db.execute(f"delete from {name} where id % 5 = 3")
        else:
            scratch.db.execute(f"delete from {name} where id % 5 = 3")
        there = [row for row in table if row[0] % 5 != 3]
        constants = [to_python(type_, value) for value in x]
        for text, count, meaning in predicates(x):
            expected = sorted(i for i, a, b in there if meaning(a, b))
            literals = text
            for value in constants[:count]:
                literals = literals.replace("?", "null" if value is None else f"({value})", 1)
            for where, parameters in ((text, constants[:count]), (literals, None)):
                sql = f"select id from {name} where {where}"
                got = sorted(row[0] for row in scratch.db.execute(sql, parameters).fetchall())
                assert got == expected, (where, str(type_), x, rows)
            sql = f"select id, {text} from {name}"
            got_truth = dict(scratch.db.execute(sql, constants[:count]).fetchall())
            assert got_truth == {i: meaning(a, b) for i, a, b in there}, (text, str(type_), x, rows)


BOUNDED = settings(
    max_examples=25, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(cases(), st.integers(0, 2))
@BOUNDED
def test_comparisons(scratch: Scratch, drawn: Any, folded: int) -> None:
    check(scratch, drawn, folded)


@pytest.mark.slow
@seed(20251121)
@given(cases(), st.integers(0, 2))
@settings(BOUNDED, max_examples=800, derandomize=False)
def test_comparisons_long(scratch: Scratch, drawn: Any, folded: int) -> None:
    check(scratch, drawn, folded)


def test_texts_in_dictionaries_and_raw(scratch: Scratch) -> None:
    """The same comparisons over few strings (a dictionary) and many (raw), with constants that are in neither."""
    few = [None, "", "a", "b", "ab", "é", "a b"]
    for values in (few, [*few, *(f"text {i}" for i in range(400))]):
        rows = [
            (i, value, values[(i * 7 + 3) % len(values)])
            for i, value in enumerate(values * (3 if values is few else 1))
        ]
        for folded in (True, False):
            with scratch.temporary([("id", INTEGER), ("a", TEXT), ("b", TEXT)], rows, folded=folded) as name:
                for x in (["a", "b", "zz"], ["text 3", None, ""], [None, "é", "text 399"], [None, None, None]):
                    for text, count, meaning in predicates(x):
                        literals = text
                        for value in x[:count]:
                            literals = literals.replace("?", "null" if value is None else f"'{value}'", 1)
                        for where, parameters in ((text, x[:count]), (literals, None)):
                            sql = f"select id from {name} where {where}"
                            got = sorted(row[0] for row in scratch.db.execute(sql, parameters).fetchall())
                            assert got == [i for i, a, b in rows if meaning(a, b)], (where, x)
