"""CREATE, ALTER and DROP FUNCTION: catalog objects of the kind "function" (functions/registry.py says what their data
is), named by their signature, f(bigint,text), because names may be overloaded.

The module's bytes are brought along with the object and stored once by digest (storage's `modules`). What is declared
is compared with what the module's export says of itself; where they differ the statement fails and shows both.

Types are declared without modifiers: varchar(10) is text, numeric(8,2) numeric, as in PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zerodb.definition import bodies, function_uses
from zerodb.definition.dependencies import in_use
from zerodb.definition.names import new_schema, view_of
from zerodb.functions import files
from zerodb.functions.declaration import Declaration, Exported
from zerodb.outcome import Outcome
from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.definitions.columns import column_type
from zerodb_compiler.types import TEXT, UNCONSTRAINED_NUMERIC, SqlType, TypeId, array
from zerodb_storage import WriteTransaction
from zerodb_storage.catalog import type_from, type_record

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb_compiler.sql.binder_types import NamedTypes

KIND = "function"
MAX_ARGUMENTS = 100
_WITHOUT_PRECISION = (TypeId.TIME, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.INTERVAL)


def create(connection: Connection, write: WriteTransaction, node: ddl.CreateFunction) -> Outcome:
    schema = new_schema(connection, write, node.name)
    declared = _declaration(connection, write, node)
    key = KIND, schema, signature_key(node.name.name, declared.arguments)
    before = write.catalog.get(key)
    shown = shown_signature(node.name.name, [type_ for _, type_ in declared.arguments])
    if before is not None and not node.replace:
        message = f'function "{node.name.name}" already exists with same argument types'
        raise error_for("42723", message, position=node.name.position)
    if node.body is not None:
        found, source = bodies.kept(node, declared)
    else:
        content = files.read(node.file)
        files.check_language(content, node.file, node.language)
        found = _exported(connection, content, node.language, declared)
        source = {"file": node.file, "export": found.export, "digest": write.put_module(content)}
    if before is not None:
        _check_replacement(before, declared, found.kind, shown, node)
    options = node.options
    data = {
        "id": write.next_id() if before is None else before["id"],
        "version": write.next_id(),
        "name": node.name.name,
        "kind": found.kind,
        "arguments": [[name, type_record(type_)] for name, type_ in declared.arguments],
        "results": [[name, type_record(type_)] for name, type_ in declared.results],
        "volatility": options.volatility or found.volatility or "volatile",
        "strict": found.strict,
        "language": node.language,
        "parallel": options.parallel or "unsafe",
        "cost": options.cost,
        "rows": options.rows,
        **source,
    }
    write.put_object(*key, data)
    if node.body is not None:  # which may call the function itself
        bodies.check(connection, write, node, node.body, declared)
    return Outcome("CREATE PROCEDURE" if node.procedure else "CREATE FUNCTION")


def _exported(connection: Connection, content: bytes, language: str, declared: Declaration) -> Exported:
    if language == files.WASM_CORE:
        from zerodb.functions import core_functions

        return core_functions.exported(content, declared)
    from zerodb.functions import component_functions

    return component_functions.exported(connection, content, declared)


def _declaration(connection: Connection, write: WriteTransaction, node: ddl.CreateFunction) -> Declaration:
    view = view_of(connection, write)
    named = view.named_type if node.body is None else bodies.with_polymorphic(view)
    if len(node.arguments) > MAX_ARGUMENTS:
        message = f"functions cannot have more than {MAX_ARGUMENTS} arguments"
        raise error_for("54023", message, position=node.name.position)
    arguments = typed([part for part in node.arguments if part.mode != "out"], named, "parameter")
    kind = None
    if node.body is not None:
        kind, results = bodies.declared(view, node, arguments)
    elif node.table is not None:
        kind, results = "table", typed(node.table, named, "column")
    else:
        assert node.returns is not None
        if node.returns.type.sql().lower() == "trigger":
            if arguments:
                message = "trigger functions cannot have declared arguments"
                raise error_for("42P13", message, position=node.name.position)
            kind, results = "trigger", ((node.name.name, TEXT),)
        else:
            returned = plain_type(column_type(node.returns.type, node.returns.position, named))
            results = ((node.name.name, returned),)
    options = node.options
    return Declaration(node.name.name, arguments, results, kind, options.strict, options.volatility, node.export)


def typed(declared: Sequence[ddl.Argument], named: NamedTypes, what: str) -> tuple[tuple[str, SqlType], ...]:
    found: list[tuple[str, SqlType]] = []
    for argument in declared:
        name = argument.name or ""
        if name and any(name == known for known, _ in found):
            raise error_for("42P13", f'{what} name "{name}" used more than once', position=argument.position)
        found.append((name, plain_type(column_type(argument.type, argument.position, named))))
    return tuple(found)


def plain_type(type_: SqlType) -> SqlType:
    """The type without modifiers."""
    if type_.id is TypeId.TEXT:
        return replace(type_, length=None, padded=False, collation=None)
    if type_.id is TypeId.NUMERIC:
        return UNCONSTRAINED_NUMERIC
    if type_.id in _WITHOUT_PRECISION:
        return replace(type_, precision=0, scale=0)
    if type_.id is TypeId.ARRAY and type_.element is not None:
        return array(plain_type(type_.element))
    return type_


def signature_key(name: str, arguments: Sequence[tuple[str, SqlType]]) -> str:
    """The name of the catalog object: f(bigint,text)."""
    return f"{name}({','.join(str(type_) for _, type_ in arguments)})"


def shown_signature(name: str, arguments: Sequence[SqlType]) -> str:
    return f"{name}({', '.join(map(str, arguments))})"


def shown(data: dict[str, Any]) -> str:
    """A function as messages name it: f(bigint, text)."""
    return shown_signature(data["name"], [type_from(record) for _, record in data["arguments"]])


def _check_replacement(
    before: dict[str, Any], declared: Declaration, kind: str, shown_name: str, node: ddl.CreateFunction
) -> None:
    """CREATE OR REPLACE keeps what callers rely on: the kind, the result, the arguments' names."""
    position, hint = node.name.position, f"Use DROP FUNCTION {shown_name} first."
    if before["kind"] != kind:
        message = f'"{node.name.name}" is a function of another kind ({before["kind"]}, not {kind})'
        raise error_for("42809", f"cannot change routine kind: {message}", position=position, hint=hint)
    results = [[name, type_record(type_)] for name, type_ in declared.results]
    if [record for _, record in before["results"]] != [record for _, record in results]:
        raise error_for("42P13", "cannot change return type of existing function", position=position, hint=hint)
    if kind == "table" and before["results"] != results:
        raise error_for("42P13", "cannot change name of a column of a table function", position=position, hint=hint)
    for (old, _), (new, _) in zip(before["arguments"], declared.arguments, strict=True):
        if old and old != new:
            message = f'cannot change name of input parameter "{old}"'
            raise error_for("42P13", message, position=position, hint=hint)


