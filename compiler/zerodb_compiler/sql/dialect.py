"""ZeroQL: how SQL text becomes tokens and an AST.

sqlglot's PostgreSQL dialect does the work. Its parser is compiled by mypyc and cannot be subclassed, so what ZeroQL
adds is done on the tokens, before the parser sees them:

    ?  $1  $name  :name   all become the two tokens `$` `number`, numbered from 1 by position or first use of the name;
                          the number's token keeps the place in the text, which sqlglot's placeholders do not
    a JOIN b JOIN c ON .. ON ..    gets the parentheses that it means (join_tokens.py)
    EXPLAIN, SHOW, ...    are ordinary words here: sqlglot would swallow the rest of the statement as one string
    f(...)                a called function's name is marked, so that sqlglot does not know it and leaves the call as
                          exp.Anonymous under its own name: sqlglot's classes are those of many dialects
    a -> b                operators of json are taken apart (json_tokens.py)
    U&'..', @ x, ...      what else sqlglot does not know (syntax_tokens.py)
    WITH ... VALUES ...   becomes WITH ... SELECT * FROM (VALUES ...) (values_tokens.py)
    OVER (w)              the name is marked: it stands for a copy of the window w, OVER w for w itself

Anything sqlglot accepts and PostgreSQL does not must be caught here (on tokens) or by the binder (on nodes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ParseError, TokenError
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.tokenizer_core import Token, TokenType

from zerodb_compiler.errors import DataError, ProgrammingError, error_for
from zerodb_compiler.sql.join_tokens import nest_joins
from zerodb_compiler.sql.json_tokens import is_marked, is_operator, operator_tokens, with_operators
from zerodb_compiler.sql.nodes import CALL_MARK
from zerodb_compiler.sql.syntax_tokens import rewritten
from zerodb_compiler.sql.values_tokens import enclose_values

MAX_NESTING = 100
MAX_UNARY_RUN = 100

_UNSIGNED = {
    "U8": TokenType.UTINYINT,
    "U16": TokenType.USMALLINT,
    "U32": TokenType.UINT,
    "U64": TokenType.UBIGINT,
    "HUGEINT": TokenType.INT128,
}

# sqlglot's tokenizer takes `$1,$` for the start of a dollar-quoted string, so the `$` of a parameter travels through it
# as this character.
_PARAMETER_MARK = "\x02"
_DOLLAR = ("$", _PARAMETER_MARK)
_DOLLARS = re.compile(
    r"(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'|'[^']*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/"
    r"|\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$"
    r"|(?<!\w)(?P<parameter>\$)(?=\w)",
    re.S,
)


class ZeroQL(Postgres):
    """The PostgreSQL dialect without command swallowing and without MySQL-like leftovers."""

    INDEX_OFFSET = 0  # subscripts reach the binder as they are written

    class Tokenizer(Postgres.Tokenizer):
        COMMANDS: ClassVar[set[TokenType]] = set()
        COMMAND_PREFIX_TOKENS: ClassVar[set[TokenType]] = set()
        HINT_START = "\0"
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            **{
                key: value
                for key, value in Postgres.Tokenizer.KEYWORDS.items()
                if key not in ("==", "?::", "/*+", "{%", "{{+")
            },
            **_UNSIGNED,
        }
        SINGLE_TOKENS: ClassVar[dict[str, TokenType]] = {
            **Postgres.Tokenizer.SINGLE_TOKENS,
            _PARAMETER_MARK: TokenType.PARAMETER,
        }


_DIALECT = ZeroQL()
_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END})
_LITERAL_TYPES = frozenset(
    {
        *("date", "time", "timestamp", "timestamptz", "timetz", "uuid", "bytea", "json", "jsonb", "boolean", "bool"),
        *("text", "int", "int2", "int4", "int8", "integer", "bigint", "smallint", "numeric", "decimal", "real"),
        *("float4", "float8"),
    }
)
_FIELDS = frozenset({"year", "month", "day", "hour", "minute", "second"})
_CALLED = frozenset(
    {TokenType.VAR, TokenType.LEFT, TokenType.RIGHT, TokenType.REPLACE, TokenType.FORMAT, TokenType.UNNEST}
)
# The functions sqlglot knows, but for those that have a syntax of their own.
_OWN_SYNTAX = """
    ARRAY CAST COALESCE DATE EXISTS EXTRACT MAP NORMALIZE NULLIF OVERLAY POSITION ROW STRUCT SUBSTRING TIME TIMESTAMP
    TRIM XMLELEMENT XMLTABLE
