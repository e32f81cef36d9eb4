"""pg_class and what is about relations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zerodb.definition.sequences import definition_of
from zerodb.session_values import USER
from zerodb.system import Row, system_table
from zerodb.system.model import (
    BTREE,
    HASH,
    HEAP,
    OWNER,
    PG_CLASS,
    IndexEntry,
    Model,
    RelationEntry,
)
from zerodb.system.type_names import BY_OID, type_modifier
from zerodb_compiler.sql.collations import COLLATIONS, collatable, collation_of
from zerodb_compiler.triggers import triggers_in
from zerodb_compiler.types import SqlType, TypeId

if TYPE_CHECKING:
    from zerodb_storage import TableVersion

C_COLLATION = 950
_PERSISTENCE = {True: "t", False: "p"}


@system_table("pg_namespace")
def namespaces(model: Model) -> Iterable[Row]:
    for name, oid in sorted(model.schemas.items(), key=lambda item: item[1]):
        yield {"oid": oid, "nspname": name, "nspowner": OWNER}


def row_count(version: TableVersion | None) -> int:
    return -1 if version is None else version.row_count


@system_table("pg_class")
def classes(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        yield _class(model, relation)
        for index in relation.indexes:
            yield _index_class(model, relation, index)


def _class(model: Model, relation: RelationEntry) -> Row:
    stored = relation.kind in "rmp"
    referred = {c.target.oid for r in model.relations for c in r.constraints if c.target is not None}
    keys = any(constraint.kind == "f" for constraint in relation.constraints) or relation.oid in referred
    bound = relation.version.constraints.bound if relation.version is not None else None
    return {
        "oid": relation.oid,
        "relname": relation.name,
        "relnamespace": model.schemas[relation.schema],
        "relowner": OWNER,
        "relam": HEAP if relation.kind in "rm" else 0,
        "relfilenode": relation.oid if stored and relation.kind != "p" else 0,
        "reltuples": float(row_count(relation.version)) if stored else 0.0,
        "relhasindex": bool(relation.indexes),
        "relpersistence": _PERSISTENCE[model.is_temporary(relation)],
        "relkind": relation.kind,
        "relnatts": len(relation.columns),
        "relchecks": sum(constraint.kind == "c" for constraint in relation.constraints),
        "relhasrules": relation.kind in "vm",
        "relhastriggers": keys or bool(relation.version and triggers_in(relation.version.schema.options)),
        "relhassubclass": any(child == relation.oid for _, child in inheritance(model)),
        "relispopulated": bool(relation.data.get("filled", True)) if relation.kind == "m" else True,
        "relreplident": "d" if relation.kind in "rp" else "n",
        "relispartition": bound is not None,
        "relpartbound": None if bound is None else partition_bound(relation),
    }


def inheritance(model: Model) -> Iterable[tuple[int, int]]:
    """(partition, parent)"""
    ids = {relation.id: relation.oid for relation in model.relations}
    for relation in model.relations:
        bound = relation.version.constraints.bound if relation.version is not None else None
        if bound is not None and bound.parent in ids:
            yield relation.oid, ids[bound.parent]


def partition_bound(relation: RelationEntry) -> str | None:
    assert relation.version is not None
    bound = relation.version.constraints.bound
    if bound is None:
        return None
    if bound.default:
        return "DEFAULT"
    if bound.modulus:
        return f"FOR VALUES WITH (modulus {bound.modulus}, remainder {bound.remainder})"
    if bound.values:
        values = ", ".join("NULL" if value is None else value for value in bound.values)
        return f"FOR VALUES IN ({values})"
    return f"FOR VALUES FROM ({', '.join(bound.low)}) TO ({', '.join(bound.high)})"


def _index_class(model: Model, relation: RelationEntry, index: IndexEntry) -> Row:
    return {
        "oid": index.oid,
        "relname": index.name,
        "relnamespace": model.schemas[relation.schema],
        "relowner": OWNER,
        "relam": HASH if index.method == "hash" else BTREE,
        "relfilenode": index.oid,
        "reltuples": float(row_count(relation.version)),
        "relpersistence": _PERSISTENCE[model.is_temporary(relation)],
        "relkind": "I" if relation.kind == "p" else "i",
        "relnatts": len(index.keys) + len(index.include),
        "relispopulated": True,
        "relreplident": "n",
    }


@system_table("pg_inherits")
def inherits(model: Model) -> Iterable[Row]:
    for child, parent in inheritance(model):
        yield {"inhrelid": child, "inhparent": parent, "inhseqno": 1}


@system_table("pg_partitioned_table")
def partitioned(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        how = relation.version.constraints.partitioning if relation.version is not None else None
        if how is None:
            continue
        numbers = [0 if key.column is None else relation.columns[key.column].number for key in how.keys]
        strategy = {"range": "r", "list": "l", "hash": "h"}[how.method]
        yield {"partrelid": relation.oid, "partstrat": strategy, "partnatts": len(numbers), "partattrs": numbers}


@system_table("pg_attribute")
def attributes(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        for column in relation.columns:
            row = _attribute(model, column.type, relation.oid, column.number, column.name)
            has_default = column.default is not None
            yield row | {
                "attnotnull": column.not_null,
                "atthasdef": has_default,
                "attidentity": column.identity,
                "attgenerated": column.generated,
            }
        for index in relation.indexes:
            ordinals = [*(key.column for key in index.keys), *index.include]
            for number, ordinal in enumerate(ordinals, 1):
                if ordinal is None:
                    yield _attribute(model, SqlType(TypeId.TEXT), index.oid, number, "expr")
                else:
                    found = relation.columns[ordinal]
                    yield _attribute(model, found.type, index.oid, number, found.name)


def _attribute(model: Model, type_: SqlType, relation: int, number: int, name: str) -> Row:
    oid = model.type_oid(type_)
    known = BY_OID.get(oid)
    return {
        "attrelid": relation,
        "attname": name,
        "atttypid": oid,
        "attstattarget": -1,
        "attlen": known.length if known is not None else 4 if type_.id is TypeId.ENUM else -1,
        "attnum": number,
        "attndims": 1 if type_.id is TypeId.ARRAY else 0,
        "attcacheoff": -1,
        "atttypmod": type_modifier(type_),
        "attbyval": known.by_value if known is not None else type_.id is TypeId.ENUM,
        "attalign": known.align if known is not None else "i",
        "attstorage": known.storage if known is not None else "p" if type_.id is TypeId.ENUM else "x",
        "attcompression": "",
        "attidentity": "",
        "attgenerated": "",
        "attislocal": True,
        "attcollation": COLLATIONS.get(collation_of(type_) or "default", 0) if collatable(type_) else 0,
    }


@system_table("pg_attrdef")
def defaults(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        for column in relation.columns:
            if column.default is not None:
                oid = model.oid("default", relation.oid, column.number)
                yield {"oid": oid, "adrelid": relation.oid, "adnum": column.number, "adbin": column.default}


@system_table("pg_index")
def indexes(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        for index in relation.indexes:
            keys = [0 if key.column is None else relation.columns[key.column].number for key in index.keys]
            keys += [relation.columns[column].number for column in index.include]
            texts = [key.expression for key in index.keys if key.expression is not None]
            yield {
                "indexrelid": index.oid,
                "indrelid": relation.oid,
                "indnatts": len(keys),
                "indnkeyatts": len(index.keys),
                "indisunique": index.unique,
                "indnullsnotdistinct": not index.nulls_distinct,
                "indisprimary": index.primary,
                "indimmediate": not index.deferrable,
                "indisvalid": True,
                "indisready": True,
                "indislive": True,
                "indkey": keys,
                "indcollation": [0] * len(index.keys),
                "indclass": [0] * len(index.keys),
                "indoption": [key.descending + 2 * key.nulls_first for key in index.keys],
                "indexprs": ", ".join(texts) if texts else None,
                "indpred": index.predicate,
            }


@system_table("pg_constraint")
def constraints(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        for found in relation.constraints:
            yield {
                "oid": found.oid,
                "conname": found.name,
                "connamespace": model.schemas[relation.schema],
                "contype": found.kind,
                "condeferrable": found.deferrable,
                "condeferred": found.deferred,
                "convalidated": True,
                "conrelid": relation.oid,
                "conindid": found.index,
                "confrelid": found.target.oid if found.target is not None else 0,
                "confupdtype": found.on_update,
                "confdeltype": found.on_delete,
                "confmatchtype": found.match,
                "conislocal": True,
                "connoinherit": found.kind in "puf",
                "conkey": list(found.columns) or None,
                "confkey": list(found.target_columns) or None,
                "confdelsetcols": list(found.set_columns) or None,
                "conbin": found.expression,
            }


@system_table("pg_description")
def descriptions(model: Model) -> Iterable[Row]:
    for oid, class_, number, text in model.comments:
        yield {"objoid": oid, "classoid": class_, "objsubid": number, "description": text}


@system_table("pg_sequence")
def sequences(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        if relation.kind == "S":
            data = relation.data
            yield {
                "seqrelid": relation.oid,
                "seqtypid": {"smallint": 21, "integer": 23}.get(data["type"], 20),
                "seqstart": data["start"],
                "seqincrement": data["increment"],
                "seqmax": data["max"],
                "seqmin": data["min"],
                "seqcache": data["cache"],
                "seqcycle": data["cycle"],
            }


@system_table("pg_sequences")
def sequence_views(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        if relation.kind == "S":
            data = relation.data
            yield {
                "schemaname": relation.schema,
                "sequencename": relation.name,
                "sequenceowner": USER,
                "data_type": data["type"],
                "start_value": data["start"],
                "min_value": data["min"],
                "max_value": data["max"],
                "increment_by": data["increment"],
                "cycle": data["cycle"],
                "cache_size": data["cache"],
                "last_value": _last_value(model, relation),
            }


def _last_value(model: Model, relation: RelationEntry) -> int | None:
    """What was handed out last; None before the first time."""
    if model.view.session is None:
        return None
    definition = definition_of(relation.name, relation.data)
    value, called = model.view.session._database.storage.sequences.current(definition)
    return int(value) if called else None


@system_table("pg_depend")
def dependencies(model: Model) -> Iterable[Row]:
    """Sequences on the columns that own them."""
    ids = {relation.id: relation.oid for relation in model.relations}
    for relation in model.relations:
        owner = relation.data.get("owner") if relation.kind == "S" else None
        if owner is not None and owner[0] in ids:
            table = next(found for found in model.relations if found.id == owner[0])
            column = next((column for column in table.columns if column.number == owner[1] + 1), None)
            yield {
                "classid": PG_CLASS,
                "objid": relation.oid,
                "refclassid": PG_CLASS,
                "refobjid": table.oid,
                "refobjsubid": owner[1] + 1,
                "deptype": "i" if column is not None and column.identity else "a",
            }


# --- views of them ----------------------------------------------------------------------------------------------------


@system_table("pg_tables")
def table_views(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        if relation.kind in "rp":
            row = _class(model, relation)
            yield {
                "schemaname": relation.schema,
                "tablename": relation.name,
                "tableowner": USER,
                "hasindexes": bool(relation.indexes),
                "hastriggers": row["relhastriggers"],
            }


@system_table("pg_views")
def view_views(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        if relation.kind == "v":
            yield {
                "schemaname": relation.schema,
                "viewname": relation.name,
                "viewowner": USER,
                "definition": view_text(relation),
            }


def view_text(relation: RelationEntry) -> str:
    return f" {relation.data['query'].strip().rstrip(';')};"


@system_table("pg_matviews")
def materialized_views(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        if relation.kind == "m":
            yield {
                "schemaname": relation.schema,
                "matviewname": relation.name,
                "matviewowner": USER,
                "hasindexes": bool(relation.indexes),
                "ispopulated": bool(relation.data.get("filled", True)),
                "definition": view_text(relation),
            }


@system_table("pg_indexes")
def index_views(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        for index in relation.indexes:
            yield {
                "schemaname": relation.schema,
                "tablename": relation.name,
                "indexname": index.name,
                "indexdef": model.index_definition(relation, index),
            }


@system_table("pg_stat_all_tables")
@system_table("pg_stat_user_tables")
def table_statistics(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        if relation.kind in "rmp":
            yield {
                "relid": relation.oid,
                "schemaname": relation.schema,
                "relname": relation.name,
                "n_live_tup": row_count(relation.version),
            }


@system_table("pg_stat_user_indexes")
def index_statistics(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        for index in relation.indexes:
            yield {
                "relid": relation.oid,
                "indexrelid": index.oid,
                "schemaname": relation.schema,
                "relname": relation.name,
                "indexrelname": index.name,
            }


@system_table("pg_statio_user_tables")
def table_reads(model: Model) -> Iterable[Row]:
    for relation in model.relations:
        if relation.kind in "rmp":
            yield {"relid": relation.oid, "schemaname": relation.schema, "relname": relation.name}
