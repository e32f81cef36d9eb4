"""What a query becomes: its plans, its WebAssembly, and a file that runs without planning."""

from __future__ import annotations

import zerodb
from zerodb import artifact

with zerodb.connect(":memory:") as db:
    db.execute("create table t (id integer primary key, v integer)")
    db.executemany("insert into t values (?, ?)", [(i, i % 7) for i in range(10_000)])

    statement = db.prepare("select v, count(*) from t where id < $limit group by v order by v")
    print(statement.explain({"limit": 5000}, analyze=True))
    print(f"{len(statement.module)} bytes of WebAssembly; the first lines as text:")
    print("\n".join(statement.wat().splitlines()[:12]))

    compiled = artifact.load(db, statement.wasm)
    print(compiled.execute({"limit": 14}).fetchall())
