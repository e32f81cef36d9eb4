"""Instances of the components that functions are made of: one for each thread that calls at the same time, kept.

All functions of one component share its instances.

What a function imports of zerosys:db is there: it sees what the statement sees that calls it (calling_session.py).
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

import wasmtime
from wasmtime.component import Component

from zerodb.components.engine import ComponentEngine, component_engine
from zerodb.components.instance import Instance
from zerodb.components.limits import Limits
from zerodb.components.running import guest_linker
from zerodb.components.vals import MalformedError
from zerodb.functions.body import FunctionError, stop_reason
from zerodb.functions.calling_session import CallingSession
from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage.modules import digest_of

if TYPE_CHECKING:
    from zerodb.database import Database
    from zerodb.view import View

LIMITS = Limits()


OWNER = CallingSession()


class Pool:
    """Thread-safe."""

    def __init__(self, engine: ComponentEngine, component: Component) -> None:
        self._engine, self._component = engine, component
        self._idle: list[Instance] = []
        self._lock = threading.Lock()
        self._closed = False
        weakref.finalize(self, _close_all, self._idle).atexit = False

    @contextlib.contextmanager
    def instance(self, name: str) -> Iterator[Instance]:
        """An instance of the calling thread alone. Errors of the component become FunctionErrors."""
        try:
            instance = self._take(name)
        except DatabaseError as error:
            raise FunctionError(error.message, error.sqlstate) from None
        instance.stopped = stop_reason()
        try:
            yield instance
        except DatabaseError as error:
            raise FunctionError(error.message.replace(f'guest "{name}" ', "it ", 1), error.sqlstate) from None
        except MalformedError as error:
            raise FunctionError(str(error), "22P03") from None
        finally:
            if instance.handles:
                instance.handles.close()
            self._give_back(instance)

    def _take(self, name: str) -> Instance:
        with self._lock:
            if self._idle:
                instance = self._idle.pop()
                instance.name = name
                return instance
        try:
            return Instance(
                self._engine,
                guest_linker(self._engine),
                self._component,
                name,
                LIMITS,
                wasmtime.WasiConfig(),
                owner=OWNER,
            )
        except wasmtime.WasmtimeError as error:
            raise error_for("42P13", f"function {name} cannot be linked: {error}") from None

    def _give_back(self, instance: Instance) -> None:
        with self._lock:
            if not self._closed and not instance.is_broken:
                self._idle.append(instance)
                return
        instance.close()

    def close(self) -> None:
        """Frees the instances that nobody uses. A function of the same component may go on with new ones."""
        with self._lock:
            idle = self._idle[:]
            self._idle.clear()
        _close_all(idle)


def _close_all(instances: list[Instance]) -> None:
    while instances:
        instances.pop().close()


_pools: weakref.WeakKeyDictionary[Database, weakref.WeakValueDictionary[str, Pool]] = weakref.WeakKeyDictionary()
_pools_lock = threading.Lock()


def pool_of(view: View, content: bytes, digest: str) -> Pool:
    """The pool of a component, of the database that the view is of."""
    assert view.session is not None
    return pool_for(view.session._database, content, digest)


def pool_for(database: Database, content: bytes, digest: str | None = None) -> Pool:
    """The pool of a component."""
    digest = digest or digest_of(content)
    engine = component_engine()
    component = engine.load(content, digest[:16])
    with _pools_lock:
        pools = _pools.setdefault(database, weakref.WeakValueDictionary())
        found = pools.get(digest)
        if found is None:
            found = pools[digest] = Pool(engine, component)
        return found
