"""Hidden tables: what PostgreSQL's functions about the catalog give, by their arguments.

A call of such a function is a look-up in one of them (compiler: sql/binder_catalog.py), so that it costs a join and not
a call per row. Their names and columns begin with two underscores: no name of a query means them by chance.
"""

from __future__ import annotations

from collections.abc import Iterable

from zerodb.system import Row, specifications, system_table
from zerodb.system.model import (
    PG_CLASS,
    PG_CONSTRAINT,
    PG_DATABASE,
    PG_NAMESPACE,
    PG_PROC,
    PG_TRIGGER,
    PG_TYPE,
    SYSTEM_OIDS,
    Model,
    ident,
)
from zerodb.system.relations import inheritance, view_text

COLUMNS = """__constraintdef: __k oid, __v text
__indexdef: __k oid, __n int4, __v text
__triggerdef: __k oid, __n int4, __v text
__viewdef: __k oid, __v text
__functiondef: __k oid, __v text
__functionargs: __k oid, __v text
__functionresult: __k oid, __v text
__partkeydef: __k oid, __v text
__format: __k oid, __m int4, __v text
__visible: __k oid
__type_visible: __k oid
__regclass: __k oid, __v text
__regproc: __k oid, __v text
__regnamespace: __k oid, __v text
__comment: __k oid, __c text, __s int4, __v text
__size: __k oid, __v int8
__ancestors: __k oid, __v _oid
"""
_CLASSES = {
    PG_CLASS: "pg_class",
    PG_CONSTRAINT: "pg_constraint",
    PG_NAMESPACE: "pg_namespace",
    PG_TYPE: "pg_type",
    PG_DATABASE: "pg_database",
    PG_PROC: "pg_proc",
    PG_TRIGGER: "pg_trigger",
}
_WIDTH = 16  # bytes of a value, about


@system_table("__constraintdef")
def constraint_definitions(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        for found in relation.constraints:
            yield {"__k": found.oid, "__v": found.definition}


@system_table("__indexdef")
def index_definitions(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        for index in relation.indexes:
            yield {"__k": index.oid, "__n": 0, "__v": model.index_definition(relation, index)}
            yield {"__k": index.oid, "__n": -1, "__v": model.index_definition(relation, index, pretty=True)}
            texts = [model.index_key(relation, key, ordered=False) for key in index.keys]
            texts += [ident(relation.columns[column].name) for column in index.include]
            for number, text in enumerate(texts, 1):
                yield {"__k": index.oid, "__n": number, "__v": text}


@system_table("__viewdef")
def view_definitions(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        if relation.kind in "vm":
            yield {"__k": relation.oid, "__v": view_text(relation)}


@system_table("__partkeydef")
def partition_keys(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        how = relation.version.constraints.partitioning if relation.version is not None else None
        if how is not None:
            keys = ", ".join(model.index_key(relation, key, ordered=False) for key in how.keys)
            yield {"__k": relation.oid, "__v": f"{how.method.upper()} ({keys})"}


@system_table("__ancestors")
def ancestors(model: Model) -> Iterable[Row]:
    """Of partitions and partitioned tables: the table itself and those it is a part of."""
    parents = dict(inheritance(model))
    for oid in {*parents, *parents.values()}:
        found = [oid]
        while found[-1] in parents:
            found.append(parents[found[-1]])
        yield {"__k": oid, "__v": found}


@system_table("__format")
def type_formats(model: Model) -> Iterable[Row]:
    for (oid, modifier), text in model.formats.items():
        yield {"__k": oid, "__m": modifier, "__v": text}


@system_table("__visible")
def visible(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        if model.shown(relation.schema, relation.name) == ident(relation.name):
            yield {"__k": relation.oid}
        for index in relation.indexes:
            if model.shown(relation.schema, index.name) == ident(index.name):
                yield {"__k": index.oid}


@system_table("__type_visible")
def visible_types(model: Model) -> Iterable[Row]:
    from zerodb.system.type_names import BUILTIN

    for known in BUILTIN:
        yield {"__k": known.oid}
    for (schema, name), (oid, _) in model.types.items():
        if schema in model.view.path:
            yield {"__k": oid}
            yield {"__k": model.oid("array type", name)}


@system_table("__regclass")
def relation_names(model: Model) -> Iterable[Row]:
    for name, oid in SYSTEM_OIDS.items():
        yield {"__k": oid, "__v": name}
    for schema, name in specifications():
        if name not in SYSTEM_OIDS and not name.startswith("__"):
            shown = name if schema == "pg_catalog" else f"{schema}.{name}"
            yield {"__k": model.oid("system", schema, name), "__v": shown}
    for relation in model.relations:
        yield {"__k": relation.oid, "__v": model.shown(relation.schema, relation.name)}
        for index in relation.indexes:
            yield {"__k": index.oid, "__v": model.shown(relation.schema, index.name)}


@system_table("__regproc")
def function_names(model: Model) -> Iterable[Row]:
    from zerodb.system.types import functions

    for row in functions(model):
        yield {"__k": row["oid"], "__v": row["proname"]}


@system_table("__regnamespace")
def schema_names(model: Model) -> Iterable[Row]:
    for name, oid in model.schemas.items():
        yield {"__k": oid, "__v": ident(name)}


@system_table("__comment")
def comments(model: Model) -> Iterable[Row]:
    for oid, class_, number, text in model.comments:
        yield {"__k": oid, "__c": _CLASSES[class_], "__s": number, "__v": text}


@system_table("__size")
def sizes(model: Model) -> Iterable[Row]:
    """In bytes, about: rows by the width of their columns."""
    for relation in model.relations:
        rows = relation.version.row_count if relation.version is not None else 0
        yield {"__k": relation.oid, "__v": rows * len(relation.columns) * _WIDTH}
        for index in relation.indexes:
            yield {"__k": index.oid, "__v": rows * len(index.keys) * _WIDTH}
