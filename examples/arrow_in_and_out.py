"""Arrow data as a table, and a result as Arrow: no Python object per value on the way."""

from __future__ import annotations

import pyarrow as pa

import zerodb

cities = pa.table({"city": ["Bern", "Oslo", "Lima"] * 100_000, "degrees": [8.5, 6.0, 19.5] * 100_000})

with zerodb.connect(":memory:") as db:
    db.register("weather", cities)
    result = db.execute("select city, count(*) as days, avg(degrees) as mean from weather group by city order by city")
    table = result.fetch_arrow()
    print(table.schema)
    print(table.to_pylist())
