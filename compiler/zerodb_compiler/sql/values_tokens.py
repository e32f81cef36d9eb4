"""WITH ... VALUES (1), (2): sqlglot does not know rows behind a WITH, so they become a SELECT over them."""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType

_SELECTED = (
    (TokenType.SELECT, "SELECT"),
    (TokenType.STAR, "*"),
    (TokenType.FROM, "FROM"),
    (TokenType.L_PAREN, "("),
)


def enclose_values(tokens: list[Token]) -> list[Token]:
    """WITH w AS (...) VALUES (1), (2) ORDER BY 1  ->  WITH w AS (...) SELECT * FROM (VALUES (1), (2)) ORDER BY 1"""
    out: list[Token] = []
    opened: list[int] = []
    closed_by: dict[int, int] = {}  # place of a closing parenthesis -> of its opening one
    until = -1  # the last row of the VALUES being enclosed ends here
    for index, token in enumerate(tokens):
        if token.token_type is TokenType.L_PAREN:
            opened.append(index)
        elif token.token_type is TokenType.R_PAREN and opened:
            closed_by[index] = opened.pop()
        elif token.token_type is TokenType.VALUES and _behind_common(tokens, closed_by.get(index - 1)):
            until = _last_row(tokens, index + 1)
            if until >= 0:
                place = (token.line, token.col, token.start, token.end)
                out += [Token(kind, text, *place) for kind, text in _SELECTED]
        out.append(token)
        if index == until:
            out.append(Token(TokenType.R_PAREN, ")", token.line, token.col, token.start, token.end))
    return out


def _behind_common(tokens: list[Token], opening: int | None) -> bool:
    """The parenthesis is that of a common table expression: name [(columns)] AS [[NOT] MATERIALIZED] (."""
    if opening is None or opening == 0:
        return False
    before = tokens[opening - 1]
    return before.token_type is TokenType.ALIAS or before.text.upper() == "MATERIALIZED"


def _last_row(tokens: list[Token], at: int) -> int:
    """The place of the parenthesis that ends the last row of a VALUES list, -1 if it is none."""
    last, depth = -1, 0
    while at < len(tokens):
        kind = tokens[at].token_type
        if kind is TokenType.L_PAREN:
            depth += 1
        elif kind is TokenType.R_PAREN:
            depth -= 1
            if depth == 0:
                last = at
                if at + 1 >= len(tokens) or tokens[at + 1].token_type is not TokenType.COMMA:
                    return last
                at += 1
        elif depth == 0:
            return last
        at += 1
    return last if depth == 0 else -1
