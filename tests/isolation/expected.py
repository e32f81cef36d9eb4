"""Expected files of isolation specifications, cut into permutations; and the list of our known differences.

A specification may have several expected files (`NAME.out`, `NAME_1.out`, ...): a permutation is as expected if it is
as one of them says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_START = "\nstarting permutation:"


def permutations_of(text: str) -> tuple[str, list[str]]:
    """What stands before the first permutation, and the text of each of them."""
    head, *rest = text.split(_START)
    return head, [_START + part for part in rest]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a specification may print."""

    head: str
    alternatives: tuple[tuple[str, ...], ...]  # one list of permutations for each file

    def agrees(self, number: int, text: str) -> bool:
        return any(number < len(texts) and texts[number] == text for texts in self.alternatives)

    @property
    def count(self) -> int:
        return len(self.alternatives[0])


def read_expected(folder: Path, name: str) -> Expected:
    """The expected files of a specification. FileNotFoundError without any."""
    paths = [folder / f"{name}.out", *sorted(folder.glob(f"{name}_[0-9].out"))]
    read = [permutations_of(path.read_text()) for path in paths if path.exists()]
    if not read:
        raise FileNotFoundError(folder / f"{name}.out")
    return Expected(read[0][0], tuple(tuple(texts) for _, texts in read))


def title(text: str) -> str:
    """The steps of a printed permutation."""
    return text.removeprefix(_START).split("\n", 1)[0].strip()


def known_differences(path: Path) -> dict[str, set[str]]:
    """By specification, the permutations that DIFFERENCES.md lists: lines like "- `name`: `a1 b1 a2`", or
    "- `name`: all" for every permutation."""
    found: dict[str, set[str]] = {}
    for name, steps in re.findall(r"^- `([\w-]+)`: (all|`[^`]+`)", path.read_text(), re.M):
        found.setdefault(name, set()).add(steps.strip("`"))
    return found
