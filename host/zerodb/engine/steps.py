"""A whole execution as one call of generated code.

Problem: each call gives Python's interpreter lock away and takes it back, which takes long while other threads compute:
a query of two pipelines is three to six calls.

Idea: a list of steps in linear memory, which the module's entry `steps` runs (abi.STEP_*): for each pipeline its start,
its morsels in stretches of neighbours, its finish. How many morsels a pipeline has over what earlier ones made is read
when its turn comes.

Limits: for one thread, chunks that are all resident, code that will not be replaced, and no loops. What is seen between
two calls only - the time of a pipeline - is not known.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence

from zerodb.engine.pool import Array
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.program import MorselSource, Program

MOST_STEPS = 48
STEPS_BYTES = (MOST_STEPS + 1) * abi.STEP_BYTES
_Step = tuple[int, int, int, int, bool]  # entry, first morsel, count, address of the count, whether DONE skips the rest


def steps(program: Program, numbers: Mapping[str, int], query: int, chunks: Sequence[Array | range]) -> list[_Step]:
    """Those of a program whose query block is at `query`; `chunks` are its scans'."""
    found: list[_Step] = []
    for pipeline in program.pipelines:
        if pipeline.start is not None:
            found.append((numbers[pipeline.start], 0, 1, 0, False))
        entry = numbers[pipeline.function]
        match pipeline.source:
            case MorselSource.SCAN:
                assert pipeline.scan is not None
                found += ((entry, first, count, 0, True) for first, count in _stretches(chunks[pipeline.scan]))
            case MorselSource.COUNTER:
                assert pipeline.count_offset is not None
                found.append((entry, 0, 0, query + pipeline.count_offset, True))
            case MorselSource.SINGLE:
                found.append((entry, 0, 1, 0, True))
        if pipeline.finish is not None:
            found.append((numbers[pipeline.finish], 0, 1, 0, False))
    return found


def _stretches(chunks: Array | range) -> Iterator[tuple[int, int]]:
    """(first, count) of neighbours."""
    if isinstance(chunks, range):
        if chunks:
            yield chunks.start, len(chunks)
        return
    first = count = 0
    for chunk in chunks.tolist():
        if count and chunk == first + count:
            count += 1
            continue
        if count:
            yield first, count
        first, count = chunk, 1
    if count:
        yield first, count


def packed(found: Sequence[_Step], address: int) -> bytes:
    """The steps as they lie at `address`."""
    words: list[int] = []
    for place, (entry, first, count, count_at, skips) in enumerate(found):
        following = place + 1
        while skips and following < len(found) and found[following][0] == entry:
            following += 1
        words += (entry, first, count, count_at, address + following * abi.STEP_BYTES)
    words.append(-1 & 0xFFFFFFFF)
    return struct.pack(f"<{len(words)}I", *words)
