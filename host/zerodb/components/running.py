"""`Connection.run_component`: programs that use a database, the world `guest` of the WIT package.

    db.run_component("app.wasm", ["--since", "2024"], timeout=10)      what its `run` answers; else GuestError

A guest gets an instance of its own, used once. Whatever ends it, its open transactions are rolled back and its
connections closed before the call returns.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wasmtime
from wasmtime.component import Component, Linker

from zerodb.components import vals
from zerodb.components.engine import ComponentEngine, component_engine
from zerodb.components.grants import DEFAULT, Grants
from zerodb.components.instance import HostFunction, Instance, Interface, add_interface
from zerodb.components.kv import KV
from zerodb.components.limits import Limits
from zerodb.components.query import QUERY, GuestSession
from zerodb.components.transaction import TRANSACTIONS
from zerodb.components.vals import NUMBERS, Err, lift, list_of, lower_string
from zerodb.errors import GuestError
from zerodb_compiler.errors import error_for

if TYPE_CHECKING:
    from zerodb.connection import Connection

_ARGUMENTS = list_of(lower_string)
NO_LIMITS = Limits()
_linkers: dict[tuple[ComponentEngine, bool], Linker] = {}
_linkers_lock = threading.Lock()


def guest_linker(engine: ComponentEngine, *, sleep: bool = False) -> Linker:
    """With everything that a guest may import."""
    with _linkers_lock:
        if (engine, sleep) not in _linkers:
            linker = Linker(engine.engine)
            linker.add_wasip2()
            if not sleep:
                _refuse_waiting(engine, linker)
            for interface in (QUERY, TRANSACTIONS, KV):
                add_interface(linker, interface)
            _linkers[engine, sleep] = linker
        return _linkers[engine, sleep]


_CLOCK = "wasi:clocks/monotonic-clock@0.2."
_VERSIONS = range(40)
_WAITING = ("subscribe-duration", "subscribe-instant")


def _refuse_waiting(engine: ComponentEngine, linker: Linker) -> None:
    """A guest that waits for a clock is in wasmtime's WASI, where nothing ends it: the functions that give clocks to
    wait for are replaced. Theirs have some version, which the refusal to define them twice tells."""
    probe = Linker(engine.engine)
    probe.add_wasip2()
    for version in _VERSIONS:
        try:
            with probe.root() as root, root.add_instance(f"{_CLOCK}{version}") as clock:
                clock.add_func(_WAITING[0], _no_waiting)
        except wasmtime.WasmtimeError:
            break
    else:
        raise AssertionError("this wasmtime has no monotonic clock")
    linker.allow_shadowing = True
    functions = {name: HostFunction(_no_waiting, (), (lift,), NUMBERS[vals.U64], fails=False) for name in _WAITING}
    add_interface(linker, Interface(f"{_CLOCK}{version}", {}, functions))
    linker.allow_shadowing = False


def _no_waiting(*_: object) -> None:
    raise error_for("42501", "permission denied to wait", hint='the guest was not granted "wasi:sleep"')


def read_component(file: str | Path) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise error_for("58P01", f'cannot read "{file}": {error.strerror}') from None


# By path, inode, size and time of change: the SHA-256 of files that were read. Hashing 18 MB takes longer than a run.
_digests: dict[tuple[str, int, int, int], bytes] = {}
_MOST_DIGESTS = 256


def _load_file(engine: ComponentEngine, file: str | Path, name: str) -> Component:
    try:
        about = os.stat(file)
    except OSError as error:
        raise error_for("58P01", f'cannot read "{file}": {error.strerror}') from None
    key = (os.path.abspath(file), about.st_ino, about.st_size, about.st_mtime_ns)
    digest = _digests.get(key)
    found = None if digest is None else engine.kept(digest)
    if found is not None:
        return found
    data = read_component(file)
    component = engine.load(data, name)
    if len(_digests) >= _MOST_DIGESTS:
        _digests.clear()
    _digests[key] = hashlib.sha256(data).digest()
    return component


def run_component(
    connection: Connection,
    file: str | Path | bytes,
    arguments: Sequence[str],
    *,
    grants: Grants = DEFAULT,
    limits: Limits = NO_LIMITS,
    name: str | None = None,
) -> str:
    """What `Connection.run_component` does."""
    name = name or ("guest" if isinstance(file, bytes) else Path(file).stem)
    engine = component_engine(fuel=limits.fuel is not None)
    component = engine.load(file, name) if isinstance(file, bytes) else _load_file(engine, file, name)
    session = GuestSession(connection, grants)
    linker = guest_linker(engine, sleep=grants.sleep)
    instance = Instance(
        engine,
        linker,
        component,
        name,
        limits,
        grants.wasi(),
        own_output=grants.stdio,
        owner=session,
        interrupt=session.interrupt,
    )
    connection._guests.add(instance)
    try:
        run = instance.export("run")
        if run is None:
            raise error_for("22P03", f'"{name}" is no guest: it does not export "run"')
        answer: Any = run([_ARGUMENTS], [list(arguments)])
    finally:
        connection._guests.discard(instance)
        instance.close()
    if isinstance(answer, Err):
        raise GuestError(str(answer.value))
    return str(answer.value)