"""
_FUNCTIONS = frozenset({*PostgresParser.FUNCTIONS, *PostgresParser.FUNCTION_PARSERS}) - {*_OWN_SYNTAX.split()}
_FRAME_WORDS = frozenset({"PARTITION", "RANGE", "ROWS", "GROUPS"})  # no names of windows, unless quoted
_UNARY = frozenset({TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.RLIKE, TokenType.TILDE})


@dataclass(frozen=True, slots=True)
class TokenizedStatement:
    """The tokens of one statement. `parameters[i]` is the name, or the 1-based number, of the user parameter i + 1."""

    tokens: list[Token]
    parameters: tuple[str | int, ...]


def tokenize(text: str, *, gaps: bool = False) -> list[TokenizedStatement]:
    """Split the text into statements; empty ones are left out. Raises ProgrammingError 42601, and DataError 22021 where
    there is a zero byte, which no text can hold. `gaps`: of numbered parameters some may be missing."""
    if "\0" in text:
        message = "invalid byte sequence: text cannot hold a zero byte"
        raise DataError(message, sqlstate="22021", position=text.index("\0") + 1)
    marked = _DOLLARS.sub(_mark_parameter, text) if text.count("$") > 1 else text
    try:
        tokens = _DIALECT.tokenize(marked)
    except TokenError:
        raise ProgrammingError("unterminated string, identifier or comment", position=_unterminated(text)) from None
    statements: list[TokenizedStatement] = []
    chunk: list[Token] = []
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            if chunk:
                statements.append(_rewrite(chunk, gaps))
            chunk = []
        else:
            chunk.append(token)
    if chunk:
        statements.append(_rewrite(chunk, gaps))
    return statements


def _mark_parameter(found: re.Match[str]) -> str:
    return _PARAMETER_MARK if found["parameter"] else found[0]


def parse_tokens(tokens: list[Token], text: str) -> exp.Expr:
    """The AST of one statement's tokens."""
    parser = _DIALECT.parser()
    try:
        trees = parser.parse(_mark_calls(tokens), text)
    except ParseError as error:
        raise _syntax_error(error, tokens, text) from None
    except (TypeError, AttributeError, LookupError, ValueError):  # how sqlglot says that an operand is missing
        at: Token | None = parser._curr
        if at is None:
            raise ProgrammingError("syntax error at end of input", position=tokens[-1].end + 1) from None
        raise ProgrammingError(f'syntax error at or near "{at.text}"', position=at.start) from None
    tree = trees[0] if trees else None
    if tree is None:
        raise ProgrammingError("syntax error", position=tokens[0].start)
    return with_operators(tree) if is_marked(tokens) else tree


def _mark_calls(tokens: list[Token]) -> list[Token]:
    marked = list(tokens)
    for index in range(len(tokens) - 1):
        token = tokens[index]
        if (
            tokens[index + 1].token_type is TokenType.L_PAREN
            and token.token_type in _CALLED
            and token.text.upper() in _FUNCTIONS
        ):
            name = token.text + CALL_MARK
            marked[index] = Token(TokenType.VAR, name, token.line, token.col, token.start, token.end)
        elif token.token_type is TokenType.OVER and _is_copied(tokens, index):
            window = tokens[index + 2]
            name = window.text + CALL_MARK
            marked[index + 2] = Token(window.token_type, name, window.line, window.col, window.start, window.end)
    return marked


def _is_copied(tokens: list[Token], over: int) -> bool:
    """OVER (w), which sqlglot does not tell from OVER w."""
    following = [token.token_type for token in tokens[over + 1 : over + 4]]
    if len(following) < 3 or following[0] is not TokenType.L_PAREN or following[2] is not TokenType.R_PAREN:
        return False
    name = tokens[over + 2]
    if name.token_type is not TokenType.IDENTIFIER and name.text.upper() in _FRAME_WORDS:
        raise ProgrammingError('syntax error at or near ")"', position=tokens[over + 3].start)
    return True


class _Limits:
    """Refuses, token by token, what would overflow the parser's stack."""

    __slots__ = ("depth", "run")

    def __init__(self) -> None:
        self.depth = 0
        self.run = 0

    def see(self, token: Token) -> None:
        kind = token.token_type
        self.run = self.run + 1 if kind in _UNARY else 0
        if kind in _OPENING:
            self.depth += 1
        elif kind in _CLOSING:
            self.depth = max(0, self.depth - 1)
        if self.depth > MAX_NESTING or self.run > MAX_UNARY_RUN:
            raise error_for("54001", "statement is nested too deeply", position=token.start)


