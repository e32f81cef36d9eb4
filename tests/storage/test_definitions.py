"""Catalog objects, changed columns, sequences: durable, transactional, and kept apart from what they do not touch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from zerodb_compiler import types
from zerodb_compiler.constraints import Constraints, ForeignKey, Index, IndexKey, Unique
from zerodb_compiler.errors import DatabaseError
from zerodb_compiler.layout import CHUNK_ROWS
from zerodb_storage import Column, Database, TableVersion, encoding
from zerodb_storage.arrow import from_arrow
from zerodb_storage.catalog import schema_from, schema_record
from zerodb_storage.sequences import RESERVED_AHEAD, SequenceDefinition

Rows = Callable[[TableVersion], list[tuple[Any, ...]]]


def batch(begin: int, end: int) -> pa.Table:
    return pa.table({"a": pa.array(range(begin, end), pa.int32()), "s": [f"s{n % 5}" for n in range(begin, end)]})


def created(db: Database, rows: int = 0) -> None:
    with db.begin() as tx:
        tx.create_table("t", [Column("a", types.INTEGER), Column("s", types.TEXT)])
        if rows:
            tx.append("t", batch(0, rows))


def with_column(db: Database, name: str, value: int | None, *, rollback: bool = False) -> None:
    missing = None
    if value is not None:
        missing = encoding.encode(from_arrow(pa.array([value], pa.int32()), types.INTEGER, name))
    tx = db.begin()
    schema = tx.table("t").schema
    column = Column(name, types.INTEGER, missing=missing)
    tx.change_schema("t", replace(schema, columns=(*schema.columns, column)))
    if rollback:
        tx.rollback()
    else:
        tx.commit()


def test_objects_are_transactional_and_durable(path: str) -> None:
    with Database.open(path, synchronous="normal") as db:
        with db.begin() as tx:
            tx.put_object("view", "public", "v", {"text": "select 1", "depends": [[1, 2]]})
            tx.put_object("view", "other", "v", {"text": "select 2"})
        before = db.snapshot()
        with db.begin() as tx:
            saved = tx.savepoint()
            tx.put_object("view", "public", "v", {"text": "changed"})
            assert tx.snapshot().object("view", "public", "v") == {"text": "changed"}
            tx.rollback_to(saved)
            assert tx.drop_object("view", "other", "v")
            assert not tx.drop_object("view", "other", "nosuch")
        assert before.object("view", "other", "v") == {"text": "select 2"}
    with Database.open(path) as db:
        assert db.snapshot().objects("view") == {("public", "v"): {"text": "select 1", "depends": [[1, 2]]}}
        assert db.check() == []


@pytest.mark.parametrize("rows", [0, 1, CHUNK_ROWS, CHUNK_ROWS + 1, 140_000])
def test_columns_come_and_go_without_rewriting(path: str, rows: int, rows_of: Rows) -> None:
    with Database.open(path, synchronous="normal") as db:
        created(db, rows)
        with db.begin() as tx:
            tx.append("t", batch(rows, rows + 3))
            if rows:
                tx.delete("t", np.array([0]))
        segments = [found.id for found in db.snapshot().tables["t"].segment_set.segments]
        with_column(db, "x", 7)
        with_column(db, "gone", 9, rollback=True)
        with_column(db, "n", None)
        with db.begin() as tx:
            schema = tx.table("t").schema
            tx.change_schema("t", replace(schema, columns=(schema.columns[0], *schema.columns[2:])))
            tx.append("t", pa.table({"a": pa.array([-1], pa.int32()), "x": pa.array([8], pa.int32()), "n": [1]}))
        expected = [(n, 7, None) for n in range(1 if rows else 0, rows + 3)] + [(-1, 8, 1)]
        assert sorted(rows_of(db.snapshot().tables["t"])) == sorted(expected)
        kept = [found.id for found in db.snapshot().tables["t"].segment_set.segments]
        assert kept[: len([id_ for id_ in segments if id_ in kept])] == [id_ for id_ in segments if id_ in kept]
        if rows > 2 * CHUNK_ROWS:
            assert kept[: len(segments) - 1] == segments[: len(segments) - 1]
    with Database.open(path) as db:
        version = db.snapshot().tables["t"]
        assert sorted(rows_of(version)) == sorted(expected)
        assert version.statistics.columns[1].high == 8
        assert db.check() == []


def test_a_table_made_and_changed_in_one_transaction(path: str, rows_of: Rows) -> None:
    with Database.open(path, synchronous="normal") as db:
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.INTEGER), Column("s", types.TEXT)])
            tx.append("t", batch(0, 2))
            schema = tx.table("t").schema
            tx.change_schema("t", replace(schema, name="u", columns=(schema.columns[0],)))
            tx.append("u", pa.table({"a": pa.array([5], pa.int32())}))
        with db.begin() as tx:
            assert tx.truncate("u") == 3
            tx.append("u", pa.table({"a": pa.array([6], pa.int32())}))
    with Database.open(path) as db:
        assert rows_of(db.snapshot().tables["u"]) == [(6,)]
        assert "t" not in db.snapshot().tables
        assert db.check() == []


def test_records_of_constraints_and_of_the_first_format() -> None:
    with Database.open(None) as db:
        held = Constraints(
            "pk",
            (Unique("u", (1,), False),),
            foreign_keys=(ForeignKey("f", (0,), 3, (2, 1), "cascade"),),
            indexes=(Index("i", (IndexKey(0), IndexKey(None, "lower(s)", True)), predicate="a > 1", include=(1,)),),
        )
        with db.begin() as tx:
            tx.create_table("t", [Column("a", types.INTEGER), Column("s", types.TEXT)], [0], constraints=held)
        schema = db.snapshot().tables["t"].schema
    assert schema_from(schema_record(schema)) == schema
    old = schema_record(schema)
    old["columns"] = [column[:4] for column in old["columns"]]
    for added in ("schema", "constraints", "next_slot", "options"):
        del old[added]
    opened = schema_from(old)
    assert opened.slots == (0, 1)
    assert opened.next_slot == 2
    assert opened.schema == "public"


def test_unique_keys(memory: Database) -> None:
    held = Constraints(uniques=(Unique("u", (0, 1)), Unique("n", (1,), nulls_distinct=False)))
    with memory.begin() as tx:
        tx.create_table("t", [Column("a", types.INTEGER), Column("s", types.TEXT)], constraints=held)

    def append(*rows: tuple[int | None, str | None]) -> None:
        with memory.begin() as tx:
            table = pa.table({"a": pa.array([r[0] for r in rows], pa.int32()), "s": [r[1] for r in rows]})
            tx.append("t", table, unique_key=True)

    append((1, "a"), (None, "b"), (None, "c"))
    append((1, None))
    for rows in ([(1, "a")], [(2, "b")], [(3, None)], [(4, "x"), (5, "x")]):
        with pytest.raises(DatabaseError) as error:
            append(*rows)
        assert error.value.sqlstate == "23505"


def test_temporary_tables_end_with_their_process(path: str) -> None:
    with Database.open(path, synchronous="normal") as db, db.begin() as tx:
        tx.create_table("t", [Column("a", types.INTEGER)], schema="pg_temp_3")
        tx.put_object("sequence", "pg_temp_3", "s", {"id": 77})
    with Database.open(path, synchronous="normal") as db:
        assert not db.snapshot().tables
        assert not db.snapshot().catalog


def test_sequences_never_repeat_a_value(path: str) -> None:
    definition = SequenceDefinition(5, "s", start=10, increment=5, maximum=1_000_000)
    with Database.open(path, synchronous="normal") as db:
        assert db.sequences.take(definition, 3).tolist() == [10, 15, 20]
        tx = db.begin()
        assert db.sequences.take(definition, 1).tolist() == [25]
        tx.rollback()
    with Database.open(path, synchronous="normal") as db:  # nothing is skipped by a close
        assert db.sequences.take(definition, 1).tolist() == [30]
        with pytest.raises(DatabaseError) as error:
            db.sequences.take(definition, 1_000_000)
        assert error.value.sqlstate == "2200H"


_CHILD = """
import sys
from zerodb_storage import Column, Database
from zerodb_storage.sequences import SequenceDefinition
from zerodb_compiler import types
import pyarrow as pa
from dataclasses import replace
db = Database.open(sys.argv[1], synchronous="normal")
if "t" not in db.snapshot().tables:
    with db.begin() as tx:
        tx.create_table("t", [Column("a", types.BIGINT)])
