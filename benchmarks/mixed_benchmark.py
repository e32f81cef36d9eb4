"""A reader over a million rows while two writers commit: what each reaches alone, and what both reach together.

    readers alone    one connection with one thread runs an aggregate query over the table again and again
    writers alone    two connections commit durable transactions of two updates and one insert by key each
    together         both at once

All three on the same number of cores (`--cores`, the process is pinned to them), one after another, in several rounds;
the figures are medians. A share is the rate together by the rate alone. On two cores three threads, of which the
writers wait for the disk most of the time, share two cores and Python's interpreter lock.

The reader checks what it reads: transactions move an amount between two rows, so every sum must be the same.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Timing, show
from benchmarks.oltp_benchmark import INSERT, create, rows_from
from benchmarks.peers import Peer, Session, Zerodb

ASKED = 0.6
WRITERS = 2
QUERY = (
    "select branch, count(*), sum(balance), min(balance), max(balance) from account where id < {rows} group by branch"
)


def _reader(session: Session, rows: int, total: int, stop: threading.Event, done: list[int], place: int) -> None:
    run = session.prepare(QUERY.format(rows=rows))
    while not stop.is_set():
        found = run(()).fetchall()
        assert sum(row[1] for row in found) == rows
        assert sum(row[2] for row in found) == total, "a query saw half of a transaction"
        done[place] += 1


def _writer(
    peer: Peer,
    session: Session,
    rows: int,
    new_keys: Callable[[], int],
    stop: threading.Event,
    done: list[int],
    place: int,
) -> None:
    move = session.prepare("update account set balance = balance + ? where id = ?")
    insert = session.prepare(INSERT)
    chance = random.Random(place)
    while not stop.is_set():
        amount, a, b = chance.randrange(100), *chance.sample(range(rows), 2)
        try:
            session.begin()
            move((amount, a))
            move((-amount, b))
            insert((new_keys(), "somebody", 1, 2, "inserted by a writer"))
            session.commit()
        except Exception as error:
            session.rollback()
            if not peer.retryable(error):
                raise
            continue
        done[place] += 1


def rates(
    peer: Peer, rows: int, total: int, *, readers: int, writers: int, seconds: float, first: int
) -> tuple[float, float]:
    """Queries and transactions a second."""
    stop = threading.Event()
    done = [0] * (readers + writers)
    errors: list[BaseException] = []
    keys = iter(range(first, first + (1 << 32)))
    sessions = [peer.session() for _ in done]

    def guarded(place: int) -> None:
        try:
            if place < readers:
                _reader(sessions[place], rows, total, stop, done, place)
            else:
                _writer(peer, sessions[place], rows, lambda: next(keys), stop, done, place)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(place,)) for place in range(len(done))]
    for thread in threads:
        thread.start()
    time.sleep(min(0.5, seconds / 4))  # warm-up
    before, began = list(done), time.perf_counter()
    time.sleep(seconds)
    counts, elapsed = [after - b for after, b in zip(done, before, strict=True)], time.perf_counter() - began
    stop.set()
    for thread in threads:
        thread.join()
    for session in sessions:
        session.close()
    if errors:
        raise errors[0]
    return sum(counts[:readers]) / elapsed, sum(counts[readers:]) / elapsed


def measured(rows: int, seconds: float, rounds: int) -> dict[str, tuple[float, float]]:
    """Median (queries, transactions) a second: alone and together."""
    folder = Path(tempfile.mkdtemp(prefix="zerodb-bench-"))
    peer = Zerodb(folder, threads=1)
    try:
        session = peer.session()
        create(session, "zerodb", "account")
        session.executemany(INSERT, rows_from(0, rows))
        total = sum(row[2] for row in rows_from(0, rows))
        found: dict[str, list[tuple[float, float]]] = {"reader alone": [], "writers alone": [], "together": []}
        first = 1 << 40
        for _ in range(rounds):
            for name, (readers, writers) in zip(found, ((1, 0), (0, WRITERS), (1, WRITERS)), strict=True):
                one = rates(peer, rows, total, readers=readers, writers=writers, seconds=seconds, first=first)
                found[name].append(one)
                first += 1 << 32
        session.close()
        return {
            name: (Timing(tuple(r for r, _ in some)).median, Timing(tuple(w for _, w in some)).median)
            for name, some in found.items()
        }
    finally:
        peer.close()
        shutil.rmtree(folder, ignore_errors=True)


def run(rows: int, seconds: float, rounds: int, cores: int) -> None:
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    used = len(os.sched_getaffinity(0))
    found = measured(rows, seconds, rounds)
    alone = found["reader alone"][0], found["writers alone"][1]
    both = found["together"]
    lines = [
        (name, f"{one:,.1f}", f"{two:,.1f}", f"{two / one:.2f}", f">= {ASKED}")
        for name, one, two in (
            ("reader: queries a second", alone[0], both[0]),
            (f"{WRITERS} writers: transactions a second", alone[1], both[1]),
        )
    ]
    title = f"A reader over {rows:,} rows beside {WRITERS} writers, {used} core(s), median of {rounds}"
    show(title, ("", "alone", "together", "share", "asked"), lines)
