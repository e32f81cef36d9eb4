"""CREATE TABLE, CREATE INDEX, CREATE SEQUENCE, DROP, ANALYZE, VACUUM, REINDEX: a recursive descent over the tokens.

`parse_definition` gives None for statements that are not defined here. ALTER is in ddl_alter.py.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.tokenizer_core import Token

from zerodb_compiler.errors import NotSupportedError, ProgrammingError
from zerodb_compiler.sql import collations, ddl
from zerodb_compiler.sql.ddl_tokens import Cursor

_SERIALS = {
    "SERIAL": "integer",
    "SERIAL4": "integer",
    "BIGSERIAL": "bigint",
    "SERIAL8": "bigint",
    "SMALLSERIAL": "smallint",
    "SERIAL2": "smallint",
}
_STOPS = """
    CONSTRAINT NOT NULL DEFAULT CHECK PRIMARY UNIQUE REFERENCES GENERATED COLLATE DEFERRABLE INITIALLY STORAGE
    COMPRESSION
"""
COLUMN_STOPS = frozenset(_STOPS.split())
DEFAULT_STOPS = COLUMN_STOPS - {"COLLATE"}
_LIKE_OPTIONS = ("COMMENTS", "COMPRESSION", "CONSTRAINTS", "DEFAULTS", "GENERATED", "IDENTITY", "INDEXES",
                 "STATISTICS", "STORAGE", "ALL")  # fmt: skip

# May begin, behind CREATE, what ddl_objects.py reads.
OBJECT_WORDS = frozenset(["VIEW", "MATERIALIZED", "OR", "TEMP", "TEMPORARY", "LOCAL", "GLOBAL", "RECURSIVE", "SCHEMA"])


def parse_definition(tokens: list[Token], text: str) -> ddl.Definition | None:
    """The statement, if it begins like one of those here. ProgrammingError 42601 with its place."""
    c = Cursor(tokens, text)
    found: ddl.Definition | None = None
    match c.word:
        case "COMMENT" | "REFRESH" | "GRANT" | "REVOKE" | "SECURITY" | "REASSIGN":
            from zerodb_compiler.sql.ddl_objects import parse_other

            found = parse_other(c)
        case "CREATE":
            found = _create(c)
        case "DROP":
            found = _drop(c)
        case "ALTER":
            from zerodb_compiler.sql.ddl_alter import alter

            found = alter(c)
        case "ANALYZE" | "ANALYSE" | "VACUUM":
            found = _maintain(c)
        case "REINDEX":
            found = _reindex(c)
        case "CLUSTER":
            found = _cluster(c)
        case "SELECT" | "WITH":
            return _select_into(c, tokens, text)
    if found is not None:
        c.end()
    return found


def _create(c: Cursor) -> ddl.Definition | None:
    c.expect("CREATE")
    if c.word in OBJECT_WORDS:
        from zerodb_compiler.sql.ddl_objects import create_object

        found = create_object(c)
        if found is not None:
            return found
    if "TRIGGER" in (c.word, c.peek(1), c.peek(2), c.peek(3)):
        from zerodb_compiler.sql.trigger_parser import create_trigger

        trigger = create_trigger(c)
        if trigger is not None:
            return trigger
    if c.word in ("FUNCTION", "OR"):
        from zerodb_compiler.sql.function_parser import create_function

        function = create_function(c)
        if function is not None:
            return function
    if c.looking_at("OR", "REPLACE") and c.peek(2) in ("TABLE", "INDEX", "SEQUENCE", "TEMP", "UNIQUE"):
        c.expect("OR", "REPLACE")
        raise c.error()
    local = bool(c.accept_any(("GLOBAL", "LOCAL")))
    temporary = bool(c.accept_any(("TEMP", "TEMPORARY")))
    if local and not temporary:
        raise c.error()
    unlogged = not temporary and c.accept("UNLOGGED")
    match c.word:
        case "TABLE":
            c.expect("TABLE")
            return _create_table(c, temporary)
        case "SEQUENCE":
            c.expect("SEQUENCE")
            if_not_exists = c.accept("IF", "NOT", "EXISTS")
            return ddl.CreateSequence(c.name(), sequence_options(c), temporary, if_not_exists)
        case "TYPE" if not temporary and not unlogged:
            c.expect("TYPE")
            return _create_type(c)
        case "INDEX" | "UNIQUE" if not temporary and not unlogged:
            if c.looking_at("UNIQUE") and c.peek(1) != "INDEX":
                raise c.error()
            return _create_index(c)
    if unlogged:
        raise c.error()
    return None


def create_element(c: Cursor) -> ddl.Definition:
    """A statement within CREATE SCHEMA."""
    element = _create(c)
    if element is None:
        raise c.error()
    return element


# --- tables -----------------------------------------------------------------------------------------------------------


def _create_table(c: Cursor, temporary: bool) -> ddl.Definition:
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
        partition_by = method, _keys(c)
    if c.looking_at("USING"):
        raise c.unsupported("a table access method")
    _storage_parameters(c)
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
    _storage_parameters(c)
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


def _select_into(c: Cursor, tokens: list[Token], text: str) -> ddl.CreateTableAs | None:
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


def _storage_parameters(c: Cursor) -> None:
    """WITH (fillfactor = 70): how PostgreSQL stores rows means nothing here, and is accepted."""
    if c.accept("WITHOUT", "OIDS"):
        return
    if c.looking_at("WITH", "("):
        c.expect("WITH", "(")
        while True:
            c.identifier()
            if c.accept("."):
                c.identifier()
            if c.accept("="):
                c.expression(frozenset())
            if not c.accept(","):
                break
        c.expect(")")


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
        found = _column_constraint(c)
        if found is not None:
            constraints.append(found)
    return ddl.ColumnDef(name, type_, serial, tuple(constraints), position)


def collation(c: Cursor) -> str:
    """The name behind COLLATE, of a collation that there is."""
    name = c.name()
    return collations.known(f"{name}" if name.schema not in (None, "pg_catalog") else name.name, name.position)


def _column_constraint(c: Cursor) -> ddl.ConstraintDef | None:
    position = c.position
    name = c.identifier() if c.accept("CONSTRAINT") else None
    if c.accept("NOT", "NULL"):
        return ddl.ConstraintDef("not null", name, position=position)
    if c.accept("NULL"):
        return ddl.ConstraintDef("null", name, position=position)
    if c.accept("DEFAULT"):
        return ddl.ConstraintDef("default", name, expression=c.expression(DEFAULT_STOPS), position=position)
    if c.accept("COLLATE"):
        return ddl.ConstraintDef("collate", mode=collation(c), position=position)
    if c.accept("CHECK"):
        expression = c.parenthesised()
        c.accept("NO", "INHERIT")
        return ddl.ConstraintDef("check", name, expression=expression, position=position)
    if c.accept("GENERATED"):
        return _generated(c, name, position)
    if kind := c.accept_any(("PRIMARY", "UNIQUE")):
        if kind == "PRIMARY":
            c.expect("KEY")
        distinct = _nulls_distinct(c) if kind == "UNIQUE" else True
        _index_parameters(c)
        word = "primary key" if kind == "PRIMARY" else "unique"
        deferrable, deferred, _ = attributes(c)
        return ddl.ConstraintDef(
            word, name, nulls_distinct=distinct, deferrable=deferrable, deferred=deferred, position=position
        )
    if c.looking_at("REFERENCES"):
        reference = _reference(c)
        deferrable, deferred, _ = attributes(c)
        return ddl.ConstraintDef(
            "foreign key", name, reference=reference, deferrable=deferrable, deferred=deferred, position=position
        )
    if c.word in ("STORAGE", "COMPRESSION"):
        c.expect_any("STORAGE", "COMPRESSION")
        c.identifier()
        return None
    raise c.error()


def _generated(c: Cursor, name: str | None, position: int) -> ddl.ConstraintDef:
    always = c.accept("ALWAYS")
    if not always:
        c.expect("BY", "DEFAULT")
    c.expect("AS")
    if c.accept("IDENTITY"):
        options = None
        if c.accept("("):
            options = sequence_options(c)
            c.expect(")")
        mode = "always" if always else "by default"
        return ddl.ConstraintDef(
            "identity", name, mode=mode, sequence=options or ddl.SequenceOptions(), position=position
        )
    if not always:
        raise ProgrammingError(
            "for a generated column, GENERATED ALWAYS must be specified", sqlstate="42601", position=position
        )
    expression = c.parenthesised()
    if not c.accept("STORED"):
        if c.looking_at("VIRTUAL"):
            raise c.unsupported("a virtual generated column")
        raise c.error()
    return ddl.ConstraintDef("generated", name, expression=expression, position=position)


def table_constraint(c: Cursor) -> ddl.ConstraintDef:
    position = c.position
    name = c.identifier() if c.accept("CONSTRAINT") else None
    if c.accept("CHECK"):
        expression = c.parenthesised()
        c.accept("NO", "INHERIT")
        deferrable, _, not_valid = attributes(c)
        if deferrable:
            raise NotSupportedError("CHECK constraints cannot be marked DEFERRABLE", position=position)
        return ddl.ConstraintDef("check", name, expression=expression, not_valid=not_valid, position=position)
    if c.accept("FOREIGN", "KEY"):
        columns = c.column_list()
        reference = _reference(c)
        deferrable, deferred, not_valid = attributes(c)
        return ddl.ConstraintDef(
            "foreign key",
            name,
            columns,
            reference=reference,
            deferrable=deferrable,
            deferred=deferred,
            not_valid=not_valid,
            position=position,
        )
    if c.looking_at("EXCLUDE"):
        raise c.unsupported("an EXCLUDE constraint")
    kind = c.expect_any("PRIMARY", "UNIQUE")
    if kind == "PRIMARY":
        c.expect("KEY")
    word = "primary key" if kind == "PRIMARY" else "unique"
    if c.accept("USING", "INDEX"):
        index = c.identifier()
        deferrable, deferred, _ = attributes(c)
        return ddl.ConstraintDef(
            word, name, using_index=index, deferrable=deferrable, deferred=deferred, position=position
        )
    distinct = _nulls_distinct(c) if kind == "UNIQUE" else True
    columns = c.column_list()
    _index_parameters(c)
    deferrable, deferred, _ = attributes(c)
    return ddl.ConstraintDef(
        word,
        name,
        columns,
        nulls_distinct=distinct,
        deferrable=deferrable,
        deferred=deferred,
        position=position,
    )


def _nulls_distinct(c: Cursor) -> bool:
    if c.accept("NULLS", "NOT", "DISTINCT"):
        return False
    c.accept("NULLS", "DISTINCT")
    return True


def _index_parameters(c: Cursor) -> None:
    if c.accept("INCLUDE"):
        c.column_list()
    _storage_parameters(c)
    if c.looking_at("USING", "INDEX", "TABLESPACE"):
        raise c.unsupported("TABLESPACE")


def _reference(c: Cursor) -> ddl.Reference:
    c.expect("REFERENCES")
    table = c.name()
    columns = c.column_list() if c.looking_at("(") else ()
    full = False
    if c.accept("MATCH"):
        kind = c.expect_any("FULL", "PARTIAL", "SIMPLE")
        if kind == "PARTIAL":
            raise c.unsupported("MATCH PARTIAL")
        full = kind == "FULL"
    actions = {"DELETE": "no action", "UPDATE": "no action"}
    set_columns: tuple[str, ...] = ()
    while c.looking_at("ON"):
        c.expect("ON")
        event = c.expect_any("DELETE", "UPDATE")
        if c.accept("NO", "ACTION"):
            action = "no action"
        elif c.accept("SET"):
            action = "set " + c.expect_any("NULL", "DEFAULT").lower()
            if event == "DELETE" and c.looking_at("("):
                set_columns = c.column_list()
        else:
            action = c.expect_any("RESTRICT", "CASCADE").lower()
        actions[event] = action
    return ddl.Reference(table, columns, actions["DELETE"], actions["UPDATE"], full, set_columns)


def attributes(c: Cursor) -> tuple[bool, bool, bool]:
    """[NOT] DEFERRABLE, INITIALLY ..., NOT VALID: (deferrable, deferred, not valid)."""
    deferrable: bool | None = None
    deferred: bool | None = None
    not_valid = False
    while True:
        position = c.position
        if c.accept("NOT", "VALID"):
            not_valid = True
        elif c.looking_at("DEFERRABLE") or c.looking_at("NOT", "DEFERRABLE"):
            if deferrable is not None:
                raise _misplaced("multiple DEFERRABLE/NOT DEFERRABLE clauses not allowed", position)
            deferrable = not c.accept("NOT")
            c.expect("DEFERRABLE")
        elif c.accept("INITIALLY"):
            if deferred is not None:
                raise _misplaced("multiple INITIALLY IMMEDIATE/DEFERRED clauses not allowed", position)
            deferred = c.expect_any("IMMEDIATE", "DEFERRED") == "DEFERRED"
        else:
            return bool(deferrable or deferred), bool(deferred), not_valid
        if deferred and deferrable is False:
            raise _misplaced("constraint declared INITIALLY DEFERRED must be DEFERRABLE", position)


def _misplaced(message: str, position: int) -> ProgrammingError:
    return ProgrammingError(message, sqlstate="42601", position=position)


def partition_bound(c: Cursor) -> ddl.PartitionBound:
    position = c.position
    if c.accept("DEFAULT"):
        return ddl.PartitionBound(default=True, position=position)
    c.expect("FOR", "VALUES")
    if c.accept("IN"):
        return ddl.PartitionBound(values=tuple(v for v in _bounds(c) if isinstance(v, ddl.Sql)), position=position)
    if c.accept("WITH"):
        c.expect("(", "MODULUS")
        modulus = c.integer()
        c.expect(",", "REMAINDER")
        remainder = c.integer()
        c.expect(")")
        return ddl.PartitionBound(modulus=modulus, remainder=remainder, position=position)
    c.expect("FROM")
    low = _bounds(c)
    c.expect("TO")
    return ddl.PartitionBound(low=low, high=_bounds(c), position=position)


def _bounds(c: Cursor) -> tuple[ddl.Sql | str, ...]:
    c.expect("(")
    found: list[ddl.Sql | str] = []
    while True:
        keyword = c.accept_any(("MINVALUE", "MAXVALUE"))
        found.append(keyword or c.expression(frozenset()))
        if not c.accept(","):
            break
    c.expect(")")
    return tuple(found)


# --- indexes and sequences --------------------------------------------------------------------------------------------


def _create_index(c: Cursor) -> ddl.CreateIndex:
    unique = c.accept("UNIQUE")
    c.expect("INDEX")
    concurrently = c.accept("CONCURRENTLY")
    if_not_exists = c.accept("IF", "NOT", "EXISTS")
    name = None if c.looking_at("ON") else c.identifier()
    if name is None and if_not_exists:
        raise c.error()
    c.expect("ON")
    c.accept("ONLY")
    table = c.name()
    method = "btree"
    if c.accept("USING"):
        position = c.position
        method = c.identifier()
        if method not in ("btree", "hash", "gin", "gist", "brin", "spgist"):
            raise ProgrammingError(f'access method "{method}" does not exist', sqlstate="42704", position=position)
    keys = _keys(c)
    include = c.column_list() if c.accept("INCLUDE") else ()
    distinct = _nulls_distinct(c)
    _storage_parameters(c)
    if c.looking_at("TABLESPACE"):
        raise c.unsupported("TABLESPACE")
    predicate = c.expression(frozenset()) if c.accept("WHERE") else None
    return ddl.CreateIndex(name, table, keys, unique, if_not_exists, method, predicate, distinct, include, concurrently)


def _keys(c: Cursor) -> tuple[ddl.KeyDef, ...]:
    c.expect("(")
    found: list[ddl.KeyDef] = []
    stops = frozenset(("ASC", "DESC", "NULLS", "COLLATE"))
    while True:
        position = c.position
        if c.looking_at("("):
            inner = c.parenthesised()
            key = ddl.KeyDef(None, inner, position=position)
        elif c.peek(1) in ("(", ".") or c.word in ("CAST", "CASE"):
            key = ddl.KeyDef(None, c.expression(stops), position=position)
        else:
            key = ddl.KeyDef(c.identifier(), position=position)
        collated = collation(c) if c.accept("COLLATE") else None
        if c.word not in (",", ")", "ASC", "DESC", "NULLS", ""):
            c.name()  # an operator class
        order = c.accept_any(("ASC", "DESC"))
        nulls_first = order == "DESC"
        if c.accept("NULLS"):
            nulls_first = c.expect_any("FIRST", "LAST") == "FIRST"
        found.append(ddl.KeyDef(key.column, key.expression, order == "DESC", nulls_first, position, collated))
        if not c.accept(","):
            break
    c.expect(")")
    return tuple(found)


def sequence_options(c: Cursor) -> ddl.SequenceOptions:
    """The options of CREATE and ALTER SEQUENCE, and of identity columns, in any order."""
    given: dict[str, object] = {}

    def say(**options: object) -> None:
        for option, value in options.items():
            if option in given:
                raise ProgrammingError("conflicting or redundant options", sqlstate="42601", position=c.position)
            given[option] = value

    while not c.done and c.word != ")":
        if c.accept("AS"):
            say(type=c.expect_any("SMALLINT", "INTEGER", "INT", "BIGINT", "INT2", "INT4", "INT8").lower())
        elif c.accept("INCREMENT"):
            c.accept("BY")
            say(increment=c.integer())
        elif c.accept("MINVALUE"):
            say(minimum=c.integer())
        elif c.accept("MAXVALUE"):
            say(maximum=c.integer())
        elif c.accept("NO", "MINVALUE"):
            say(no_minimum=True)
        elif c.accept("NO", "MAXVALUE"):
            say(no_maximum=True)
        elif c.accept("NO", "CYCLE"):
            say(cycle=False)
        elif c.accept("CYCLE"):
            say(cycle=True)
        elif c.accept("START"):
            c.accept("WITH")
            say(start=c.integer())
        elif c.accept("RESTART"):
            with_ = c.accept("WITH")
            say(restart=c.integer() if with_ or c.word.isdigit() or c.word == "-" else True)
        elif c.accept("CACHE"):
            say(cache=c.integer())
        elif c.accept("SEQUENCE", "NAME"):
            say(name=c.name())
        elif c.accept("OWNED", "BY"):
            say(owned_by=_owner(c))
        else:
            raise c.error()
    return ddl.SequenceOptions(**given)  # type: ignore[arg-type]


def _owner(c: Cursor) -> tuple[ddl.Name, str] | tuple[()]:
    if c.accept("NONE"):
        return ()
    position = c.position
    parts = [c.identifier()]
    while c.accept("."):
        parts.append(c.identifier())
    if len(parts) < 2:
        raise ProgrammingError("invalid OWNED BY option", position=position, hint="OWNED BY table.column or NONE")
    schema = parts[-3] if len(parts) > 2 else None
    return ddl.Name(parts[-2], schema, position), parts[-1]


def _create_type(c: Cursor) -> ddl.CreateType:
    name = c.name()
    if not c.accept("AS"):
        raise c.unsupported("a base type or shell type")
    if c.accept("ENUM"):
        c.expect("(")
        labels: list[str] = []
        while not c.accept(")"):
            if labels:
                c.expect(",")
            labels.append(c.string())
        return ddl.CreateType(name, tuple(labels))
    if c.looking_at("RANGE"):
        raise c.unsupported("CREATE TYPE ... AS RANGE")
    c.expect("(")
    fields: list[tuple[str, exp.DataType, int]] = []
    while not c.accept(")"):
        if fields:
            c.expect(",")
        place = c.position
        fields.append((c.identifier(), c.type(frozenset({"COLLATE"})), place))
        if c.looking_at("COLLATE"):
            raise c.unsupported("COLLATE in a composite type")
    return ddl.CreateType(name, None, tuple(fields))


# --- the rest ---------------------------------------------------------------------------------------------------------


def _drop(c: Cursor) -> ddl.Definition | None:
    c.expect("DROP")
    if c.word not in ("TABLE", "INDEX", "SEQUENCE", "TYPE"):
        from zerodb_compiler.sql.ddl_objects import drop_object

        return drop_object(c)
    kind = c.expect_any("TABLE", "INDEX", "SEQUENCE", "TYPE").lower()
    concurrently = kind == "index" and c.accept("CONCURRENTLY")
    if_exists = c.accept("IF", "EXISTS")
    names = c.names()
    cascade = c.accept("CASCADE")
    if not cascade:
        c.accept("RESTRICT")
    return ddl.Drop(kind, names, if_exists, cascade, concurrently)


def _maintain(c: Cursor) -> ddl.Maintain:
    command = c.expect_any("ANALYZE", "ANALYSE", "VACUUM").replace("ANALYSE", "ANALYZE")
    if c.accept("("):
        while not c.accept(")"):
            if c.done:
                raise c.error()
            c.expression(frozenset())
            c.accept(",")
    while c.accept_any(("FULL", "FREEZE", "VERBOSE", "ANALYZE", "ANALYSE")):
        pass
    names: list[ddl.Name] = []
    while not c.done:
        names.append(c.name())
        if c.looking_at("("):
            c.column_list()
        if not c.accept(","):
            break
    return ddl.Maintain(command, tuple(names))


def _reindex(c: Cursor) -> ddl.Maintain:
    c.expect("REINDEX")
    concurrently = False
    if c.accept("("):
        while not c.accept(")"):
            if c.done:
                raise c.error()
            concurrently = concurrently or c.looking_at("CONCURRENTLY")
            c.expression(frozenset())
            c.accept(",")
    kind = c.expect_any("INDEX", "TABLE", "SCHEMA", "DATABASE", "SYSTEM").lower()
    concurrently = c.accept("CONCURRENTLY") or concurrently
    return ddl.Maintain("REINDEX", () if c.done else (c.name(),), kind, concurrently)


def _cluster(c: Cursor) -> ddl.Maintain:
    c.expect("CLUSTER")
    c.accept("VERBOSE")
    if c.done:
        return ddl.Maintain("CLUSTER")
    table = c.name()
    if not c.accept("USING"):
        raise c.unsupported("CLUSTER of a table without USING")
    return ddl.Maintain("CLUSTER", (table,), index=c.name())
