"""The options of COPY, checked as PostgreSQL checks them."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from zerodb_compiler.errors import NotSupportedError, ProgrammingError, error_for
from zerodb_compiler.sql import utility_statements as us

FORMATS = ("text", "csv", "parquet", "json")
_TRUE, _FALSE = frozenset({"true", "on", "1"}), frozenset({"false", "off", "0"})
_ENCODINGS = {"utf8": "utf-8", "unicode": "utf-8", "sql_ascii": "utf-8", "win1252": "cp1252", "win1251": "cp1251"}
_WORDS = "abcdefghijklmnopqrstuvwxyz0123456789."


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """`header` is "off", "on" or "match"; lists of columns are names, None for all of them."""

    format: str = "text"
    delimiter: str = "\t"
    null: str = "\\N"
    header: str = "off"
    quote: str = '"'
    escape: str = '"'
    force_quote: tuple[str, ...] | None = ()
    force_not_null: tuple[str, ...] | None = ()
    force_null: tuple[str, ...] | None = ()
    encoding: str = "utf-8"


def copy_options(statement: us.Copy) -> CopyOptions:
    given = dict(statement.options)
    kind = str(given.get("format", _by_suffix(statement.target))).lower()
    if kind == "binary":
        raise NotSupportedError("COPY with FORMAT binary is not supported", position=statement.position)
    if kind not in FORMATS:
        raise error_for("22023", f'COPY format "{kind}" not recognized', position=statement.position)
    if _flag("freeze", given.get("freeze", "false")):
        raise NotSupportedError("COPY FREEZE is not supported", position=statement.position)
    if "default" in given:
        raise ProgrammingError('option "default" not recognized', position=statement.position)
    csv = kind == "csv"
    for name in ("quote", "escape", "force_quote", "force_not_null", "force_null"):
        if name in given and not csv:
            raise error_for("0A000", f"COPY {name.replace('_', ' ')} available only in CSV mode")
    if kind in ("parquet", "json"):
        for name in ("delimiter", "null", "header", "encoding"):
            if name in given:
                raise error_for("0A000", f"COPY {name} is not for FORMAT {kind}")
        return CopyOptions(kind)
    for name, into in (("force_quote", False), ("force_not_null", True), ("force_null", True)):
        if name in given and statement.into is not into:
            raise error_for(
                "0A000", f"COPY {name.replace('_', ' ')} only available using COPY {'FROM' if into else 'TO'}"
            )
    quote = _one_byte("quote", given.get("quote", '"'))
    options = CopyOptions(
        kind,
        _one_byte("delimiter", given.get("delimiter", "," if csv else "\t")),
        str(given.get("null", "" if csv else "\\N")),
        _header(str(given.get("header", "off")), into=statement.into),
        quote,
        _one_byte("escape", given.get("escape", quote)),
        _columns(given.get("force_quote", ())),
        _columns(given.get("force_not_null", ())),
        _columns(given.get("force_null", ())),
        _encoding(str(given.get("encoding", "utf8"))),
    )
    _check(options)
    return options


def _by_suffix(target: str | None) -> str:
    suffix = (target or "").rsplit(".", 1)[-1].lower()
    return suffix if suffix == "parquet" else "text"


def _check(options: CopyOptions) -> None:
    delimiter, null, csv = options.delimiter, options.null, options.format == "csv"
    if delimiter in "\r\n":
        raise error_for("22023", "COPY delimiter cannot be newline or carriage return")
    if "\r" in null or "\n" in null:
        raise error_for("22023", "COPY null representation cannot use newline or carriage return")
    if not csv and delimiter in "\\" + _WORDS:
        raise error_for("22023", f'COPY delimiter cannot be "{delimiter}"')
    if delimiter in null and null:
        raise error_for("0A000", "COPY delimiter must not appear in the NULL specification")
    if csv and options.quote == delimiter:
        raise error_for("22023", "COPY delimiter and quote must be different")
    if csv and null and options.quote in null:
        raise error_for("0A000", "CSV quote character must not appear in the NULL specification")


def _flag(name: str, value: str | tuple[str, ...]) -> bool:
    word = str(value).lower()
    if word not in _TRUE | _FALSE:
        raise ProgrammingError(f"{name} requires a Boolean value")
    return word in _TRUE


def _header(value: str, *, into: bool) -> str:
    if value.lower() == "match":
        if not into:
            raise error_for("0A000", 'cannot use "match" with HEADER in COPY TO')
        return "match"
    if value.lower() not in _TRUE | _FALSE:
        raise ProgrammingError('header requires a Boolean value or "match"')
    return "on" if value.lower() in _TRUE else "off"


def _one_byte(name: str, value: str | tuple[str, ...]) -> str:
    if not isinstance(value, str) or len(value.encode()) != 1:
        raise error_for("0A000", f"COPY {name} must be a single one-byte character")
    return value


def _columns(value: str | tuple[str, ...]) -> tuple[str, ...] | None:
    return None if value == "*" else tuple(value)


def _encoding(name: str) -> str:
    known = _ENCODINGS.get(name.lower().replace("-", ""), name)
    try:
        return codecs.lookup(known).name
    except LookupError:
        raise error_for("22023", 'argument to option "encoding" must be a valid encoding name') from None
