"""Who holds which locks, who waits for whom, and which wait would never end. Decides only: nothing here blocks.

    request -> granted, or a Request in the queue of what it wants        release -> the requests that are granted now

A request is granted when nobody else holds what conflicts with it and nobody who waits longer wants it: first come,
first served. (But who only shares rows passes those who wait.) All rows of a request are granted at once or none, so
two statements over the same rows in different orders do not deadlock.

Deadlocks are looked for when a wait begins, depth first through the graph of who waits for whom: a *hard* edge leads to
who holds a lock, a *soft* one to who only stands before it in a queue. As in PostgreSQL (storage/lmgr/README), a cycle
with a soft edge is solved by letting the one behind go first, so that who holds a lock and wants more of it passes
those who wait for it. A cycle of hard edges is a deadlock, and the request that closes it fails (40P01).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from zerodb_storage.lock_modes import ADVISORY_CONFLICTS, TABLE_CONFLICTS, AdvisoryMode, RowMode, TableMode
from zerodb_storage.lock_spaces import ModeLocks, Owner, Request, RowClaim, RowLocks, Space
from zerodb_storage.values import Array

_OVERTAKINGS = 100  # attempts to solve cycles by letting requests overtake, before one is called a deadlock


@dataclass(frozen=True, slots=True)
class Lock:
    """One line of the list of locks: `what` as in `LockTable`'s keys; rows are counted, not listed."""

    kind: str  # table, rows, keys, advisory
    what: tuple[Any, ...]
    owner: Owner
    mode: str
    granted: bool
    rows: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """To a request: it waits as `request`, or is refused as a deadlock, or else is granted. `woken` are requests of
    others that are granted now, since a queue was put in another order."""

    request: Request | None = None
    deadlock: bool = False
    woken: Sequence[Request] = ()


GRANTED = Answer()


class LockTable:
    def __init__(self) -> None:
        self.tables: dict[int, ModeLocks] = {}
        self.rows: dict[int, RowLocks] = {}
        self.keys: dict[tuple[int, int], RowLocks] = {}
        self.advisory: dict[tuple[int, ...], ModeLocks] = {}

    # --- spaces -------------------------------------------------------------------------------------------------------

    def table(self, table_id: int) -> ModeLocks:
        found = self.tables.get(table_id)
        if found is None:
            found = self.tables[table_id] = ModeLocks(("table", table_id), TABLE_CONFLICTS)
        return found

    def rows_of(self, table_id: int) -> RowLocks:
        found = self.rows.get(table_id)
        if found is None:
            found = self.rows[table_id] = RowLocks(("rows", table_id))
        return found

    def keys_of(self, table_id: int, number: int) -> RowLocks:
        found = self.keys.get((table_id, number))
        if found is None:
            found = self.keys[table_id, number] = RowLocks(("keys", table_id, number))
        return found

    def advisory_of(self, key: tuple[int, ...]) -> ModeLocks:
        found = self.advisory.get(key)
        if found is None:
            found = self.advisory[key] = ModeLocks(("advisory", *key), ADVISORY_CONFLICTS, True)
        return found

    def _drop_if_free(self, space: Space) -> None:
        """Spaces that come and go: advisory numbers, and what belongs to a table that was locked exclusively (it may
        have been dropped)."""
        if not space.is_free:
            return
        match space.what:
            case ("advisory", *key):
                self.advisory.pop(tuple(key), None)
            case ("table", table_id):
                self.tables.pop(table_id, None)
                if table_id in self.rows and self.rows[table_id].is_free:
                    del self.rows[table_id]
                for number in [n for n, keys in self.keys.items() if n[0] == table_id and keys.is_free]:
                    del self.keys[number]

    # --- requests -----------------------------------------------------------------------------------------------------

    def is_blocked(self, owner: Owner, space: Space, claim: Any) -> bool:
        """Whether a request would have to wait. (Those who wait for its own party let it pass.)"""
        if space.holders_against(owner.party, claim):
            return True
        return any(not space.waits_for(request, owner.party) for request in _before(space, owner, claim))

    def request(self, owner: Owner, space: Space, claim: Any) -> Answer:
        if not self.is_blocked(owner, space, claim):
            space.grant(owner, claim)
            return GRANTED
        request = Request(owner, space, claim)
        space.queue.append(request)
        return self._wait(request)

    def wait_for(self, owner: Owner, awaited: Owner) -> Answer:
        """Waits until `awaited` gives something up; granted at once if it holds nothing."""
        if not awaited.log or awaited.party is owner.party:
            return GRANTED
        request = Request(owner, None, None, awaited)
        awaited.watchers.append(request)
        return self._wait(request)

    def _wait(self, request: Request) -> Answer:
        party = request.owner.party
        assert party.waiting is None, "a session waits for one thing at a time"
        party.waiting = request
        touched: list[Space] = []
        solved = self._solve_cycles(request, touched)
        if not solved:
            self._leave(request)
            if request.space is not None:
                touched.append(request.space)
        woken = self._settle(touched)
        if request.granted:
            woken.remove(request)
            return Answer(woken=woken)
        return Answer(request if solved else None, not solved, woken)

    def _solve_cycles(self, request: Request, touched: list[Space]) -> bool:
        """Changes queues until the request closes no cycle; False for a deadlock."""
        for _ in range(_OVERTAKINGS):
            cycle = _cycle(request.owner.party)
            if cycle is None:
                return True
            # The one furthest from the request, as PostgreSQL does.
            soft = next(((behind, ahead) for behind, ahead in reversed(cycle) if ahead is not None), None)
            if soft is None:
                return False
            behind, ahead = soft
            assert ahead is not None
            assert behind.space is not None
            queue = behind.space.queue
            queue.remove(behind)
            queue.insert(queue.index(ahead), behind)
            touched.append(behind.space)
        return False

    def withdraw(self, request: Request) -> list[Request]:
        """Ends a wait without the lock; gives the requests granted now. A request granted meanwhile stays so."""
        if request.granted:
            return []
        self._leave(request)
        return [] if request.space is None else self._settle([request.space])

    def _leave(self, request: Request) -> None:
        request.owner.party.waiting = None
        if request.awaited is not None:
            request.awaited.watchers.remove(request)
        if request.space is not None:
            request.space.queue.remove(request)

    # --- release ------------------------------------------------------------------------------------------------------

    def release_to(self, owner: Owner, mark: int) -> list[Request]:
        """Gives up what was locked since `owner.log` had `mark` entries; the requests that are granted now."""
        log = owner.log
        touched: list[Space] = []
        while len(log) > mark:
            space, what, before = log.pop()
            space.undo(owner, what, before)
            if space.queue:
                if space not in touched:
                    touched.append(space)
            elif space.transient:
                self._drop_if_free(space)
        granted = self._settle(touched) if touched else []
        return granted + self._woken(owner) if owner.watchers else granted

    def release_one(self, owner: Owner, space: ModeLocks, mode: int) -> list[Request]:
        """Gives up one mode of one object before the end."""
        owner.log.remove((space, 1 << mode, 0))
        space.undo(owner, 1 << mode, 0)
        granted = self._settle([space])
        self._drop_if_free(space)
        return granted

    def _woken(self, owner: Owner) -> list[Request]:
        woken, owner.watchers = owner.watchers, []
        for request in woken:
            request.granted = True
            request.owner.party.waiting = None
        return woken

    def _settle(self, spaces: Iterable[Space]) -> list[Request]:
        """Grants what can be granted, in the order of the queues."""
        granted: list[Request] = []
        for space in spaces:
            waiting: list[Request] = []
            for request in space.queue:
                owner, claim = request.owner, request.claim
                party = owner.party
                if any(w.owner.party is not party and space.goes_behind(claim, w.claim) for w in waiting) or (
                    space.holders_against(party, claim)
                ):
                    waiting.append(request)
                    continue
                space.grant(owner, claim)
                request.granted = True
                party.waiting = None
                granted.append(request)
            space.queue[:] = waiting
        return granted

    def renumber(self, table_id: int, apply: Callable[[Array], Array]) -> list[Request]:
        """The rows of a table have other ids now (-1: none any more); the requests that are granted now."""
        space = self.rows.get(table_id)
        if space is None:
            return []
        space.renumber(apply)
        return self._settle([space])

    # --- looking at it ------------------------------------------------------------------------------------------------

    def locks(self) -> Iterator[Lock]:
        for kind, modes, spaces in (
            ("table", TableMode, list(self.tables.values())),
            ("advisory", AdvisoryMode, list(self.advisory.values())),
        ):
            for space in spaces:
                for owner, bits in space.held.items():
                    for mode in modes:
                        if bits >> mode & 1:
                            yield Lock(kind, space.what[1:], owner, mode.name, True)
                for request in space.queue:
                    yield Lock(kind, space.what[1:], request.owner, modes(request.claim).name, False)
        for rows in [*self.rows.values(), *self.keys.values()]:
            yield from _row_locks(rows)


