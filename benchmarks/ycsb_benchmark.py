"""YCSB's workloads A to F, beside SQLite with the same durability.

The table is that of YCSB's SQL binding: a text key and ten text fields of 100 bytes. Every operation is a transaction
of its own, and a write is on disk when it returns.

    A  50 % read, 50 % update                       D  95 % read of the latest, 5 % insert
    B  95 % read,  5 % update                       E  95 % scan of 1 to 100 records, 5 % insert
    C  read only                                    F  50 % read, 50 % read-modify-write

The operations are drawn beforehand and are the same for all peers. The peers do a part of them in turn, so that what
disturbs the machine disturbs all of them. Source: Cooper et al., "Benchmarking Cloud Serving Systems with YCSB" (SoCC
2010), and the workload files of YCSB 0.17.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency import Latencies, compare
from benchmarks.peers import PEERS, Peer, Session
from benchmarks.ycsb_keys import choose, keys_of

FIELDS = 10
FIELD_BYTES = 100
SCAN_MAX = 100
PARTS = 5  # in which the peers take turns
LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .", np.uint8)
Operation = tuple[str, str, Any]  # kind, key, and what the kind needs


@dataclass(frozen=True, slots=True)
class Workload:
    letter: str
    shares: tuple[tuple[str, float], ...]
    distribution: str = "zipfian"


WORKLOADS = (
    Workload("A", (("read", 0.5), ("update", 0.5))),
    Workload("B", (("read", 0.95), ("update", 0.05))),
    Workload("C", (("read", 1.0),)),
    Workload("D", (("read", 0.95), ("insert", 0.05)), "latest"),
    Workload("E", (("scan", 0.95), ("insert", 0.05))),
    Workload("F", (("read", 0.5), ("read-modify-write", 0.5))),
)


def texts(random: np.random.Generator, count: int) -> list[str]:
    """Fields of 100 random characters."""
    letters = LETTERS[random.integers(0, len(LETTERS), count * FIELD_BYTES)].tobytes().decode("ascii")
    return [letters[place : place + FIELD_BYTES] for place in range(0, len(letters), FIELD_BYTES)]


def records(random: np.random.Generator, first: int, count: int) -> list[tuple[str, ...]]:
    fields = texts(random, count * FIELDS)
    keys = keys_of(np.arange(first, first + count))
    return [(key, *fields[i * FIELDS : (i + 1) * FIELDS]) for i, key in enumerate(keys)]


def operations(
    random: np.random.Generator, workload: Workload, distribution: str, there: int, count: int
) -> list[Operation]:
    """The workload's operations over `there` records; inserts add to them as they go."""
    kinds = [kind for kind, _ in workload.shares]
    drawn = random.choice(len(kinds), count, p=[share for _, share in workload.shares])
    inserting = drawn == kinds.index("insert") if "insert" in kinds else np.zeros(count, np.bool_)
    known = there + np.cumsum(inserting) - inserting  # records there are when an operation runs
    chosen = np.where(inserting, known, choose(random, distribution, known))
    keys = keys_of(chosen)
    fields = iter(texts(random, count))
    made: list[Operation] = []
    for place, key in enumerate(keys):
        kind = kinds[drawn[place]]
        match kind:
            case "read":
                what: Any = None
            case "scan":
                what = int(random.integers(1, SCAN_MAX + 1))
            case "insert":
                what = records(random, int(chosen[place]), 1)[0]
            case _:
                what = int(random.integers(0, FIELDS)), next(fields)
        made.append((kind, key, what))
    return made


def create(session: Session) -> None:
    fields = ", ".join(f"field{i} text" for i in range(FIELDS))
    session.execute(f"create table usertable (ycsb_key varchar(255) primary key, {fields})")


def _actions(session: Session) -> dict[str, Callable[[str, Any], object]]:
    """What each kind of operation does; each is prepared once."""
    read = session.prepare("select * from usertable where ycsb_key = ?")
    updates = [session.prepare(f"update usertable set field{i} = ? where ycsb_key = ?") for i in range(FIELDS)]
    insert = session.prepare(f"insert into usertable values ({', '.join('?' * (FIELDS + 1))})")
    scan = session.prepare("select * from usertable where ycsb_key >= ? order by ycsb_key limit ?")

    def modify(key: str, what: tuple[int, str]) -> None:
        session.begin()
        read((key,)).fetchone()
        updates[what[0]]((what[1], key))
        session.commit()

    return {
        "read": lambda key, what: read((key,)).fetchone(),
        "update": lambda key, what: updates[what[0]]((what[1], key)),
        "insert": lambda key, what: insert(what),
        "scan": lambda key, what: scan((key, what)).fetchall(),
        "read-modify-write": modify,
    }


def perform(session: Session, todo: Sequence[Operation], into: Latencies) -> None:
    actions = _actions(session)
    clock = time.perf_counter_ns
    began = clock()
    for kind, key, what in todo:
        action = actions[kind]
        start = clock()
        action(key, what)
        into.nanoseconds[kind].append(clock() - start)
    into.elapsed_s += (clock() - began) / 1e9


def load(session: Session, random: np.random.Generator, count: int) -> None:
    create(session)
    fields = ", ".join("?" * (FIELDS + 1))
    for first in range(0, count, 50_000):
        some = records(random, first, min(50_000, count - first))
        session.executemany(f"insert into usertable values ({fields})", some)


def measured(peers: dict[str, Peer], todo: Sequence[Operation]) -> dict[str, Latencies]:
    found = {peer.name: Latencies() for peer in peers.values()}
    sessions = {peer.name: peer.session() for peer in peers.values()}
    warm_up = [operation for operation in todo if operation[0] in ("read", "scan")][:200]
    for session in sessions.values():
        perform(session, warm_up, Latencies())
    size = max(-(-len(todo) // PARTS), 1)
    for start in range(0, len(todo), size):
        for name, session in sessions.items():
            perform(session, todo[start : start + size], found[name])
    for session in sessions.values():
        session.close()
    return found


def _equal(peers: dict[str, Peer]) -> bool:
    contents = []
    fields = ", ".join(f"min(field{i}), max(field{i})" for i in range(FIELDS))
    for peer in peers.values():
        session = peer.session()
        contents.append(tuple(session.execute(f"select count(*), {fields} from usertable").fetchone()))
        session.close()
    return len(set(contents)) == 1


def run(letters: str, distribution: str | None, count: int, todo: int, against: Sequence[str]) -> bool:
    """Prints a table per workload; True if the peers hold the same rows at the end of each. `distribution` replaces
    the workloads' own."""
    same = True
    for workload in WORKLOADS:
        if workload.letter not in letters.upper():
            continue
        folder = Path(tempfile.mkdtemp(prefix="zerodb-bench-"))
        try:
            peers = {name: PEERS[name](folder) for name in ("zerodb", *against)}
            for peer in peers.values():
                session = peer.session()
                load(session, np.random.default_rng(1), count)
                session.close()
            named = distribution or workload.distribution
            found = measured(peers, operations(np.random.default_rng(2), workload, named, count, todo))
            same &= _equal(peers)
            title = f"YCSB {workload.letter}, {named}, {count:,} records, {todo:,} operations, one thread"
            compare(title, found, [kind for kind, _ in workload.shares])
            for peer in peers.values():
                peer.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return same
