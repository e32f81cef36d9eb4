"""Operators and casts over all exact types, at and around all borders, against exact arithmetic in Python."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from differential_oracle import EXACT_TYPES, OPERATORS, Failure, Outcome, arithmetic, borders, cast
from differential_scratch import Scratch, literal, to_canonical, to_python
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import zerodb
from zerodb_compiler.sql.values import round_shift
from zerodb_compiler.types import DOUBLE, SqlType, TypeId, numeric, shown_decimals

PAIRS = list(itertools.product(EXACT_TYPES, EXACT_TYPES))


def attempt(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except zerodb.Error as error:
        return Failure(error.sqlstate)


def described(cursor: zerodb.Cursor, column: int) -> str:
    assert cursor.description is not None
    name, precision, scale = (cursor.description[column][i] for i in (1, 4, 5))
    return f"numeric({precision},{scale})" if name.startswith("numeric") else str(name)


def fully(type_: SqlType) -> str:
    """A type's name with precision and scale, also where it shows fewer decimals."""
    return str(replace(type_, shown=None))


def seen(type_: SqlType, value: int | None) -> int | None:
    """The value as its text shows it: a quotient is rounded to 16 digits or so."""
    if value is None or type_.shown is None:
        return value
    hidden = type_.scale - shown_decimals(type_, value)
    return round_shift(round_shift(value, -hidden), hidden)


def check_table(scratch: Scratch, expression: str, types: tuple[SqlType, ...], rows: list[tuple[int | None, ...]],
                expected: Callable[..., tuple[SqlType, Outcome]], *, folded: bool = False) -> None:  # fmt: skip
    """`expression` over columns a, b: the rows that must succeed in one query, the others one by one."""
    columns = [("id", EXACT_TYPES[2]), *zip("ab", types, strict=False)]
    outcomes = [expected(*row) for row in rows]
    type_ = outcomes[0][0]
    good = [(i, *row) for i, row in enumerate(rows) if not isinstance(outcomes[i][1], Failure)]
    with scratch.temporary(columns, good, folded=folded) as name:
        cursor = scratch.db.execute(f"select id, {expression} from {name}")
        assert described(cursor, 1) == fully(type_)
        for i, value in cursor.fetchall():
            assert to_canonical(type_, value) == seen(type_, outcomes[i][1]), (expression, *map(str, types), rows[i])
    bad = [(i, *row) for i, row in enumerate(rows) if isinstance(outcomes[i][1], Failure)]
    with scratch.temporary(columns, bad, folded=folded) as name:
        statement = scratch.db.prepare(f"select {expression} from {name} where id = ?")
        for i, *row in bad:
            got = attempt(lambda i=i: statement.execute([i]).fetchall())  # type: ignore[misc]
            assert got == outcomes[i][1], (expression, *map(str, types), row)


@pytest.mark.parametrize("left", EXACT_TYPES, ids=str)
@pytest.mark.parametrize("function", OPERATORS)
def test_operators_at_all_borders(scratch: Scratch, function: str, left: SqlType) -> None:
    for right in EXACT_TYPES:
        if function == "mul" and left.scale + right.scale > 38:
            continue
        rows: list[tuple[int | None, ...]] = list(itertools.product(borders(left), borders(right)))
        rows += [(None, 1), (1, None), (None, None), (None, 0)]
        check_table(
            scratch, f"a {OPERATORS[function]} b", (left, right), rows,
            lambda a, b, right=right: arithmetic(function, left, a, right, b),
        )  # fmt: skip


@st.composite
def operands(draw: st.DrawFn, count: int = 2) -> tuple[tuple[SqlType, ...], list[tuple[int | None, ...]]]:
    """Types, and rows within a drawn part of each type's range: a narrow part makes narrow layouts and tight bounds."""
    types = tuple(draw(st.sampled_from(EXACT_TYPES)) for _ in range(count))
    columns = []
    for type_ in types:
        low, high = type_.bounds
        width = draw(st.sampled_from([7, 127, 128, 32_768, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 64, 1 << 127]))
        near = draw(st.sampled_from([0, 0, low, high]))
        values = st.integers(max(low, near - width), min(high, near + width))
        columns.append(st.one_of(values, st.sampled_from(borders(type_)) if width > 128 else values))
    if draw(st.booleans()):
        columns = [st.one_of(st.none(), column) for column in columns]
    rows = draw(st.lists(st.tuples(*columns), min_size=1, max_size=40))
    return types, rows


def check_operator(scratch: Scratch, function: str, types: tuple[SqlType, ...], rows: Any, folded: bool) -> None:
    if function == "mul" and types[0].scale + types[1].scale > 38:
        return
    check_table(
        scratch, f"a {OPERATORS[function]} b", types, rows,
        lambda a, b: arithmetic(function, types[0], a, types[1], b), folded=folded,
    )  # fmt: skip


