"""TPC-C's five transactions beside SQLite with the same durability, and a crash test of them.

Terminals have no keying and thinking times: each runs one transaction after another for the given time, from a shuffled
deck (clause 5.2.4.2). A transaction that ends with a retryable error is run again, with a pause that grows; its latency
is that of all attempts. The peers run in turns of a second or less. Afterwards TPC-C's consistency conditions must hold
(tpcc/consistency.py). This is no TPC-C result in the sense of the TPC: nothing here has been audited.

`crash` starts a process that runs terminals on zerodb, kills it at a random moment, opens what it left, and asks for
the conditions and for every order that the process was told is committed.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.latency import Latencies, compare
from benchmarks.peers import PEERS, Peer, Zerodb
from benchmarks.tpcc.consistency import initial_violations, violations
from benchmarks.tpcc.load import load
from benchmarks.tpcc.schema import Scale
from benchmarks.tpcc.transactions import DECK, KINDS, Terminal
from benchmarks.tpcc.values import Values

ATTEMPTS = 1000  # of one transaction
TURN_S = 1.0
WARM_UP = 230  # transactions of each terminal: ten decks
READY = "ready"


def attempt(terminal: Terminal, transaction: Callable[[], object], into: Latencies) -> object:
    """Runs a transaction until it commits or rolls itself back."""
    pause = 0.0001
    for _ in range(ATTEMPTS):
        try:
            return transaction()
        except Exception as error:
            terminal.session.rollback()
            if not terminal.peer.retryable(error):
                raise
            into.retried += 1
            time.sleep(pause * terminal.values.random.random())
            pause = min(pause * 2, 0.05)
    raise AssertionError(f"a transaction did not succeed in {ATTEMPTS} attempts")


def work(
    terminal: Terminal,
    running: Callable[[], bool],
    into: Latencies,
    committed: Callable[[object], object] | None = None,
) -> None:
    """One terminal, card after card, while `running()`. New orders that are committed are told to `committed`."""
    deck: list[str] = []
    clock = time.perf_counter_ns
    while running():
        if not deck:
            deck = list(DECK)
            terminal.values.random.shuffle(deck)
        kind = deck.pop()
        transaction = terminal.prepared(kind)
        began = clock()
        result = attempt(terminal, transaction, into)
        into.nanoseconds[kind].append(clock() - began)
        if committed is not None and kind == "New-Order" and result is not None:
            committed(result)


class Terminals:
    """A peer's terminals, which keep their sessions from one turn to the next."""

    def __init__(self, peer: Peer, scale: Scale, count: int) -> None:
        self.latencies = Latencies()
        self._terminals = [
            Terminal.of(peer, peer.session(), scale, Values(random.Random(1000 + number)), number)
            for number in range(count)
        ]

    def turn(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        parts = [Latencies() for _ in self._terminals]
        began = time.perf_counter()
        together(
            [
                partial(work, terminal, lambda: time.perf_counter() < until, part)
                for terminal, part in zip(self._terminals, parts, strict=True)
            ]
        )
        self.latencies.elapsed_s += time.perf_counter() - began
        self.latencies.merge(parts)

    def warm_up(self, transactions: int) -> None:
        """Every terminal runs some transactions that are not measured: by then its statements are compiled."""

        def some(terminal: Terminal) -> None:
            left = iter(range(transactions))
            work(terminal, lambda: next(left, None) is not None, Latencies())

        together([partial(some, terminal) for terminal in self._terminals])

    def close(self) -> None:
        for terminal in self._terminals:
            terminal.session.close()


def together(actions: Sequence[Callable[[], object]]) -> None:
    """Each action in a thread of its own; one alone in this one. The first error is raised."""
    if len(actions) == 1:
        actions[0]()
        return
    errors: list[BaseException] = []

    def guarded(action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def run(
    scale: Scale,
    seconds: float,
    threads: int,
    against: Sequence[str],
    isolation: str | None = None,
    warm_up: int = WARM_UP,
) -> tuple[dict[str, Latencies], list[str]]:
    """What was measured per peer, and which conditions do not hold."""
    folder = Path(tempfile.mkdtemp(prefix="zerodb-bench-"))
    wrong: list[str] = []
    try:
        peers = {name: PEERS[name](folder) for name in ("zerodb", *against)}
        ours = peers["zerodb"]
        assert isinstance(ours, Zerodb)
        ours.isolation = isolation
        for peer in peers.values():
            session = peer.session()
            load(peer, session, scale)
            found = initial_violations(session, scale.customers - scale.undelivered)
            wrong += [f"{peer.name}, as loaded: {line}" for line in found]
            session.close()
        terminals = {peer.name: Terminals(peer, scale, threads) for peer in peers.values()}
        for some in terminals.values():
            some.warm_up(warm_up)
        left = seconds
        while left > 0:
            for some in terminals.values():
                some.turn(min(TURN_S, left))
            left -= TURN_S
        for peer in peers.values():
            terminals[peer.name].close()
            session = peer.session()
            wrong += [f"{peer.name}: {line}" for line in violations(session)]
            session.close()
            peer.close()
        return {name: some.latencies for name, some in terminals.items()}, wrong
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(scale: Scale, seconds: float, threads: int, against: Sequence[str], isolation: str | None) -> bool:
    """Prints the table; True if the conditions hold."""
    found, wrong = run(scale, seconds, threads, against, isolation)
    title = f"TPC-C transactions, {scale.warehouses} warehouse(s), {threads} terminal(s), {seconds:g} s each"
    compare(title, found, [kind for kind in KINDS if all(kind in some.nanoseconds for some in found.values())])
    for name, some in found.items():
        minutes = some.elapsed_s / 60
        print(
            f"{name}: {len(some.nanoseconds['New-Order']) / minutes:,.0f} new orders a minute, {some.retried} retries"
        )
    print("\n".join(wrong) or "consistency conditions 1 to 12 hold")
    return not wrong


# --- killed while it runs ---------------------------------------------------------------------------------------------


def child(folder: str, scale: Scale, threads: int, seed: int) -> None:
    """Runs terminals until it is killed; writes a line for each new order that was committed."""
    peer = Zerodb(Path(folder))
    out = threading.Lock()

    def told(order: object) -> None:
        assert isinstance(order, tuple)
        with out:
            os.write(1, f"{' '.join(map(str, order))}\n".encode())

    terminals = [
        Terminal.of(peer, peer.session(), scale, Values(random.Random(seed + number)), number)
        for number in range(threads)
    ]
    os.write(1, f"{READY}\n".encode())
    together([partial(work, terminal, lambda: True, Latencies(), told) for terminal in terminals])


def crash(scale: Scale, threads: int, rounds: int, seconds: float, seed: int = 1) -> list[str]:
    """`rounds` times: run, kill within `seconds`, open, check. What was wrong, one line each."""
    folder = Path(tempfile.mkdtemp(prefix="zerodb-bench-"))
    chance = random.Random(seed)
    wrong: list[str] = []
    try:
        peer = Zerodb(folder)
        session = peer.session()
        load(peer, session, scale)
        session.close()
        peer.close()
        for number in range(rounds):
            orders = _killed(folder, scale, threads, seed * 1000 + number, chance.random() * seconds)
            peer = Zerodb(folder)
            session = peer.session()
            kept = set(map(tuple, session.execute("select o_w_id, o_d_id, o_id from orders").fetchall()))
            lost = [order for order in orders if order not in kept]
            wrong += [f"round {number}: {len(lost)} committed orders are lost, such as {lost[0]}"] if lost else []
            wrong += [f"round {number}: {line}" for line in violations(session)]
            print(f"round {number}: {len(orders)} new orders, {len(kept)} orders in all, {len(wrong)} wrong")
            session.close()
            peer.close()
        return wrong
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _killed(folder: Path, scale: Scale, threads: int, seed: int, seconds: float) -> list[tuple[int, ...]]:
    """The orders that a child said are committed before it was killed."""
    sizes = [str(value) for value in (scale.warehouses, scale.items, scale.customers, threads, seed)]
    command = [sys.executable, "-m", "benchmarks.tpcc_benchmark", str(folder), *sizes]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        received = _read(process, lambda data: READY.encode() in data, 60.0)
        assert READY.encode() in received, "the child did not start"
        received += _read(process, lambda data: False, seconds)
        process.send_signal(signal.SIGKILL)
        received += process.stdout.read()
    lines = received.decode().split("\n")[:-1]
    return [tuple(map(int, line.split())) for line in lines if line != READY]


def _read(process: subprocess.Popen[bytes], enough: Callable[[bytes], bool], seconds: float) -> bytes:
    assert process.stdout is not None
    until = time.monotonic() + seconds
    data = b""
    while not enough(data) and (left := until - time.monotonic()) > 0:
        if select.select([process.stdout], [], [], left)[0]:
            found = os.read(process.stdout.fileno(), 65_536)
            if not found:
                break
            data += found
    return data


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[2:]]
    child(sys.argv[1], Scale(*given[:3]), given[3], given[4])