# --- finding ----------------------------------------------------------------------------------------------------------


def find(
    connection: Connection, write: WriteTransaction, wanted: ddl.FunctionName, kind: str = "function"
) -> tuple[str, str, str] | None:
    """The catalog key of the function that a statement names; None if there is none. 42725 if several have the name,
    42809 if it is of another kind."""
    view = view_of(connection, write)
    schemas = view.path if wanted.name.schema is None else (view.schema_named(wanted.name.schema),)
    position = wanted.name.position
    for schema in schemas:
        if wanted.arguments is not None:
            given = [part for part in wanted.arguments if part.mode != "out"]
            arguments = typed(given, bodies.with_polymorphic(view), "parameter")
            key = KIND, schema, signature_key(wanted.name.name, arguments)
            found = [key] if key in write.catalog else []
        else:
            found = [
                key
                for key, data in write.catalog.items()
                if key[0] == KIND and key[1] == schema and data["name"] == wanted.name.name
                if kind == "routine" or (data["kind"] == "procedure") is (kind == "procedure")
            ]
        if len(found) > 1:
            hint = f"Specify the argument list to select the {kind} unambiguously."
            raise error_for("42725", f'{kind} name "{wanted.name}" is not unique', position=position, hint=hint)
        if found:
            is_aggregate = write.catalog[found[0]]["kind"] == "aggregate"
            is_procedure = write.catalog[found[0]]["kind"] == "procedure"
            name = shown(write.catalog[found[0]])
            if kind == "procedure" and not is_procedure:
                raise error_for("42809", f"{name} is not a procedure", position=position)
            if kind == "function" and is_procedure:
                hint = "Use DROP PROCEDURE to drop procedures."
                raise error_for("42809", f"{name} is a procedure", position=position, hint=hint)
            if kind == "aggregate" and not is_aggregate:
                raise error_for("42809", f"function {name} is not an aggregate", position=position)
            if kind == "function" and is_aggregate:
                hint = "Use DROP AGGREGATE to drop aggregate functions."
                raise error_for("42809", f"{name} is an aggregate function", position=position, hint=hint)
            return found[0]
    return None


