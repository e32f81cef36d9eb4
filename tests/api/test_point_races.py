"""Other threads may run between a point function's call and the unpacking of its results."""

from __future__ import annotations

import pytest

import zerodb


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("merged", [False, True])
def test_texts_whose_memory_was_let_go(batch, merged):
    with zerodb.connect(":memory:") as db:
        db.execute("create table t(id integer primary key, s text)")
        db.executemany("insert into t values (?, ?)", [(i, f"text {i}") for i in range(20)])
        if merged:
            storage = db._database.storage
            storage.merger.merge(storage.snapshot().tables["t"].id)
        select = db.prepare("select s from t where id = ?")
        select.make_point()
        select._point._warming = -1
        assert select.fetch_many([(7,), (8,)]) == [("text 7",), ("text 8",)]
        point, memory = select._point, db._database.engine.memory
        function = point._batches if batch else point.run
        name = "run" if batch else "invoke"
        call, times = function.__globals__[name], []

        def interrupted(*arguments):
            done = call(*arguments)
            times.append(1)
            found = memory.words[(point.call.address + point.program.results + 8) >> 2]
            length = memory.words[(point.call.address + point.program.results + 12) >> 2]
            point.directory._unload()
            memory.bytes[found : found + length] = b"\xff" * length
            return done

        function.__globals__[name] = interrupted
        if batch:
            function.__globals__["each"] = lambda keys: ["again"] * len(keys)
            assert select.fetch_many([(7,), (9,)]) == ["again"] * 2
        else:
            function.__globals__["general"] = lambda parameters: "again"
            assert select.execute((7,)) == "again"
        assert times
