"""Random tables that refer to each other, with a few rows or with many."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: tuple[str, ...]  # all int, but `s` (text)
    arbiters: tuple[str, ...] = ()  # columns that ON CONFLICT may name
    any_arbiter: bool = True  # whether ON CONFLICT may leave out the columns
    key: str | None = None
    partitioned: bool = False
    refers: str | None = None  # a column that refers to the first table


@dataclass(frozen=True, slots=True)
class Schema:
    statements: tuple[str, ...]
    tables: tuple[Table, ...]
    view: str | None
    has_deferrable: bool
    rows: int  # how many the first table has
    written: tuple[str, ...] = ()  # tables that triggers write to

    @property
    def summaries(self) -> tuple[str, ...]:
        """In place of looks at each row."""
        looks = []
        for table in self.tables:
            sums = ", ".join(f"sum({column}::bigint)" for column in table.columns if column != "s")
            first, second = table.columns[:2]
            looks.append(f"select count(*), {sums}, count(distinct {first}) from {table.name}")
            looks.append(f"select * from {table.name} where {first} < 9 or {first} between 65530 and 65545")
            looks.append(f"select * from {table.name} where {second} is null order by {first} limit 9")
        return (*looks, *self.looks[len(self.tables) + len(self.written) :])

    @property
    def looks(self) -> tuple[str, ...]:
        looks = [f"select * from {name}" for name in (*(table.name for table in self.tables), *self.written)]
        for table in self.tables:
            if table.refers:
                column, target = table.refers.split("=")
                looks.append(
                    f"select count(*) from {table.name} c where c.{column} is not null and not exists "
                    f"(select from t0 p where p.{target} = c.{column})"
                )
        return tuple(looks)


def make_schema(r: random.Random, *, many: bool, huge: bool, triggers: bool) -> Schema:
    rows = r.choice((65535, 65536, 65540, 70000)) if huge else r.choice((90, 150, 400)) if many else r.randint(2, 5)
    statements: list[str] = []
    partitioned = r.random() < 0.15
    deferrable = ""
    first_key = "" if partitioned or r.random() < 0.85 else r.choice((" deferrable", " deferrable initially deferred"))
    parts = [f"k int primary key{first_key}"]
    parts.append("a int" + (" not null" if r.random() < 0.2 else ""))
    parts.append("b int" + (" check (b >= 0)" if r.random() < 0.3 else " default 7" if r.random() < 0.3 else ""))
    parts.append("s text")
    unique = None
    if not partitioned and r.random() < 0.5:
        deferrable = "" if r.random() < 0.6 else r.choice((" deferrable", " deferrable initially deferred"))
        unique = deferrable
        parts.append(f"unique (a){deferrable}")
    if r.random() < 0.15:
        parts.append("check (a <> b)" if r.random() < 0.5 else "check (a < 1000000)")
    by = f" partition by {r.choice(('range', 'list', 'hash'))} (k)" if partitioned else ""
    statements.append(f"create table t0 ({', '.join(parts)}){by}")
    if "range" in by:
        middle = rows // 2 + 1
        statements.append(f"create table t0x partition of t0 for values from (minvalue) to ({middle})")
        statements.append(f"create table t0y partition of t0 for values from ({middle}) to (maxvalue)")
    elif "list" in by:
        statements.append("create table t0x partition of t0 for values in (1, 2, 3)")
        statements.append("create table t0y partition of t0 default")
    elif "hash" in by:
        statements += [
            f"create table t0{'xy'[place]} partition of t0 for values with (modulus 2, remainder {place})"
            for place in range(2)
        ]
    statements.append(
        f"insert into t0 select i, i * 10, i % 7 + 1{' + 20' if r.random() < 0.3 else ''}, 's' || i % 3 "
        f"from generate_series(1, {rows}) i"
    )
    arbiters = [column for column, fits in (("k", not first_key), ("a", unique == "")) if fits]
    tables = [Table("t0", ("k", "a", "b", "s"), tuple(arbiters), "k", partitioned)]
    if r.random() < 0.7:
        refers, reference = None, ""
        if arbiters and not partitioned and r.random() < 0.85:
            target = r.choice(arbiters)
            refers = f"r={target}"
            reference = f" references t0 ({target})"
            reference += r.choice(("", "", " on delete cascade", " on delete set null", " on delete restrict"))
            reference += r.choice(("", "", " on update cascade", " on update set null", " on update restrict"))
            if r.random() < 0.35:
                deferrable = r.choice((" deferrable", " deferrable initially deferred"))
                reference += deferrable
        statements.append(f"create table t1 (k int primary key, r int{reference}, v int)")
        factor = 10 if refers and refers.endswith("a") else 1
        few = max(2, rows // 2)
        statements.append(f"insert into t1 select i, i * {factor}, i from generate_series(1, {few}) i")
        tables.append(Table("t1", ("k", "r", "v"), ("k",), "k", refers=refers))
    if r.random() < 0.2:
        action = r.choice(("", " on delete cascade", " on delete set null", " on update cascade on delete cascade"))
        later = r.choice(("", " deferrable initially deferred"))
        statements.append(f"create table t3 (k int primary key, r int references t3{action}{later}, v int)")
        statements.append(f"insert into t3 select i, nullif(i / 2, 0), i from generate_series(1, {rows}) i")
        tables.append(Table("t3", ("k", "r", "v"), ("k",), "k"))
    if r.random() < 0.4:
        statements.append("create table t2 (x int, y int)")
        if r.random() < 0.7:
            statements.append(f"insert into t2 select i, i % 3 from generate_series(1, {rows}) i")
        tables.append(Table("t2", ("x", "y")))
    plain = not first_key and not unique
    indexes = [
        "create index t0_b on t0 (b)",
        "create index t0_part on t0 (b) where a > 20",
        "create index t0_expr on t0 ((a + b))",
        "create unique index t0_upart on t0 (b) where a > 100000",
        "create unique index t0_uexpr on t0 ((a * 2))",
        "create unique index t0_u2 on t0 (a, b)",
    ]
    for index in indexes:
        if r.random() < 0.2 and not (partitioned and "unique" in index):
            statements.append(index)
            plain = plain and "unique" not in index
    tables[0] = replace(tables[0], any_arbiter=plain)
    written = ("log", "tally") if triggers else ()
    if triggers:
        statements += _triggers(r, tables)
    view = None
    if r.random() < 0.2:
        view = "v0"
        statements.append("create view v0 as select k, a, b from t0 where b < 100")
    if r.random() < 0.3:
        statements.append("create sequence sq start 1000")
    return Schema(tuple(statements), tuple(tables), view, bool(first_key or deferrable), rows, written)


def _triggers(r: random.Random, tables: list[Table]) -> list[str]:
    """One that notes changes in a table of its own, one that counts them in a row, one that changes rows."""
    statements = [
        "create table log (what text, k int)",
        "create table tally (k int primary key, n int)",
        "insert into tally values (1, 0)",
        "create function noted() returns trigger language plpgsql as $$begin "
        "if tg_op = 'DELETE' then insert into log values (tg_op, old.k); return old; end if; "
        "insert into log values (tg_op, new.k); return new; end$$",
        "create function counted() returns trigger language plpgsql as $$begin "
        "update tally set n = n + 1 where k = 1; return null; end$$",
        "create function raised() returns trigger language plpgsql as $$begin "
        "if new.k = 3 then return null; end if; new.k := new.k + 0; return new; end$$",
    ]
    for table in tables:
        if table.key is None or table.partitioned:
            continue
        name = table.name
        if r.random() < 0.6:
            when = r.choice(("before", "after"))
            statements.append(
                f"create trigger n {when} insert or update or delete on {name} for each row execute function noted()"
            )
        if r.random() < 0.5:
            each = r.choice(("row", "statement"))
            statements.append(
                f"create trigger c after insert or update or delete on {name} for each {each} "
                "execute function counted()"
            )
        if r.random() < 0.2:
            statements.append(
                f"create trigger r before insert or update on {name} for each row execute function raised()"
            )
    return statements
