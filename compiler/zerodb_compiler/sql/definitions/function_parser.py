"""CREATE, ALTER, DROP FUNCTION and COMMENT ON FUNCTION, from the tokens.

    CREATE [OR REPLACE] FUNCTION name([name] type, ...) RETURNS [SETOF] type | RETURNS TABLE (name type, ...)
        LANGUAGE wasm AS 'file.wasm'[, 'export'] [IMMUTABLE | STABLE | VOLATILE] [STRICT | ...] ...
        LANGUAGE sql | plpgsql AS 'body' | RETURN expression
    CREATE [OR REPLACE] PROCEDURE name([name] type, ...) LANGUAGE sql | plpgsql AS 'body'

The clauses behind the arguments come in any order, each once. An argument's name may be left out, so a word may be a
name or a type: it is a name if a type follows. What PostgreSQL has and zerodb has not (VARIADIC, BEGIN ATOMIC) is
refused by name.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.ddl_tokens import Cursor

# Types of several words begin with these, when such a word follows.
_LONG_TYPES = {
    "DOUBLE": ("PRECISION",),
    "CHARACTER": ("VARYING",),
    "CHAR": ("VARYING",),
    "NATIONAL": ("CHARACTER", "CHAR"),
    "NCHAR": ("VARYING",),
    "BIT": ("VARYING",),
    "TIMESTAMP": ("WITH", "WITHOUT"),
    "TIME": ("WITH", "WITHOUT"),
    "INTERVAL": ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"),
}
_BEHIND_TYPE = frozenset({",", ")", "(", "[", ".", "=", "DEFAULT", "ARRAY"})
_CLAUSE_WORDS = """
    LANGUAGE AS IMMUTABLE STABLE VOLATILE STRICT CALLED RETURNS PARALLEL COST ROWS LEAKPROOF NOT SECURITY EXTERNAL SET
    WINDOW TRANSFORM SUPPORT RETURN BEGIN
