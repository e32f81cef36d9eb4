"""Runs a case step by step on a database, and notes which step waited, until when, and what came of it.

Other than the specifications' tester it looks at all sessions after each step, until each has ended its step or waits:
so what is noted does not depend on who was faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.isolation.searching.cases import Case
from tests.isolation.tester import Connection, Engine, Failure, Table

GIVE_UP_S = 20.0
LATE_S = 0.5
FAULT = "FAULT"
HANG = "HANG"  # a step does not end, nor wait for another session
STUCK = "STUCK"  # every session waits
Outcome = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    session: int
    number: int
    launched: int  # the turn
    ended: int  # the turn after which it was ended
    outcome: Outcome  # an error's SQLSTATE, or the rows in a fixed order
    message: str = ""

    @property
    def waited(self) -> bool:
        return self.ended > self.launched

    @property
    def error(self) -> str | None:
        return self.outcome[0] if self.outcome and len(self.outcome[0]) == 5 and self.outcome[0] != "rows:" else None


@dataclass(frozen=True, slots=True)
class Trace:
    steps: tuple[Step, ...]  # in the order of their turns
    final: tuple[Outcome, ...]  # of the case's looks
    fault: str | None = None  # HANG or STUCK

    def of(self, session: int) -> list[Step]:
        return [step for step in self.steps if step.session == session]


@dataclass(slots=True)
class _Active:
    session: int
    number: int
    launched: int
    blocked: bool = False


class Run:
    """One run of one case. `pause_s` is how long a session must be seen to wait until it is believed."""

    def __init__(
        self, engine: Engine, case: Case, *, pause_s: float, before_turn: Callable[[int], None] = lambda _: None
    ) -> None:
        self._engine, self._case, self._pause_s, self._before_turn = engine, case, pause_s, before_turn
        self._control = engine.connect("control")
        self._connections: list[Connection] = []
        self._active: dict[int, _Active] = {}
        self._steps: list[Step] = []
        self._turn = 0

    def run(self) -> Trace:
        try:
            return self._run()
        finally:
            self._end_all()

    def _set_up(self) -> None:
        for sql in self._case.setup:
            _must(self._control, sql)
        for session, statements in enumerate(self._case.prepared):
            self._connections.append(self._engine.connect(f"s{session}"))
            for sql in statements:
                _must(self._connections[session], sql)

    def _end_all(self) -> None:
        for session, connection in enumerate(self._connections):
            if session in self._active:
                connection.cancel()
                connection.wait(GIVE_UP_S)
            connection.close()
        self._control.close()

    def race(self) -> Trace:
        """All sessions at once, each as fast as it can: nobody knows who was before whom."""
        try:
            self._set_up()
            return self._race()
        finally:
            self._end_all()

    def _race(self) -> Trace:
        nexts = [0] * len(self._connections)
        until = time.monotonic() + GIVE_UP_S
        while time.monotonic() < until:
            for session, connection in enumerate(self._connections):
                active = self._active.get(session)
                if active is not None and connection.wait(0):
                    self._end(active)
                    until = time.monotonic() + GIVE_UP_S
                if session not in self._active and nexts[session] < len(self._case.sessions[session]):
                    self._active[session] = _Active(session, nexts[session], self._turn)
                    connection.start(self._case.sessions[session][nexts[session]])
                    nexts[session] += 1
            self._turn += 1
            if not self._active:
                break
            time.sleep(0.0002)
        fault = STUCK if self._active else None
        self._steps.sort(key=lambda step: (step.launched, step.session))
        return Trace(tuple(self._steps), () if fault else self._final(), fault)

    def _run(self) -> Trace:
        self._set_up()
        turns = list(self._case.turns)
        nexts = [0] * len(self._connections)
        fault = None
        while turns and fault is None:
            place = next((place for place, session in enumerate(turns) if session not in self._active), None)
            if place is None:  # for good, or a deadlock is found late
                time.sleep(LATE_S)
                fault = self._settle()
                if fault is None and all(session in self._active for session in turns):
                    fault = STUCK
                continue
            session = turns.pop(place)
            self._before_turn(self._turn)
            self._connections[session].start(self._case.sessions[session][nexts[session]])
            self._active[session] = _Active(session, nexts[session], self._turn)
            nexts[session] += 1
            fault = self._settle()
            self._turn += 1
        if fault is None and self._active:
            fault = STUCK
        for active in self._active.values():
            self._steps.append(Step(active.session, active.number, active.launched, 1 << 30, (fault or "",)))
        self._steps.sort(key=lambda step: step.launched)
        final = () if fault else self._final()
        return Trace(tuple(self._steps), final, fault)

    def _final(self) -> tuple[Outcome, ...]:
        for connection in self._connections:
            _must(connection, "rollback")  # of what was left open
        return look(self._control, self._case)

    def _settle(self) -> str | None:
        """Until each step has ended or waits, for good."""
        until = time.monotonic() + GIVE_UP_S
        quiet_since: float | None = None
        while self._active:
            changed = False
            for session, active in list(self._active.items()):
                connection = self._connections[session]
                if connection.wait(0.0 if active.blocked else 0.002):
                    self._end(active)
                    changed = True
                    continue
                blocked = connection.is_blocked()
                changed = changed or blocked != active.blocked or not blocked
                active.blocked = blocked
            now = time.monotonic()
            if changed:
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since >= self._pause_s:
                return None
            if now > until:
                return HANG
            time.sleep(0 if changed else min(self._pause_s / 3, 0.002))
        return None

    def _end(self, active: _Active) -> None:
        outcome, message = _outcome(self._connections[active.session])
        self._steps.append(Step(active.session, active.number, active.launched, self._turn, outcome, message))
        del self._active[active.session]


def look(connection: Connection, case: Case) -> tuple[Outcome, ...]:
    return tuple(_must(connection, sql, fails=True) for sql in case.looks)


def _must(connection: Connection, sql: str, *, fails: bool = False) -> Outcome:
    connection.start(sql)
    if not connection.wait(GIVE_UP_S):
        return (HANG,)
    outcome, message = _outcome(connection)
    if message and not fails:
        raise SetupError(f"{outcome[0]} {message}: {sql}")
    return outcome


class SetupError(Exception):
    """The case cannot be run here."""


def _outcome(connection: Connection) -> tuple[Outcome, str]:
    """The outcome, and an error's message."""
    rows: list[str] = []
    for result in connection.results():
        match result:
            case Failure(message, severity, code):
                return (FAULT if severity == FAULT else code,), message
            case Table(_, found):
                rows.append("rows:")
                rows += sorted("|".join("NULL" if value is None else value for value in row) for row in found)
    return tuple(rows), ""
