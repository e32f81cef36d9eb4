"""Functions that SQL calls, and that query: they see what the statement sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.components.guests import c_guest

import zerodb

SOURCE = r"""
#include "guest.h"
static struct { int64_t *at; size_t size; } sums;
static int32_t kept;
__attribute__((export_name("total"))) void *total(int64_t *shops, size_t count) {
  made c, s; counted n; int64_t *out = cabi_realloc(0, 0, 8, 8 * count);
  if (count && shops[0] == -2) { made k; connection_prepare(kept, S("select 1"), &k); }
  connection_open(S(""), &c); if (c.failed) __builtin_trap();
  kept = c.handle;
  if (count && shops[0] == -1) {
    connection_execute(c.handle, S("insert into sale values (1, 1)"), 0, 0, &n);
    out[0] = n.failed ? number(n.error.sqlstate) : 0; sums.at = out; sums.size = 1; return &sums;
  }
  connection_prepare(c.handle, S("select sum(amount)::bigint from sale where shop = $1"), &s);
  if (s.failed) __builtin_trap();
  for (size_t i = 0; i < count; i++) {
    value id = {.tag = INT64, .int64 = shops[i]}; maybe_row r;
    statement_query_row(s.handle, &id, 1, &r); if (r.failed) __builtin_trap();
    out[i] = r.some && r.row.at[0].tag == INT64 ? r.row.at[0].int64 : 0;
  }
  sums.at = out; sums.size = count; return &sums;
}
"""
EXPORTS = """
  (func $total (param "shop" (list s64)) (result (list s64)) (canon lift (core func $main "total")
    (memory (core memory $memory "memory")) (realloc (core func $memory "cabi_realloc"))))
  (export "total" (func $total))
"""


@pytest.fixture
def db(tmp_path: Path) -> Iterator[zerodb.Connection]:
    file = tmp_path / "total.wasm"
    file.write_bytes(c_guest(SOURCE, EXPORTS))
    with zerodb.connect() as connection:
        connection.execute("create table sale (shop bigint, amount bigint)")
        connection.execute("insert into sale select x % 10, x from generate_series(1, 1000) a(x)")
        connection.execute(f"create function total(shop bigint) returns bigint language wasm stable as '{file}'")
        yield connection


def test_a_function_queries_within_its_statement(db: zerodb.Connection) -> None:
    rows = db.execute("select s, total(s) from generate_series(0, 9) a(s) order by s").fetchall()
    assert rows == db.execute("select shop, sum(amount)::bigint from sale group by shop order by shop").fetchall()
    assert db.execute("select count(*) from sale where total(shop) > 50000").fetchone() == (500,)


def test_it_sees_the_callers_transaction(db: zerodb.Connection) -> None:
    other = db.duplicate()
    with db.transaction():
        db.execute("insert into sale values (77, 5), (77, 6)")
        assert db.execute("select total(77)").fetchone() == (11,)
        assert other.execute("select total(77)").fetchone() == (0,)
    assert other.execute("select total(77)").fetchone() == (11,)
    other.close()


def test_it_can_only_read(db: zerodb.Connection) -> None:
    before = db.execute("select count(*) from sale").fetchone()
    assert db.execute("select total(-1)").fetchone() == (17000,)  # 0A000, in its idea of numbers
    assert db.execute("select count(*) from sale").fetchone() == before


def test_handles_end_with_the_call(db: zerodb.Connection) -> None:
    db.execute("select total(1)")
    with pytest.raises(zerodb.Error, match="handle") as caught:
        db.execute("select total(-2)")
    assert caught.value.sqlstate == "39000"
    assert db.execute("select total(1) > 0").fetchone() == (True,)
