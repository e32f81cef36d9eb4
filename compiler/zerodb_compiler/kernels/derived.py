"""What the host's compiler makes of a text at run time: programs of patterns and formats that are not constants.

A pattern that comes with each row is compiled by the host (`allocate` with ALLOCATE_DERIVED) once a different text:
its program is kept in a small table of the worker, found by the text's hash; an older one gives way. The programs
themselves live until the query ends, and so do the copies of the texts.

    entry: i64 hash | i32 text, length | i32 program, 0        (the least bit of the hash is always set: 0 is no entry)
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.kernels.hashing import hash_text
from zerodb_compiler.kernels.intrinsics import i32, load32, load64, memory_fill, ptr, store32, store64
from zerodb_compiler.kernels.memory import allocate, arena_allocate, copy_text_to_arena
from zerodb_compiler.kernels.text import equal_text

ENTRIES = 1024
ENTRY_BYTES = 24


def derived(worker: ptr, field: ptr, kind: i32, p: ptr, length: i32) -> ptr:
    """The program that the host's compiler number `kind` makes of a text; 0 if it cannot (the host keeps the error).
    `field` is the worker's place for its table, 0 at first."""
    table = load32(field)
    if table == 0:
        table = arena_allocate(worker, ENTRIES * ENTRY_BYTES)
        if table == 0:
            return 0
        memory_fill(table, 0, ENTRIES * ENTRY_BYTES)
        store32(field, table)
    key = hash_text(p, length) | 1
    entry = table + ((i32(key >> 1) & (ENTRIES - 1)) * ENTRY_BYTES)
    if load64(entry) == key and equal_text(load32(entry, 8), load32(entry, 12), p, length):
        return load32(entry, 16)
    kept = copy_text_to_arena(worker, p, length)
    if kept == 0:
        return 0
    store32(worker, kept, abi.WORKER_ERROR_TEXT)
    store32(worker, length, abi.WORKER_ERROR_TEXT + 4)
    made = allocate(worker, kind, abi.ALLOCATE_DERIVED)
    if made == 0:
        return 0
    store64(entry, key)
    store32(entry, kept, 8)
    store32(entry, length, 12)
    store32(entry, made, 16)
    return made
