"""Utility statements read from the tokens: TRUNCATE, LOCK, PREPARE, EXECUTE, DEALLOCATE, DISCARD, LISTEN, NOTIFY, DO,
CALL, SET, SHOW, RESET."""

from __future__ import annotations

import re

from sqlglot.tokenizer_core import Token, TokenType

from zerodb_compiler.errors import NotSupportedError, ProgrammingError
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql import utility_statements as us

LOCK_MODES = (
    "access share",
    "row share",
    "row exclusive",
    "share update exclusive",
    "share",
    "share row exclusive",
    "exclusive",
    "access exclusive",
)
_PARAMETER = re.compile(r"[$:]\w+|\?")


class Reader:
    """The tokens of one statement, from left to right."""

    __slots__ = ("index", "text", "tokens")

    def __init__(self, tokens: list[Token], text: str) -> None:
        self.tokens = tokens
        self.text = text
        self.index = 0

    @property
    def at_end(self) -> bool:
        return self.index >= len(self.tokens)

    @property
    def position(self) -> int:
        return self.tokens[-1].end + 1 if self.at_end else self.tokens[self.index].start

    def error(self) -> ProgrammingError:
        if self.at_end:
            return ProgrammingError("syntax error at end of input", position=self.position)
        token = self.tokens[self.index]
        return ProgrammingError(
            f'syntax error at or near "{self.text[token.start : token.end + 1]}"', position=token.start
        )

    def word(self, ahead: int = 0) -> str:
        """The next word in upper case; "" for quoted names, strings, and at the end."""
        index = self.index + ahead
        if index >= len(self.tokens):
            return ""
        token = self.tokens[index]
        if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING):
            return ""
        return str(token.text).upper()

    def accept(self, *words: str) -> bool:
        """Takes the words if they come next."""
        if all(self.word(ahead) == word for ahead, word in enumerate(words)):
            self.index += len(words)
            return True
        return False

    def expect(self, *words: str) -> None:
        if not self.accept(*words):
            raise self.error()

    def one_of(self, *words: str) -> str | None:
        return next((word for word in words if self.accept(word)), None)

    def end(self) -> None:
        if not self.at_end:
            raise self.error()

    def next(self) -> Token:
        if self.at_end:
            raise self.error()
        self.index += 1
        return self.tokens[self.index - 1]

    def name(self) -> str:
        token = self.next()
        if token.token_type is TokenType.IDENTIFIER:
            return str(token.text)
        if token.token_type is TokenType.STRING or not str(token.text).isidentifier():
            self.index -= 1
            raise self.error()
        return str(token.text).lower()

    def table(self) -> us.TableName:
        position = self.position
        name = self.name()
        if self.accept("."):
            return us.TableName(self.name(), name, position)
        return us.TableName(name, None, position)

    def tables(self) -> tuple[us.TableName, ...]:
        found = []
        while True:
            self.accept("ONLY")
            found.append(self.table())
            self.accept("*")
            if not self.accept(","):
                return tuple(found)

    def string(self) -> str:
        token = self.next()
        if token.token_type not in (TokenType.STRING, TokenType.NATIONAL_STRING, TokenType.RAW_STRING) and (
            token.token_type is not TokenType.BYTE_STRING
        ):
            self.index -= 1
            raise self.error()
        return str(token.text)

    def end_of(self, index: int) -> int:
        """Where the token's text ends; a parameter's two tokens have only its beginning."""
        token = self.tokens[index]
        if index and self.tokens[index - 1].token_type is TokenType.PARAMETER:
            found = _PARAMETER.match(self.text, token.start)
            if found is not None:
                return found.end()
        return int(token.end) + 1

    def inside(self) -> tuple[str, int]:
        """The text from the parenthesis that comes next to its end, without both, and where it begins."""
        self.expect("(")
        first, depth = self.index, 1
        while depth:
            kind = self.next().token_type
            depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if self.index - 1 == first:
            return "", self.position
        begin, end = self.tokens[first].start, self.end_of(self.index - 2)
        return self.text[begin:end], begin

    def items(self) -> list[tuple[str, int]]:
        """The texts of the comma-separated items of the parenthesis that comes next, with their places."""
        self.expect("(")
        found: list[tuple[str, int]] = []
        first, depth = self.index, 1
        while depth:
            kind = self.next().token_type
            depth += (kind in (TokenType.L_PAREN, TokenType.L_BRACKET)) - (
                kind in (TokenType.R_PAREN, TokenType.R_BRACKET)
            )
            if depth == 0 or (depth == 1 and kind is TokenType.COMMA):
                if self.index - 1 == first:
                    self.index -= 1
                    raise self.error()
                begin, end = self.tokens[first].start, self.end_of(self.index - 2)
                found.append((self.text[begin:end], begin))
                first = self.index
        return found


