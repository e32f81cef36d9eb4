"""What guests must not do (hostile.c): each is refused with a clear error, what was open is rolled back, and the
database goes on; a thousand of them in a row leave memory flat.

Each guest commits a row first, and changes another in a transaction that it leaves open: the one stays, the other goes.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime
from tests.components.guests import c_guest

import zerodb
from zerodb.components.engine import component_engine
from zerodb.components.grants import parse_grants
from zerodb.components.instance import Instance
from zerodb.components.limits import Limits
from zerodb.components.query import GuestSession
from zerodb.components.running import guest_linker
from zerodb.components.vals import list_of, lower_string
from zerodb.errors import Error

TRAP, TIMEOUT, MEMORY, SAID = "39000", "57014", "53200", "38000"
# What the guest does, the SQLSTATE of the error, and what it says.
REFUSED = [
    # no end
    ("loop", TIMEOUT, "longer than its timeout"),
    ("calls", TIMEOUT, "longer than its timeout"),
    ("query", TIMEOUT, "longer than its timeout"),
    ("recursion", TRAP, "trapped"),
    # memory
    ("bytes", TRAP, "too much data is being copied"),
    ("strings", TRAP, "too much data is being copied"),
    ("nulls", TRAP, "too much data is being copied"),
    ("handles", SAID, "54000 a guest has at most 65536 handles"),
    ("connections", SAID, "53300 a guest has at most 1000 connections"),
    ("cursors", SAID, "53200 the results that a guest has open are larger"),
    ("long text", SAID, "53200 out of memory"),
    ("long result", SAID, "53200 the result is larger than 1024 MB"),
    # handles
    ("forged/0", TRAP, "unknown handle index 0"),
    ("forged/-1", TRAP, "unknown handle index 4294967295"),
    ("forged/99999", TRAP, "unknown handle index 99999"),
    ("dropped", TRAP, "unknown handle index"),
    ("dropped twice", TRAP, "unknown handle index"),
    ("another kind", TRAP, "used with the wrong type"),
    ("orphan", SAID, "08003 the connection is closed"),
    # strings and lists
    ("outside", TRAP, "out of bounds"),
    ("around", TRAP, "out of bounds"),
    ("huge", TRAP, "out of bounds"),
    ("half", TRAP, "out of bounds"),
    ("not utf-8", TRAP, "invalid utf-8"),
    ("surrogate", TRAP, "invalid utf-8"),
    ("tag", TRAP, "discriminant 99 out of range"),
    ("unaligned", TRAP, "not aligned"),
    ("list outside", TRAP, "out of bounds"),
    ("too many", SAID, "08P01 the statement needs 1 parameters, 3 were given"),
    ("short column", SAID, "22P03 a column of 7 values in a batch of 8 rows"),
    ("long column", SAID, "22P03 a column of 8 values in a batch of 2 rows"),
    ("short validity", SAID, "22P03 a validity of 0 bytes for 8 rows"),
    ("out of range", SAID, "22003 smallint out of range"),
    ("zero in text", SAID, "22021 invalid byte sequence"),
    ("another form", SAID, "42804 a parameter of type bigint cannot be a bool"),
    ("no form", TRAP, "discriminant 77 out of range"),
    ("no columns", SAID, "54000 a batch without columns has at most 1048576 rows"),
    ("another number", SAID, "08P01 the statement has 1 parameters, the batch 2 columns"),
    # what it was not given
    ("table", SAID, "42501 permission denied for table secret"),
    ("write", SAID, "42501 permission denied for table secret"),
    ("define", SAID, "42501 permission denied for definition statements"),
    ("file", SAID, "42501 permission denied for COPY"),
    ("database", SAID, '3D000 database "other" does not exist'),
]
SLOW = {"handles", "connections", "cursors", "long result"}  # they take as much as they get
LONG = {"loop", "calls", "query"}
GRANTS = ["write:work", "write:small", "write:words", "write:kv"]


@pytest.fixture(scope="module")
def guest() -> bytes:
    return c_guest((Path(__file__).parent / "hostile.c").read_text())


@pytest.fixture
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect() as connection:
        connection.executescript(
            "create table work (a bigint); create table small (a smallint); create table words (t text);"
            "create table secret (a int); insert into secret values (7);"
            "create table kv (key text primary key, value bytea not null, expires timestamptz);"
        )
        yield connection


def attempt(db: zerodb.Connection, guest: bytes, what: str, timeout: float = 30) -> Error:
    """The error that the guest ends with; what it leaves is looked at."""
    db.execute("delete from work")
    with pytest.raises(Error) as error:
        db.run_component(guest, what.split("/"), grants=GRANTS, timeout=timeout, memory_limit="64MB", name="hostile")
    assert db.execute("select a from work").fetchall() == [(1,)]
    return error.value


@pytest.mark.parametrize(
    ("what", "sqlstate", "said"),
    [pytest.param(*case, marks=[pytest.mark.slow] if case[0] in SLOW else [], id=case[0]) for case in REFUSED],
)
def test_what_guests_must_not_do(db: zerodb.Connection, guest: bytes, what: str, sqlstate: str, said: str) -> None:
    error = attempt(db, guest, what, 0.3 if what in LONG else 60)
    assert error.sqlstate == sqlstate
    assert said in str(error)
    assert db.execute("select a from secret").fetchall() == [(7,)]
    assert not db.check()


def test_memory_ends_where_it_was_to_end(db: zerodb.Connection, guest: bytes) -> None:
    """A guest that is told so goes on."""
    assert db.run_component(guest, ["grow"], grants=GRANTS, memory_limit="64MB") == "1024"
    assert db.run_component(guest, ["grow"], grants=GRANTS, memory_limit="16MB") == "256"


def test_a_batch_is_never_larger_than_the_host_likes(db: zerodb.Connection, guest: bytes) -> None:
    assert db.run_component(guest, ["many rows"], grants=GRANTS) == "1"


def test_a_transaction_cannot_be_committed_twice(db: zerodb.Connection, guest: bytes) -> None:
    """The second one traps; the first was a commit."""
    with pytest.raises(Error, match="unknown handle index"):
        db.run_component(guest, ["committed"], grants=GRANTS)
    assert db.execute("select a from work order by a").fetchall() == [(1,), (2,)]


def test_fuel_ends_any_loop(db: zerodb.Connection, guest: bytes) -> None:
    with pytest.raises(Error) as error:
        db.run_component(guest, ["loop"], grants=GRANTS, fuel=10_000_000)
    assert error.value.sqlstate == "53400"


def make_instance(db: zerodb.Connection, guest: bytes) -> Instance:
    engine = component_engine(fuel=False)
    grants = parse_grants(GRANTS)
    session = GuestSession(db, grants)
    component = engine.load(guest, "hostile")
    return Instance(
        *(engine, guest_linker(engine), component, "hostile", Limits(timeout_s=10), grants.wasi()),
        own_output=False,
        owner=session,
        interrupt=session.interrupt,
    )


def test_an_instance_is_not_entered_while_it_runs(db: zerodb.Connection, guest: bytes) -> None:
    """By another thread, while the first is in its loop."""
    instance = make_instance(db, guest)
    run = instance.export("run")
    assert run is not None
    failures: list[Error] = []

    def first() -> None:
        with pytest.raises(Error) as error:
            run([list_of(lower_string)], [["query"]])
        failures.append(error.value)

    thread = threading.Thread(target=first)
    thread.start()
    try:
        while instance.run is None:
            pass
        with pytest.raises(Error) as error:
            run([list_of(lower_string)], [["fine"]])
        assert error.value.sqlstate == "55006"
    finally:
        while thread.is_alive():  # the guest's query is ended from outside
            instance.owner.interrupt()
            thread.join(0.05)
        instance.close()
    assert len(failures) == 1


def test_a_guest_that_has_trapped_is_not_entered_again(db: zerodb.Connection, guest: bytes) -> None:
    instance = make_instance(db, guest)
    run = instance.export("run")
    assert run is not None
    with pytest.raises(Error, match="unknown handle"):
        run([list_of(lower_string)], [["dropped"]])
    with pytest.raises(Error, match="has ended"):
        run([list_of(lower_string)], [["fine"]])
    instance.close()


# A component whose start function, allocator or list of environment variables does not end or is looked at.
START_LOOP = """(component (core module $m (func $f (loop $l (br $l))) (start $f)) (core instance (instantiate $m)))"""
BIG_MEMORY = """(component (core module $m (memory 60000)) (core instance (instantiate $m)))"""
MANY_MEMORIES = "(component (core module $m (memory 1)) " + "(core instance (instantiate $m))" * 300 + ")"
MANY_ELEMENTS = """(component (core module $m (table 100000000 funcref)) (core instance (instantiate $m)))"""
UNKNOWN_IMPORT = """(component (import "zerosys:db/secrets@0.1.0" (instance (export "all" (func)))))"""
WASI = """
(component
  (import "wasi:filesystem/types@0.2.0" (instance $types (export "descriptor" (type (sub resource)))))
  (alias export $types "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
    (alias outer 1 $descriptor (type $d)) (export "descriptor" (type $d2 (eq $d)))
    (export "get-directories" (func (result (list (tuple (own $d2) string)))))))
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "get-environment" (func (result (list (tuple string string)))))
    (export "get-arguments" (func (result (list string))))))
  (core module $memory
    (memory (export "memory") 16)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $memory))
  (core func $directories (canon lower (func $preopens "get-directories")
    (memory (core memory $memory "memory")) (realloc (core func $memory "cabi_realloc"))))
  (core func $variables (canon lower (func $environment "get-environment")
    (memory (core memory $memory "memory")) (realloc (core func $memory "cabi_realloc"))))
  (core func $arguments (canon lower (func $environment "get-arguments")
    (memory (core memory $memory "memory")) (realloc (core func $memory "cabi_realloc"))))
  (core module $main
    (import "h" "memory" (memory 16))
    (import "h" "directories" (func $directories (param i32)))
    (import "h" "variables" (func $variables (param i32)))
    (import "h" "arguments" (func $arguments (param i32)))
    (func $digit (param $at i32) (param $count i32)
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (local.get $count))))
    (func (export "run") (param i32 i32) (result i32)
      (call $directories (i32.const 0)) (call $digit (i32.const 100) (i32.load (i32.const 4)))
      (call $variables (i32.const 0)) (call $digit (i32.const 101) (i32.load (i32.const 4)))
      (call $arguments (i32.const 0)) (call $digit (i32.const 102) (i32.load (i32.const 4)))
      (i32.store (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.const 100))
      (i32.store (i32.const 24) (i32.const 3))
      (i32.const 16)))
  (core instance $main (instantiate $main (with "h" (instance
    (export "memory" (memory $memory "memory")) (export "directories" (func $directories))
    (export "variables" (func $variables)) (export "arguments" (func $arguments))))))
  (type $answer (result string (error string)))
  (func (export "run") (param "arguments" (list string)) (result $answer) (canon lift (core func $main "run")
    (memory (core memory $memory "memory")) (realloc (core func $memory "cabi_realloc")))))
