"""Statements by key stay as they are while values grow: what they read of a chunk is as wide as the chunk has it."""

from __future__ import annotations

import pytest

import zerodb


@pytest.mark.parametrize("reload", [False, True])
def test_values_that_grow(reload):
    with zerodb.connect(":memory:") as db:
        db.execute("create table t(id bigint primary key, g integer, v bigint, w numeric(30, 0), k text, b boolean)")
        db.execute("create index t_g on t(g)")
        storage, expected = db._database.storage, {}

        def merge():
            storage.merger.merge(storage.snapshot().tables["t"].id)

        def insert(key, g, v, w, k, b):
            db.execute("insert into t values (?, ?, ?, ?, ?, ?)", (key, g, v, w, k, b))
            expected[key] = (g, v, w, k, b)

        for i in range(300):
            insert(i, i % 30, i % 7, i % 5, f"k{i % 3}", i % 2 == 0)
        merge()
        one = db.prepare("select g, v, w, k, b from t where id = ?")
        some = db.prepare("select id, v, w, k, b from t where g = ? order by id")
        update = db.prepare("update t set v = v + ? where id = ?")
        for statement in (one, some, update):
            statement.make_point()
            statement._point._warming = -1
        made = [statement._point for statement in (one, some, update)]

        def compare():
            for key, row in expected.items():
                assert one._point.run((key,)).fetchone() == row
            for g in {row[0] for row in expected.values()}:
                found = [(key, *row[1:]) for key, row in sorted(expected.items()) if row[0] == g]
                assert some._point.run((g,)).fetchall() == found
            assert [statement._point for statement in (one, some, update)] == made

        compare()
        for step, big in enumerate((1000, 100_000, 1 << 40)):
            if reload:
                made[0].directory._unload()
            insert(big, step, big, 3, "k1", None)
            compare()
            insert(-big, 300 * step, None, None, None, True)
            with db.transaction():
                update.execute((big, step))
                g, v, w, k, b = expected[step]
                expected[step] = (g, v + big, w, k, b)
                assert one.execute((step,)).fetchone() == expected[step]
                insert(big + 1, step, 5, 5, "k2", False)
                compare()
            compare()
            merge()
            compare()
        assert all(getattr(point, "refusals", 0) == 0 for point in made)
        insert(77_777, 7, 1, 10**25, "k1", None)  # wider than 64 bits: this is another form
        assert one.execute((77_777,)).fetchone() == expected[77_777]
        assert db.check() == []
