"""LISTEN, NOTIFY, UNLISTEN and pg_notify: messages between the connections of this process to one database.

    NOTIFY --> the session's list --commit--> the switchboard --> inboxes of listeners --> Connection.notifications

As in PostgreSQL: what a transaction announces is told when it commits, once for the same channel and payload, in the
order of the statements; nothing of it after a rollback. LISTEN and UNLISTEN take effect at the commit, too. Who is
in a transaction gets its messages after it.

Limits: other processes are not told (one process writes, others poll its commits by following it); nothing is kept for
who does not listen. Where someone who listens never looks, NOTIFY fails at QUEUE_MAX messages (54000).
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zerodb.outcome import Outcome
from zerodb.sessions.advisory import value_of
from zerodb_compiler.errors import error_for
from zerodb_compiler.sql import utility_statements as us
from zerodb_compiler.sql.computed import Computed

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.values import Canonical

QUEUE_MAX = 100_000
PAYLOAD_BYTES_MAX = 7999
CHANNEL_BYTES_MAX = 63


@dataclass(frozen=True, slots=True)
class Notification:
    """`sender` is the number of the session that sent it: its pg_backend_pid()."""

    channel: str
    payload: str
    sender: int


@dataclass(slots=True, eq=False, weakref_slot=True)
class Inbox:
    """What has arrived for one session."""

    arrived: deque[Notification] = field(default_factory=deque)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, found: Sequence[Notification]) -> None:
        with self.changed:
            self.arrived.extend(found)
            self.changed.notify_all()

    def take(self, wait_s: float) -> list[Notification]:
        """All that is there; waits so long for a first one."""
        end = time.monotonic() + wait_s
        with self.changed:
            while not self.arrived and (left := end - time.monotonic()) > 0:
                self.changed.wait(min(left, threading.TIMEOUT_MAX))
            found = list(self.arrived)
            self.arrived.clear()
        return found


class Switchboard:
    """Who listens to which channels of a database. Thread-safe. An inbox that nobody has any more is forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, weakref.WeakSet[Inbox]] = {}

    def listen(self, channel: str, inbox: Inbox) -> None:
        with self._lock:
            self._listeners.setdefault(channel, weakref.WeakSet()).add(inbox)

    def unlisten(self, channel: str | None, inbox: Inbox) -> None:
        """None is all channels."""
        with self._lock:
            for name in [channel] if channel is not None else list(self._listeners):
                found = self._listeners.get(name)
                if found is not None:
                    found.discard(inbox)
                    if not found:
                        del self._listeners[name]

    def check_room(self, channel: str) -> None:
        """54000 if somebody has let too many messages lie."""
        with self._lock:
            listeners = list(self._listeners.get(channel, ()))
        if any(len(inbox.arrived) >= QUEUE_MAX for inbox in listeners):
            raise error_for("54000", "too many notifications in the NOTIFY queue")

    def send(self, messages: Sequence[Notification]) -> None:
        by_inbox: dict[Inbox, list[Notification]] = {}
        with self._lock:
            for message in messages:
                for inbox in self._listeners.get(message.channel, ()):
                    by_inbox.setdefault(inbox, []).append(message)
        for inbox, found in by_inbox.items():
            inbox.put(found)


@dataclass(frozen=True, slots=True)
class _Listening:
    channel: str | None  # None: of UNLISTEN, all
    begins: bool


class Announcements:
    """What one session has announced and not committed yet."""

    def __init__(self, switchboard: Switchboard, sender: int) -> None:
        self._switchboard, self._sender = switchboard, sender
        self._pending: list[Notification | _Listening] = []
        self._marks: list[int] = []  # how many there were at each savepoint
        self.inbox = Inbox()

    def listen(self, channel: str) -> None:
        self._pending.append(_Listening(channel, True))

    def unlisten(self, channel: str | None) -> None:
        self._pending.append(_Listening(channel, False))

    def notify(self, channel: str, payload: str) -> None:
        """22023 for names and payloads that PostgreSQL does not take either."""
        if not channel:
            raise error_for("22023", "channel name cannot be empty")
        if len(channel.encode()) > CHANNEL_BYTES_MAX:
            raise error_for("22023", "channel name too long")
        if len(payload.encode()) > PAYLOAD_BYTES_MAX:
            raise error_for("22023", "payload string too long")
        self._switchboard.check_room(channel)
        self._pending.append(Notification(channel, payload, self._sender))

    @property
    def savepoints(self) -> int:
        return len(self._marks)

    def savepoint(self) -> None:
        self._marks.append(len(self._pending))

    def release(self, index: int) -> None:
        del self._marks[index:]

    def rollback_to(self, index: int) -> None:
        del self._pending[self._marks[index] :]
        del self._marks[index + 1 :]

    def forget(self) -> None:
        """The transaction, or the statement alone, has failed."""
        self._pending.clear()
        self._marks.clear()

    def tell(self) -> None:
        """It has committed."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        self._marks.clear()
        for found in pending:
            if isinstance(found, _Listening):
                if found.begins:
                    assert found.channel is not None
                    self._switchboard.listen(found.channel, self.inbox)
                else:
                    self._switchboard.unlisten(found.channel, self.inbox)
        self._switchboard.send(list(dict.fromkeys(found for found in pending if isinstance(found, Notification))))

    def close(self) -> None:
        self.forget()
        self._switchboard.unlisten(None, self.inbox)


def run_listening(connection: Connection, statement: us.Listen | us.Unlisten | us.Notify) -> Outcome:
    announcements = connection._session.announcements
    match statement:
        case us.Listen(channel=channel):
            announcements.listen(channel)
            return Outcome("LISTEN")
        case us.Unlisten(channel=channel):
            announcements.unlisten(channel)
            return Outcome("UNLISTEN")
        case us.Notify(channel=channel, payload=payload):
            announcements.notify(channel, payload)
            return Outcome("NOTIFY")


def pg_notify(connection: Connection, what: Computed, values: Sequence[Any]) -> Canonical:
    """pg_notify(channel, payload) (compiler: sql/binder_notify.py)."""
    channel, payload = (value_of(argument, values) for argument in what.arguments)
    connection._session.announcements.notify(channel or "", payload or "")
    return ""
