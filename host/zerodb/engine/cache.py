"""The module cache: compiled programs in memory, machine code in the database.

In memory: least recently used, by the caller's key (plan shape + table layouts). On disk: serialized artifacts of the
optimised code, in the bytes store that the storage offers, by a hash of the WASM and of everything that machine code
depends on, so that a second process skips compilation. (Winch compiles in less time than an artifact takes to fetch.)

Machine code from a database file must not be trusted merely because it is there: an artifact carries a keyed hash
(BLAKE2b) whose key is a secret of this user on this machine, outside any database. What does not verify is compiled
again. Without a secret nothing is persisted.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import platform
import threading
from collections import OrderedDict
from collections.abc import Hashable
from functools import cache
from pathlib import Path
from typing import Protocol

import wasmtime
import zstandard

from zerodb.engine.program import CompiledProgram
from zerodb.engine.tiers import Tier, wasmtime_version

# Part of every artifact's key: raise it when the engine's configuration or the host's ABI changes.
ENGINE_VERSION = 1
_DIGEST_BYTES = 32
DEFAULT_PROGRAMS = 256


class BlobStore(Protocol):
    """Where artifacts are kept; zerodb_storage.Database is one."""

    def get_blob(self, key: bytes) -> bytes | None: ...
    def put_blob(self, key: bytes, value: bytes) -> None: ...


@cache
def processor() -> str:
    """What machine code may depend on: architecture and the CPU's features."""
    features = ""
    try:
        with open("/proc/cpuinfo") as info:
            features = next((line for line in info if line.startswith(("flags", "Features"))), "")
    except OSError:
        pass
    return f"{platform.machine()} {platform.processor()} {features}"


def user_secret() -> bytes | None:
    """The secret that artifacts of this user are signed with; made on first use. None if it cannot be kept."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    path = Path(state) / "zerodb" / "artifact-key"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            secret = path.read_bytes()
            return secret if len(secret) == _DIGEST_BYTES else None
        with os.fdopen(descriptor, "wb") as file:
            secret = os.urandom(_DIGEST_BYTES)
            file.write(secret)
        return secret
    except OSError:
        return None


class ModuleCache:
    def __init__(self, blobs: BlobStore | None, secret: bytes | None, programs: int = DEFAULT_PROGRAMS) -> None:
        self._blobs = blobs if secret else None
        self._secret = secret or b""
        self._programs: OrderedDict[Hashable, CompiledProgram] = OrderedDict()
        self._limit = programs
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> CompiledProgram | None:
        with self._lock:
            found = self._programs.get(key)
            if found is not None:
                self._programs.move_to_end(key)
            return found

    def put(self, key: Hashable, compiled: CompiledProgram) -> CompiledProgram:
        """Keeps the program; if another thread was quicker, gives that one's."""
        dropped = None
        with self._lock:
            found = self._programs.setdefault(key, compiled)
            self._programs.move_to_end(key)
            if len(self._programs) > self._limit:
                dropped = self._programs.popitem(last=False)
        del dropped
        return found

    def clear(self) -> None:
        with self._lock:
            programs, self._programs = self._programs, OrderedDict()
        programs.clear()

    def _artifact_key(self, wasm: bytes, tier: Tier) -> bytes:
        about = f"{ENGINE_VERSION} {wasmtime_version()} {tier.name} {processor()}".encode()
        return b"artifact/" + hashlib.blake2b(wasm, digest_size=_DIGEST_BYTES, person=b"zerodb-wasm").digest() + \
            hashlib.blake2b(about, digest_size=8).digest()  # fmt: skip

    def load(self, engine: wasmtime.Engine, wasm: bytes, tier: Tier) -> wasmtime.Module | None:
        """The module from its stored artifact, if there is one that we made ourselves."""
        blobs = self._blobs  # another thread may give it up at any time
        if blobs is None:
            return None
        key = self._artifact_key(wasm, tier)
        stored = blobs.get_blob(key)
        if stored is None or len(stored) <= _DIGEST_BYTES:
            return None
        signature, payload = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        if not hmac.compare_digest(signature, self._sign(key, payload)):
            return None
        try:
            return wasmtime.Module.deserialize(engine, zstandard.ZstdDecompressor().decompress(payload))
        except (wasmtime.WasmtimeError, zstandard.ZstdError):
            return None

    def store(self, module: wasmtime.Module, wasm: bytes, tier: Tier) -> None:
        """Keeps the artifact. A store that cannot write (read only, full, closed) is no reason for a query to fail."""
        blobs = self._blobs
        if blobs is None:
            return
        key = self._artifact_key(wasm, tier)
        payload = zstandard.ZstdCompressor(level=1).compress(bytes(module.serialize()))
        try:
            blobs.put_blob(key, self._sign(key, payload) + payload)
        except Exception:
            self._blobs = None

    def _sign(self, key: bytes, payload: bytes) -> bytes:
        return hashlib.blake2b(key + payload, digest_size=_DIGEST_BYTES, key=self._secret).digest()
