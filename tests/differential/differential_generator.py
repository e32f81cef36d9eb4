"""Random schemas, data and queries that zerodb and DuckDB must answer alike.

A `Maker` draws structure and constants from two generators, so that a failing case is its seed, and a query can be had
again with other constants: then zerodb should run code it has compiled already. Queries stay where the two systems
agree by definition: integer arithmetic that cannot overflow, exact aggregates, NULLS FIRST or LAST always said. Values
come from small pools, so that joins, groups and duplicates meet; the widths of the pools differ, so that layouts do.
"""

from __future__ import annotations

import datetime
import math
import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

DUCK_TYPES = {
    "smallint": "smallint",
    "integer": "integer",
    "bigint": "bigint",
    "hugeint": "hugeint",
    "u8": "utinyint",
    "u32": "uinteger",
    "u64": "ubigint",
    "numeric(9,2)": "decimal(9,2)",
    "numeric(30,5)": "decimal(30,5)",
    "double precision": "double",
    "real": "real",
    "text": "varchar",
    "date": "date",
    "timestamp": "timestamp",
    "boolean": "boolean",
}
INTEGERS = ("smallint", "integer", "bigint", "hugeint", "u8", "u32", "u64")
NUMBERS = (*INTEGERS, "numeric(9,2)", "numeric(30,5)")
TYPES = tuple(DUCK_TYPES)
WORDS = ["", "a", "b", "ab", "abc", "B", "zebra", "é", "日本", "a%b", "it's", "x" * 40, "x" * 39 + "y", " a", "a "]
_RANGES = {
    "smallint": (-(1 << 15), (1 << 15) - 1),
    "integer": (-(1 << 31), (1 << 31) - 1),
    "bigint": (-(1 << 63), (1 << 63) - 1),
    "hugeint": (-(10**37), 10**37),
    "u8": (0, 255),
    "u32": (0, (1 << 32) - 1),
    "u64": (0, (1 << 64) - 1),
}


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    name: str
    type: str
    not_null: bool
    pool: tuple[Any, ...]


@dataclass(slots=True)
class TableSpec:
    name: str
    columns: list[ColumnSpec]
    rows: list[tuple[Any, ...]]
    key: bool = False


@dataclass(slots=True)
class Source:
    """A table in FROM: alias and the columns one may name."""

    alias: str
    columns: list[tuple[str, str]]  # (reference, type)


@dataclass(slots=True)
class Query:
    text: str
    ordered: bool
    parts: list[str] = field(default_factory=list)


