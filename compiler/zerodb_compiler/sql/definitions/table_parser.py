"""CREATE TABLE, with its columns; CREATE TABLE AS and SELECT INTO."""

from __future__ import annotations

from sqlglot.tokenizer_core import Token

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.ddl_tokens import Cursor
from zerodb_compiler.sql.definitions.constraint_parser import COLUMN_STOPS, column_constraint, table_constraint
from zerodb_compiler.sql.definitions.index_parser import index_keys, storage_parameters
from zerodb_compiler.sql.definitions.partition_parser import partition_bound

_SERIALS = {
    "SERIAL": "integer",
    "SERIAL4": "integer",
    "BIGSERIAL": "bigint",
    "SERIAL8": "bigint",
    "SMALLSERIAL": "smallint",
    "SERIAL2": "smallint",
}
_LIKE_OPTIONS = ("COMMENTS", "COMPRESSION", "CONSTRAINTS", "DEFAULTS", "GENERATED", "IDENTITY", "INDEXES",
                 "STATISTICS", "STORAGE", "ALL")  # fmt: skip


def create_table(c: Cursor, temporary: bool) -> ddl.Definition:
    if_not_exists = c.accept("IF", "NOT", "EXISTS")
    name = c.name()
    if c.accept("OF"):
        raise c.unsupported("CREATE TABLE ... OF type")
    partition_of: tuple[ddl.Name, ddl.PartitionBound] | None = None
    elements: tuple[ddl.ColumnDef | ddl.ConstraintDef | ddl.Like, ...] = ()
    if c.accept("PARTITION", "OF"):
        parent = c.name()
        if c.accept("("):
            elements = _elements(c, typed=False)
        partition_of = parent, partition_bound(c)
    elif _is_column_names(c):
        return _table_as(c, name, c.column_list(), temporary, if_not_exists)
    elif c.accept("("):
        elements = () if c.accept(")") else _elements(c, typed=True)
    else:
        return _table_as(c, name, (), temporary, if_not_exists)
    if c.looking_at("INHERITS"):
        raise c.unsupported("INHERITS")
    partition_by = None
    if c.accept("PARTITION", "BY"):
        method = c.expect_any("RANGE", "LIST", "HASH").lower()
        partition_by = method, index_keys(c)
    if c.looking_at("USING"):
        raise c.unsupported("a table access method")
    storage_parameters(c)
    on_commit = _on_commit(c, temporary)
    if c.looking_at("TABLESPACE"):
        raise c.unsupported("TABLESPACE")
    return ddl.CreateTable(name, elements, temporary, if_not_exists, on_commit, partition_by, partition_of)


def _is_column_names(c: Cursor) -> bool:
    """( name, name, ... ) AS"""
    if not c.looking_at("("):
        return False
    ahead = 1
    while c.peek(ahead) not in (")", "(", "") or (c.peek(ahead) == "" and c.peek(ahead + 1) in (",", ")")):
        ahead += 1
    return (
        c.peek(ahead) == ")" and c.peek(ahead + 1) in ("AS", "ON", "WITH", "TABLESPACE") and (c.peek(2) in (",", ")"))
    )


def _table_as(
    c: Cursor, name: ddl.Name, columns: tuple[str, ...], temporary: bool, if_not_exists: bool
) -> ddl.CreateTableAs:
    storage_parameters(c)
    on_commit = _on_commit(c, temporary)
    c.expect("AS")
    if c.looking_at("EXECUTE"):
        raise c.unsupported("CREATE TABLE AS EXECUTE")
    no_data = ("WITH", "NO", "DATA")
    query = c.rest((("WITH", "DATA"), no_data))
    with_data = not c.accept(*no_data)
    if with_data:
        c.accept("WITH", "DATA")
    return ddl.CreateTableAs(name, query, columns, temporary, if_not_exists, on_commit, with_data)


def select_into(c: Cursor, tokens: list[Token], text: str) -> ddl.CreateTableAs | None:
    """SELECT ... INTO [TEMP] [TABLE] name FROM ...: the same as CREATE TABLE AS. INTO stands at depth 0 only."""
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.token_type.name == "INTO" and tokens[index - 1].token_type.name != "INSERT":
            break
    else:
        return None
    if any(token.token_type.name in ("INSERT", "MERGE") for token in tokens[:index]):
        return None
    inner = Cursor(tokens[index + 1 :], text)
    temporary = bool(inner.accept_any(("TEMP", "TEMPORARY")))
    if not temporary:
        inner.accept("UNLOGGED")
    inner.accept("TABLE")
    name = inner.name()
    used = next((i for i in range(index + 1, len(tokens)) if tokens[i].start >= inner.position), len(tokens))
    rest = Cursor([*tokens[:index], *tokens[used:]], text).rest()
    return ddl.CreateTableAs(name, rest, (), temporary)


def _on_commit(c: Cursor, temporary: bool) -> str:
    if not c.accept("ON", "COMMIT"):
        return "preserve rows"
    position = c.position
    found = "drop" if c.accept("DROP") else ""
    if not found:
        found = c.expect_any("PRESERVE", "DELETE").lower() + " rows"
        c.expect("ROWS")
    if not temporary:
        raise ProgrammingError("ON COMMIT can only be used on temporary tables", sqlstate="42P16", position=position)
    return found


def _elements(c: Cursor, *, typed: bool) -> tuple[ddl.ColumnDef | ddl.ConstraintDef | ddl.Like, ...]:
    found: list[ddl.ColumnDef | ddl.ConstraintDef | ddl.Like] = []
    while True:
        if c.looking_at("LIKE"):
            found.append(_like(c))
        elif c.word in ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "EXCLUDE"):
            found.append(table_constraint(c))
        else:
            found.append(column(c, typed=typed))
        if not c.accept(","):
            break
    c.expect(")")
    return tuple(found)


def _like(c: Cursor) -> ddl.Like:
    c.expect("LIKE")
    table = c.name()
    including: set[str] = set()
    while mode := c.accept_any(("INCLUDING", "EXCLUDING")):
        option = c.expect_any(*_LIKE_OPTIONS).lower()
        every = {name.lower() for name in _LIKE_OPTIONS if name != "ALL"}
        chosen = every if option == "all" else {option}
        including = including | chosen if mode == "INCLUDING" else including - chosen
    return ddl.Like(table, frozenset(including))


def column(c: Cursor, *, typed: bool = True) -> ddl.ColumnDef:
    """name type constraints; in CREATE TABLE ... PARTITION OF without the type."""
    position = c.position
    name = c.identifier()
    serial: str | None = None
    type_ = None
    if not typed:
        c.accept("WITH", "OPTIONS")
    elif c.word in _SERIALS:
        serial = _SERIALS[c.expect_any(*_SERIALS)]
    elif c.done or c.word in (",", ")") or c.word in COLUMN_STOPS:
        raise c.error()
    else:
        type_ = c.type(COLUMN_STOPS)
    constraints: list[ddl.ConstraintDef] = []
    while not c.done and c.word not in (",", ")"):
        found = column_constraint(c)
        if found is not None:
            constraints.append(found)
    return ddl.ColumnDef(name, type_, serial, tuple(constraints), position)
