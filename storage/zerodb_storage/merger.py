"""The merger: folds the deltas of tables into segments in the background.

A commit that finds a table's delta grown past its limits says so (`notice`) and goes on. A thread, started when there
is something to do and gone when there is not, folds the version that is the newest then, writes the new segments'
values under garbage records, and asks for a turn between two group commits to publish them with all that was committed
meanwhile (`merging`). So writers wait for the few rows that are carried over, never for a fold, and readers for
nothing.

    limit                      rows and deletions      commit records       what a commit does
    publishing.FOLD_ROWS       131,072                 16,384               notices
    x publishing.WAITING       262,144                 32,768               waits for the merger, at most 10 s
    x publishing.HARD          524,288                 65,536               folds the table itself

These bound the memory that a delta takes and the time that a restart takes to replay it.

A merge is given up, and what it wrote is deleted, if the table's shape changed meanwhile or somebody holds a lock that
keeps writers away; the next commit that notices begins anew. A merge that fails (a full disk) leaves the table as it
was; it is tried again some commits later, and the error is that of the next commit that must fold itself.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

from zerodb_compiler.errors import DatabaseError
from zerodb_storage import index_runs, lookup
from zerodb_storage.early_values import discard_values, early_values
from zerodb_storage.fold import fold
from zerodb_storage.kv import KeyValueStore
from zerodb_storage.segment_choice import to_rewrite
from zerodb_storage.table import TableVersion

if TYPE_CHECKING:
    from zerodb_storage.database import Database

WAIT_S = 10.0
_ATTEMPTS = 3
PAUSE = 256  # notices that are passed over after a failure


class Merger:
    """One per open database. `merge` may be called by any thread, too. Not `in_background` (a test that counts writes),
    it is called by the commits that notice."""

    in_background: ClassVar[bool] = True

    def __init__(self, database: Database, store: KeyValueStore) -> None:
        self._database = database
        self._store = store
        self._changed = threading.Condition()
        self._due: dict[int, None] = {}
        self._paused: dict[int, int] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self.failure: DatabaseError | None = None
        self.merges = 0  # published so far

    def notice(self, table_id: int) -> None:
        """A table's delta is large."""
        if table_id in self._due:
            return
        with self._changed:
            pause = self._paused.pop(table_id, 0)
            if pause:
                self._paused[table_id] = pause - 1
                return
            if self._closed:
                return
            self._due[table_id] = None
            if self._thread is None and self.in_background:
                self._thread = threading.Thread(target=self._run, name="zerodb merge")
                self._thread.start()
        if not self.in_background:
            self._run()

    def wait(self, table_id: int | None = None, timeout_s: float = WAIT_S) -> bool:
        """Until the table, or every one, is not due any more; False if that took too long."""
        with self._changed:
            return self._changed.wait_for(
                lambda: table_id not in self._due if table_id is not None else not self._due, timeout_s
            )

    def close(self) -> None:
        """Ends after the merge that is running now, if there is one."""
        with self._changed:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        try:
            while (table_id := self._next()) is not None:
                try:
                    self.merge(table_id)
                except DatabaseError as error:
                    self.failure = error
                    with self._changed:
                        self._paused[table_id] = PAUSE
                finally:
                    with self._changed:
                        self._due.pop(table_id, None)
                        self._changed.notify_all()
        except BaseException:
            with self._changed:
                self._thread = None
            raise

    def _next(self) -> int | None:
        """A table to merge; None, and the thread ends, if there is none."""
        with self._changed:
            if self._closed:
                self._due.clear()
                self._changed.notify_all()
            if not self._due:
                self._thread = None
                return None
            return next(iter(self._due))

    def merge(self, table_id: int) -> bool:
        """Folds a table as it was committed last; whether that was published."""
        for _ in range(_ATTEMPTS):
            base = self._database.snapshot().table_with_id(table_id)
            if base is None or not (base.delta_chunks or base.masks or to_rewrite(base)):
                return False
            folded = fold(base, self._database.segment_ids)
            with early_values(self._store, [folded.values]):
                _warm(base, folded.version)
                published = self._database.publish_merged(base, folded)
            if published:
                self.merges += 1
                _settle(self._database, table_id)
                return True
            discard_values(self._store, folded.values)
        return False


def _settle(database: Database, table_id: int) -> None:
    now = database.snapshot().table_with_id(table_id)
    if now is not None:
        index_runs.settle(now)


def _warm(base: TableVersion, folded: TableVersion) -> None:
    """What look-ups by key want to know of new segments, where they knew it of what is replaced: so that no statement
    has to find it out first."""
    old = {found.serial for found in base.segment_set.segments}
    fresh = [chunk for chunk, found in enumerate(folded.segment_set.segments) if found.serial not in old]
    lookup.prepare(base, folded, fresh)
    index_runs.prepare(folded, fresh)