BOUNDED = settings(
    max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LONG = settings(BOUNDED, max_examples=2000, derandomize=False)


@given(st.sampled_from(list(OPERATORS)), operands(), st.booleans())
@BOUNDED
def test_operators_over_narrow_columns(scratch: Scratch, function: str, drawn: Any, folded: bool) -> None:
    check_operator(scratch, function, *drawn, folded)


@pytest.mark.slow
@seed(20251121)
@given(st.sampled_from(list(OPERATORS)), operands(), st.booleans())
@LONG
def test_operators_over_narrow_columns_long(scratch: Scratch, function: str, drawn: Any, folded: bool) -> None:
    check_operator(scratch, function, *drawn, folded)


def tight(type_: SqlType, value: int | None, other: SqlType) -> SqlType:
    """The binder's type of an integer constant next to a numeric: only its own digits."""
    if type_.is_integer and other.id is TypeId.NUMERIC and value is not None:
        return SqlType(TypeId.NUMERIC, min(38, len(str(abs(value)))), 0)
    return type_


def check_constants(scratch: Scratch, function: str, types: tuple[SqlType, ...], row: Any) -> None:
    """column op constant, constant op column, constant op constant, parameter op column."""
    (left, right), (a, b) = types, row
    if function == "mul" and left.scale + right.scale > 38:
        return
    symbol = OPERATORS[function]
    x, y = literal(left, a), literal(right, b)
    cases = [
        (f"a {symbol} {y}", left, tight(right, b, left), None),
        (f"{x} {symbol} b", tight(left, a, right), right, None),
        (f"cast(? as {left}) {symbol} b", left, right, [to_python(left, a)]),
        (f"{x} {symbol} {y}", tight(left, a, right), tight(right, b, left), None),
    ]
    with scratch.temporary([("a", left), ("b", right)], [row]) as name:
        for text, left_type, right_type, parameters in cases:
            type_, outcome = arithmetic(function, left_type, a, right_type, b)
            got = attempt(lambda t=text, p=parameters: scratch.db.execute(f"select {t} from {name}", p).fetchall())  # type: ignore[misc]
            if not isinstance(got, Failure):
                got = to_canonical(type_, got[0][0])
            wanted = outcome if isinstance(outcome, Failure) else seen(type_, outcome)
            assert got == wanted, (text, str(left), str(right), row)


@given(st.sampled_from(list(OPERATORS)), operands())
@settings(BOUNDED, max_examples=60)
def test_operators_with_constants(scratch: Scratch, function: str, drawn: Any) -> None:
    check_constants(scratch, function, drawn[0], drawn[1][0])


@pytest.mark.slow
@seed(20251121)
@given(st.sampled_from(list(OPERATORS)), operands())
@LONG
def test_operators_with_constants_long(scratch: Scratch, function: str, drawn: Any) -> None:
    check_constants(scratch, function, drawn[0], drawn[1][0])


@pytest.mark.parametrize("source", EXACT_TYPES, ids=str)
def test_casts_between_exact_types(scratch: Scratch, source: SqlType) -> None:
    """Also at the borders of the target, and at the halves between its values."""
    for target in EXACT_TYPES:
        low, high = source.bounds
        values = set(borders(source))
        shift = 10 ** max(0, source.scale - target.scale)
        for border in target.bounds:
            at = border * 10**source.scale // 10**target.scale
            values |= {at + i for i in (-shift, -1, 0, 1, shift)} | {
                at + i * (shift // 2) + j for i in (-1, 1) for j in (-1, 0, 1)
            }
        values |= {i * shift // 2 + j for i in (-3, -1, 1, 3) for j in (-1, 0, 1)}
        rows: list[tuple[int | None, ...]] = [(v,) for v in sorted(values) if low <= v <= high]
        rows.append((None,))
        check_table(
            scratch, f"cast(a as {target})", (source,), rows,
            lambda a, target=target: (target, cast(source, target, a)),
        )  # fmt: skip


@pytest.mark.parametrize("source", EXACT_TYPES, ids=str)
def test_functions_of_one_number(scratch: Scratch, source: SqlType) -> None:
    from fractions import Fraction

    from differential_oracle import OVERFLOW, fitted, round_half_away, truncated

    # Of integers PostgreSQL has them for double precision only.
    whole, unit = DOUBLE, DOUBLE
    if not source.is_integer:
        whole, unit = numeric(min(38, max(1, source.precision - source.scale + 1)), 0), numeric(1, 0)
    factor = 10**source.scale

    def outcome(function: str, a: int | None) -> Outcome:
        if a is None:
            return None
        exact = Fraction(a, factor)
        match function:
            case "-":
                return fitted(source, -a)
            case "abs":
                return fitted(source, abs(a))
            case "sign":
                return (a > 0) - (a < 0)
            case _ if whole == DOUBLE:
                return float(a)
            case "floor":
                return fitted(whole, exact.__floor__())
            case "ceil":
                return fitted(whole, exact.__ceil__())
            case "trunc":
                return fitted(whole, truncated(exact))
            case "round":
                return fitted(whole, round_half_away(exact))
        return OVERFLOW

    half = factor // 2
    low, high = source.bounds
    values = set(borders(source)) | {i * factor + j * half + k for i in (-2, 0, 2) for j in (-1, 1) for k in (-1, 0, 1)}
    rows: list[tuple[int | None, ...]] = [(v,) for v in sorted(values) if low <= v <= high]
    rows.append((None,))
    for function in ("-", "abs", "sign", "floor", "ceil", "trunc", "round"):
        type_ = {"-": source, "abs": source, "sign": unit}.get(function, whole)
        check_table(scratch, f"{function}(a)", (source,), rows, lambda a, f=function, t=type_: (t, outcome(f, a)))
