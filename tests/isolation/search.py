"""A search for wrong concurrent behaviour: `python -m tests.isolation.search --postgres ADDRESS --cases 1000 --seed 1`

Each case is random: a schema, two or three sessions, an order of their steps. It runs on zerodb and on PostgreSQL;
what differs must follow from a listed difference (`searching.judging`). A case that does not is made smaller and shown
as a specification. Whatever PostgreSQL does, zerodb must not hang, nor fail inside; its check must be clean, rows must
be found by their keys, and all be the same after the database was opened again.

With `--races` the sessions of a case run at once, and merges beside them. Then what a SERIALIZABLE case has committed
must be what some serial order gives on PostgreSQL; of other levels only that the database is sound is known.

`--profile` says what cases are made of: few (rows), many, merges (between the steps), defines (CREATE, ALTER, DROP).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.isolation.postgres_engine import PostgresEngine
from tests.isolation.searching.cases import Case
from tests.isolation.searching.generator import Profile, make_case
from tests.isolation.searching.judging import Verdict, judge, judge_race
from tests.isolation.searching.running import Run, SetupError, Trace, look
from tests.isolation.searching.shrinking import shrink
from tests.isolation.zerodb_engine import ZerodbEngine

PROFILES = {
    "few": Profile(),
    "many": Profile(many=True),
    "merges": Profile(merges=True),
    "many-merges": Profile(many=True, merges=True),
    "points": Profile(points=True),
    "points-merges": Profile(points=True, merges=True),
    "long": Profile(long=True),
    "long-merges": Profile(long=True, merges=True, points=True),
    "triggers": Profile(triggers=True),
    "huge": Profile(huge=True, merges=True),
    "defines": Profile(defines=True),
    "many-defines": Profile(many=True, merges=True, defines=True),
}
ZERODB_PAUSE_S = 0.004
POSTGRES_PAUSE_S = 0.03  # longer than its deadlock_timeout, which is set to be short
DEADLOCK_TIMEOUT = "5ms"


class Postgres:
    """The oracle: one connection more than a case needs lives as long as this."""

    def __init__(self, address: str, schema: str) -> None:
        self._engine = PostgresEngine(address, schema, f"-c deadlock_timeout={DEADLOCK_TIMEOUT}")

    def run(self, case: Case) -> Trace:
        self._engine.clear()
        return Run(self._engine, case, pause_s=POSTGRES_PAUSE_S).run()

    def close(self) -> None:
        self._engine.close()


@contextlib.contextmanager
def merging(engine: ZerodbEngine, wanted: bool) -> Iterator[None]:
    """Merges all the time."""
    ended = threading.Event()

    def merge() -> None:
        while not ended.is_set():
            engine.merge()

    thread = threading.Thread(target=merge, name="merging")
    if wanted:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if wanted:
            thread.join()


def run_zerodb(case: Case, *, races: bool = False) -> tuple[Trace, str | None]:
    """What happened, and what is wrong with the database afterwards. `races`: all sessions at once."""
    base = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=base) as folder:
        path = str(Path(folder) / "database")
        engine = ZerodbEngine(path, points=case.points)
        try:
            run = Run(
                engine,
                case,
                pause_s=ZERODB_PAUSE_S,
                before_turn=lambda turn: engine.merge() if turn in case.merges else None,
            )
            if races:
                with merging(engine, bool(case.merges)):
                    trace = run.race()
            else:
                trace = run.run()
            if trace.fault:
                return trace, None
            problem = engine.problem()
        finally:
            engine.close()
        engine = ZerodbEngine(path)
        try:
            control = engine.connect("control")
            again = look(control, case)
            control.close()
            if again != trace.final:
                problem = problem or f"opened again: {again} after {trace.final}"
            return trace, problem or engine.problem()
        finally:
            engine.close()


def verdict_of(case: Case, postgres: Postgres, *, races: bool = False) -> Verdict:
    if races:
        try:
            got, problem = run_zerodb(case, races=True)
        except SetupError as error:
            return Verdict("refused", str(error))
        return Verdict("fault", problem) if problem else judge_race(case, got, postgres.run)
    try:
        expected = postgres.run(case)
    except SetupError as error:
        return Verdict("rejected", f"PostgreSQL: {error}")
    try:
        got, problem = run_zerodb(case)
    except SetupError as error:
        return Verdict("refused" if "0A000" in str(error) else "fault", str(error))
    if problem:
        return Verdict("fault", problem)
    return judge(case, expected, got, postgres.run)


def smallest(case: Case, verdict: Verdict, postgres: Postgres) -> tuple[Case, Verdict]:
    case = shrink(case, lambda smaller: verdict_of(smaller, postgres).kind == verdict.kind)
    return case, verdict_of(case, postgres)


@dataclass(slots=True)
class Tally:
    kinds: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    bad: list[int] = field(default_factory=list)


def search(
    postgres: Postgres,
    profile: str,
    seeds: range,
    *,
    show: frozenset[str],
    shrinks: bool = True,
    most: int = 20,
    races: bool = False,
) -> Tally:
    tally = Tally()
    for seed in seeds:
        case = make_case(seed, PROFILES[profile])
        verdict = verdict_of(case, postgres, races=races)
        tally.kinds[verdict.kind] += 1
        if verdict.kind == "refused":
            tally.refusals[verdict.why] += 1
        if verdict.is_bad:
            tally.bad.append(seed)
        if verdict.is_bad or verdict.kind in show:
            if shrinks and not races:
                case, verdict = smallest(case, verdict, postgres)
            print(f"\n===== {profile} seed {seed} ({case.level}): {verdict.kind}: {verdict.why}")
            print(case.text(), flush=True)
        if len(tally.bad) >= most:
            break
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.isolation.search", description="random concurrent sessions")
    parser.add_argument("--postgres", default=os.environ.get("ZERODB_POSTGRES"), help="a PostgreSQL 15 to compare with")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of the first case; the next one has the next")
    parser.add_argument("--profile", choices=PROFILES, action="append")
    parser.add_argument("--show", action="append", default=[], help="kinds of verdicts to show, too: waits, later ...")
    parser.add_argument("--most", type=int, default=20, help="stop after so many bad ones")
    parser.add_argument("--races", action="store_true", help="all sessions of a case at once, not step by step")
    parser.add_argument("--no-shrink", action="store_true")
    given = parser.parse_args()
    if not given.postgres:
        parser.error("no PostgreSQL: --postgres or ZERODB_POSTGRES")
    postgres = Postgres(given.postgres, f"zerodb_search_{os.getpid()}")
    bad = 0
    try:
        for profile in given.profile or PROFILES:
            began = time.monotonic()
            seeds = range(given.seed, given.seed + given.cases)
            tally = search(
                postgres,
                profile,
                seeds,
                show=frozenset(given.show),
                shrinks=not given.no_shrink,
                most=given.most,
                races=given.races,
            )
            bad += len(tally.bad)
            counts = ", ".join(f"{count} {kind}" for kind, count in tally.kinds.most_common())
            print(f"{profile}: {counts}; {time.monotonic() - began:.0f} s")
            for text, count in tally.refusals.most_common(12):
                print(f"    {count:4} refused: {text}")
            if tally.bad:
                print(f"    bad seeds: {tally.bad}")
    finally:
        postgres.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
