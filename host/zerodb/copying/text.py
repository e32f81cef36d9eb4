"""The text and CSV forms of COPY, over whole columns: numpy finds the fields, Arrow's kernels cut and clean them.

    bytes --where does a field end?--> ends of fields --Arrow array over the same bytes--> one text array per column

A field ends at a delimiter or line end that is neither quoted (CSV: an even number of quotes before it) nor escaped
(text: an even number of backslashes before it).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zerodb.copying.options import CopyOptions
from zerodb_compiler.errors import DataError
from zerodb_compiler.types import SqlType, TypeId

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Places = np.ndarray[Any, np.dtype[np.int64]]
_LF, _CR, _BACKSLASH = 10, 13, 92
_MARK = "\0"  # no text has it
_ESCAPED_ESCAPE, _ESCAPED_QUOTE = b"\0\1", b"\0\2"
_ESCAPES = (("b", "\b"), ("f", "\f"), ("n", "\n"), ("r", "\r"), ("t", "\t"), ("v", "\v"))
_NUMBERED = re.compile(r"\\(?:x([0-9A-Fa-f]{1,2})|([0-7]{1,3}))")


def bad(message: str, table: str, line: int, sqlstate: str = "22P04") -> DataError:
    """An error of a COPY file; PostgreSQL's context is its hint."""
    return DataError(message, sqlstate=sqlstate, hint=f"COPY {table}, line {line}")


# --- reading ----------------------------------------------------------------------------------------------------------


def read(content: bytes, options: CopyOptions, names: Sequence[str], table: str) -> list[pa.Array]:
    """One array of strings for each of the columns."""
    csv = options.format == "csv"
    if options.encoding != "utf-8":
        try:
            content = content.decode(options.encoding).encode()
        except UnicodeDecodeError as error:
            raise bad(f"invalid byte sequence for encoding: {error.reason}", table, 1, "22021") from None
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise bad('invalid byte sequence for encoding "UTF8": 0x00', table, line, "22021")
    content = _normalized(content, options, table)
    content = _up_to_marker(content)
    data = np.frombuffer(content, np.uint8)
    ends = _ends(data, options)
    if not csv and content and not (len(ends) and ends[-1] == len(data) - 1):  # the last line end was escaped
        return read(content + b"\n", options, names, table)
    lines = data[ends] == _LF
    if csv and content and not (len(ends) and ends[-1] == len(data) - 1):
        raise bad("unterminated CSV quoted field", table, int(lines.sum()) + 1)
    fields = _fields(content, ends, table)
    fields, lines, skipped = _without_header(fields, lines, options, names, table)
    _check_widths(lines, names, table, skipped, fields)
    width = len(names)
    return [
        _cleaned(fields.take(pa.array(np.arange(index, len(fields), width))), options, name)
        for index, name in enumerate(names)
    ]


def _normalized(content: bytes, options: CopyOptions, table: str) -> bytes:
    """With \\n at the end of each line, and marks for what an escape character other than the quote has escaped."""
    if content and options.format == "csv" and options.escape != options.quote and options.escape.encode() in content:
        escape, quote = options.escape.encode(), options.quote.encode()
        content = content.replace(escape * 2, _ESCAPED_ESCAPE).replace(escape + quote, _ESCAPED_QUOTE)
    if b"\r" in content:
        data = np.frombuffer(content, np.uint8)
        inside = _quoted(data, options) if options.format == "csv" else np.zeros(len(data), np.bool_)
        returns = np.flatnonzero((data == _CR) & ~inside)
        if len(returns):
            content = _one_line_end(data, inside, returns, options, table)
    if options.format == "text" and (len(content) - len(content.rstrip(b"\\"))) % 2:
        content = content[:-1]
    if content and not content.endswith(b"\n"):
        content += b"\n"
    return content


