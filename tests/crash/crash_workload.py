"""Random transactions, and a model of what they leave behind, whatever order those of different slots commit in.

A slot is a thread of the killed process. Its transactions are numbered, follow from (seed, run, slot, number) alone,
and commit in that order; each puts its number into table `done`. What slots share they change in ways that commute
(transfers, appended list elements, names that one slot at a time holds, sequence values); all else has an owner. So the
set of committed numbers says exactly what must be in every table: nothing more, nothing less, nothing half.

    task(...)          the transaction of that number
    Task.operations    what it does, as plain data: `crash_process` performs it, `Model.apply` follows it
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

ACCOUNTS, BALANCE = 40, 1000
LISTS, NAMES = 12, 60
ITEMS = 2500  # keys of a slot in table items
IMPORT_ROWS = 1500  # of one batch
LEVELS = ("snapshot", "snapshot", "read committed", "serializable")

Operation = tuple[Any, ...]
Place = tuple[int, int, int]  # run, slot, number

SCHEMA = (
    "create table done (slot int, run int, n int, primary key (slot, run, n))",
    f"create table accounts (id int primary key, balance bigint not null check (balance > {-(10**9)}))",
    "create table lists (k int primary key, items text not null)",
    "create table claims (name text primary key, code bigint unique, slot int)",
    "create sequence ticket",
    "create table tickets (id bigint primary key default nextval('ticket'), slot int, run int, n int)",
    "create table items (slot int, k int, v bigint, s text, primary key (slot, k))",
    "create table spots (id bigint primary key, v bigint not null, s text)",
    "create table marks (slot int, run int, n int, s text, primary key (slot, run, n))",
    "create table counters (slot int primary key, run int not null, n int not null)",
    "create table parents (id int primary key, slot int)",
    "create table children (id int primary key, parent int not null references parents on delete cascade)",
    f"insert into accounts select g, {BALANCE} from generate_series(1, {ACCOUNTS}) g",
    f"insert into lists select g, '' from generate_series(1, {LISTS}) g",
)
SPOTS = 200  # keys of a slot in table spots
OWN_SCHEMA = "create table imports_{slot} (run int, n int, batch int, i int, primary key (run, n, i))"


@dataclass(frozen=True, slots=True)
class Task:
    place: Place
    kind: str  # transaction, rollback, import; auto, mark, count: one statement, an insert or update by key
    isolation: str
    operations: tuple[Operation, ...]


def task(seed: int, run: int, slot: int, number: int) -> Task:
    r = random.Random(f"{seed}.{run}.{slot}.{number}")
    place = (run, slot, number)
    kinds = ("transaction", "rollback", "auto", "import", "mark", "count")
    kind = r.choices(kinds, (66, 7, 8, 3, 10, 6))[0]
    if kind in ("mark", "count"):
        return Task(place, kind, "", ((kind,),))
    if kind == "import":
        return Task(place, kind, "", (("import", r.randint(1, 3)),))
    if kind == "auto":
        low = r.randrange(ITEMS)
        return Task(place, kind, "", (("auto", low, low + r.choice((0, 5, 500)), r.randint(-9, 9)),))
    operations = [_operation(r, slot, number) for _ in range(r.choice((1, 2, 2, 3, 5)))]
    if r.random() < 0.2:
        undone = tuple(_operation(r, slot, number) for _ in range(r.randint(1, 2)))
        operations.insert(r.randrange(len(operations) + 1), ("undone", undone))
    return Task(place, kind, r.choice(LEVELS), tuple(operations))


def _operation(r: random.Random, slot: int, number: int) -> Operation:
    low = r.randrange(ITEMS)
    match r.choices(range(13), (20, 14, 6, 3, 8, 10, 8, 8, 6, 3, 6, 18, 9))[0]:
        case 0:
            source, target = r.sample(range(1, ACCOUNTS + 1), 2)
            return ("move", source, target, r.randint(1, 50))
        case 1:
            return ("append", r.randint(1, LISTS))
        case 2:
            return ("claim", f"name {r.randrange(NAMES)}")
        case 3:
            return ("unclaim",)
        case 4:
            return ("tickets", r.choice((1, 1, 3, 40)))
        case 5:
            return ("put", tuple((k, r.randrange(100), f"s{number}") for k in r.sample(range(ITEMS), r.randint(1, 3))))
        case 6:
            return ("fill", low, low + r.choice((3, 60, 700)), number)
        case 7:
            return ("add", low, low + r.choice((0, 20, 900)), r.randint(-5, 5))
        case 8:
            return ("cut", low, low + r.choice((0, 20, 400)))
        case 9:
            return ("shift", low, low + r.choice((5, 100)), ITEMS * r.randint(1, 2))
        case 10:
            parent = slot * 1000 + r.randrange(20)
            return r.choice((("parent", parent, r.randint(1, 3)), ("orphan", parent)))
        case 11:
            spots = r.sample(range(SPOTS), r.choice((1, 2, 6)))
            return ("spots", tuple((k, r.choice((None, r.randrange(1000), r.randrange(10**12)))) for k in spots))
        case _:
            what = r.choice(("fresh", "more", "more", "truncate", "widen", "narrow", "index", "rename", "drop", "view"))
            return ("own", what, r.randrange(300), r.choice((1, 30, 250)), r.randrange(3), number)


@dataclass(slots=True)
class Own:
    """A slot's own table: its columns beside a and b, and its rows by a."""

    extra: list[str] = field(default_factory=list)
    defaults: dict[str, int] = field(default_factory=dict)
    rows: dict[int, tuple[Any, ...]] = field(default_factory=dict)


