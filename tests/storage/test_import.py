"""Bulk import of files: formats, types, NULLs, sorting, uniqueness, and errors with a line number."""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from zerodb_compiler import types
from zerodb_compiler.errors import DatabaseError
from zerodb_compiler.layout import CHUNK_ROWS, Encoding
from zerodb_storage import (
    Column,
    CsvOptions,
    Database,
    TableVersion,
    delta,
    fold,
    import_batches,
    importing,
    open_file,
    publishing,
    schema_of,
)

Rows = Callable[[TableVersion], list[tuple[Any, ...]]]

AIRPORTS = """1,"Goroka Airport","Papua New Guinea","GKA",-6.08,145.39,5282,"U"
2,"Köln, \\"Bonn\\" Airport","Germany",\\N,50.86,7.14,302,"E"
3,"","Canada","YFB",63.75,-68.55,\\N,\\N
"""


def sample(rows: int) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "day": pa.array([datetime.date(2020, 1, 1 + n % 28) for n in range(rows)]),
            "price": pa.array(
                [None if n % 11 == 0 else decimal.Decimal(n * 7) / 100 for n in range(rows)], pa.decimal128(15, 2)
            ),
            "kind": [f"kind {n % 5}" for n in range(rows)],
            "note": [f"note number {n}" for n in range(rows)],
            "ratio": np.arange(rows) / 3,
            "flag": [n % 3 == 0 for n in range(rows)],
        }
    )


def expected(rows: int) -> list[tuple[Any, ...]]:
    start = (datetime.date(2020, 1, 1) - datetime.date(1970, 1, 1)).days
    return [
        (n, start + n % 28, None if n % 11 == 0 else n * 7, f"kind {n % 5}", f"note number {n}", n / 3, int(n % 3 == 0))
        for n in range(rows)
    ]


def write_parquet(table: pa.Table, path: Path) -> None:
    pa.parquet.write_table(table, path, row_group_size=7_000)


def write_arrow(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=3_000)


def write_stream(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("ending", "write"), [("parquet", write_parquet), ("arrow", write_arrow), ("arrows", write_stream)]
)
def test_typed_files(ending: str, write: Callable[[pa.Table, Path], None], tmp_path: Path, rows_of: Rows) -> None:
    file = tmp_path / f"data.{ending}"
    write(sample(20_000), file)
    seen: list[tuple[int, int]] = []
    with Database.open(str(tmp_path / "db"), synchronous="normal") as db:
        reader = open_file(str(file))
        assert reader.byte_count == file.stat().st_size
        assert import_batches(db, "t", reader, lambda rows, size: seen.append((rows, size)), create=True) == 20_000
        version = db.snapshot().tables["t"]
        assert [str(c.type) for c in version.columns] == [
            "bigint", "date", "numeric(15,2)", "text", "text", "double precision", "boolean",
        ]  # fmt: skip
        assert version.layout.columns[3].encoding is Encoding.DICTIONARY
        assert version.layout.columns[4].encoding is Encoding.TEXT
        assert rows_of(version) == expected(20_000)
        assert seen[-1][0] == 20_000
        assert 0 < seen[-1][1] <= reader.byte_count
        assert db.check() == []
    with Database.open(str(tmp_path / "db"), read_only=True) as db:
        assert rows_of(db.snapshot().tables["t"]) == expected(20_000)


