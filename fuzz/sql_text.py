"""`python -m fuzz.sql_text [libFuzzer arguments] [corpus folder | crash file]`"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["zerodb_compiler"]):
    from fuzz import sql_cases

CORPUS = Path(__file__).resolve().parent / "corpus" / "sql"


def one_input(data: bytes) -> None:
    sql_cases.check(data.decode("utf-8", errors="replace"))


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Mostly by tokens, sometimes by libFuzzer's own byte mutations."""
    r = random.Random(seed)
    if r.random() < 0.1:
        return bytes(atheris.Mutate(data, max_size))
    text = data.decode("utf-8", errors="replace") if r.random() < 0.9 else r.choice(sql_cases.seeds())
    return sql_cases.mutated(text, r).encode()[:max_size]


def write_seeds(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(sql_cases.seeds()):
        (folder / f"seed_{number:05}").write_text(text)


def main() -> None:
    arguments = sys.argv[1:]
    if not any(not argument.startswith("-") for argument in arguments):
        write_seeds(CORPUS)
        arguments.append(str(CORPUS))
    sql_cases.view()
    atheris.Setup([sys.argv[0], "-max_len=4000", *arguments], one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
