"""Texts that become programs: what a pattern or a format is compiled to, at bind time or, by the host, at run time.

Generated code names a compiler by a number, its kind in the upper bits and options in the lower eight; the host calls
`derive` with it and the text (codegen/abi.py, ALLOCATE_DERIVED).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from zerodb_compiler.errors import error_for
from zerodb_compiler.nested import Array, encode_array
from zerodb_compiler.types import TEXT, TypeId, array

REGEX = 0  # options: regex.syntax.Flags.bits
SIMILAR = 1  # options: 0 with the escape \\, 1 + the code of another (ASCII) escape character, or NO_ESCAPE
NO_ESCAPE = 255
NUMBER_FORMAT = 2
DATE_OUTPUT = 3
DATE_INPUT = 4
COLLATION = 5  # of no text: the tables of kernels/collation.py
JSON_PATH = 6
ZONE = 16  # the name of a time zone: its table (zones.py)
INTERVAL = 17  # its text: the canonical value, 16 bytes
MOMENT = 18  # the text of a date or time, which it is by the options (MOMENTS): value i64, and whether it is UTC i64
NORMALIZE = 19  # a text in the normal form of the options (FORMS): its length i64, then its bytes
IDENTIFIERS = 20  # a qualified name: its parts as text[] (option 1: and nothing behind it), after its length i64
_FORM_NAMES: tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...] = ("NFC", "NFD", "NFKC", "NFKD")
FORMS = ("nfc", "nfd", "nfkc", "nfkd")
MOMENTS = (TypeId.DATE, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.TIME)


@lru_cache(maxsize=512)
def derive(number: int, text: str) -> bytes:
    """The program of a text; raises what users should see."""
    kind, options = number >> 8, number & 255
    if kind == NUMBER_FORMAT:
        from zerodb_compiler.formats.numbers import compile_number

        return compile_number(text)
    if kind in (DATE_OUTPUT, DATE_INPUT):
        from zerodb_compiler.formats.dates import compile_input, compile_output

        return compile_output(text) if kind == DATE_OUTPUT else compile_input(text)
    if kind == COLLATION:
        from zerodb_compiler.collation import tables

        return tables()
    if kind == JSON_PATH:
        from zerodb_compiler.jsonpath import compile_path

        return compile_path(text)
    if kind == ZONE:
        from zerodb_compiler.zones import find_zone

        return find_zone(text).table
    if kind == INTERVAL:
        from zerodb_compiler.sql.interval_text import parse_interval

        return parse_interval(text).to_bytes(16, "little", signed=True)
    if kind == MOMENT:
        from zerodb_compiler.sql.moments import parsed_parts

        value, is_utc = parsed_parts(MOMENTS[options], text)
        return value.to_bytes(8, "little", signed=True) + is_utc.to_bytes(8, "little")
    if kind == NORMALIZE:
        return _sized(unicodedata.normalize(_FORM_NAMES[options], text).encode())
    if kind == IDENTIFIERS:
        parts = tuple(_identifiers(text, strict=bool(options)))
        return _sized(encode_array(array(TEXT), Array(((len(parts), 1),), parts)))
    from zerodb_compiler.regex.program import compile_regex
    from zerodb_compiler.regex.similar import from_similar

    if kind == REGEX:
        return compile_regex(text, options)
    assert kind == SIMILAR
    escape = None if options == 0 else "" if options == NO_ESCAPE else chr(options - 1)
    return compile_regex(from_similar(text, escape), 0)


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + data


_ASCII_UPPER = re.compile("[A-Z]+")
_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|((?:[A-Za-z_]|[^\0-\x7f])(?:[\w$]|[^\0-\x7f])*))\s*')


def _identifiers(text: str, *, strict: bool) -> Iterator[str]:
    """The parts of a name as parse_ident gives them: folded where they are not quoted."""
    at, more = 0, True
    while more:
        found = _NAME.match(text, at)
        if found is None or found[1] == "":
            raise error_for("22023", f'string is not a valid identifier: "{text}"')
        if found[1] is None:
            yield _ASCII_UPPER.sub(lambda letters: letters[0].lower(), found[2])
        else:
            yield found[1].replace('""', '"')
        at = found.end()
        more = text.startswith(".", at)
        at += more
    if strict and at < len(text):
        raise error_for("22023", f'string is not a valid identifier: "{text}"')