@pytest.mark.parametrize("rows", [CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS + 5])
def test_batches_around_the_segment_and_batch_limits(
    rows: int, monkeypatch: pytest.MonkeyPatch, memory: Database, rows_of: Rows
) -> None:
    monkeypatch.setattr(importing, "BATCH_ROWS", 2 * CHUNK_ROWS)
    table = pa.table({"a": range(rows), "s": [f"s{n % 100}" for n in range(rows)]})
    before = memory.snapshot().sequence
    import_batches(memory, "t", table.to_reader(max_chunksize=10_000), create=True)
    assert memory.snapshot().sequence - before == -(-rows // (2 * CHUNK_ROWS))  # the table comes with the first
    assert rows_of(memory.snapshot().tables["t"]) == [(n, f"s{n % 100}") for n in range(rows)]


def test_long_rows_make_short_segments(monkeypatch: pytest.MonkeyPatch, memory: Database, rows_of: Rows) -> None:
    monkeypatch.setattr(fold, "SEGMENT_TEXT_BYTES_MAX", 10_000)
    monkeypatch.setattr(delta, "CHUNK_TEXT_BYTES_MAX", 10_000)
    monkeypatch.setattr(publishing, "FOLD_ROWS", 150)
    texts = [f"{n:0500}" for n in range(100)]
    table = pa.table({"s": texts})
    import_batches(memory, "t", table.to_reader(), create=True)
    assert max(memory.snapshot().tables["t"].chunk_rows) <= 20
    for _ in range(2):
        with memory.begin() as tx:
            for begin in range(0, 100, 10):
                tx.append("t", table.slice(begin, 10))
        assert max(memory.snapshot().tables["t"].chunk_rows) <= 30
    assert sorted(row[0] for row in rows_of(memory.snapshot().tables["t"])) == sorted(texts * 3)


def test_sorted_by_primary_key_whatever_the_order_in_the_file(memory: Database, rows_of: Rows) -> None:
    order = np.random.default_rng(7).permutation(100_000)
    table = sample(100_000).take(pa.array(order))
    import_batches(memory, "t", table.to_batches(), create=True, columns=schema_of(table.schema), primary_key=[0])
    assert rows_of(memory.snapshot().tables["t"]) == expected(100_000)


def test_duplicate_keys_within_a_batch_and_against_the_table(memory: Database) -> None:
    columns = [Column("k", types.TEXT), Column("n", types.INTEGER)]
    table = pa.table({"k": [f"k{n}" for n in range(1000)], "n": pa.array(range(1000), pa.int32())})
    import_batches(memory, "t", table.to_batches(), create=True, columns=columns, primary_key=[0, 1])
    for rows in ([5], [2000, 2001, 2000]):
        more = pa.table({"k": [f"k{n}" for n in rows], "n": pa.array(rows, pa.int32())})
        with pytest.raises(DatabaseError, match=r"\(k, n\)=\(k(5, 5|2000, 2000)\)") as error:
            import_batches(memory, "t", more.to_batches())
        assert error.value.sqlstate == "23505"
    assert memory.snapshot().tables["t"].row_count == 1000
    memory.begin().rollback()  # the database takes writers as before


def test_import_folds_the_delta_first_and_grows_dictionaries(path: str, rows_of: Rows) -> None:
    with Database.open(path, synchronous="normal") as db:
        import_batches(db, "t", sample(1000).to_batches(), create=True, columns=schema_of(sample(2).schema))
        with db.begin() as tx:
            tx.append("t", sample(1010).slice(1000))
            tx.delete("t", np.array([0]))
        more = sample(1020).slice(1010)
        more = more.set_column(3, "kind", pa.array(["another"] * 10))
        import_batches(db, "t", more.to_batches())
        found = sorted(rows_of(db.snapshot().tables["t"]))
        assert found[:-10] == expected(1010)[1:]
        assert {row[3] for row in found[-10:]} == {"another"}
        assert db.snapshot().tables["t"].dictionaries[3].size == 6
    with Database.open(path) as db:
        assert sorted(rows_of(db.snapshot().tables["t"])) == found


def test_a_dictionary_outgrown_in_the_middle_of_an_import(
    monkeypatch: pytest.MonkeyPatch, path: str, rows_of: Rows
) -> None:
    monkeypatch.setattr(importing, "BATCH_ROWS", CHUNK_ROWS)
    strings = [f"k{n % 10}" for n in range(CHUNK_ROWS)] + [f"only {n}" for n in range(2 * CHUNK_ROWS)]
    with Database.open(path, synchronous="normal") as db:
        import_batches(db, "t", pa.table({"s": strings}).to_batches(), create=True, columns=[Column("s", types.TEXT)])
        assert db.snapshot().tables["t"].layout.columns[0].encoding is Encoding.TEXT
    with Database.open(path) as db:
        assert [row[0] for row in rows_of(db.snapshot().tables["t"])] == strings


def test_keys_are_compared_with_every_overlapping_chunk(memory: Database) -> None:
    order = np.random.default_rng(3).permutation(200_000)
    columns = [Column("a", types.BIGINT), Column("b", types.numeric(38, 0)), Column("s", types.TEXT)]

    def rows(numbers: np.ndarray[Any, Any]) -> pa.Table:
        huge = pa.array(
            [decimal.Decimal((n << 70) if n % 1000 == 0 else n) for n in numbers.tolist()], pa.decimal128(38, 0)
        )
        return pa.table({"a": numbers % 100, "b": huge, "s": [f"s{n}" for n in numbers]})

    import_batches(memory, "t", rows(order[:150_000]).to_batches(), create=True, columns=columns, primary_key=[0, 1, 2])
    import_batches(memory, "t", rows(order[150_000:]).to_batches())
    with memory.begin() as tx:
        tx.delete("t", np.array([4]))
    for again in (order[:1], order[-1:], np.array([1000])):
        with pytest.raises(DatabaseError) as error:
            import_batches(memory, "t", rows(np.concatenate((np.arange(300_000, 310_000), again))).to_batches())
        assert error.value.sqlstate == "23505"
    import_batches(memory, "t", rows(np.arange(300_000, 310_000)).to_batches())


def test_keys_are_compared_with_changed_rows(path: str, rows_of: Rows) -> None:
    columns = [Column("id", types.BIGINT), Column("s", types.TEXT)]
    first = pa.table({"id": [1, 2, 3], "s": ["a", "b", "c"]})
    with Database.open(path) as db:
        import_batches(db, "t", first.to_batches(), create=True, columns=columns, primary_key=[0])
        with db.begin() as tx:  # an update: the row is deleted and comes back in the delta, which the import folds
            tx.delete("t", np.array([1]))
            tx.append("t", pa.table({"id": [2], "s": ["new"]}))
        with pytest.raises(DatabaseError, match=r"\(id\)=\(2\)") as error:
            import_batches(db, "t", pa.table({"id": [4, 2], "s": ["d", "e"]}).to_batches())
        assert error.value.sqlstate == "23505"
        assert import_batches(db, "t", pa.table({"id": [4], "s": ["d"]}).to_batches()) == 1
    with Database.open(path) as db:
        assert sorted(rows_of(db.snapshot().tables["t"])) == [(1, "a"), (2, "new"), (3, "c"), (4, "d")]


@pytest.mark.parametrize("inserted", [0, 1])
def test_deletions_before_an_import_last(inserted: int, path: str, rows_of: Rows) -> None:
    table = pa.table({"id": range(70_000), "s": [f"s{n}" for n in range(70_000)]})
    with Database.open(path) as db:
        import_batches(db, "t", table.to_reader(), create=True)
        with db.begin() as tx:
            tx.delete("t", np.array([2, CHUNK_ROWS + 7]))
            if inserted:
                tx.append("t", table.slice(0, 1))
        before = db.snapshot().tables["t"].row_count
        import_batches(db, "t", pa.table({"id": [-1], "s": ["more"]}).to_batches())
        expected = sorted(rows_of(db.snapshot().tables["t"]))
        assert len(expected) == before + 1
    with Database.open(path) as db:
        assert sorted(rows_of(db.snapshot().tables["t"])) == expected
        assert db.check() == []


def test_a_failed_import_leaves_no_empty_table(memory: Database) -> None:
    columns = [Column("a", types.BIGINT, not_null=True)]
    with pytest.raises(DatabaseError):
        import_batches(memory, "t", pa.table({"a": [1, None]}).to_batches(), create=True, columns=columns)
    assert "t" not in memory.snapshot().tables
    nothing = pa.table({"a": pa.array([], pa.int64())})
    assert import_batches(memory, "t", nothing.to_batches(), create=True, columns=columns) == 0
    assert memory.snapshot().tables["t"].row_count == 0


def test_null_in_a_not_null_column_keeps_earlier_batches_only(
    monkeypatch: pytest.MonkeyPatch, memory: Database
) -> None:
    monkeypatch.setattr(importing, "BATCH_ROWS", 10)
    values = [*range(25), None]
    with pytest.raises(DatabaseError, match='"a"') as error:
        import_batches(
            memory,
            "t",
            pa.table({"a": values}).to_batches(),
            create=True,
            columns=[Column("a", types.BIGINT, not_null=True)],
        )
    assert error.value.sqlstate == "23502"
    assert memory.snapshot().tables["t"].row_count in (10, 20)


def test_csv_without_header_with_null_markers_and_escapes(tmp_path: Path, memory: Database, rows_of: Rows) -> None:
    file = tmp_path / "airports.dat"
    file.write_text(AIRPORTS, encoding="utf-8")
    import_batches(memory, "airports", open_file(str(file)), create=True)
    version = memory.snapshot().tables["airports"]
    assert [str(c.type) for c in version.columns] == [
        "bigint", "text", "text", "text", "double precision", "double precision", "bigint", "text",
    ]  # fmt: skip
    assert rows_of(version) == [
        (1, "Goroka Airport", "Papua New Guinea", "GKA", -6.08, 145.39, 5282, "U"),
        (2, 'Köln, "Bonn" Airport', "Germany", None, 50.86, 7.14, 302, "E"),
        (3, "", "Canada", "YFB", 63.75, -68.55, None, None),
    ]


@pytest.mark.parametrize(
    ("text", "names", "rows"),
    [
        ("id,name\n1,x\n2,y\n", ["id", "name"], 2),
        ("1,x\n2,y\n", ["column0", "column1"], 2),
        ("a;b;c\n1;2;3\n", ["a", "b", "c"], 1),
        ("first\tsecond\nx\ty\n", ["first", "second"], 1),
        ('k|v\n"a|b"|1\n', ["k", "v"], 1),
        ("a,a,\n1,2,3\n", ["a", "a_1", "column2"], 1),
    ],
)
def test_csv_shapes_are_found_out(text: str, names: list[str], rows: int, tmp_path: Path, memory: Database) -> None:
    file = tmp_path / "x.csv"
    file.write_text(text)
    options = CsvOptions(header=True) if names[-1] == "column2" else None
    reader = open_file(str(file), options=options)
    assert [c.name for c in reader.columns] == names
    assert import_batches(memory, "t", reader, create=True) == rows


@pytest.mark.parametrize(("escape", "found"), [(None, "it's"), ("", "it\\'s"), ("\\", "it's")])
def test_files_with_escaped_nulls_have_escapes(
    escape: str | None, found: str, tmp_path: Path, memory: Database, rows_of: Rows
) -> None:
    file = tmp_path / "x.csv"
    file.write_text('1,"it\\\'s",\\N\n\\N,"""x""",3\n')
    import_batches(memory, "t", open_file(str(file), options=CsvOptions(escape=escape)), create=True)
    assert rows_of(memory.snapshot().tables["t"]) == [(1, found, None), (None, '"x"', 3)]


def test_csv_columns_that_start_with_nulls_are_text(tmp_path: Path, memory: Database) -> None:
    file = tmp_path / "x.csv"
    file.write_text("a,b\n" + "1,\n" * 2_500_000 + "1,x\n")
    assert import_batches(memory, "t", open_file(str(file)), create=True) == 2_500_001
    assert [str(c.type) for c in memory.snapshot().tables["t"].columns] == ["bigint", "text"]


def test_csv_with_given_names_types_and_nulls(tmp_path: Path, memory: Database, rows_of: Rows) -> None:
    file = tmp_path / "x.csv"
    file.write_text("1.10,2020-02-29,NA\n-,2020-03-01,\n")
    options = CsvOptions(
        names=["price", "day", "s"], nulls=["-", "NA"], types={"price": types.numeric(8, 2), "day": types.DATE}
    )
    import_batches(memory, "t", open_file(str(file), options=options), create=True)
    assert rows_of(memory.snapshot().tables["t"]) == [(110, 18321, None), (None, 18322, "")]


def test_csv_errors_name_file_and_line(tmp_path: Path, memory: Database) -> None:
    file = tmp_path / "bad.csv"
    good = "".join(f"{n},name {n}\n" for n in range(600_000))
    for line, sqlstate, problem in [
        ("1,2,3", "22P04", "3 fields instead of 2"),
        ("oops,x", "22P02", '"oops"'),
    ]:
        file.write_text("id,name\n" + good + line + "\n" + good[:100])
        with pytest.raises(DatabaseError, match=problem) as error:
            import_batches(memory, "t" + sqlstate.lower(), open_file(str(file)), create=True)
        assert "line 600002" in error.value.message
        assert "bad.csv" in error.value.message
        assert error.value.sqlstate == sqlstate


def test_json_lines(tmp_path: Path, memory: Database, rows_of: Rows) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("".join(json.dumps({"n": n, "s": f"ü{n}" if n % 2 else None}) + "\n" for n in range(100)))
    import_batches(memory, "t", open_file(str(file)), create=True)
    assert rows_of(memory.snapshot().tables["t"]) == [(n, f"ü{n}" if n % 2 else None) for n in range(100)]
    late = "".join(json.dumps({"n": n, "s": "x" if n == 199_999 else None}) + "\n" for n in range(200_000))
    file.write_text(late)
    assert import_batches(memory, "late", open_file(str(file)), create=True) == 200_000
    file.write_text('{"n": 1}\n{"n": \n')
    with pytest.raises(DatabaseError, match="line 2"):
        import_batches(memory, "u", open_file(str(file)), create=True)


@pytest.mark.parametrize(
    ("name", "content", "sqlstate"),
    [
        ("missing.csv", None, "58P01"),
        ("empty.csv", b"", "22P04"),
        ("torn.parquet", b"PAR1 but not really", "22P04"),
        ("torn.arrow", b"ARROW1 but not really", "22P04"),
        ("latin.csv", b"a,b\n1,\xe9\n", "22021"),
        ("what.xyz", b"?", "0A000"),
    ],
)
def test_unreadable_files(name: str, content: bytes | None, sqlstate: str, tmp_path: Path, memory: Database) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DatabaseError) as error:
        import_batches(memory, "t", open_file(str(file)), create=True)
    assert error.value.sqlstate == sqlstate


def test_types_that_are_not_stored(memory: Database) -> None:
    with pytest.raises(DatabaseError, match="list") as error:
        import_batches(memory, "t", pa.table({"l": [[1]]}).to_reader(), create=True)
    assert error.value.sqlstate == "0A000"
    assert not memory.snapshot().tables
