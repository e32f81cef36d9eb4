"""Whether what zerodb did in a case is right, given what PostgreSQL did.

Right is what is equal step by step. What differs must follow one of the rules, which are those of DIFFERENCES.md:

    later         a READ COMMITTED statement that waited runs again as a whole, and all rows of a statement are locked
                  at once: then all is as on a PostgreSQL where it was begun when it ended
    stricter      a transaction fails with 40001 where PostgreSQL lets it go on, for a listed reason; all else is as if
                  it had failed there
    serial        what has been committed is what some serial order of these transactions gives on PostgreSQL, statement
                  by statement; for SERIALIZABLE, where who fails differs, and (the final state only) where sessions
                  define something, since then readers do not wait
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tests.isolation.searching.cases import Case, name
from tests.isolation.searching.running import FAULT, Step, Trace

REFUSED = "0A000"
FLEETING = frozenset({"40001", "40P01", "55P03"})  # errors that depend on who else runs
MOST_UNITS = 5  # transactions whose orders are all tried
Oracle = Callable[[Case], Trace]


@dataclass(frozen=True, slots=True)
class Verdict:
    kind: str  # equal, refused, rejected, waits, later, stricter, serial, sound, wrong, fault
    why: str = ""

    @property
    def is_bad(self) -> bool:
        return self.kind in ("wrong", "fault")


def judge_race(case: Case, got: Trace, oracle: Oracle) -> Verdict:
    """Of sessions that ran at once. Only a serializable outcome can be judged, if it is of few transactions."""
    if (fault := _fault(got)) is not None:
        return fault
    if case.level != "serializable" or len(_committed(case, got)) > MOST_UNITS:
        return Verdict("sound")
    if any(_is_serial(got, oracle, serial) for serial in serial_orders(case, got)):
        return Verdict("serial")
    seen = [f"{name(step.session, step.number)} {list(step.outcome)}" for step in got.steps]
    return Verdict("wrong", f"no serial order gives {got.final} and {seen}")


def _fault(got: Trace) -> Verdict | None:
    if got.fault:
        return Verdict("fault", got.fault)
    for step in got.steps:
        if step.outcome[:1] == (FAULT,) or (step.error or "").startswith("XX"):
            return Verdict("fault", f"{name(step.session, step.number)}: {step.message}")
        if step.error == REFUSED:
            return Verdict("refused", step.message)
    return None


def judge(case: Case, expected: Trace, got: Trace, oracle: Oracle) -> Verdict:
    if got.fault and expected.fault:
        return Verdict("equal", got.fault)
    if (fault := _fault(got)) is not None:
        return fault
    for step in expected.steps:
        if step.error in ("55006", REFUSED):  # pending trigger events; a cached plan with other columns
            return Verdict("refused", f"PostgreSQL: {step.message}")
    if expected.fault:
        return Verdict("refused", f"PostgreSQL: {expected.fault}")
    if _steps(expected, waits=True) == _steps(got, waits=True) and expected.final == got.final:
        return Verdict("equal")
    why = difference(case, expected, got)
    if _steps(expected) == _steps(got) and expected.final == got.final:
        return Verdict("waits", why)
    for fixed in (True, False) if any(step.waited for step in got.steps) else ():
        later, shifts = _as_ended(case, got, fixed=fixed)
        trace = oracle(later)
        if _steps(trace, shifts=shifts) == _steps(got) and trace.final == got.final:
            return Verdict("later", why)
    if _may_be_stricter(case) and (failing := _failing(case, expected, got)):
        replaced, shifts = _as_ended(_with_errors(case, failing), got)
        trace = oracle(replaced)
        if _steps(trace, shifts=shifts, ignored=failing) == _steps(got, ignored=failing) and trace.final == got.final:
            return Verdict("stricter", why)
    defines = _defines(case)
    if case.level == "serializable" or defines:
        orders = serial_orders(case, got)
        if any(_is_serial(got, oracle, serial, only_final=defines) for serial in orders):
            return Verdict("serial", why)
    return Verdict("wrong", why)


def difference(case: Case, expected: Trace, got: Trace) -> str:
    """The first step that differs, or the final state."""
    for one, other in zip(expected.steps, got.steps, strict=True):
        place = f"{name(one.session, one.number)} ({case.sessions[one.session][one.number]})"
        other = next(step for step in got.steps if (step.session, step.number) == (one.session, one.number))
        if one.outcome != other.outcome or (one.launched, one.ended) != (other.launched, other.ended):
            return f"{place}: {_shown(one)}, zerodb {_shown(other)}"
    for sql, one_outcome, other_outcome in zip(case.looks, expected.final, got.final, strict=True):
        if one_outcome != other_outcome:
            return f"{sql}: PostgreSQL {one_outcome}, zerodb {other_outcome}"
    return "nothing"


def _shown(step: Step) -> str:
    waits = f" (turn {step.launched} to {step.ended})"
    return f"{list(step.outcome)} {step.message}{waits}"


Place = tuple[int, int]  # a session's number, and a step's in it


def _steps(
    trace: Trace,
    *,
    waits: bool = False,
    shifts: frozenset[Place] = frozenset(),
    ignored: frozenset[Place] = frozenset(),
) -> dict[Place, object]:
    """What came of each step, but for those of `shifts`, which are not counted, and those that are `ignored`."""
    found: dict[Place, object] = {}
    for step in sorted(trace.steps, key=lambda step: (step.session, step.number)):
        if (step.session, step.number) not in shifts:
            number = step.number - sum(
                1 for session, other in shifts if session == step.session and other < step.number
            )
            if (step.session, number) not in ignored:
                found[step.session, number] = (step.outcome, step.launched, step.ended) if waits else step.outcome
    return found


def _defines(case: Case) -> bool:
    words = ("create", "alter", "drop", "truncate", "comment")
    return any(text.startswith(words) for steps in case.sessions for text in steps)


def _may_be_stricter(case: Case) -> bool:
    """Where a transaction fails that PostgreSQL lets go on: definitions are in each other's way, and a foreign key's
    action and ON CONFLICT DO UPDATE look at the snapshot, where PostgreSQL's look at what is there now; FOR KEY SHARE
    has all keys before it has the rows."""
    texts = [text for steps in case.sessions for text in steps]
    if _defines(case):
        return True
    acts = any("references" in text and ("cascade" in text or "set null" in text) for text in case.setup)
    acts = acts or any("do update" in text for text in texts)
    if any("for key share" in text for text in texts):
        return True
    return acts and case.level != "read committed"


def _failing(case: Case, expected: Trace, got: Trace) -> frozenset[Place]:
    """The steps that fail in zerodb only, since others have come first."""
    errors = {(step.session, step.number): step.error for step in expected.steps}
    return frozenset(
        (step.session, step.number)
        for step in got.steps
        if step.error in ("40001", "40P01") and errors[step.session, step.number] != step.error
    )


def _with_errors(case: Case, places: frozenset[Place]) -> Case:
    sessions = [list(steps) for steps in case.sessions]
    for session, number in places:
        sessions[session][number] = "rollback" if sessions[session][number] == "commit" else "select 1 / 0"
    return replace(case, sessions=tuple(map(tuple, sessions)))


def _as_ended(case: Case, trace: Trace, *, fixed: bool = True) -> tuple[Case, frozenset[Place]]:
    """With each step that had to wait begun when it ended. Where the session's snapshot is its transaction's, a query
    that fixes it stands in its place; these places are given, too."""
    turns: list[tuple[int, bool, int, int]] = []
    sessions = [list(steps) for steps in case.sessions]
    shifts: set[Place] = set()
    for step in sorted(trace.steps, key=lambda step: (step.session, -step.number)):
        turns.append((step.ended, step.waited, step.launched, step.session))
        texts = sessions[step.session]
        if (
            fixed
            and step.waited
            and "read committed" not in case.prepared[step.session][0]
            and texts[0].startswith("begin")
        ):
            texts.insert(step.number, "select 'the snapshot'")
            turns.append((step.launched, False, step.launched, step.session))
            shifts = {(s, n + (s == step.session and n >= step.number)) for s, n in shifts}
            shifts.add((step.session, step.number))
    ordered = tuple(session for _, _, _, session in sorted(turns))
    later = replace(case, sessions=tuple(map(tuple, sessions)), turns=ordered, merges=frozenset())
    return later, frozenset(shifts)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A transaction that has been committed."""

    session: int
    steps: tuple[Step, ...]


