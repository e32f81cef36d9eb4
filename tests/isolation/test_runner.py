"""The runner itself: reading specifications, printing tables, and what is reported when steps wait."""

from __future__ import annotations

import os

import pytest
from tests.conformance.corpora import corpus, corpus_files
from tests.isolation.expected import permutations_of, read_expected
from tests.isolation.printing import table_text
from tests.isolation.spec import Notices, Once, OtherStep, SpecError, parse_spec
from tests.isolation.tester import Failure, Result, RunError, Table, heading, run_spec

SPEC = """
# two sessions that want one lock
setup { make }
setup
{
  fill; }
teardown { drop }
session one
setup { begin }
step a1 { lock }
step a2	{ unlock }
session "session ""2"" b"
step b1 { lock }
step b2 {
  unlock
}
teardown { tidy }
"""


def test_a_specification_is_read() -> None:
    spec = parse_spec(SPEC + 'permutation a1 b1(*, a1) a2(b1 notices 2) "b2"\n')
    assert spec.setups == ("make", "\n  fill;")
    assert spec.teardown == "drop"
    assert [session.name for session in spec.sessions] == ["one", 'session "2" b']
    assert spec.sessions[0].setup == "begin"
    assert spec.sessions[1].teardown == "tidy"
    assert [step.sql for session in spec.sessions for step in session.steps] == [
        "lock",
        "unlock",
        "lock",
        "\n  unlock\n",
    ]
    (permutation,) = spec.orders()
    assert [entry.step.name for entry in permutation] == ["a1", "b1", "a2", "b2"]
    assert [entry.blockers for entry in permutation] == [(), (Once(), OtherStep("a1")), (Notices("b1", 2),), ()]


def test_without_permutations_all_interleavings_run() -> None:
    orders = [" ".join(entry.step.name for entry in order) for order in parse_spec(SPEC).orders()]
    assert orders == ["a1 a2 b1 b2", "a1 b1 a2 b2", "a1 b1 b2 a2", "b1 a1 a2 b2", "b1 a1 b2 a2", "b1 b2 a1 a2"]


def test_steps_that_are_not_used_are_named() -> None:
    spec = parse_spec(SPEC + "permutation b1 a1")
    assert heading(spec) == "unused step name: a2\nunused step name: b2\nParsed test spec with 2 sessions\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("session a", "line 1: step expected, not the end"),
        ("session a step", "line 1: name expected"),
        ("session a\nstep x { never ends", "line 2: unexpected"),
        ("session a step x { }\npermutation y", 'undefined step "y"'),
        ("session a step x { }\npermutation x(y)", 'undefined blocking step "y"'),
        ("session a step x { } step x { }", "duplicate step name: x"),
        ("session a step x { } setup { }", "line 1: permutation expected, not 'setup'"),
        ("session a step x { }\n;", "line 2: unexpected ';'"),
    ],
)
def test_what_is_no_specification_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message.replace("(", r"\(")):
        parse_spec(text)


def test_tables_are_printed_as_libpq_prints_them() -> None:
    text = table_text(("id", "name", "void"), [("1", "one", ""), ("-22", None, "")])
    assert text == (" id|name|void\n---+----+----\n  1|one |    \n-22|    |    \n(2 rows)\n\n")
    assert table_text(("a", "b"), []) == "a|b\n-+-\n(0 rows)\n\n"
    assert table_text(("x",), [("1e5",), ("e5",)]) == "x  \n---\n1e5\ne5 \n(2 rows)\n\n"
    assert table_text((), [(), ()]) == ""


class FakeEngine:
    """A database with one lock, and two statements."""

    def __init__(self) -> None:
        self.holder: FakeConnection | None = None
        self.log: list[str] = []
        self.connections: list[FakeConnection] = []

    def connect(self, name: str) -> FakeConnection:
        connection = FakeConnection(self, name)
        self.connections.append(connection)
        return connection

    def close(self) -> None:
        pass


