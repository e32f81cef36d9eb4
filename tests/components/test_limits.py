"""What ends a guest, and what is left of it: nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from tests.components.guests import c_guest

import zerodb

MISBEHAVING = r"""
#include "guest.h"
static int (*volatile again)(int);
static int deep(int n) { return again(n + 1) ^ n; }
void *run(text *args, size_t count) {
  made c; connection_open(S(""), &c); if (c.failed) return fail(c.error);
  made t; transaction_begin(c.handle, 0, 0, &t); if (t.failed) return fail(t.error);
  counted n; connection_execute(c.handle, S("insert into t values (100)"), 0, 0, &n);
  if (n.failed) return fail(n.error);
  volatile int zero = 0;
  if (is(args[0], "loop")) for (;;) zero++;
  if (is(args[0], "recursion")) { again = deep; put_int(deep(0)); }
  if (is(args[0], "unreachable")) __builtin_trap();
  if (is(args[0], "division")) put_int(number(args[0]) / zero);
  if (is(args[0], "outside")) put_int(*(volatile int *)0xfffffff0u);
  if (is(args[0], "memory")) for (;;) cabi_realloc(0, 0, 8, 1 << 20);
  if (is(args[0], "query")) {
    const char *sql = "select count(*) from generate_series(1, 9999999) a(x), generate_series(1, 9999999) b(y)"
      " where x * y = 7";
    connection_execute(c.handle, S(sql), 0, 0, &n);
    for (;;) connection_execute(c.handle, S("select 1"), 0, 0, &n);  // the error does not impress it
  }
  if (is(args[0], "forged")) connection_execute(77, S("select 1"), 0, 0, &n);
  if (is(args[0], "dropped")) { connection_drop(c.handle); connection_execute(c.handle, S("select 1"), 0, 0, &n); }
  if (is(args[0], "foreign")) connection_execute(t.handle, S("select 1"), 0, 0, &n);
  if (is(args[0], "long")) connection_execute(c.handle, (const char *)1000, 0xfffff000u, 0, 0, &n);
  if (is(args[0], "text")) connection_execute(c.handle, S("select '\xff\xfe'"), 0, 0, &n);
  if (is(args[0], "values")) connection_execute(c.handle, S("select 1"), (value *)8, 0x0fffffff, &n);
  if (is(args[0], "case")) { value v = {.tag = 99}; connection_execute(c.handle, S("select $1"), &v, 1, &n); }
  if (is(args[0], "leave")) { put("left"); return say(); }
  if (is(args[0], "error")) { connection_execute(c.handle, S("select 1/0"), 0, 0, &n); return fail(n.error); }
  return say();
}
"""


@pytest.fixture(scope="module")
def guest() -> bytes:
    return c_guest(MISBEHAVING)


@pytest.fixture
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect() as connection:
        connection.execute("create table t (a bigint primary key)")
        connection.execute("insert into t values (1)")
        yield connection
        assert connection.execute("select a from t").fetchall() == [(1,)]
        connection.execute("insert into t values (2)")  # no lock is left
        assert not connection.check()


def ended(db: zerodb.Connection, guest: bytes, how: str, **options: object) -> zerodb.Error:
    with pytest.raises(zerodb.Error) as caught:
        db.run_component(guest, [how], **options)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("recursion", "call stack exhausted"),
        ("unreachable", "`unreachable` instruction executed"),
        ("division", "integer divide by zero"),
        ("outside", "out of bounds memory access"),
        ("forged", "handle"),
        ("dropped", "handle"),
        ("foreign", "handle"),
        ("long", "out of bounds"),
        ("text", "utf-8"),
        ("values", "out of bounds"),
        ("case", "discriminant"),
    ],
)
def test_a_trap_is_an_error_and_leaves_nothing(db: zerodb.Connection, guest: bytes, how: str, said: str) -> None:
    error = ended(db, guest, how)
    assert error.sqlstate == "39000"
    assert said in str(error)


def test_a_guest_that_ends_with_an_open_transaction_is_rolled_back(db: zerodb.Connection, guest: bytes) -> None:
    assert db.run_component(guest, ["leave"]) == "left"
    error = ended(db, guest, "error")
    assert isinstance(error, zerodb.errors.GuestError)
    assert str(error) == "22012 division by zero @8"


@pytest.mark.parametrize("how", ["loop", "query"])
def test_a_timeout_ends_loops_and_statements(db: zerodb.Connection, guest: bytes, how: str) -> None:
    began = time.monotonic()
    error = ended(db, guest, how, timeout=0.2)
    assert (error.sqlstate, "timeout" in str(error)) == ("57014", True)
    assert time.monotonic() - began < 5


def test_fuel_ends_a_loop(db: zerodb.Connection, guest: bytes) -> None:
    error = ended(db, guest, "loop", fuel=1_000_000)
    assert (error.sqlstate, "fuel" in str(error)) == ("53400", True)


def test_memory_is_limited(db: zerodb.Connection, guest: bytes) -> None:
    error = ended(db, guest, "memory", memory_limit="8MB")
    assert (error.sqlstate, "memory" in str(error)) == ("53200", True)
    assert ended(db, guest, "leave", memory_limit="1MB").sqlstate == "53200"  # it begins with more


@pytest.mark.parametrize("how", ["loop", "query"])
def test_interrupt_ends_a_guest(db: zerodb.Connection, guest: bytes, how: str) -> None:
    timer = threading.Timer(0.3, db.interrupt)
    timer.start()
    error = ended(db, guest, how)
    timer.join()
    assert (error.sqlstate, "interrupted" in str(error)) == ("57014", True)


def test_nonsense_options_are_refused(db: zerodb.Connection, guest: bytes) -> None:
    for options in ({"timeout": 0}, {"memory_limit": "1kB"}, {"fuel": -1}, {"grants": ["reed:x"]}):
        assert ended(db, guest, "leave", **options).sqlstate == "22023"


def test_many_guests_that_trap_leave_memory_flat(db: zerodb.Connection, guest: bytes) -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    for _ in range(20):
        ended(db, guest, "unreachable")
    before = resident()
    for _ in range(200):
        ended(db, guest, "unreachable")
    assert resident() - before < 16 << 20
