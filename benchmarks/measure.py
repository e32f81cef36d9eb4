"""How everything here is timed: peers alternate in one process, median of the runs after a warm-up."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

RUNS = 7
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of each run, in order."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        return min(self.seconds)


def alternate(
    actions: Sequence[Callable[[], object]], runs: int = RUNS, warm_up: int = 2, clock: Clock = time.perf_counter
) -> list[Timing]:
    """Runs the actions in turn, so that what disturbs the machine disturbs all of them alike."""
    for _ in range(warm_up):
        for action in actions:
            action()
    seconds: list[list[float]] = [[] for _ in actions]
    gc.collect()
    for _ in range(runs):
        for i, action in enumerate(actions):
            began = clock()
            action()
            seconds[i].append(clock() - began)
    return [Timing(tuple(items)) for items in seconds]


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)
