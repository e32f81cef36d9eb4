"""The process that `test_following` follows: transactions whose sum over two tables stays the same, folds, imports,
definitions, truncation; one line per commit with its sequence number."""

from __future__ import annotations

import random
import sys

import numpy as np
import pyarrow as pa

from zerodb_compiler import types
from zerodb_storage import Column, Database, import_batches, lookup, publishing

COLUMNS = [Column("a", types.INTEGER), Column("s", types.TEXT)]


def rows(number: int, count: int) -> pa.Table:
    return pa.table({"a": pa.array([number] * count, pa.int32()), "s": [f"x{n % 7}" for n in range(count)]})


def change(db: Database, generator: random.Random) -> None:
    kind = generator.random()
    with db.begin() as tx:
        if "a" not in tx.tables:
            tx.create_table("a", COLUMNS)
            tx.create_table("b", COLUMNS)
            tx.append("a", rows(10, 100))
        elif kind < 0.02:
            tx.drop_table("b")
            tx.create_table("b", COLUMNS)
            tx.truncate("a")
            tx.append("a", rows(10, 100))
        elif kind < 0.2 and tx.tables["b"].row_count:
            # Rows of b go, and as much of a goes: all that was ever moved together.
            moved = generator.randrange(1, 50)
            tx.append("a", rows(moved, 3))
            tx.append("b", rows(-moved, 3))
            ids = lookup.all_row_ids(tx.tables["b"])
            values = lookup.all_values(tx.tables["b"], 0).data
            chosen = np.sort(np.array(generator.sample(range(len(ids)), min(5, len(ids)))))
            tx.delete("b", ids[chosen])
            tx.append("b", pa.table({"a": pa.array([int(values[chosen].sum())], pa.int32()), "s": ["sum"]}))
        else:
            amount, count = generator.randrange(50), generator.choice([1, 1, 1, 40])
            tx.append("a", rows(amount, count))
            tx.append("b", rows(-amount, count))


def main(path: str, seed: int, synchronous: str) -> None:
    publishing.FOLD_ROWS = 400
    generator = random.Random(seed)
    db = Database.open(path, synchronous=synchronous)
    number = 0
    while True:
        number += 1
        change(db, generator)
        if number % 60 == 59:
            import_batches(db, "c", rows(0, 3_000).to_reader(), create="c" not in db.snapshot().tables)
        print(db.snapshot().sequence, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