def missing(connection: Connection, write: WriteTransaction, wanted: ddl.FunctionName, kind: str) -> DatabaseError:
    position = wanted.name.position
    if wanted.arguments is None:
        return error_for("42883", f'could not find a {kind} named "{wanted.name}"', position=position)
    named = bodies.with_polymorphic(view_of(connection, write))
    types = [type_ for _, type_ in typed(wanted.arguments, named, "parameter")]
    text = shown_signature(str(wanted.name), types)
    return error_for("42883", f"{kind} {text} does not exist", position=position)


# --- drop and alter ---------------------------------------------------------------------------------------------------


def drop(connection: Connection, write: WriteTransaction, node: ddl.DropFunction) -> Outcome:
    going: list[tuple[str, str, str]] = []
    for name in node.names:
        found = find(connection, write, name, node.kind)
        if found is not None:
            going.append(found)
        elif not node.if_exists:
            raise missing(connection, write, name, node.kind)
    drop_functions(connection, write, going, cascade=node.cascade)
    return Outcome(f"DROP {node.kind.upper()}")


def drop_functions(
    connection: Connection, write: WriteTransaction, going: Sequence[tuple[str, str, str]], *, cascade: bool
) -> None:
    """Drops functions, and (CASCADE) what uses them; 2BP01 if something does."""
    for key in going:
        data = write.catalog.get(key)
        if data is None:
            continue
        what = f"function {shown(data)}"
        for use in function_uses.uses(connection, write, data):
            if not cascade:
                raise in_use(what, f"{use} depends on {what}")
            function_uses.drop_use(connection, write, use)
        write.drop_object("comment", "", comment_key(data))
        write.drop_object(*key)


def comment_key(data: dict[str, Any]) -> str:
    return str(data["id"])


def alter(connection: Connection, write: WriteTransaction, node: ddl.AlterFunction) -> Outcome:
    outcome = Outcome(f"ALTER {node.kind.upper()}")
    found = find(connection, write, node.name, node.kind)
    if found is None:
        raise missing(connection, write, node.name, node.kind)
    data = write.catalog[found]
    match node.action:
        case "nothing":
            return outcome
        case "options":
            write.put_object(*found, _with_options(write, data, node.options))
            return outcome
        case "set schema":
            place = new_schema(connection, write, ddl.Name("", node.new_name, node.name.name.position))
            new = KIND, place, found[2]
        case _:
            data = {**data, "name": node.new_name, "version": write.next_id()}
            arguments = [(name, type_from(record)) for name, record in data["arguments"]]
            new = KIND, found[1], signature_key(node.new_name, arguments)
    if new == found:
        return outcome
    if new in write.catalog:
        message = f'function {shown(write.catalog[new])} already exists in schema "{new[1]}"'
        raise error_for("42723", message, position=node.name.name.position)
    uses = function_uses.uses(connection, write, write.catalog[found])
    use = next((use for use in uses if use.kind != "trigger"), None)
    if use is not None:  # what uses it says so by name, but for triggers
        what = "renaming" if node.action == "rename" else "moving"
        message = f"{what} a function that other objects use is not supported"
        raise error_for("0A000", message, hint=f"{use} uses function {shown(write.catalog[found])}")
    write.drop_object(*found)
    write.put_object(*new, data)
    return outcome


def _with_options(write: WriteTransaction, data: dict[str, Any], options: ddl.FunctionOptions) -> dict[str, Any]:
    given = {
        name: value
        for name in ("volatility", "parallel", "cost", "rows")
        if (value := getattr(options, name)) is not None
    }
    if options.strict is not None and options.strict != data["strict"]:
        if not options.strict:
            message = "changing a strict function to one that is called on NULL input is not supported"
            raise error_for("0A000", message, hint="CREATE OR REPLACE FUNCTION compares it with what the export takes.")
        given["strict"] = True
    return {**data, **given, "version": write.next_id()}