def _one_line_end(data: Bytes, inside: Any, returns: Places, options: CopyOptions, table: str) -> bytes:
    """The data with \\n for line ends that are \\r\\n or \\r; all must be as the first."""
    feeds = np.flatnonzero((data == _LF) & ~inside)
    follows = np.append(data, 0)[returns + 1] == _LF
    both = bool(follows[0])
    wrong: list[tuple[int, str]] = []
    if len(feeds) and feeds[0] < returns[0]:
        wrong.append((int(returns[0]), "carriage return"))
    elif both:
        wrong += [(int(place), "newline") for place in np.setdiff1d(feeds, returns + 1)[:1]]
        wrong += [(int(place), "carriage return") for place in returns[~follows][:1]]
    else:
        wrong += [(int(place), "newline") for place in feeds[:1]]
    if wrong:
        place, what = min(wrong)
        kind = "unquoted" if options.format == "csv" else "literal"
        line = int(np.count_nonzero(data[:place] == (_LF if both or data[place] == _CR else _CR))) + 1
        raise bad(f"{kind} {what} found in data", table, line)
    if both:
        keep = np.ones(len(data), np.bool_)
        keep[returns] = False
        return bytes(data[keep].tobytes())
    changed = data.copy()
    changed[returns] = _LF
    return changed.tobytes()


def _up_to_marker(content: bytes) -> bytes:
    """Without the line \\. that ends the data, and what follows it."""
    if content.startswith(b"\\.\n"):
        return b""
    place = content.find(b"\n\\.\n")
    return content if place < 0 else content[: place + 1]


