"""import_file: a file's rows straight into segments, past the delta (see zerodb_storage.importing)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from zerodb.changes.applying import RowChange, apply
from zerodb.functions import firing
from zerodb.view import table_info
from zerodb_compiler.errors import error_for
from zerodb_compiler.triggers import triggers_in
from zerodb_compiler.types import TypeId
from zerodb_storage import Column, CsvOptions, FileReader, TableVersion, import_batches, open_file

if TYPE_CHECKING:
    from zerodb.connection import Connection

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`format` is csv, parquet, json or arrow (by default from the file's name); the rest is for CSV."""

    format: str | None = None
    header: bool | None = None
    delimiter: str | None = None
    nulls: Sequence[str] | None = None
    names: Sequence[str] | None = None
    primary_key: Sequence[str] = ()


def import_file(
    connection: Connection, table: str, path: Path, options: ImportOptions, progress: Progress | None
) -> int:
    session = connection._session
    session.check_writable()
    if not table:
        raise error_for("42601", "a table needs a name")
    if options.delimiter is not None and (len(options.delimiter) != 1 or options.delimiter in '\r\n"'):
        raise error_for("22023", f"a delimiter is one character, not {options.delimiter!r}")
    if session.in_transaction:
        raise error_for("25001", "import_file cannot run inside a transaction: it commits batch by batch")
    if table in connection._registered:
        raise error_for("42P07", f'"{table}" is a registered table: it cannot be changed')
    storage = connection._database.storage
    version = storage.snapshot().tables.get(table)
    for column in version.columns if version is not None else ():
        if column.type.is_blob and column.type.id is not TypeId.BYTEA:
            raise error_for(
                "0A000",
                f'import_file into column "{column.name}" of type {column.type} is not supported',
                hint="use COPY, which reads the type's text form",
            )
    reader = _open(path, options, version.columns if version is not None else None)
    columns = reader.columns
    if version is not None and len(columns) != len(version.columns):
        raise error_for("42601", f'table "{table}" has {len(version.columns)} columns, {path.name} has {len(columns)}')
    if version is not None and _has_more_than_a_key(version):
        return _through_changes(connection, version, reader, progress)
    return import_batches(
        storage,
        table,
        reader,
        progress,
        create=True,
        columns=columns,
        primary_key=_key(columns, options.primary_key, table),
        threads=connection._options.threads or connection._database.engine.threads,
    )


def _has_more_than_a_key(version: TableVersion) -> bool:
    """Whether rows must pass what bulk import does not know of."""
    held = version.constraints
    constrained = held.uniques or held.checks or held.foreign_keys or held.indexes or held.partitioning or held.bound
    triggers = triggers_in(version.schema.options)
    return bool(constrained or triggers) or any(column.generated is not None for column in version.columns)


def _through_changes(
    connection: Connection, version: TableVersion, reader: FileReader, progress: Progress | None
) -> int:
    """The rows as one INSERT each batch: constraints are checked, and every batch commits."""
    count = 0
    table = table_info(version)
    names = [column.name for column in version.columns]
    for batch in reader:
        rows = pa.Table.from_batches([batch]).rename_columns(names)

        def insert(rows: pa.Table = rows) -> int:
            with connection._session.writing() as write, firing.statement(connection):
                return apply(connection, write, RowChange(table, inserted=rows))

        count += connection._statement(insert)
        if progress is not None:
            progress(count, 0)
    return count


def _open(path: Path, options: ImportOptions, declared: Sequence[Column] | None) -> FileReader:
    """The file; for a table that exists, CSV fields are read as the types of its columns, by position."""
    given = {
        "header": options.header,
        "delimiter": options.delimiter,
        "nulls": options.nulls,
        "names": options.names,
    }
    given = {name: value for name, value in given.items() if value is not None}
    csv = CsvOptions(**given) if given else None  # type: ignore[arg-type]
    reader = open_file(str(path), options.format, csv)
    is_csv = (options.format or path.suffix.lstrip(".").lower()) in ("csv", "tsv", "dat", "txt", "tbl")
    if not is_csv or declared is None or len(declared) != len(reader.columns):
        return reader
    types = {column.name: wanted.type for column, wanted in zip(reader.columns, declared, strict=True)}
    tab = "\t" if path.suffix == ".tsv" else None
    return open_file(str(path), options.format, replace(csv or CsvOptions(delimiter=tab), types=types))


def _key(columns: Sequence[Column], names: Sequence[str], table: str) -> tuple[int, ...]:
    known = {column.name: ordinal for ordinal, column in enumerate(columns)}
    for name in names:
        if name not in known:
            raise error_for("42703", f'column "{name}" named in the key of "{table}" does not exist')
    return tuple(known[name] for name in names)
