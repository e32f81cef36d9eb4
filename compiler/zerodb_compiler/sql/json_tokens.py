"""The operators of json and jsonb on their way through sqlglot: -> ->> #> #>> ? ?| ?& #- @? @@.

sqlglot binds some of them as tightly as `::` and reads the key behind -> as a path of its own. In PostgreSQL all have
one precedence, that of ||: below arithmetic, above comparison. So each becomes what sqlglot reads at that level, with
its symbol as a marked string between:

    a || b -> c     ->     a || b ?? '\\x03->' ?? c     ->     Coalesce(Coalesce(a || b, '\\x03->'), c)

and the tree gets exp.Operator nodes in place of these pairs. A `?` behind an operand and before one is an operator,
any other one a parameter.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from zerodb_compiler.sql.nodes import CALL_MARK

_SYMBOLS = frozenset({"->", "->>", "#>", "#>>", "?|", "?&", "#-", "@?", "@@"})
_KINDS = frozenset(
    {
        *(TokenType.ARROW, TokenType.DARROW, TokenType.HASH_ARROW, TokenType.DHASH_ARROW, TokenType.QMARK_PIPE),
        *(TokenType.QMARK_AMP, TokenType.HASH_DASH, TokenType.AT_QMARK, TokenType.DAT),
    }
)
_ENDING = frozenset({TokenType.STRING, TokenType.NUMBER, TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.IDENTIFIER})
_BEGINNING = _ENDING - {TokenType.R_PAREN, TokenType.R_BRACKET} | {
    *(TokenType.L_PAREN, TokenType.PARAMETER, TokenType.PLACEHOLDER, TokenType.DASH, TokenType.CASE, TokenType.COLON),
    *(TokenType.NATIONAL_STRING, TokenType.RAW_STRING, TokenType.BYTE_STRING, TokenType.HEREDOC_STRING),
}
_WORDS = """select distinct all on where having and or not in like ilike between case when then else limit offset fetch
    first next escape by values returning is from to similar using set any some for symmetric asymmetric interval as
    with union except intersect join return execute row rows only default array cast"""
_OPEN = frozenset(_WORDS.split())  # words before which an expression has not ended
_WORDS = """and or not in like ilike between then else end limit offset fetch first next escape is from to similar using
    as union except intersect join on where having group order returning rows row only for when asc desc nulls with into
    set collate at preceding following percent"""
_AFTER = frozenset(_WORDS.split())  # words that go on after an operand


def is_operator(tokens: list[Token], index: int) -> bool:
    """Whether the token is one of these operators."""
    token = tokens[index]
    if token.token_type in _KINDS:
        return token.text in _SYMBOLS
    if token.token_type is not TokenType.PLACEHOLDER or index == 0 or index + 1 >= len(tokens):
        return False
    before, following = tokens[index - 1], tokens[index + 1]
    if before.token_type is TokenType.PLACEHOLDER:  # the parameter before an operator
        if index > 1 and is_operator(tokens, index - 1):
            return False
    elif before.token_type not in _ENDING and not _is_word(before, _OPEN):
        return False
    return following.token_type in _BEGINNING or _is_word(following, _AFTER)


def _is_word(token: Token, refused: frozenset[str]) -> bool:
    return token.text.isidentifier() and token.text.lower() not in refused


def operator_tokens(token: Token) -> tuple[Token, Token, Token]:
    place = (token.line, token.col, token.start, token.end)
    symbol = Token(TokenType.STRING, CALL_MARK + token.text, *place)
    return Token(TokenType.DQMARK, "??", *place), symbol, Token(TokenType.DQMARK, "??", *place)


def is_marked(tokens: list[Token]) -> bool:
    return any(token.token_type is TokenType.DQMARK for token in tokens)


def with_operators(tree: exp.Expr) -> exp.Expr:
    """The tree with exp.Operator in place of the marked pairs, the innermost first."""
    pairs = [node for node in tree.find_all(exp.Coalesce) if _symbol(node) is not None]
    for node in reversed(pairs):
        inner = node.this
        operator = exp.Operator(this=inner.this, operator=inner.expressions[0], expression=node.expressions[0])
        if node is tree:
            return operator
        node.replace(operator)
    return tree


def _symbol(node: exp.Coalesce) -> str | None:
    inner = node.this
    if not isinstance(inner, exp.Coalesce) or len(inner.expressions) != 1 or len(node.expressions) != 1:
        return None
    mark = inner.expressions[0]
    if not isinstance(mark, exp.Literal) or not mark.args["is_string"]:
        return None
    return str(mark.this) if str(mark.this).startswith(CALL_MARK) else None


__all__ = ["is_marked", "is_operator", "operator_tokens", "with_operators"]
