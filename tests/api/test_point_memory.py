"""Changes by key in autocommit leave no memory behind."""

from __future__ import annotations

import zerodb


def test_texts_of_autocommitted_changes_are_let_go():
    with zerodb.connect(":memory:") as db:
        db.execute("create table t(k text primary key, s text)")
        db.execute("insert into t values ('one', '')")
        update = db.prepare("update t set s = ? where k = ?")
        for _ in range(10):
            update.execute(("x" * 1000, "one"))
        own = update._point._alone
        before = len(own.overlay._addresses)
        for i in range(200):
            update.execute((str(i % 10) * 1000, "one"))
        assert len(own.overlay._addresses) == before
        assert db.execute("select s from t").fetchone() == ("9" * 1000,)
