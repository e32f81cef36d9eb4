"""What the names of regclass, regtype and their like mean: an object's OID."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb.session_values import USER
from zerodb.system.model import OWNER, SYSTEM_OIDS, Model
from zerodb.system.type_names import BUILTIN
from zerodb_compiler.errors import Error, error_for
from zerodb_compiler.sql.binder_types import sql_type
from zerodb_compiler.sql.definitions.names import sequence_name
from zerodb_compiler.sql.parse import parse_expression

if TYPE_CHECKING:
    from zerodb.view import View


def registered_oid(view: View, kind: str, name: str, *, missing: bool) -> int | None:
    """The OID. Without one None (`missing`), or an error: 42P01, 42704, 3F000, 42883."""
    model = view.system.model
    found: int | None = None
    match kind:
        case "regclass":
            found, code, what = _relation(model, name), "42P01", "relation"
        case "regtype":
            found, code, what = _type(view, model, name), "42704", "type"
        case "regnamespace":
            found, code, what = model.schemas.get(sequence_name(name).name), "3F000", "schema"
        case "regrole":
            found, code, what = (OWNER if name == USER else None), "42704", "role"
        case _:
            found, code, what = _function(model, name.partition("(")[0]), "42883", "function"
    if found is None and not missing:
        raise error_for(code, f'{what} "{name}" does not exist')
    return found


def _relation(model: Model, text: str) -> int | None:
    name = sequence_name(text)
    if name.schema in (None, "pg_catalog", "information_schema"):
        system = SYSTEM_OIDS.get(name.name) if name.schema != "information_schema" else None
        if system is not None:
            return system
        from zerodb.system import info_of

        schema = name.schema or "pg_catalog"
        if info_of(schema, name.name) is not None:
            return model.oid("system", schema, name.name)
    schemas = model.view.path if name.schema is None else (model.view.schema_named(name.schema),)
    found = (model.names.get((schema, name.name)) for schema in schemas)
    return next((oid for oid in found if oid is not None), None)


def _type(view: View, model: Model, text: str) -> int | None:
    plain = text.lower().removeprefix("pg_catalog.")
    for known in BUILTIN:  # varchar and text are one type here, with two names
        if plain in (known.name, known.formatted):
            return known.oid
    try:
        cast = parse_expression(f"null::{text}")
        if not isinstance(cast, exp.Cast):
            return None
        return model.type_oid(sql_type(cast.args["to"], cast, view.named_type)) or None
    except Error:
        return None


def _function(model: Model, name: str) -> int | None:
    from zerodb.system.types import functions

    plain = name.strip().removeprefix("pg_catalog.")
    return next((int(row["oid"]) for row in functions(model) if row["proname"] == plain), None)
