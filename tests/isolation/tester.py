"""Runs an isolation specification: steps of several sessions, in a given order, against any database.

A step is launched without waiting for it. It has either completed, or it waits for another session's lock; then it is
reported as `<waiting ...>` and the next step goes on, until some step lets it complete. What is printed, and when, is
what PostgreSQL's isolationtester prints (src/test/isolation/isolationtester.c of version 15), so its expected files can
be compared with. The database is behind two protocols, `Engine` and `Connection`; `FakeEngine` in the tests is one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tests.isolation.printing import table_text
from tests.isolation.spec import Entry, Notices, Once, OtherStep, Permutation, Spec

POLL_S = 0.01  # how long a step may run before it is asked whether it waits


@dataclass(frozen=True, slots=True)
class Table:
    """A result set, values as text."""

    names: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Failure:
    message: str
    severity: str = "ERROR"
    code: str = ""  # SQLSTATE


@dataclass(frozen=True, slots=True)
class Notification:
    channel: str
    payload: str
    sender: str


Result = Table | Failure | Notification


class Connection(Protocol):
    """One session. One query text, of one or several statements, runs at a time."""

    def start(self, sql: str) -> None: ...

    def wait(self, seconds: float) -> bool:
        """Whether the text has run to its end, waiting for that at most so long."""

    def results(self) -> list[Result]:
        """What the text that has ended gave, statement by statement; nothing for those without result sets."""

    def is_blocked(self) -> bool:
        """Whether it waits for another session of the test."""

    def notices(self) -> list[str]:
        """What the database said beside results since the last call: `NOTICE:  text`."""

    def cancel(self) -> None: ...

    def close(self) -> None: ...


class Engine(Protocol):
    def connect(self, name: str) -> Connection: ...

    def close(self) -> None: ...


class RunError(Exception):
    """The specification cannot be run so: isolationtester would exit."""


@dataclass(slots=True)
class _Running:
    """A session, and the step that it is at."""

    name: str
    connection: Connection
    active: _Launched | None = None
    notice_count: int = 0


@dataclass(slots=True)
class _Launched:
    entry: Entry
    session: _Running
    targets: dict[Notices, int] = field(default_factory=dict)  # so many notices must that session have given


@dataclass(slots=True)
class Tester:
    """Runs a specification and writes down what happens."""

    engine: Engine
    spec: Spec
    give_up_s: float = 30.0  # a step that takes longer is cancelled
    lines: list[str] = field(default_factory=list)
    _control: Connection | None = None
    _sessions: list[_Running] = field(default_factory=list)
    _heard: int = 0  # notices

    def run(self, wanted: Callable[[int], bool] = lambda _: True) -> list[str]:
        """The printed text of each of the permutations that are `wanted` by number."""
        self._control = self.engine.connect("control")
        self._sessions = [_Running(found.name, self.engine.connect(found.name)) for found in self.spec.sessions]
        texts = []
        try:
            for number, permutation in enumerate(self.spec.orders()):
                if wanted(number):
                    self.lines = []
                    self._run(permutation)
                    texts.append("".join(self.lines))
        finally:
            for session in self._sessions:
                if session.active is not None:
                    session.connection.cancel()
                session.connection.close()
            self._control.close()
        return texts

    def _print(self, text: str) -> None:
        self.lines.append(text)

    def _run(self, permutation: Permutation) -> None:
        self._print(f"\nstarting permutation: {' '.join(entry.step.name for entry in permutation)}\n")
        assert self._control is not None
        for sql in self.spec.setups:
            self._execute(self._control, sql, "setup failed: ", must=True)
        for running, session in zip(self._sessions, self.spec.sessions, strict=True):
            if session.setup is not None:
                self._execute(running.connection, session.setup, f"setup of session {session.name} failed: ", must=True)
        self._take_notices()
        waiting: list[_Launched] = []
        for entry in permutation:
            self._free(entry, waiting)
            self._launch(entry, waiting)
        self._complete_all(waiting, may_block=False)
        if waiting:
            raise RunError("failed to complete permutation due to mutually-blocking steps")
        for running, session in zip(self._sessions, self.spec.sessions, strict=True):
            if session.teardown is not None:
                self._execute(running.connection, session.teardown, f"teardown of session {session.name} failed: ")
        self._take_notices()
        if self.spec.teardown is not None:
            self._execute(self._control, self.spec.teardown, "teardown failed: ")

    def _execute(self, connection: Connection, sql: str, failed: str, *, must: bool = False) -> None:
        """A setup or teardown: only its last statement's result is shown."""
        connection.start(sql)
        if not connection.wait(self.give_up_s):
            connection.cancel()
            connection.wait(self.give_up_s)
        results = connection.results()
        for result in results[-1:]:
            if isinstance(result, Failure):
                text = f"{failed}{result.severity}:  {result.message}\n"
                if must:
                    raise RunError(text)
                self._print(text)
            elif isinstance(result, Table):
                self._print(table_text(result.names, result.rows))

    def _launch(self, entry: Entry, waiting: list[_Launched]) -> None:
        running = self._sessions[entry.step.session]
        running.connection.start(entry.step.sql)
        launched = running.active = _Launched(entry, running)
        for blocker in entry.blockers:
            if isinstance(blocker, Notices):
                launched.targets[blocker] = blocker.count + self._session_of(blocker.step).notice_count
        blocked = self._try(launched, may_block=True, again=False)
        self._complete_all(waiting, may_block=True)
        if blocked:
            waiting.append(launched)

    def _free(self, entry: Entry, waiting: list[_Launched]) -> None:
        """Waits until the session of the next step has ended its last one."""
        running = self._sessions[entry.step.session]
        until = time.monotonic() + 2 * self.give_up_s
        while running.active is not None:
            old = running.active
            if not self._try(old, may_block=False, again=True):
                waiting.remove(old)
            self._complete_all(waiting, may_block=True)
            if time.monotonic() > until:
                raise RunError(f"step {old.entry.step.name} timed out")

    def _complete_all(self, waiting: list[_Launched], *, may_block: bool) -> None:
        """Reports those that have completed, in the order in which they began to wait."""
        while True:
            before, heard = len(waiting), self._heard
            waiting[:] = [launched for launched in waiting if self._try(launched, may_block=may_block, again=True)]
            noticed = self._heard - heard
            # One that was looked at later may have freed one that was looked at before.
            if not any(launched.entry.blockers for launched in waiting) or (len(waiting) == before and not noticed):
                return

    def _try(self, launched: _Launched, *, may_block: bool, again: bool) -> bool:
        """Waits until the step has completed and reports it, False; True if it waits, for a lock or by its marks."""
        step, connection = launched.entry.step, launched.session.connection
        if not again and any(isinstance(blocker, Once) for blocker in launched.entry.blockers):
            self._print(f"step {step.name}: {step.sql} <waiting ...>\n")
            return True
        until = time.monotonic() + self.give_up_s
        while not connection.wait(POLL_S):
            self._take_notices(launched.session)
            if may_block and connection.is_blocked() and not connection.wait(0):
                if not again:
                    self._print(f"step {step.name}: {step.sql} <waiting ...>\n")
                return True
            if time.monotonic() > until:
                self._print(f"isolationtester: canceling step {step.name} after {self.give_up_s:g} seconds\n")
                connection.cancel()
                until += self.give_up_s
        self._take_notices(launched.session)
        if any(self._holds(blocker, launched) for blocker in launched.entry.blockers):
            if not again:
                self._print(f"step {step.name}: {step.sql} <waiting ...>\n")
            return True
        self._print(f"step {step.name}: <... completed>\n" if again else f"step {step.name}: {step.sql}\n")
        for result in connection.results():
            self._report(result, launched.session)
        launched.session.active = None
        return False

    def _report(self, result: Result, session: _Running) -> None:
        match result:
            case Table(names, rows):
                self._print(table_text(names, rows))
            case Failure(message, severity):
                self._print(f"{severity}:  {message}\n")
            case Notification(channel, payload, sender):
                self._print(f'{session.name}: NOTIFY "{channel}" with payload "{payload}" from {sender}\n')

    def _holds(self, blocker: Once | OtherStep | Notices, launched: _Launched) -> bool:
        match blocker:
            case Once():
                return False
            case OtherStep(step):
                active = self._session_of(step).active
                return active is not None and active.entry.step.name == step
            case Notices(step):
                return self._session_of(step).notice_count < launched.targets[blocker]

    def _session_of(self, name: str) -> _Running:
        for session, running in zip(self.spec.sessions, self._sessions, strict=True):
            if any(step.name == name for step in session.steps):
                return running
        raise AssertionError(name)

    def _take_notices(self, only: _Running | None = None) -> None:
        """Prints what has arrived, of all sessions or of the one that is looked at: others may have said something, but
        that is heard when they are looked at."""
        for running in self._sessions if only is None else [only]:
            found = running.connection.notices()
            for text in found:
                self._print(f"{running.name}: {text}\n")
            running.notice_count += len(found)
            self._heard += len(found)


def run_spec(engine: Engine, spec: Spec, wanted: Callable[[int], bool] = lambda _: True) -> list[str]:
    """What isolationtester would print, permutation by permutation."""
    return Tester(engine, spec).run(wanted)


def heading(spec: Spec) -> str:
    """What stands before the first permutation."""
    unused = "".join(f"unused step name: {name}\n" for name in spec.unused)
    return f"{unused}Parsed test spec with {len(spec.sessions)} sessions\n"
