"""A case: what is set up, the statements of some sessions, and whose turn it is when."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Case:
    """`turns` has each session's number as often as the session has steps. A turn of a session that waits for another
    comes when it no longer does."""

    setup: tuple[str, ...]
    prepared: tuple[tuple[str, ...], ...]  # of each session, before the first turn
    sessions: tuple[tuple[str, ...], ...]
    turns: tuple[int, ...]
    looks: tuple[str, ...]  # queries of the final state
    level: str  # of all sessions, or "mixed"
    points: bool = False  # whether statements by key take the short way (zerodb only)
    merges: frozenset[int] = frozenset()  # before these turns all tables are merged (zerodb only)

    def in_order(self, order: tuple[int, ...]) -> Case:
        """The sessions one after the other, without those that are left out."""
        kept = tuple(steps if place in order else () for place, steps in enumerate(self.sessions))
        turns = tuple(place for place in order for _ in self.sessions[place])
        return replace(self, sessions=kept, turns=turns, merges=frozenset())

    def without_step(self, session: int, step: int) -> Case:
        sessions = list(self.sessions)
        sessions[session] = (*sessions[session][:step], *sessions[session][step + 1 :])
        places = [place for place, turn in enumerate(self.turns) if turn == session]
        gone = places[step]
        merges = frozenset(place - (place > gone) for place in self.merges)
        turns = (*self.turns[:gone], *self.turns[gone + 1 :])
        return replace(self, sessions=tuple(sessions), turns=turns, merges=merges)

    def text(self) -> str:
        """As an isolation specification."""
        lines = ["setup {", *(f"  {sql};" for sql in self.setup), "}"]
        for place, (before, steps) in enumerate(zip(self.prepared, self.sessions, strict=True)):
            if not steps:
                continue
            lines.append(f"session s{place}")
            if before:
                lines.append("setup { " + "; ".join(before) + "; }")
            lines += [f"step {name(place, number)} {{ {sql}; }}" for number, sql in enumerate(steps)]
        nexts = [0] * len(self.sessions)
        order = []
        for session in self.turns:
            order.append(name(session, nexts[session]))
            nexts[session] += 1
        lines.append(f"permutation {' '.join(order)}")
        if self.points:
            lines.append("# statements by key take the short way")
        if self.merges:
            lines.append(f"# merges before the turns {sorted(self.merges)}")
        return "\n".join(lines) + "\n"


def name(session: int, step: int) -> str:
    return f"s{session}_{step}"
