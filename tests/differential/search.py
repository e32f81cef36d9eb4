"""A search for wrong answers: `python -m tests.differential.search --queries 20000 --seed 1 [--oracle postgres|duckdb]`

Each round makes random tables and asks random queries over them: zerodb's answers must be the oracle's, and agree with
themselves (TLP, NoREC). Without an oracle (`--oracle none`) the latter is all. A failure is shrunk and printed as a
sqllogictest file, or written to the folder of `--found`, with the oracle's answer. What is refused (0A000, a function
that is not there) or rejected (any other error of class 42) is counted by message. The seed decides everything.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.differential.searching.changes import Change, make_change
from tests.differential.searching.judges import MISSING, Answer, ask, create, drop, make_oracle, make_subject, same
from tests.differential.searching.metamorphic import Pair, make_pair
from tests.differential.searching.queries import Queries, Query
from tests.differential.searching.schema import ALL_TYPES, PREPARATION, TYPES, Table, make_tables
from tests.differential.searching.shrinking import shrink
from tests.differential.searching.tree import Node

from zerodb.logictest.runner import Engine
from zerodb.logictest.values import written

QUERIES_PER_ROUND = 40
Case = Query | Pair | Change
COUNTERS = ("generated", "executed", "refused", "rejected", "oracle refused", "wrong", "crashed")
FINE = ("executed", "refused", "rejected", "oracle refused")


@dataclass(slots=True)
class Options:
    queries: int
    seed: int
    oracle: str
    types: dict[str, str]
    found: Path | None = None
    most_failures: int = 20
    shrink_seconds: float = 30.0
    verbose: bool = False
    first_round: int = 0


@dataclass(slots=True)
class Tally:
    counts: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)  # the shortest text that was rejected so
    failures: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return ", ".join(f"{self.counts[name]:,} {name}" for name in COUNTERS)


class Search:
    def __init__(self, options: Options) -> None:
        self.options = options
        self.tally = Tally()
        self.oracle: Engine | None = None if options.oracle == "none" else make_oracle(options.oracle)
        self.subject = make_subject()
        if "mood" in options.types:
            for engine in self._engines():
                for statement in PREPARATION:
                    engine.execute(statement, "")

    def _engines(self) -> list[Engine]:
        return [self.subject] if self.oracle is None else [self.subject, self.oracle]

    def run(self) -> Tally:
        round_ = self.options.first_round
        while self.tally.counts["generated"] < self.options.queries:
            self._round(self.options.seed * 1_000_003 + round_)
            round_ += 1
            if len(self.tally.failures) >= self.options.most_failures:
                break
        self.close()
        return self.tally

    def close(self) -> None:
        self.subject.close()
        if self.oracle is not None:
            self.oracle.close()

    def _round(self, seed: int) -> None:
        r = random.Random(seed)
        tables = make_tables(r, self.options.types)
        queries = Queries(r, tables, self.options.types)
        engines = self._engines()
        for engine in engines:
            create(engine, tables)
        try:
            for number in range(QUERIES_PER_ROUND):
                if self.oracle is not None and r.random() < 0.1:
                    change = make_change(queries, number + 1)
                    self._judge(f"seed {seed} change", change.tree, tables, change)
                    self._refresh(tables)
                elif self.oracle is None or r.random() < 0.2:
                    pair = make_pair(queries)
                    self._judge(f"seed {seed} {pair.kind}", pair.parts, tables, pair)
                else:
                    query = queries.query()
                    self._judge(f"seed {seed}", query.tree, tables, query)
        finally:
            for engine in engines:
                drop(engine, tables)

    def _refresh(self, tables: list[Table]) -> None:
        """The tables as the oracle has them now."""
        assert self.oracle is not None
        for table in tables:
            table.rows = [list(row) for row in ask(self.oracle, f"select * from {table.name} order by id").rows]

    def _judge(self, name: str, tree: Node, tables: list[Table], case: Case) -> None:
        self.tally.counts["generated"] += 1
        if self.options.verbose:
            print(case.texts()[0] if isinstance(case, Pair) else tree, flush=True)
        verdict = self._verdict(tree, case)
        if verdict in FINE:
            self.tally.counts[verdict] += 1
            return
        self.tally.counts["crashed" if verdict.startswith("crash") else "wrong"] += 1
        kind = re.sub(r"\d+", "#", verdict)[:60]
        self.tally.kinds[kind] += 1
        if self.tally.kinds[kind] > 3 and kind != "wrong":
            return
        self._report(name, verdict, tree, tables, case)

    def _change_verdict(self, text: str, change: Change) -> str:
        ours = ask(self.subject, text)
        if ours.crash:
            return f"crash {ours.message}"
        if ours.sqlstate in MISSING or (ours.sqlstate or "").startswith("42"):
            return self._rejected(ours, text)
        assert self.oracle is not None
        theirs = ask(self.oracle, text)
        if (ours.sqlstate or "")[:2] != (theirs.sqlstate or "")[:2]:
            return f"error {ours.sqlstate} {ours.message} instead of {theirs.sqlstate} {theirs.message}"
        if ours.count != theirs.count:
            return "wrong count"
        if Counter(ours.rows) != Counter(theirs.rows):
            return "wrong RETURNING"
        content = f"select * from {change.table.name}"
        both = [ask(engine, content).rows for engine in (self.subject, self.oracle)]
        return "executed" if same(*both, change.types, False) else "wrong table"

    def _verdict(self, tree: Node, case: Case) -> str:
        """ "executed", "refused", "oracle refused", or what is wrong, the same for the same cause."""
        if isinstance(case, Pair):
            return self._self_verdict(case.texts(tree), case.types)
        if isinstance(case, Change):
            return self._change_verdict(str(tree), case)
        text = str(tree)
        ours = self._with_views(tree) if case.views else ask(self.subject, text)
        if ours.crash:
            return f"crash {ours.message}"
        if ours.sqlstate in MISSING:
            return self._rejected(ours, text)
        assert self.oracle is not None
        theirs = ask(self.oracle, text)
        if theirs.sqlstate is not None:
            return "oracle refused"
        if ours.sqlstate is not None and ours.sqlstate.startswith("42"):
            return self._rejected(ours, text)
        if ours.sqlstate is not None:
            return f"error {ours.sqlstate} {ours.message}"
        return "executed" if same(ours.rows, theirs.rows, case.types, case.ordered) else "wrong"

    def _with_views(self, tree: Node) -> Answer:
        """Our answer when the common table expressions are views."""
        text, names = str(tree), []
        answer = Answer()
        for part in [part for part in tree.walk() if part.sort == "cte"]:
            definition = re.sub(r"\) as (not )?materialized \(", ") as (", str(part), count=1)
            answer = ask(self.subject, f"create view {definition}")
            if answer.sqlstate is not None:
                break
            names.append(definition.split()[0])
        else:
            common = next((part for part in tree.walk() if part.parts and all(map(_is_common, part.parts))), None)
            answer = ask(self.subject, text if common is None else text.replace(f"with {common} ", "", 1))
        for name in reversed(names):
            ask(self.subject, f"drop view {name}")
        return answer

    def _rejected(self, answer: Answer, text: str) -> str:
        reason = f"{answer.sqlstate} {answer.message}"
        self.tally.refusals[reason] += 1
        self.tally.examples[reason] = min(self.tally.examples.get(reason, text), text, key=len)
        return "refused" if answer.sqlstate in MISSING else "rejected"

    def _self_verdict(self, texts: tuple[str, str], types: tuple[str, ...]) -> str:
        answers: list[Answer] = [ask(self.subject, text) for text in texts]
        for answer in answers:
            if answer.crash:
                return f"crash {answer.message}"
            if answer.sqlstate in MISSING:
                self.tally.refusals[answer.message] += 1
                return "refused"
        if any(answer.sqlstate is not None for answer in answers):
            return "oracle refused"
        return "executed" if same(answers[0].rows, answers[1].rows, types, False) else "wrong"

    # --- failures ----------------------------------------------------------------------------------------------------
    def _report(self, name: str, verdict: str, tree: Node, tables: list[Table], case: Case) -> None:
        def fails(candidate: Node, candidate_tables: list[Table]) -> bool:
            if candidate_tables is not current[0] or isinstance(case, Change):
                for engine in engines:
                    drop(engine, current[0])
                    create(engine, candidate_tables)
                current[0] = candidate_tables
            return self._verdict(candidate, case) == verdict

        engines = self._engines()
        current = [tables]
        refusals = self.tally.refusals.copy()
        small, fewer = shrink(tree, tables, fails, self.options.shrink_seconds)
        fails(small, fewer)
        text = self._file(name, verdict, small, fewer, case)
        self.tally.refusals = refusals
        if current[0] is not tables or isinstance(case, Change):
            for engine in engines:
                drop(engine, current[0])
                create(engine, tables)
        self.tally.failures.append(text)
        print(text, flush=True)
        if self.options.found is not None:
            self.options.found.mkdir(parents=True, exist_ok=True)
            number = len(list(self.options.found.glob("*.test"))) + 1
            (self.options.found / f"found_{number:03}.test").write_text(text)

    def _file(self, name: str, verdict: str, tree: Node, tables: list[Table], case: Case) -> str:
        """The case as a sqllogictest file."""
        first = " ".join(verdict.split())
        lines = [f"# {name}: {first}", ""]
        if "mood" in str(tree) or any(column.type == "mood" for table in tables for column in table.columns):
            lines += ["statement ok", *PREPARATION, ""]
        for table in tables:
            for statement in table.create():
                lines += ["statement ok", statement, ""]
        texts = list(case.texts(tree)) if isinstance(case, Pair) else [str(tree)]
        if isinstance(case, Change):
            lines += ["statement ok", str(tree), ""]
            texts = [f"select * from {case.table.name}"]
        oracle = self.oracle or self.subject
        for text in texts:
            types = "".join("I" if type_ in ("int", "small", "big") else "T" for type_ in case.types)
            sort = "nosort" if isinstance(case, Query) and case.ordered else "rowsort"
            lines += [f"query {types} {sort}", re.sub(r"\s*\n\s*", " ", text), "----"]
            answer = ask(oracle, text)
            lines += [value for row in written(answer.rows, types, sort) for value in row] + [""]
            ours = ask(self.subject, text)
            if ours.sqlstate is not None:
                lines += [f"# zerodb: {ours.sqlstate} {' '.join(ours.message.split())[:300]}", ""]
            else:
                lines += [f"# zerodb: {str(written(ours.rows, types, sort))[:300]}", ""]
        return "\n".join(lines)


def _is_common(part: Node | str) -> bool:
    return isinstance(part, Node) and part.sort == "cte"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    default = "postgres" if os.environ.get("ZERODB_POSTGRES") else "duckdb"
    parser.add_argument("--oracle", choices=("postgres", "duckdb", "none"), default=default)
    parser.add_argument("--types", default=",".join(TYPES), help=f"of {', '.join(ALL_TYPES)}, or all")
    parser.add_argument("--found", type=Path, help="folder for the failures' files")
    parser.add_argument("--most-failures", type=int, default=20)
    parser.add_argument("--shrink-seconds", type=float, default=30.0)
    parser.add_argument("--first-round", type=int, default=0, help="rounds have 40 queries each")
    parser.add_argument("--verbose", action="store_true", help="print every query before it runs")
    given = parser.parse_args(arguments)
    names = list(ALL_TYPES) if given.types == "all" else given.types.split(",")
    types = {name: ALL_TYPES[name] for name in names}
    began = time.perf_counter()
    search = Search(Options(given.queries, given.seed, given.oracle, types, given.found, given.most_failures,
                            given.shrink_seconds, given.verbose, given.first_round))  # fmt: skip
    tally = search.run()
    seconds = time.perf_counter() - began
    print(f"\nseed {given.seed}, oracle {given.oracle}: {tally} in {seconds:.0f} s")
    for message, count in tally.refusals.most_common(25):
        print(f"  refused {count:>6,}: {message[:150]}")
        if message in tally.examples:
            print(f"                  {tally.examples[message]}")
    for kind, count in tally.kinds.most_common():
        print(f"  failed  {count:>6,}: {kind}")
    return 1 if tally.counts["wrong"] or tally.counts["crashed"] else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
