"""A large result goes through a small guest: portion by portion."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.components.guests import FOLDER, c_guest

import zerodb

SUM = r"""
#include "guest.h"
void *run(text *args, size_t count) {
  made c, q; int64_t sum = 0, rows = 0;
  connection_open(S(""), &c); if (c.failed) return fail(c.error);
  connection_query(c.handle, S("select x, 'text of row ' || x from big"), 0, 0, &q); if (q.failed) return fail(q.error);
  for (;;) {
    maybe_batch b; cursor_next_batch(q.handle, 4000, &b); if (b.failed) return fail(b.error);
    if (!b.some) break;
    int64_t *x = b.batch.columns.at[0].data.data.at;
    for (uint32_t r = 0; r < b.batch.rows; r++) sum += x[r];
    rows += b.batch.rows;
    forget();
  }
  put_int(rows); put(" "); put_int(sum);
  return say();
}
"""


def test_a_million_rows_pass_through_a_guest_of_three_megabytes() -> None:
    with zerodb.connect() as db:
        db.execute("create table big (x bigint)")
        db.execute("insert into big select x from generate_series(1, 1000000) a(x)")
        assert db.run_component(c_guest(SUM), memory_limit="3MB") == "1000000 500000500000"


def test_rows_that_were_given_are_let_go_and_each_is_given_once() -> None:
    from zerodb.components.query import GuestCursor

    def count(batch: Any) -> list[int]:
        return [] if batch is None else batch["columns"][0]["data"].payload.to_pylist()

    with zerodb.connect() as db:
        sql = "select x::bigint from generate_series(1, 100000) a(x)"
        for steps in ([7], [50_000], ["r", 7], [7, "r"], ["r", 4096, "r", 1, "r", "r", 9000]):
            cursor = GuestCursor(db.execute(sql))
            whole, found, turn = cursor.size, [], 0
            while True:
                step = steps[turn % len(steps)]
                turn += 1
                rows = (
                    [row[0].payload for row in cursor.next_rows(3000)]
                    if step == "r"
                    else count(cursor.next_batch(int(step) if turn < 50 else 20_000))
                )
                if not rows:
                    break
                found += rows
            assert found == list(range(1, 100_001))
            assert cursor.size < whole / 5
            cursor.close()


@pytest.mark.parametrize("statement", ["select pg_sleep(60)", "lock table t"])
def test_what_waits_within_a_statement_ends_with_the_guest(statement: str) -> None:
    guest = c_guest((FOLDER / "script.c").read_text())
    with zerodb.connect() as db, db.duplicate() as other:
        db.execute("create table t (a int)")
        other.begin()
        other.execute("lock table t")
        began = time.monotonic()
        with pytest.raises(zerodb.Error) as caught:
            db.run_component(guest, ["o", "B0", f"x{statement}", f"x{statement}"], timeout=0.3)
        assert caught.value.sqlstate == "57014"
        assert time.monotonic() - began < 10