def utility(tokens: list[Token], text: str) -> us.UtilityStatement | st.SetOption | st.ShowOption | None:
    """The statement, or None if it is none of these."""
    reader = Reader(tokens, text)
    match reader.word():
        case "TRUNCATE":
            return _truncate(reader)
        case "LOCK":
            return _lock(reader)
        case "PREPARE":
            return _prepare(reader)
        case "EXECUTE":
            return _execute(reader)
        case "DEALLOCATE":
            return _deallocate(reader)
        case "DISCARD":
            return _discard(reader)
        case "LISTEN" | "UNLISTEN" | "NOTIFY":
            return _listening(reader)
        case "SET":
            return _set(reader)
        case "SHOW" | "RESET":
            return _show(reader)
        case "DO":
            return _do(reader)
        case "CALL":
            return _call(reader)
        case "COPY":
            from zerodb_compiler.sql.copy_parser import copy

            return copy(reader)
    return None


def _truncate(reader: Reader) -> us.Truncate:
    reader.expect("TRUNCATE")
    reader.accept("TABLE")
    tables = reader.tables()
    restart = reader.accept("RESTART", "IDENTITY")
    if not restart:
        reader.accept("CONTINUE", "IDENTITY")
    cascade = reader.accept("CASCADE")
    if not cascade:
        reader.accept("RESTRICT")
    reader.end()
    return us.Truncate(tables, restart, cascade)


def _lock(reader: Reader) -> us.LockTable:
    reader.expect("LOCK")
    reader.accept("TABLE")
    tables = reader.tables()
    mode = "access exclusive"
    if reader.accept("IN"):
        for known in sorted(LOCK_MODES, key=len, reverse=True):
            if reader.accept(*known.upper().split()):
                mode = known
                break
        else:
            raise reader.error()
        reader.expect("MODE")
    nowait = bool(reader.accept("NOWAIT"))
    reader.end()
    return us.LockTable(tables, mode, nowait)


def _prepare(reader: Reader) -> us.PrepareStatement:
    reader.expect("PREPARE")
    if reader.word() == "TRANSACTION":
        raise NotSupportedError("PREPARE TRANSACTION is not supported", position=reader.position)
    name = reader.name()
    types: tuple[str, ...] = ()
    if reader.word() == "(":
        types = tuple(text for text, _ in reader.items())
    reader.expect("AS")
    if reader.at_end:
        raise reader.error()
    if reader.word() not in ("SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE", "("):
        raise reader.error()
    start = reader.position
    return us.PrepareStatement(name, types, reader.text[start : reader.end_of(len(reader.tokens) - 1)], start)


def _execute(reader: Reader) -> us.ExecuteStatement:
    reader.expect("EXECUTE")
    name = reader.name()
    arguments: tuple[tuple[str, int], ...] = ()
    if reader.word() == "(":
        arguments = tuple(reader.items())
    reader.end()
    return us.ExecuteStatement(name, arguments)


def _deallocate(reader: Reader) -> us.Deallocate:
    reader.expect("DEALLOCATE")
    reader.accept("PREPARE")
    name = None if reader.accept("ALL") else reader.name()
    reader.end()
    return us.Deallocate(name)


