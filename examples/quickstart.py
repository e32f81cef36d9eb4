"""A table, some rows, a query, a transaction."""

from __future__ import annotations

from decimal import Decimal

import zerodb

with zerodb.connect(":memory:") as db:
    db.execute("create table item (id integer primary key, name text not null, price numeric(10,2))")
    db.executemany("insert into item values (?, ?, ?)", [(1, "pen", "1.20"), (2, "ink", 7), (3, "pad", Decimal("3.5"))])

    for name, price in db.execute("select name, price from item where price > ? order by price", [2]):
        print(f"{name:<5} {price:>6}")

    with db.transaction():
        db.execute("update item set price = price * 1.1 where name = $name", {"name": "ink"})
        print("total", db.execute("select sum(price) from item").fetchone())

    try:
        db.execute("insert into item values (2, 'again', 1)")
    except zerodb.IntegrityError as error:
        print(error.sqlstate, error)
