"""Which windows of a query share a sort.

Rows sorted by the keys S serve a window if the first keys of S are its partition, in any order and direction, and its
order follows exactly. Windows with the most keys choose the sorts, the others join one where they fit; partition keys
of a sort are put so that a window with fewer of them finds its own in front.
"""

from __future__ import annotations

from collections.abc import Sequence

from zerodb_compiler.plan.logical import SortKey
from zerodb_compiler.plan.physical import WindowRun
from zerodb_compiler.plan.transform import same_key
from zerodb_compiler.plan.windows import WindowSpec


def window_runs(specs: Sequence[WindowSpec]) -> tuple[WindowRun, ...]:
    runs: list[tuple[list[SortKey], list[WindowSpec]]] = []
    for spec in sorted(specs, key=lambda spec: -(len(spec.partition) + len(spec.order))):
        for keys, served in runs:
            if serves(keys, spec):
                served.append(spec)
                break
        else:
            runs.append((_sort_of(spec, specs), [spec]))
    return tuple([WindowRun(tuple(keys), tuple(served)) for keys, served in runs])


def serves(keys: Sequence[SortKey], spec: WindowSpec) -> bool:
    parts = len(spec.partition)
    if {same_key(key.expression) for key in keys[:parts]} != {same_key(part) for part in spec.partition}:
        return False
    return [_identity(key) for key in keys[parts : parts + len(spec.order)]] == [_identity(key) for key in spec.order]


def _identity(key: SortKey) -> tuple[object, bool, bool]:
    return same_key(key.expression), key.descending, key.nulls_first


def _sort_of(spec: WindowSpec, specs: Sequence[WindowSpec]) -> list[SortKey]:
    """Partition keys that other windows have too come first, as another window's order begins where it can."""
    others = [other for other in specs if other is not spec]

    def shared(part: object) -> int:
        return -sum(any(same_key(key) == part for key in other.partition) for other in others)

    partition = sorted(spec.partition, key=lambda part: shared(same_key(part)))
    directions = {same_key(key.expression): key for other in others for key in other.order}
    keys = []
    for part in partition:
        like = directions.get(same_key(part))
        keys.append(SortKey(part, False, False) if like is None else like)
    return keys + list(spec.order)