"""


def test_a_start_function_that_does_not_end(db: zerodb.Connection) -> None:
    with pytest.raises(Error) as error:
        db.run_component(bytes(wasmtime.wat2wasm(START_LOOP)), timeout=0.2)
    assert error.value.sqlstate == TIMEOUT


@pytest.mark.parametrize("text", [BIG_MEMORY, MANY_MEMORIES, MANY_ELEMENTS, UNKNOWN_IMPORT])
def test_components_that_want_more_than_there_is(db: zerodb.Connection, text: str) -> None:
    with pytest.raises(Error) as error:
        db.run_component(bytes(wasmtime.wat2wasm(text)), memory_limit="64MB")
    assert error.value.sqlstate in (MEMORY, TRAP, "22P03")


def test_no_files_no_environment_no_arguments(db: zerodb.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many there are of each; with grants there are some."""
    monkeypatch.setenv("ZERODB_TEST", "here")
    component = bytes(wasmtime.wat2wasm(WASI))
    assert db.run_component(component) == "000"
    assert db.run_component(component, ["one", "two"]) == "000"
    assert db.run_component(component, grants=["wasi:env=ZERODB_TEST"]) == "010"
    assert db.run_component(component, grants=["wasi:dir=."]) == "100"


def test_a_guest_that_sql_calls_is_not_entered_by_what_it_calls(db: zerodb.Connection, guest: bytes) -> None:
    """A Python function that calls the running instance again."""
    instance = make_instance(db, guest)
    run = instance.export("run")
    assert run is not None
    said: list[str] = []

    class Again:
        """In place of the session: what the guest opens calls the guest."""

        def open(self, name: str) -> object:
            with pytest.raises(Error) as error:
                run([list_of(lower_string)], [["fine"]])
            said.append(error.value.sqlstate)
            raise error.value

        def interrupt(self) -> None:
            raise AssertionError

    instance.owner = Again()
    answer = run([list_of(lower_string)], [["fine"]])
    assert said == ["55006"]
    assert "55006" in answer.value
    instance.close()


# --- a thousand in a row ----------------------------------------------------------------------------------------------


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts resident memory as Linux says it")
def test_a_thousand_in_a_row_leave_memory_flat_and_the_database_consistent(db: zerodb.Connection, guest: bytes) -> None:
    quick = [what for what, *_ in REFUSED if what not in SLOW | LONG | {"bytes", "strings", "nulls", "long text"}]
    loops = [("loop", 0.02), ("calls", 0.02), ("query", 0.02)]

    def some(count: int) -> None:
        for number in range(count):
            what, timeout = loops[number // 50 % 3] if number % 50 == 49 else (quick[number % len(quick)], 30)
            attempt(db, guest, what, timeout)

    threads = threading.active_count()
    some(150)  # caches fill
    before = resident_bytes()
    some(1000)
    grown = resident_bytes() - before
    assert grown < 16 << 20
    assert threading.active_count() <= threads + 2
    assert not db.check()
    assert db.execute("select a from secret").fetchall() == [(7,)]