def _do(reader: Reader) -> us.Do:
    reader.expect("DO")
    language, body = "plpgsql", None
    position = None
    while not reader.at_end:
        at = reader.position
        if reader.accept("LANGUAGE"):
            language = reader.name() if reader.word() else reader.string().lower()
            if language != "plpgsql":
                raise NotSupportedError(f"DO in LANGUAGE {language} is not supported", position=at)
        elif body is None:
            token = reader.next()
            if token.token_type not in (TokenType.STRING, TokenType.HEREDOC_STRING):
                reader.index -= 1
                raise reader.error()
            body = str(token.text)
            found = reader.text[token.start : token.end + 1].find(body)
            position = token.start + found if found > 0 else None
        else:
            raise reader.error()
    if body is None:
        raise ProgrammingError("no inline code specified", sqlstate="42601", position=reader.position)
    return us.Do(body, position)


def _call(reader: Reader) -> us.Call:
    reader.expect("CALL")
    procedure = reader.table()
    if reader.word() != "(":
        raise reader.error()
    arguments: tuple[tuple[str, int], ...] = ()
    if reader.word(1) == ")":
        reader.expect("(", ")")
    else:
        arguments = tuple(reader.items())
    reader.end()
    return us.Call(procedure, arguments)


def _discard(reader: Reader) -> us.Discard:
    reader.expect("DISCARD")
    what = reader.one_of("ALL", "PLANS", "SEQUENCES", "TEMP", "TEMPORARY")
    if what is None:
        raise reader.error()
    reader.end()
    return us.Discard({"TEMPORARY": "temp"}.get(what, what.lower()))


def _listening(reader: Reader) -> us.Listen | us.Unlisten | us.Notify:
    word = reader.one_of("LISTEN", "UNLISTEN", "NOTIFY")
    if word == "UNLISTEN" and reader.accept("*"):
        reader.end()
        return us.Unlisten(None)
    channel, payload = reader.name(), ""
    if word == "NOTIFY" and reader.accept(","):
        token = reader.next()
        if token.token_type is not TokenType.STRING:
            reader.index -= 1
            raise reader.error()
        payload = str(token.text)
    reader.end()
    if word == "NOTIFY":
        return us.Notify(channel, payload)
    return us.Listen(channel) if word == "LISTEN" else us.Unlisten(channel)


def _set(reader: Reader) -> us.UtilityStatement | st.SetOption:
    from zerodb_compiler.sql.transaction_parser import modes, set_constraints, set_transaction

    reader.expect("SET")
    if reader.accept("TRANSACTION") or reader.accept("LOCAL", "TRANSACTION"):
        return set_transaction(reader)
    if reader.accept("SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"):
        return us.SetTransaction(modes(reader), session=True)
    if reader.accept("CONSTRAINTS"):
        return set_constraints(reader)
    local = False
    if reader.word(1) not in ("TO", "="):
        local = reader.accept("LOCAL")
        if not local:
            reader.accept("SESSION")
    if reader.accept("TIME", "ZONE"):
        name = "timezone"
    elif reader.accept("SCHEMA"):
        name = "search_path"
    elif reader.accept("NAMES"):
        name = "client_encoding"
        if reader.at_end:
            return st.SetOption(name, None, local)
    elif reader.accept("AUTHORIZATION"):
        name = "session_authorization"
    elif reader.word() == "ROLE" and reader.word(1) not in ("TO", "="):
        reader.next()
        name = "role"
    else:
        name = _setting_name(reader)
        if not (reader.accept("TO") or reader.accept("=")):
            raise reader.error()
    if reader.accept("DEFAULT") or (name == "timezone" and reader.accept("LOCAL")):
        reader.end()
        return st.SetOption(name, None, local)
    values = [_value(reader)]
    while reader.accept(","):
        values.append(_value(reader))
    reader.end()
    return st.SetOption(name, ", ".join(values), local)


def _setting_name(reader: Reader) -> str:
    name = reader.name()
    while reader.accept("."):
        name += "." + reader.name()
    return name


