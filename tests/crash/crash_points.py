"""Kills this process by itself at a chosen step: "module:Class.method:before:7" is before the seventh call.

`half` is for `write_unlogged`: half of the pairs are written, then the process dies. A step that does not exist (any
more) is an error, so that the list below keeps up with the code.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import signal
from collections.abc import Callable
from typing import Any

_ROCKS = "zerodb_storage.kv.rocks:RocksStore"
# Steps, and among how many of the first calls the kill may fall.
POINTS: tuple[tuple[str, int], ...] = (
    (f"{_ROCKS}.write:before", 60),
    (f"{_ROCKS}.write:after", 60),
    (f"{_ROCKS}.write_unlogged:before", 4),
    (f"{_ROCKS}.write_unlogged:half", 4),
    (f"{_ROCKS}.write_unlogged:after", 4),
    ("zerodb_storage.merger:fold:before", 10),
    ("zerodb_storage.merger:fold:after", 10),
    ("zerodb_storage.early_values:write_values:before", 10),
    ("zerodb_storage.early_values:write_values:after", 10),
    ("zerodb_storage.database:Database.publish_merged:before", 10),
    ("zerodb_storage.database:Database.publish_merged:after", 10),
    ("zerodb_storage.database:publishing.merged:after", 10),
    ("zerodb_storage.publishing:fold:before", 6),
    ("zerodb_storage.publishing:fold:after", 6),
    ("zerodb_storage.database:Database.publish:before", 60),
    ("zerodb_storage.database:Database.publish:after", 60),
    ("zerodb_storage.database:Database._publish:before", 60),
    ("zerodb_storage.database:Database._publish:after", 60),
    ("zerodb_storage.kv.log_files:LogFiles.sync:before", 60),
    ("zerodb_storage.kv.log_files:LogFiles.sync:after", 60),
    ("zerodb_storage.database:Database.publish_segments:after", 2),
    ("zerodb_storage.database:Database.reclaim:after", 60),
    ("zerodb_storage.recovery:initialise:after", 1),
    ("zerodb_storage.recovery:recover:after", 1),
    ("zerodb_storage.garbage:Garbage.left_behind:after", 1),
    ("zerodb_storage.kv.seal:remove:before", 1),
    ("zerodb_storage.kv.seal:remove:after", 1),
    ("zerodb_storage.kv.seal:write:before", 1),
    ("zerodb_storage.kv.seal:write:after", 1),
    ("zerodb_storage.backups.making:_Backup._attempt:after", 2),
    ("zerodb_storage.backups.files:write_manifest:before", 2),
    ("zerodb_storage.backups.files:write_manifest:after", 2),
    ("zerodb_storage.backups.making:_Backup._finish:after", 2),
    ("zerodb_storage.backups.control:taken:before", 2),
    ("zerodb_storage.backups.control:taken:after", 2),
    ("os:replace:before", 1),
    ("os:replace:after", 1),
    ("os:fsync:before", 3),
    ("os:fsync:after", 3),
)


def arm(point: str) -> None:
    """Makes the step deadly; called before a database is opened."""
    *step, when, count = point.split(":")
    owner, name = _place(*step)
    setattr(owner, name, _deadly(getattr(owner, name), when, int(count)))


def _place(module: str, path: str) -> tuple[Any, str]:
    owner: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    return owner, name


def missing() -> list[str]:
    """Points whose step does not exist (any more)."""
    places = [(point, _place(*point.split(":")[:2])) for point, _ in POINTS]
    return [point for point, (owner, name) in places if not callable(getattr(owner, name, None))]


def _deadly(step: Callable[..., Any], when: str, count: int) -> Callable[..., Any]:
    calls = itertools.count(1)

    @functools.wraps(step)
    def wrapped(*given: Any, **named: Any) -> Any:
        if next(calls) != count:
            return step(*given, **named)
        if when == "half":
            store, pairs = given
            step(store, pairs[: len(pairs) // 2])
        elif when == "after":
            step(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("alive")

    return wrapped
