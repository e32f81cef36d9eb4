"""Joins as sqlglot's parser wants them, done on the tokens.

    a JOIN b JOIN c ON x ON y      ->  a JOIN (b JOIN c ON x) ON y     sqlglot takes a JOIN without its condition for a
                                                                       comma, and tries all ways to nest several
    JOIN b USING (x) AS j          ->  JOIN b USING (x, "<mark>j")     which sqlglot does not know; the binder takes the
                                                                       marked name off again

A JOIN waits for its ON or USING; another JOIN that comes first belongs to its right side, which gets parentheses.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot.tokenizer_core import Token, TokenType

from zerodb_compiler.errors import ProgrammingError

USING_ALIAS = "\x03"

_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET})
_SIDES = frozenset({TokenType.LEFT, TokenType.RIGHT, TokenType.FULL, TokenType.INNER, TokenType.OUTER})
_ENDS = frozenset(
    {
        TokenType.COMMA,
        TokenType.WHERE,
        TokenType.GROUP_BY,
        TokenType.HAVING,
        TokenType.ORDER_BY,
        TokenType.LIMIT,
        TokenType.OFFSET,
        TokenType.FETCH,
        TokenType.UNION,
        TokenType.INTERSECT,
        TokenType.EXCEPT,
        TokenType.SEMICOLON,
    }
)


@dataclass(slots=True)
class _Waiting:
    """A JOIN without its condition yet: where its right side begins in the output, whether that is in parentheses."""

    right: int
    token: Token
    opened: bool = False


def nest_joins(tokens: list[Token]) -> list[Token]:
    """The tokens of a statement with explicit nesting. ProgrammingError 42601 for a JOIN without condition."""
    out: list[Token] = []
    levels: list[list[_Waiting]] = [[]]
    index = 0
    while index < len(tokens):
        token = tokens[index]
        kind = token.token_type
        waiting = levels[-1]
        if kind in _OPENING:
            levels.append([])
        elif kind in _CLOSING and len(levels) > 1:
            _end(waiting)
            levels.pop()
        elif kind is TokenType.JOIN:
            _join(token, tokens, index, out, waiting)
        elif kind in (TokenType.ON, TokenType.USING) and waiting:
            join = waiting.pop()
            if join.opened:
                out.append(_paren(TokenType.R_PAREN, token))
            if kind is TokenType.USING:
                index = _using(tokens, index, out)
                continue
        elif kind in _ENDS:
            _end(waiting)
        out.append(token)
        index += 1
    for waiting in levels:
        _end(waiting)
    return out


def _join(token: Token, tokens: list[Token], index: int, out: list[Token], waiting: list[_Waiting]) -> None:
    first = index - 1
    while first > 0 and tokens[first].token_type in _SIDES:
        first -= 1
    natural = tokens[first].token_type in (TokenType.CROSS, TokenType.NATURAL)
    if waiting and not waiting[-1].opened and waiting[-1].right < len(out):
        join = waiting[-1]
        out.insert(join.right, _paren(TokenType.L_PAREN, out[join.right]))
        join.opened = True
    if not natural:
        waiting.append(_Waiting(len(out) + 1, token))


def _using(tokens: list[Token], index: int, out: list[Token]) -> int:
    """Copies USING (names) and takes in an AS alias; gives the index after it."""
    close = index
    while close < len(tokens) and tokens[close].token_type is not TokenType.R_PAREN:
        close += 1
    out.extend(tokens[index:close])
    if close + 2 < len(tokens) and tokens[close + 1].token_type is TokenType.ALIAS:
        name = tokens[close + 2]
        quoted = name.token_type is TokenType.IDENTIFIER
        text = USING_ALIAS + (name.text if quoted else name.text.lower())
        place = (name.line, name.col, name.start, name.end)
        out.append(Token(TokenType.COMMA, ",", *place))
        out.append(Token(TokenType.IDENTIFIER, text, *place))
        out.append(tokens[close])
        return close + 3
    if close < len(tokens):
        out.append(tokens[close])
    return close + 1


def _end(waiting: list[_Waiting]) -> None:
    if waiting:
        raise ProgrammingError("syntax error: JOIN without ON or USING", position=waiting[-1].token.start)


def _paren(kind: TokenType, near: Token) -> Token:
    text = "(" if kind is TokenType.L_PAREN else ")"
    return Token(kind, text, near.line, near.col, near.start, near.end)
