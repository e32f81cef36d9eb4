"""Which records YCSB's operations name: uniform, zipfian and latest distributions.

Zipfian numbers are drawn as YCSB draws them, by the method of Gray et al., "Quickly Generating Billion-Record Synthetic
Databases" (SIGMOD 1994), with the constant 0.99, and scrambled by FNV-1a so that the popular records do not lie side by
side. "latest" is a zipfian distance from the newest record.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
DISTRIBUTIONS = ("uniform", "zipfian", "latest")
ZIPFIAN_CONSTANT = 0.99


def zipfian(random: np.random.Generator, items: int, count: int, theta: float = ZIPFIAN_CONSTANT) -> Array:
    """`count` numbers below `items`, 0 the most frequent."""
    zeta = float(np.sum(1.0 / np.arange(1, items + 1) ** theta))
    zeta_two = 1.0 + 0.5**theta
    alpha = 1.0 / (1.0 - theta)
    eta = (1.0 - (2.0 / items) ** (1.0 - theta)) / (1.0 - zeta_two / zeta)
    u = random.random(count)
    spread = (items * (eta * u - eta + 1.0) ** alpha).astype(np.int64)
    drawn = np.where(u * zeta < 1.0, 0, np.where(u * zeta < zeta_two, 1, spread))
    return np.minimum(drawn, items - 1)


def fnv(numbers: Array) -> Array:
    """FNV-1a over the eight bytes of each number, made positive, as YCSB's Utils.hash."""
    with np.errstate(over="ignore"):
        digests = np.full(len(numbers), 0xCBF29CE484222325, np.uint64)
        rest = numbers.astype(np.uint64)
        for _ in range(8):
            digests = (digests ^ (rest & np.uint64(0xFF))) * np.uint64(1099511628211)
            rest >>= np.uint64(8)
    positive: Array = np.abs(digests.view(np.int64)) & np.int64((1 << 63) - 1)
    return positive


def choose(random: np.random.Generator, distribution: str, records: Array) -> Array:
    """One record for each operation; `records` is how many there are when it runs."""
    if distribution == "uniform":
        return (random.random(len(records)) * records).astype(np.int64)
    most = int(records.max(initial=1))
    if distribution == "zipfian":
        return fnv(zipfian(random, most, len(records))) % records
    newest: Array = records - 1 - np.minimum(zipfian(random, most, len(records)), records - 1)
    return newest


def key_of(number: int) -> str:
    """YCSB's key of a record, in hashed order."""
    return f"user{int(fnv(np.array([number]))[0])}"


def keys_of(numbers: Array) -> list[str]:
    return [f"user{digest}" for digest in fnv(numbers).tolist()]
