"""Arrays outside of queries: text to canonical bytes and back, casts of constants, and from Python lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zerodb_compiler.errors import DataError, ProgrammingError
from zerodb_compiler.nested import MAX_DIMENSIONS, Array, Scalar, decode_array, encode_array
from zerodb_compiler.types import SqlType, TypeId

_SPACES = " \t\n\r\v\f"
Parse = Callable[[SqlType, str, int | None], Scalar]
Format = Callable[[SqlType, Scalar], str | None]


def _malformed(text: str, position: int | None) -> DataError:
    return DataError(f'malformed array literal: "{text}"', sqlstate="22P02", position=position)


def parse_array(type_: SqlType, text: str, position: int | None, parse: Parse) -> bytes:
    """'{1,2,NULL}', nested, with bounds before it or not; `parse` reads an element."""
    assert type_.element is not None
    element = type_.element
    reader = _Reader(text, position)
    bounds = reader.bounds()
    dimensions, items = reader.items()
    if bounds is not None:
        if [upper - lower + 1 for lower, upper in bounds] != dimensions:
            raise _malformed(text, position)
        lowers = [lower for lower, _ in bounds]
    else:
        lowers = [1] * len(dimensions)
    values = tuple(None if item is None else parse(element, item, position) for item in items)
    return encode_array(type_, Array(tuple(zip(dimensions, lowers, strict=True)), values))


class _Reader:
    def __init__(self, text: str, position: int | None) -> None:
        self._text, self._position, self._place = text, position, 0

    def _fail(self) -> DataError:
        return _malformed(self._text, self._position)

    def _peek(self) -> str:
        while self._place < len(self._text) and self._text[self._place] in _SPACES:
            self._place += 1
        return self._text[self._place : self._place + 1]

    def bounds(self) -> list[tuple[int, int]] | None:
        """[1:2][0:1]= before the braces."""
        if self._peek() != "[":
            return None
        found: list[tuple[int, int]] = []
        while self._peek() == "[":
            end = self._text.find("]", self._place)
            if end < 0:
                raise self._fail()
            parts = self._text[self._place + 1 : end].split(":")
            try:
                numbers = [int(part) for part in parts]
            except ValueError:
                raise self._fail() from None
            lower, upper = numbers if len(numbers) == 2 else (1, numbers[0])
            if len(numbers) > 2:
                raise self._fail()
            if upper < lower:
                raise DataError(
                    "upper bound cannot be less than lower bound", sqlstate="2202E", position=self._position
                )
            found.append((lower, upper))
            self._place = end + 1
        if self._peek() != "=":
            raise self._fail()
        self._place += 1
        return found

    def items(self) -> tuple[list[int], list[str | None]]:
        """The lengths of the dimensions and the elements."""
        values: list[str | None] = []
        if self._peek() != "{":
            raise self._fail()
        lengths: list[int | None] = []
        leaf = self._level(0, lengths, values, [None])
        assert leaf is not None
        if self._peek():
            raise self._fail()
        if not values:
            return [], []
        return [length for length in lengths if length is not None], values

    def _level(self, depth: int, lengths: list[int | None], values: list[str | None], leaf: list[int | None]) -> int:
        """One pair of braces; `leaf` holds the depth at which elements stand, once it is known."""
        if depth >= MAX_DIMENSIONS:
            raise DataError(
                f"number of array dimensions exceeds the maximum allowed ({MAX_DIMENSIONS})",
                sqlstate="54000",
                position=self._position,
            )
        if depth == len(lengths):
            lengths.append(None)
        self._place += 1
        count = 0
        if self._peek() == "}" and depth == 0:
            self._place += 1
            return 0
        while True:
            sign = self._peek()
            if sign == "{":
                if leaf[0] is not None and depth >= leaf[0]:
                    raise self._fail()
                self._level(depth + 1, lengths, values, leaf)
            elif sign in ("", "}", ","):
                raise self._fail()
            else:
                if leaf[0] is None and depth + 1 == len(lengths):
                    leaf[0] = depth
                if leaf[0] != depth:
                    raise self._fail()
                values.append(self._item())
            count += 1
            following = self._peek()
            self._place += 1
            if following == "}":
                break
            if following != ",":
                raise self._fail()
        if lengths[depth] not in (None, count):
            raise self._fail()
        lengths[depth] = count
        return count

    def _item(self) -> str | None:
        text = self._text
        out: list[str] = []
        if text[self._place] == '"':
            self._place += 1
            while self._place < len(text) and text[self._place] != '"':
                if text[self._place] == "\\":
                    self._place += 1
                out.append(text[self._place : self._place + 1])
                self._place += 1
            if self._place >= len(text):
                raise self._fail()
            self._place += 1
            return "".join(out)
        kept, escaped = 0, False
        while self._place < len(text) and text[self._place] not in ",}":
            sign = text[self._place]
            if sign in '{"':
                raise self._fail()
            blank = sign in _SPACES
            if sign == "\\":
                self._place += 1
                sign, escaped, blank = text[self._place : self._place + 1], True, False
                if not sign:
                    raise self._fail()
            out.append(sign)
            self._place += 1
            kept = kept if blank else len(out)
        found = "".join(out[:kept])
        return None if found.lower() == "null" and not escaped else found


def format_array(type_: SqlType, data: bytes, format_: Format) -> str:
    """PostgreSQL's output form; `format_` writes an element."""
    array = decode_array(type_, data)
    assert type_.element is not None
    if not array.dimensions:
        return "{}"
    texts = [_quoted(_element_text(type_.element, value, format_)) for value in array.elements]
    for length, _ in reversed(array.dimensions[1:]):
        texts = ["{" + ",".join(texts[i : i + length]) + "}" for i in range(0, len(texts), length)]
    bounds = ""
    if any(lower != 1 for _, lower in array.dimensions):
        bounds = "".join(f"[{lower}:{lower + length - 1}]" for length, lower in array.dimensions) + "="
    return f"{bounds}{{{','.join(texts)}}}"


