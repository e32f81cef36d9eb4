"""CSV: what a file does not say of itself is found out from its beginning, and errors have their line.

Delimiter, escape, header and names are looked for in the first 64 KiB; Arrow finds the types of columns in the first
megabytes. A value further on that does not fit is an error: the file is read once more then, to name the line.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from zerodb_compiler.errors import error_for
from zerodb_compiler.types import SqlType
from zerodb_storage import arrow
from zerodb_storage.catalog import Column
from zerodb_storage.file_reader import BLOCK_BYTES, FileReader, first_line, sql_type

_LOCATED_ROWS = 20_000
_SNIFF_BYTES = 64 << 10
_DELIMITERS = ",;\t|"
# A quote behind an odd number of backslashes that does not end its field.
_ESCAPED_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*\\"(?![,;|\t\r\n"]|\Z)')
# An unquoted \N: the file comes from a program (MySQL's and PostgreSQL's exports) whose escape is the backslash.
_NULL_ESCAPE = re.compile(r"(?:^|[,;|\t])\\N(?=[,;|\t\r\n]|\Z)", re.MULTILINE)
DEFAULT_NULLS = ("\\N", "")


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How to read a CSV file. None means: find out. `names` without `header` means that the file has none; `types`
    gives SQL types by column name, `nulls` the unquoted fields that mean NULL (default: `\\N` and nothing at all);
    `escape` is "" for none."""

    header: bool | None = None
    delimiter: str | None = None
    nulls: Sequence[str] | None = None
    names: Sequence[str] | None = None
    types: Mapping[str, SqlType] | None = None
    quote: str = '"'
    escape: str | None = None


def open_csv(path: str, options: CsvOptions) -> FileReader:
    """Open a CSV file; see `CsvOptions`."""
    from pyarrow import csv as arrow_csv

    sample = _sample(path)
    delimiter = options.delimiter or _delimiter(sample, options.quote)
    escape = _escape(sample, options)
    rows = list(csv.reader(sample.splitlines(), delimiter=delimiter, quotechar=options.quote, escapechar=escape))
    rows = [row for row in rows if row]
    nulls = list(DEFAULT_NULLS if options.nulls is None else options.nulls)
    header = options.header if options.header is not None else options.names is None and _has_header(rows, nulls)
    names = list(options.names) if options.names is not None else _names(rows, header)
    if not names:
        raise error_for("22P04", f'"{path}" is empty: its columns are not known')
    parse = arrow_csv.ParseOptions(
        delimiter=delimiter, quote_char=options.quote, escape_char=escape or False, newlines_in_values=True
    )
    read = arrow_csv.ReadOptions(column_names=names, skip_rows=1 if header else 0, block_size=BLOCK_BYTES)
    given = {name: arrow.arrow_type(type_) for name, type_ in (options.types or {}).items()}
    source = _CsvSource(path, delimiter, options.quote, escape, len(names), 1 if header else 0)

    input_ = _csv_input(path, delimiter, escape, nulls)

    def opened(column_types: Mapping[str, pa.DataType]) -> Any:
        convert = arrow_csv.ConvertOptions(
            null_values=nulls,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            column_types=column_types,
        )
        try:
            return arrow_csv.open_csv(
                input_,
                read_options=read,
                parse_options=parse,
                convert_options=convert,
            )
        except pa.ArrowException as error:
            raise source.error(error, nulls, column_types) from error

    reader = opened(given)
    unclear = {field.name: pa.string() for field in reader.schema if field.type in (pa.null(), pa.binary())}
    if unclear:  # no value yet, or not UTF-8, which reading it as text reports
        input_ = _csv_input(path, delimiter, escape, nulls)
        reader = opened({**given, **unclear})
    columns = tuple(
        Column(field.name, (options.types or {}).get(field.name) or sql_type(field.type, field.name))
        for field in reader.schema
    )
    found = {field.name: field.type for field in reader.schema}

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except pa.ArrowException as error:
            raise source.error(error, nulls, found) from error

    size = os.path.getsize(path)
    return FileReader(reader.schema, columns, size, batches(), lambda: size if input_.closed else input_.tell())


def _csv_input(path: str, delimiter: str, escape: str | None, nulls: Sequence[str]) -> Any:
    """The file, or a stream of it that protects NULL markers such as \\N from Arrow, which would unescape them."""
    marked = [null for null in nulls if escape and null.startswith(escape)]
    return _EscapedNulls(path, delimiter, marked) if marked else pa.OSFile(path)


class _EscapedNulls(io.RawIOBase):
    """A CSV file with the escape of unquoted NULL markers doubled, a block of whole lines at a time."""

    def __init__(self, path: str, delimiter: str, marked: Sequence[str]) -> None:
        super().__init__()
        choice = b"|".join(re.escape(null.encode()) for null in marked)
        edge = re.escape(delimiter.encode())
        self._pattern = re.compile(b"(^|" + edge + b")(" + choice + b")(?=" + edge + rb"|\r?$)", re.MULTILINE)
        self._escape = marked[0][:1].encode()
        self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._ready:
            block = self._file.read(BLOCK_BYTES)
            block += self._file.readline()
            self._ready = self._pattern.sub(lambda found: found[1] + self._escape + found[2], block)
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


