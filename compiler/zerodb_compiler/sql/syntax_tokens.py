"""PostgreSQL's syntax that sqlglot does not know, rewritten on the tokens of a statement.

U&'d\\0061t' UESCAPE '!'          ->  'dat', and so U&"..."
@ x                              ->  abs(x); the operand goes as far as + - * / % ^ bind tighter
collation for (x)                ->  pg_collation_for(x)
pg_catalog.f(...)                ->  f(...)
x::pg_catalog.t                  ->  x::t
OPERATOR(pg_catalog.op)          ->  op
x IS NFC NORMALIZED              ->  x IS "<mark>nfc"
WITH r (a) AS (...) SEARCH ...   ->  WITH r ("<mark>...", a) AS (...); the clauses of SEARCH and CYCLE travel as a
                                     marked first column name, which binder_with takes off again
"""

from __future__ import annotations

import json
import re

from sqlglot.tokenizer_core import Token, TokenType

from zerodb_compiler.errors import ProgrammingError

CLAUSES_MARK = "\x04"
NORMALIZED = "\x05normalized"
_FORMS = frozenset({"normalized", "nfc", "nfd", "nfkc", "nfkd"})
_SYSTEM = "pg_catalog"
# These are syntax, not functions.
_NOT_FUNCTIONS = frozenset({"coalesce", "nullif", "greatest", "least", "row", "array", "cast", "exists", "grouping"})
_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.CASE})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END})
_SIGNS = frozenset({TokenType.PLUS, TokenType.DASH})
_TIGHTER = frozenset({*_SIGNS, TokenType.STAR, TokenType.SLASH, TokenType.MOD, TokenType.CARET})
_UNICODE = re.compile(r"[0-9A-Fa-f]{4}|\+[0-9A-Fa-f]{6}")
_ORDERS = {TokenType.LT: (), TokenType.GT: ("desc",)}
_SEPARATE = (TokenType.STRING, TokenType.IDENTIFIER)


def rewritten(tokens: list[Token]) -> list[Token]:
    """The tokens without the syntax above. ProgrammingError 42601."""
    index = 0
    while index < len(tokens):
        changed = _changed(tokens, index)
        if changed is None:
            index += 1
        else:
            tokens, index = changed, max(0, index - 1)
    return tokens


def _changed(tokens: list[Token], index: int) -> list[Token] | None:
    """The tokens after a rewrite at this place, None if there is nothing to do."""
    token = tokens[index]
    kind = token.token_type
    if kind is TokenType.UNICODE_STRING or (kind is TokenType.AMP and _is_unicode_name(tokens, index)):
        return _unicode(tokens, index)
    if kind is TokenType.STRING and _is_string(tokens, index + 1):
        return _continued(tokens, index)
    if kind is TokenType.USING and (index + 1 < len(tokens) and tokens[index + 1].token_type in _ORDERS):
        return _ordered(tokens, index)
    if kind is TokenType.DOT and _is_system_call(tokens, index):
        return [*tokens[: index - 1], *tokens[index + 1 :]]
    if kind is TokenType.DOT and _is_system_type(tokens, index):
        return [*tokens[: index - 1], *tokens[index + 1 :]]
    if kind is TokenType.L_PAREN and _word(tokens, index - 1) == "operator":
        operator = _system_operator(tokens, index)
        return None if operator is None else [*tokens[: index - 1], operator, *tokens[index + 5 :]]
    if _word(tokens, index) == "collation" and _word(tokens, index + 1) == "for" and _word(tokens, index + 2) == "(":
        return [*tokens[:index], _token(TokenType.VAR, "pg_collation_for", token), *tokens[index + 2 :]]
    if kind is TokenType.PARAMETER and token.text == "@":
        return _absolute(tokens, index)
    if kind is TokenType.R_PAREN and _word(tokens, index + 1) in ("search", "cycle"):
        return _clauses(tokens, index)
    if kind is not TokenType.IDENTIFIER and _word(tokens, index) in _FORMS and _is_behind_is(tokens, index):
        return _normalized(tokens, index)
    return None