def _row_locks(space: RowLocks) -> Iterator[Lock]:
    kind, *what = space.what
    counts: dict[tuple[Owner, int], int] = {}
    for held in space.single.values():
        for owner, mode in {held: int(RowMode.UPDATE)}.items() if isinstance(held, Owner) else held.items():
            counts[owner, mode] = counts.get((owner, mode), 0) + 1
    for bulk in space.bulks:
        counts[bulk.owner, bulk.mode] = counts.get((bulk.owner, bulk.mode), 0) + len(bulk.ids)
    for (owner, mode), rows in counts.items():
        yield Lock(kind, tuple(what), owner, RowMode(mode).name, True, rows)
    for request in space.queue:
        claim: RowClaim = request.claim
        yield Lock(kind, tuple(what), request.owner, RowMode(claim.mode).name, False, len(claim.ids))


def _before(space: Space, owner: Owner, claim: Any, last: Request | None = None) -> list[Request]:
    """The conflicting requests of others in the queue, before `last`."""
    found: list[Request] = []
    for request in space.queue:
        if request is last:
            break
        if request.owner.party is not owner.party and space.goes_behind(claim, request.claim):
            found.append(request)
    return found


def _edges(request: Request) -> list[tuple[Owner, Request | None]]:
    """The parties that a request waits for; with the request of theirs that only stands before it."""
    if request.awaited is not None:
        return [(request.awaited.party, None)]
    space, owner = request.space, request.owner
    assert space is not None
    hard = {holder.party: None for holder in space.holders_against(owner.party, request.claim)}
    edges: list[tuple[Owner, Request | None]] = [(party, None) for party in hard]
    for ahead in _before(space, owner, request.claim, request):
        if ahead.owner.party not in hard:
            edges.append((ahead.owner.party, ahead))
    return edges


def _cycle(start: Owner) -> list[tuple[Request, Request | None]] | None:
    """A way from a party back to itself: each request on it, and the request before it if the edge is soft."""
    request = start.waiting
    if request is None:
        return None
    seen = {start}
    path: list[tuple[Request, Request | None]] = []
    stack = [(request, iter(_edges(request)))]
    while stack:
        request, edges = stack[-1]
        for party, soft in edges:
            if party is start:
                return [*path, (request, soft)]
            if party in seen or party.waiting is None:
                continue
            seen.add(party)
            path.append((request, soft))
            stack.append((party.waiting, iter(_edges(party.waiting))))
            break
        else:
            stack.pop()
            if path:
                path.pop()
    return None
