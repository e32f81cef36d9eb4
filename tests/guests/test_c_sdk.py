"""The C SDK's allocator, as a core module."""

from __future__ import annotations

import random
from pathlib import Path

import wasmtime
from tests.guests.building import need_tools

from zerodb.guests.build import compile_c
from zerodb.guests.files import SDK

EXPORTS = """
#include "zerodb_types.h"
__attribute__((export_name("take"))) void *take(size_t bytes) { return zdb_allocate(bytes); }
__attribute__((export_name("give"))) void give(void *block) { zdb_release(block); }
"""


def test_blocks_do_not_overlap_and_are_used_again(tmp_path: Path) -> None:
    need_tools("c")
    (tmp_path / "exports.c").write_text(EXPORTS)
    compile_c([str(tmp_path / "exports.c"), str(SDK / "c" / "src" / "zerodb_memory.c")], tmp_path / "memory.wasm")
    store = wasmtime.Store()
    module = wasmtime.Module.from_file(store.engine, str(tmp_path / "memory.wasm"))
    exports = wasmtime.Instance(store, module, []).exports(store)
    memory, take, give = exports["memory"], exports["take"], exports["give"]
    resize = exports["cabi_realloc"]
    chance = random.Random(20261121)
    live: dict[int, bytes] = {}
    pages = []
    for round_ in range(4000):
        if live and chance.random() < 0.5:
            block = chance.choice(list(live))
            content = live.pop(block)
            assert memory.read(store, block, block + len(content)) == content
            if chance.random() < 0.3:
                wanted = chance.randrange(1, 5000)
                moved = resize(store, block, len(content), 8, wanted)
                kept = min(wanted, len(content))
                assert memory.read(store, moved, moved + kept) == content[:kept]
                live[moved] = content[:kept]
            else:
                give(store, block)
        else:
            size = chance.choice((1, 7, 8, 16, 17, 24, 33, 100, 1000, chance.randrange(1, 70_000)))
            block = take(store, size)
            assert block % 8 == 0
            live[block] = chance.randbytes(size)
            memory.write(store, live[block], block)
        if len(live) > 60:
            for block in list(live)[:50]:
                assert memory.read(store, block, block + len(live[block])) == live[block]
                give(store, block)
                del live[block]
        if round_ % 1000 == 999:
            pages.append(memory.size(store))
    assert pages[-1] <= pages[1] * 1.5  # what is freed is used again
    assert resize(store, 0, 0, 8, 0) == 8  # a list of no elements: no block
