"""SQL text to statements, unbound: `parse(text)` gives one `ParsedStatement` per statement, with places in the text.

Transaction control, EXPLAIN, SET and SHOW are so small that they are read straight from the tokens; all others are
sqlglot's. A statement of PostgreSQL that zerodb does not have is refused by name (0A000).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from zerodb_compiler.errors import NotSupportedError, ProgrammingError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.dialect import TokenizedStatement, parse_tokens, tokenize
from zerodb_compiler.sql.dml_tokens import parse_change
from zerodb_compiler.sql.transaction_parser import transaction_control
from zerodb_compiler.sql.utility_parser import utility
from zerodb_compiler.sql.utility_statements import UtilityStatement

_PARSED = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE", "("})
_CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "WITH"})
_KNOWN_WORDS = """
    ATTACH CALL CHECKPOINT CLOSE COMMENT COPY DEALLOCATE DECLARE DESCRIBE DETACH DISCARD DO
    EXECUTE FETCH GRANT IMPORT LISTEN LOAD LOCK MOVE NOTIFY PRAGMA PREPARE REASSIGN REFRESH REVOKE
    SECURITY TRUNCATE UNLISTEN USE
"""
_DEFINING_WORDS = "CREATE DROP ALTER ANALYZE ANALYSE VACUUM REINDEX CLUSTER COMMENT REFRESH GRANT REVOKE"
_DEFINING = frozenset(_DEFINING_WORDS.split())
_KNOWN = frozenset(_KNOWN_WORDS.split())

Control = (
    st.Begin
    | st.Commit
    | st.Rollback
    | st.Savepoint
    | st.ReleaseSavepoint
    | st.RollbackToSavepoint
    | st.SetOption
    | st.ShowOption
    | UtilityStatement
)


@dataclass(frozen=True, slots=True)
class ExplainClause:
    analyze: bool
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """One statement: its place in the text, the names (or numbers) of its user parameters, and either an AST, a
    definition statement, or a control statement that needs no binding."""

    start: int
    end: int
    parameters: tuple[str | int, ...]
    tree: exp.Expr | None
    control: Control | None
    explain: ExplainClause | None = None
    definition: ddl.Definition | None = None


def parse(text: str, *, body: bool = False) -> list[ParsedStatement]:
    """Parse all statements of the text, which may be a function's `body`. ProgrammingError 42601 with position; 54001
    if nested too deeply."""
    try:
        return [_statement(statement, text) for statement in tokenize(text, gaps=body)]
    except RecursionError:
        raise error_for("54001", "statement is nested too deeply") from None


def parse_expression(text: str) -> exp.Expr:
    """A scalar expression alone, as a column's DEFAULT."""
    tree = _statement(tokenize("select " + text)[0], "select " + text).tree
    assert isinstance(tree, exp.Select)
    (expression,) = tree.expressions
    return expression  # type: ignore[no-any-return]


def _statement(statement: TokenizedStatement, text: str) -> ParsedStatement:
    tokens = statement.tokens
    start, end = tokens[0].start, tokens[-1].end + 1
    explain: ExplainClause | None = None
    if _word(tokens[0]) == "EXPLAIN":
        explain, tokens = _explain(tokens, text)
    word = _word(tokens[0])
    if word in _DEFINING or (word in ("SELECT", "WITH") and any(t.token_type is TokenType.INTO for t in tokens)):
        definition = _definition(statement, tokens, text, explain)
        if definition is not None:
            return ParsedStatement(start, end, statement.parameters, None, None, explain, definition)
    if word in _PARSED:
        parse_tree = parse_change if word in _CHANGES else parse_tokens
        return ParsedStatement(start, end, statement.parameters, parse_tree(tokens, text), None, explain)
    control = transaction_control(tokens, text) or utility(tokens, text)
    if control is None or explain is not None:
        if word in _KNOWN or control is not None:
            raise NotSupportedError(f"{word} is not supported", position=tokens[0].start)
        raise ProgrammingError(f'syntax error at or near "{tokens[0].text}"', position=tokens[0].start)
    # The parameters of what PREPARE keeps are its own.
    return ParsedStatement(start, end, (), None, control, None)


def _word(token: Token) -> str:
    quoted = token.token_type in (TokenType.IDENTIFIER, TokenType.STRING)
    return "" if quoted else token.text.upper()


def _definition(
    statement: TokenizedStatement, tokens: list[Token], text: str, explain: ExplainClause | None
) -> ddl.Definition | None:
    from zerodb_compiler.sql.definitions.parser import parse_definition

    found = parse_definition(tokens, text)
    has_query = isinstance(found, ddl.CreateTableAs)
    if found is None:
        if _word(tokens[0]) in _DEFINING:
            _refuse_object(tokens)
    elif explain is not None and not has_query:
        raise ProgrammingError(f'syntax error at or near "{tokens[0].text}"', position=tokens[0].start)
    elif statement.parameters and not has_query:
        raise ProgrammingError("there is no parameter $1", sqlstate="42P02", position=tokens[0].start)
    return found


def _refuse_object(tokens: list[Token]) -> None:
    """What CREATE, ALTER and DROP are not there for."""
    words = [_word(token) for token in tokens[1:6]]
    kind = next((w for w in words if w not in ("OR", "REPLACE", "TEMP", "TEMPORARY", "GLOBAL", "LOCAL")), "")
    raise NotSupportedError(f"{_word(tokens[0])} {kind} is not supported", position=tokens[0].start)


def _explain(tokens: list[Token], text: str) -> tuple[ExplainClause, list[Token]]:
    from zerodb_compiler.sql.utility_parser import Reader, explain_options

    reader = Reader(tokens, text)
    analyze, options = explain_options(reader)
    rest = tokens[reader.index :]
    if not rest:
        raise ProgrammingError("syntax error at end of input", position=tokens[-1].end + 1)
    return ExplainClause(analyze, options), rest
