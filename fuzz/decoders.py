"""`python -m fuzz.decoders [libFuzzer arguments] [corpus folder | crash file]`"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["zerodb_storage"]):
    from fuzz import decoder_cases

CORPUS = Path(__file__).resolve().parent / "corpus" / "decoders"


def one_input(data: bytes) -> None:
    decoder_cases.check(data)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    r = random.Random(seed)
    if r.random() < 0.3:
        return bytes(atheris.Mutate(data, max_size))
    return decoder_cases.mutated(data or r.choice(decoder_cases.seeds()), r)[:max_size]


def main() -> None:
    arguments = sys.argv[1:]
    if not any(not argument.startswith("-") for argument in arguments):
        CORPUS.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(decoder_cases.seeds()):
            (CORPUS / f"seed_{number:05}").write_bytes(data)
        arguments.append(str(CORPUS))
    atheris.Setup([sys.argv[0], "-max_len=8000", *arguments], one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