def _is_behind_is(tokens: list[Token], index: int) -> bool:
    before = index - (2 if index > 1 and _word(tokens, index - 1) == "not" else 1)
    return before >= 0 and _word(tokens, before) == "is"


def _normalized(tokens: list[Token], index: int) -> list[Token] | None:
    """x IS NFC NORMALIZED: the form and the word become one name, which the binder knows."""
    form = _word(tokens, index)
    end = index + (form != "normalized")
    if _word(tokens, end) != "normalized":
        return None
    name = NORMALIZED + (form if end > index else "")
    return [*tokens[:index], _token(TokenType.IDENTIFIER, name, tokens[index]), *tokens[end + 1 :]]


def _word(tokens: list[Token], index: int) -> str:
    if not 0 <= index < len(tokens) or tokens[index].token_type in _SEPARATE:
        return ""
    return str(tokens[index].text).lower()


def _syntax_error(tokens: list[Token], index: int) -> ProgrammingError:
    if index >= len(tokens):
        return ProgrammingError("syntax error at end of input", position=tokens[-1].end + 1)
    return ProgrammingError(f'syntax error at or near "{tokens[index].text}"', position=tokens[index].start)


def _token(kind: TokenType, text: str, place: Token) -> Token:
    return Token(kind, text, place.line, place.col, place.start, place.end)


def _is_system_call(tokens: list[Token], dot: int) -> bool:
    return (
        _word(tokens, dot - 1) == _SYSTEM
        and dot + 2 < len(tokens)
        and tokens[dot + 2].token_type is TokenType.L_PAREN
        and _word(tokens, dot + 1) not in _NOT_FUNCTIONS
        and (dot < 2 or tokens[dot - 2].token_type is not TokenType.DOT)
    )


def _is_system_type(tokens: list[Token], dot: int) -> bool:
    """::pg_catalog.name, or CAST(... AS pg_catalog.name"""
    before = (TokenType.DCOLON, TokenType.ALIAS)
    return dot > 1 and _word(tokens, dot - 1) == _SYSTEM and tokens[dot - 2].token_type in before


def _system_operator(tokens: list[Token], paren: int) -> Token | None:
    """The operator of OPERATOR(pg_catalog.op)."""
    inner = tokens[paren + 1 : paren + 5]
    if len(inner) < 4 or _word(tokens, paren + 1) != _SYSTEM or inner[1].token_type is not TokenType.DOT:
        return None
    return inner[2] if inner[3].token_type is TokenType.R_PAREN else None


# ---- U&'...' and U&"..."


def _is_unicode_name(tokens: list[Token], amp: int) -> bool:
    if _word(tokens, amp - 1) != "u" or amp + 1 >= len(tokens):
        return False
    before, token, after = tokens[amp - 1 : amp + 2]
    is_name = after.token_type is TokenType.IDENTIFIER
    return is_name and before.end + 1 == token.start and token.end + 1 == after.start


def _unicode(tokens: list[Token], index: int) -> list[Token]:
    token = tokens[index]
    is_name = token.token_type is TokenType.AMP
    first, last = (tokens[index - 1], index + 1) if is_name else (token, index)
    text = tokens[last].text
    escape = "\\"
    after = last + 1
    if _word(tokens, after) == "uescape":
        if after + 1 >= len(tokens) or tokens[after + 1].token_type is not TokenType.STRING:
            raise _syntax_error(tokens, after + 1)
        escape = tokens[after + 1].text
        if len(escape) != 1 or escape in "+'\"" or escape.isspace() or escape in "0123456789abcdefABCDEF":
            raise ProgrammingError("invalid Unicode escape character", position=tokens[after + 1].start)
        after += 2
    kind = TokenType.IDENTIFIER if is_name else TokenType.STRING
    # It begins at the U, where no plain literal can: a text of the same shape cannot take its place (shape.py).
    made = Token(kind, _decoded(text, escape, first.start), first.line, first.col, first.start, tokens[last].end)
    return [*tokens[: index - is_name], made, *tokens[after:]]


