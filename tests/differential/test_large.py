"""Random queries over a table of several chunks (segments, deletions and a delta) and small ones, with two threads."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from differential_duck import Duck, comparable_rows, multiset
from differential_generator import DUCK_TYPES, Maker, Query, Source, TableSpec
from differential_scratch import fold_after

import zerodb

SEEDS = range(8)
LONG_SEEDS = range(2_000, 2_200)
ROWS = (65_535, 65_537, 100_000, 131_072, 140_000)


class LargeMaker(Maker):
    """t0 is large and comes once in a query; joins are by equality; results are grouped or cut by LIMIT."""

    _used = False

    def source(self, depth: int) -> tuple[str, Source]:
        table = self.tables[0] if not self._used else self.random.choice(self.tables[1:])
        self._used = True
        alias = f"a{self._alias}"
        self._alias += 1
        return f"{table.name} {alias}", Source(alias, [(f"{alias}.{c.name}", c.type) for c in table.columns])

    def from_clause(self, depth: int) -> tuple[str, list[Source]]:
        self._used = False
        r = self.random
        text, first = self.source(0)
        sources = [first]
        for _ in range(r.choice([0, 0, 1, 1, 2])):
            more, source = self.source(0)
            pairs = [(a, b) for a in self.columns(sources) for b in source.columns if a[1] == b[1]]
            if pairs:
                a, b = r.choice(pairs)
                text += f" {r.choice(('join', 'left join', 'right join'))} {more} on {a[0]} = {b[0]}"
                if r.random() < 0.3:
                    text += f" and {self.predicate([*sources, source], 1)}"
                sources.append(source)
        return text, sources

    def query(self) -> Query:
        r = self.random
        source, sources = self.from_clause(0)
        where = f" where {self.predicate(sources, 2)}" if r.random() < 0.6 else ""
        if r.random() < 0.2:
            where += f" {'and' if where else 'where'} {self.subquery_predicate(sources, 0)}"
        if r.random() < 0.6:
            text, types = self._grouped(source, sources, where, False)
        else:
            items = [self.scalar(sources, 1) for _ in range(r.randint(1, 3))]
            text = f"select {r.choice(('', 'distinct '))}{', '.join(i for i, _ in items)} from {source}{where}"
            types = [t for _, t in items]
        places = list(range(1, len(types) + 1))
        r.shuffle(places)
        order = ", ".join(f"{p} {r.choice(('asc', 'desc'))} nulls {r.choice(('first', 'last'))}" for p in places)
        return Query(f"{text} order by {order} limit {r.choice((3, 1000, 5000))} offset {r.choice((0, 0, 7))}", True)


def load(duck: Duck, table: TableSpec) -> None:
    types = {"hugeint": pa.decimal128(38, 0), "numeric(9,2)": pa.decimal128(9, 2), "u64": pa.uint64(),
             "numeric(30,5)": pa.decimal128(30, 5), "real": pa.float32(), "date": pa.date32()}  # fmt: skip
    columns = list(zip(*table.rows, strict=True))
    arrow = pa.table({c.name: pa.array(v, types.get(c.type)) for c, v in zip(table.columns, columns, strict=True)})
    duck.connection.register("arrow_rows", arrow)
    casts = ", ".join(f"cast({c.name} as {DUCK_TYPES[c.type]}) {c.name}" for c in table.columns)
    duck.connection.execute(f"create table {table.name} as select {casts} from arrow_rows")
    duck.connection.unregister("arrow_rows")


def create(db: zerodb.Connection, maker: Maker, table: TableSpec) -> None:
    columns = ", ".join(f"{c.name} {c.type}{' not null' if c.not_null else ''}" for c in table.columns)
    db.execute(f"create table {table.name} ({columns})")
    marks = ", ".join("?" * len(table.columns))
    cut = maker.random.choice([0, 60_000, len(table.rows)])
    for part, rows in ((table.rows[:cut], 1), (table.rows[cut:], 1 << 40)):
        if part:
            with fold_after(rows):
                db.executemany(f"insert into {table.name} values ({marks})", part)


def run(seed: int) -> None:
    maker = LargeMaker(seed)
    duck = Duck()
    with zerodb.connect(":memory:", threads=2) as db:
        small = ["integer", *(maker.random.choice(list(DUCK_TYPES)) for _ in range(5))]
        for rows in (maker.random.choice(ROWS), 40, 150):
            table = maker.table(rows=rows, types=small if rows < 1000 else [*small, "bigint", "text"])
            create(db, maker, table)
            load(duck, table)
        for i in range(8):
            if i in (2, 5):
                source = Source("t0", [(c.name, c.type) for c in maker.tables[0].columns])
                with fold_after(maker.random.choice([1, 1 << 40])):
                    text = f"delete from t0 where {maker.predicate([source], 1)}"
                    assert [(db.execute(text).rowcount,)] == duck.execute(text), f"seed {seed}: {text}"
            query = maker.query()
            theirs: Any = duck.execute(query.text)
            ours = db.execute(query.text).fetchall()
            same = multiset(ours) == multiset(theirs) and comparable_rows(ours) == comparable_rows(theirs)
            assert same, f"seed {seed}: {query.text}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_large(seed: int) -> None:
    run(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_large_long(seed: int) -> None:
    run(seed)
