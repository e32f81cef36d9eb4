"""CREATE FUNCTION and CREATE PROCEDURE with a body in SQL or PL/pgSQL: what they return, and whether the body is right.

Their data in the catalog has, beside what all functions have (functions/registry.py),

    "source"        the body's text
    "void"          whether there is no result: the type of the result is text then, and the value ''
    "columns"       whether it returns TABLE (...), whose columns are variables
    "defaults"      the expressions that arguments have, of the last ones
    "outwards"      [[mode, name, place]] of all arguments if some are OUT or INOUT: place is that among the arguments,
                    or among the results

PL/pgSQL is parsed, and a body in SQL bound, as PostgreSQL does (check_function_bodies). Types that are tables' rows are
composites of the columns that the table has when the function is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zerodb.functions.declaration import Declaration, Exported
from zerodb_compiler.errors import Error, error_for
from zerodb_compiler.sql import coercion, ddl
from zerodb_compiler.sql.definitions.columns import column_type
from zerodb_compiler.sql.definitions.expressions import table_expressions
from zerodb_compiler.sql.parse import parse_expression
from zerodb_compiler.sql.polymorphic import is_polymorphic, polymorphic
from zerodb_compiler.types import TEXT, SqlType, TypeId, struct
from zerodb_storage import WriteTransaction

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.view import View
    from zerodb_compiler.sql.binder_types import NamedTypes

Columns = tuple[tuple[str, SqlType], ...]


def declared(view: View, node: ddl.CreateFunction, arguments: Columns) -> tuple[str, Columns]:
    """The kind, and the columns that it returns."""
    _check_defaults(view, node, arguments)
    kind, results = _declared(view, node, arguments)
    _check_polymorphic(node, arguments, results)
    return kind, results


def _declared(view: View, node: ddl.CreateFunction, arguments: Columns) -> tuple[str, Columns]:
    from zerodb.definition.functions import typed

    name = node.name.name
    outwards = [part for part in node.arguments if part.mode != "in"]
    if node.table is not None:
        if outwards:
            message = "OUT and INOUT arguments aren't allowed in TABLE functions"
            raise error_for("42P13", message, position=node.name.position)
        return "table", typed(node.table, view.named_type, "column")
    if outwards:
        columns = tuple((part.name or f"column{i + 1}", _type(view, part)) for i, part in enumerate(outwards))
        if node.setof:
            return "table", columns
        one = columns[0][1] if len(columns) == 1 else struct(columns)
        if node.returns is not None and _word(node.returns) != "record" and _type(view, node.returns) != one:
            message = f"function result type must be {one} because of OUT parameters"
            raise error_for("42P13", message, position=node.name.position)
        return "procedure" if node.procedure else "scalar", ((name, one),)
    if node.procedure:
        return "procedure", ((name, TEXT),)
    assert node.returns is not None
    match _word(node.returns):
        case "trigger":
            if arguments:
                message = "trigger functions cannot have declared arguments"
                raise error_for("42P13", message, position=node.name.position)
            return "trigger", ((name, TEXT),)
        case "void":
            return ("table", ()) if node.setof else ("scalar", ((name, TEXT),))
        case "record":
            message = "a function that returns records without their columns is not supported"
            hint = "RETURNS TABLE, or OUT arguments, say the columns"
            raise error_for("0A000", message, position=node.returns.position, hint=hint)
    returned = _type(view, node.returns)
    if not node.setof:
        return "scalar", ((name, returned),)
    return "table", returned.fields if returned.id is TypeId.STRUCT else ((name, returned),)


def with_polymorphic(view: View) -> NamedTypes:
    """The types that the database defines, and anyelement and its kin."""

    def named(name: str, schema: str | None) -> SqlType | None:
        return view.named_type(name, schema) or polymorphic(name, schema)

    return named


def _check_defaults(view: View, node: ddl.CreateFunction, arguments: Columns) -> None:
    """42P13 for one without a default behind one with it; 42804 for a default of another type."""
    given = [part for part in node.arguments if part.mode != "out"]
    first = next((place for place, part in enumerate(given) if part.default is not None), len(given))
    for part, (_, type_) in zip(given[first:], arguments[first:], strict=True):
        if part.default is None:
            message = "input parameters after one with a default value must also have defaults"
            raise error_for("42P13", message, position=part.position)
        binder = table_expressions("", (), view, "DEFAULT")
        value = binder.bound(parse_expression(part.default))
        source = binder.type_of(value)
        if source.id is not TypeId.NULL and not is_polymorphic(type_) and not coercion.is_assignable(source, type_):
            message = f"argument of DEFAULT must be type {type_}, not type {source}"
            raise error_for("42804", message, position=part.position)


def _check_polymorphic(node: ddl.CreateFunction, arguments: Columns, results: Columns) -> None:
    if any(is_polymorphic(type_) for _, type_ in results) and not any(is_polymorphic(type_) for _, type_ in arguments):
        kind = next(str(type_) for _, type_ in results if is_polymorphic(type_))
        hint = f"A result of type {kind} requires at least one input of a polymorphic type."
        raise error_for("42P13", "cannot determine result data type", position=node.name.position, hint=hint)


def _word(part: ddl.Argument) -> str:
    return str(part.type.sql()).lower()


def _type(view: View, part: ddl.Argument) -> SqlType:
    from zerodb.definition.functions import plain_type

    try:
        return plain_type(column_type(part.type, part.position, with_polymorphic(view)))
    except Error as error:
        found = row_type(view, part.type.sql(dialect="postgres"))
        if error.sqlstate != "42704" or found is None:
            raise
        return found


def row_type(view: View, name: str) -> SqlType | None:
    """The type of a table's rows, or a view's; None if there is none of that name."""
    from zerodb.definition.functions import plain_type

    schema, _, own = name.replace('"', "").rpartition(".")
    table = view.table(own, schema or None)
    if table is not None:
        return struct(tuple((column.name, plain_type(column.type)) for column in table.columns), table.name)
    found = view.view(own, schema or None)
    return None if found is None else struct(tuple((c, plain_type(type_)) for c, type_ in found.columns), found.name)


def _is_void(node: ddl.CreateFunction) -> bool:
    if node.procedure:
        return all(part.mode == "in" for part in node.arguments)
    return node.returns is not None and _word(node.returns) == "void"


def kept(node: ddl.CreateFunction, declaration: Declaration) -> tuple[Exported, dict[str, Any]]:
    """What the catalog keeps of the body."""
    assert node.body is not None
    outwards: list[list[Any]] = []
    if any(part.mode != "in" for part in node.arguments):
        given = made = 0
        for part in node.arguments:
            outwards.append([part.mode, part.name or "", given if part.mode != "out" else made])
            given += part.mode != "out"
            made += part.mode != "in"
    source: dict[str, Any] = {
        "file": None,
        "export": None,
        "source": node.body.text,
        "void": _is_void(node),
        "outwards": outwards,
    }
    source["columns"] = node.table is not None
    source["defaults"] = [part.default for part in node.arguments if part.default is not None]
    return Exported("", declaration.kind or "scalar", bool(declaration.strict), None), source


def check(
    connection: Connection, write: WriteTransaction, node: ddl.CreateFunction, body: ddl.Body, declaration: Declaration
) -> None:
    """Errors point into the statement."""
    if connection._options.get("check_function_bodies") == "off":
        return
    try:
        if node.language == "plpgsql":
            _check_plpgsql(node, body, declaration)
        elif not any(is_polymorphic(type_) for _, type_ in declaration.arguments):
            from zerodb.functions.sql_functions import check as check_sql

            check_sql(connection, write, body.text, declaration, void=_is_void(node))
    except Error as error:
        if body.position is None or error.position is None:
            error.position = node.name.position
        else:
            error.position += body.position
        raise


_OF_TRIGGERS = """
    new old tg_name tg_when tg_level tg_op tg_table_name tg_relname tg_table_schema tg_nargs tg_argv tg_relid
"""


def _check_plpgsql(node: ddl.CreateFunction, body: ddl.Body, declaration: Declaration) -> None:
    from zerodb_compiler.plpgsql.check import Returns, check
    from zerodb_compiler.plpgsql.parser import parse_body

    names = [part.name for part in (*node.arguments, *(node.table or ())) if part.name]
    kind = declaration.kind or "scalar"
    if kind == "trigger":
        names += _OF_TRIGGERS.split()
    outwards = any(part.mode != "in" for part in node.arguments)
    returns = Returns(kind, _is_void(node), outwards)
    check(parse_body(body.text), [*names, node.name.name], returns)
