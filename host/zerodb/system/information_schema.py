"""information_schema: the standard's views. A row leaves out what is NULL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from zerodb.session_values import USER
from zerodb.system import Builder, Row, system_table
from zerodb.system.model import ColumnEntry, ConstraintEntry, Model, RelationEntry
from zerodb.system.relations import view_text
from zerodb.system.type_names import format_type, internal_name
from zerodb_compiler.sql.binder_updatable import is_simple
from zerodb_compiler.sql.collations import COLLATIONS, collatable, collation_of
from zerodb_compiler.types import UNCONSTRAINED_NUMERIC, SqlType, TypeId

_TEXT_OCTETS = 1 << 30
_BITS = {TypeId.SMALLINT: 16, TypeId.INTEGER: 32, TypeId.BIGINT: 64, TypeId.REAL: 24, TypeId.DOUBLE: 53}
_MOMENTS = (TypeId.TIME, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.INTERVAL)
_RULES = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_TABLE_RIGHTS = ("INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_COLUMN_RIGHTS = ("INSERT", "SELECT", "UPDATE", "REFERENCES")


def _view(name: str) -> Callable[[Builder], Builder]:
    return system_table(name, "information_schema")


def _yes(value: object) -> str:
    return "YES" if value else "NO"


def _shown(model: Model) -> Iterator[RelationEntry]:
    """Tables and views, not materialized ones: the standard has none."""
    return (relation for relation in model.relations if relation.kind in "rpv")


def _place(model: Model, relation: RelationEntry, prefix: str = "table") -> Row:
    return {
        f"{prefix}_catalog": model.view.database,
        f"{prefix}_schema": relation.schema,
        f"{prefix}_name": relation.name,
    }


@_view("information_schema_catalog_name")
def catalog_name(model: Model) -> Iterable[Row]:
    yield {"catalog_name": model.view.database}


@_view("enabled_roles")
def enabled_roles(model: Model) -> Iterable[Row]:
    yield {"role_name": USER}


@_view("schemata")
def schemata(model: Model) -> Iterable[Row]:
    for name in model.schemas:
        yield {"catalog_name": model.view.database, "schema_name": name, "schema_owner": USER}


def _is_changed(relation: RelationEntry) -> bool:
    """Whether statements may change its rows."""
    return relation.kind != "v" or is_simple(relation.data["query"])


@_view("tables")
def tables(model: Model) -> Iterable[Row]:
    for relation in _shown(model):
        temporary = model.is_temporary(relation)
        kind = "VIEW" if relation.kind == "v" else "LOCAL TEMPORARY" if temporary else "BASE TABLE"
        yield _place(model, relation) | {
            "table_type": kind,
            "is_insertable_into": _yes(_is_changed(relation)),
            "is_typed": "NO",
            "commit_action": "PRESERVE" if kind == "LOCAL TEMPORARY" else None,
        }


@_view("views")
def views(model: Model) -> Iterable[Row]:
    for relation in _shown(model):
        if relation.kind == "v":
            yield _place(model, relation) | {
                "view_definition": view_text(relation),
                "check_option": "NONE",
                "is_updatable": _yes(_is_changed(relation)),
                "is_insertable_into": _yes(_is_changed(relation)),
                "is_trigger_updatable": "NO",
                "is_trigger_deletable": "NO",
                "is_trigger_insertable_into": "NO",
            }


def type_columns(model: Model, type_: SqlType) -> Row:
    """What columns, attributes and parameters say of their type."""
    kind = "ARRAY" if type_.id is TypeId.ARRAY else format_type(SqlType(type_.id, padded=type_.padded))
    if type_.id is TypeId.NUMERIC:
        kind = "numeric"
    if type_.id is TypeId.TEXT and type_.length is not None:
        kind = "character" if type_.padded else "character varying"
    if type_.id in (TypeId.ENUM, TypeId.STRUCT):
        kind = "USER-DEFINED"
    if type_.id is TypeId.RANGE:
        kind = str(type_.name)
    row: Row = {"data_type": kind}
    own = next((key for key, (_, known) in model.types.items() if known.name == type_.name), None)
    row |= {"udt_catalog": model.view.database, "udt_schema": own[0] if own is not None else "pg_catalog"}
    row["udt_name"] = internal_name(type_)
    if collatable(type_) and (collation := collation_of(type_)) is not None:
        row |= {"collation_catalog": model.view.database, "collation_schema": "pg_catalog"}
        row["collation_name"] = collation
    if type_.is_text:
        row["character_maximum_length"] = type_.length
        row["character_octet_length"] = _TEXT_OCTETS if type_.length is None else type_.length * 4
    elif type_.id in _BITS:
        row |= {"numeric_precision": _BITS[type_.id], "numeric_precision_radix": 2}
        row["numeric_scale"] = 0 if type_.is_integer else None
    elif type_.id is TypeId.NUMERIC:
        row["numeric_precision_radix"] = 10
        if type_ != UNCONSTRAINED_NUMERIC:
            row |= {"numeric_precision": type_.precision, "numeric_scale": type_.scale}
    elif type_.id is TypeId.DATE:
        row["datetime_precision"] = 0
    elif type_.id in _MOMENTS:
        row["datetime_precision"] = type_.precision - 1 if type_.precision else 6
    return row


@_view("columns")
def columns(model: Model) -> Iterable[Row]:
    sequences = {tuple(r.data["owner"]): r for r in model.relations if r.kind == "S" and r.data.get("owner")}
    for relation in _shown(model):
        for column in relation.columns:
            yield (
                _place(model, relation) | type_columns(model, column.type) | _column(model, relation, column, sequences)
            )


def _column(model: Model, relation: RelationEntry, column: ColumnEntry, sequences: dict[Any, RelationEntry]) -> Row:
    row = {
        "column_name": column.name,
        "ordinal_position": column.number,
        "column_default": None if column.generated else column.default,
        "is_nullable": _yes(not column.not_null),
        "dtd_identifier": str(column.number),
        "is_self_referencing": "NO",
        "is_identity": _yes(column.identity),
        "identity_cycle": "NO",
        "is_generated": "ALWAYS" if column.generated else "NEVER",
        "generation_expression": column.default if column.generated else None,
        "is_updatable": _yes(_is_changed(relation)),
    }
    sequence = sequences.get((relation.id, column.number - 1))
    if column.identity and sequence is not None:
        data = sequence.data
        row |= {
            "identity_generation": "ALWAYS" if column.identity == "a" else "BY DEFAULT",
            "identity_start": str(data["start"]),
            "identity_increment": str(data["increment"]),
            "identity_maximum": str(data["max"]),
            "identity_minimum": str(data["min"]),
            "identity_cycle": _yes(data["cycle"]),
        }
    return row


# --- constraints ------------------------------------------------------------------------------------------------------


def _constraint_place(model: Model, relation: RelationEntry, name: str, prefix: str = "constraint") -> Row:
    return {
        f"{prefix}_catalog": model.view.database,
        f"{prefix}_schema": relation.schema,
        f"{prefix}_name": name,
    }


def _all(model: Model) -> Iterator[tuple[RelationEntry, ConstraintEntry]]:
    return ((relation, found) for relation in model.relations for found in relation.constraints)


def _not_null(model: Model) -> Iterator[tuple[RelationEntry, ColumnEntry, str]]:
    """NOT NULL is a check in the standard, with a name of its own."""
    for relation in _shown(model):
        for column in relation.columns:
            if column.not_null:
                name = f"{model.schemas[relation.schema]}_{relation.oid}_{column.number}_not_null"
                yield relation, column, name


@_view("table_constraints")
def table_constraints(model: Model) -> Iterable[Row]:
    kinds = {"p": "PRIMARY KEY", "u": "UNIQUE", "f": "FOREIGN KEY", "c": "CHECK"}
    for relation, found in _all(model):
        index = next((index for index in relation.indexes if index.oid == found.index and found.kind == "u"), None)
        yield (
            _constraint_place(model, relation, found.name)
            | _place(model, relation)
            | {
                "constraint_type": kinds[found.kind],
                "is_deferrable": _yes(found.deferrable),
                "initially_deferred": _yes(found.deferred),
                "enforced": "YES",
                "nulls_distinct": _yes(index.nulls_distinct) if index is not None else None,
            }
        )
    for relation, _, name in _not_null(model):
        yield (
            _constraint_place(model, relation, name)
            | _place(model, relation)
            | {
                "constraint_type": "CHECK",
                "is_deferrable": "NO",
                "initially_deferred": "NO",
                "enforced": "YES",
            }
        )


@_view("key_column_usage")
def key_columns(model: Model) -> Iterable[Row]:
    for relation, found in _all(model):
        if found.kind == "c":
            continue
        positions = _positions(found)
        for ordinal, number in enumerate(found.columns, 1):
            yield (
                _constraint_place(model, relation, found.name)
                | _place(model, relation)
                | {
                    "column_name": relation.column(number).name,
                    "ordinal_position": ordinal,
                    "position_in_unique_constraint": positions[ordinal - 1] if positions else None,
                }
            )


def _positions(found: ConstraintEntry) -> list[int]:
    """Of a foreign key: the place of each referenced column in the unique constraint."""
    if found.target is None:
        return []
    key = next((c for c in found.target.constraints if c.kind in "pu" and c.index == found.index), None)
    return [] if key is None else [key.columns.index(number) + 1 for number in found.target_columns]


@_view("referential_constraints")
def referential_constraints(model: Model) -> Iterable[Row]:
    for relation, found in _all(model):
        if found.target is None:
            continue
        unique = next((c for c in found.target.constraints if c.kind in "pu" and c.index == found.index), None)
        row = _constraint_place(model, relation, found.name)
        if unique is not None:
            row |= _constraint_place(model, found.target, unique.name, "unique_constraint")
        yield row | {
            "match_option": "FULL" if found.match == "f" else "NONE",
            "update_rule": _RULES[found.on_update],
            "delete_rule": _RULES[found.on_delete],
        }


@_view("constraint_column_usage")
def constraint_columns(model: Model) -> Iterable[Row]:
    for relation, found in _all(model):
        target, numbers = (found.target, found.target_columns) if found.target else (relation, found.columns)
        for number in dict.fromkeys(numbers):
            yield (
                _place(model, target)
                | _constraint_place(model, relation, found.name)
                | {"column_name": target.column(number).name}
            )


@_view("constraint_table_usage")
def constraint_tables(model: Model) -> Iterable[Row]:
    for relation, found in _all(model):
        if found.kind != "c":
            yield _place(model, found.target or relation) | _constraint_place(model, relation, found.name)


@_view("check_constraints")
def check_constraints(model: Model) -> Iterable[Row]:
    for relation, found in _all(model):
        if found.kind == "c":
            yield _constraint_place(model, relation, found.name) | {"check_clause": f"({found.expression})"}
    for relation, column, name in _not_null(model):
        yield _constraint_place(model, relation, name) | {"check_clause": f"{column.name} IS NOT NULL"}


# --- the rest ---------------------------------------------------------------------------------------------------------


@_view("sequences")
def sequences(model: Model) -> Iterable[Row]:
    owned = {
        (relation.id, column.number - 1)
        for relation in model.relations
        for column in relation.columns
        if column.identity
    }
    bits = {"smallint": 16, "integer": 32, "bigint": 64}
    for relation in model.relations:
        if relation.kind != "S" or tuple(relation.data.get("owner") or ()) in owned:
            continue
        data = relation.data
        yield _place(model, relation, "sequence") | {
            "data_type": data["type"],
            "numeric_precision": bits[data["type"]],
            "numeric_precision_radix": 2,
            "numeric_scale": 0,
            "start_value": str(data["start"]),
            "minimum_value": str(data["min"]),
            "maximum_value": str(data["max"]),
            "increment": str(data["increment"]),
            "cycle_option": _yes(data["cycle"]),
        }


def _used(model: Model) -> Iterator[tuple[RelationEntry, RelationEntry, int | None]]:
    """(view, relation it reads, number of a column or None)"""
    by_id = {relation.id: relation for relation in model.relations}
    for relation in _shown(model):
        for id_, slot in relation.data.get("depends", ()) if relation.kind == "v" else ():
            if id_ in by_id:
                yield relation, by_id[id_], None if slot is None or slot < 0 else slot + 1


@_view("view_table_usage")
def view_tables(model: Model) -> Iterable[Row]:
    seen = {(view.oid, used.oid): (view, used) for view, used, _ in _used(model)}
    for view, used in seen.values():
        yield _place(model, view, "view") | _place(model, used)


@_view("view_column_usage")
def view_columns(model: Model) -> Iterable[Row]:
    for view, used, number in _used(model):
        numbers = [column.number for column in used.columns] if number is None else [number]
        for each in numbers:
            yield _place(model, view, "view") | _place(model, used) | {"column_name": used.column(each).name}


def _rights(name: str) -> Builder:
    def builder(model: Model) -> Iterable[Row]:
        for relation in _shown(model):
            for right in _TABLE_RIGHTS:
                yield _place(model, relation) | {
                    "grantor": USER,
                    "grantee": USER,
                    "privilege_type": right,
                    "is_grantable": "YES",
                    "with_hierarchy": _yes(right == "SELECT"),
                }

    return _view(name)(builder)


_rights("table_privileges")
_rights("role_table_grants")


@_view("column_privileges")
def column_rights(model: Model) -> Iterable[Row]:
    for relation in _shown(model):
        for column in relation.columns:
            for right in _COLUMN_RIGHTS:
                yield _place(model, relation) | {
                    "grantor": USER,
                    "grantee": USER,
                    "column_name": column.name,
                    "privilege_type": right,
                    "is_grantable": "YES",
                }


@_view("element_types")
def element_types(model: Model) -> Iterable[Row]:
    for relation in _shown(model):
        for column in relation.columns:
            if column.type.id is TypeId.ARRAY and column.type.element is not None:
                element = type_columns(model, column.type.element)
                kept = {key: element[key] for key in ("data_type", "udt_catalog", "udt_schema", "udt_name")}
                yield (
                    _place(model, relation, "object")
                    | kept
                    | {
                        "object_type": "TABLE" if relation.kind != "v" else "VIEW",
                        "collection_type_identifier": str(column.number),
                        "dtd_identifier": f"a{column.number}",
                    }
                )


@_view("user_defined_types")
def composite_types(model: Model) -> Iterable[Row]:
    for (schema, name), (_, type_) in model.types.items():
        if type_.id is TypeId.STRUCT:
            yield {
                "user_defined_type_catalog": model.view.database,
                "user_defined_type_schema": schema,
                "user_defined_type_name": name,
                "user_defined_type_category": "STRUCTURED",
                "is_instantiable": "YES",
            }


@_view("attributes")
def attributes(model: Model) -> Iterable[Row]:
    for (schema, name), (_, type_) in model.types.items():
        for number, (field, field_type) in enumerate(type_.fields, 1):
            found = type_columns(model, field_type)
            row = {(f"attribute_{key}" if key.startswith("udt_") else key): value for key, value in found.items()}
            yield row | {
                "udt_catalog": model.view.database,
                "udt_schema": schema,
                "udt_name": name,
                "attribute_name": field,
                "ordinal_position": number,
                "is_nullable": "YES",
                "dtd_identifier": str(number),
                "is_derived_reference_attribute": "NO",
            }


@_view("collations")
def collations(model: Model) -> Iterable[Row]:
    for name in COLLATIONS:
        yield {
            "collation_catalog": model.view.database,
            "collation_schema": "pg_catalog",
            "collation_name": name,
            "pad_attribute": "NO PAD",
        }


@_view("character_sets")
def character_sets(model: Model) -> Iterable[Row]:
    yield {
        "character_set_name": "UTF8",
        "character_repertoire": "UCS",
        "form_of_use": "UTF8",
        "default_collate_catalog": model.view.database,
        "default_collate_schema": "pg_catalog",
        "default_collate_name": "C",
    }
