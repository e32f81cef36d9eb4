"""Random expressions of a wanted type over the columns in scope.

What may fail in one evaluation order and not in another (a division by zero, an overflow) is kept out: divisors go
through `nullif`, arithmetic takes modest values only (`safe`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.differential.searching import newer
from tests.differential.searching.schema import literal, pool
from tests.differential.searching.tree import Node, listed, node

# (result, template, argument types, where "+type" is a safe argument and "=text" is one of constants)
FUNCTIONS: list[tuple[str, str, tuple[str, ...]]] = [
    ("int", "({} + {})", ("+int", "+int")),
    ("int", "({} - {})", ("+int", "+int")),
    ("int", "({} * {})", ("+int", "+small")),
    ("int", "({} / nullif({}, 0))", ("+int", "+int")),
    ("int", "({} % nullif({}, 0))", ("+int", "+int")),
    ("int", "abs({})", ("+int",)),
    ("int", "(- {})", ("+int",)),
    ("int", "length({})", ("txt",)),
    ("int", "char_length({})", ("txt",)),
    ("int", "octet_length({})", ("txt",)),
    ("int", "ascii({})", ("txt",)),
    ("int", "strpos({}, {})", ("txt", "txt")),
    ("int", "position({} in {})", ("txt", "txt")),
    ("int", "cast({} as integer)", ("+num",)),
    ("int", "cast({} as integer)", ("small",)),
    ("int", "cast({} as integer)", ("bool",)),
    ("int", "({} - {})", ("date", "date")),
    ("small", "cast({} as smallint)", ("+small",)),
    ("big", "cast({} as bigint)", ("int",)),
    ("big", "({} + {})", ("+big", "+int")),
    ("big", "({} * {})", ("+big", "+small")),
    ("big", "({} / nullif({}, 0))", ("+big", "+int")),
    ("num", "cast({} as numeric(12,2))", ("+int",)),
    ("num", "cast({} + {} as numeric(12,2))", ("+num", "+num")),
    ("num", "cast({} * {} as numeric(12,2))", ("+num", "+small")),
    ("num", "cast({} / nullif({}, 0) as numeric(12,2))", ("+num", "+num")),
    ("num", "cast(round({}, 1) as numeric(12,2))", ("+num",)),
    ("num", "cast(trunc({}) as numeric(12,2))", ("+num",)),
    ("num", "cast(floor({}) as numeric(12,2))", ("+num",)),
    ("num", "cast(ceil({}) as numeric(12,2))", ("+num",)),
    ("num", "cast(extract(=field from {}) as numeric(12,2))", ("ts",)),
    ("num", "cast(extract(=datefield from {}) as numeric(12,2))", ("date",)),
    ("num", "abs({})", ("+num",)),
    ("dbl", "cast({} as double precision)", ("+num",)),
    ("dbl", "cast({} as double precision)", ("int",)),
    ("dbl", "({} + {})", ("+dbl", "+dbl")),
    ("dbl", "({} * {})", ("+dbl", "+dbl")),
    ("dbl", "({} / nullif({}, 0))", ("+dbl", "+dbl")),
    ("dbl", "floor({})", ("dbl",)),
    ("dbl", "abs({})", ("dbl",)),
    ("dbl", "sign({})", ("+dbl",)),
    ("dbl", "sqrt(abs({}))", ("+dbl",)),
    ("txt", "upper({})", ("txt",)),
    ("txt", "lower({})", ("txt",)),
    ("txt", "initcap({})", ("txt",)),
    ("txt", "reverse({})", ("txt",)),
    ("txt", "trim({})", ("txt",)),
    ("txt", "ltrim({}, 'a ')", ("txt",)),
    ("txt", "rtrim({}, 'b ')", ("txt",)),
    ("txt", "btrim({})", ("txt",)),
    ("txt", "({} || {})", ("txt", "txt")),
    ("txt", "({} || {})", ("txt", "int")),
    ("txt", "concat({}, {})", ("txt", "int")),
    ("txt", "concat_ws('-', {}, {})", ("txt", "txt")),
    ("txt", "substring({} from =small)", ("txt",)),
    ("txt", "substr({}, =small, =small)", ("txt",)),
    ("txt", "left({}, =small)", ("txt",)),
    ("txt", "right({}, =small)", ("txt",)),
    ("txt", "lpad({}, =small, '*')", ("txt",)),
    ("txt", "rpad({}, =small, 'xy')", ("txt",)),
    ("txt", "repeat({}, =small)", ("txt",)),
    ("txt", "replace({}, 'a', 'bb')", ("txt",)),
    ("txt", "translate({}, 'abc', 'xy')", ("txt",)),
    ("txt", "split_part({}, 'a', 1)", ("txt",)),
    ("txt", "md5({})", ("txt",)),
    ("txt", "overlay({} placing 'Q' from 2 for 1)", ("txt",)),
    ("txt", "cast({} as text)", ("int",)),
    ("txt", "cast({} as text)", ("num",)),
    ("txt", "cast({} as text)", ("bool",)),
    ("txt", "cast({} as text)", ("date",)),
    ("txt", "cast({} as text)", ("ts",)),
    ("txt", "cast({} as text)", ("dbl",)),
    ("txt", "cast({} as varchar(3))", ("txt",)),
    ("txt", "to_char({}, 'YYYY-MM-DD')", ("date",)),
    ("txt", "to_char({}, 'HH24:MI:SS')", ("ts",)),
    ("txt", "quote_literal({})", ("txt",)),
    ("date", "({} + =small)", ("+date",)),
    ("date", "({} - =small)", ("+date",)),
    ("date", "cast({} as date)", ("ts",)),
    ("ts", "cast({} as timestamp)", ("date",)),
    ("ts", "({} + interval '=interval')", ("ts",)),
    ("ts", "({} - interval '=interval')", ("ts",)),
    ("ts", "date_trunc('=unit', {})", ("ts",)),
    ("bool", "starts_with({}, {})", ("txt", "txt")),
    ("bool", "({} ~ '=regex')", ("txt",)),
    ("bool", "({} !~* '=regex')", ("txt",)),
    ("bool", "({} ilike '=like')", ("txt",)),
    ("bool", "({} similar to '=similar')", ("txt",)),
]
_CONSTANTS = {
    "small": ("0", "1", "2", "3", "5"),
    "field": ("year", "month", "day", "hour", "minute", "quarter", "dow", "doy", "week", "isodow"),
    "datefield": ("year", "month", "day", "quarter", "dow", "doy", "week", "century", "decade"),
    "timefield": ("hour", "minute", "second", "epoch", "milliseconds"),
    "unit": ("year", "month", "day", "hour", "minute", "week", "quarter", "decade"),
    "interval": ("1 day", "1 month", "2 hours", "-1 year", "1 mon -1 day", "90 minutes"),
    "regex": ("a", "^a", "b$", "[ab]+", "a.c", "^$", "(a|b)c?"),
    "like": ("a%", "%b", "%A%", "_", "a_c", "%", ""),
    "similar": ("a%", "(a|b)+", "_b_", "%"),
}
ORDERED_TYPES = ("int", "small", "big", "num", "dbl", "txt", "bool", "date", "ts", "tstz", "time", "ivl", "uuid",
                 "bytea", "ints", "txts", "irange", "mood")  # fmt: skip
WITHOUT_LEAST = ("bool", "uuid", "bytea", "irange", "jsonb")  # min() and max() do not have them
Subquery = Callable[[tuple[str, ...], "Scope", int], Node]


@dataclass(frozen=True, slots=True)
class Ref:
    """A column in scope."""

    text: str
    type: str
    extremes: bool = True


@dataclass(frozen=True, slots=True)
class Scope:
    """Columns that an expression may name: its own query's, and those of the queries around it. `keys` together
    identify a row."""

    refs: tuple[Ref, ...] = ()
    outer: tuple[Ref, ...] = ()
    keys: tuple[str, ...] = ()


class Expressions:
    def __init__(self, r: random.Random, types: dict[str, str]) -> None:
        self.r = r
        self.types = types
        self.by_result: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        for result, template, arguments in FUNCTIONS + newer.FUNCTIONS:
            if any(argument.lstrip("+") not in types for argument in arguments):
                continue
            self.by_result.setdefault(result, []).append((template, arguments))
        self.subquery: Subquery | None = None
        self.subqueries_left = 0

    def constant(self, type_: str, safe: bool = False) -> Node:
        value = None if self.r.random() < 0.05 else self.r.choice(pool(type_, not safe))
        return Node(type_, [literal(type_, value)])

    def column(self, type_: str, scope: Scope, safe: bool = False) -> Node | None:
        refs = scope.refs
        if scope.outer and self.r.random() < 0.25:
            refs = scope.outer
        fitting = [ref for ref in refs if ref.type == type_ and not (safe and ref.extremes)]
        return Node(type_, [self.r.choice(fitting).text]) if fitting else None

    def leaf(self, type_: str, scope: Scope, safe: bool = False) -> Node:
        found = self.column(type_, scope, safe) if self.r.random() < 0.85 else None
        return found or self.constant(type_, safe)

    def expression(self, type_: str, scope: Scope, depth: int = 2, safe: bool = False) -> Node:
        r = self.r
        choice = r.random()
        if depth <= 0 or choice < 0.4:
            return self.leaf(type_, scope, safe)
        if type_ == "bool" and choice < 0.75:
            return self.predicate(scope, depth - 1)
        if choice < 0.7 and type_ in self.by_result:
            return self._function(type_, scope, depth - 1)
        inner = depth - 1
        if choice < 0.76:
            second = self.expression(type_, scope, inner, safe)
            return node(type_, "coalesce({}, {})", self.leaf(type_, scope, safe), second)
        if choice < 0.84:
            return self._case(type_, scope, inner, safe)
        if choice < 0.87:
            return node(type_, "nullif({}, {})", self.leaf(type_, scope, safe), self.leaf(type_, scope, safe))
        if choice < 0.91 and type_ in ORDERED_TYPES and type_ != "dbl":
            both = (self.leaf(type_, scope, safe), self.expression(type_, scope, inner, safe))
            return node(type_, r.choice(("greatest", "least")) + "({}, {})", *both)
        if choice < 0.97 and self._may_nest() and not safe:
            assert self.subquery is not None
            return self.scalar_subquery(type_, scope, inner)
        return self.leaf(type_, scope, safe)

    def _may_nest(self) -> bool:
        if self.subquery is None or self.subqueries_left <= 0:
            return False
        self.subqueries_left -= 1
        return True

    def scalar_subquery(self, type_: str, scope: Scope, depth: int) -> Node:
        assert self.subquery is not None
        return node(type_, "({})", self.subquery((f"one {type_}",), scope, depth))

    def _case(self, type_: str, scope: Scope, depth: int, safe: bool) -> Node:
        arms = [
            node("arm", " when {} then {}", self.predicate(scope, depth), self.leaf(type_, scope, safe))
            for _ in range(self.r.randint(1, 2))
        ]
        other = node("clause", " else {}", self.expression(type_, scope, depth, safe), optional=True)
        if self.r.random() < 0.2:
            kind = self.r.choice([t for t in ("int", "txt", "bool") if t in self.types])
            arms = [
                node("arm", " when {} then {}", self.leaf(kind, scope), self.leaf(type_, scope, safe)) for _ in arms
            ]
            return node(type_, "case {}{}{} end", self.leaf(kind, scope), listed(arms, ""), other)
        return node(type_, "case{}{} end", listed(arms, ""), other)

    def _function(self, type_: str, scope: Scope, depth: int) -> Node:
        template, arguments = self.r.choice(self.by_result[type_])
        for name, constants in _CONSTANTS.items():
            while f"={name}" in template:
                template = template.replace(f"={name}", self.r.choice(constants), 1)
        children = [
            self.expression(argument.lstrip("+"), scope, depth, argument.startswith("+")) for argument in arguments
        ]
        if "{0}" in template:  # the same argument several times
            return Node(type_, [template.format(*map(str, children))])
        return node(type_, template, *children)

    # --- predicates --------------------------------------------------------------------------------------------------
    def comparable_type(self, scope: Scope) -> str:
        """A type that a column in scope has, if there is one."""
        have = [ref.type for ref in scope.refs if ref.type in ORDERED_TYPES]
        return self.r.choice(have) if have and self.r.random() < 0.9 else "int"

    def predicate(self, scope: Scope, depth: int = 2) -> Node:
        r = self.r
        choice = r.random()
        if depth > 0 and choice < 0.22:
            both = (self.predicate(scope, depth - 1), self.predicate(scope, depth - 1))
            return node("bool", f"({{}} {r.choice(('and', 'or'))} {{}})", *both)
        if depth > 0 and choice < 0.28:
            return node("bool", "(not {})", self.predicate(scope, depth - 1))
        type_ = self.comparable_type(scope)
        left = self.expression(type_, scope, depth - 1)
        if choice < 0.5:
            op = r.choice(("=", "<>", "<", "<=", ">", ">="))
            return node("bool", f"({{}} {op} {{}})", left, self.expression(type_, scope, depth - 1))
        if choice < 0.55:
            word = r.choice(("between", "not between", "between symmetric"))
            return node("bool", f"({{}} {word} {{}} and {{}})", left, self.leaf(type_, scope), self.leaf(type_, scope))
        if choice < 0.62:
            items = listed([self.leaf(type_, scope) for _ in range(r.randint(1, 4))])
            return node("bool", f"({{}} {r.choice(('in', 'not in'))} ({{}}))", left, items)
        if choice < 0.69:
            return node("bool", f"({{}} is {r.choice(('null', 'not null'))})", left)
        if choice < 0.74:
            word = r.choice(("is distinct from", "is not distinct from"))
            return node("bool", f"({{}} {word} {{}})", left, self.leaf(type_, scope))
        if choice < 0.78:
            word = r.choice(("true", "false", "unknown", "not true", "not false", "not unknown"))
            return node("bool", f"({{}} is {word})", self.predicate(scope, 0))
        if choice < 0.82:
            word = r.choice(("like", "not like"))
            return node(
                "bool", f"({{}} {word} '{r.choice(_CONSTANTS['like'])}')", self.expression("txt", scope, depth - 1)
            )
        if choice < 0.95 and self._may_nest():
            return self._subquery_predicate(scope, depth - 1, left, type_)
        if choice < 0.97:
            other = self.comparable_type(scope)
            op = r.choice(("=", "<>", "<", ">=", "is distinct from", "in"))
            if op == "in":
                pairs = [node("row", "({}, {})", self.leaf(type_, scope), self.leaf(other, scope)) for _ in "12"]
                first = node("row", "({}, {})", left, self.leaf(other, scope))
                return node("bool", f"({{}} {r.choice(('in', 'not in'))} ({{}}))", first, listed(pairs))
            rows = [self.leaf(type_, scope), self.leaf(other, scope), self.leaf(type_, scope), self.leaf(other, scope)]
            return node("bool", f"(({{}}, {{}}) {op} ({{}}, {{}}))", *rows)
        return self._function("bool", scope, depth - 1) if depth > 0 else self.leaf("bool", scope)

    def _subquery_predicate(self, scope: Scope, depth: int, left: Node, type_: str) -> Node:
        assert self.subquery is not None
        r = self.r
        choice = r.random()
        if choice < 0.35:
            return node("bool", f"({r.choice(('', 'not '))}exists ({{}}))", self.subquery((type_,), scope, depth))
        if choice < 0.7:
            return node(
                "bool", f"({{}} {r.choice(('in', 'not in'))} ({{}}))", left, self.subquery((type_,), scope, depth)
            )
        if choice < 0.88:
            op, word = r.choice(("=", "<>", "<", "<=", ">", ">=")), r.choice(("any", "all"))
            return node("bool", f"({{}} {op} {word} ({{}}))", left, self.subquery((type_,), scope, depth))
        other = self.comparable_type(scope)
        pair = (left, self.leaf(other, scope), self.subquery((type_, other), scope, depth))
        return node("bool", f"(({{}}, {{}}) {r.choice(('in', 'not in'))} ({{}}))", *pair)