def _element_text(type_: SqlType, value: Scalar, format_: Format) -> str | None:
    if type_.id is TypeId.BOOLEAN and value is not None:
        return "t" if value else "f"
    return format_(type_, value)


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    if not text or text.lower() == "null" or any(sign in '{},"\\' or sign in _SPACES for sign in text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def cast_elements(source: SqlType, target: SqlType, data: bytes, cast: Callable[[Scalar], Scalar]) -> bytes:
    """A constant array with every element cast."""
    array = decode_array(source, data)
    values = tuple(None if value is None else cast(value) for value in array.elements)
    return encode_array(target, Array(array.dimensions, values))


def array_from_python(
    type_: SqlType, value: Sequence[Any], position: int | None, convert: Callable[[SqlType, Any], Scalar]
) -> bytes:
    """A list, or lists in lists of equal lengths, as an array."""
    assert type_.element is not None
    lengths: list[int] = []
    level: list[Any] = [value]
    while level and all(isinstance(item, (list, tuple)) for item in level):
        sizes = {len(item) for item in level}
        if len(sizes) > 1:
            raise _ragged(position)
        lengths.append(sizes.pop())
        level = [part for item in level for part in item]
    if any(isinstance(item, (list, tuple)) for item in level):
        raise _ragged(position)
    if len(lengths) > MAX_DIMENSIONS:
        raise _ragged(position)
    values = tuple(None if item is None else convert(type_.element, item) for item in level)
    return encode_array(type_, Array(tuple((length, 1) for length in lengths), values))


def _ragged(position: int | None) -> ProgrammingError:
    return ProgrammingError("lists in an array must have equal lengths", sqlstate="2202E", position=position)


def array_to_python(type_: SqlType, data: bytes, convert: Callable[[SqlType, Scalar], Any]) -> list[Any]:
    """A list, of lists for several dimensions."""
    array = decode_array(type_, data)
    assert type_.element is not None
    found: list[Any] = [None if value is None else convert(type_.element, value) for value in array.elements]
    for length, _ in reversed(array.dimensions[1:]):
        found = [found[i : i + length] for i in range(0, len(found), length)]
    return found
