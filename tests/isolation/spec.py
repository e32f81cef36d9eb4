"""PostgreSQL's isolation specifications, read: what sessions there are, their steps, and in which orders to run them.

    setup { SQL }  teardown { SQL }
    session a  setup { SQL }  step a1 { SQL }  step a2 { SQL }  teardown { SQL }
    session b  ...
    permutation a1 b1 a2(*) b2(a1, a2 notices 3)

The format is that of PostgreSQL 15's src/test/isolation/README. Limit: SQL blocks hold no braces, as there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

KEYWORDS = frozenset({"notices", "permutation", "session", "setup", "step", "teardown"})
_TOKEN = re.compile(
    r"""(?P<blank>[\s]+|\#[^\n\r]*)
      | \{[ \t\r\f]*(?P<sql>[^}]*?)[ \t\r\f]*\}
      | "(?P<quoted>(?:[^"\n]|"")*)"
      | (?P<name>[A-Za-z\200-\uffff_][A-Za-z\200-\uffff0-9_$]*)
      | (?P<number>[0-9]+)
      | (?P<sign>[(),*])""",
    re.X,
)


class SpecError(Exception):
    """The text is no specification."""


@dataclass(frozen=True, slots=True)
class Once:
    """(*): the step is reported as waiting as soon as it was launched."""


@dataclass(frozen=True, slots=True)
class OtherStep:
    """(step): the step is not reported as completed while that one runs."""

    step: str


@dataclass(frozen=True, slots=True)
class Notices:
    """(step notices n): not before the session of that step has given n notices since this one was launched."""

    step: str
    count: int


Blocker = Once | OtherStep | Notices


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    sql: str
    session: int


@dataclass(frozen=True, slots=True)
class Session:
    name: str
    setup: str | None
    steps: tuple[Step, ...]
    teardown: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A step's place in a permutation."""

    step: Step
    blockers: tuple[Blocker, ...] = ()


Permutation = tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    setups: tuple[str, ...]
    teardown: str | None
    sessions: tuple[Session, ...]
    permutations: tuple[Permutation, ...]  # those of the text; none: all interleavings
    unused: tuple[str, ...] = field(default=())  # steps that no permutation has

    def orders(self) -> Iterator[Permutation]:
        """The permutations to run."""
        if self.permutations:
            yield from self.permutations
        else:
            yield from _interleavings([list(session.steps) for session in self.sessions])


def _interleavings(piles: list[list[Step]]) -> Iterator[Permutation]:
    if not any(piles):
        yield ()
    for pile in piles:
        if pile:
            step = pile.pop(0)
            for rest in _interleavings(piles):
                yield (Entry(step), *rest)
            pile.insert(0, step)


class _Tokens:
    def __init__(self, text: str) -> None:
        self._found: list[tuple[str, str, int]] = []
        place, line = 0, 1
        while place < len(text):
            token = _TOKEN.match(text, place)
            if token is None:
                raise SpecError(f"line {line}: unexpected {text[place]!r}")
            kind = token.lastgroup
            assert kind is not None
            if kind == "name" and token["name"] in KEYWORDS:
                kind = "keyword"
            if kind != "blank":
                value = token[token.lastgroup or 0]
                self._found.append((kind, value.replace('""', '"') if kind == "quoted" else value, line))
            line += token[0].count("\n")
            place = token.end()
        self._next = 0

    def peek(self, kind: str, value: str | None = None) -> bool:
        if self._next >= len(self._found):
            return False
        found, text, _ = self._found[self._next]
        return found == kind and (value is None or text == value)

    def take(self, kind: str, value: str | None = None) -> str:
        if not self.peek(kind, value):
            what = repr(self._found[self._next][1]) if not self.ended else "the end"
            line = self._found[min(self._next, len(self._found) - 1)][2] if self._found else 1
            raise SpecError(f"line {line}: {value or kind} expected, not {what}")
        self._next += 1
        return self._found[self._next - 1][1]

    def accept(self, kind: str, value: str) -> bool:
        if self.peek(kind, value):
            self._next += 1
            return True
        return False

    def is_identifier(self) -> bool:
        return self.peek("name") or self.peek("quoted")

    def identifier(self) -> str:
        return self.take("quoted" if self.peek("quoted") else "name")

    @property
    def ended(self) -> bool:
        return self._next >= len(self._found)


def parse_spec(text: str) -> Spec:
    """The specification in a text. SpecError, with the line, if it is none."""
    tokens = _Tokens(text)
    setups = []
    while tokens.accept("keyword", "setup"):
        setups.append(tokens.take("sql"))
    teardown = _block(tokens, "teardown")
    sessions = [_session(tokens, 0)]
    while tokens.peek("keyword", "session"):
        sessions.append(_session(tokens, len(sessions)))
    steps: dict[str, Step] = {}
    for session in sessions:
        for step in session.steps:
            if step.name in steps:
                raise SpecError(f"duplicate step name: {step.name}")
            steps[step.name] = step
    permutations = []
    while tokens.accept("keyword", "permutation"):
        permutations.append(_permutation(tokens, steps))
    if not tokens.ended:
        tokens.take("keyword", "permutation")
    used = {entry.step.name for permutation in permutations for entry in permutation}
    unused = sorted(steps.keys() - used) if permutations else []
    return Spec(tuple(setups), teardown, tuple(sessions), tuple(permutations), tuple(unused))


def _block(tokens: _Tokens, keyword: str) -> str | None:
    return tokens.take("sql") if tokens.accept("keyword", keyword) else None


def _session(tokens: _Tokens, number: int) -> Session:
    tokens.take("keyword", "session")
    name = tokens.identifier()
    setup = _block(tokens, "setup")
    steps: list[Step] = []
    while tokens.accept("keyword", "step"):
        step = tokens.identifier()
        steps.append(Step(step, tokens.take("sql"), number))
    if not steps:
        tokens.take("keyword", "step")
    return Session(name, setup, tuple(steps), _block(tokens, "teardown"))


def _permutation(tokens: _Tokens, steps: dict[str, Step]) -> Permutation:
    entries = []
    while tokens.is_identifier() or not entries:
        name = tokens.identifier()
        blockers: list[Blocker] = []
        if tokens.accept("sign", "("):
            blockers.append(_blocker(tokens))
            while tokens.accept("sign", ","):
                blockers.append(_blocker(tokens))
            tokens.take("sign", ")")
        if name not in steps:
            raise SpecError(f'undefined step "{name}" specified in permutation')
        for blocker in blockers:
            if not isinstance(blocker, Once) and blocker.step not in steps:
                raise SpecError(f'undefined blocking step "{blocker.step}" referenced in permutation step "{name}"')
        entries.append(Entry(steps[name], tuple(blockers)))
    return tuple(entries)


def _blocker(tokens: _Tokens) -> Blocker:
    if tokens.accept("sign", "*"):
        return Once()
    name = tokens.identifier()
    if tokens.accept("keyword", "notices"):
        return Notices(name, int(tokens.take("number")))
    return OtherStep(name)