def _rewrite(tokens: list[Token], gaps: bool) -> TokenizedStatement:
    """Number the parameters, and refuse what would overflow the parser's stack."""
    tokens = rewritten(tokens)
    out: list[Token] = []
    names: dict[str | int, int] = {}
    limits = _Limits()
    style: str | None = None
    index = 0
    while index < len(tokens):
        token = tokens[index]
        kind = token.token_type
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        name: str | int | None = None
        used = 1
        if kind is TokenType.DQMARK:
            raise ProgrammingError('syntax error at or near "??"', position=token.start)
        if is_operator(tokens, index):
            out.extend(operator_tokens(token))
            index += 1
            limits.run = 0
            continue
        if kind is TokenType.PLACEHOLDER:
            name, this_style = len(names) + 1, "?"
        elif kind in (TokenType.PARAMETER, TokenType.COLON) and following is not None and _adjacent(token, following):
            if token.text in _DOLLAR and following.token_type is TokenType.NUMBER and following.text.isdigit():
                name, this_style, used = int(following.text), "$1", 2
            elif token.text in (*_DOLLAR, ":") and following.text.isidentifier():
                name, this_style, used = following.text, "name", 2
        if name is not None:
            if style not in (None, this_style):
                raise ProgrammingError("cannot mix kinds of parameters in one statement", position=token.start)
            style = this_style
            out.extend(_parameter(token, names, name))
            index += used
            limits.run = 0
            continue
        if kind is TokenType.PARAMETER and token.text in _DOLLAR:
            raise ProgrammingError('syntax error at or near "$"', position=token.start)
        if following is not None and (literal := _typed_literal(tokens, index)) is not None:
            used, replacement = literal
            out.extend(replacement)
            index += used
            limits.run = 0
            continue
        if kind is TokenType.INTERVAL and (interval := _interval(tokens, index)) is not None:
            used, replacement = interval
            out.extend(replacement)
            index += used
            limits.run = 0
            continue
        if kind is TokenType.NUMBER and following is not None and _junk(token, following):
            raise ProgrammingError(
                f'trailing junk after numeric literal at or near "{token.text}{following.text}"', position=token.start
            )
        limits.see(token)
        out.append(token)
        index += 1
    if any(token.token_type is TokenType.JOIN for token in out):
        out = nest_joins(out)
        if len(out) > len(tokens) and _depth(out) > MAX_NESTING:
            raise error_for("54001", "statement is nested too deeply", position=tokens[0].start)
    kinds = {token.token_type for token in out}
    if TokenType.WITH in kinds and TokenType.VALUES in kinds:
        out = enclose_values(out)
    return TokenizedStatement(out, _numbered(names, style, tokens[0].start, gaps))


def _depth(tokens: list[Token]) -> int:
    depth = deepest = 0
    for token in tokens:
        if token.token_type in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif token.token_type in _CLOSING:
            depth -= 1
    return deepest


def _typed_literal(tokens: list[Token], index: int) -> tuple[int, list[Token]] | None:
    """date '2020-01-01' as ('2020-01-01'::date), and how many tokens it replaces: sqlglot would apply a :: behind it to
    the string first."""
    if tokens[index].text.lower() not in _LITERAL_TYPES or tokens[index].token_type is TokenType.IDENTIFIER:
        return None
    _, at = _precision(tokens, index + 1)
    if tokens[index].text.lower() in ("timestamp", "time") and at + 2 < len(tokens):
        words = [token.text.lower() for token in tokens[at : at + 3]]
        at += 3 if words in (["with", "time", "zone"], ["without", "time", "zone"]) else 0
    if at >= len(tokens) or tokens[at].token_type is not TokenType.STRING:
        return None
    string = tokens[at]
    place = (string.line, string.col, string.start, string.end)
    return at + 1 - index, [
        Token(TokenType.L_PAREN, "(", *place),
        string,
        Token(TokenType.DCOLON, "::", *place),
        *tokens[index:at],
        Token(TokenType.R_PAREN, ")", *place),
    ]


