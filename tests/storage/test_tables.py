"""Tables through transactions: what was committed is what every later snapshot and every restart sees."""

from __future__ import annotations

import datetime
import decimal
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zerodb_compiler import types
from zerodb_compiler.errors import DatabaseError, Error
from zerodb_compiler.layout import CHUNK_ROWS, Encoding
from zerodb_compiler.types import SqlType
from zerodb_storage import Column, Database, TableVersion, WriteTransaction, delta, dictionary, publishing
from zerodb_storage.arrow import arrow_type

Rows = Callable[[TableVersion], list[tuple[Any, ...]]]


def create(db: Database, name: str = "t", *columns: tuple[str, SqlType], key: tuple[int, ...] = ()) -> None:
    with db.begin() as tx:
        tx.create_table(name, [Column(*column) for column in columns or (("a", types.INTEGER), ("s", types.TEXT))], key)


def pairs(begin: int, end: int) -> pa.Table:
    return pa.table({"a": pa.array(range(begin, end), pa.int32()), "s": [f"row {n}" for n in range(begin, end)]})


def table(db: Database, name: str = "t") -> TableVersion:
    return db.snapshot().tables[name]


CANONICAL: list[tuple[SqlType, list[Any], list[Any]]] = [
    (types.BOOLEAN, [True, False, None], [1, 0, None]),
    (types.SMALLINT, [-32768, 32767, None], [-32768, 32767, None]),
    (types.INTEGER, [-(1 << 31), (1 << 31) - 1, 0], [-(1 << 31), (1 << 31) - 1, 0]),
    (types.BIGINT, [-(1 << 63), (1 << 63) - 1, None], [-(1 << 63), (1 << 63) - 1, None]),
    (types.HUGEINT, [decimal.Decimal(10**37), decimal.Decimal(-(10**37)), None], [10**37, -(10**37), None]),
    (types.U8, [0, 255, None], [0, 255, None]),
    (types.U16, [0, 65535, 1], [0, 65535, 1]),
    (types.U32, [0, (1 << 32) - 1, None], [0, (1 << 32) - 1, None]),
    (types.U64, [0, (1 << 64) - 1, None], [0, (1 << 64) - 1, None]),
    (
        types.numeric(15, 2),
        [decimal.Decimal("-1.25"), decimal.Decimal("9999999999999.99"), None],
        [-125, 10**15 - 1, None],
    ),
    (types.numeric(38, 4), [decimal.Decimal(10) ** 33, decimal.Decimal("-0.0001"), None], [10**37, -1, None]),
    (types.REAL, [1.5, -math.inf, None], [1.5, -math.inf, None]),
    (types.DOUBLE, [0.1, math.inf, None], [0.1, math.inf, None]),
    (types.DATE, [datetime.date(1969, 12, 31), datetime.date(2024, 2, 29), None], [-1, 19782, None]),
    (types.TIMESTAMP, [datetime.datetime(1970, 1, 1, 0, 0, 1), None, None], [1_000_000, None, None]),
    (types.TEXT, ["", "grüße", None], ["", "grüße", None]),
]


@pytest.mark.parametrize(("type_", "given_values", "canonical"), CANONICAL, ids=[str(c[0]) for c in CANONICAL])
@pytest.mark.parametrize("copies", [1, 50_000], ids=["delta", "segments"])
def test_every_type_survives_delta_segments_and_restart(
    type_: SqlType, given_values: list[Any], canonical: list[Any], copies: int, path: str, rows_of: Rows
) -> None:
    expected = [(value,) for value in canonical] * copies
    with Database.open(path) as db:
        create(db, "t", ("c", type_))
        with db.begin() as tx:
            array = pa.array(given_values, arrow_type(type_))
            tx.append("t", pa.table({"c": pa.concat_arrays([array] * copies)}))
        assert rows_of(table(db)) == expected
        assert bool(table(db).delta_chunks) == (copies == 1)
        before = table(db).layout
        assert db.check() == []
    with Database.open(path, read_only=True) as db:
        assert rows_of(table(db)) == expected
        assert table(db).layout == before


