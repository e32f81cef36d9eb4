"""The process that `test_sql_crash` kills: numbered operations through the SQL API, each reported after its commit.

`expected(k)` is the table after the first k operations, by a model in Python. Folds are made frequent, so that kills
fall into them, too.
"""

from __future__ import annotations

import sys

import zerodb
from zerodb_storage import database, publishing

Rows = dict[int, tuple[int, str | None]]
INSERTED = 60


def inserted(k: int, count: int = INSERTED) -> list[tuple[int, int, str | None]]:
    return [(k * 1000 + i, i * k % 17, None if i % 9 == 4 else f"text {i * k % 31}") for i in range(count)]


def model(rows: Rows, k: int) -> Rows:
    """The table after operation k, given the table before it."""
    match k % 8:
        case 0 | 7:
            return rows | {id_: (v, s) for id_, v, s in inserted(k, INSERTED if k % 8 == 0 else 400)}
        case 1:
            return {id_: (v + k if id_ % 7 == k % 7 else v, s) for id_, (v, s) in rows.items()}
        case 2:
            return {id_: row for id_, row in rows.items() if id_ % 5 != k % 5}
        case 3:
            moved = {id_: (v + 2, s) for id_, (v, s) in rows.items() if id_ % 3}
            return moved | {id_: (v, s) for id_, v, s in inserted(k)}
        case 4:
            return rows
        case 5:
            return {id_: (v, f"s{k}" if v % 3 == k % 3 else s) for id_, (v, s) in rows.items()}
    return {id_ + 10**9 if id_ % 11 == k % 11 else id_: row for id_, row in rows.items()}


def expected(operations: int) -> Rows:
    rows: Rows = {}
    for k in range(operations):
        rows = model(rows, k)
    return rows


def perform(db: zerodb.Connection, k: int) -> None:
    insert = "insert into t values (?, ?, ?)"
    match k % 8:
        case 0 | 7:
            db.executemany(insert, inserted(k, INSERTED if k % 8 == 0 else 400))
        case 1:
            db.execute("update t set v = v + ? where id % 7 = ?", [k, k % 7])
        case 2:
            db.execute("delete from t where id % 5 = ?", [k % 5])
        case 3:
            with db.transaction():
                db.execute("update t set v = v + 2 where id % 3 <> 0")
                db.execute("savepoint here")
                db.execute("update t set s = 'wrong', id = id + 500")
                db.execute("rollback to savepoint here")
                db.executemany(insert, inserted(k))
                db.execute("delete from t where id % 3 = 0 and id < ?", [k * 1000])
                db.execute("delete from t where id % 3 = 0 and id >= 1000000000")
        case 4:
            db.begin()
            db.execute("update t set v = 0, s = 'wrong'")
            db.executemany(insert, inserted(k))
            db.execute("delete from t where id % 2 = 0")
            db.rollback()
        case 5:
            db.execute("update t set s = ? where v % 3 = ?", [f"s{k}", k % 3])
        case 6:
            db.execute("update t set id = id + 1000000000 where id % 11 = ?", [k % 11])


def main(path: str, first: int) -> None:
    publishing.FOLD_ROWS = 700
    database.UNLOGGED_BYTES_MIN = 0 if first % 2 else 4 << 20
    print("ready", flush=True)
    db = zerodb.connect(path)
    db.execute("create table if not exists t (id bigint primary key, v bigint, s text)")
    k = first
    while True:
        perform(db, k)
        sys.stdout.write(f"{k}\n")
        sys.stdout.flush()
        k += 1


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
