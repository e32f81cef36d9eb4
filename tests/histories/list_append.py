"""Checks histories of transactions that append to lists and read them.

Every element is appended once, so a list says in which order its elements were written: one read gives the order of
all writes before it, and the dependencies follow without guessing. That is what makes this the sharpest of the
histories (Kingsbury, Alvaro, VLDB 2020, section 3). A last transaction should read every list: what was appended and
committed and is in none then is lost.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable

from tests.histories.graph import RW, WR, WW, Anomaly, Graph, add_real_time, cycles
from tests.histories.model import Append, History, Key, Outcome, ReadList, Transaction, Value, short

Order = tuple[Value, ...]


def check(transactions: History, *, complete: bool = True) -> list[Anomaly]:
    """The anomalies of a history. `complete`: the last transaction read all lists after all others had ended."""
    writers = _writers(transactions)
    committed = [found for found in transactions if found.outcome is Outcome.OK or _was_seen(found, transactions)]
    anomalies = [*_own(committed), *_values(committed, writers)]
    orders, clashes = _orders(committed)
    anomalies += clashes
    if complete:
        anomalies += _lost(committed, orders)
    anomalies += _lost_updates(committed)
    graph = dependencies(committed, orders, writers)
    add_real_time(graph, [(found.number, found.start, found.end) for found in committed])
    return anomalies + cycles(graph)


def _was_seen(transaction: Transaction, transactions: History) -> bool:
    """Whether somebody read what a transaction wrote of which nobody knows whether it committed."""
    if transaction.outcome is not Outcome.INFO:
        return False
    wrote = {(found.key, found.value) for found in transaction.operations if isinstance(found, Append)}
    return any(
        isinstance(read, ReadList) and not wrote.isdisjoint((read.key, value) for value in read.values)
        for other in transactions
        if other.outcome is Outcome.OK and other is not transaction
        for read in other.operations
    )


def _writers(transactions: History) -> dict[tuple[Key, Value], Transaction]:
    writers: dict[tuple[Key, Value], Transaction] = {}
    for transaction in transactions:
        for operation in transaction.operations:
            if isinstance(operation, Append):
                place = (operation.key, operation.value)
                assert place not in writers, f"{short(operation)} is there twice: no history for this checker"
                writers[place] = transaction
    return writers


def _own(transactions: Iterable[Transaction]) -> list[Anomaly]:
    """What a transaction must see of itself: its own appends, and (a snapshot) otherwise always the same."""
    found = []
    for transaction in transactions:
        known: dict[Key, Order] = {}
        appended: dict[Key, Order] = defaultdict(tuple)
        for operation in transaction.operations:
            if isinstance(operation, Append):
                appended[operation.key] += (operation.value,)
                if operation.key in known:
                    known[operation.key] += (operation.value,)
            elif isinstance(operation, ReadList):
                key, mine = operation.key, appended[operation.key]
                if mine and operation.values[-len(mine) :] != mine:
                    found.append(Anomaly("own write not seen", f"{transaction} at {short(operation)}"))
                elif key in known and known[key] != operation.values:
                    found.append(Anomaly("internal", f"{transaction} at {short(operation)}"))
                known[key] = operation.values
    return found


def _values(transactions: Iterable[Transaction], writers: dict[tuple[Key, Value], Transaction]) -> list[Anomaly]:
    """Reads of what nobody wrote, of what was rolled back (G1a), and of a transaction's middle (G1b)."""
    found = []
    for transaction in transactions:
        for operation in transaction.operations:
            if not isinstance(operation, ReadList):
                continue
            key, values = operation.key, operation.values
            text = f"{transaction} at {short(operation)}"
            if len(set(values)) != len(values):
                found.append(Anomaly("duplicate element", text))
            for value in values:
                writer = writers.get((key, value))
                if writer is None:
                    found.append(Anomaly("unknown value", f"{text}: nobody appended {value}"))
                elif writer.outcome is Outcome.FAIL:
                    found.append(Anomaly("G1a", f"{text}: {writer} was rolled back"))
            last = writers.get((key, values[-1])) if values else None
            if last is not None and last is not transaction and _last(last, key) != values[-1]:
                found.append(Anomaly("G1b", f"{text}: {last} had not appended its last"))
    return found


def _last(transaction: Transaction, key: Key) -> Value:
    """The last element that the transaction appends to the key."""
    return [found.value for found in transaction.operations if isinstance(found, Append) and found.key == key][-1]


def _orders(transactions: Iterable[Transaction]) -> tuple[dict[Key, Order], list[Anomaly]]:
    """The order of each key's elements: its longest read, of which every other must be a beginning."""
    reads: dict[Key, list[tuple[Order, Transaction]]] = defaultdict(list)
    for transaction in transactions:
        for operation in transaction.operations:
            if isinstance(operation, ReadList):
                reads[operation.key].append((operation.values, transaction))
    orders = {key: max((values for values, _ in found), key=len) for key, found in reads.items()}
    clashes = [
        Anomaly("incompatible order", f"key {key}: {values} in {reader}, and {orders[key]}")
        for key, found in reads.items()
        for values, reader in found
        if orders[key][: len(values)] != values
    ]
    return orders, clashes


def _lost(transactions: Iterable[Transaction], orders: dict[Key, Order]) -> list[Anomaly]:
    there = {key: set(order) for key, order in orders.items()}
    return [
        Anomaly("lost append", f"{short(operation)} of {transaction} is in no list")
        for transaction in transactions
        for operation in transaction.operations
        if isinstance(operation, Append) and operation.value not in there.get(operation.key, ())
    ]


def _lost_updates(transactions: Iterable[Transaction]) -> list[Anomaly]:
    """Two that read the same list first and both appended to it."""
    found = []
    seen: dict[tuple[Key, Order], Transaction] = {}
    for transaction in transactions:
        first: dict[Key, Order] = {}
        written: set[Key] = set()
        for operation in transaction.operations:
            if isinstance(operation, ReadList) and operation.key not in written:
                first.setdefault(operation.key, operation.values)
            elif isinstance(operation, Append):
                written.add(operation.key)
        for key in written & first.keys():
            other = seen.setdefault((key, first[key]), transaction)
            if other is not transaction:
                found.append(Anomaly("lost update", f"{other} and {transaction} at key {key}"))
    return found


def dependencies(
    transactions: Iterable[Transaction], orders: dict[Key, Order], writers: dict[tuple[Key, Value], Transaction]
) -> Graph:
    """ww, wr and rw between the committed transactions."""
    graph = Graph()
    following = {(key, value): after for key, order in orders.items() for value, after in itertools.pairwise(order)}
    for (key, value), after in following.items():
        if (key, value) in writers and (key, after) in writers:
            graph.add(writers[key, value].number, writers[key, after].number, WW, key)
    for transaction in transactions:
        mine = {(found.key, found.value) for found in transaction.operations if isinstance(found, Append)}
        for operation in transaction.operations:
            if not isinstance(operation, ReadList):
                continue
            key, values = operation.key, list(operation.values)
            while values and (key, values[-1]) in mine:
                values.pop()
            order = orders[key]
            if order[: len(values)] != tuple(values):
                continue  # reported already
            if values and (key, values[-1]) in writers:
                graph.add(writers[key, values[-1]].number, transaction.number, WR, key)
            if len(values) < len(order) and (key, order[len(values)]) in writers:
                graph.add(transaction.number, writers[key, order[len(values)]].number, RW, key)
    return graph
