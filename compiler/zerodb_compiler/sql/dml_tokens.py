"""What sqlglot's parser does not know of changes, done on their tokens before it sees them.

INSERT ... OVERRIDING {SYSTEM | USER} VALUE   taken out, and written down at the INSERT
UPDATE ... FROM (VALUES ...) v JOIN ...       (SELECT * FROM (VALUES ...)) v JOIN ...
WHERE CURRENT OF cursor                       refused by name
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.sql.dialect import parse_tokens


def parse_change(tokens: list[Token], text: str) -> exp.Expr:
    """The AST of a statement that may be a change."""
    kinds = {token.token_type for token in tokens}
    overriding: str | None = None
    if TokenType.VALUES in kinds and (TokenType.UPDATE in kinds or TokenType.DELETE in kinds):
        tokens = _wrap_values(tokens)
    upper = text.upper()
    if "OVERRIDING" in upper:
        tokens, overriding = _without_overriding(tokens)
    if "CURRENT" in upper:
        _refuse_cursor(tokens)
    tree = parse_tokens(tokens, text)
    if overriding is not None:
        found = list(tree.find_all(exp.Insert))
        if len(found) != 1:
            raise NotSupportedError("OVERRIDING in a statement of several INSERTs is not supported")
        found[0].set("overriding", overriding)
    return tree


def _words(tokens: list[Token], index: int, count: int) -> list[str]:
    return [token.text.upper() for token in tokens[index : index + count]]


def _without_overriding(tokens: list[Token]) -> tuple[list[Token], str | None]:
    for index in range(len(tokens)):
        match _words(tokens, index, 3):
            case ["OVERRIDING", ("SYSTEM" | "USER") as kind, "VALUE"]:
                return tokens[:index] + tokens[index + 3 :], kind.lower()
    return tokens, None


def _refuse_cursor(tokens: list[Token]) -> None:
    for index in range(len(tokens)):
        if _words(tokens, index, 3) == ["WHERE", "CURRENT", "OF"]:
            raise NotSupportedError("WHERE CURRENT OF is not supported", position=tokens[index + 1].start)


def _wrap_values(tokens: list[Token]) -> list[Token]:
    """FROM ( VALUES ... ) -> FROM ( SELECT * FROM ( VALUES ... ) )"""
    out: list[Token] = []
    closing: list[int] = []  # depths at which a parenthesis more is to be closed
    depth = 0
    for index, token in enumerate(tokens):
        out.append(token)
        place = (token.line, token.col, token.start, token.end)
        if token.token_type is TokenType.L_PAREN:
            depth += 1
            before = tokens[index - 1].token_type if index else None
            following = tokens[index + 1].token_type if index + 1 < len(tokens) else None
            if before in (TokenType.FROM, TokenType.USING) and following is TokenType.VALUES:
                closing.append(depth)
                out += [
                    Token(TokenType.SELECT, "SELECT", *place),
                    Token(TokenType.STAR, "*", *place),
                    Token(TokenType.FROM, "FROM", *place),
                    Token(TokenType.L_PAREN, "(", *place),
                ]
        elif token.token_type is TokenType.R_PAREN:
            if closing and closing[-1] == depth:
                closing.pop()
                out.append(Token(TokenType.R_PAREN, ")", *place))
            depth -= 1
    return out
