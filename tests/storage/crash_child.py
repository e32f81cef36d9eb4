"""The process that `test_crash` kills: performs numbered operations from a given one on and reports each commit.

Operation k, so that the state after k operations follows from k alone:

    k % 40 == 39   drop the table and create it anew, in one transaction
    k % 5 == 4     delete the rows of operation k - 3
    k % 5 in 2, 3  bulk import, two batches of one import where both are due
    otherwise      insert 1 to 60 rows
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa

from zerodb_compiler import types
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import Column, Database, database, import_batches, importing, publishing

IMPORT_ROWS = 3_000


def row_count(k: int) -> int:
    """Rows that operation k inserts."""
    if k % 40 == 39 or k % 5 == 4:
        return 0
    return IMPORT_ROWS if k % 5 in (2, 3) else 1 + k * 7 % 60


def expected(operations: int) -> dict[int, int]:
    """Rows per operation after so many operations."""
    rows: dict[int, int] = {}
    for k in range(operations):
        if k % 40 == 39:
            rows = {}
        elif k % 5 == 4:
            rows.pop(k - 3, None)
        else:
            rows[k] = row_count(k)
    return rows


def rows(k: int) -> pa.Table:
    count = row_count(k)
    return pa.table({"k": pa.array([k] * count, pa.int32()), "s": [f"{k}:{n}" for n in range(count)]})


def report(k: int) -> None:
    sys.stdout.write(f"{k}\n")
    sys.stdout.flush()


def create(db: Database, drop: bool) -> None:
    with db.begin() as tx:
        if drop:
            tx.drop_table("t")
        tx.create_table("t", [Column("k", types.INTEGER), Column("s", types.TEXT)])


def delete(db: Database, k: int) -> None:
    version = db.snapshot().tables["t"]
    zones = version.zone_map(0)
    assert zones is not None
    found = [np.empty(0, np.int64)]
    for chunk in np.flatnonzero((zones.low <= k) & (zones.high >= k)):
        found.append(np.flatnonzero(version.load(int(chunk), 0).data == k) + int(chunk) * CHUNK_ROWS)
    with db.begin() as tx:
        tx.delete("t", np.concatenate(found))


def import_two(db: Database, k: int) -> None:
    reports = iter((k, k + 1))
    table = pa.concat_tables([rows(k), rows(k + 1)])
    import_batches(db, "t", table.to_batches(), lambda *_: report(next(reports)))


def main(path: str, first: int) -> None:
    publishing.FOLD_ROWS = 4_000
    database.UNLOGGED_BYTES_MIN = 0
    importing.BATCH_ROWS = IMPORT_ROWS
    print("ready", flush=True)
    db = Database.open(path)
    if "t" not in db.snapshot().tables:
        create(db, drop=False)
    k = first
    while True:
        if k % 40 == 39:
            create(db, drop=True)
        elif k % 5 == 4:
            delete(db, k - 3)
        elif k % 5 == 2:
            import_two(db, k)
            k += 2
            continue
        elif k % 5 == 3:
            import_batches(db, "t", rows(k).to_batches())
        else:
            with db.begin() as tx:
                tx.append("t", rows(k))
        report(k)
        k += 1


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