def _sample(path: str) -> str:
    with open(path, "rb") as file:
        head = file.read(_SNIFF_BYTES)
    if len(head) == _SNIFF_BYTES:
        head = head[: head.rfind(b"\n") + 1] or head
    return head.decode("utf-8", "replace").removeprefix("\ufeff")


def _delimiter(sample: str, quote: str) -> str:
    """The candidate that cuts the first lines into the same number of fields, more than one; a comma if none does."""
    best, best_score = ",", (0.0, 0)
    lines = sample.splitlines()[:100]
    for candidate in _DELIMITERS:
        counts = [len(row) for row in csv.reader(lines, delimiter=candidate, quotechar=quote) if row]
        if not counts or max(counts) < 2:
            continue
        usual = max(set(counts), key=counts.count)
        score = (counts.count(usual) / len(counts) if usual > 1 else 0.0, usual)
        if score > best_score:
            best, best_score = candidate, score
    return best


def _escape(sample: str, options: CsvOptions) -> str | None:
    if options.escape is not None:
        return options.escape or None
    found = _ESCAPED_QUOTE.search(sample) or _NULL_ESCAPE.search(sample)
    return "\\" if found and options.quote == '"' else None


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _has_header(rows: list[list[str]], nulls: list[str]) -> bool:
    """A first line of distinct, non-numeric names over at least one numeric column, or over text columns in
    which none of the names occurs and the names look like identifiers."""
    if not rows:
        return False
    first, rest = rows[0], rows[1:50]
    if any(_is_number(field) or field in nulls for field in first) or len(set(first)) < len(first):
        return False
    if not rest:
        return all(field.replace("_", "a").isidentifier() for field in first)
    for column, name in enumerate(first):
        fields = [row[column] for row in rest if column < len(row) and row[column] not in nulls]
        if fields and all(map(_is_number, fields)) and not _is_number(name):
            return True
    if not all(field.isidentifier() and field == field.lower() for field in first):
        return False
    return not any(field in row for row in rest for field in first)


def _names(rows: list[list[str]], header: bool) -> list[str]:
    if not rows:
        return []
    if not header:
        return [f"column{number}" for number in range(len(rows[0]))]
    names: list[str] = []
    for number, field in enumerate(rows[0]):
        name = field.strip() or f"column{number}"
        names.append(name if name not in names else f"{name}_{number}")
    return names


@dataclass(frozen=True, slots=True)
class _CsvSource:
    """What is needed to find the line of an error, which Arrow does not tell: the file is read again, slowly."""

    path: str
    delimiter: str
    quote: str
    escape: str | None
    column_count: int
    skipped: int

    def error(self, error: Exception, nulls: list[str], found: Mapping[str, pa.DataType]) -> Exception:
        """The error to raise for one of Arrow's."""
        kinds = list(found.items()) if len(found) == self.column_count else []
        held: list[tuple[int, list[str]]] = []
        try:
            with open(self.path, newline="", encoding="utf-8", errors="strict") as file:
                reader = csv.reader(file, delimiter=self.delimiter, quotechar=self.quote, escapechar=self.escape)
                line = 1
                for number, row in enumerate(reader):
                    at, line = line, reader.line_num + 1
                    if number < self.skipped or not row:
                        continue
                    if len(row) != self.column_count:
                        message = f'"{self.path}" line {at}: {len(row)} fields instead of {self.column_count}'
                        return self._misfit(held, kinds, nulls) or error_for("22P04", message)
                    held.append((at, row))
                    if len(held) == _LOCATED_ROWS:
                        misfit = self._misfit(held, kinds, nulls)
                        if misfit is not None:
                            return misfit
                        held = []
        except UnicodeDecodeError as problem:
            return error_for("22021", f'"{self.path}" line {self._undecodable()}: not UTF-8 ({problem.reason})')
        except csv.Error as problem:
            return error_for("22P04", f'"{self.path}": {problem}')
        return self._misfit(held, kinds, nulls) or error_for("22P04", f'"{self.path}": {first_line(error)}')

    def _undecodable(self) -> int:
        """The number of the first line that is not UTF-8."""
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    line.decode()
                except UnicodeDecodeError:
                    return number
        return 0

    def _misfit(
        self, held: list[tuple[int, list[str]]], kinds: list[tuple[str, pa.DataType]], nulls: list[str]
    ) -> Exception | None:
        """The error for the first field of some lines that does not convert to its column's type, or None."""
        found: list[tuple[int, Exception]] = []
        for column, (name, kind) in enumerate(kinds):
            if _converts([row[column] for _, row in held if row[column] not in nulls], kind):
                continue
            for at, row in held:
                if row[column] not in nulls and not _converts([row[column]], kind):
                    place = f'"{self.path}" line {at}, column "{name}"'
                    message = f'{place}: "{row[column][:60]}" is not a value of type {sql_type(kind, name)}'
                    found.append((at, error_for("22P02", message)))
                    break
        return min(found, key=lambda pair: pair[0])[1] if found else None


def _converts(fields: list[str], kind: pa.DataType) -> bool:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return True
    try:
        pa.array([field.strip() for field in fields], pa.string()).cast(kind)
    except pa.ArrowException:
        return False
    return True
