"""`with db.transaction(retries=n)`: after a conflict the statements of the block run again in a new transaction.

The Python code of the block cannot run again, but it need not if the statements give it what they gave it before: then
the new transaction is the one that the code would have made. So each statement is noted with a fingerprint of its
result, and a conflict (at a statement or at the commit) is answered by

    rollback, wait, begin, run the statements so far, compare the fingerprints, go on where the conflict was

If one differs (what the block has read was changed), the conflict is raised after all: the block must be run again by
whoever wrote it, as `for attempt in db.transaction(...)` does. Statements that cannot be repeated (an import, COPY FROM
a stream), and a block that ended the transaction itself, are not replayed either.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from zerodb.outcome import Outcome
from zerodb_compiler.errors import Error

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.sessions.transactions import Backoff, Modes

T = TypeVar("T")
_KEPT_LOCKS = re.compile(r"advisory_(un)?lock", re.IGNORECASE)  # of the session, which a rollback does not undo


@dataclass(frozen=True, slots=True)
class Step:
    """A statement and what came of it: its result's fingerprint, or the SQLSTATE of its error."""

    once: Callable[[], Any]
    text: str
    came: object


class Recorder:
    def __init__(self, connection: Connection, modes: Modes, retries: int, backoff: Backoff) -> None:
        self._connection = connection
        self._modes = modes
        self._left = retries
        self._retries = retries
        self._backoff = backoff
        self._steps: list[Step] | None = []  # None: they cannot be repeated
        self._begin()

    def _begin(self) -> None:
        modes, session = self._modes, self._connection._session
        session.begin(modes.isolation, read_only=modes.read_only, deferrable=modes.deferrable)
        self._transaction = session.record()

    @staticmethod
    def kept(parameters: T) -> T:
        """Parameters as they are now: whoever gave them may change them."""
        return copy.deepcopy(parameters)

    def statement(self, run: Callable[[Callable[[], T], str | None], T], once: Callable[[], T], text: str | None) -> T:
        """Runs a statement by `run(once, text)`, and what was before it and itself once more after a conflict."""
        while True:
            try:
                result = run(once, text)
            except Error as error:
                if not error.retryable:
                    self._note(once, text, error.sqlstate)
                    raise
                if not self._is_replayed(run, error):
                    raise
                continue
            self._note(once, text, result)
            return result

    def commit(self, run: Callable[[Callable[[], T], str | None], T]) -> bool:
        """False if a statement failed, and the transaction was rolled back."""
        session = self._connection._session
        while True:
            self._check_own()
            try:
                return session.commit()
            except Error as error:
                if not error.retryable or not self._is_replayed(run, error):
                    raise

    def _note(self, once: Callable[[], Any], text: str | None, came: object) -> None:
        if text is None or _KEPT_LOCKS.search(text):
            self.give_up()
        if self._steps is not None and text is not None:
            self._steps.append(Step(once, text, _fingerprint(came)))
        self._check_own()

    def give_up(self) -> None:
        """What was done cannot be repeated."""
        self._steps = None

    def _check_own(self) -> None:
        """The block may have ended the transaction."""
        if self._connection._session._transaction is not self._transaction:
            self.give_up()

    def _is_replayed(self, run: Callable[..., Any], error: Error) -> bool:
        """Whether all is as it was before the conflict, in a new transaction."""
        session = self._connection._session
        while self._left and self._steps is not None:
            self._left -= 1
            session.rollback()
            self._backoff.wait(self._retries - self._left)
            self._begin()
            try:
                if all(self._came(run, step) == step.came for step in self._steps):
                    return True
            except Error as again:
                if not again.retryable:
                    raise
                continue
            error.hint = (
                "what the block has read was changed: run it again, as `for attempt in ...: with attempt:` does"
            )
            return False
        return False

    @staticmethod
    def _came(run: Callable[..., Any], step: Step) -> object:
        try:
            return _fingerprint(run(step.once, step.text))
        except Error as error:
            if error.retryable:
                raise
            return error.sqlstate


def _fingerprint(result: object) -> object:
    if not isinstance(result, Outcome):
        return result
    if result.batches is None:
        return result.tag, result.row_count
    digest = hashlib.blake2b(digest_size=16)
    for batch in result.table().combine_chunks().to_batches():
        digest.update(memoryview(batch.serialize()))
    return result.tag, result.row_count, digest.digest()
