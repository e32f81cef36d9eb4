"""The bytes of WebAssembly modules that functions are made of: each once, under its digest, while a function names it.

A catalog object of kind "function" names its module (`digest`, SHA-256 in hexadecimal). A transaction that makes such
an object brings the bytes along; the commit that gives a digest its first function writes them, the one that takes the
last away deletes them. So nothing counts references: the catalog does.

Limits: a statement over an older snapshot that has not loaded its function yet, while another transaction drops it,
finds the bytes gone (`read` gives None).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from zerodb_storage import keys, records
from zerodb_storage.kv import Batch, KeyValueStore

FUNCTION = "function"


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digests(objects: Iterable[tuple[tuple[str, str, str], Any]]) -> Iterator[str]:
    """The modules that catalog objects name."""
    for (kind, _, _), data in objects:
        if kind == FUNCTION and data is not None and data.get("digest"):
            yield data["digest"]


class PendingModules:
    """Bytes that open transactions have brought along, by digest. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[bytes, int]] = {}

    def hold(self, digest: str, content: bytes) -> None:
        with self._lock:
            _, count = self._held.get(digest, (content, 0))
            self._held[digest] = content, count + 1

    def release(self, held: Iterable[str]) -> None:
        with self._lock:
            for digest in held:
                content, count = self._held.pop(digest)
                if count > 1:
                    self._held[digest] = content, count - 1

    def get(self, digest: str) -> bytes | None:
        found = self._held.get(digest)
        return None if found is None else found[0]


def read(store: KeyValueStore, digest: str) -> bytes | None:
    """The bytes of a stored module. XX001 if they are damaged."""
    key = keys.module(bytes.fromhex(digest))
    value = store.get(key)
    return None if value is None else bytes(records.unseal(key, value))


def plan(
    batch: Batch,
    before: Mapping[tuple[str, str, str], Any],
    after: Mapping[tuple[str, str, str], Any],
    changed: Mapping[tuple[str, str, str], Any],
    brought: Mapping[str, bytes],
) -> None:
    """Adds to a commit's batch the modules that it writes and deletes. `changed` are the objects that it puts (or, with
    None, drops)."""
    if not any(kind == FUNCTION for kind, _, _ in changed):
        return
    old, new = set(digests(before.items())), set(digests(after.items()))
    for digest in sorted(new - old):
        key = keys.module(bytes.fromhex(digest))
        batch.put(key, records.seal(key, brought[digest]))
    for digest in sorted(old - new):
        batch.delete(keys.module(bytes.fromhex(digest)))


def problem(key: bytes, value: bytes) -> str | None:
    """What `check` finds wrong with a stored module. XX001 if it is damaged."""
    found = hashlib.sha256(records.unseal(key, value)).digest()
    return None if found == key[1:] else f"its bytes have another digest ({found.hex()[:16]})"
