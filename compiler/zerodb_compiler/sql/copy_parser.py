"""COPY, read from the tokens: the new form of options in parentheses and the old one of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot.tokenizer_core import TokenType

from zerodb_compiler.errors import NotSupportedError, ProgrammingError
from zerodb_compiler.sql import utility_statements as us

if TYPE_CHECKING:
    from zerodb_compiler.sql.utility_parser import Reader

Options = dict[str, str | tuple[str, ...]]
_LISTS = frozenset({"force_quote", "force_not_null", "force_null"})
_KNOWN = _LISTS | {"format", "freeze", "delimiter", "null", "header", "quote", "escape", "encoding", "default"}


def copy(reader: Reader) -> us.Copy:
    position = reader.position
    reader.expect("COPY")
    binary = reader.accept("BINARY")
    table: us.TableName | None = None
    query: str | None = None
    columns: tuple[str, ...] = ()
    start = 0
    if reader.word() == "(":
        query, start = reader.inside()
        if not query:
            raise reader.error()
    else:
        table = reader.table()
        if reader.word() == "(":
            columns = _names(reader)
    into = reader.accept("FROM")
    if not into:
        reader.expect("TO")
    if into and query is not None:
        raise ProgrammingError('syntax error at or near "FROM"', position=reader.tokens[reader.index - 1].start)
    if reader.word() == "PROGRAM" and reader.word(1) == "":
        raise NotSupportedError("COPY with PROGRAM is not supported", position=reader.position)
    target: str | None = None
    if not reader.accept("STDIN" if into else "STDOUT") and not reader.accept("STDOUT" if into else "STDIN"):
        target = reader.string()
    options: Options = {"format": "binary"} if binary else {}
    reader.accept("WITH")
    if reader.word() == "(":
        _in_parentheses(reader, options)
    else:
        _old(reader, options)
    where: str | None = None
    if into and reader.accept("WHERE"):
        if reader.at_end:
            raise reader.error()
        where = reader.text[reader.position : reader.end_of(len(reader.tokens) - 1)]
        reader.index = len(reader.tokens)
    reader.end()
    return us.Copy(into, table, columns, query, start, target, tuple(options.items()), where, position)


def _names(reader: Reader) -> tuple[str, ...]:
    reader.expect("(")
    found = [reader.name()]
    while reader.accept(","):
        found.append(reader.name())
    reader.expect(")")
    return tuple(found)


def _in_parentheses(reader: Reader, options: Options) -> None:
    reader.expect("(")
    while True:
        position = reader.position
        name = reader.name()
        if name not in _KNOWN:
            raise ProgrammingError(f'option "{name}" not recognized', position=position)
        if name in options:
            raise ProgrammingError("conflicting or redundant options", position=position)
        if name in _LISTS:
            if reader.accept("*"):
                options[name] = "*"
            elif reader.word() == "(":
                options[name] = _names(reader)
            else:
                raise reader.error()
        elif reader.word() in (",", ")"):
            if name not in ("header", "freeze"):
                raise ProgrammingError(f"{name} requires a parameter", position=position)
            options[name] = "true"
        else:
            token = reader.next()
            options[name] = str(token.text) if _is_string(token.token_type) else str(token.text).lower()
        if not reader.accept(","):
            break
    reader.expect(")")


def _is_string(kind: TokenType) -> bool:
    return kind in (TokenType.STRING, TokenType.BYTE_STRING, TokenType.RAW_STRING, TokenType.IDENTIFIER)


def _old(reader: Reader, options: Options) -> None:
    """DELIMITER AS ',' NULL AS '' CSV HEADER QUOTE '"' ESCAPE '"' FORCE QUOTE a, b ..."""

    def put(name: str, value: str | tuple[str, ...]) -> None:
        if name in options:
            raise ProgrammingError("conflicting or redundant options", position=reader.position)
        options[name] = value

    while not reader.at_end and reader.word() != "WHERE":
        if reader.accept("BINARY"):
            put("format", "binary")
        elif reader.accept("CSV"):
            put("format", "csv")
        elif reader.accept("HEADER"):
            put("header", "true")
        elif reader.accept("FREEZE"):
            put("freeze", "true")
        elif reader.word() in ("DELIMITER", "NULL", "QUOTE", "ESCAPE", "ENCODING"):
            name = reader.next().text.lower()
            reader.accept("AS")
            put(name, reader.string())
        elif reader.accept("FORCE", "QUOTE"):
            put("force_quote", "*" if reader.accept("*") else _list(reader))
        elif reader.accept("FORCE", "NOT", "NULL"):
            put("force_not_null", _list(reader))
        elif reader.accept("FORCE", "NULL"):
            put("force_null", _list(reader))
        else:
            raise reader.error()


def _list(reader: Reader) -> tuple[str, ...]:
    found = [reader.name()]
    while reader.accept(","):
        found.append(reader.name())
    return tuple(found)
