"""Checks histories of transactions that insert rows and look for them by a predicate: phantoms.

Rows are never changed and each is inserted once, so a query says of every row of its range whether it saw it (the
writer comes before) or not (the writer comes after: an anti-dependency on a predicate). Write skew over such queries is
what locking the rows that were found cannot prevent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tests.histories.graph import RW, WR, Anomaly, Graph, add_real_time, cycles
from tests.histories.model import History, Insert, Outcome, Scan, Transaction, Value, short

Row = tuple[int, Transaction]  # its group, and who inserted it


def check(transactions: History, *, complete: bool = True) -> list[Anomaly]:
    """The anomalies of a history. `complete`: the last transaction has found all rows."""
    rows = {
        operation.element: (operation.group, transaction)
        for transaction in transactions
        for operation in transaction.operations
        if isinstance(operation, Insert)
    }
    committed = [found for found in transactions if found.outcome is Outcome.OK]
    anomalies = [*_values(committed, rows), *_own(committed, rows)]
    if complete and committed:
        found = {element for scan in _scans(committed[-1]) for element in scan.elements}
        anomalies += [
            Anomaly("lost insert", f"{element} of {transaction}")
            for element, (_, transaction) in rows.items()
            if transaction.outcome is Outcome.OK and element not in found
        ]
    graph = dependencies(committed, rows)
    add_real_time(graph, [(found.number, found.start, found.end) for found in committed])
    return anomalies + cycles(graph)


def _scans(transaction: Transaction) -> Iterable[Scan]:
    return (found for found in transaction.operations if isinstance(found, Scan))


def _values(transactions: Iterable[Transaction], rows: dict[Value, Row]) -> list[Anomaly]:
    anomalies = []
    for transaction in transactions:
        for scan in _scans(transaction):
            text = f"{transaction} at {short(scan)}"
            by_writer: dict[int, set[Value]] = defaultdict(set)
            for element in scan.elements:
                if element not in rows or not scan.low <= rows[element][0] <= scan.high:
                    anomalies.append(Anomaly("unknown value", f"{text}: {element}"))
                    continue
                writer = rows[element][1]
                by_writer[writer.number].add(element)
                if writer.outcome is Outcome.FAIL:
                    anomalies.append(Anomaly("G1a", f"{text}: {writer} was rolled back"))
            for number, seen in by_writer.items():
                writer = rows[next(iter(seen))][1]
                if number != transaction.number and seen != _elements(writer, scan):
                    anomalies.append(Anomaly("G1b", f"{text}: only part of {writer}"))
    return anomalies


def _elements(transaction: Transaction, scan: Scan) -> set[Value]:
    """What the transaction inserts that the query should find."""
    return {
        found.element
        for found in transaction.operations
        if isinstance(found, Insert) and scan.low <= found.group <= scan.high
    }


def _own(transactions: Iterable[Transaction], rows: dict[Value, Row]) -> list[Anomaly]:
    """A transaction sees its own rows, and (a snapshot) of others' always the same."""
    anomalies = []
    for transaction in transactions:
        mine: set[tuple[int, Value]] = set()
        scans: list[Scan] = []
        for operation in transaction.operations:
            if isinstance(operation, Insert):
                mine.add((operation.group, operation.element))
            elif isinstance(operation, Scan):
                wanted = {element for group, element in mine if operation.low <= group <= operation.high}
                if not wanted <= operation.elements:
                    anomalies.append(Anomaly("own write not seen", f"{transaction} at {short(operation)}"))
                if any(_differ(operation, earlier, transaction, rows) for earlier in scans):
                    anomalies.append(Anomaly("internal", f"{transaction} at {short(operation)}"))
                scans.append(operation)
    return anomalies


def _differ(one: Scan, other: Scan, transaction: Transaction, rows: dict[Value, Row]) -> bool:
    """Whether two queries of one transaction saw different rows of others where their ranges overlap."""
    low, high = max(one.low, other.low), min(one.high, other.high)

    def seen(scan: Scan) -> set[Value]:
        known = {element: rows[element] for element in scan.elements if element in rows}
        return {
            element for element, (group, writer) in known.items() if low <= group <= high and writer is not transaction
        }

    return seen(one) != seen(other)


def dependencies(transactions: Iterable[Transaction], rows: dict[Value, Row]) -> Graph:
    graph = Graph()
    for transaction in transactions:
        for scan in _scans(transaction):
            for element, (group, writer) in rows.items():
                if writer.outcome is Outcome.FAIL or not scan.low <= group <= scan.high:
                    continue
                if element in scan.elements:
                    graph.add(writer.number, transaction.number, WR, group)
                else:
                    graph.add(transaction.number, writer.number, RW, group, predicate=True)
    return graph
