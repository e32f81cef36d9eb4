"""Components as machine code: compiled once, then fetched.

    bytes --SHA-256--> in this process? --no--> in the cache directory? --no--> Cranelift (6 s for a Python guest)

A Python guest's code is 60 MB, which wasmtime maps from a file in milliseconds and would take long to take out of a
database; and guests need not belong to one. So code is kept in files in the user's cache directory, not in the
database's store as that of queries is (engine/cache.py). As there, nothing is run because it is there: a file's name
carries a hash of its content keyed with the user's secret, and is checked before the file is mapped; the directory
belongs to the user alone. The files used longest ago go when there are more than 2 GB.

There are two engines, since code that counts fuel is compiled apart.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import hmac
import os
import threading
from collections import OrderedDict
from functools import cache
from pathlib import Path

import wasmtime
from wasmtime import _ffi as ffi
from wasmtime.component import Component

from zerodb.components.limits import Watch
from zerodb.engine.cache import processor, user_secret
from zerodb.engine.tiers import MAX_WASM_STACK_BYTES, wasmtime_version
from zerodb_compiler.errors import error_for

# Part of every file's name: raise it when the configuration below changes.
CONFIGURATION = 1
IN_MEMORY = 32  # components of this process that are kept without being used
MOST_BYTES = 2 << 30
COMPONENT_PREAMBLE = b"\0asm\x0d\0\x01\0"


class ComponentEngine:
    """Thread-safe. Use `component_engine`."""

    def __init__(self, *, fuel: bool) -> None:
        config = wasmtime.Config()
        config.wasm_component_model = True
        config.epoch_interruption = True
        config.consume_fuel = fuel
        config.wasm_threads = False
        config.cranelift_opt_level = "speed"
        ffi.wasmtime_config_max_wasm_stack_set(config.ptr(), MAX_WASM_STACK_BYTES)
        self.counts_fuel = fuel
        self.engine = wasmtime.Engine(config)
        self.watch = Watch(self.engine)
        self._components: OrderedDict[bytes, Component] = OrderedDict()
        self._lock = threading.Lock()
        self._compiling = threading.Lock()
        atexit.register(self._components.clear)  # while wasmtime-py can still free them

    def load(self, data: bytes, name: str) -> Component:
        """The compiled component; 22P03 if the bytes are none. `name` is for errors."""
        if not data.startswith(COMPONENT_PREAMBLE):
            kind = "a core WebAssembly module" if data.startswith(b"\0asm\x01") else "not WebAssembly"
            raise error_for("22P03", f'"{name}" is not a component: it is {kind}')
        digest = hashlib.sha256(data).digest()
        found = self.kept(digest)
        if found is not None:
            return found
        with self._compiling:  # one at a time: it takes all processors
            found = self.kept(digest)
            if found is None:
                found = self._from_file(digest) or self._compile(data, digest, name)
                with self._lock:
                    self._components[digest] = found
                    if len(self._components) > IN_MEMORY:
                        self._components.popitem(last=False)
        return found

    def kept(self, digest: bytes) -> Component | None:
        """The component whose bytes have that SHA-256, if it is in memory."""
        with self._lock:
            found = self._components.get(digest)
            if found is not None:
                self._components.move_to_end(digest)
            return found

    def _compile(self, data: bytes, digest: bytes, name: str) -> Component:
        try:
            component = Component(self.engine, data)
        except wasmtime.WasmtimeError as error:
            message = str(error).splitlines()[0]
            raise error_for("22P03", f'"{name}" is not a valid component: {message}', hint=_cause(str(error))) from None
        with contextlib.suppress(OSError, wasmtime.WasmtimeError):
            self._to_file(digest, bytes(component.serialize()))
        return component

    # --- files --------------------------------------------------------------------------------------------------------
    def _stem(self, digest: bytes) -> str:
        about = f"{CONFIGURATION} {wasmtime_version()} {self.counts_fuel} {processor()}".encode()
        return hashlib.blake2b(digest + about, digest_size=20, person=b"zerodb-component").hexdigest()

    def _from_file(self, digest: bytes) -> Component | None:
        folder, secret = cache_directory(), user_secret()
        if folder is None or secret is None:
            return None
        for path in folder.glob(f"{self._stem(digest)}-*.cwasm"):
            with contextlib.suppress(OSError, wasmtime.WasmtimeError):
                code = path.read_bytes()
                signed = path.stem.partition("-")[2]
                if hmac.compare_digest(signed, _sign(secret, code)):
                    os.utime(path)
                    return Component.deserialize_file(self.engine, str(path))
        return None

    def _to_file(self, digest: bytes, code: bytes) -> None:
        folder, secret = cache_directory(), user_secret()
        if folder is None or secret is None:
            return
        partial = folder / f".{os.getpid()}.{threading.get_ident()}.partial"
        try:
            partial.write_bytes(code)
            partial.replace(folder / f"{self._stem(digest)}-{_sign(secret, code)}.cwasm")
        finally:
            partial.unlink(missing_ok=True)
        _keep_small(folder)


def _sign(secret: bytes, code: bytes) -> str:
    return hmac.new(secret, b"zerodb-component" + hashlib.sha256(code).digest(), "sha256").hexdigest()


def _cause(text: str) -> str | None:
    lines = [line.strip() for line in text.splitlines()[1:] if line.strip() and "Caused by" not in line]
    return lines[-1] if lines else None


def _keep_small(folder: Path) -> None:
    """Deletes the files used longest ago while there are too many."""
    found = sorted(((path.stat(), path) for path in folder.glob("*.cwasm")), key=lambda item: item[0].st_mtime)
    total = sum(stat.st_size for stat, _ in found)
    for stat, path in found[:-1]:
        if total <= MOST_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= stat.st_size


def cache_directory() -> Path | None:
    """Where code is kept; None if there is no directory that is the user's alone."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(base) / "zerodb" / "components"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError:
        return None
    return folder if about.st_uid == os.getuid() and not about.st_mode & 0o022 else None


@cache
def component_engine(*, fuel: bool = False) -> ComponentEngine:
    """The process's engine for components."""
    return ComponentEngine(fuel=fuel)
