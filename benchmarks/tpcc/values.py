"""TPC-C's random values: NURand (clause 2.1.6), last names (4.3.2.3), strings of letters and of digits (4.3.2.2)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SYLLABLES = ("BAR", "OUGHT", "ABLE", "PRI", "PRES", "ESE", "ANTI", "CALLY", "ATION", "EING")
C_LAST_LOAD = 173  # the constants C of NURand; those of the run differ from the load's as clause 2.1.6.1 asks
C_LAST_RUN = 106
C_CUSTOMER = 259
C_ITEM = 7911


def last_name(number: int) -> str:
    return "".join(_SYLLABLES[int(digit)] for digit in f"{number:03}")


@dataclass(slots=True)
class Values:
    """Draws from one seeded generator; `pool` is cut into strings of letters, much quicker than drawing each."""

    random: random.Random
    pool: str = field(default="")

    def __post_init__(self) -> None:
        self.pool = "".join(self.random.choices(LETTERS, k=10_000))

    def between(self, low: int, high: int) -> int:
        """Uniform, both ends included."""
        return low + int(self.random.random() * (high - low + 1))

    def letters(self, low: int, high: int) -> str:
        count = self.between(low, high)
        start = int(self.random.random() * (len(self.pool) - count))
        return self.pool[start : start + count]

    def digits(self, count: int) -> str:
        return f"{int(self.random.random() * 10**count):0{count}}"

    def zip_code(self) -> str:
        return self.digits(4) + "11111"

    def data(self) -> str:
        """26 to 50 letters, of which one in ten holds ORIGINAL."""
        text = self.letters(26, 50)
        if self.random.random() >= 0.1:
            return text
        place = self.between(0, len(text) - 8)
        return text[:place] + "ORIGINAL" + text[place + 8 :]

    def nurand(self, a: int, low: int, high: int, constant: int) -> int:
        """NURand(A, x, y) = (((random(0, A) | random(x, y)) + C) % (y - x + 1)) + x."""
        return ((self.between(0, a) | self.between(low, high)) + constant) % (high - low + 1) + low

    def customer_id(self, customers: int) -> int:
        return self.nurand(1023, 1, customers, C_CUSTOMER)

    def item_id(self, items: int) -> int:
        return self.nurand(8191, 1, items, C_ITEM)

    def name(self, customers: int, constant: int = C_LAST_RUN) -> str:
        """A last name that some customer has: with fewer than 1000 customers a district, of the first ones."""
        return last_name(self.nurand(255, 0, min(customers, 1000) - 1, constant))
