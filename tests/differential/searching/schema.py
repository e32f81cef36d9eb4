"""Random tables: columns of all types, constraints, indexes, and rows with NULLs and extreme values."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

# The generator's name of a type -> PostgreSQL's.
TYPES = {
    "int": "integer",
    "small": "smallint",
    "big": "bigint",
    "num": "numeric(12,2)",
    "dbl": "double precision",
    "txt": "text",
    "bool": "boolean",
    "date": "date",
    "ts": "timestamp",
}
NEWER_TYPES = {
    "tstz": "timestamptz",
    "time": "time",
    "ivl": "interval",
    "uuid": "uuid",
    "bytea": "bytea",
    "jsonb": "jsonb",
    "ints": "integer[]",
    "txts": "text[]",
    "irange": "int4range",
    "mood": "mood",
}
# Made once, before any table.
PREPARATION = ("create type mood as enum ('sad', 'ok', 'happy')",)
ALL_TYPES = TYPES | NEWER_TYPES

_POOLS: dict[str, list[str]] = {
    "int": ["0", "1", "-1", "2", "3", "7", "10", "100", "-5", "2147483647", "-2147483648"],
    "small": ["0", "1", "-1", "2", "3", "7", "32767", "-32768"],
    "big": ["0", "1", "-1", "2", "3", "5000000000", "9223372036854775807", "-9223372036854775808"],
    "num": ["0", "0.00", "1.50", "-1.5", "2", "0.01", "-0.05", "100", "9999999999.99", "3.33"],
    "dbl": ["0", "-0", "1", "1.5", "-2.5", "0.1", "1e10", "1e-5", "NaN", "Infinity", "-Infinity", "123456.789"],
    "txt": ["", "a", "b", "ab", "A", "abc", "zz", " a", "a ", "a%b", "_", "it's", "é", "日本", "x" * 45, "1", "-2"],
    "bool": ["true", "false"],
    "date": ["2024-01-01", "2024-02-29", "1999-12-31", "1970-01-01", "2023-03-05", "0001-01-01", "9999-12-31"],
    "ts": ["2024-01-01 00:00:00", "2024-02-29 12:30:45.5", "1999-12-31 23:59:59.999999", "1970-01-01",
           "2023-03-05 1:00"],
    "tstz": ["2024-01-01 00:00:00+00", "2024-07-01 12:00:00+02", "1999-12-31 23:59:59.999999+00"],
    "time": ["00:00:00", "12:30:45.5", "23:59:59.999999", "24:00:00", "01:02:03"],
    "ivl": ["0", "1 day", "24 hours", "1 mon", "30 days", "-1 day", "1 year 2 mons 3 days 04:05:06.789", "-00:00:01"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
             "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "bytea": ["", "\\x00", "\\x0102ff", "\\xff", "abc"],
    "jsonb": ["null", "1", "\"a\"", "[]", "{}", "[1, 2, null]", "{\"a\": 1}", "{\"a\": {\"b\": [true]}}", "1.50"],
    "ints": ["{}", "{1}", "{1,2,3}", "{NULL}", "{2,NULL,1}", "{3,2,1}"],
    "txts": ["{}", "{a}", "{a,b}", "{NULL,a}", "{\"\"}", "{b,a,\"it's\"}"],
    "irange": ["empty", "[1,5)", "[1,1]", "(,3)", "[2,)", "(,)", "[-5,0]", "(1,10)"],
    "mood": ["sad", "ok", "happy"],
}  # fmt: skip
# What arithmetic uses: nothing overflows.
_MODEST = {
    "int": ["0", "1", "-1", "2", "3", "7", "10", "100", "-5"],
    "small": ["0", "1", "-1", "2", "3", "7"],
    "big": ["0", "1", "-1", "2", "3", "5000000000"],
    "num": ["0", "0.00", "1.50", "-1.5", "2", "0.01", "-0.05", "100", "3.33"],
    "dbl": ["0", "1", "1.5", "-2.5", "0.1", "123456.789"],
}


def pool(type_: str, extremes: bool) -> list[str]:
    return _POOLS[type_] if extremes else _MODEST.get(type_, _POOLS[type_])


def literal(type_: str, value: str | None) -> str:
    """A constant of exactly this type."""
    name = ALL_TYPES[type_]
    if value is None:
        return f"cast(null as {name})"
    quoted = value.replace("'", "''")
    if type_ in ("txt", "date", "ts") and type_ != "txt":
        return f"{'date' if type_ == 'date' else 'timestamp'} '{quoted}'"
    if type_ == "txt":
        return f"'{quoted}'"
    if type_ in ("bool", "int") and not value.startswith("-"):
        return value
    return f"cast('{quoted}' as {name})"


# The smallest expression of each type, for shrinking.
SIMPLEST = {type_: literal(type_, values[1 if len(values) > 1 else 0]) for type_, values in _POOLS.items()} | {
    "bool": "true",
    "txt": "'a'",
}


@dataclass(slots=True)
class Column:
    name: str
    type: str
    not_null: bool = False
    extremes: bool = False


@dataclass(slots=True)
class Table:
    """`extra` are constraints and indexes that an engine may do without."""

    name: str
    columns: list[Column]
    rows: list[list[str | None]] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)

    def create(self, plain: bool = False) -> list[str]:
        """The statements that make and fill it; `plain`: without what may not be there yet."""
        columns = [f"{c.name} {ALL_TYPES[c.type]}{' not null' if c.not_null else ''}" for c in self.columns]
        columns[0] += " primary key"
        items = ", ".join(columns + ([] if plain else self.constraints))
        statements = [f"create table {self.name} ({items})"]
        for start in range(0, len(self.rows), 50):
            values = ", ".join(
                "(" + ", ".join(_stored(v, c.type) for v, c in zip(row, self.columns, strict=True)) + ")"
                for row in self.rows[start : start + 50]
            )
            statements.append(f"insert into {self.name} values {values}")
        return statements + ([] if plain else self.indexes)


def _stored(value: str | None, type_: str) -> str:
    if value is None:
        return "null"
    if type_ in ("int", "small", "big", "num") or value in ("true", "false"):
        return value
    return "'" + value.replace("'", "''") + "'"


def make_tables(r: random.Random, types: dict[str, str], largest: int = 40) -> list[Table]:
    tables: list[Table] = []
    for number in range(r.randint(2, 4)):
        name = f"t{number}"
        columns = [Column("id", "int", True)]
        for index in range(r.randint(2, 6)):
            type_ = r.choice(list(types))
            columns.append(Column(f"{type_[0]}{index + 1}", type_, r.random() < 0.25, r.random() < 0.25))
        table = Table(name, columns)
        nulls = r.choice([0.0, 0.1, 0.3])
        for id_ in range(r.choice([0, 1, 2, 5, 9, 16, 17, largest])):
            row: list[str | None] = [str(id_)]
            for column in columns[1:]:
                empty = not column.not_null and r.random() < nulls
                row.append(None if empty else r.choice(pool(column.type, column.extremes)))
            table.rows.append(row)
        _constrain(r, table)
        tables.append(table)
    return tables


def _constrain(r: random.Random, table: Table) -> None:
    for column in table.columns[1:]:
        if r.random() < 0.1:
            table.constraints.append(f"check ({column.name} is null or {column.name} = {column.name})")
        if r.random() < 0.2 and column.type not in ("jsonb", "ints", "bytea"):
            table.indexes.append(f"create index {table.name}_{column.name} on {table.name} ({column.name})")
    if r.random() < 0.2:
        table.constraints.append(f"unique (id, {table.columns[-1].name})")