class FakeConnection:
    def __init__(self, engine: FakeEngine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._sql = ""
        self._said: list[str] = []

    def start(self, sql: str) -> None:
        self._sql = sql.strip()
        self._engine.log.append(f"{self._name}: {self._sql}")
        if self._sql == "unlock" and self._engine.holder is self:
            self._engine.holder = None
        elif self._sql == "say":
            self._said += ["NOTICE:  hear", "NOTICE:  this"]

    def wait(self, seconds: float) -> bool:
        if self._sql == "lock" and self._engine.holder is None:
            self._engine.holder = self
        return self._sql != "lock" or self._engine.holder is self

    def results(self) -> list[Result]:
        if self._sql == "fail":
            return [Table(("x",), (("1",),)), Failure("that failed")]
        return [Table(("x",), (("1",),))] if self._sql == "read" else []

    def is_blocked(self) -> bool:
        return True

    def notices(self) -> list[str]:
        said, self._said = self._said, []
        return said

    def cancel(self) -> None:
        self._sql = ""

    def close(self) -> None:
        pass


def printed(text: str) -> str:
    return "".join(run_spec(FakeEngine(), parse_spec(text)))


def test_a_step_that_waits_is_reported_when_it_completes() -> None:
    assert printed(SPEC + "permutation a1 b1 a2 b2") == (
        "\nstarting permutation: a1 b1 a2 b2\nstep a1: lock\nstep b1: lock <waiting ...>\nstep a2: unlock\n"
        "step b1: <... completed>\nstep b2: \n  unlock\n\n"
    )


def test_setups_and_teardowns_run_in_their_order() -> None:
    engine = FakeEngine()
    run_spec(engine, parse_spec(SPEC + "permutation a1"))
    assert engine.log == [
        "control: make",
        "control: fill;",
        "one: begin",
        "one: lock",
        'session "2" b: tidy',
        "control: drop",
    ]


def test_results_and_errors_are_printed() -> None:
    text = printed("session a setup { read } step x { fail } permutation x")
    table = "x\n-\n1\n(1 row)\n\n"
    assert text == f"\nstarting permutation: x\n{table}step x: fail\n{table}ERROR:  that failed\n"


def test_marks_hold_a_report_back() -> None:
    sessions = "session a step a1 { lock } step a2 { unlock } session b step b1 { lock } step b2 { unlock }"
    once = printed(sessions + " permutation a1(*) a2")
    assert once.endswith("step a1: lock <waiting ...>\nstep a1: <... completed>\nstep a2: unlock\n")
    other = printed(sessions + " session c step c1 { read } permutation a1 b1 c1(b1) a2")
    assert other.endswith(
        "step c1: read <waiting ...>\nstep a2: unlock\nstep b1: <... completed>\nstep c1: <... completed>\n"
        "x\n-\n1\n(1 row)\n\n"
    )


def test_notices_are_printed_and_counted() -> None:
    text = printed("session a step a1 { read } session b step b1 { say } permutation a1(b1 notices 2) b1")
    assert text == (
        "\nstarting permutation: a1 b1\nstep a1: read <waiting ...>\nb: NOTICE:  hear\nb: NOTICE:  this\n"
        "step b1: say\nstep a1: <... completed>\nx\n-\n1\n(1 row)\n\n"
    )


def test_steps_that_hold_each_other_back_are_an_error() -> None:
    sessions = "session a step a1 { read } session b step b1 { read }"
    with pytest.raises(RunError, match="mutually-blocking"):
        printed(sessions + " permutation a1(b1, *) b1(a1, *)")
    with pytest.raises(RunError, match="setup failed: ERROR:  that failed"):
        printed("setup { fail } " + sessions)


def test_expected_files_are_cut_into_permutations() -> None:
    head, texts = permutations_of("Parsed\n\nstarting permutation: a b\nstep a: x\n\nstarting permutation: b a\n")
    assert head == "Parsed\n"
    assert texts == ["\nstarting permutation: a b\nstep a: x\n", "\nstarting permutation: b a\n"]


SPECS = corpus_files("isolation", "specs/*.spec") or ["(none)"]


@pytest.mark.skipif("ZERODB_POSTGRES" not in os.environ, reason="no PostgreSQL: set ZERODB_POSTGRES to its address")
@pytest.mark.parametrize("name", SPECS)
def test_a_real_postgres_gives_what_the_files_expect(name: str) -> None:
    """The runner is right if PostgreSQL, seen through it, does what PostgreSQL's own tester saw."""
    from tests.isolation.postgres_engine import PostgresEngine

    folder = corpus("isolation")
    spec = parse_spec((folder / name).read_text())
    expected = read_expected(folder / "expected", name.removeprefix("specs/").removesuffix(".spec"))
    engine = PostgresEngine(os.environ["ZERODB_POSTGRES"])
    try:
        texts = run_spec(engine, spec)
    finally:
        engine.close()
    assert heading(spec) == expected.head
    assert len(texts) == expected.count
    assert [text for number, text in enumerate(texts) if not expected.agrees(number, text)] == []
