"""Programs that use a database: `Connection.run_component` with guests in C."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.components.guests import c_guest

import zerodb

LOOK_UP = r"""
#include "guest.h"
void *run(text *args, size_t count) {
  made c; connection_open(S(""), &c); if (c.failed) return fail(c.error);
  made s; connection_prepare(c.handle, S("select name, n from person where id = $1"), &s);
  if (s.failed) return fail(s.error);
  value id = {.tag = INT64, .int64 = number(args[0])};
  maybe_row r; statement_query_row(s.handle, &id, 1, &r); if (r.failed) return fail(r.error);
  if (!r.some) put("none");
  else for (size_t i = 0; i < r.row.size; i++) { if (i) put(","); put_value(r.row.at[i]); }
  statement_drop(s.handle); connection_drop(c.handle);
  return say();
}
"""


@pytest.fixture
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect() as connection:
        connection.execute("create table person (id bigint primary key, name text, n bigint)")
        connection.execute("insert into person values (1, 'ann', 10), (7, 'bob', null)")
        yield connection


def test_a_guest_looks_a_row_up(db: zerodb.Connection) -> None:
    guest = c_guest(LOOK_UP)
    found = [db.run_component(guest, [key]) for key in ("7", "1", "3", "7")]
    assert found == ["bob,NULL", "ann,10", "none", "bob,NULL"]


def test_what_a_guest_cannot_do_is_an_error_with_its_sqlstate(db: zerodb.Connection) -> None:
    db.execute("drop table person")
    with pytest.raises(zerodb.Error, match='42P01 relation "person" does not exist @21') as caught:
        db.run_component(c_guest(LOOK_UP), ["1"])
    assert caught.value.sqlstate == "38000"


def test_files_that_are_no_guests(db: zerodb.Connection) -> None:
    for data, said in ((b"\0asm\1\0\0\0", "a core WebAssembly module"), (b"hello", "not WebAssembly")):
        with pytest.raises(zerodb.Error, match=said) as caught:
            db.run_component(data)
        assert caught.value.sqlstate == "22P03"
    with pytest.raises(zerodb.Error, match="cannot read"):
        db.run_component("no such file.wasm")
