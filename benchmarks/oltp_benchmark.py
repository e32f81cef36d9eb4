"""Small operations over a table of a million rows, beside SQLite and DuckDB: one thread, from Python.

    account (id bigint primary key, owner text not null, balance bigint not null, branch integer, note text)

Every figure is the median of several runs that alternate between the peers in one process. A run of a point operation
is a loop over random keys with nothing in it but the call; its time is divided by their number. All peers are on disk
and sync each commit (peers.py). What the peers hold is compared at the end.

SQLite's table is an ordinary one with `id integer primary key`, its fastest form. Reading a row is
`execute(...).fetchone()`; SQLite and DuckDB run a text that they have prepared, we a `PreparedStatement`.
"""

from __future__ import annotations

import functools
import itertools
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.measure import Timing, alternate, show
from benchmarks.peers import PEERS, Peer, Session

COLUMNS = "id {key} primary key, owner text not null, balance bigint not null, branch integer, note text"
INSERT = "insert into account values (?, ?, ?, ?, ?)"
SELECT = "select owner, balance, branch from account where id = ?"
UPDATE = "update account set balance = ? where id = ?"
RUNS = 5
NAMES = {"sqlite": "SQLite", "duckdb": "DuckDB"}
BATCH = 1000  # keys of one call


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much one run does; small in tests."""

    rows: int = 1_000_000
    keys: int = 20_000  # point operations a run
    slow_keys: int = 500  # of a peer that is not made for them
    commits: int = 300  # durable commits a run
    threads: int = 16
    seconds: float = 2.0  # of the run with many threads


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table: seconds per unit of each peer; `asked` is the most that our ratio to the first may be."""

    name: str
    unit: str
    seconds: dict[str, float]
    against: str
    asked: float | None = None


@dataclass(slots=True)
class Bench:
    sizes: Sizes
    peers: dict[str, Peer]
    sessions: dict[str, Session]
    runs: int
    random: random.Random
    cases: list[Case] = field(default_factory=list)
    tables: int = 0  # made so far, for names

    def measure(
        self,
        name: str,
        unit: str,
        actions: dict[str, tuple[Callable[[], object], int]],
        against: str,
        asked: float | None,
    ) -> None:
        """`actions`: per peer what a run does, and how many units that is."""
        if against not in actions:
            return
        timings = alternate([action for action, _ in actions.values()], self.runs, warm_up=1)
        seconds = {
            peer: timing.median / count for (peer, (_, count)), timing in zip(actions.items(), timings, strict=True)
        }
        self.cases.append(Case(name, unit, seconds, against, asked))

    def keys(self, count: int) -> list[tuple[int]]:
        return [(self.random.randrange(self.sizes.rows),) for _ in range(count)]


def rows_from(first: int, count: int) -> list[tuple[int, str, int, int, str | None]]:
    return [
        (i, f"owner {i * 7919 % 100_003}", i * 37 % 10_000, i % 97, None if i % 10 == 0 else f"note of account {i}")
        for i in range(first, first + count)
    ]


def arrow_from(first: int, count: int) -> pa.Table:
    columns = zip(*rows_from(first, count), strict=True)
    types = (pa.int64(), pa.string(), pa.int64(), pa.int32(), pa.string())
    names = ("id", "owner", "balance", "branch", "note")
    return pa.table({name: pa.array(c, type_) for name, c, type_ in zip(names, columns, types, strict=True)})


def create(session: Session, peer: str, table: str, *, key: bool = True) -> None:
    columns = COLUMNS.format(key="integer" if peer == "sqlite" else "bigint")
    session.execute(f"create table {table} ({columns if key else columns.replace(' primary key', '')})")


# --- point operations -------------------------------------------------------------------------------------------------


def _each(bench: Bench, action: Callable[[str, Session, list[tuple[int]]], Callable[[], object]]) -> dict[str, Any]:
    """The action over random keys for every peer; few of them for DuckDB, which takes long for each."""
    keys = bench.keys(bench.sizes.keys)
    made = {}
    for name, session in bench.sessions.items():
        mine = keys[: bench.sizes.slow_keys] if name == "duckdb" else keys
        made[name] = action(name, session, mine), len(mine)
    return made


def select(bench: Bench) -> None:
    def prepared(name: str, session: Session, keys: list[tuple[int]]) -> Callable[[], None]:
        run = session.prepare(SELECT)

        def loop() -> None:
            for key in keys:
                run(key).fetchone()

        return loop

    def text(name: str, session: Session, keys: list[tuple[int]]) -> Callable[[], None]:
        execute: Any = session.execute

        def loop() -> None:
            for key in keys:
                execute(SELECT, key).fetchone()

        return loop

    bench.measure("point SELECT by key, prepared", "row", _each(bench, prepared), "sqlite", 1.0)
    bench.measure("point SELECT by key, as text", "row", _each(bench, text), "sqlite", None)


