"""The text of stored expressions: which columns it names, and the text after a column was renamed."""

from __future__ import annotations

from functools import lru_cache

from sqlglot.tokenizer_core import TokenType

from zerodb.row_expressions import quoted
from zerodb_compiler.sql.definitions.expressions import columns_in
from zerodb_compiler.sql.dialect import tokenize
from zerodb_compiler.sql.parse import parse_expression


@lru_cache(maxsize=1024)
def columns_of_text(text: str) -> frozenset[str]:
    return frozenset(columns_in(parse_expression(text)))


def renamed_column(text: str, old: str, new: str) -> str:
    """The expression with another name for a column."""
    if old not in columns_of_text(text):
        return text
    tokens = tokenize(text)[0].tokens
    pieces: list[str] = []
    end = 0
    for number, token in enumerate(tokens):
        following = tokens[number + 1].text if number + 1 < len(tokens) else ""
        is_name = token.token_type is TokenType.IDENTIFIER or (
            token.token_type is not TokenType.STRING and token.text.isidentifier()
        )
        name = token.text if token.token_type is TokenType.IDENTIFIER else token.text.lower()
        if is_name and name == old and following not in ("(", "."):
            pieces += [text[end : token.start], new if new.isidentifier() and new == new.lower() else quoted(new)]
            end = token.end + 1
    return "".join([*pieces, text[end:]])