"""
_CLAUSES = frozenset(_CLAUSE_WORDS.split())
_OTHER_LANGUAGES = frozenset({"c", "internal", "plpython3u", "plperl", "plv8"})
KINDS = ("FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE")
BODIES = ("sql", "plpgsql")  # languages whose text is the body
LANGUAGES = frozenset({"wasm", "wasm_core", *BODIES})


def create_function(c: Cursor) -> ddl.CreateFunction | None:
    """CREATE behind the word; None, with nothing passed, if it is not about a function."""
    ahead = 2 if c.looking_at("OR", "REPLACE") else 0
    if c.peek(ahead) not in ("FUNCTION", "PROCEDURE"):
        return None
    replace = c.accept("OR", "REPLACE")
    procedure = c.expect_any("FUNCTION", "PROCEDURE") == "PROCEDURE"
    name = c.name()
    arguments = _arguments(c)
    outwards = any(argument.mode != "in" for argument in arguments)
    returns, table, setof = (None, None, False) if procedure else _returns(c, outwards=outwards)
    given: dict[str, Any] = {}
    while not c.done:
        _clause(c, given)
    language = given.get("language")
    if language is None:
        if "body" not in given:
            raise ProgrammingError("no language specified", sqlstate="42P13", position=name.position)
        language = "sql"
    if "source" not in given and "body" not in given:
        raise ProgrammingError("no function body specified", sqlstate="42P13", position=name.position)
    body: ddl.Body | None = given.get("body")
    file, export, position = given.get("source", ("", None, None))
    if language in BODIES:
        if export is not None:
            message = f'only one AS item needed for language "{language}"'
            raise ProgrammingError(message, sqlstate="42P13", position=name.position)
        if body is None:
            body, file = ddl.Body(file, position), ""
        elif language != "sql":
            message = "inline SQL function body only valid for language SQL"
            raise ProgrammingError(message, sqlstate="42P13", position=name.position)
    elif any(argument.default is not None for argument in arguments):
        message = f"a default value of an argument of LANGUAGE {language} is not supported"
        raise error_for("0A000", message, position=name.position)
    elif body is not None or procedure or setof or outwards:
        what = "a body in SQL" if body is not None else "a procedure" if procedure else "SETOF" if setof else "OUT"
        raise error_for("0A000", f"{what} of LANGUAGE {language} is not supported", position=name.position)
    return ddl.CreateFunction(
        name=name,
        arguments=arguments,
        returns=returns,
        table=table,
        language=language,
        file=file,
        export=export,
        replace=replace,
        options=_options(given),
        body=body,
        setof=setof,
        procedure=procedure,
    )


def _options(given: dict[str, Any]) -> ddl.FunctionOptions:
    names = ("volatility", "strict", "parallel", "cost", "rows")
    return ddl.FunctionOptions(**{name: given[name] for name in names if name in given})


def _arguments(c: Cursor) -> tuple[ddl.Argument, ...]:
    c.expect("(")
    found: list[ddl.Argument] = []
    if c.accept(")"):
        return ()
    while True:
        found.append(_argument(c))
        if not c.accept(","):
            break
    c.expect(")")
    return tuple(found)


def _argument(c: Cursor) -> ddl.Argument:
    position = c.position
    mode = "in"
    if c.word == "VARIADIC" and c.peek(1) not in _BEHIND_TYPE:
        raise c.unsupported("VARIADIC arguments of a function")
    if c.word in ("IN", "OUT", "INOUT") and c.peek(1) not in _BEHIND_TYPE:
        mode = c.expect_any("IN", "OUT", "INOUT").lower()
        if mode == "in" and c.accept("OUT"):
            mode = "inout"
    is_type = c.peek(1) in _BEHIND_TYPE or c.peek(1) in _LONG_TYPES.get(c.word, ())
    name = None if is_type else c.identifier()
    type_ = c.type(frozenset({"DEFAULT", "="}))
    default = None
    if c.accept_any(("DEFAULT", "=")):
        if mode == "out":
            message = "only input parameters can have default values"
            raise ProgrammingError(message, sqlstate="42P13", position=position)
        default = c.expression(frozenset()).text
    return ddl.Argument(name, type_, position, mode, default)


def _returns(c: Cursor, *, outwards: bool) -> tuple[ddl.Argument | None, tuple[ddl.Argument, ...] | None, bool]:
    """The type, or the table, and whether it is a set. OUT arguments may say it instead."""
    position = c.position
    if not c.accept("RETURNS"):
        if outwards:
            return None, None, False
        raise ProgrammingError("function result type must be specified", sqlstate="42P13", position=position)
    if c.accept("TABLE"):
        c.expect("(")
        columns: list[ddl.Argument] = []
        while True:
            place = c.position
            columns.append(ddl.Argument(c.identifier(), c.type(frozenset()), place))
            if not c.accept(","):
                break
        c.expect(")")
        return None, tuple(columns), False
    setof = c.accept("SETOF")
    place = c.position
    if c.word in ("TRIGGER", "VOID", "RECORD"):  # keywords of the expression parser, or no types that it knows
        kind = c.expect_any("TRIGGER", "VOID", "RECORD").lower()
        return ddl.Argument(None, exp.DataType.build(kind, udt=True), place), None, setof
    return ddl.Argument(None, c.type(_CLAUSES), place), None, setof


def _clause(c: Cursor, given: dict[str, Any]) -> None:
    position = c.position
    if c.accept("LANGUAGE"):
        _say(given, "language", _language(c), position)
    elif c.accept("AS"):
        file, begin = c.body()
        _say(given, "source", (file, c.string() if c.accept(",") else None, begin), position)
    elif c.accept("RETURN"):
        begin, value = c.position, c.rest()
        _say(given, "body", ddl.Body(f"select {value.text}", begin - len("select ")), position)
    elif c.looking_at("BEGIN"):
        raise c.unsupported("BEGIN ATOMIC (AS takes the body as a string)")
    elif not attribute(c, given):
        raise c.error()


def _language(c: Cursor) -> str:
    position = c.position
    try:
        language = c.string().lower()
    except ProgrammingError:
        language = c.identifier()
    if language in LANGUAGES:
        return language
    hint = "functions are WebAssembly: LANGUAGE wasm (a component) or wasm_core (a core module)"
    if language in _OTHER_LANGUAGES:
        raise error_for("0A000", f"LANGUAGE {language} is not supported", position=position, hint=hint)
    raise error_for("42704", f'language "{language}" does not exist', position=position, hint=hint)


def attribute(c: Cursor, given: dict[str, Any]) -> bool:
    """One of the clauses that ALTER FUNCTION has too; False if none comes next."""
    position = c.position
    if word := c.accept_any(("IMMUTABLE", "STABLE", "VOLATILE")):
        _say(given, "volatility", word.lower(), position)
    elif c.accept("STRICT") or c.accept("RETURNS", "NULL", "ON", "NULL", "INPUT"):
        _say(given, "strict", True, position)
    elif c.accept("CALLED", "ON", "NULL", "INPUT"):
        _say(given, "strict", False, position)
    elif c.accept("PARALLEL"):
        _say(given, "parallel", c.expect_any("SAFE", "UNSAFE", "RESTRICTED").lower(), position)
    elif word := c.accept_any(("COST", "ROWS")):
        number = c.integer()
        if number <= 0:
            raise ProgrammingError(f"{word} must be positive", sqlstate="22023", position=position)
        _say(given, word.lower(), number, position)
    elif c.accept("NOT", "LEAKPROOF"):
        _say(given, "leakproof", False, position)
    elif c.accept("EXTERNAL", "SECURITY") or c.accept("SECURITY"):
        if c.expect_any("INVOKER", "DEFINER") == "DEFINER":
            raise c.unsupported("SECURITY DEFINER")
        _say(given, "security", "invoker", position)
    elif c.word in ("LEAKPROOF", "WINDOW", "TRANSFORM", "SUPPORT", "SET"):
        raise c.unsupported(f"{c.word} of a function")
    else:
        return False
    return True


def _say(given: dict[str, Any], option: str, value: object, position: int) -> None:
    if option in given:
        raise ProgrammingError("conflicting or redundant options", sqlstate="42601", position=position)
    given[option] = value


# --- DROP, ALTER, COMMENT ---------------------------------------------------------------------------------------------


def signature(c: Cursor) -> ddl.FunctionName:
    """name or name(types), as DROP, ALTER and COMMENT name a function."""
    name = c.name()
    return ddl.FunctionName(name, _arguments(c) if c.looking_at("(") else None)


def drop_function(c: Cursor) -> ddl.DropFunction:
    """DROP behind the word."""
    kind = c.expect_any(*KINDS)
    if_exists = c.accept("IF", "EXISTS")
    names = [signature(c)]
    while c.accept(","):
        names.append(signature(c))
    cascade = c.accept("CASCADE")
    if not cascade:
        c.accept("RESTRICT")
    return ddl.DropFunction(kind.lower(), tuple(names), if_exists, cascade)


def alter_function(c: Cursor) -> ddl.AlterFunction:
    """ALTER behind the word."""
    kind = c.expect_any(*KINDS)
    name = signature(c)
    if c.accept("RENAME", "TO"):
        return ddl.AlterFunction(kind.lower(), name, "rename", c.identifier())
    if c.accept("SET", "SCHEMA"):
        return ddl.AlterFunction(kind.lower(), name, "set schema", c.identifier())
    if c.accept("OWNER", "TO"):
        c.identifier()
        return ddl.AlterFunction(kind.lower(), name, "nothing")
    given: dict[str, Any] = {}
    while not c.done and not c.accept("RESTRICT"):
        if not attribute(c, given):
            raise c.error()
    if not given:
        raise c.error()
    return ddl.AlterFunction(kind.lower(), name, "options", options=_options(given))