class Maker:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.values = random.Random(seed + 1)
        self.tables: list[TableSpec] = []
        self._alias = 0

    # ---- data
    def value(self, type_: str, wide: bool) -> Any:
        r = self.values
        match type_:
            case "boolean":
                return r.random() < 0.5
            case "text":
                return r.choice(WORDS) if not wide else f"w{r.randrange(400)}" + "x" * r.randrange(20)
            case "date":
                return datetime.date(1970, 1, 1) + datetime.timedelta(
                    r.randrange(-40_000, 40_000) if wide else r.randrange(9)
                )
            case "timestamp":
                micros = r.randrange(-(10**15), 10**15) if wide else r.randrange(5) * 1_000_000
                return datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=micros)
            case "double precision" | "real":
                special = [0.0, -0.0, math.nan, math.inf, -math.inf, 1.5, -1.5, 2.0, 16777216.0]
                return r.choice(special) if not wide else float(r.randrange(-1000, 1000)) / 8
            case "numeric(9,2)":
                return Decimal(r.randrange(-999_999_999, 10**9) if wide else r.randrange(-300, 300)).scaleb(-2)
            case "numeric(30,5)":
                return Decimal(r.randrange(-(10**30) + 1, 10**30) if wide else r.randrange(-300_000, 300_000)).scaleb(
                    -5
                )
        low, high = _RANGES[type_]
        if wide:
            return r.choice([low, high, r.randint(low, high), r.randint(max(low, -200), min(high, 200))])
        return r.randint(max(low, -3), 6)

    def table(self, rows: int | None = None, types: list[str] | None = None) -> TableSpec:
        r = self.random
        types = types or ["integer", *(r.choice(TYPES) for _ in range(r.randint(2, 6)))]
        columns = []
        for i, type_ in enumerate(types):
            wide = r.random() < 0.35
            pool = tuple(self.value(type_, wide) for _ in range(r.choice([1, 3, 8, 30])))
            shared = [c.pool for t in self.tables for c in t.columns if c.type == type_]
            if shared and r.random() < 0.6:
                pool = r.choice(shared)  # so that joins find partners
            columns.append(ColumnSpec(f"c{i}", type_, r.random() < 0.3, pool))
        count = r.choice([0, 1, 7, 15, 16, 17, 33, 40, 60, 150, 300]) if rows is None else rows
        data = [self.row(columns) for _ in range(count)]
        spec = TableSpec(f"t{len(self.tables)}", columns, data)
        self.tables.append(spec)
        return spec

    def row(self, columns: list[ColumnSpec]) -> tuple[Any, ...]:
        r = self.random
        nulls = r.choice([0.0, 0.05, 0.3])
        return tuple(None if not c.not_null and r.random() < nulls else r.choice(c.pool) for c in columns)

    # ---- expressions
    def constant(self, type_: str, pool: tuple[Any, ...] = ()) -> str:
        r = self.random
        if r.random() < 0.03:
            return f"cast(null as {type_})"
        pooled, wide = r.random() < 0.7, r.random() < 0.4
        value = self.values.choice(pool) if pool and pooled else self.value(type_, wide)
        return self.literal(type_, value)

    def literal(self, type_: str, value: Any) -> str:
        match type_:
            case "boolean":
                return str(value).lower()
            case "text":
                return "'" + value.replace("'", "''") + "'"
            case "date":
                return f"date '{value}'"
            case "timestamp":
                return f"timestamp '{value}'"
            case "double precision" | "real":
                return f"cast('{value}' as {type_})"
        if self.random.random() < 0.8 and isinstance(value, int) and abs(value) < 1 << 62:
            return f"({value})" if value < 0 else str(value)
        return f"cast('{value}' as {type_})"

    def columns(self, sources: list[Source], *types: str) -> list[tuple[str, str]]:
        return [c for s in sources for c in s.columns if not types or c[1] in types]

    def pool(self, type_: str) -> tuple[Any, ...]:
        """Values that some column of the type has."""
        pools = [c.pool for t in self.tables for c in t.columns if c.type == type_]
        return self.random.choice(pools) if pools else ()

    def scalar(self, sources: list[Source], depth: int = 2) -> tuple[str, str]:
        """An expression and its type."""
        r = self.random
        columns = self.columns(sources)
        choice = r.random()
        if depth == 0 or choice < 0.55 or not columns:
            if columns and r.random() < 0.9:
                return r.choice(columns)
            type_ = r.choice(TYPES)
            return self.constant(type_), type_
        if choice < 0.65:
            small = self.columns(sources, "smallint", "integer", "u8")
            if small:
                # As bigint nothing overflows here.
                name = r.choice(small)[0]
                other = r.choice([r.choice(small)[0], str(r.randrange(1, 9))])
                return f"(cast({name} as bigint) {r.choice('+-*')} {other})", "bigint"
        if choice < 0.7 and (found := self._computed(sources)) is not None:
            return found
        reference, type_ = r.choice(columns)
        if choice < 0.75:
            same = r.choice(self.columns(sources, type_))[0]
            return f"coalesce({reference}, {same}, {self.constant(type_, self.pool(type_))})", type_
        if choice < 0.85:
            same = r.choice(self.columns(sources, type_))[0]
            return f"case when {self.predicate(sources, depth - 1)} then {reference} else {same} end", type_
        if choice < 0.9:
            return f"case when {self.predicate(sources, depth - 1)} then {reference} end", type_
        if choice < 0.95:
            return f"nullif({reference}, {self.constant(type_, self.pool(type_))})", type_
        name = r.choice(("greatest", "least"))
        same = r.choice(self.columns(sources, type_))[0]
        return f"{name}({reference}, {same})", type_

    def _computed(self, sources: list[Source]) -> tuple[str, str] | None:
        """Functions and arithmetic that mean the same in both systems and cannot fail."""
        r = self.random
        reference, type_ = r.choice(self.columns(sources))
        match type_:
            case "text":
                function = r.choice(("lower({})", "upper({})", "{} || '-' || {}", "substring({}, 2, 3)", "trim({})",
                                     "replace({}, 'a', 'bb')", "left({}, 2)", "right({}, 1)"))  # fmt: skip
                if r.random() < 0.3:
                    return f"length({reference})", "bigint"
                return function.format(reference, reference), "text"
            case "date":
                if r.random() < 0.5:
                    unit = r.choice(("year", "month", "day", "quarter", "dow", "doy"))
                    return f"extract({unit} from {reference})", "bigint"
                return f"({reference} {r.choice('+-')} {r.randrange(100)})", "date"
            case "timestamp":
                return f"extract({r.choice(('year', 'month', 'day', 'hour', 'minute'))} from {reference})", "bigint"
            case "numeric(9,2)":
                other = r.choice(self.columns(sources, "numeric(9,2)", "smallint", "u8"))[0]
                return f"cast({reference} {r.choice('+-*')} {other} as numeric(30,5))", "numeric(30,5)"
            case "boolean":
                return f"not {reference}", "boolean"
            case "smallint" | "u8" | "integer":
                return (
                    f"cast({reference} as {r.choice(('bigint', 'hugeint', 'numeric(30,5)', 'double precision'))})",
                    "sum",
                )
        return None

    def scalar_subquery(self, sources: list[Source]) -> tuple[str, str] | None:
        r = self.random
        table, inner = self.source(0)
        pairs = [(a, b) for a in self.columns(sources) for b in inner.columns if a[1] == b[1]]
        reference, type_ = r.choice(inner.columns)
        if type_ == "boolean":
            return None
        where = ""
        if pairs and r.random() < 0.7:
            a, b = r.choice(pairs)
            where = f" where {b[0]} = {a[0]}"
        function = r.choice(("min", "max", "count"))
        return f"(select {function}({reference}) from {table}{where})", "bigint" if function == "count" else type_

    def predicate(self, sources: list[Source], depth: int = 2) -> str:
        r = self.random
        choice = r.random()
        if depth > 0 and choice < 0.25:
            parts = [self.predicate(sources, depth - 1) for _ in range(r.randint(2, 3))]
            return "(" + f" {r.choice(('and', 'or'))} ".join(parts) + ")"
        if depth > 0 and choice < 0.32:
            return f"not ({self.predicate(sources, depth - 1)})"
        columns = self.columns(sources)
        if not columns:
            return r.choice(("true", "false", "1 = 1", "null is null"))
        reference, type_ = r.choice(columns)
        pool = self.pool(type_)
        op = r.choice(("=", "<>", "<", "<=", ">", ">="))
        if choice < 0.55:
            left, right = reference, self.constant(type_, pool)
            if r.random() < 0.15:
                left, right = right, left
            return f"{left} {op} {right}"
        if choice < 0.62:
            low, high = self.constant(type_, pool), self.constant(type_, pool)
            return f"{reference} {r.choice(('', 'not '))}between {low} and {high}"
        if choice < 0.72:
            items = ", ".join(self.constant(type_, pool) for _ in range(r.randint(1, 5)))
            return f"{reference} {r.choice(('', 'not '))}in ({items})"
        if choice < 0.8:
            return f"{reference} is {r.choice(('', 'not '))}null"
        if choice < 0.86:
            other = r.choice(self.columns(sources, type_))[0]
            return (
                f"{reference} is {r.choice(('', 'not '))}distinct from {r.choice((other, self.constant(type_, pool)))}"
            )
        if choice < 0.9 and type_ == "text":
            return f"{reference} {r.choice(('', 'not '))}like '{r.choice(('a%', '%b', '%a%', '_', 'a_c', '%', ''))}'"
        if choice < 0.9 and type_ == "boolean":
            return f"{reference} is {r.choice(('', 'not '))}{r.choice(('true', 'false'))}"
        if type_ in NUMBERS:
            other, other_type = r.choice(self.columns(sources, *NUMBERS))
            if "hugeint" not in (type_, other_type) or "numeric" not in type_ + other_type:
                return f"{reference} {op} {other}"
        other = r.choice(self.columns(sources, type_))[0]
        return f"{reference} {op} {other}"

    # ---- FROM
    def source(self, depth: int) -> tuple[str, Source]:
        r = self.random
        alias = f"a{self._alias}"
        self._alias += 1
        if depth > 0 and r.random() < 0.2:
            text, types = self.select(depth - 1, plain=True)
            names = [f"x{i}" for i in range(len(types))]
            columns = [(f"{alias}.{name}", type_) for name, type_ in zip(names, types, strict=True)]
            return f"({text}) as {alias}({', '.join(names)})", Source(alias, columns)
        table = r.choice(self.tables)
        return f"{table.name} {alias}", Source(alias, [(f"{alias}.{c.name}", c.type) for c in table.columns])

    def join_condition(self, left: list[Source], right: Source) -> str:
        r = self.random
        parts: list[str] = []
        for _ in range(r.choice([1, 1, 1, 2])):
            pairs = [(a, b) for a in self.columns(left) for b in right.columns if a[1] == b[1] or
                     (a[1] in INTEGERS and b[1] in INTEGERS)]  # fmt: skip
            if pairs:
                a, b = r.choice(pairs)
                parts.append(f"{a[0]} = {b[0]}" if r.random() < 0.5 else f"{b[0]} = {a[0]}")
        if not parts or r.random() < 0.2:
            parts.append(self.predicate([*left, right], 1))
        if r.random() < 0.07:
            return self.predicate([*left, right], 1)
        return " and ".join(parts)

    def from_clause(self, depth: int) -> tuple[str, list[Source]]:
        r = self.random
        text, first = self.source(depth)
        sources = [first]
        commas = False
        for _ in range(r.choice([0, 0, 0, 1, 1, 2])):
            more, source = self.source(depth)
            kind = r.choice(("join", "join", "left join", "left join", "cross join", "right join", ","))
            # A join after a comma does not see what is before the comma.
            commas = commas or kind == ","
            kind = "," if commas else kind
            if kind in ("cross join", ","):
                text += f"{' ' if kind != ',' else ''}{kind} {more}"
            else:
                on = self.join_condition(sources, source)
                text += f" {kind} {more} on {on}"
            sources.append(source)
        return text, sources

    def subquery_predicate(self, sources: list[Source], depth: int) -> str:
        r = self.random
        negate = r.choice(("", "not "))
        table, inner = self.source(0)
        correlated = ""
        pairs = [(a, b) for a in self.columns(sources) for b in inner.columns if a[1] == b[1]]
        if pairs and r.random() < 0.6:
            a, b = r.choice(pairs)
            correlated = f"{b[0]} = {a[0]}"
        conditions = [c for c in (correlated, self.predicate([inner], 1) if r.random() < 0.6 else "") if c]
        where = f" where {' and '.join(conditions)}" if conditions else ""
        choice = r.random()
        if choice < 0.4:
            return f"{negate}exists (select 1 from {table}{where})"
        if choice < 0.8 and pairs:
            a, b = r.choice(pairs)
            return f"{a[0]} {negate}in (select {b[0]} from {table}{where})"
        numbers = [(a, b) for a, b in pairs if a[1] in INTEGERS]
        if numbers:
            a, b = r.choice(numbers)
            comparison, aggregate = r.choice(("=", "<", ">=")), r.choice(("min", "max", "count"))
            return f"{a[0]} {comparison} (select {aggregate}({b[0]}) from {table}{where})"
        return f"{negate}exists (select 1 from {table}{where})"

    # ---- aggregates
    def aggregate(self, sources: list[Source]) -> tuple[str, str]:
        r = self.random
        where = f" filter (where {self.predicate(sources, 1)})" if r.random() < 0.25 else ""
        columns = self.columns(sources)
        choice = r.random()
        if choice < 0.2 or not columns:
            return f"count(*){where}", "bigint"
        reference, type_ = r.choice(columns)
        if choice < 0.35:
            return f"count({r.choice(('', 'distinct '))}{reference}){where}", "bigint"
        if choice < 0.6 and (summed := self.columns(sources, "smallint", "integer", "u8", "u32", "numeric(9,2)")):
            reference, type_ = r.choice(summed)
            result = "bigint" if type_ in ("smallint", "integer") else "sum"
            return f"sum({r.choice(('', '', 'distinct '))}{reference}){where}", result
        if type_ == "boolean":
            return f"{r.choice(('bool_and', 'bool_or'))}({reference}){where}", "boolean"
        return f"{r.choice(('min', 'max'))}({reference}){where}", type_

    # ---- SELECT
    def select(self, depth: int, *, plain: bool = False) -> tuple[str, list[str]]:
        """A SELECT without ORDER BY, and the types of its columns; `plain` ones only have types one can name."""
        r = self.random
        source, sources = self.from_clause(depth)
        where = ""
        if r.random() < 0.5:
            parts = [self.predicate(sources, 2)]
            if r.random() < 0.35 and depth > 0:
                parts.append(self.subquery_predicate(sources, depth - 1))
            where = " where " + r.choice((" and ", " and ", " or ")).join(parts)
        if r.random() < 0.35:
            return self._grouped(source, sources, where, plain)
        items = [self.scalar(sources) for _ in range(r.randint(1, 4))]
        if r.random() < 0.12 and (found := self.scalar_subquery(sources)) is not None:
            items.append(found)
        if plain:
            items = [item for item in items if item[1] != "sum"] or [r.choice(self.columns(sources))]
        distinct = "distinct " if r.random() < 0.2 else ""
        return f"select {distinct}{', '.join(i for i, _ in items)} from {source}{where}", [t for _, t in items]

    def _grouped(self, source: str, sources: list[Source], where: str, plain: bool) -> tuple[str, list[str]]:
        r = self.random
        keys = [self.scalar(sources, 1) if r.random() < 0.3 else r.choice(self.columns(sources))
                for _ in range(r.choice([0, 1, 1, 2, 3]))]  # fmt: skip
        keys = list({text: (text, type_) for text, type_ in keys if not _is_constant(text)}.values())
        values = [self.aggregate(sources) for _ in range(r.randint(1, 3))]
        values = [v for v in values if not (plain and v[1] == "sum")] or [("count(*)", "bigint")]
        group = f" group by {', '.join(k for k, _ in keys)}" if keys else ""
        having = ""
        if r.random() < 0.15:
            having = f" having count(*) {r.choice(('>', '<', '='))} {r.randrange(4)}"
        items = keys + values
        return f"select {', '.join(i for i, _ in items)} from {source}{where}{group}{having}", [t for _, t in items]

    def variants(self, count: int) -> list[Query]:
        """One query with different constants."""
        state, alias = self.random.getstate(), self._alias
        queries = []
        for _ in range(count):
            self.random.setstate(state)
            self._alias = alias
            queries.append(self.query())
        return queries

    def query(self) -> Query:
        r = self.random
        text, types = self.select(2)
        if r.random() < 0.15:
            other = self._matching(types)
            if other is not None:
                text = f"{text} {r.choice(('union', 'union all', 'except', 'intersect'))} {other}"
        if r.random() < 0.5:
            return Query(text, False)
        # All columns in the order, so that the sequence is decided but for equal rows.
        places = list(range(1, len(types) + 1))
        r.shuffle(places)
        order = ", ".join(f"{p}{r.choice(('', ' asc', ' desc'))} nulls {r.choice(('first', 'last'))}" for p in places)
        limit = f" limit {r.choice((0, 1, 3, 10, 1000))}" if r.random() < 0.4 else ""
        offset = f" offset {r.choice((0, 1, 5, 500))}" if r.random() < 0.2 else ""
        return Query(f"{text} order by {order}{limit}{offset}", True)

    def _matching(self, types: list[str]) -> str | None:
        source, origin = self.source(0)
        items = []
        for type_ in types:
            found = self.columns([origin], type_)
            if type_ == "sum":
                return None
            items.append(self.random.choice(found)[0] if found else self.constant(type_))
        return f"select {', '.join(items)} from {source}"


def _is_constant(text: str) -> bool:
    return ".c" not in text and ".x" not in text