def update(bench: Bench) -> None:
    """Each run writes other values: SQLite writes nothing where a row stays as it is."""

    def statements(name: str, session: Session, keys: list[tuple[int]]) -> Callable[[], None]:
        run = session.prepare(UPDATE)
        values = itertools.count(1_000_000)

        def loop() -> None:
            session.begin()
            for (key,), value in zip(keys, values, strict=False):
                run((value, key))
            session.commit()

        return loop

    bench.measure("UPDATE by key in a transaction, its COMMIT included", "row", _each(bench, statements), "sqlite", 1.2)


def insert_durable(bench: Bench) -> None:
    """Each INSERT commits by itself, synced."""
    actions: dict[str, tuple[Callable[[], object], int]] = {}
    count = bench.sizes.commits
    for name, session in bench.sessions.items():
        run = session.prepare(INSERT)
        rows = iter(rows_from(10 * bench.sizes.rows, (bench.runs + 1) * count))

        def loop(run: Any = run, rows: Any = rows) -> None:
            for row, _ in zip(rows, range(count), strict=False):
                run(row)

        actions[name] = loop, count
    bench.measure("durable INSERT, each its own commit", "commit", actions, "sqlite", 1.1)


def update_durable(bench: Bench) -> None:
    """Each UPDATE commits by itself, synced."""
    actions: dict[str, tuple[Callable[[], object], int]] = {}
    keys = bench.keys(bench.sizes.commits)
    for name, session in bench.sessions.items():
        run = session.prepare(UPDATE)
        values = itertools.count(2_000_000)

        def loop(run: Any = run, values: Any = values) -> None:
            for (key,), value in zip(keys, values, strict=False):
                run((value, key))

        actions[name] = loop, len(keys)
    bench.measure("durable UPDATE, each its own commit", "commit", actions, "sqlite", None)


# --- many rows at once ------------------------------------------------------------------------------------------------


def _into_new_table(bench: Bench, peer: str, action: Callable[[str], object], *, key: bool = True) -> Timing:
    """The time of filling an empty table, which is dropped afterwards."""
    session = bench.sessions[peer]
    bench.tables += 1
    table = f"fresh{bench.tables}"
    create(session, peer, table, key=key)
    began = time.perf_counter()
    action(table)
    timing = Timing((time.perf_counter() - began,))
    session.execute(f"drop table {table}")
    return timing


def _fill(
    bench: Bench,
    name: str,
    unit: str,
    actions: dict[str, Callable[[str], object]],
    against: str,
    asked: float,
    key: bool,
) -> None:
    if against not in actions:
        return
    seconds: dict[str, list[float]] = {peer: [] for peer in actions}
    for run in range(bench.runs + 1):
        for peer, action in actions.items():
            timing = _into_new_table(bench, peer, action, key=key)
            if run:  # the first warms up
                seconds[peer].append(timing.seconds[0] / bench.sizes.rows)
    medians = {peer: Timing(tuple(items)).median for peer, items in seconds.items()}
    bench.cases.append(Case(name, unit, medians, against, asked))


def executemany(bench: Bench) -> None:
    rows = rows_from(0, bench.sizes.rows)

    def filled(peer: str) -> Callable[[str], object]:
        session = bench.sessions[peer]
        return lambda table: session.executemany(INSERT.replace("account", table), rows)

    # DuckDB's executemany takes minutes for these rows.
    actions = {peer: filled(peer) for peer in bench.sessions if peer != "duckdb"}
    _fill(bench, "executemany INSERT into an empty table", "row", actions, "sqlite", 1.0, True)


def arrow_append(bench: Bench) -> None:
    table = arrow_from(0, bench.sizes.rows)
    actions: dict[str, Callable[[str], object]] = {}
    for peer in ("zerodb", "duckdb"):
        if peer in bench.sessions:
            session = bench.sessions[peer]
            session.register("incoming", table)
            actions[peer] = functools.partial(_append, session)
    _fill(bench, "Arrow append, primary key", "row", actions, "duckdb", 0.7, True)
    _fill(bench, "Arrow append, no key", "row", actions, "duckdb", 0.7, False)


def _append(session: Session, table: str) -> None:
    session.execute(f"insert into {table} select * from incoming")


def batches(bench: Bench) -> None:
    """Many keys in one call: `fetch_many` of a prepared point statement; a list of placeholders for SQLite."""
    keys = [key for (key,) in bench.keys(BATCH)]
    ours: Any = bench.sessions["zerodb"]
    statement = ours.connection.prepare(SELECT)
    fetch_many = getattr(statement, "fetch_many", None)
    if fetch_many is None or "sqlite" not in bench.sessions:
        return
    places = ", ".join("?" * BATCH)
    run = bench.sessions["sqlite"].prepare(SELECT.replace("= ?", f"in ({places})"))
    pairs = [(key,) for key in keys]
    actions: dict[str, tuple[Callable[[], object], int]] = {
        "zerodb": (lambda: fetch_many(pairs), BATCH),
        "sqlite": (lambda: run(keys).fetchall(), BATCH),
    }
    bench.measure(f"SELECT of {BATCH} keys in one call", "row", actions, "sqlite", None)