class Model:
    """What must be in the database."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.done: set[Place] = set()
        self.balances = dict.fromkeys(range(1, ACCOUNTS + 1), BALANCE)
        self.elements: dict[tuple[int, int], list[str]] = {}  # by list and slot, in order
        self.claims: dict[int, set[str]] = {slot: set() for slot in range(slots)}
        self.tickets: Counter[Place] = Counter()
        self.items: dict[int, dict[int, tuple[int, str]]] = {slot: {} for slot in range(slots)}
        self.spots: dict[int, tuple[int, str]] = {}
        self.marks: set[Place] = set()
        self.counters: dict[int, tuple[int, int]] = dict.fromkeys(range(slots), (0, 0))
        self.children: dict[int, set[int]] = {}  # by parent
        self.own: dict[int, Own | None] = dict.fromkeys(range(slots))
        self.views: dict[int, int | None] = dict.fromkeys(range(slots))

    def apply(self, done: Task) -> None:
        """A transaction that committed, after the earlier ones of its slot."""
        if done.kind == "mark":
            self.marks.add(done.place)
            return
        self.done.add(done.place)
        for operation in done.operations:
            self._apply(done.place, operation)

    def _apply(self, place: Place, operation: Operation) -> None:
        _, slot, number = place
        items = self.items[slot]
        match operation:
            case ("undone", _):
                pass
            case ("move", source, target, amount):
                self.balances[source] -= amount
                self.balances[target] += amount
            case ("append", k):
                self.elements.setdefault((k, slot), []).append(element(place))
            case ("claim", name):
                self.claims[slot].add(name)
            case ("unclaim",):
                self.claims[slot].clear()
            case ("tickets", count):
                self.tickets[place] += count
            case ("put", rows):
                items.update((k, (v, s)) for k, v, s in rows)
            case ("fill", low, high, value):
                items.update((k, (value, f"f{k}")) for k in range(low, high + 1))
            case ("add" | "auto", low, high, amount):
                self.items[slot] = {k: (v + amount if low <= k <= high else v, s) for k, (v, s) in items.items()}
            case ("cut", low, high):
                self.items[slot] = {k: row for k, row in items.items() if not low <= k <= high}
            case ("shift", low, high, by):
                kept = {k: row for k, row in items.items() if not low + by <= k <= high + by}
                self.items[slot] = {k + by if low <= k <= high else k: row for k, row in kept.items()}
            case ("spots", spots):
                for k, v in spots:
                    self.spots[spot(slot, k)] = (v or 0, f"v{v}")
                    if v is None:
                        del self.spots[spot(slot, k)]
            case ("parent", parent, count):
                self.children[parent] = {parent * 10 + i for i in range(count)}
            case ("orphan", parent):
                self.children.pop(parent, None)
            case ("own", "view", *_):
                self.views[slot] = number
            case ("own", what, low, count, column, value):
                self.own[slot] = _changed(self.own[slot], what, low, count, f"c{column}", value)
            case _:
                raise AssertionError(operation)


def spot(slot: int, k: int) -> int:
    return slot * 1_000_000 + k


def element(place: Place) -> str:
    """Of a list: who appended it."""
    return ".".join(map(str, place))


def _changed(own: Own | None, what: str, low: int, count: int, column: str, value: int) -> Own | None:
    if what == "drop":
        return None
    if own is None or what == "fresh":
        own = Own()
    match what:
        case "truncate":
            own.rows = {}
        case "fresh" | "more":
            added = tuple(own.defaults[name] for name in own.extra)
            own.rows.update((a, (a, f"b{a}", *added)) for a in range(low, low + count))
        case "widen" if column not in own.extra:
            own.extra.append(column)
            own.defaults[column] = value
            own.rows = {a: (*row, value) for a, row in own.rows.items()}
        case "narrow" if column in own.extra:
            at = own.extra.index(column)
            own.extra.remove(column)
            own.rows = {a: row[: 2 + at] + row[3 + at :] for a, row in own.rows.items()}
    return own
