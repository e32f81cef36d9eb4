"""A cursor over a statement's tokens for the definition parsers: words, names, types and expressions, with exact
syntax errors. sqlglot's tokenizer joins some words ("PRIMARY KEY"); here each word is a token again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from zerodb_compiler.errors import NotSupportedError, ProgrammingError
from zerodb_compiler.sql.ddl import Name, Sql
from zerodb_compiler.sql.dialect import parse_tokens

_QUOTED = (TokenType.IDENTIFIER, TokenType.STRING)
_OPENING = (TokenType.L_PAREN, TokenType.L_BRACKET)
_CLOSING = (TokenType.R_PAREN, TokenType.R_BRACKET)
# Reserved in PostgreSQL: none of them is a name unless quoted.
_RESERVED_WORDS = """
    ALL ANALYSE ANALYZE AND ANY ARRAY AS ASC ASYMMETRIC BOTH CASE CAST CHECK COLLATE COLUMN CONSTRAINT CREATE
    CURRENT_DATE CURRENT_ROLE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DEFAULT DEFERRABLE DESC DISTINCT DO ELSE END
    EXCEPT FALSE FETCH FOR FOREIGN FROM GRANT GROUP HAVING IN INITIALLY INTERSECT INTO LATERAL LEADING LIMIT LOCALTIME
    LOCALTIMESTAMP NOT NULL OFFSET ON ONLY OR ORDER PLACING PRIMARY REFERENCES RETURNING SELECT SESSION_USER SOME
    SYMMETRIC TABLE THEN TO TRAILING TRUE UNION UNIQUE USER USING VARIADIC WHEN WHERE WINDOW WITH
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())