# --- many threads -----------------------------------------------------------------------------------------------------


def commit_rate(peer: Peer, threads: int, seconds: float, first: int) -> float:
    """Durable commits of single rows a second, `threads` connections at a time."""
    done = [0] * threads
    barrier = threading.Barrier(threads + 1)
    stop = threading.Event()
    errors: list[Exception] = []

    def work(number: int) -> None:
        session = peer.session()
        run = session.prepare(INSERT)
        barrier.wait()
        key = first + number
        try:
            while not stop.is_set():
                run((key, "somebody", 1, 2, None))
                key += threads
                done[number] += 1
        except Exception as error:
            errors.append(error)
        session.close()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    began = time.perf_counter()
    time.sleep(seconds)
    stop.set()
    for worker in workers:
        worker.join()
    elapsed = time.perf_counter() - began
    if errors:
        raise errors[0]
    return sum(done) / elapsed


def many_threads(bench: Bench) -> list[tuple[str, ...]]:
    """Median commit rates: one thread's, many threads', and how many times as much that is."""
    lines: list[tuple[str, ...]] = []
    first = 1 << 40
    for name in ("zerodb", "sqlite"):
        if name not in bench.peers:
            continue
        rates: dict[int, list[float]] = {1: [], bench.sizes.threads: []}
        for _ in range(3):
            for threads, found in rates.items():
                found.append(commit_rate(bench.peers[name], threads, bench.sizes.seconds, first))
                first += 1 << 32
        one, many = (Timing(tuple(found)).median for found in rates.values())
        asked = ">= 5.0" if name == "zerodb" else ""
        lines.append((bench.peers[name].name, f"{one:,.0f}", f"{many:,.0f}", f"{many / one:.2f}", asked))
    return lines


# --- all of it --------------------------------------------------------------------------------------------------------

CASES: dict[str, Callable[[Bench], None]] = {
    "select": select,
    "update": update,
    "durable": insert_durable,
    "durable-update": update_durable,
    "executemany": executemany,
    "arrow": arrow_append,
    "batches": batches,
}


def _equal_content(bench: Bench) -> bool:
    """Whether all peers that did the same hold the same rows."""
    asked = "select count(*), sum(balance), min(owner), max(id) from account where id < ?"
    found = {
        name: session.prepare(asked)((1 << 40,)).fetchone()
        for name, session in bench.sessions.items()
        if name != "duckdb"  # it was given fewer keys
    }
    return len({tuple(row) for row in found.values()}) == 1


def measured(
    against: Sequence[str], sizes: Sizes, runs: int = RUNS, only: Sequence[str] = ()
) -> tuple[list[Case], list[tuple[str, ...]], bool]:
    """The cases, the lines of the threads' table, and whether the peers ended with the same rows."""
    folder = Path(tempfile.mkdtemp(prefix="zerodb-bench-"))
    names = ["zerodb", *against]
    peers = {name: PEERS[name](folder) for name in names}
    sessions = {name: peer.session() for name, peer in peers.items()}
    try:
        for name, session in sessions.items():
            create(session, name, "account")
            if name == "duckdb":
                session.register("first_rows", arrow_from(0, sizes.rows))
                session.execute("insert into account select * from first_rows")
            else:
                session.executemany(INSERT, rows_from(0, sizes.rows))
        bench = Bench(sizes, peers, sessions, runs, random.Random(1))
        for name, case in CASES.items():
            if not only or name in only:
                case(bench)
        same = _equal_content(bench)
        threads = many_threads(bench) if not only or "threads" in only else []
        return bench.cases, threads, same
    finally:
        for session in sessions.values():
            session.close()
        for peer in peers.values():
            peer.close()
        shutil.rmtree(folder, ignore_errors=True)


def run(against: Sequence[str], sizes: Sizes, runs: int = RUNS, only: Sequence[str] = ()) -> bool:
    """Prints the tables; True if the peers hold the same rows at the end."""
    cases, threads, same = measured(against, sizes, runs, only)
    names = ["zerodb", *against]
    rows = []
    for case in cases:
        times = [f"{case.seconds[name] * 1e6:.2f}" if name in case.seconds else "" for name in names]
        ratio = case.seconds["zerodb"] / case.seconds[case.against]
        asked = "" if case.asked is None else f"<= {case.asked}"
        rows.append((case.name, case.unit, *times, f"{ratio:.2f} of {NAMES[case.against]}", asked))
    titles = [f"{name} us" for name in names]
    title = f"Small operations over {sizes.rows:,} rows, one thread, median of {runs}"
    show(title, ("", "per", *titles, "ratio", "asked"), rows)
    if threads:
        show(
            f"Durable commits a second, {sizes.threads} threads",
            ("", "one thread", f"{sizes.threads} threads", "times", "asked"),
            threads,
        )
    if not same:
        print("the peers hold DIFFERENT rows")
    return same
