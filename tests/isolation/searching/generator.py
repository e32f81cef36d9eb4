"""Random cases: a schema, two or three sessions of a transaction each, and an order of their steps.

The seed decides everything. Numbers are small, so that sessions meet.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.isolation.searching.cases import Case
from tests.isolation.searching.schema import Schema, Table, make_schema

LEVELS = ("read committed", "repeatable read", "serializable")
STRENGTHS = ("update", "no key update", "share", "key share")
TABLE_MODES = (
    "access share",
    "row share",
    "row exclusive",
    "share update exclusive",
    "share",
    "share row exclusive",
    "exclusive",
    "access exclusive",
)


@dataclass(frozen=True, slots=True)
class Profile:
    """What cases are made of."""

    levels: tuple[str, ...] = (*LEVELS, "mixed")
    many: bool = False  # enough rows for the paths of large statements
    long: bool = False  # more sessions of more transactions
    triggers: bool = False
    huge: bool = False  # more rows than a chunk has
    points: bool = False  # statements by key that take the short way
    merges: bool = False
    defines: bool = False  # CREATE, ALTER, DROP, TRUNCATE
    skips: bool = True  # SKIP LOCKED


class Generator:
    def __init__(self, r: random.Random, profile: Profile) -> None:
        self.r, self.profile = r, profile
        self.level = r.choice(profile.levels)
        self.schema: Schema = make_schema(r, many=profile.many, huge=profile.huge, triggers=profile.triggers)
        self.locks = r.random() < 0.25  # whether this case has table and advisory locks
        self.fresh = 0

    def case(self) -> Case:
        r = self.r
        count = r.choice((3, 3, 4)) if self.profile.long else r.choice((2, 2, 2, 3))
        sessions, prepared = [], []
        for _ in range(count):
            level = r.choice(LEVELS[:2]) if self.level == "mixed" else self.level
            before = [f"set default_transaction_isolation = '{level}'"]
            names = []
            if r.random() < 0.2:
                for place in range(2):
                    text = self.change()
                    if text.split()[0] in ("insert", "update", "delete"):
                        before.append(f"prepare p{place} as {text}")
                        names.append(f"execute p{place}")
            transactions = r.randint(1, 3) if self.profile.long else 1
            sessions.append(tuple(step for _ in range(transactions) for step in self.session(level, names)))
            prepared.append(tuple(before))
        turns = [place for place, steps in enumerate(sessions) for _ in steps]
        r.shuffle(turns)
        merges: frozenset[int] = frozenset()
        if self.profile.merges:
            merges = frozenset(place for place in range(len(turns)) if r.random() < 0.4)
        looks = self.schema.summaries if self.profile.huge else self.schema.looks
        if self.profile.defines:
            looks += ("select * from n0", "select * from n1", "select * from w0", "select max(k), max(a) from t0")
        setup = self.schema.statements
        points = self.profile.points
        return Case(setup, tuple(prepared), tuple(sessions), tuple(turns), looks, self.level, points, merges)

    def session(self, level: str, names: list[str]) -> tuple[str, ...]:
        r = self.r
        if r.random() < 0.12:  # statements on their own
            return tuple(self.statement(names) for _ in range(r.randint(1, 3)))
        begin = "begin"
        if r.random() < 0.08:
            begin = r.choice(("begin read only", f"begin isolation level {level} read only, deferrable"))
            if level == "serializable" and r.random() < 0.5:
                begin = "begin isolation level serializable, read only, deferrable"
        elif r.random() < 0.3:
            begin = f"begin isolation level {level}"
        steps = [begin]
        savepoints = 0
        often = 2 if self.profile.long else 1
        if self.schema.has_deferrable and r.random() < 0.4:
            steps.append(f"set constraints all {r.choice(('deferred', 'deferred', 'immediate'))}")
        for _ in range(r.randint(1, 5)):
            roll = r.random() / often
            if roll < 0.10:
                steps.append(f"savepoint p{savepoints}")
                savepoints += 1
            elif roll < 0.20 and savepoints:
                steps.append(f"{r.choice(('rollback to', 'rollback to', 'release'))} p{r.randrange(savepoints)}")
            elif roll < 0.25 and self.schema.has_deferrable:
                steps.append(f"set constraints all {r.choice(('deferred', 'immediate'))}")
            else:
                steps.append(self.statement(names))
        steps.append("rollback" if r.random() < 0.12 else "commit")
        return tuple(steps)

    def statement(self, names: list[str]) -> str:
        r = self.r
        if names and r.random() < 0.4:
            return r.choice(names)
        roll = r.random()
        if self.profile.defines and roll < 0.25:
            return self.definition()
        if self.locks and roll < 0.45:
            return self.table_lock() if r.random() < 0.6 else self.advisory()
        if self.profile.points and r.random() < 0.75:
            return self.by_key()
        if roll < 0.55:
            return self.query()
        return self.change()

    def by_key(self) -> str:
        """What takes the short way: by the whole key, by a part of an index, one new row."""
        r = self.r
        table = r.choice(self.schema.tables)
        name, value = table.name, table.columns[2] if len(table.columns) > 2 else "y"
        columns = [column for column in table.columns if column != "s"]
        column = table.columns[0] if r.random() < 0.7 else r.choice(columns)
        where = f"{column} = {self.key() * (10 if column == 'a' else 1)}"
        return r.choice(
            (
                f"select * from {name} where {where}",
                f"select * from {name} where {where} for update",
                f"select count(*), sum({value}) from {name} where {where}",
                f"insert into {name} values {self.row(table)}",
                f"insert into {name} values {self.row(table)}",
                f"update {name} set {value} = {value} + 1 where {where}",
                f"update {name} set {value} = {r.randint(0, 9)} where {where}",
                f"update {name} set {value} = {value} + 1 where {where} returning *",
                f"delete from {name} where {where}",
            )
        )

    # Queries

    def query(self) -> str:
        r = self.r
        table = r.choice(self.schema.tables)
        roll = r.random()
        if roll < 0.45:
            wait = r.choice(("", "", "", " nowait", " skip locked" if self.profile.skips else ""))
            limit = ""
            if r.random() < 0.1:
                limit = f" order by {table.columns[0]} limit {r.randint(1, 2)}"
            return f"select * from {table.name} where {self.where(table)}{limit} for {self.strength()}{wait}"
        if roll < 0.55:
            return f"select count(*), sum({table.columns[1]}) from {table.name} where {self.where(table)}"
        if roll < 0.62 and len(self.schema.tables) > 1:
            one, other = r.sample(self.schema.tables, 2)
            lock = r.choice(("", f" for {self.strength()} of {r.choice((one, other)).name}"))
            return (
                f"select * from {one.name} join {other.name} on {one.name}.{one.columns[0]} = "
                f"{other.name}.{other.columns[1]} where {self.where(one, one.name + '.')}{lock}"
            )
        if roll < 0.66 and self.schema.view:
            return f"select * from v0 where k < {self.key()}"
        if roll < 0.70:
            return f"with l as (select * from {table.name} where {self.where(table)} for update) select count(*) from l"
        return f"select * from {table.name} where {self.where(table)}"

    def strength(self) -> str:
        """An UPDATE by key that takes the short way has its row for itself, also against FOR KEY SHARE."""
        return self.r.choice(STRENGTHS[:-1] if self.profile.points else STRENGTHS)

    def key(self) -> int:
        r, rows = self.r, self.schema.rows
        if self.profile.huge and r.random() < 0.7:
            return r.choice((1, 65535, 65536, 65537, 65538, rows, rows + 1))
        if self.profile.many and r.random() < 0.6:
            return r.choice((1, 2, rows // 2, rows, rows + 1))
        return r.choice((1, 1, 1, 2, 2, 3, rows, rows + 1, rows + 2))

    def where(self, table: Table, prefix: str = "") -> str:
        r = self.r
        columns = [column for column in table.columns if column != "s"]
        first, second = prefix + columns[0], prefix + r.choice(columns)
        size = 10 if second.endswith("a") else 1
        value = self.key() * size
        choices = [
            f"{first} = {self.key()}",
            f"{first} = {self.key()}",
            f"{first} in ({self.key()}, {self.key()})",
            f"{first} >= {self.key()}",
            f"{first} <= {self.key()}",
            f"{second} = {value}",
            f"{second} > {value}",
            f"{second} between {value} and {value + 10 * size}",
            "true",
        ]
        if table.name == "t0":
            choices += [f"{prefix}a + {prefix}b > {value * 5}", f"{prefix}a > 20 and {prefix}b < 5"]
        other = r.choice(self.schema.tables)
        if r.random() < 0.12 and not prefix:
            column = "b" if "b" in other.columns else other.columns[-1]
            choices = [
                f"{second} in (select {other.columns[1]} from {other.name} where {column} < {self.key()})",
                f"exists (select from {other.name} o where o.{other.columns[1]} = {table.name}.{second})",
                f"{second} = (select max({other.columns[0]}) from {other.name})",
            ]
        return r.choice(choices)

    # Changes

    def change(self) -> str:
        r = self.r
        roll = r.random()
        table = r.choice(self.schema.tables)
        if self.schema.view and roll < 0.05:
            return r.choice(
                (
                    f"update v0 set a = a + 1 where k = {self.key()}",
                    f"insert into v0 values ({self.key()}, {self.new()}, 5)",
                    f"delete from v0 where k = {self.key()}",
                )
            )
        if table.key and roll > 0.97:
            return self.queue(table)
        if roll < 0.30:
            return self.insert(table)
        if roll < 0.62:
            return self.update(table)
        if roll < 0.82:
            return self.delete(table)
        if roll < 0.91:
            return self.merge(table)
        return self.parts(table)

    def queue(self, table: Table) -> str:
        """Takes the first row that is to be had."""
        r = self.r
        wait = r.choice(("", " skip locked", " nowait")) if self.profile.skips else ""
        count = r.randint(1, 2)
        first = f"(select k from {table.name} where {self.where(table)} order by k limit {count} for update{wait})"
        value = table.columns[2]
        return r.choice(
            (
                f"delete from {table.name} where k in {first} returning *",
                f"update {table.name} set {value} = {value} + 1 where k in {first} returning *",
                f"with q as {first} select count(*), min(k) from q",
                f"insert into {table.name} select k + 50, null, 1{', null' if table.name == 't0' else ''} "
                f"from {first} q on conflict (k) do nothing"
                if table.arbiters and table.arbiters[0] == "k"
                else f"delete from {table.name} where k in {first}",
            )
        )

    def new(self) -> int:
        """A value for a unique column that others may choose, too."""
        return self.r.choice((10, 20, 30, 70, 80, 80))

    def row(self, table: Table) -> str:
        r = self.r
        match table.name:
            case "t0":
                key = r.choice((self.key(), self.schema.rows + r.randint(1, 3)))
                return f"({key}, {r.choice((key * 10, self.new()))}, {r.randint(0, 9)}, 'n{r.randint(0, 3)}')"
            case "t1" | "t3":
                factor = 10 if table.refers and table.refers.endswith("a") else 1
                reference = r.choice((str(self.key() * factor), str(self.key() * factor), "null"))
                return f"({r.choice((self.key(), self.schema.rows + r.randint(1, 3)))}, {reference}, {r.randint(0, 9)})"
        return f"({self.key()}, {r.randint(0, 3)})"

    def returning(self) -> str:
        return " returning *" if self.r.random() < 0.4 else ""

    def insert(self, table: Table) -> str:
        r = self.r
        if r.random() < 0.2:
            return self.insert_select(table)
        rows = [self.row(table) for _ in range(1 if r.random() < 0.75 else 2)]
        if len(rows) == 2 and rows[0].split(",")[0] == rows[1].split(",")[0]:
            rows = rows[:1]
        text = f"insert into {table.name} values {', '.join(rows)}"
        if r.random() < 0.45:
            if table.arbiters and r.random() < 0.65:
                column = r.choice(table.arbiters)
                value = table.columns[2]
                what = r.choice((f"{value} + 1", f"excluded.{value}", f"{table.name}.{value} + excluded.{value}"))
                if not what.startswith(("excluded", table.name)):
                    what = f"{table.name}.{what}"
                where = f" where {table.name}.{value} < {self.key() + 5}" if r.random() < 0.25 else ""
                text += f" on conflict ({column}) do update set {value} = {what}{where}"
            elif table.arbiters:
                target = r.choice(("", f" ({table.arbiters[0]})")) if table.any_arbiter else f" ({table.arbiters[0]})"
                text += f" on conflict{target} do nothing"
        return text + self.returning()

    def insert_select(self, table: Table) -> str:
        r, rows = self.r, self.schema.rows
        step = rows * 2 if self.profile.huge else r.choice((rows, rows + 1, rows * 2))
        where = self.where(self.schema.tables[0])
        match table.name:
            case "t0":
                text = f"insert into t0 select k + {step}, a + {step * 10}, b, s from t0 where {where}"
            case "t1" | "t3":
                column = table.refers.split("=")[1] if table.refers else "k"
                text = f"insert into {table.name} select k + {step}, {column}, b from t0 where {where}"
            case _:
                text = f"insert into t2 select k, b from t0 where {where}"
        if table.arbiters and table.any_arbiter and r.random() < 0.3:
            text += " on conflict do nothing"
        return text + self.returning()

    def update(self, table: Table) -> str:
        r = self.r
        roll = r.random()
        name, value = table.name, table.columns[2] if len(table.columns) > 2 else "y"
        if roll < 0.08 and len(self.schema.tables) > 1:
            other = r.choice([found for found in self.schema.tables if found is not table])
            return (
                f"update {name} set {value} = {name}.{value} + 1 from {other.name} o "
                f"where o.{other.columns[0]} = {name}.{table.columns[0]} and {self.where(other, 'o.')}"
                f"{self.returning_of(name)}"
            )
        if roll < 0.2 and table.key:
            key = self.key()
            return (
                f"update {name} set k = {r.choice((key, self.schema.rows + 1, self.schema.rows + 2))} where k = {key}"
            )
        if roll < 0.28 and table.key:
            return f"update {name} set k = k + 1000007 where {self.where(table)}{self.returning()}"
        if roll < 0.42 and name == "t0":
            # No value that another row of the same statement is about to give up: PostgreSQL looks row by row.
            what = r.choice((str(self.new()), "a + 10000003", "-a", "k * 10", "null"))
            row = f"k = {self.key()}" if what[-2:] == "10" or what.isdigit() or r.random() < 0.5 else self.where(table)
            return f"update t0 set a = {what} where {row}{self.returning()}"
        if roll < 0.52 and table.refers:
            factor = 10 if table.refers.endswith("a") else 1
            what = r.choice((str(self.key() * factor), "null"))
            return f"update t1 set r = {what} where {self.where(table)}{self.returning()}"
        if roll < 0.58:
            other = r.choice(self.schema.tables)
            return (
                f"update {name} set {value} = (select coalesce(max({other.columns[2 % len(other.columns)]}), 0) + 1 "
                f"from {other.name}) where {self.where(table)}{self.returning()}"
            )
        what = r.choice((f"{value} + 1", f"{value} * 2", str(r.randint(0, 9))))
        return f"update {name} set {value} = {what} where {self.where(table)}{self.returning()}"

    def returning_of(self, name: str) -> str:
        return f" returning {name}.*" if self.r.random() < 0.4 else ""

    def delete(self, table: Table) -> str:
        r = self.r
        if r.random() < 0.1 and len(self.schema.tables) > 1:
            other = r.choice([found for found in self.schema.tables if found is not table])
            return (
                f"delete from {table.name} using {other.name} o where o.{other.columns[0]} = "
                f"{table.name}.{table.columns[0]} and {self.where(other, 'o.')}{self.returning_of(table.name)}"
            )
        return f"delete from {table.name} where {self.where(table)}{self.returning()}"

    def merge(self, table: Table) -> str:
        r = self.r
        if table.key is None:
            table = self.schema.tables[0]
        value = table.columns[2]
        rows = ", ".join(f"({key}, {r.randint(0, 9)})" for key in sorted({self.key(), self.key()}))
        source = f"(values {rows})"
        if r.random() < 0.3:
            other = self.schema.tables[-1]
            source = f"(select {other.columns[0]}, {other.columns[1]} from {other.name} where {self.where(other)})"
            if other.key is None:
                source = f"(select x, max(y) from {other.name} where {self.where(other)} group by x)"
        matched = r.choice(
            (
                f"when matched then update set {value} = m.{value} + u.v",
                f"when matched and m.{value} > 3 then update set {value} = 0 when matched then delete",
                "when matched then delete",
                f"when matched and m.{value} = 5 then do nothing when matched then delete",
            )
        )
        new = {"t0": "u.k, u.k * 10, abs(u.v), 'm'", "t1": "u.k, null, u.v", "t3": "u.k, null, u.v"}[table.name]
        inserted = r.choice((f" when not matched then insert values ({new})", " when not matched then do nothing", ""))
        return f"merge into {table.name} m using {source} u (k, v) on m.k = u.k {matched}{inserted}"

    def parts(self, table: Table) -> str:
        r = self.r
        other = r.choice(self.schema.tables)
        first = r.choice(
            (
                f"delete from {table.name} where {self.where(table)} returning *",
                f"update {table.name} set {table.columns[-1 if table.name != 't0' else 2]} = 3 "
                f"where {self.where(table)} returning *",
            )
        )
        if other is table:
            return f"with d as ({first}) select count(*), sum({table.columns[0]}) from d"
        if other.name == "t2":
            return (
                f"with d as ({first}) insert into t2 select {table.columns[0]}, {table.columns[1]} from d returning *"
            )
        value = other.columns[2]
        return (
            f"with d as ({first}) update {other.name} set {value} = {other.name}.{value} + 1 from d "
            f"where d.{table.columns[0]} = {other.name}.k"
        )

    # Locks and definitions

    def table_lock(self) -> str:
        r = self.r
        modes = TABLE_MODES if self.profile.defines else TABLE_MODES[:-1]
        return (
            f"lock table {r.choice(self.schema.tables).name} in {r.choice(modes)} mode{r.choice(('', '', ' nowait'))}"
        )

    def advisory(self) -> str:
        r = self.r
        name = r.choice(("", "try_"))
        return f"select pg_{name}advisory_xact_lock{r.choice(('', '_shared'))}({r.randint(1, 2)})"

    def definition(self) -> str:
        r = self.r
        chosen = r.choice(self.schema.tables)
        table, column = chosen.name, chosen.columns[2 % len(chosen.columns)]
        if self.level == "read committed" and r.random() < 0.2:  # what older snapshots do not survive in PostgreSQL
            return r.choice(
                (
                    f"alter table {table} alter column {column} type bigint",
                    f"truncate {table}",
                    f"truncate {table} cascade",
                )
            )
        return r.choice(
            (
                "create table n0 (k int primary key, v int)",
                "create table n1 as select * from t0",
                f"alter table {table} add column z{r.randint(0, 1)} int default 5",
                f"alter table {table} drop column {column}",
                f"alter table {table} add constraint c{r.randint(0, 1)} check ({chosen.columns[0]} < 1000)",
                f"alter table {table} rename to n0",
                f"create index i{r.randint(0, 1)} on t0 (b)",
                "create unique index iu on t0 (b, a)",
                "drop index if exists t0_b",
                "create view w0 as select k from t0",
                "create or replace view w0 as select k from t0 where k > 1",
                "drop view if exists w0",
                f"drop table {table}",
                f"drop table {table} cascade",
                "create sequence q1",
                "drop sequence if exists sq",
                "create table n0 (k int references t0, v int)",
                f"alter table {table} add column f int references t0",
                f"create table n1 (like {table} including all)",
                "alter table t0 add unique (b)",
                f"alter table {table} alter column {column} set not null",
                f"alter table {table} alter column {column} set default 3",
                f"alter table {table} rename column {column} to z1",
                f"alter table {table} drop constraint if exists {table}_pkey cascade",
                f"alter table {table} drop constraint if exists t0_a_key cascade",
                "alter table t1 drop constraint if exists t1_r_fkey",
                f"create unique index u1 on {table} ({column})",
                f"create index i2 on {table} ({column}) where {chosen.columns[0]} > 2",
                f"comment on table {table} is 'said'",
                "select nextval('sq')",
            )
        )


def make_case(seed: int, profile: Profile) -> Case:
    return Generator(random.Random(seed), profile).case()