def test_nan_and_negative_zero_keep_their_bits(memory: Database) -> None:
    create(memory, "t", ("c", types.DOUBLE))
    with memory.begin() as tx:
        tx.append("t", pa.table({"c": [math.nan, -0.0, 5.0]}))
    data = table(memory).load(0, 0).data
    assert math.isnan(data[0])
    assert math.copysign(1, data[1]) == -1
    zones = table(memory).zone_map(0)
    assert zones is not None
    assert not zones.high[0] < 1e300  # a NaN is the greatest value: the chunk must not be skipped
    assert zones.low[0] == 0.0


@pytest.mark.parametrize("count", [CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1])
@pytest.mark.parametrize("batches", [1, 3])
def test_rows_around_the_chunk_limit(count: int, batches: int, path: str, rows_of: Rows) -> None:
    with Database.open(path, synchronous="normal") as db:
        create(db)
        with db.begin() as tx:
            step = -(-count // batches)
            for begin in range(0, count, step):
                tx.append("t", pairs(begin, min(count, begin + step)))
        version = table(db)
        assert version.row_count == count
        assert version.chunk_rows.tolist() == ([count] if count <= CHUNK_ROWS else [CHUNK_ROWS, 1])
    with Database.open(path) as db:
        assert rows_of(table(db)) == [(n, f"row {n}") for n in range(count)]


def test_a_snapshot_never_changes(memory: Database, rows_of: Rows) -> None:
    create(memory)
    snapshots = []
    for n in range(5):
        with memory.begin() as tx:
            tx.append("t", pairs(n, n + 1))
            if n == 3:
                tx.delete("t", np.array([0]))
        snapshots.append(table(memory))
    with memory.begin() as tx:
        tx.append("t", pa.table({"a": [1 << 30], "s": [None]}))
    for n, version in enumerate(snapshots):
        assert [row[0] for row in rows_of(version)] == list(range(1 if n >= 3 else 0, n + 1))


def test_layouts_widen_as_values_grow(memory: Database, rows_of: Rows) -> None:
    create(memory, "t", ("c", types.BIGINT))
    widths, keys = [], []
    for value in (1, 200, 70_000, 1 << 40):
        with memory.begin() as tx:
            tx.append("t", pa.table({"c": [value]}))
        widths.append(table(memory).layout.columns[0].width)
        keys.append(table(memory).chunk_key(0, 0))
    assert widths == [1, 2, 4, 8]
    assert len(set(keys)) == 4
    with memory.begin() as tx:
        tx.append("t", pa.table({"c": pa.array([None], pa.int64())}))
    assert table(memory).layout.columns[0].has_nulls
    assert [row[0] for row in rows_of(table(memory))] == [1, 200, 70_000, 1 << 40, None]


def test_a_chunk_that_grew_can_be_loaded_from_where_one_left_off(memory: Database) -> None:
    create(memory)
    with memory.begin() as tx:
        tx.append("t", pairs(0, 10))
    before = table(memory).growth_key(0, 1)
    with memory.begin() as tx:
        tx.append("t", pairs(10, 12))
    after = table(memory).growth_key(0, 1)
    assert before is not None
    assert after is not None
    assert before[0] == after[0]
    rest = table(memory).load(0, 1, start=before[1])
    assert rest.data.tolist() == [0, 6, 12]
    assert rest.text_bytes is not None
    assert rest.text_bytes.tobytes() == b"row 10row 11"


def test_savepoints_and_rollback(memory: Database, rows_of: Rows) -> None:
    create(memory)
    tx = memory.begin()
    tx.append("t", pairs(0, 3))
    mark = tx.savepoint()
    tx.append("t", pairs(3, 100))
    tx.delete("t", np.array([0, 50]))
    tx.create_table("u", [Column("x", types.TEXT)])
    tx.rollback_to(mark)
    seen_inside = rows_of(tx.snapshot().tables["t"])
    tx.append("t", pairs(500, 501))
    tx.commit()
    assert seen_inside == [(n, f"row {n}") for n in range(3)]
    assert [row[0] for row in rows_of(table(memory))] == [0, 1, 2, 500]
    assert list(memory.snapshot().tables) == ["t"]
    tx = memory.begin()
    tx.append("t", pairs(9, 10))
    tx.drop_table("t")
    tx.rollback()
    assert table(memory).row_count == 4


def test_rolled_back_rows_never_show_through(memory: Database, rows_of: Rows) -> None:
    create(memory)
    with memory.begin() as tx:
        tx.append("t", pairs(0, 1))
    abandoned = memory.begin()
    abandoned.append("t", pairs(100, 105))
    inside = abandoned.snapshot().tables["t"]
    abandoned.rollback()
    with memory.begin() as tx:
        tx.append("t", pairs(1, 3))
    assert [row[0] for row in rows_of(table(memory))] == [0, 1, 2]
    assert [row[0] for row in rows_of(inside)] == [0, 100, 101, 102, 103, 104]


def test_deletes_count_only_visible_rows_and_survive_folds(path: str, rows_of: Rows) -> None:
    with Database.open(path, synchronous="normal") as db:
        create(db)
        with db.begin() as tx:
            tx.append("t", pairs(0, 140_000))
        assert not table(db).delta_chunks
        with db.begin() as tx:
            assert tx.delete("t", np.array([5, 5, 6, CHUNK_ROWS])) == 3
            assert tx.delete("t", np.array([6, 7])) == 1
        with db.begin() as tx:
            tx.append("t", pairs(140_000, 280_000))
        expected = [(n, f"row {n}") for n in range(280_000) if n not in (5, 6, 7, CHUNK_ROWS)]
        assert sorted(rows_of(table(db))) == expected
    with Database.open(path) as db:
        assert sorted(rows_of(table(db))) == expected
        assert db.check() == []


def test_a_mostly_deleted_segment_is_rewritten(path: str) -> None:
    with Database.open(path, synchronous="normal") as db:
        create(db)
        with db.begin() as tx:
            tx.append("t", pairs(0, 2 * CHUNK_ROWS))
        old = table(db)
        with db.begin() as tx:
            tx.delete("t", np.arange(CHUNK_ROWS - 10))
        with db.begin() as tx:
            tx.append("t", pairs(0, publishing.FOLD_ROWS))
        assert db.merger.wait()
        assert table(db).segment_set.segments[0].id == old.segment_set.segments[1].id
        assert not table(db).layout.has_deletes
        assert old.load(0, 0).data[7] == 7  # an old snapshot still reads what was dropped
        del old
        with db.begin() as tx:
            tx.append("t", pairs(0, 1))
        assert db.check() == []


def test_deletions_alone_are_folded_into_delete_vectors(path: str, rows_of: Rows) -> None:
    rows = 7 * CHUNK_ROWS + 60_000  # the last segment stays more than half full, so no segment is rewritten
    with Database.open(path, synchronous="normal") as db:
        create(db)
        with db.begin() as tx:
            tx.append("t", pairs(0, rows))
        chunk_rows = table(db).chunk_rows.tolist()
        gone = np.arange(0, rows, 3)
        ids = np.concatenate([np.arange(n) + chunk * CHUNK_ROWS for chunk, n in enumerate(chunk_rows)])[gone]
        with db.begin() as tx:
            assert tx.delete("t", ids) == len(gone)
        assert not list(db.reader.scan(b"L", b"M"))
    with Database.open(path) as db:
        assert [row[0] for row in rows_of(table(db))] == [n for n in range(rows) if n % 3]
        with db.begin() as tx:
            tx.delete("t", ids[:-1] + 1)
            tx.delete("t", np.setdiff1d(np.arange(CHUNK_ROWS * len(chunk_rows) - CHUNK_ROWS + chunk_rows[-1]), ids))
        assert table(db).row_count == 0
        assert rows_of(table(db)) == []
        with db.begin() as tx:
            tx.append("t", pairs(0, 10))
        assert db.check() == []


@pytest.mark.parametrize("cause", ["retired dictionary", "long strings"])
def test_deletions_are_replayed_where_chunks_are_cut_differently(
    cause: str, path: str, rows_of: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Database.open(path, synchronous="normal") as db:
        create(db)
        if cause == "retired dictionary":
            monkeypatch.setattr(dictionary, "SIZE_MAX", 50)
            with db.begin() as tx:
                tx.append("t", pa.table({"a": pa.array(range(140_000), pa.int32()), "s": ["x"] * 140_000}))
        else:
            monkeypatch.setattr(delta, "CHUNK_TEXT_BYTES_MAX", 300)
        for n in range(10):
            with db.begin() as tx:
                tx.append("t", pairs(n * 10, n * 10 + 10))
        version = table(db)
        assert len(version.delta_chunks) > 1
        gone = visible_ids(version)[-95:-5:7]
        with db.begin() as tx:
            tx.delete("t", gone)
        with db.begin() as tx:
            tx.append("t", pairs(500, 510))
            tx.delete("t", visible_ids(tx.snapshot().tables["t"])[-3:-1])
        expected = rows_of(table(db))
    with Database.open(path) as db:
        assert rows_of(table(db)) == expected
        assert len(table(db).delta_chunks) == 1 or cause == "long strings"
        assert db.check() == []


def test_readers_in_other_threads_see_whole_transactions(path: str) -> None:
    """Every transaction adds 10 rows of one value, or deletes the 10 of an older one: all counts are 10."""
    problems: list[Any] = []
    stop = threading.Event()
    with Database.open(path, synchronous="normal") as db, pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "FOLD_ROWS", 500)
        create(db)

        def read() -> None:
            while not stop.is_set():
                try:
                    version = table(db)
                    parts = []
                    for chunk in range(version.chunk_count):
                        seen = version.visibility(chunk)
                        data = version.load(chunk, 0).data
                        parts.append(data if seen is None else data[seen[1] != 0])
                        assert len(version.load(chunk, 1).data) == int(version.chunk_rows[chunk]) + (
                            version.layout.columns[1].encoding is Encoding.TEXT
                        )
                    counts = np.unique(np.concatenate([*parts, np.empty(0, np.int64)]), return_counts=True)[1]
                    assert (counts == 10).all(), counts
                except Exception as error:
                    problems.append(error)
                    return

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for n in range(300):
            with db.begin() as tx:
                tx.append("t", pa.table({"a": pa.array([n] * 10, pa.int32()), "s": [f"s{n % 4}"] * 10}))
                if n % 3 == 2:
                    version = tx.snapshot().tables["t"]
                    for chunk in range(version.chunk_count):
                        tx.delete("t", np.flatnonzero(version.load(chunk, 0).data == n - 2) + chunk * CHUNK_ROWS)
        stop.set()
        for reader in readers:
            reader.join()
        assert problems == []
        assert table(db).row_count == 2000


def test_text_that_repeats_becomes_a_dictionary_and_can_outgrow_it(path: str, rows_of: Rows) -> None:
    rows = 140_000
    first = pa.table(
        {"a": pa.array(range(rows), pa.int32()), "s": [None if n % 9 == 0 else f"k{n % 40}" for n in range(rows)]}
    )
    expected = [(n, None if n % 9 == 0 else f"k{n % 40}") for n in range(rows)]
    with Database.open(path, synchronous="normal") as db:
        create(db)
        with db.begin() as tx:
            tx.append("t", first)
        version = table(db)
        assert version.layout.columns[1].encoding is Encoding.DICTIONARY
        assert version.dictionaries[1].size == 40
        code = version.dictionaries[1].code_of("k7")
        with db.begin() as tx:
            tx.append("t", pa.table({"a": [rows], "s": ["new"]}))
        assert table(db).dictionaries[1].code_of("new") == 40
        assert version.dictionaries[1].code_of("new") is None
        assert table(db).dictionaries[1].code_of("k7") == code
    expected.append((rows, "new"))
    with Database.open(path, synchronous="normal") as db:
        assert table(db).layout.columns[1].encoding is Encoding.DICTIONARY
        assert rows_of(table(db)) == expected
        with db.begin() as tx:
            tx.append("t", pairs(rows + 1, rows + 70_001))
        assert table(db).layout.columns[1].encoding is Encoding.TEXT
        expected += [(n, f"row {n}") for n in range(rows + 1, rows + 70_001)]
        assert rows_of(table(db)) == expected
    with Database.open(path, synchronous="normal") as db:
        assert rows_of(table(db)) == expected
        with db.begin() as tx:
            tx.append("t", pairs(0, 70_000))
        expected += [(n, f"row {n}") for n in range(70_000)]
        assert sorted(rows_of(table(db)), key=str) == sorted(expected, key=str)
        assert db.check() == []


def test_folding_sorts_by_primary_key(memory: Database, rows_of: Rows) -> None:
    create(memory, "t", ("a", types.INTEGER), ("s", types.TEXT), key=(1, 0))
    order = np.random.default_rng(1).permutation(140_000)
    with memory.begin() as tx:
        tx.append("t", pa.table({"a": pa.array(order, pa.int32()), "s": [f"s{n % 3}" for n in order]}))
    keys = [(s, a) for a, s in rows_of(table(memory))]
    assert keys == sorted(keys)


def test_constraints(memory: Database) -> None:
    create(memory, "t", ("a", types.INTEGER), ("s", types.TEXT), key=(0,))
    with memory.begin() as tx:
        with pytest.raises(Error, match='"a"') as null:
            tx.append("t", pa.table({"a": pa.array([None], pa.int32()), "s": ["x"]}))
        tx.append("t", pairs(0, 10), unique_key=True)
        with pytest.raises(Error) as there:
            tx.append("t", pairs(9, 11), unique_key=True)
        with pytest.raises(Error) as twice:
            tx.append("t", pa.table({"a": [50, 50], "s": ["x", "y"]}), unique_key=True)
        tx.delete("t", np.array([9]))
        tx.append("t", pairs(9, 11), unique_key=True)
    assert [e.value.sqlstate for e in (null, there, twice)] == ["23502", "23505", "23505"]
    assert table(memory).row_count == 11


@pytest.mark.parametrize(
    ("type_", "array", "sqlstate"),
    [
        (types.SMALLINT, pa.array([40_000], pa.int64()), "22003"),
        (types.numeric(4, 2), pa.array([decimal.Decimal("123.45")]), "22003"),
        (types.INTEGER, pa.array(["x"]), "22P02"),
        (types.SqlType(types.TypeId.TEXT, length=2), pa.array(["abc"]), "22001"),
        (types.BIGINT, pa.array([1.5]), "22P02"),
    ],
)
def test_values_that_do_not_fit(memory: Database, type_: SqlType, array: pa.Array, sqlstate: str) -> None:
    create(memory, "t", ("c", type_))
    tx = memory.begin()
    with pytest.raises(DatabaseError) as error:
        tx.append("t", pa.table({"c": array}))
    tx.rollback()
    assert error.value.sqlstate == sqlstate


def test_names_that_clash_or_miss(memory: Database) -> None:
    create(memory)
    with memory.begin() as tx:
        for sqlstate, action in [
            ("42P07", lambda: tx.create_table("t", [Column("a", types.TEXT)])),
            ("42P01", lambda: tx.drop_table("nope")),
            ("42P01", lambda: tx.append("nope", pairs(0, 1))),
            ("42701", lambda: tx.create_table("u", [Column("a", types.TEXT), Column("a", types.TEXT)])),
        ]:
            with pytest.raises(DatabaseError) as error:
                action()
            assert error.value.sqlstate == sqlstate
        tx.create_table("t", [], if_not_exists=True)
        tx.drop_table("nope", if_exists=True)


def test_an_ended_transaction_takes_nothing(memory: Database) -> None:
    tx, other = memory.begin(), memory.begin()
    tx.rollback()
    with pytest.raises(DatabaseError) as error:
        tx.append("t", pairs(0, 1))
    assert error.value.sqlstate == "25P01"
    other.rollback()


def test_dropped_tables_stay_readable_and_their_space_is_returned(path: str, rows_of: Rows) -> None:
    with Database.open(path) as db:
        create(db)
        with db.begin() as tx:
            tx.append("t", pairs(0, 140_000))
        held = table(db)
        with db.begin() as tx:
            tx.drop_table("t")
            tx.create_table("t", [Column("x", types.BIGINT)])
        assert held.load(0, 0).data[3] == 3
        assert table(db).id != held.id
        held_id = held.id
        del held
        db.begin().rollback()
        assert db.check() == []
        assert not [key for key, _ in db.reader.scan(b"C", b"D")], held_id
    with Database.open(path) as db:
        assert rows_of(table(db)) == []


def test_zone_maps_and_statistics(memory: Database) -> None:
    create(memory, "t", ("a", types.INTEGER), ("h", types.HUGEINT))
    with memory.begin() as tx:
        huge = pa.array([decimal.Decimal(1 << 100), None], pa.decimal128(38, 0))
        tx.append("t", pa.table({"a": pa.array([5, -3], pa.int32()), "h": huge}))
    version = table(memory)
    zones, wide = version.zone_map(0), version.zone_map(1)
    assert zones is not None
    assert wide is not None
    assert (zones.low.tolist(), zones.high.tolist(), zones.has_value.tolist()) == ([-3], [5], [True])
    assert wide.high.tolist() == [(1 << 63) - 1]
    assert version.statistics.row_count == 2
    assert version.statistics.columns[0].low == -3
    assert version.statistics.columns[0].distinct == 2
    assert version.statistics.columns[1].high == 1 << 100
    assert version.statistics.columns[1].null_count == 1


def test_module_cache(path: str) -> None:
    with Database.open(path) as db:
        assert db.get_blob(b"plan") is None
        db.put_blob(b"plan", b"\x00code" * 5000)
    with Database.open(path) as db:
        assert db.get_blob(b"plan") == b"\x00code" * 5000


operations = st.lists(
    st.one_of(
        st.tuples(
            st.just("append"),
            st.lists(
                st.tuples(st.integers(-(1 << 31), (1 << 31) - 1), st.sampled_from(["", "a", "ü", None])), max_size=40
            ),
        ),
        st.tuples(st.just("delete"), st.lists(st.integers(0, 200), max_size=10)),
        st.tuples(st.just("savepoint"), st.none()),
        st.tuples(st.just("rollback_to"), st.none()),
        st.tuples(st.just("commit"), st.none()),
        st.tuples(st.just("rollback"), st.none()),
        st.tuples(st.just("reopen"), st.none()),
    ),
    max_size=25,
)


@given(operations, st.sampled_from([1 << 17, 30]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_equals_a_list_of_rows(
    tmp_path_factory: pytest.TempPathFactory, rows_of: Rows, history: list[tuple[str, Any]], fold_rows: int
) -> None:
    path = str(tmp_path_factory.mktemp("model") / "db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "FOLD_ROWS", fold_rows)
        _run_history(path, rows_of, history)


def _run_history(path: str, rows_of: Rows, history: list[tuple[str, Any]]) -> None:
    db = Database.open(path, synchronous="normal")
    create(db)
    committed: list[Any] = []
    current: list[Any] = []
    marked: tuple[Any, list[Any]] | None = None
    tx: WriteTransaction = db.begin()
    for operation, argument in history:
        match operation:
            case "append":
                columns = list(zip(*argument, strict=True)) or [[], []]
                tx.append(
                    "t", pa.table({"a": pa.array(columns[0], pa.int32()), "s": pa.array(columns[1], pa.string())})
                )
                current = current + argument
            case "delete":
                ids = visible_ids(tx.snapshot().tables["t"])
                rows = sorted({n for n in argument if n < len(ids)})
                assert tx.delete("t", ids[rows]) == len(rows)
                current = [row for n, row in enumerate(current) if n not in rows]
            case "savepoint":
                marked = tx.savepoint(), current
            case "rollback_to" if marked is not None:
                tx.rollback_to(marked[0])
                current = marked[1]
            case "commit":
                tx.commit()
                current = committed = (
                    rows_of(table(db)) if sorted(rows_of(table(db)), key=str) == sorted(current, key=str) else [None]
                )
                tx, marked = db.begin(), None
            case "rollback":
                tx.rollback()
                current, tx, marked = committed, db.begin(), None
            case "reopen":
                tx.rollback()
                db.close()
                db = Database.open(path, synchronous="normal")
                current, tx, marked = committed, db.begin(), None
        assert rows_of(tx.snapshot().tables["t"]) == current
        assert rows_of(table(db)) == committed
    tx.rollback()
    assert db.check() == []
    db.close()


def visible_ids(version: TableVersion) -> np.ndarray[Any, Any]:
    """Row ids of the visible rows, in storage order."""
    parts = [np.empty(0, np.int64)]
    for chunk in range(version.chunk_count):
        seen = version.visibility(chunk)
        rows = np.arange(int(version.chunk_rows[chunk])) if seen is None else np.flatnonzero(seen[1])
        parts.append(rows + chunk * CHUNK_ROWS)
    return np.concatenate(parts)


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (types.HUGEINT, [-(1 << 100), 1 << 100, 0]),
        (types.DOUBLE, [-1e300, 1e300, -math.inf, math.inf, math.nan]),
    ],
)
def test_a_key_beyond_64_bits_is_there_once(type_: SqlType, values: list[Any]) -> None:
    with Database.open(None) as db:
        create(db, "t", ("k", type_), key=(0,))
        for value in values:
            row = pa.table(
                {"k": pa.array([decimal.Decimal(value) if type_ is types.HUGEINT else value], arrow_type(type_))}
            )
            with db.begin() as tx:
                tx.append("t", row, unique_key=True)
            with pytest.raises(DatabaseError, match="duplicate key"), db.begin() as tx:
                tx.append("t", row, unique_key=True)
