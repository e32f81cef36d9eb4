"""Reads CSV files into the table orders, each file wholly or not at all, and reports by month.

    zerodb build examples/ingest_python
    zerodb run examples/ingest_python/ingest.wasm --db shop.zdb --grant all --grant wasi:dir=examples \\
        -- examples/ingest_python/orders.csv

A file that was read before is left out: the bucket `ingested` remembers it, in the same transaction.
"""

import csv
from datetime import date
from decimal import Decimal

from zerodb_guest import connect

TABLE = """create table if not exists orders (
    id bigint primary key, customer text not null, placed date not null, amount numeric(10,2))"""
REPORT = """select extract(year from placed)::int, extract(month from placed)::int, count(*), sum(amount)
    from orders group by 1, 2 order by 1, 2"""


def rows_of(path):
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            amount = Decimal(row["amount"]) if row["amount"] else None
            yield int(row["id"]), row["customer"], date.fromisoformat(row["placed"]), amount


def ingest(db, path):
    with db.transaction():
        ingested = db.bucket("ingested")
        if path in ingested:
            return f"{path}: was read before"
        count = db.executemany("insert into orders values ($1, $2, $3, $4)", rows_of(path))
        ingested[path] = str(count)
    return f"{path}: {count} rows"


def run(paths):
    with connect() as db:
        db.execute(TABLE)
        lines = [ingest(db, path) for path in paths]
        for year, month, orders, amount in db.query(REPORT):
            lines.append(f"{year}-{month:02}: {orders} orders, {amount}")
    return "\n".join(lines)