def _decoded(text: str, escape: str, position: int) -> str:
    found: list[str] = []
    codes: list[int] = []
    index = 0
    while index < len(text):
        if text[index] != escape:
            found.append(text[index])
            index += 1
            continue
        if text[index + 1 : index + 2] == escape:
            found.append(escape)
            index += 2
            continue
        code = _UNICODE.match(text, index + 1)
        if code is None:
            raise ProgrammingError("invalid Unicode escape", position=position)
        codes.append(int(code[0].lstrip("+"), 16))
        found.append(_character(codes[-1], position))
        index = code.end()
    decoded = "".join(found)
    try:  # two halves of a surrogate pair are one character
        return decoded.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise ProgrammingError("invalid Unicode surrogate pair", position=position) from None


def _character(code: int, position: int) -> str:
    if not 0 < code <= 0x10FFFF:
        raise ProgrammingError("invalid Unicode escape value", position=position)
    return chr(code)


# ---- other small things


def _is_string(tokens: list[Token], index: int) -> bool:
    return index < len(tokens) and tokens[index].token_type is TokenType.STRING


def _continued(tokens: list[Token], index: int) -> list[Token]:
    """Two literals with a line's end between them are one."""
    first, second = tokens[index : index + 2]
    if first.line == second.line:
        raise _syntax_error(tokens, index + 1)
    # It begins inside the first one, where no literal does (shape.py).
    made = Token(TokenType.STRING, first.text + second.text, first.line, first.col, first.start + 1, second.end)
    return [*tokens[:index], made, *tokens[index + 2 :]]


def _ordered(tokens: list[Token], index: int) -> list[Token]:
    words = [_token(TokenType.DESC, word, tokens[index]) for word in _ORDERS[tokens[index + 1].token_type]]
    return [*tokens[:index], *words, *tokens[index + 2 :]]


# ---- @ x


def _absolute(tokens: list[Token], at: int) -> list[Token]:
    end = _operand_end(tokens, at + 1)
    place = tokens[at]
    return [
        *tokens[:at],
        _token(TokenType.VAR, "abs", place),
        _token(TokenType.L_PAREN, "(", place),
        *tokens[at + 1 : end],
        _token(TokenType.R_PAREN, ")", tokens[end - 1]),
        *tokens[end:],
    ]


def _operand_end(tokens: list[Token], index: int) -> int:
    """The index after the operand of a prefix operator that begins at `index`."""
    wants_value = True
    while index < len(tokens):
        kind = tokens[index].token_type
        if wants_value:
            if kind in _SIGNS or (kind is TokenType.PARAMETER and tokens[index].text == "@"):
                index += 1
                continue
            if kind in _CLOSING or kind is TokenType.COMMA:
                break
            index = _closed(tokens, index) + 1 if kind in _OPENING else index + 1
            wants_value = False
        elif kind in (TokenType.L_PAREN, TokenType.L_BRACKET):
            index = _closed(tokens, index) + 1
        elif kind is TokenType.DOT or kind is TokenType.DCOLON or kind in _TIGHTER:
            wants_value = True
            index += 1
        else:
            break
    if wants_value:
        raise _syntax_error(tokens, index)
    return index


def _closed(tokens: list[Token], opening: int) -> int:
    depth = 0
    for index in range(opening, len(tokens)):
        if tokens[index].token_type in _OPENING:
            depth += 1
        elif tokens[index].token_type in _CLOSING:
            depth -= 1
            if depth == 0:
                return index
    raise _syntax_error(tokens, len(tokens))


# ---- SEARCH and CYCLE


