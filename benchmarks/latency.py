"""Latencies by kind of operation: throughput, p50 and p99, beside each other for several peers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.measure import show


@dataclass(slots=True)
class Latencies:
    """Nanoseconds of each operation, by kind; `elapsed_s` is the time in which all of them were done."""

    nanoseconds: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    elapsed_s: float = 0.0
    retried: int = 0  # transactions that were run again

    def merge(self, others: Iterable[Latencies]) -> None:
        """Takes in what other threads measured in the same time."""
        for other in others:
            for kind, found in other.nanoseconds.items():
                self.nanoseconds[kind] += found
            self.retried += other.retried

    @property
    def kinds(self) -> list[str]:
        return list(self.nanoseconds)

    @property
    def count(self) -> int:
        return sum(len(found) for found in self.nanoseconds.values())

    @property
    def throughput(self) -> float:
        """Operations of all kinds a second."""
        return self.count / self.elapsed_s

    def percentile_us(self, kind: str, percent: float) -> float:
        return float(np.percentile(np.asarray(self.nanoseconds[kind]), percent)) / 1000


def compare(title: str, measured: Mapping[str, Latencies], kinds: Sequence[str]) -> None:
    """A line per kind of operation, with p50 and p99 of each peer, and one with the throughput of all. The ratios are
    the first peer's time by the second's, so less than 1 is quicker."""
    peers = list(measured)
    columns = ["", "count"]
    for peer in peers:
        columns += [f"{peer} p50 us", "p99 us"]
    columns += ["p50 ratio", "p99 ratio"] if len(peers) > 1 else []
    lines = []
    for kind in kinds:
        line = [kind, f"{len(measured[peers[0]].nanoseconds[kind]):,}"]
        points = [(found.percentile_us(kind, 50), found.percentile_us(kind, 99)) for found in measured.values()]
        for p50, p99 in points:
            line += [f"{p50:,.1f}", f"{p99:,.1f}"]
        if len(points) > 1:
            line += [f"{points[0][place] / points[1][place]:.2f}" for place in (0, 1)]
        lines.append(line)
    total = ["operations a second", f"{measured[peers[0]].count:,}"]
    for found in measured.values():
        total += [f"{found.throughput:,.0f}", ""]
    if len(peers) > 1:
        total += [f"{measured[peers[1]].throughput / measured[peers[0]].throughput:.2f}", ""]
    lines.append(total)
    show(title, columns, lines)
