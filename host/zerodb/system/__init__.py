"""The system's tables: pg_catalog and information_schema, made of the snapshot when a query names them.

    columns             which columns each has, as PostgreSQL 15
    model               relations, columns, indexes, constraints of a snapshot, with their OIDs
    relations           pg_class, pg_attribute, pg_index, pg_constraint and what hangs on them
    triggers            pg_trigger and information_schema.triggers
    types               pg_type, pg_enum, pg_range, pg_proc
    functions           users' functions in pg_proc, routines and parameters of information_schema
    server              settings, roles, databases, and what there is none of
    information_schema
    lookups             hidden tables that functions read (compiler: sql/binder_catalog.py)
    type_names          OIDs and names of types

A table is Arrow data in one fixed layout, so that a query over it is compiled once, whatever is in the database. It is
made of the rows of a `Builder`, and is kept with the snapshot's objects that it shows (`Tables`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from zerodb.virtual import transient_table
from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_compiler.layout import TableStatistics, widest_layout
from zerodb_compiler.sql.values import to_canonical
from zerodb_compiler.types import (
    BIGINT,
    BOOLEAN,
    BYTEA,
    INTEGER,
    INTERVAL,
    REAL,
    SMALLINT,
    TEXT,
    TIMESTAMPTZ,
    U32,
    SqlType,
    TypeId,
    array,
)
from zerodb_storage import TableVersion
from zerodb_storage.arrow import arrow_type

if TYPE_CHECKING:
    from zerodb.system.model import Model
    from zerodb.view import View

OID = U32
Row = dict[str, Any]
# Makes the rows: columns that a row leaves out are 0, false or NULL.
Builder = Callable[["Model"], Iterable[Row]]
BUILDERS: dict[tuple[str, str], Builder] = {}
SCHEMAS = ("pg_catalog", "information_schema")
_FIRST_ID = -(1 << 50)
_ROWS = 500  # what the planner thinks
_TYPES: dict[str, SqlType] = {
    "oid": OID,
    "name": TEXT,
    "text": TEXT,
    "char": TEXT,
    "regproc": TEXT,
    "regtype": TEXT,
    "pg_node_tree": TEXT,
    "inet": TEXT,
    "anyarray": TEXT,
    "xid": BIGINT,
    "int2": SMALLINT,
    "int4": INTEGER,
    "int8": BIGINT,
    "float4": REAL,
    "bool": BOOLEAN,
    "timestamptz": TIMESTAMPTZ,
    "interval": INTERVAL,
    "bytea": BYTEA,
    "_int2": array(SMALLINT),
    "int2vector": array(SMALLINT),
    "_oid": array(OID),
    "oidvector": array(OID),
    "_text": array(TEXT),
    "_char": array(TEXT),
    "_aclitem": array(TEXT),
    "_float4": array(REAL),
    "_regtype": array(TEXT),
}
_ZEROS: dict[str, Any] = {
    "oid": 0,
    "xid": 0,
    "int2": 0,
    "int4": 0,
    "int8": 0,
    "float4": 0.0,
    "bool": False,
    "regproc": "-",
}
# Show what is no part of a snapshot.
_FUNCTIONS = ("pg_proc", "__regproc", "__functiondef", "__functionargs", "__functionresult", "routines", "parameters")
_CHANGING = frozenset(("pg_settings", "pg_sequences", "pg_locks", *_FUNCTIONS))


def system_table(name: str, schema: str = "pg_catalog") -> Callable[[Builder], Builder]:
    """Registers the builder of a table."""

    def register(builder: Builder) -> Builder:
        BUILDERS[schema, name] = builder
        return builder

    return register


@cache
def specifications() -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    """The columns (name, type) of each table by (schema, name)."""
    from zerodb.system import columns, functions, information_schema, locks, lookups, relations, server, triggers, types  # noqa: F401  # noqa: F401

    found = {}
    texts = {"pg_catalog": columns.PG_CATALOG + lookups.COLUMNS, "information_schema": columns.INFORMATION_SCHEMA}
    for schema, text in texts.items():
        for line in text.strip().splitlines():
            table, _, rest = line.partition(": ")
            pairs = (part.split(" ") for part in rest.split(", "))
            found[schema, table] = tuple((column, type_) for column, type_ in pairs)
    return found


@cache
def _infos() -> dict[tuple[str, str], TableInfo]:
    ids = itertools.count(_FIRST_ID)
    found = {}
    for (schema, name), columns in specifications().items():
        infos = tuple(ColumnInfo(column, _TYPES[type_], slot=i) for i, (column, type_) in enumerate(columns))
        layout = widest_layout([info.type for info in infos])
        known = TableStatistics(_ROWS, ())
        found[schema, name] = TableInfo(next(ids), name, infos, (), layout, known, 0, schema, kind="system catalog")
    return found


def info_of(schema: str, name: str) -> TableInfo | None:
    return _infos().get((schema, name))


class Tables:
    """The system's tables of one view, as they are asked for."""

    def __init__(self, view: View) -> None:
        from zerodb.system.model import Model

        self._model = Model(view)
        self._made: dict[tuple[str, str], TableVersion] = {}

    def shows(self, view: View) -> bool:
        """Whether the other view's tables are the same."""
        mine = self._model.view
        snapshot, other = mine.snapshot, view.snapshot
        return snapshot.tables is other.tables and snapshot.catalog is other.catalog and mine.path == view.path

    @property
    def model(self) -> Model:
        return self._model

    def table(self, schema: str, name: str) -> TableVersion | None:
        made = self._made.get((schema, name))
        if made is None:
            info = info_of(schema, name)
            if info is None:
                return None
            builder = BUILDERS.get((schema, name))
            rows = list(builder(self._model)) if builder is not None else []
            zeros = _ZEROS if schema == "pg_catalog" else {}
            made = transient_table(info, _arrow(specifications()[schema, name], rows, zeros))
            if name not in _CHANGING:
                self._made[schema, name] = made
        return made


def _arrow(columns: tuple[tuple[str, str], ...], rows: list[Row], zeros: dict[str, Any]) -> pa.Table:
    arrays = []
    for name, kind in columns:
        zero, type_ = zeros.get(kind), _TYPES[kind]
        values = [row.get(name, zero) for row in rows]
        if type_.id is TypeId.ARRAY:
            values = [to_canonical(type_, value) for value in values]
        arrays.append(pa.array(values, arrow_type(type_)))
    return pa.Table.from_arrays(arrays, names=[name for name, _ in columns])