def _clauses(tokens: list[Token], close: int) -> list[Token] | None:
    """The tokens with the clauses behind a common table's closing parenthesis in its column names; None if this is no
    common table."""
    place = _name_of_common_table(tokens, close)
    if place is None:
        return None
    index = close + 1
    clauses: dict[str, object] = {}
    if _word(tokens, index) == "search":
        kind = _word(tokens, index + 1)
        if kind not in ("depth", "breadth") or [_word(tokens, index + i) for i in (2, 3)] != ["first", "by"]:
            raise _syntax_error(tokens, index + 1)
        names, index = _names(tokens, index + 4)
        column, index = _after(tokens, index, "set")
        clauses["search"] = [kind, names, column]
    if _word(tokens, index) == "cycle":
        names, index = _names(tokens, index + 1)
        column, index = _after(tokens, index, "set")
        values: list[list[str]] | None = None
        if _word(tokens, index) == "to":
            mark, index = _constant(tokens, index + 1)
            if _word(tokens, index) != "default":
                raise _syntax_error(tokens, index)
            default, index = _constant(tokens, index + 1)
            values = [mark, default]
        path, index = _after(tokens, index, "using")
        clauses["cycle"] = [names, column, path, values]
    marked = _token(TokenType.IDENTIFIER, CLAUSES_MARK + json.dumps(clauses), tokens[close + 1])
    after = place + 1
    if tokens[after].token_type is TokenType.L_PAREN:
        comma = _token(TokenType.COMMA, ",", marked)
        inserted = [tokens[after], marked, comma, *tokens[after + 1 : close + 1]]
    else:
        brackets = [_token(k, t, marked) for k, t in ((TokenType.L_PAREN, "("), (TokenType.R_PAREN, ")"))]
        inserted = [brackets[0], marked, brackets[1], *tokens[after : close + 1]]
    return [*tokens[:after], *inserted, *tokens[index:]]


def _name_of_common_table(tokens: list[Token], close: int) -> int | None:
    """The index of the name in: name (columns) AS NOT MATERIALIZED (query)."""
    index = _opened(tokens, close) - 1
    if index > 0 and _word(tokens, index) == "materialized":
        index -= 1
        if _word(tokens, index) == "not":
            index -= 1
    if index < 1 or _word(tokens, index) != "as":
        return None
    index -= 1
    if tokens[index].token_type is TokenType.R_PAREN:
        index = _opened(tokens, index) - 1
    return index if index >= 1 else None


def _opened(tokens: list[Token], close: int) -> int:
    depth = 0
    for index in range(close, -1, -1):
        if tokens[index].token_type is TokenType.R_PAREN:
            depth += 1
        elif tokens[index].token_type is TokenType.L_PAREN:
            depth -= 1
            if depth == 0:
                return index
    return 0


def _name(tokens: list[Token], index: int) -> str:
    if index >= len(tokens) or tokens[index].token_type is TokenType.STRING:
        raise _syntax_error(tokens, index)
    text = str(tokens[index].text)
    if tokens[index].token_type is TokenType.IDENTIFIER:
        return text
    if not text.isidentifier():
        raise _syntax_error(tokens, index)
    return text.lower()


def _names(tokens: list[Token], index: int) -> tuple[list[str], int]:
    names = [_name(tokens, index)]
    while index + 1 < len(tokens) and tokens[index + 1].token_type is TokenType.COMMA:
        index += 2
        names.append(_name(tokens, index))
    return names, index + 1


def _after(tokens: list[Token], index: int, word: str) -> tuple[str, int]:
    if _word(tokens, index) != word:
        raise _syntax_error(tokens, index)
    return _name(tokens, index + 1), index + 2


def _constant(tokens: list[Token], index: int) -> tuple[list[str], int]:
    """A literal as its kind and text."""
    if index >= len(tokens):
        raise _syntax_error(tokens, index)
    token = tokens[index]
    kinds = {
        TokenType.STRING: "string",
        TokenType.NUMBER: "number",
        TokenType.TRUE: "boolean",
        TokenType.FALSE: "boolean",
        TokenType.NULL: "null",
    }
    kind = kinds.get(token.token_type)
    if kind is None:
        raise _syntax_error(tokens, index)
    return [kind, str(token.text)], index + 1
