"""What a transaction's statements by key have changed in a table, until storage is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from zerodb.engine.point_overlay import Overlay
from zerodb_compiler.catalog import TableInfo
from zerodb_compiler.errors import Error
from zerodb_storage import WriteTransaction
from zerodb_storage.commit_log import Cell
from zerodb_storage.few_rows import MOST_ROWS, FewRows

if TYPE_CHECKING:
    from zerodb.engine.engine import Engine
    from zerodb.engine.point_directory import PointDirectory
    from zerodb_storage import TableVersion


class OwnRows:
    """A transaction's own rows of one table. `version` is the write transaction's version that they are right for."""

    def __init__(self, engine: Engine, directory: PointDirectory, table: TableInfo, version: TableVersion) -> None:
        self.overlay = Overlay(engine, directory)
        self.key = table.key
        self._directory = directory
        self.forms, self._texts = directory.shape.forms, directory.shape.texts
        self.version: TableVersion | None = version
        self._marks: list[tuple[TableVersion, int]] = [(version, 0)]

    def flush(self, write: WriteTransaction) -> None:
        """Tells storage of what it does not know yet."""
        overlay = self.overlay
        if overlay.count == overlay.flushed:
            return
        self.version = None
        gone, columns, come = overlay.taken()
        if len(gone):
            write.delete(self.key, gone)
        start = write.table(self.key).delta_rows
        if come:
            write.append_values(self.key, columns)
        version = write.table(self.key)
        overlay.settled(version.row_ids_of(~np.arange(start, start + come)))
        self.version = version
        self._marks.append((version, overlay.count))

    def hand_over(self, write: WriteTransaction) -> None:
        """The same right before the commit."""
        overlay, base = self.overlay, write.base.tables.get(self.key)
        if overlay.count > overlay.flushed and self.version is not None:
            few = overlay.count <= MOST_ROWS and not overlay.flushed and self.version is base
            if few and base is not None and write.member is None:
                gone, rows, records = overlay.taken_rows()
                come = list(zip(records, self.texts_of(rows), strict=True))

                def follow(before: TableVersion, after: TableVersion, sequence: int) -> None:
                    with suppress(Error):
                        self._directory.follow(before, after, sequence, gone, come)

                write.hand_over_few(FewRows(base, gone, rows, self.forms, follow))
            else:
                deleted, columns, _ = overlay.taken()
                write.hand_over(self.key, columns, deleted)
            overlay.flushed = overlay.count
            self.version = None

    def texts_of(self, rows: Sequence[tuple[Cell, ...]]) -> list[list[bytes]]:
        """Of each row the texts, b"" for NULL."""
        return [[value if isinstance(value := row[n], bytes) else b"" for n in self._texts] for row in rows]

    def back_to(self, version: TableVersion) -> bool:
        """After a rollback to a savepoint: forgets what came after this version; False if it is not one of theirs."""
        for place in range(len(self._marks) - 1, -1, -1):
            known, count = self._marks[place]
            if known is version:
                del self._marks[place + 1 :]
                self.overlay.cut(count)
                self.version = version
                return True
        return False


class Flusher:
    """`pending_flush` of a write transaction."""

    __slots__ = ("_busy", "_rows", "_write")

    def __init__(self, write: WriteTransaction, rows: dict[int, OwnRows]) -> None:
        self._write, self._rows, self._busy = write, rows, False

    def __call__(self) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            for own in self._rows.values():
                own.flush(self._write)
        finally:
            self._busy = False

    def hand_over(self) -> None:
        """`pending_hand_over`."""
        for own in self._rows.values():
            own.hand_over(self._write)
