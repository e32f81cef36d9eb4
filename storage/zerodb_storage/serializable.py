"""SERIALIZABLE on top of snapshots: who may commit (serializable snapshot isolation, by predicates).

Under snapshot isolation every execution that is not serializable has a *dangerous structure* (Fekete et al. 2005):

    T_in --rw--> T_pivot --rw--> T_out          T_out the first of the three to commit

where A --rw--> B says that A read (a predicate over) what B, concurrent with A, changed, so that A comes before B in
any serial order. Cahill, Röhm and Fekete (2008) abort a transaction that would complete one; Ports and Grittner (2012)
add that a T_in that wrote nothing matters only if T_out had committed before T_in's snapshot, and safe snapshots.

Here everything is decided when a transaction wants to commit, with true commit order and true commit status of all
others, by comparing what it read with what concurrent committed transactions changed, and the other way round
(predicates.py). T_out commits first, so whoever completes a structure is its T_in or its pivot:

    outs(T)   committed since T's snapshot, and changed what T read            first_out(T): the earliest of them
    pivot     T has an out, and some committed T_in has read what T changes, which committed after first_out(T)
    T_in      T has an out P that has itself a first_out(P): that one committed before P, so before T

The one that wants to commit is the victim, or fails before, at the first statement after which it could not commit any
more (`check`). All other transactions of the structure are over by then, so its next attempt does not meet them again.
Transactions at other levels take no part, neither their reads nor their changes, as in PostgreSQL.

A transaction without changes is checked too when it commits (it may be T_in), unless its snapshot is *safe*: no
serializable transaction that may write was running when it was taken, or all of those have ended since and none of them
had a first_out that the snapshot shows. Then it can be in no structure, and its reads are forgotten. SERIALIZABLE READ
ONLY DEFERRABLE waits for such a snapshot.

What is kept: a committed transaction's reads and changes while one that is concurrent with it runs. Beyond RETAINED_MAX
the two oldest are taken for one, with whole tables for reads and changes: more false aborts, never a wrong commit.

`SerializableCore` has no threads and no clock; `Serializable` is its edge: a mutex, and a condition to wait on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from zerodb_compiler.errors import OperationalError
from zerodb_storage.predicates import Reads, TableChange

if TYPE_CHECKING:
    from zerodb_storage.snapshot import Snapshot

RETAINED_MAX = 4096
EARLY_MAX = 64  # kept transactions: with more nothing is checked before the commit
Changes = Mapping[int, TableChange]  # by table id
_NO_CHANGES: Changes = {}
_WHOLE = TableChange(whole=True)


@dataclass(slots=True, eq=False)
class Member:
    """One serializable transaction. `snapshot` is the sequence of the last commit that it sees; `reads` what it has
    read so far, which only its own session adds to, None once nobody needs to know."""

    snapshot: int
    read_only: bool
    begun: int  # of the core's own clock, which ticks at every beginning and every end
    reads: Reads | None = field(default_factory=Reads)
    is_safe: bool | None = None  # of one that is read-only: None is not known yet, False never will be
    is_doomed: bool = False  # whether it has learned what its snapshot does not show
    waits_for: set[Member] = field(default_factory=set)  # of one that is read-only: writers that began before it


class Place(NamedTuple):
    """Where a commit is in the order of commits, and the sequence of its record."""

    first: int
    sequence: int


@dataclass(slots=True, eq=False)
class Committed:
    """What is kept of a transaction that wants to commit or has. Several taken for one have a span of places."""

    first: int  # its place in the order of commits
    last: int
    sequence: int  # of its commit record; 0 if it wrote nothing
    snapshot: int
    reads: Reads
    changes: Changes
    member: Member | None
    first_out: Place | None = None  # the first to commit of those that changed what it had read

    @property
    def wrote(self) -> bool:
        return bool(self.changes)


class NotSerializable(OperationalError):
    """40001: the transaction must not commit."""

    def __init__(self) -> None:
        super().__init__(
            "could not serialize access due to read/write dependencies among transactions",
            sqlstate="40001",
            hint="The transaction might succeed if retried.",
            retryable=True,
        )


class SerializableCore:
    """All serializable transactions of a database. Calls come one at a time."""

    def __init__(self) -> None:
        self._clock = 0
        self._active: dict[Member, None] = {}
        self._readers: dict[Member, None] = {}  # active, read-only, not known to be safe or unsafe
        self._kept: list[Committed] = []  # in order of commits
        self._prepared: dict[Member, Committed] = {}

    @property
    def active_count(self) -> int:
        return len(self._active)

    @property
    def kept_count(self) -> int:
        return len(self._kept)

    def begin(self, snapshot: int, *, read_only: bool) -> Member:
        """A transaction begins whose snapshot shows all commits up to the sequence `snapshot`, the newest there is."""
        self._clock += 1
        member = Member(snapshot, read_only, self._clock)
        self._active[member] = None
        if read_only:
            member.waits_for = {found for found in self._active if not found.read_only}
            self._readers[member] = None
            self._settle(member)
        self._prune(snapshot)
        return member

    def prepare(self, member: Member, changes: Changes = _NO_CHANGES, sequence: int = 0) -> None:
        """The transaction wants to commit these changes under this sequence. 40001 if it must not. From here on it
        counts as committed for those after it, until `end`."""
        assert member in self._active, "it is over"
        if member.reads is None:
            assert not changes, "only one that writes nothing is safe"
            return
        if member.is_doomed:
            raise NotSerializable
        earlier = self._prepared.pop(member, None)  # of a plan that was given up
        if earlier in self._kept:
            self._kept.remove(earlier)
        self._clock += 1
        wanted = self._checked(member, member.reads, changes, sequence)
        if changes or wanted.reads:
            self._kept.append(wanted)
        self._prepared[member] = wanted

    def check(self, member: Member, changes: Callable[[], Changes]) -> None:
        """40001 if the transaction could not commit any more, so that it need not go on. It is left to the commit where
        that would take long."""
        reads = member.reads
        if member.is_doomed:
            raise NotSerializable
        if reads is None or len(self._kept) > EARLY_MAX:
            return
        if self._outs(member, reads):
            self._checked(member, reads, changes(), 0)

    def is_outdated(self, member: Member, table_id: int) -> bool:
        """Whether what the transaction has read of the table was changed by one that has committed since."""
        reads = member.reads
        return reads is not None and any(
            reads.concerned_by(table_id, found.changes[table_id])
            for found in self._kept
            if found.sequence > member.snapshot and table_id in found.changes
        )

    def _checked(self, member: Member, reads: Reads, changes: Changes, sequence: int) -> Committed:
        """What is to be kept if it commits. 40001 if it must not."""
        wanted = Committed(self._clock, self._clock, sequence, member.snapshot, reads, changes, member)
        outs = self._outs(member, reads)
        if outs:
            wanted.first_out = min(Place(found.first, found.sequence) for found in outs)
            if any(self._is_dangerous(wanted, pivot) for pivot in outs) or self._is_pivot(wanted):
                raise NotSerializable
        return wanted

    def end(self, member: Member, *, committed: bool, published: int) -> None:
        """The transaction is over; `published` is the sequence of the newest snapshot that others can take."""
        if member not in self._active:
            return
        self._clock += 1
        del self._active[member]
        self._readers.pop(member, None)
        wanted = self._prepared.pop(member, None)
        if wanted is not None and not committed and wanted in self._kept:
            self._kept.remove(wanted)
        if not member.read_only:
            self._tell_readers(member, wanted if committed else None)
        self._prune(published)
        if len(self._kept) > RETAINED_MAX:
            self._kept[:2] = [_merged(*self._kept[:2])]

    def _outs(self, member: Member, reads: Reads) -> list[Committed]:
        """Those that have committed since its snapshot and changed what it has read."""
        return [found for found in self._kept if found.sequence > member.snapshot and _concerns(found, reads)]

    def _is_dangerous(self, reader: Committed, pivot: Committed) -> bool:
        """Whether `reader`, the last to commit, is the T_in of reader --rw--> pivot --rw--> T_out."""
        out = pivot.first_out
        return out is not None and (reader.wrote or out.sequence <= reader.snapshot)

    def _is_pivot(self, wanted: Committed) -> bool:
        """Whether some T_in has read what `wanted`, which has an out, is about to change."""
        out, member = wanted.first_out, wanted.member
        assert out is not None
        assert member is not None
        if not wanted.wrote:
            return False
        for found in self._kept:
            if found.last < out.first:
                continue  # it committed before T_out did
            if not found.wrote and out.sequence > found.snapshot:
                continue
            concurrent = found.sequence > wanted.snapshot or found.last > member.begun
            if concurrent and _concerns(wanted, found.reads):
                return True
        return False

    def _tell_readers(self, writer: Member, committed: Committed | None) -> None:
        """A transaction that might have written is over: is the snapshot of those that waited for it safe?"""
        out = None if committed is None or not committed.wrote else committed.first_out
        for reader in list(self._readers):
            if writer in reader.waits_for:
                reader.waits_for.discard(writer)
                if out is not None and out.sequence <= reader.snapshot:
                    reader.is_safe = False
                    reader.waits_for.clear()
                    del self._readers[reader]
                else:
                    self._settle(reader)

    def _settle(self, reader: Member) -> None:
        if not reader.waits_for:
            reader.is_safe = True
            reader.reads = None
            self._readers.pop(reader, None)

    def _prune(self, published: int) -> None:
        """Forgets whom no running transaction, and none that may still begin, is concurrent with."""
        if not self._kept:
            return
        oldest = min((member.snapshot for member in self._active), default=published)
        oldest = min(oldest, published)
        begun = min((member.begun for member in self._active if not member.read_only), default=self._clock)
        self._kept = [
            found
            for found in self._kept
            if found.sequence > oldest or found.last > begun or found.member in self._prepared
        ]


def _concerns(writer: Committed, reads: Reads) -> bool:
    """Whether it changed what another has read."""
    return any(reads.concerned_by(table_id, change) for table_id, change in writer.changes.items())


def _merged(a: Committed, b: Committed) -> Committed:
    reads = Reads()
    for table_id in a.reads.tables | b.reads.tables:
        reads.note_table(table_id)
    outs = [found.first_out for found in (a, b) if found.first_out is not None]
    return Committed(
        min(a.first, b.first),
        max(a.last, b.last),
        max(a.sequence, b.sequence),
        max(a.snapshot, b.snapshot),
        reads,
        dict.fromkeys([*a.changes, *b.changes], _WHOLE),
        None,
        min(outs, default=None),
    )


class Serializable:
    """The core behind a mutex. `newest` gives the newest committed snapshot: it is taken and made known in one step, so
    that nothing that is concurrent with it has been forgotten."""

    def __init__(self, newest: Callable[[], Snapshot]) -> None:
        self._core = SerializableCore()
        self._newest = newest
        self._mutex = threading.Lock()
        self._ended = threading.Condition(self._mutex)

    def begin(self, *, read_only: bool = False) -> tuple[Snapshot, Member]:
        with self._mutex:
            snapshot = self._newest()
            return snapshot, self._core.begin(snapshot.sequence, read_only=read_only)

    def begin_deferrable(self, wait: Callable[[threading.Condition], None]) -> tuple[Snapshot, Member]:
        """A safe snapshot, for reading only. `wait` waits for the condition, or raises to give up."""
        snapshot, member = self.begin(read_only=True)
        while not member.is_safe:
            with self._mutex:
                try:
                    while member.is_safe is None:
                        wait(self._ended)
                except BaseException:
                    self._end(member, committed=False)
                    raise
                if member.is_safe is False:
                    self._end(member, committed=False)
            if member.is_safe is False:
                snapshot, member = self.begin(read_only=True)
        return snapshot, member

    def prepare(self, member: Member, changes: Changes = _NO_CHANGES, sequence: int = 0) -> None:
        """Before a commit is written; `end` must follow. 40001 if it would not be serializable."""
        with self._mutex:
            self._core.prepare(member, changes, sequence)

    def check(self, member: Member, changes: Callable[[], Changes]) -> None:
        """40001 if the transaction could not commit any more."""
        with self._mutex:
            self._core.check(member, changes)

    def is_outdated(self, member: Member, table_id: int) -> bool:
        """Whether others have committed changes of what the transaction has read of the table."""
        with self._mutex:
            return self._core.is_outdated(member, table_id)

    def end(self, member: Member, *, committed: bool) -> None:
        """After a commit was published, or a rollback. Ending twice is no error."""
        with self._mutex:
            self._end(member, committed=committed)

    def _end(self, member: Member, *, committed: bool) -> None:
        self._core.end(member, committed=committed, published=self._newest().sequence)
        self._ended.notify_all()
