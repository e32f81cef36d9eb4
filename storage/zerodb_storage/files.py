"""Files as streams of record batches: CSV, Parquet, JSON lines, Arrow IPC.

`open_file` gives a `FileReader`: an iterable of record batches with `schema`, `columns` (as SQL declares them) and
`byte_count`, the size of the source, for a progress bar. Nothing is read whole. CSV columns are typed from the first
megabytes; a value further on that does not fit is an error with its line number. Arrow's readers are imported by those
who read: Parquet's alone takes 30 ms.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from zerodb_compiler.errors import error_for
from zerodb_storage.csv_files import CsvOptions, open_csv
from zerodb_storage.file_reader import BLOCK_BYTES, FileReader, first_line, schema_of

if TYPE_CHECKING:
    import pyarrow.parquet

_PARQUET_ROWS = 1 << 17
_DICTIONARY_BYTES_PER_ROW = 2.0


def open_file(path: str, format: str | None = None, options: CsvOptions | None = None) -> FileReader:  # noqa: A002
    """Open a file by its ending (.csv .tsv .dat .txt .parquet .json .jsonl .ndjson .arrow .feather .ipc) or `format`.

    Errors: 58P01 no such file, 22P04 a line with the wrong number of fields, 22P02 a value of the wrong type, both with
    file and line.
    """
    if not os.path.exists(path):
        raise error_for("58P01", f'file "{path}" does not exist')
    if os.path.isdir(path):
        raise error_for("58P01", f'"{path}" is a directory, not a file')
    if not os.access(path, os.R_OK):
        raise error_for("42501", f'no permission to read "{path}"')
    ending = format or os.path.splitext(path)[1].lower().lstrip(".")
    match ending:
        case "parquet" | "pq":
            return _open_parquet(path)
        case "csv" | "tsv" | "dat" | "txt" | "tbl":
            return open_csv(path, options or CsvOptions(delimiter="\t" if ending == "tsv" else None))
        case "json" | "jsonl" | "ndjson":
            return _open_json(path)
        case "arrow" | "feather" | "ipc" | "arrows":
            return _open_arrow(path)
    raise error_for("0A000", f'cannot tell the format of "{path}": say csv, parquet, json or arrow')


def _open_parquet(path: str) -> FileReader:
    from pyarrow import parquet

    try:
        plain = parquet.ParquetFile(path)
        file = parquet.ParquetFile(path, read_dictionary=_repeating(plain), pre_buffer=True)
        columns = schema_of(plain.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        raise error_for("22P04", f'"{path}" is not a readable Parquet file: {first_line(error)}') from error

    done = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal done
        try:
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group).to_batches()
                metadata = file.metadata.row_group(group)
                done += sum(metadata.column(number).total_compressed_size for number in range(metadata.num_columns))
        except (pa.ArrowException, OSError) as error:
            raise error_for("22P04", f'"{path}" is damaged: {first_line(error)}') from error

    return FileReader(plain.schema_arrow, columns, os.path.getsize(path), batches(), lambda: done)


def _repeating(file: pyarrow.parquet.ParquetFile) -> list[str]:
    """Text columns whose first row group is so small that it must be a dictionary of few strings."""
    if file.num_row_groups == 0:
        return []
    group = file.metadata.row_group(0)
    found = []
    for number in range(group.num_columns):
        chunk = group.column(number)
        small = chunk.total_uncompressed_size <= _DICTIONARY_BYTES_PER_ROW * group.num_rows
        if chunk.physical_type == "BYTE_ARRAY" and small and "." not in chunk.path_in_schema:
            found.append(chunk.path_in_schema)
    return found


def _open_arrow(path: str) -> FileReader:
    from pyarrow import ipc

    size = os.path.getsize(path)
    try:
        file = ipc.open_file(pa.OSFile(path))
    except pa.ArrowInvalid:
        return _open_arrow_stream(path)
    done = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal done
        for number in range(file.num_record_batches):
            yield file.get_batch(number)
            done = size * (number + 1) // file.num_record_batches

    return FileReader(file.schema, schema_of(file.schema), size, _guarded(batches(), path), lambda: done)


def _open_arrow_stream(path: str) -> FileReader:
    from pyarrow import ipc

    source = pa.OSFile(path)
    try:
        stream = ipc.open_stream(source)
    except pa.ArrowException as error:
        raise error_for("22P04", f'"{path}" is not a readable Arrow file: {first_line(error)}') from error
    size = os.path.getsize(path)
    return FileReader(stream.schema, schema_of(stream.schema), size, _guarded(iter(stream), path), source.tell)


def _guarded(batches: Iterator[pa.RecordBatch], path: str) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except (pa.ArrowException, OSError) as error:
        raise error_for("22P04", f'"{path}" is damaged: {first_line(error)}') from error


# JSON lines


def _open_json(path: str) -> FileReader:
    from pyarrow import json as arrow_json

    size = os.path.getsize(path)
    options = arrow_json.ReadOptions(block_size=BLOCK_BYTES)
    source = pa.OSFile(path)
    try:
        reader = arrow_json.open_json(source, read_options=options)
        schema: pa.Schema = reader.schema
        if pa.null() in schema.types:  # no value yet: text
            schema = pa.schema([(f.name, pa.string() if f.type == pa.null() else f.type) for f in schema])
            source = pa.OSFile(path)
            parse = arrow_json.ParseOptions(explicit_schema=schema)
            reader = arrow_json.open_json(source, read_options=options, parse_options=parse)
    except pa.ArrowException as error:
        raise _json_error(path, error) from error

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except pa.ArrowException as error:
            raise _json_error(path, error) from error

    return FileReader(schema, schema_of(schema), size, batches(), lambda: size if source.closed else source.tell())


def _json_error(path: str, error: Exception) -> Exception:
    """Arrow does not say in which line; look for the first one that is not an object."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                if not isinstance(json.loads(line), dict):
                    return error_for("22P02", f'"{path}" line {number}: not a JSON object')
            except ValueError as problem:
                return error_for("22P02", f'"{path}" line {number}: {problem}')
    return error_for("22P02", f'"{path}": {first_line(error)}')
