"""Checks histories of transactions that write registers and read them.

Every value is written once, so a read names the write that it saw. The order of the writes themselves is not seen, only
parts of it: the first value comes before all others, and a transaction that read a value and then wrote the register
put its own after that one. A dependency is drawn only where this order is known, so what is found is there, but not all
that is there is found; the lists (list_append.py) see more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tests.histories.graph import RW, WR, WW, Anomaly, Graph, add_real_time, components, cycles
from tests.histories.model import History, Key, Outcome, ReadRegister, Transaction, Value, Write, short

Version = Value | None  # None: what the register held in the beginning


def check(transactions: History) -> list[Anomaly]:
    writers = _writers(transactions)
    seen = {
        (operation.key, operation.value)
        for transaction in transactions
        if transaction.outcome is Outcome.OK
        for operation in transaction.operations
        if isinstance(operation, ReadRegister)
    }
    committed = [
        found
        for found in transactions
        if found.outcome is Outcome.OK
        or (
            found.outcome is Outcome.INFO
            and any(isinstance(done, Write) and (done.key, done.value) in seen for done in found.operations)
        )
    ]
    anomalies = [*_own(committed), *_values(committed, writers)]
    after = _orders(committed)
    anomalies += _clashes(after)
    anomalies += _lost_updates(committed)
    graph = dependencies(committed, after, writers)
    add_real_time(graph, [(found.number, found.start, found.end) for found in committed])
    return anomalies + cycles(graph)


def _writers(transactions: History) -> dict[tuple[Key, Version], Transaction]:
    writers: dict[tuple[Key, Version], Transaction] = {}
    for transaction in transactions:
        for operation in transaction.operations:
            if isinstance(operation, Write):
                place = (operation.key, operation.value)
                assert place not in writers, f"{short(operation)} is there twice: no history for this checker"
                writers[place] = transaction
    return writers


def _own(transactions: Iterable[Transaction]) -> list[Anomaly]:
    found = []
    for transaction in transactions:
        known: dict[Key, tuple[Version, bool]] = {}  # with whether it is its own
        for operation in transaction.operations:
            if isinstance(operation, Write):
                known[operation.key] = (operation.value, True)
            elif isinstance(operation, ReadRegister):
                value, own = known.get(operation.key, (operation.value, False))
                if value != operation.value:
                    name = "own write not seen" if own else "internal"
                    found.append(Anomaly(name, f"{transaction} at {short(operation)}"))
                known[operation.key] = (operation.value, own)
    return found


def _values(transactions: Iterable[Transaction], writers: dict[tuple[Key, Version], Transaction]) -> list[Anomaly]:
    found = []
    for transaction in transactions:
        for operation in transaction.operations:
            if not isinstance(operation, ReadRegister) or operation.value is None:
                continue
            text = f"{transaction} at {short(operation)}"
            writer = writers.get((operation.key, operation.value))
            if writer is None:
                found.append(Anomaly("unknown value", text))
            elif writer.outcome is Outcome.FAIL:
                found.append(Anomaly("G1a", f"{text}: {writer} was rolled back"))
            elif writer is not transaction and _last(writer, operation.key) != operation.value:
                found.append(Anomaly("G1b", f"{text}: {writer} had not written its last"))
    return found


def _last(transaction: Transaction, key: Key) -> Value:
    return [found.value for found in transaction.operations if isinstance(found, Write) and found.key == key][-1]


def _effects(transaction: Transaction) -> tuple[dict[Key, Version], dict[Key, Value]]:
    """What it read first of each register before it wrote it, and the last it wrote."""
    read: dict[Key, Version] = {}
    written: dict[Key, Value] = {}
    for operation in transaction.operations:
        if isinstance(operation, ReadRegister) and operation.key not in written:
            read[operation.key] = operation.value  # the last one before the write: that is what was overwritten
        elif isinstance(operation, Write):
            written[operation.key] = operation.value
    return read, written


def _orders(transactions: Iterable[Transaction]) -> dict[Key, dict[Version, set[Version]]]:
    """By key, the versions that are known to come after a version, though not at once after it."""
    after: dict[Key, dict[Version, set[Version]]] = defaultdict(lambda: defaultdict(set))
    for transaction in transactions:
        read, written = _effects(transaction)
        for key, value in written.items():
            after[key][None].add(value)
            if key in read:
                after[key][read[key]].add(value)
    return after


def _clashes(after: dict[Key, dict[Version, set[Version]]]) -> list[Anomaly]:
    """Versions that come before themselves."""
    found = []
    for key, following in after.items():
        number = {value: index for index, value in enumerate(following)}
        edges = {
            number[value]: [number.setdefault(other, len(number)) for other in others]
            for value, others in following.items()
        }
        for component in components(edges):
            if len(component) > 1:
                values = [value for value, index in number.items() if index in component]
                found.append(Anomaly("cyclic versions", f"key {key}: {values}"))
    return found


def _lost_updates(transactions: Iterable[Transaction]) -> list[Anomaly]:
    """Two that read the same version and both overwrote it."""
    found = []
    seen: dict[tuple[Key, Version], Transaction] = {}
    for transaction in transactions:
        read, written = _effects(transaction)
        for key in read.keys() & written.keys():
            other = seen.setdefault((key, read[key]), transaction)
            if other is not transaction:
                found.append(Anomaly("lost update", f"{other} and {transaction} at key {key}"))
    return found


def dependencies(
    transactions: Iterable[Transaction],
    after: dict[Key, dict[Version, set[Version]]],
    writers: dict[tuple[Key, Version], Transaction],
) -> Graph:
    """ww, wr and rw as far as they are known. A rw edge may lead past writes in between: that is one, too, by way of
    theirs."""
    graph = Graph()
    for key, following in after.items():
        for version, others in following.items():
            writer = writers.get((key, version))
            for other in others:
                if writer is not None:
                    graph.add(writer.number, writers[key, other].number, WW, key)
    for transaction in transactions:
        for operation in transaction.operations:
            if not isinstance(operation, ReadRegister):
                continue
            writer = writers.get((operation.key, operation.value))
            if writer is transaction:
                continue
            if writer is not None:
                graph.add(writer.number, transaction.number, WR, operation.key)
            for other in after[operation.key][operation.value]:
                graph.add(transaction.number, writers[operation.key, other].number, RW, operation.key)
    return graph