class Cursor:
    """Where the parser is. `word` is the next token's upper-case text ("" if it is quoted or there is none)."""

    __slots__ = ("_at", "_tokens", "text")

    def __init__(self, tokens: list[Token], text: str) -> None:
        self.text = text
        self._tokens = [part for token in tokens for part in _parts(token, text)]
        self._at = 0

    # --- looking ---
    @property
    def done(self) -> bool:
        return self._at >= len(self._tokens)

    @property
    def position(self) -> int:
        """The place of the next token."""
        if not self._tokens:
            return len(self.text)
        return self._tokens[-1].end + 1 if self.done else int(self._tokens[self._at].start)

    def peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        if at >= len(self._tokens):
            return ""
        token = self._tokens[at]
        return "" if token.token_type in _QUOTED else str(token.text).upper()

    @property
    def word(self) -> str:
        return self.peek()

    def looking_at(self, *words: str) -> bool:
        return all(self.peek(i) == word for i, word in enumerate(words))

    # --- moving ---
    def accept(self, *words: str) -> bool:
        """Passes the words if they come next."""
        if not self.looking_at(*words):
            return False
        self._at += len(words)
        return True

    def accept_any(self, words: Collection[str]) -> str:
        """The next word if it is one of these, passed; else ""."""
        word = self.word
        if word and word in words:
            self._at += 1
            return word
        return ""

    def expect(self, *words: str) -> None:
        for word in words:
            if not self.accept(word):
                raise self.error()

    def expect_any(self, *words: str) -> str:
        found = self.accept_any(words)
        if not found:
            raise self.error()
        return found

    def end(self) -> None:
        if not self.done:
            raise self.error()

    def error(self) -> ProgrammingError:
        if self.done:
            return ProgrammingError("syntax error at end of input", position=self.position)
        token = self._tokens[self._at]
        return ProgrammingError(
            f'syntax error at or near "{self.text[token.start : token.end + 1]}"', position=token.start
        )

    def unsupported(self, what: str) -> NotSupportedError:
        return NotSupportedError(f"{what} is not supported", position=self.position)

    # --- pieces ---
    def identifier(self) -> str:
        if self.done:
            raise self.error()
        token = self._tokens[self._at]
        if token.token_type is TokenType.IDENTIFIER:
            self._at += 1
            return str(token.text)
        word = str(token.text)
        if token.token_type is TokenType.STRING or not _is_word(word) or word.upper() in _RESERVED:
            raise self.error()
        self._at += 1
        return word.lower()

    def name(self) -> Name:
        """[schema.]name"""
        position = self.position
        first = self.identifier()
        if self.accept("."):
            second = self.identifier()
            if self.accept("."):
                return Name(self.identifier(), second, position)
            return Name(second, first, position)
        return Name(first, None, position)

    def names(self) -> tuple[Name, ...]:
        found = [self.name()]
        while self.accept(","):
            found.append(self.name())
        return tuple(found)

    def column_list(self) -> tuple[str, ...]:
        """(a, b, ...)"""
        self.expect("(")
        found = [self.identifier()]
        while self.accept(","):
            found.append(self.identifier())
        self.expect(")")
        return tuple(found)

    def integer(self) -> int:
        sign = -1 if self.accept("-") else 1
        self.accept("+")
        if self.done or not self.word.isdigit():
            raise self.error()
        value = int(self.word)
        self._at += 1
        return sign * value

    def string(self) -> str:
        """A string literal's text."""
        if self.done or self._tokens[self._at].token_type not in (TokenType.STRING, TokenType.HEREDOC_STRING):
            raise self.error()
        self._at += 1
        return str(self._tokens[self._at - 1].text)

    def body(self) -> tuple[str, int | None]:
        """A string literal's text, and where in the statement it begins; None if it does not stand there as it is."""
        token = None if self.done else self._tokens[self._at]
        text = self.string()
        assert token is not None
        source = self.text[token.start : token.end + 1]
        at = source.find(text)
        return text, token.start + at if at > 0 else None

    def parenthesised(self) -> Sql:
        """( expression ): the text is what is between."""
        self.expect("(")
        found = self.expression(frozenset())
        self.expect(")")
        return found

    def expression(self, stops: Collection[str]) -> Sql:
        """An expression up to a comma, a closing parenthesis or, behind its first token, one of the words."""
        begin = self._at
        depth = 0
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if depth == 0 and (token.token_type in _CLOSING or token.token_type is TokenType.COMMA):
                break
            if depth == 0 and self._at > begin and self.word and self._stops(stops):
                break
            opens = token.token_type in _OPENING or self.word == "CASE"
            depth += opens - (token.token_type in _CLOSING or (self.word == "END" and depth > 0))
            self._at += 1
        if begin == self._at:
            raise self.error()
        tokens = self._tokens[begin : self._at]
        place = (tokens[0].token.line, tokens[0].token.col, tokens[0].start, tokens[0].start)
        select = Token(TokenType.SELECT, "select", *place)
        tree = parse_tokens([select, *_joined(tokens)], self.text)
        if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or isinstance(tree.expressions[0], exp.Alias):
            raise ProgrammingError("syntax error: an expression is expected", position=tokens[0].start)
        if any(value for key, value in tree.args.items() if key not in ("expressions", "kind")):
            raise ProgrammingError("syntax error: an expression is expected", position=tokens[0].start)
        text = self.text[tokens[0].start : tokens[-1].end + 1]
        return Sql(text, tree.expressions[0], tokens[0].start)

    def _stops(self, stops: Collection[str]) -> bool:
        word = self.word
        if word not in stops:
            return False
        if word == "NOT":
            return self.peek(1) in ("NULL", "DEFERRABLE")
        if word == "NULL":  # IS NULL, IS NOT NULL belong to the expression
            return self.peek(-1) not in ("IS", "NOT", "(", "=", ",")
        return True

    def rest(self, stops: tuple[tuple[str, ...], ...] = ()) -> Sql:
        """A whole query: everything up to the end, or up to one of the word sequences at its end."""
        tokens = self._tokens[self._at :]
        if not tokens:
            raise self.error()
        for words in stops:
            if len(tokens) > len(words) and tuple(t.text.upper() for t in tokens[-len(words) :]) == words:
                tokens = tokens[: -len(words)]
                break
        self._at += len(tokens)
        text = self.text[tokens[0].start : tokens[-1].end + 1]
        return Sql(text, parse_tokens(_joined(tokens), self.text), tokens[0].start)

    def type(self, stops: Collection[str]) -> exp.DataType:
        """A type name with modifiers and array bounds."""
        begin = self._at
        depth = 0
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if depth == 0 and (token.token_type in _CLOSING or token.token_type is TokenType.COMMA):
                break
            if depth == 0 and self._at > begin and self.word in stops:
                break
            depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
            self._at += 1
        tokens = self._tokens[begin : self._at]
        if not tokens:
            raise self.error()
        first = tokens[0]
        place = (first.token.line, first.token.col, first.start, first.start)
        head = [Token(TokenType.SELECT, "select", *place), Token(TokenType.NULL, "null", *place)]
        tree = parse_tokens([*head, Token(TokenType.DCOLON, "::", *place), *_joined(tokens)], self.text)
        cast = tree.expressions[0] if isinstance(tree, exp.Select) and len(tree.expressions) == 1 else None
        if not isinstance(cast, exp.Cast):
            raise ProgrammingError(f'syntax error at or near "{first.text}"', position=first.start)
        found: exp.DataType = cast.args["to"]
        return found


def _is_word(text: str) -> bool:
    return text.replace("$", "_").isidentifier()


@dataclass(frozen=True, slots=True)
class _Part:
    """A word of the text, and the token that it is (a part of)."""

    text: str
    token_type: TokenType
    start: int
    end: int
    token: Token


def _parts(token: Token, text: str) -> list[_Part]:
    source = text[token.start : token.end + 1]
    if token.token_type in _QUOTED or len(source.split()) < 2 or not source[0].isalpha():
        return [_Part(str(token.text), token.token_type, token.start, token.end, token)]
    found: list[_Part] = []
    offset = 0
    for word in source.split():
        offset = source.index(word, offset)
        start = token.start + offset
        found.append(_Part(word, TokenType.VAR, start, start + len(word) - 1, token))
        offset += len(word)
    return found


def _joined(parts: list[_Part]) -> list[Token]:
    """The tokens of the parts, as the tokenizer gave them."""
    return list({id(part.token): part.token for part in parts}.values())


def is_plain_name(name: str) -> bool:
    """Whether the name means itself without quotes."""
    plain = name.isascii() and name.isidentifier() and name == name.lower()
    return plain and name.upper() not in _RESERVED