def _interval(tokens: list[Token], index: int) -> tuple[int, list[Token]] | None:
    """What stands for INTERVAL, its literal and its modifiers, and how many tokens it replaces; None for a plain type.

    interval '3' minute to second (2)  ->  ('3'::"interval_minute_to_second_2"): sqlglot's own node keeps only a part
    of the text, and knows no modifiers. The type's name is taken apart in binder_types.py."""
    at = index + 1
    precision, at = _precision(tokens, at)
    string = tokens[at] if at < len(tokens) and tokens[at].token_type is TokenType.STRING else None
    at += string is not None
    fields: list[str] = []
    if precision is None and _is_field(tokens, at):
        fields.append(tokens[at].text.lower())
        at += 1
        if at + 1 < len(tokens) and tokens[at].text.lower() == "to" and _is_field(tokens, at + 1):
            fields += ["to", tokens[at + 1].text.lower()]
            at += 2
        if fields[-1] == "second":
            precision, at = _precision(tokens, at)
    if string is None and not fields and precision is None:
        return None
    name = "_".join(["interval", *fields]) + ("" if precision is None else f"_{precision}")
    first = tokens[index]
    place = (first.line, first.col, first.start, first.end)
    plain = name == "interval"
    kind = Token(TokenType.INTERVAL if plain else TokenType.IDENTIFIER, name, *place)
    if string is None:
        return at - index, [kind]
    place = (string.line, string.col, string.start, string.end)
    # In parentheses, or sqlglot would take an alias that follows for the type's unit.
    return at - index, [
        Token(TokenType.L_PAREN, "(", *place),
        Token(TokenType.STRING, string.text, *place),
        Token(TokenType.DCOLON, "::", *place),
        kind,
        Token(TokenType.R_PAREN, ")", *place),
    ]


def _is_field(tokens: list[Token], at: int) -> bool:
    return at < len(tokens) and tokens[at].text.lower() in _FIELDS and tokens[at].token_type is not TokenType.IDENTIFIER


def _precision(tokens: list[Token], at: int) -> tuple[int | None, int]:
    """(n) at a place, and the place after it."""
    if at + 2 < len(tokens) and tokens[at].token_type is TokenType.L_PAREN:
        number, closing = tokens[at + 1], tokens[at + 2]
        if number.token_type is TokenType.NUMBER and number.text.isdigit() and closing.token_type is TokenType.R_PAREN:
            return int(number.text[:4]), at + 3
    return None, at


def _parameter(token: Token, names: dict[str | int, int], name: str | int) -> tuple[Token, Token]:
    if isinstance(name, int):
        number = name
        if not 1 <= number <= 65_535:
            raise ProgrammingError(f"there is no parameter ${number}", sqlstate="42P02", position=token.start)
        names[name] = number
    else:
        number = names.setdefault(name, len(names) + 1)
    start = token.start
    return (
        Token(TokenType.PARAMETER, "$", token.line, token.col, start, start),
        Token(TokenType.NUMBER, str(number), token.line, token.col, start, start),
    )


def _numbered(names: dict[str | int, int], style: str | None, position: int, gaps: bool) -> tuple[str | int, ...]:
    if style == "name":
        return tuple(names)
    count = max(names.values(), default=0)
    if count != len(names) and not gaps:
        missing = next(number for number in range(1, count) if number not in names)
        raise ProgrammingError(
            f"could not determine data type of parameter ${missing}", sqlstate="42P18", position=position
        )
    return tuple(range(1, count + 1))


def _adjacent(first: Token, second: Token) -> bool:
    return second.start == first.start + 1


def _junk(number: Token, following: Token) -> bool:
    return following.start == number.end + 1 and (following.text[:1].isalnum() or following.text[:1] == "_")


def _syntax_error(error: ParseError, tokens: list[Token], text: str) -> ProgrammingError:
    details = error.errors[0] if error.errors else {}
    line, column = details.get("line"), details.get("col")
    token = next((t for t in tokens if t.line == line and t.col == column), None) if line else None
    if token is None:
        return ProgrammingError("syntax error at end of input", position=tokens[-1].end + 1)
    if token is tokens[-1] and not str(details.get("description", "")).startswith("Invalid expression"):
        return ProgrammingError(f'syntax error after "{text[token.start : token.end + 1]}"', position=token.start)
    return ProgrammingError(f'syntax error at or near "{text[token.start : token.end + 1]}"', position=token.start)


def _unterminated(text: str) -> int:
    """Where the last quote or comment that could be open begins: the tokenizer does not say."""
    return max(text.rfind("'"), text.rfind('"'), text.rfind("/*"), text.rfind("$"), 0)
