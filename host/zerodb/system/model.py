"""What the system's tables show of a snapshot: relations, columns, indexes, constraints, each with an OID.

Tables, views and sequences have ids that never change, and their OID is the id behind PostgreSQL's first user OID. What
has no id (indexes, constraints, types, schemas) gets a number made of its name, the same one in every snapshot.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from zerodb.row_expressions import quoted
from zerodb.system.type_names import BUILTIN, array_oid, format_type, plain_oid, type_modifier
from zerodb_compiler.constraints import ForeignKey, Index, IndexKey, Unique
from zerodb_compiler.sql.ddl_tokens import is_plain_name
from zerodb_compiler.triggers import triggers_in
from zerodb_compiler.types import BIGINT, BOOLEAN, SqlType, TypeId
from zerodb_storage import TableVersion
from zerodb_storage.catalog import is_temporary, type_from

if TYPE_CHECKING:
    from zerodb.view import View

FIRST_OID = 16_384
OWNER = 10
NAMESPACES = {"pg_catalog": 11, "public": 2200, "information_schema": 13_000, "pg_toast": 99}
HEAP, BTREE, HASH = 2, 403, 405
PG_CLASS, PG_TYPE, PG_NAMESPACE, PG_CONSTRAINT, PG_DATABASE, PG_PROC = 1259, 1247, 2615, 2606, 1262, 1255
PG_TRIGGER = 2620
DATABASE = 16_383
SYSTEM_OIDS = {
    "pg_class": PG_CLASS,
    "pg_type": PG_TYPE,
    "pg_namespace": PG_NAMESPACE,
    "pg_constraint": PG_CONSTRAINT,
    "pg_database": PG_DATABASE,
    "pg_proc": PG_PROC,
    "pg_attribute": 1249,
    "pg_attrdef": 2604,
    "pg_index": 2610,
    "pg_description": 2609,
    "pg_trigger": PG_TRIGGER,
    "pg_rewrite": 2618,
    "pg_depend": 2608,
    "pg_inherits": 2611,
    "pg_am": 2601,
    "pg_enum": 3501,
    "pg_sequence": 2224,
    "pg_collation": 3456,
    "pg_policy": 3256,
    "pg_extension": 3079,
    "pg_operator": 2617,
    "pg_opclass": 2616,
    "pg_range": 3541,
    "pg_authid": 1260,
    "pg_tablespace": 1213,
    "pg_language": 2612,
}
_ACTIONS = {"no action": "a", "restrict": "r", "cascade": "c", "set null": "n", "set default": "d"}


def ident(name: str) -> str:
    """The name, quoted where it must be."""
    return name if is_plain_name(name) else quoted(name)


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    number: int
    name: str
    type: SqlType
    not_null: bool = False
    default: str | None = None
    identity: str = ""
    generated: str = ""


@dataclass(slots=True)
class IndexEntry:
    oid: int
    name: str
    unique: bool
    primary: bool
    keys: tuple[IndexKey, ...]
    include: tuple[int, ...] = ()
    method: str = "btree"
    predicate: str | None = None
    nulls_distinct: bool = True
    constraint: bool = False
    deferrable: bool = False
    deferred: bool = False


@dataclass(slots=True)
class ConstraintEntry:
    """`kind` is PostgreSQL's letter; columns are attribute numbers."""

    oid: int
    name: str
    kind: str
    columns: tuple[int, ...]
    definition: str
    index: int = 0
    target: RelationEntry | None = None
    target_columns: tuple[int, ...] = ()
    on_update: str = " "
    on_delete: str = " "
    match: str = " "
    deferrable: bool = False
    deferred: bool = False
    expression: str | None = None
    set_columns: tuple[int, ...] = ()


@dataclass(slots=True)
class RelationEntry:
    """`kind`: r, p, v, m, S or (a composite type) c. `id` is the database's own."""

    oid: int
    id: int
    name: str
    schema: str
    kind: str
    columns: tuple[ColumnEntry, ...]
    version: TableVersion | None = None
    data: dict[str, Any] = field(default_factory=dict)
    indexes: list[IndexEntry] = field(default_factory=list)
    constraints: list[ConstraintEntry] = field(default_factory=list)

    def column(self, number: int) -> ColumnEntry:
        return next(column for column in self.columns if column.number == number)