def _value(reader: Reader) -> str:
    """A value as SET takes it: a string, a number, a word."""
    sign = ""
    if reader.word() in ("-", "+"):
        sign = "-" if reader.next().text == "-" else ""
    if reader.accept("INTERVAL"):
        raise NotSupportedError("an interval as a time zone is not supported", position=reader.position)
    token = reader.next()
    if token.token_type in (TokenType.STRING, TokenType.BYTE_STRING, TokenType.RAW_STRING):
        return sign + str(token.text)
    if token.token_type is TokenType.IDENTIFIER:
        text = str(token.text)
        return f'"{text}"' if text != text.lower() or not text.isidentifier() else text
    if token.token_type is TokenType.NUMBER or str(token.text).replace("_", "a").isalnum():
        return sign + str(token.text)
    reader.index -= 1
    raise reader.error()


def _show(reader: Reader) -> st.SetOption | st.ShowOption:
    reset = reader.accept("RESET")
    if not reset:
        reader.expect("SHOW")
    if reader.accept("TRANSACTION", "ISOLATION", "LEVEL"):
        name = "transaction_isolation"
    elif reader.accept("TIME", "ZONE"):
        name = "timezone"
    elif reader.accept("SESSION", "AUTHORIZATION"):
        name = "session_authorization"
    else:
        name = _setting_name(reader)
    reader.end()
    return st.SetOption(name, None) if reset else st.ShowOption(name)


# --- EXPLAIN ----------------------------------------------------------------------------------------------------------

_EXPLAIN_FLAGS = ("analyze", "verbose", "costs", "settings", "buffers", "wal", "timing", "summary")
_TRUE, _FALSE = frozenset({"true", "on", "1"}), frozenset({"false", "off", "0"})
_QUERY_WORDS = ("SELECT", "WITH", "VALUES", "TABLE", "(", "INSERT", "UPDATE", "DELETE", "MERGE")


def explain_options(reader: Reader) -> tuple[bool, tuple[str, ...]]:
    """Whether to run the statement, and the options that are on or differ from what is usual: "verbose", "no costs",
    "no timing", "no summary", "buffers", "settings", "json"."""
    reader.expect("EXPLAIN")
    flags: dict[str, bool] = {}
    form = "text"
    if reader.word() == "(" and reader.word(1) not in _QUERY_WORDS:
        reader.expect("(")
        while True:
            position = reader.position
            name = {"analyse": "analyze"}.get(word := reader.name(), word)
            if name == "format":
                form = _explain_format(reader)
            elif name in _EXPLAIN_FLAGS:
                flags[name] = _explain_flag(reader, name)
            else:
                raise ProgrammingError(f'unrecognized EXPLAIN option "{name}"', position=position)
            if not reader.accept(","):
                break
        reader.expect(")")
    else:
        for words in (("ANALYZE", "ANALYSE"), ("VERBOSE",)):
            if reader.one_of(*words) is not None:
                flags[words[0].lower()] = True
    analyze = flags.get("analyze", False)
    for name in ("wal", "timing"):
        if flags.get(name) and not analyze:
            raise ProgrammingError(f"EXPLAIN option {name.upper()} requires ANALYZE", sqlstate="22023")
    if flags.get("wal"):
        raise NotSupportedError("EXPLAIN option WAL is not supported")
    found = [name for name in ("verbose", "buffers", "settings") if flags.get(name)]
    found += [f"no {name}" for name in ("costs", "timing", "summary") if flags.get(name) is False]
    if form != "text":
        found.append(form)
    return analyze, tuple(found)


def _explain_flag(reader: Reader, name: str) -> bool:
    if reader.word() in (",", ")"):
        return True
    word = str(reader.next().text).lower()
    if word not in _TRUE | _FALSE:
        raise ProgrammingError(f"{name} requires a Boolean value")
    return word in _TRUE


def _explain_format(reader: Reader) -> str:
    position = reader.position
    form = str(reader.next().text).lower()
    if form in ("xml", "yaml"):
        raise NotSupportedError(f"EXPLAIN with FORMAT {form} is not supported", position=position)
    if form not in ("text", "json"):
        raise ProgrammingError(
            f'unrecognized value for EXPLAIN option "format": "{form}"', sqlstate="22023", position=position
        )
    return form
