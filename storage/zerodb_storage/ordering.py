"""Sorting rows by primary key, and finding duplicate keys, vectorised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zerodb_storage.values import Array, Form, Values, as_binary


def sort_keys(values: Values) -> list[Array]:
    """Arrays whose lexicographic order is the order of the values, most significant first. CODES must be text first."""
    match values.form:
        case Form.TEXT:
            import pyarrow.compute as pc  # 35 ms that a process without such keys need not spend

            return [pc.rank(as_binary(values), tiebreaker="dense").to_numpy().astype(np.int64)]
        case Form.WIDE:
            return [values.data[:, 1], values.data[:, 0].view(np.uint64)]
        case Form.INT | Form.FLOAT:
            return [values.data]
        case Form.CODES:
            raise AssertionError("codes have no order")


def sort_order(keys: Sequence[Array]) -> Array | None:
    """Row numbers in ascending order of the keys, stable; None if the rows are in order already."""
    if is_sorted(keys):
        return None
    return np.argsort(keys[0], kind="stable") if len(keys) == 1 else np.lexsort(tuple(reversed(keys)))


def is_sorted(keys: Sequence[Array]) -> bool:
    """Whether the rows are in ascending order (equal neighbours allowed)."""
    undecided = np.ones(max(len(keys[0]) - 1, 0), np.bool_)
    for key in keys:
        before, after = key[:-1], key[1:]
        if np.any(undecided & (before > after)):
            return False
        undecided &= before == after
    return True


def first_duplicate(keys: Sequence[Array]) -> int | None:
    """Of rows in ascending order, one that equals its predecessor, or None."""
    equal = np.ones(max(len(keys[0]) - 1, 0), np.bool_)
    for key in keys:
        equal &= key[:-1] == key[1:]
    found = np.flatnonzero(equal)
    return int(found[0]) + 1 if len(found) else None