class Model:
    """Everything is worked out when it is first asked for."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.snapshot = view.snapshot
        self._numbers: dict[int, tuple[str, ...]] = {}

    def oid(self, *what: str | int) -> int:
        """A number for what has none."""
        key = tuple(map(str, what))
        number = (zlib.crc32("\0".join(key).encode()) & 0x3FFFFFFF) | 0x40000000
        while self._numbers.setdefault(number, key) != key:
            number += 1
        return number

    # --- schemas and types ---
    @cached_property
    def schemas(self) -> dict[str, int]:
        """OIDs by name; other sessions' temporary schemas are there as long as there is something in them."""
        found = {name: oid for name, oid in NAMESPACES.items() if name != "pg_toast"}
        names = [name for kind, _, name in self.snapshot.catalog if kind == "schema"]
        names += [version.schema.schema for version in self.snapshot.tables.values()]
        names += [schema for _, schema, _ in self.snapshot.catalog if schema]
        for name in names:
            if name not in found:
                found[name] = self.oid("schema", name)
        return found

    @cached_property
    def types(self) -> dict[tuple[str, str], tuple[int, SqlType]]:
        """The types that the database defines: OID and type by (schema, name)."""
        return {
            (schema, name): (self.oid("type", schema, name), type_from(data["type"]))
            for (schema, name), data in sorted(self.snapshot.objects("type").items())
        }

    @cached_property
    def _type_oids(self) -> dict[str, int]:
        return {name: oid for (_, name), (oid, _) in self.types.items()}

    def type_oid(self, type_: SqlType) -> int:
        if type_.id is TypeId.ARRAY:
            assert type_.element is not None
            if type_.element.name in self._type_oids:
                return self.oid("array type", str(type_.element.name))
            return array_oid(type_.element)
        if type_.name is not None and type_.name in self._type_oids:
            return self._type_oids[type_.name]
        return plain_oid(type_)

    def type_name(self, type_: SqlType) -> str:
        return format_type(type_)

    @cached_property
    def formats(self) -> dict[tuple[int, int], str]:
        """format_type by OID and modifier, for all there may be."""
        found = {(known.oid, -1): known.formatted for known in BUILTIN}
        for (schema, name), (oid, _) in self.types.items():
            shown = ident(name) if schema in self.view.path else f"{ident(schema)}.{ident(name)}"
            found[oid, -1] = shown
            found[self.oid("array type", name), -1] = f"{shown}[]"
        for relation in self.relations:
            for column in relation.columns:
                found.setdefault((self.type_oid(column.type), type_modifier(column.type)), format_type(column.type))
        return found

    # --- relations ---
    @cached_property
    def relations(self) -> list[RelationEntry]:
        found = [self._table(version) for version in self.snapshot.tables.values()]
        for (schema, name), data in self.snapshot.objects("view").items():
            columns = tuple(
                ColumnEntry(number, column, type_from(record))
                for number, (column, record) in enumerate(data["columns"], 1)
            )
            found.append(RelationEntry(FIRST_OID + data["id"], data["id"], name, schema, "v", columns, None, data))
        sequence = (
            ColumnEntry(1, "last_value", BIGINT, True),
            ColumnEntry(2, "log_cnt", BIGINT, True),
            ColumnEntry(3, "is_called", BOOLEAN, True),
        )
        for (schema, name), data in self.snapshot.objects("sequence").items():
            found.append(RelationEntry(FIRST_OID + data["id"], data["id"], name, schema, "S", sequence, None, data))
        for (schema, name), (_, type_) in self.types.items():
            if type_.id is TypeId.STRUCT:
                fields = tuple(ColumnEntry(n, field, kind) for n, (field, kind) in enumerate(type_.fields, 1))
                oid = self.oid("composite", schema, name)
                found.append(RelationEntry(oid, -oid, name, schema, "c", fields))
        by_id = {relation.id: relation for relation in found}
        for relation in found:
            if relation.version is not None:
                relation.indexes = self._indexes(relation, relation.version)
                relation.constraints = self._constraints(relation, relation.version)
        for relation in found:
            if relation.version is not None:
                relation.constraints += self._foreign_keys(relation, relation.version, by_id)
        return sorted(found, key=lambda relation: relation.oid)

    @cached_property
    def by_oid(self) -> dict[int, RelationEntry]:
        return {relation.oid: relation for relation in self.relations}

    @cached_property
    def _sequences(self) -> dict[int, tuple[str, str]]:
        return {data["id"]: key for key, data in self.snapshot.objects("sequence").items()}

    def _table(self, version: TableVersion) -> RelationEntry:
        columns = []
        for column in version.columns:
            default = column.generated if column.generated is not None else column.default
            if column.sequence in self._sequences and column.identity is None:
                default = f"nextval('{self.shown(*self._sequences[column.sequence])}'::regclass)"
            elif default is not None and column.generated is None:
                default = _typed(default, column.type)
            identity = {"always": "a", "by default": "d"}.get(column.identity or "", "")
            columns.append(
                ColumnEntry(
                    column.slot + 1,
                    column.name,
                    column.type,
                    column.not_null,
                    None if identity else default,
                    identity,
                    "s" if column.generated is not None else "",
                )
            )
        schema, name = version.schema.schema, version.name
        data = self.snapshot.object("materialized view", schema, name)
        kind = "m" if data is not None else "p" if version.constraints.partitioning is not None else "r"
        return RelationEntry(
            FIRST_OID + version.id, version.id, name, schema, kind, tuple(columns), version, data or {}
        )

    def shown(self, schema: str, name: str) -> str:
        """A relation's name as regclass shows it: with the schema where it is needed."""
        for place in self.view.path:
            if place == schema:
                return ident(name)
            if self.relation_oid(place, name) is not None:
                break
        return f"{ident(schema)}.{ident(name)}"

    @cached_property
    def names(self) -> dict[tuple[str, str], int]:
        found = {(relation.schema, relation.name): relation.oid for relation in self.relations}
        for relation in self.relations:
            found.update({(relation.schema, index.name): index.oid for index in relation.indexes})
        return found

    def relation_oid(self, schema: str, name: str) -> int | None:
        key = (schema, name)
        if "relations" in self.__dict__:
            return self.names.get(key)
        table = self.snapshot.tables.get(name if schema == "public" else f"{schema}\0{name}")
        kinds = ("view", "sequence")
        exists = table is not None or any((kind, *key) in self.snapshot.catalog for kind in kinds)
        return 0 if exists else None

    def _indexes(self, relation: RelationEntry, version: TableVersion) -> list[IndexEntry]:
        held, found = version.constraints, []

        def entry(key: Unique, *, primary: bool = False) -> IndexEntry:
            keys = tuple(IndexKey(column) for column in key.columns)
            made = IndexEntry(self.oid("index", relation.schema, key.name), key.name, True, primary, keys)
            made.nulls_distinct, made.constraint = key.nulls_distinct, True
            made.deferrable, made.deferred = key.deferrable, key.deferred
            return made

        if version.primary_key:
            name = held.primary_key_name or f"{version.name}_pkey"
            timing = held.primary_key_deferrable, held.primary_key_deferred
            found.append(entry(Unique(name, version.primary_key, True, True, *timing), primary=True))
        for unique in held.uniques:
            if unique.constraint:
                found.append(entry(unique))
        for index in held.indexes:
            found.append(self._index(relation, index))
        return found

    def _index(self, relation: RelationEntry, index: Index) -> IndexEntry:
        return IndexEntry(
            self.oid("index", relation.schema, index.name),
            index.name,
            index.unique,
            False,
            index.keys,
            index.include,
            index.method,
            index.predicate,
            index.nulls_distinct,
        )

    def _constraints(self, relation: RelationEntry, version: TableVersion) -> list[ConstraintEntry]:
        found = []
        numbers = [column.slot + 1 for column in version.columns]
        for index in relation.indexes:
            if index.constraint:
                columns = tuple(numbers[key.column] for key in index.keys if key.column is not None)
                words = "PRIMARY KEY" if index.primary else "UNIQUE"
                words += "" if index.nulls_distinct else " NULLS NOT DISTINCT"
                definition = f"{words} ({self._names_of(relation, columns)}){_timing(index)}"
                oid = self.oid("constraint", relation.id, index.name)
                kind = "p" if index.primary else "u"
                entry = ConstraintEntry(oid, index.name, kind, columns, definition, index.oid)
                entry.deferrable, entry.deferred = index.deferrable, index.deferred
                found.append(entry)
        for check in version.constraints.checks:
            columns = tuple(c.number for c in relation.columns if c.name in _words(check.expression))
            oid = self.oid("constraint", relation.id, check.name)
            text = check.expression
            definition = f"CHECK (({text}))"
            found.append(ConstraintEntry(oid, check.name, "c", columns, definition, expression=f"({text})"))
        return found

    def _foreign_keys(
        self, relation: RelationEntry, version: TableVersion, by_id: dict[int, RelationEntry]
    ) -> Iterator[ConstraintEntry]:
        numbers = [column.slot + 1 for column in version.columns]
        for key in version.constraints.foreign_keys:
            target = relation if key.table == 0 else by_id[key.table]
            own = tuple(numbers[column] for column in key.columns)
            theirs = tuple(slot + 1 for slot in key.referenced)
            index = next(
                (c.index for c in target.constraints if c.kind in "pu" and sorted(c.columns) == sorted(theirs)), 0
            )
            text = f"FOREIGN KEY ({self._names_of(relation, own)}) REFERENCES {self.shown(target.schema, target.name)}"
            text += f"({self._names_of(target, theirs)})"
            text += " MATCH FULL" if key.match_full else ""
            text += f" ON UPDATE {key.on_update.upper()}" if key.on_update != "no action" else ""
            text += f" ON DELETE {key.on_delete.upper()}" if key.on_delete != "no action" else ""
            cleared = tuple(numbers[column] for column in key.set_columns)
            text += f" ({self._names_of(relation, cleared)})" if cleared else ""
            text += _timing(key)
            yield ConstraintEntry(
                self.oid("constraint", relation.id, key.name),
                key.name,
                "f",
                own,
                text,
                index,
                target,
                theirs,
                _ACTIONS[key.on_update],
                _ACTIONS[key.on_delete],
                "f" if key.match_full else "s",
                key.deferrable,
                key.deferred,
                None,
                cleared,
            )

    def _names_of(self, relation: RelationEntry, numbers: tuple[int, ...]) -> str:
        return ", ".join(ident(relation.column(number).name) for number in numbers)

    def index_definition(self, relation: RelationEntry, index: IndexEntry, *, pretty: bool = False) -> str:
        """CREATE INDEX ... as pg_get_indexdef writes it; `pretty` without the schema where it need not be."""
        parts = [self.index_key(relation, key) for key in index.keys]
        unique = "UNIQUE " if index.unique else ""
        table = f"{ident(relation.schema)}.{ident(relation.name)}"
        table = self.shown(relation.schema, relation.name) if pretty else table
        text = f"CREATE {unique}INDEX {ident(index.name)} ON {table} USING {index.method} ({', '.join(parts)})"
        if index.include:
            names = [ident(relation.columns[column].name) for column in index.include]
            text += f" INCLUDE ({', '.join(names)})"
        text += "" if index.nulls_distinct else " NULLS NOT DISTINCT"
        return text if index.predicate is None else f"{text} WHERE ({index.predicate})"

    def index_key(self, relation: RelationEntry, key: IndexKey, *, ordered: bool = True) -> str:
        text = ident(relation.columns[key.column].name) if key.column is not None else str(key.expression)
        if key.column is None and not _is_call(text):
            text = text if text.startswith("(") else f"({text})"
        if not ordered:
            return text
        text += " DESC" if key.descending else ""
        if key.nulls_first != key.descending:
            text += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
        return text

    # --- comments ---
    @cached_property
    def comments(self) -> list[tuple[int, int, int, str]]:
        """(object, class, number of the column, text)"""
        texts = {name: text for (_, name), text in self.snapshot.objects("comment").items()}
        found: list[tuple[int, int, int, str]] = []
        if not texts:
            return found
        for relation in self.relations:
            if str(relation.id) in texts:
                found.append((relation.oid, PG_CLASS, 0, texts[str(relation.id)]))
            for column in relation.columns:
                text = texts.get(f"{relation.id}.{column.number - 1}")
                if text is not None:
                    found.append((relation.oid, PG_CLASS, column.number, text))
            for index in relation.indexes:
                text = texts.get(f"{relation.id}:{index.name}")
                if text is not None and not index.constraint:
                    found.append((index.oid, PG_CLASS, 0, text))
            for constraint in relation.constraints:
                text = texts.get(f"{relation.id}:{constraint.name}")
                if text is not None:
                    found.append((constraint.oid, PG_CONSTRAINT, 0, text))
            for trigger in triggers_in(relation.version.schema.options) if relation.version is not None else ():
                text = texts.get(f"{relation.id}:trigger {trigger.id}")
                if text is not None:
                    found.append((trigger.id, PG_TRIGGER, 0, text))
        for (schema, signature), data in self.snapshot.objects("function").items():
            text = texts.get(str(data["id"]))
            if text is not None:
                found.append((self.oid("function", schema, signature), PG_PROC, 0, text))
        for name, oid in self.schemas.items():
            if f"schema {name}" in texts:
                found.append((oid, PG_NAMESPACE, 0, texts[f"schema {name}"]))
        for (schema, name), (oid, _) in self.types.items():
            if f"type {schema}.{name}" in texts:
                found.append((oid, PG_TYPE, 0, texts[f"type {schema}.{name}"]))
        return found

    def is_temporary(self, relation: RelationEntry) -> bool:
        return is_temporary(relation.schema)


def _words(text: str) -> set[str]:
    from zerodb.definition.expressions import columns_of_text

    return set(columns_of_text(text))


def _is_call(text: str) -> bool:
    head, paren, _ = text.partition("(")
    return bool(paren) and head.strip().isidentifier() and text.endswith(")")


def _typed(default: str, type_: SqlType) -> str:
    """A default as PostgreSQL shows it: a string literal with its type."""
    body = default[1:-1].replace("''", "")
    if len(default) > 1 and default[0] == default[-1] == "'" and "'" not in body:
        plain = format_type(type_).partition("(")[0]
        if type_.id is TypeId.TEXT and type_.length is not None:
            plain = "bpchar" if type_.padded else "character varying"
        return f"{default}::{plain}"
    return default


def _timing(key: IndexEntry | ForeignKey) -> str:
    return (" DEFERRABLE" if key.deferrable else "") + (" INITIALLY DEFERRED" if key.deferred else "")
