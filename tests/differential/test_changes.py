"""Random INSERT, UPDATE and DELETE against DuckDB as the model: in memory and on disk, through folds, reopening,
rolled back transactions and statements that fail halfway."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pytest
from differential_duck import Duck, multiset
from differential_generator import Maker, Source, TableSpec
from differential_scratch import fold_after

import zerodb

SEEDS = range(24)
STEPS = 30


class Session:
    """One zerodb table and its twin."""

    def __init__(self, seed: int, path: str) -> None:
        self.maker = Maker(seed)
        self.random: random.Random = self.maker.random
        self.path, self.seed = path, seed
        self.db = zerodb.connect(path, threads=2)
        self.duck = Duck()
        types = ["integer", *(self.random.choice(["bigint", "hugeint", "text", "numeric(9,2)", "boolean", "date",
                 "double precision", "u8", "text"]) for _ in range(self.random.randint(1, 4)))]  # fmt: skip
        self.table: TableSpec = self.maker.table(rows=0, types=types)
        columns = ", ".join(f"{c.name} {c.type}{' not null' if c.not_null else ''}" for c in self.table.columns)
        key = ", primary key (id)" if self.random.random() < 0.5 else ""
        self.has_key = bool(key)
        self.db.execute(f"create table t (id integer not null, {columns}{key})")
        self.duck.create(
            TableSpec("t", [type(self.table.columns[0])("id", "integer", True, ()), *self.table.columns], [])
        )
        self.next_id = 0
        self.source = Source("t", [("id", "integer"), *((c.name, c.type) for c in self.table.columns)])

    def close(self) -> None:
        self.db.close()

    def compare(self, note: str) -> None:
        ours = self.db.execute("select * from t").fetchall()
        theirs = self.duck.execute("select * from t")
        assert multiset(ours) == multiset(theirs), f"seed {self.seed}: {note}"
        counts = "select count(*), count(distinct id), min(id), max(id), sum(id) from t"
        assert multiset(self.db.execute(counts).fetchall()) == multiset(self.duck.execute(counts)), note
        where = self.maker.predicate([self.source], 1)
        text = f"select id from t where {where}"
        assert multiset(self.db.execute(text).fetchall()) == multiset(self.duck.execute(text)), f"{note}: {text}"

    def insert(self) -> str:
        count = self.random.choice([1, 1, 3, 20, 100])
        rows = []
        for _ in range(count):
            rows.append((self.next_id, *self.maker.row(self.table.columns)))
            self.next_id += 1
        marks = ", ".join("?" * len(rows[0]))
        if self.random.random() < 0.5:
            self.db.executemany(f"insert into t values ({marks})", rows)
        else:
            for row in rows:
                self.db.execute(f"insert into t values ({marks})", row)
        self.duck.insert("t", rows)
        return f"insert {count}"

    def change(self) -> str:
        column = self.random.choice(self.table.columns)
        where = self.maker.predicate([self.source], 1)
        choice = self.random.random()
        if choice < 0.3:
            text = f"delete from t where {where}"
        elif choice < 0.4:
            text = f"delete from t where id % {self.random.randint(2, 5)} = 0"
        elif choice < 0.5:
            columns = ", ".join(c.name for c in self.table.columns)
            text = f"insert into t select id + {self.next_id}, {columns} from t where {where}"
            self.next_id *= 2
        elif choice < 0.6 and column.type in ("integer", "bigint", "hugeint"):
            text = f"update t set {column.name} = {column.name} / 2 where {where}".replace("/ 2", "% 5")
        else:
            value = self.maker.literal(column.type, self.maker.value(column.type, self.random.random() < 0.3))
            text = f"update t set {column.name} = {value} where {where}"
        ours = self.db.execute(text).rowcount
        theirs = self.duck.execute(text)
        assert [(ours,)] == theirs, f"seed {self.seed}: {text}"
        return text

    def failing(self) -> str:
        """A statement that fails after some of its rows: nothing of it may stay."""
        top = self.duck.execute("select max(id) from t")[0][0]
        if top is None:
            return "no row"
        name = self.table.columns[0].name
        columns = ", ".join(c.name for c in self.table.columns)
        texts = [
            f"update t set {name} = 1 / (id - {top})",
            f"insert into t select id + 1000000, {columns} from t where 1 / (id - {top}) = 0",
            f"delete from t where 10 / (id - {top}) >= 0",
            "update t set id = id * 2000000000 where id <> 0",
        ]
        if self.has_key:
            texts.append(f"insert into t select * from t where id = {top}")
        text = self.random.choice(texts[: 3 if top < 2 else len(texts)])
        if "2000000000" in text and top < 2:
            return "nothing to fail"
        with pytest.raises(zerodb.Error) as caught:
            self.db.execute(text)
        assert caught.value.sqlstate in ("22003", "22012", "23505"), text
        return f"failing {text}"

    def step(self) -> str:
        choice = self.random.random()
        if choice < 0.35:
            return self.insert()
        if choice < 0.75:
            return self.change()
        if choice < 0.85:
            return self.failing()
        if choice < 0.95:
            return self.transaction(rolled_back=self.random.random() < 0.5)
        return self.reopen()

    def transaction(self, *, rolled_back: bool) -> str:
        note = "rollback" if rolled_back else "commit"
        self.db.begin()
        self.duck.connection.begin()
        next_id = self.next_id
        for _ in range(self.random.randint(1, 4)):
            note += "; " + self.random.choice((self.insert, self.change, self.change))()
            self.compare(f"within {note}")
        if rolled_back:
            self.db.rollback()
            self.duck.connection.rollback()
            self.next_id = next_id
        else:
            self.db.commit()
            self.duck.connection.commit()
        return note

    def reopen(self) -> str:
        if self.path != ":memory:":
            self.db.close()
            self.db = zerodb.connect(self.path, threads=1)
        return "reopen"


def run(seed: int, path: str) -> None:
    session = Session(seed, path)
    try:
        for _ in range(STEPS):
            with fold_after(session.random.choice([1, 50, 400, 1 << 40, 1 << 40])):
                try:
                    note = session.step()
                except duckdb.Error as error:
                    pytest.skip(f"the model cannot: {error}")
            session.compare(note)
        session.reopen()
        session.compare("at the end")
    finally:
        session.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_changes(seed: int, tmp_path: Path) -> None:
    run(seed, ":memory:" if seed % 3 else str(tmp_path / "changes.zdb"))


@pytest.mark.slow
def test_changes_long(tmp_path: Path) -> None:
    for seed in range(1_000, 2_000):
        run(seed, ":memory:" if seed % 3 else str(tmp_path / f"{seed}.zdb"))
