"""Every form of column as generated code sees it, over zerodb's own storage."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from engine_programs import CODE, DICTIONARY, PARAMETER, SCAN_SLOT, SUM, SUM_BODY, module, pipeline, program
from test_limits import deaf_program, usable

from zerodb.engine import Engine
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.program import (
    DictionaryCode,
    DictionarySlot,
    MorselSource,
    ParameterSlot,
    Program,
    Scan,
)
from zerodb_compiler.layout import Encoding
from zerodb_compiler.types import TEXT
from zerodb_storage import Database, Snapshot, import_batches

# Columns: 0 = nullable integer (1 byte), 1 = dictionary (1 byte), 2 = text. Sums, over the visible rows whose column 1
# is the parameter and whose column 0 is not NULL: column 0 + length of the dictionary's string + length of the text,
# + 1000 if the text's first byte is that of the parameter.
BODY = SUM_BODY[SUM_BODY.index('  (func (export "emit")') :]
SCAN = f"""
  (func (export "scan") (param $w i32) (param $m i32) (result i32)
    (local $c i32) (local $i i32) (local $s i64) (local $q i32) (local $d i32) (local $t i32)
    (local.set $q (call $query (local.get $w)))
    (local.set $c (call $chunk (local.get $w) (local.get $m) (i32.const 3)))
    (block $out (loop $again
      (br_if $out (i32.ge_u (local.get $i) (i32.load (local.get $c))))
      (block $next
        (if (i32.load offset=8 (local.get $c)) (then
          (br_if $next (i32.eqz (i32.load8_u (i32.add (i32.load offset=8 (local.get $c)) (local.get $i)))))))
        (br_if $next (i32.eqz (i32.load8_u (i32.add (i32.load offset=20 (local.get $c)) (local.get $i)))))
        (local.set $d (i32.load8_u (i32.add (i32.load offset=24 (local.get $c)) (local.get $i))))
        (br_if $next (i32.ne (local.get $d) (i32.load offset={CODE} (local.get $q))))
        (local.set $s (i64.add (local.get $s)
          (i64.load8_s (i32.add (i32.load offset=16 (local.get $c)) (local.get $i)))))
        (local.set $d (i32.add (i32.load offset={DICTIONARY} (local.get $q)) (i32.shl (local.get $d) (i32.const 2))))
        (local.set $s (i64.add (local.get $s) (i64.extend_i32_u
          (i32.sub (i32.load offset=4 (local.get $d)) (i32.load (local.get $d))))))
        (local.set $t (i32.add (i32.load offset=32 (local.get $c)) (i32.shl (local.get $i) (i32.const 2))))
        (local.set $s (i64.add (local.get $s) (i64.extend_i32_u
          (i32.sub (i32.load offset=4 (local.get $t)) (i32.load (local.get $t))))))
        (if (i32.eq (i32.load8_u (i32.load (local.get $t)))
                    (i32.load8_u (i32.load offset={PARAMETER + 8} (local.get $q))))
          (then (local.set $s (i64.add (local.get $s) (i64.const 1000)))))
      )
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $again)))
    (i64.store offset={SUM} (local.get $w) (i64.add (i64.load offset={SUM} (local.get $w)) (local.get $s)))
    (i32.const 0))"""


@pytest.fixture
def database() -> Iterator[Database]:
    opened = Database.open(None)
    yield opened
    opened.close()


def rows(start: int, number: int) -> pa.Table:
    i = np.arange(start, start + number)
    return pa.table(
        {
            "n": pa.array(i % 100, pa.int32(), mask=i % 7 == 0),
            "d": pa.array([("red", "green", "blue")[k % 3] for k in i]),
            "t": pa.array([f"{'gx'[k % 2]}{'y' * (k % 11)} {k}" for k in i]),
        }
    )


def expected(table: pa.Table, color: str, gone: set[int]) -> int:
    total = 0
    for i, row in enumerate(table.to_pylist()):
        if i not in gone and row["d"] == color and row["n"] is not None:
            total += row["n"] + len(color) + len(row["t"]) + 1000 * (row["t"][0] == color[0])
    return total


def fill(database: Database, table: pa.Table) -> None:
    write = database.begin()
    write.append("t", table)
    write.commit()


def make_program(snapshot: Snapshot) -> Program:
    table = snapshot.tables["t"]
    encodings = [column.encoding for column in table.layout.columns]
    assert encodings == [Encoding.INT, Encoding.DICTIONARY, Encoding.TEXT]
    assert table.layout.columns[0].has_nulls
    return program(
        module(SCAN + BODY),
        (pipeline("scan", MorselSource.SCAN), pipeline("emit", MorselSource.SINGLE)),
        scans=(Scan(table.id, "t", (0, 1, 2), SCAN_SLOT, ()),),
        dictionaries=(DictionarySlot(table.id, 1, DICTIONARY),),
        codes=(DictionaryCode(table.id, 1, CODE, None, 0),),
        parameters=(ParameterSlot(0, TEXT, PARAMETER),),
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_text_dictionaries_nulls_and_deleted_rows(engine: Engine, database: Database, threads: int) -> None:
    everything = rows(0, 3000)
    import_batches(database, "t", everything.to_reader(), None, create=True)
    before = engine.compile(make_program(database.snapshot()))
    for color in ("red", "green", "blue", "none of them"):
        answer = engine.execute(before, database.snapshot(), [color], threads=threads).rows()
        assert answer == [(expected(everything, color, set()),)]
    assert engine.execute(before, database.snapshot(), [None], threads=threads).rows() == [(0,)]
    write = database.begin()
    write.delete("t", np.arange(0, 3000, 13, dtype=np.int64))
    write.commit()
    after = engine.compile(make_program(database.snapshot()))
    for _ in range(2):
        answer = engine.execute(after, database.snapshot(), ["green"], threads=threads).rows()
        assert answer == [(expected(everything, "green", set(range(0, 3000, 13))),)]


def test_a_growing_table_leaves_no_dead_copies(engine: Engine, database: Database) -> None:
    everything = rows(0, 3000)
    import_batches(database, "t", everything.to_reader(), None, create=True)
    compiled = engine.compile(make_program(database.snapshot()))
    engine.execute(compiled, database.snapshot(), ["red"])
    for k in range(20):
        more = rows(3000 + 10 * k, 10)
        everything = pa.concat_tables([everything, more])
        fill(database, more)
        answer = engine.execute(compiled, database.snapshot(), ["red"]).rows()
        assert answer == [(expected(everything, "red", set()),)]
    assert engine.pool.resident_bytes == engine.pool.pinned_bytes


@pytest.mark.parametrize("threads", [1, 2])
def test_control_c_leaves_everything_usable(engine: Engine, threads: int) -> None:
    compiled = engine.compile(deaf_program())  # type: ignore[arg-type]
    main = threading.main_thread().ident
    assert main is not None
    for _ in range(3):
        threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            engine.execute(compiled, EMPTY, threads=threads)
        assert not engine._running
    usable(engine)


class _Empty:
    tables: dict[str, object] = {}  # noqa: RUF012


EMPTY = _Empty()  # type: ignore[var-annotated]
assert abi.CHUNK_HEADER == 16