print("ready", flush=True)
definition = SequenceDefinition(9, "s")
while True:
    with db.begin() as tx:
        version = tx.table("t")
        extra = tuple(c for c in version.columns if c.name != "a")
        columns = version.columns[:1] if extra else (*version.columns, Column("b", types.INTEGER))
        tx.change_schema("t", replace(version.schema, columns=columns))
        value = int(db.sequences.take(definition, 1)[0])
        arrays = [pa.array([value], pa.int64())] + ([] if extra else [pa.array([1], pa.int32())])
        tx.append("t", pa.Table.from_arrays(arrays, names=["a", "b"][: len(arrays)]))
    print(value, flush=True)
"""


def test_killed_between_definitions(path: str, rows_of: Rows) -> None:
    """Every reported transaction is there as a whole, and no sequence value came twice."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found for found in sys.path if found)}
    reported: list[int] = []
    for number in range(3):
        command = [sys.executable, "-c", _CHILD, path]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            for _ in range(20 + 7 * number):
                reported.append(int(process.stdout.readline()))
            process.send_signal(signal.SIGKILL)
            reported += [int(line) for line in process.stdout.read().split(b"\n")[:-1]]
        with Database.open(path, read_only=True) as db:
            found = sorted(row[0] for row in rows_of(db.snapshot().tables["t"]))
            assert len(set(found)) == len(found)
            assert set(reported) <= set(found)
            assert len(found) <= len(reported) + number + 1
            assert max(found) <= len(found) + RESERVED_AHEAD * (number + 1)
            assert db.check() == []
