"""After a write or a sync that failed nothing more is written until the store has been opened again.

What a failed write left in the log nobody knows: nothing, part of it, or all of it, and a sync that is tried again may
succeed although the system has given up the pages that it could not write (Rebello et al., "Can Applications Recover
from fsync Failures?", USENIX ATC 2020). So whoever goes on may say "committed" of what is not on disk, or write over a
commit that is. Reading goes on: what snapshots refer to is never overwritten.

Values written past the log are different: nothing refers to them before a logged write that follows, so a failure (a
full disk, mostly) costs only the transaction that wanted them.
"""

from __future__ import annotations

from collections.abc import Sequence

from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_storage.kv import Batch, KeyValueStore


class FailStop:
    """A key-value store that remembers its first failed write."""

    def __init__(self, inner: KeyValueStore) -> None:
        self._inner = inner
        self._failure: DatabaseError | None = None
        self.get = inner.get
        self.multi_get = inner.multi_get
        self.scan = inner.scan
        self.compact = inner.compact
        self.close = inner.close

    @property
    def has_failed(self) -> bool:
        return self._failure is not None

    def write(self, batch: Batch, *, sync: bool) -> None:
        self._check()
        try:
            self._inner.write(batch, sync=sync)
        except DatabaseError as error:
            self._failure = self._failure or error
            raise

    def write_unlogged(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self._check()
        self._inner.write_unlogged(pairs)

    def _check(self) -> None:
        failure = self._failure
        if failure is not None:
            message = f"the database takes no changes since a write failed ({failure.message})"
            hint = "what was committed is there; close the database and open it again"
            raise error_for(failure.sqlstate, message, hint=hint)