def _quoted(data: Bytes, options: CopyOptions) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which bytes have an odd number of quotes up to them."""
    quotes = data == ord(options.quote)
    inside: np.ndarray[Any, np.dtype[np.bool_]] = (np.cumsum(quotes, dtype=np.int64) & 1) != 0
    return inside


def _ends(data: Bytes, options: CopyOptions) -> Places:
    """Where the delimiters and line ends are that end a field."""
    ending = (data == ord(options.delimiter)) | (data == _LF)
    if options.format == "csv" and (data == ord(options.quote)).any():
        ending &= ~_quoted(data, options)
    places: Places = np.flatnonzero(ending)
    if options.format == "text" and (data == _BACKSLASH).any():
        last_other = np.maximum.accumulate(np.where(data != _BACKSLASH, np.arange(len(data)), -1))
        backslashes = np.where(places > 0, places - 1 - last_other[places - 1], 0)
        places = places[backslashes % 2 == 0]
    return places


def _fields(content: bytes, ends: np.ndarray[Any, np.dtype[np.int64]], table: str) -> pa.Array:
    """All fields, over the bytes as they are: each reaches to the end of what ends it, which is then cut off."""
    offsets = np.concatenate((np.zeros(1, np.int64), ends + 1))
    array = pa.Array.from_buffers(pa.large_binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(content)])
    cut = pc.binary_slice(array, 0, -1)
    try:
        return cut.cast(pa.large_string())
    except pa.ArrowInvalid:
        line = 1
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
        raise bad('invalid byte sequence for encoding "UTF8"', table, line, "22021") from None


def _without_header(
    fields: pa.Array, lines: np.ndarray[Any, Any], options: CopyOptions, names: Sequence[str], table: str
) -> tuple[pa.Array, np.ndarray[Any, Any], int]:
    if options.header == "match" and not len(fields):
        raise bad(f"wrong number of fields in header line: got 1, expected {len(names)}", table, 1)
    if options.header == "off" or not len(fields):
        return fields, lines, 0
    first = int(np.flatnonzero(lines)[0]) + 1
    if options.header == "match":
        found = [_cleaned(fields.slice(i, 1), options, None)[0].as_py() for i in range(first)]
        if len(found) != len(names):
            raise bad(f"wrong number of fields in header line: got {len(found)}, expected {len(names)}", table, 1)
        for number, (got, expected) in enumerate(zip(found, names, strict=True), 1):
            if got != expected:
                shown = f'null value ("{options.null}")' if got is None else f'"{got}"'
                raise bad(
                    f'column name mismatch in header line field {number}: got {shown}, expected "{expected}"', table, 1
                )
    return fields.slice(first), lines[first:], 1


def _check_widths(
    lines: np.ndarray[Any, Any], names: Sequence[str], table: str, skipped: int, fields: pa.Array
) -> None:
    """22P04 for the first line that has too few or too many fields."""
    last = np.flatnonzero(lines)
    widths = np.diff(last, prepend=-1)
    wrong = np.flatnonzero(widths != len(names))
    if len(wrong):
        line, width = int(wrong[0]), int(widths[wrong[0]])
        if width > len(names):
            raise bad("extra data after last expected column", table, line + 1 + skipped)
        raise bad(f'missing data for column "{names[width]}"', table, line + 1 + skipped)


def _cleaned(column: pa.Array, options: CopyOptions, name: str | None) -> pa.Array:
    """NULLs found, quotes and escapes taken away."""

    def listed(names: tuple[str, ...] | None) -> bool:
        return names is None or name in names

    null = pa.scalar(options.null, pa.large_string())
    if options.format == "text":
        missing = pc.equal(column, null)
        values = _unescaped(column)
        return pc.if_else(missing, pa.scalar(None, pa.large_string()), values)
    quote = options.quote
    has_quotes = pc.match_substring(column, quote)
    values = column
    if pc.any(has_quotes).as_py():
        q = re.escape(quote)
        if options.escape == quote:
            opened = pc.replace_substring_regex(column, f"(?s){q}((?:[^{q}]|{q}{q})*){q}", r"\1")
            values = pc.replace_substring(opened, quote * 2, quote)
        else:
            values = pc.replace_substring_regex(column, f"(?s){q}([^{q}]*){q}", r"\1")
    if options.escape != quote:
        values = pc.replace_substring(values, _ESCAPED_QUOTE.decode(), quote)
        values = pc.replace_substring(values, _ESCAPED_ESCAPE.decode(), options.escape)
    if listed(options.force_null) and options.force_null != ():
        missing = pc.equal(values, null)
        if listed(options.force_not_null) and options.force_not_null != ():
            missing = pc.and_(missing, has_quotes)
    elif listed(options.force_not_null) and options.force_not_null != ():
        return values
    else:
        missing = pc.and_(pc.equal(column, null), pc.invert(has_quotes))
    return pc.if_else(missing, pa.scalar(None, pa.large_string()), values)


def _unescaped(column: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring(column, "\\")).as_py():
        return column
    values = pc.replace_substring(column, "\\\\", _MARK)
    numbered = pc.match_substring_regex(values, r"\\(?:x[0-9A-Fa-f]|[0-7])")
    if pc.any(numbered).as_py():
        # Distinct values with \x41 or \101, which nobody writes today.
        encoded = values.dictionary_encode()
        changed = [_numbered(text) for text in encoded.dictionary.to_pylist()]
        values = pa.array(changed, pa.large_string()).take(encoded.indices)
    for letter, control in _ESCAPES:
        values = pc.replace_substring(values, "\\" + letter, control)
    values = pc.replace_substring_regex(values, r"(?s)\\(.)", r"\1")
    return pc.replace_substring(values, _MARK, "\\")


def _numbered(text: str) -> str:
    """The bytes that \\xHH and \\OOO name; together they may be one character of UTF-8."""
    data = _NUMBERED.sub(lambda found: chr(0xDC00 + (int(found[1], 16) if found[1] else int(found[2], 8) & 255)), text)
    raw = bytearray()
    for character in data:
        code = ord(character)
        raw += bytes([code - 0xDC00]) if 0xDC00 <= code < 0xDD00 else character.encode()
    return raw.decode()


# --- writing ----------------------------------------------------------------------------------------------------------


def write(columns: Sequence[pa.Array], options: CopyOptions, names: Sequence[str], *, header: bool) -> bytes:
    """The lines for columns of texts (large_string)."""
    shown = [_shown(column, options, name, len(names) == 1) for column, name in zip(columns, names, strict=True)]
    head = b""
    if header and options.header == "on":
        plain = [_shown(pa.array([name], pa.large_string()), options, None, len(names) == 1) for name in names]
        head = _joined(plain, options)
    return head + _joined(shown, options)


def _joined(columns: Sequence[pa.Array], options: CopyOptions) -> bytes:
    if not columns:
        return b""
    delimiter = pa.scalar(options.delimiter, pa.large_string())
    rows = columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, delimiter)
    empty, end = pa.scalar("", pa.large_string()), pa.scalar("\n", pa.large_string())
    return text_bytes(pc.binary_join_element_wise(rows, end, empty))


def text_bytes(array: pa.Array) -> bytes:
    """All values of a string array one after another, without a step per value."""
    if isinstance(array, pa.ChunkedArray):
        return b"".join(text_bytes(chunk) for chunk in array.chunks)
    if not len(array):
        return b""
    kind = np.int64 if pa.types.is_large_string(array.type) else np.int32
    offsets = np.frombuffer(array.buffers()[1], kind)[array.offset : array.offset + len(array) + 1]
    heap = array.buffers()[2]
    return b"" if heap is None else bytes(memoryview(heap)[int(offsets[0]) : int(offsets[-1])])


def _shown(column: pa.Array, options: CopyOptions, name: str | None, single: bool) -> pa.Array:
    """The values as they stand in a line, NULLs included. `name` None is the header line."""
    if options.format == "text":
        values = pc.replace_substring(column, "\\", "\\\\")
        for letter, control in _ESCAPES:
            values = pc.replace_substring(values, control, "\\" + letter)
        if options.delimiter not in "\t":
            values = pc.replace_substring(values, options.delimiter, "\\" + options.delimiter)
        return pc.fill_null(values, options.null)
    quote, escape = options.quote, options.escape
    forced = name is not None and (options.force_quote is None or name in options.force_quote)
    if forced:
        quoted = pc.is_valid(column)
    else:
        special = "".join(re.escape(c) for c in (options.delimiter, quote)) + "\r\n"
        quoted = pc.or_(
            pc.match_substring_regex(column, f"[{special}]"), pc.equal(column, pa.scalar(options.null, column.type))
        )
        if single:
            quoted = pc.or_(quoted, pc.equal(column, pa.scalar("\\.", column.type)))
    inner = column if escape == quote else pc.replace_substring(column, escape, escape * 2)
    inner = pc.replace_substring(inner, quote, escape + quote)
    mark, empty = pa.scalar(quote, column.type), pa.scalar("", column.type)
    wrapped = pc.binary_join_element_wise(mark, inner, mark, empty)
    return pc.fill_null(pc.if_else(quoted, wrapped, column), options.null)


# --- JSON lines -------------------------------------------------------------------------------------------------------

_PLAIN_JSON = frozenset({TypeId.JSON, TypeId.JSONB})
_JSON_ESCAPES = tuple((c, json.dumps(c)[1:-1]) for c in '\\"\b\f\n\r\t')


def write_json(columns: Sequence[pa.Array], types: Sequence[SqlType], names: Sequence[str]) -> bytes:
    """One object a line, for columns of texts (large_string) that show values of `types`."""
    if not columns:
        return b""
    kind = pa.large_string()
    parts: list[Any] = []
    for index, (column, type_, name) in enumerate(zip(columns, types, names, strict=True)):
        before = "{" if index == 0 else ","
        parts += [pa.scalar(before + json.dumps(name, ensure_ascii=False) + ":", kind), _json_values(column, type_)]
    parts += [pa.scalar("}\n", kind), pa.scalar("", kind)]
    return text_bytes(pc.binary_join_element_wise(*parts))


def _json_values(column: pa.Array, type_: SqlType) -> pa.Array:
    kind = pa.large_string()
    mark, empty = pa.scalar('"', kind), pa.scalar("", kind)
    if type_.id is TypeId.BOOLEAN:
        shown = pc.if_else(pc.equal(column, pa.scalar("t", kind)), pa.scalar("true", kind), pa.scalar("false", kind))
    elif type_.id in _PLAIN_JSON:
        shown = column
    elif type_.is_number:
        finite = pc.match_substring_regex(column, r"^[-+0-9.eE]+$")
        shown = pc.if_else(finite, column, pc.binary_join_element_wise(mark, column, mark, empty))
    else:
        escaped = column
        for plain, written in _JSON_ESCAPES:
            escaped = pc.replace_substring(escaped, plain, written)
        if pc.any(pc.match_substring_regex(escaped, r"[\x00-\x1f]")).as_py():
            for code in range(0x20):
                escaped = pc.replace_substring(escaped, chr(code), f"\\u{code:04x}")
        shown = pc.binary_join_element_wise(mark, escaped, mark, empty)
    return pc.fill_null(shown, pa.scalar("null", kind))