def _committed(case: Case, trace: Trace) -> list[_Unit]:
    units = []
    for session, texts in enumerate(case.sessions):
        block: list[Step] | None = None
        failed = False
        for step in trace.of(session):
            text = texts[step.number]
            if block is None and not text.startswith("begin"):
                if step.error is None and text != "commit":
                    units.append(_Unit(session, (step,)))
                continue
            if block is None:
                block, failed = [], False
            block.append(step)
            if text in ("commit", "rollback"):
                if text == "commit" and not failed and step.error is None:
                    units.append(_Unit(session, tuple(block)))
                block = None
            elif step.error is not None:
                failed = True
            elif text.startswith("rollback to"):
                failed = False
    return units


def serial_orders(case: Case, trace: Trace) -> Iterator[tuple[Case, tuple[Step, ...]]]:
    """Each order of the transactions that were committed, and what they have seen."""
    for units in itertools.permutations(_committed(case, trace)):
        sessions = [unit.session for unit in units]
        by_session = {s: [unit.steps[0].number for unit in units if unit.session == s] for s in sessions}
        if any(numbers != sorted(numbers) for numbers in by_session.values()):
            continue
        steps = tuple(step for unit in units for step in unit.steps)
        texts = tuple(
            tuple(all_texts[step.number] for step in steps if step.session == session)
            for session, all_texts in enumerate(case.sessions)
        )
        turns = tuple(step.session for step in steps)
        yield replace(case, sessions=texts, turns=turns, merges=frozenset()), steps


def _is_serial(got: Trace, oracle: Oracle, serial: tuple[Case, tuple[Step, ...]], *, only_final: bool = False) -> bool:
    case, steps = serial
    trace = oracle(case)
    if trace.fault or trace.final != got.final or only_final:
        return not trace.fault and trace.final == got.final
    return all(
        one.outcome == other.outcome or other.error in FLEETING for one, other in zip(trace.steps, steps, strict=True)
    )
