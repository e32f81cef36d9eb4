"""What locks are held on: one object with modes (a table, an advisory number), or the many rows or keys of a table.

A *space* knows who holds what of it, and the requests that wait for it in the order they came. Rows are held one by one
in a dictionary (what point changes and small statements do), or as a whole array of ids per statement, which costs the
same for a million rows as for a hundred until somebody else wants rows of that table, too.

A space decides nothing: `lock_table.LockTable` asks it who is in the way, and tells it what is granted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np

from zerodb_storage.lock_modes import ROW_CONFLICTS, RowMode, TableMode
from zerodb_storage.values import Array, sorted_distinct

SMALL = 64  # as many rows are locked one by one
_MANY = 1000
_BITMAP_SPARSENESS = 16  # ids are compared as bitmaps if at least one in so many numbers is there


class Owner:
    """Who holds locks: a transaction, or a session. The owners of one `party` are never in each other's way, and only
    one of them waits at a time."""

    __slots__ = (
        "_cancelled",
        "_wake",
        "deadline_s",
        "lock_timeout_s",
        "log",
        "number",
        "party",
        "waiting",
        "watchers",
    )

    def __init__(self, number: int, party: Owner | None = None) -> None:
        self.number = number
        self.party: Owner = self if party is None else party
        self.log: list[Entry] = []  # what it holds, in the order of locking
        self.waiting: Request | None = None  # kept by the party's owner
        self.watchers: list[Request] = []  # who waits until it gives something up
        # The edge's (locks.py).
        self.lock_timeout_s: float | None = None
        self.deadline_s: float | None = None
        self._wake: Any = None
        self._cancelled = False

    def __repr__(self) -> str:
        return f"Owner({self.number})"


Entry: TypeAlias = "tuple[Space, Any, int]"  # where, what of it, and the mode + 1 held before (0: none)


class Ids:
    """A set of row ids or digests, ordered when that is needed first."""

    __slots__ = ("_ordered", "given")

    def __init__(self, given: Array) -> None:
        self.given = given
        self._ordered: Array | None = None

    def __len__(self) -> int:
        return len(self.given)

    @property
    def ordered(self) -> Array:
        if self._ordered is None:
            ids = self.given
            ascending = len(ids) < 2 or bool((ids[1:] > ids[:-1]).all())
            self._ordered = ids if ascending else sorted_distinct(ids)
        return self._ordered

    def clipped(self, low: int, high: int) -> Array:
        """Those from `low` to `high`, ascending."""
        ids = self.ordered
        begin, end = ids.searchsorted(low), ids.searchsorted(high, "right")
        return ids[int(begin) : int(end)]

    def has(self, id_: int) -> bool:
        ids = self.ordered
        at = int(ids.searchsorted(id_))
        return at < len(ids) and int(ids[at]) == id_

    def among(self, ids: Array) -> Array:
        """Per id of `ids`, whether it is in this set."""
        own = self.ordered
        if len(own) == 0:
            return np.zeros(len(ids), np.bool_)
        low, high = int(own[0]), int(own[-1])
        inside = (ids >= low) & (ids <= high)
        if high - low + 1 == len(own) or not inside.any():
            return inside
        at = np.minimum(own.searchsorted(ids), len(own) - 1)
        return np.asarray(own[at] == ids)

    def meets(self, other: Ids) -> bool:
        if len(self) == 0 or len(other) == 0:
            return False
        a, b = self.ordered, other.ordered
        low, high = max(int(a[0]), int(b[0])), min(int(a[-1]), int(b[-1]))
        if low > high:
            return False
        a, b = self.clipped(low, high), other.clipped(low, high)
        if len(a) == 0 or len(b) == 0:
            return False
        span = high - low + 1
        if span in (len(a), len(b)):
            return True
        if span <= _BITMAP_SPARSENESS * (len(a) + len(b)):
            there = np.zeros(span, np.bool_)
            there[a - low] = True
            return bool(there[b - low].any())
        few, many = (a, b) if len(a) < len(b) else (b, a)
        at = np.minimum(many.searchsorted(few), len(many) - 1)
        return bool((many[at] == few).any())


@dataclass(eq=False, slots=True)
class RowClaim:
    ids: Ids
    mode: int


@dataclass(eq=False, slots=True)
class Request:
    """Who waits for what: a claim to a space, or (without a space) that `awaited` gives something up."""

    owner: Owner
    space: Space | None
    claim: Any
    awaited: Owner | None = None
    granted: bool = False


class ModeLocks:
    """One object that is held in modes: a table or an advisory lock. A claim is a mode."""

    __slots__ = ("conflicts", "held", "queue", "strong", "transient", "what")

    def __init__(self, what: tuple[Any, ...], conflicts: tuple[int, ...], transient: bool = False) -> None:
        self.what = what
        self.transient = transient  # whether it goes as soon as it is free
        self.conflicts = conflicts
        self.held: dict[Owner, int] = {}  # modes as bits
        self.strong = 0  # how many of the modes held conflict with ROW EXCLUSIVE
        self.queue: list[Request] = []

    @property
    def is_free(self) -> bool:
        return not self.held and not self.queue

    def has(self, owner: Owner, mode: int) -> bool:
        return bool(self.held.get(owner, 0) >> mode & 1)

    def holders_against(self, party: Owner, claim: int) -> list[Owner]:
        conflicts = self.conflicts[claim]
        return [owner for owner, modes in self.held.items() if modes & conflicts and owner.party is not party]

    def waits_for(self, request: Request, party: Owner) -> bool:
        """Whether a request waits for what somebody holds."""
        return any(holder.party is party for holder in self.holders_against(request.owner.party, request.claim))

    def goes_behind(self, claim: int, earlier: int) -> bool:
        """Whether a request has to wait for one that came earlier and waits itself."""
        return bool(self.conflicts[claim] >> earlier & 1)

    def grant(self, owner: Owner, claim: int) -> None:
        before = self.held.get(owner, 0)
        if not before >> claim & 1:
            self.held[owner] = before | 1 << claim
            self.strong += claim > TableMode.ROW_EXCLUSIVE
            self.transient |= claim == TableMode.ACCESS_EXCLUSIVE  # the table may have been dropped
            owner.log.append((self, 1 << claim, 0))

    def undo(self, owner: Owner, bit: int, _before: int) -> None:
        modes = self.held.pop(owner)
        self.strong -= bit >> TableMode.ROW_EXCLUSIVE > 1
        if modes != bit:
            self.held[owner] = modes & ~bit


@dataclass(eq=False, slots=True)
class Bulk:
    """The rows that one statement locked."""

    owner: Owner
    ids: Ids
    mode: int


@dataclass(eq=False, slots=True)
class RowLocks:
    """The rows of a table, or the keys of one of its unique constraints. A claim is a `RowClaim`."""

    what: tuple[Any, ...]
    # By id: the owner alone if it holds the row in mode UPDATE, else the modes by owner.
    single: dict[int, Owner | dict[Owner, int]] = field(default_factory=dict)
    bulks: list[Bulk] = field(default_factory=list)
    queue: list[Request] = field(default_factory=list)
    transient: ClassVar[bool] = False

    @property
    def is_free(self) -> bool:
        return not self.single and not self.bulks and not self.queue

    # --- who is in the way --------------------------------------------------------------------------------------------

    def holders_against(self, party: Owner, claim: RowClaim) -> list[Owner]:
        """Each once, in the order found."""
        found = {owner: None for _, owner in self._single_conflicts(party, claim)}
        for bulk in self._bulk_conflicts(party, claim.mode):
            if bulk.owner not in found and bulk.ids.meets(claim.ids):
                found[bulk.owner] = None
        return list(found)

    def blocked(self, party: Owner, claim: RowClaim) -> Array:
        """Per row of the claim, whether somebody else holds it or waits for it."""
        ids = claim.ids.given
        mask = np.zeros(len(ids), np.bool_)
        singles = [id_ for id_, _ in self._single_conflicts(party, claim)]
        if singles:
            mask |= Ids(np.array(singles, np.int64)).among(ids)
        for bulk in self._bulk_conflicts(party, claim.mode):
            mask |= bulk.ids.among(ids)
        for request in self.queue:
            behind = request.owner.party is not party and self._may_go_behind(claim.mode, request.claim.mode)
            if behind and not self.waits_for(request, party):
                mask |= request.claim.ids.among(ids)
        return mask

    def taken(self, party: Owner, mode: int) -> Array:
        """All rows that others hold or wait for in modes that conflict, in no order."""
        conflicts = ROW_CONFLICTS[mode]
        singles = [
            id_
            for id_ in self.single
            if any(conflicts >> held & 1 and owner.party is not party for owner, held in self._modes(id_))
        ]
        waiting = [request for request in self.queue if request.owner.party is not party]
        claims = [request.claim for request in waiting if not self.waits_for(request, party)]
        parts = [bulk.ids.given for bulk in self._bulk_conflicts(party, mode)]
        parts += [claim.ids.given for claim in claims if self._may_go_behind(mode, claim.mode)]
        return np.concatenate([np.array(singles, np.int64), *parts])

    @property
    def may_be_shared(self) -> bool:
        """Whether somebody holds any of it in another mode than UPDATE; True as well if that takes long to find out."""
        return (
            len(self.single) > _MANY
            or any(bulk.mode != RowMode.UPDATE for bulk in self.bulks)
            or any(not isinstance(held, Owner) for held in self.single.values())
        )

    def waits_for(self, request: Request, party: Owner) -> bool:
        """Whether a request waits for what somebody holds."""
        return any(holder.party is party for holder in self.holders_against(request.owner.party, request.claim))

    def goes_behind(self, claim: RowClaim, earlier: RowClaim) -> bool:
        """Whether a request has to wait for one that came earlier and waits itself. Who shares does not, as in
        PostgreSQL; who changes does, lest a change of many rows never find all of them free."""
        return self._may_go_behind(claim.mode, earlier.mode) and claim.ids.meets(earlier.ids)

    @staticmethod
    def _may_go_behind(mode: int, earlier: int) -> bool:
        return mode > RowMode.SHARE and bool(ROW_CONFLICTS[mode] >> earlier & 1)

    def holder(self, party: Owner | None, id_: int, mode: int) -> Owner | None:
        """Somebody who holds one row in a conflicting mode."""
        for owner, held in self._modes(id_):
            if ROW_CONFLICTS[mode] >> held & 1 and owner.party is not party:
                return owner
        for bulk in self.bulks:
            if ROW_CONFLICTS[mode] >> bulk.mode & 1 and bulk.owner.party is not party and bulk.ids.has(id_):
                return bulk.owner
        return None

    def _modes(self, id_: int) -> list[tuple[Owner, int]]:
        held = self.single.get(id_)
        if held is None:
            return []
        return [(held, RowMode.UPDATE)] if isinstance(held, Owner) else list(held.items())

    def _single_conflicts(self, party: Owner, claim: RowClaim) -> Iterator[tuple[int, Owner]]:
        if not self.single:
            return
        if len(claim.ids) <= SMALL:
            common: Any = [id_ for id_ in claim.ids.given.tolist() if id_ in self.single]
        elif len(self.single) <= len(claim.ids):
            known = np.fromiter(self.single, np.int64, len(self.single))
            common = known[claim.ids.among(known)].tolist()
        else:
            common = self.single.keys() & claim.ids.given.tolist()
        for id_ in common:
            for owner, held in self._modes(id_):
                if ROW_CONFLICTS[claim.mode] >> held & 1 and owner.party is not party:
                    yield id_, owner

    def _bulk_conflicts(self, party: Owner, mode: int) -> Iterator[Bulk]:
        for bulk in self.bulks:
            if ROW_CONFLICTS[mode] >> bulk.mode & 1 and bulk.owner.party is not party:
                yield bulk

    # --- holding ------------------------------------------------------------------------------------------------------

    def grant(self, owner: Owner, claim: RowClaim) -> None:
        mode = int(claim.mode)
        if len(claim.ids) <= SMALL:
            for id_ in claim.ids.given.tolist():
                self._grant_one(owner, id_, mode)
            return
        for bulk in self.bulks:  # a statement that runs again
            if bulk.owner is owner and bulk.mode >= mode and np.array_equal(bulk.ids.given, claim.ids.given):
                return
        bulk = Bulk(owner, claim.ids, mode)
        self.bulks.append(bulk)
        owner.log.append((self, bulk, 0))

    def _grant_one(self, owner: Owner, id_: int, mode: int) -> None:
        held = self.single.get(id_)
        if held is None:
            self.single[id_] = owner if mode == RowMode.UPDATE else {owner: mode}
            owner.log.append((self, id_, 0))
        elif held is owner:
            return
        else:
            modes = {held: int(RowMode.UPDATE)} if isinstance(held, Owner) else held
            before = modes.get(owner, -1)
            if before < mode:
                modes[owner] = mode
                self._put(id_, modes)
                owner.log.append((self, id_, before + 1))

    def _put(self, id_: int, modes: dict[Owner, int]) -> None:
        if not modes:
            del self.single[id_]
            return
        if len(modes) == 1:
            ((owner, mode),) = modes.items()
            self.single[id_] = owner if mode == RowMode.UPDATE else modes
        else:
            self.single[id_] = modes

    def undo(self, owner: Owner, what: Any, before: int) -> None:
        if type(what) is Bulk:
            self.bulks.remove(what)
            return
        held = self.single.get(what)
        if held is owner and not before:
            del self.single[what]
        elif held is not None:  # None: the row went with a merge
            modes = {held: int(RowMode.UPDATE)} if isinstance(held, Owner) else held
            if before:
                modes[owner] = before - 1
            else:
                modes.pop(owner, None)
            self._put(what, modes)

    # --- renumbering --------------------------------------------------------------------------------------------------

    def renumber(self, apply: Callable[[Array], Array]) -> None:
        """Rows have other ids now: `apply` gives them, -1 for rows that are no more."""
        for claim in [request.claim for request in self.queue]:
            claim.ids = _renumbered(claim.ids, apply)
        owners = {bulk.owner: None for bulk in self.bulks}
        for bulk in self.bulks:
            bulk.ids = _renumbered(bulk.ids, apply)
        if self.single:
            old = np.fromiter(self.single, np.int64, len(self.single))
            new = dict(zip(old.tolist(), apply(old).tolist(), strict=True))
            for id_ in self.single:
                owners.update(dict.fromkeys(owner for owner, _ in self._modes(id_)))
            self.single = {new[id_]: held for id_, held in self.single.items() if new[id_] >= 0}
            for owner in owners:
                owner.log[:] = [
                    (space, new.get(what, -1), before) if space is self and isinstance(what, int) else entry
                    for entry in owner.log
                    for space, what, before in (entry,)
                ]


def _renumbered(ids: Ids, apply: Callable[[Array], Array]) -> Ids:
    new = apply(ids.given)
    return Ids(new[new >= 0])


Space: TypeAlias = ModeLocks | RowLocks
