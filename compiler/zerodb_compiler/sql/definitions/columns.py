"""The columns of a table that is declared: types, defaults, sequences, and what LIKE takes from another table."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_compiler.errors import DatabaseError, ProgrammingError
from zerodb_compiler.sql import collations, ddl
from zerodb_compiler.sql.binder_types import NamedTypes, sql_type
from zerodb_compiler.sql.definitions.draft import Draft
from zerodb_compiler.sql.definitions.expressions import default_text
from zerodb_compiler.sql.definitions.names import nextval_of, no_relation
from zerodb_compiler.types import BIGINT, INTEGER, SMALLINT, SqlType

_SERIAL_TYPES = {"integer": INTEGER, "bigint": BIGINT, "smallint": SMALLINT}
_EXCLUSIVE = (("default", "identity"), ("default", "generated"), ("identity", "generated"))


def column_type(node: exp.DataType | None, position: int | None, named: NamedTypes | None = None) -> SqlType:
    if node is None:
        raise ProgrammingError("a column needs a type", position=position)
    try:
        return sql_type(node, named=named)
    except DatabaseError as error:
        error.position = position if error.position is None else error.position
        raise


def add_column(draft: Draft, node: ddl.ColumnDef) -> None:
    if any(info.name == node.name for info in draft.columns):
        raise ProgrammingError(
            f'column "{node.name}" specified more than once', sqlstate="42701", position=node.position
        )
    type_ = (
        _SERIAL_TYPES[node.serial]
        if node.serial is not None
        else column_type(node.type, node.position, draft.catalog.named_type)
    )
    ordinal = len(draft.columns)
    draft.columns.append(ColumnInfo(node.name, type_, node.serial is not None))
    if node.serial is not None:
        if any(part.kind == "default" for part in node.constraints):
            raise _twice(draft, "default values", node)
        draft.add_sequence(ordinal, type_, ddl.SequenceOptions())
    _add_parts(draft, ordinal, node)


def override_column(draft: Draft, node: ddl.ColumnDef) -> None:
    """CREATE TABLE ... PARTITION OF: constraints for a column of the parent."""
    _add_parts(draft, draft.ordinal(node.name, node.position), node)


def _add_parts(draft: Draft, ordinal: int, node: ddl.ColumnDef) -> None:
    """What is declared with the column; constraints of the table wait."""
    _check_parts(draft, draft.columns[ordinal].name, node)
    for part in node.constraints:
        info = draft.columns[ordinal]
        match part.kind:
            case "not null":
                info = replace(info, not_null=True)
            case "null":
                pass
            case "collate":
                info = replace(info, type=collations.declared(info.type, part.mode, part.position))
            case "default":
                assert part.expression is not None
                info = _with_default(draft, info, ordinal, part.expression)
            case "generated":
                assert part.expression is not None
                info = replace(info, generated=part.expression.text)
                draft.generated.append((ordinal, part.expression))
            case "identity":
                if info.type not in (INTEGER, BIGINT, SMALLINT):
                    message = "identity column type must be smallint, integer, or bigint"
                    raise ProgrammingError(message, sqlstate="22023", position=node.position)
                info = replace(info, identity=part.mode, not_null=True)
                draft.add_sequence(ordinal, info.type, part.sequence or ddl.SequenceOptions())
            case _:
                draft.pending.append((part, ordinal))
        draft.columns[ordinal] = info


def _check_parts(draft: Draft, name: str, node: ddl.ColumnDef) -> None:
    """Parts that do not go together, or stand twice."""
    kinds = [part.kind for part in node.constraints]
    if kinds.count("collate") > 1:
        raise ProgrammingError("multiple COLLATE clauses not allowed", position=node.position)
    for kind in ("default", "identity", "generated"):
        if kinds.count(kind) > 1:
            raise _twice(draft, {"default": "default values"}.get(kind, f"{kind} specifications"), node)
    for a, b in _EXCLUSIVE:
        if a in kinds and b in kinds:
            message = f'both {a} and {b} specified for column "{name}" of table "{draft.name.name}"'
            raise ProgrammingError(message, position=node.position)
    if "null" in kinds and ({"not null", "identity"} & set(kinds) or node.serial is not None):
        message = f'conflicting NULL/NOT NULL declarations for column "{name}" of table "{draft.name.name}"'
        raise ProgrammingError(message, position=node.position)


def _twice(draft: Draft, what: str, node: ddl.ColumnDef) -> ProgrammingError:
    message = f'multiple {what} specified for column "{node.name}" of table "{draft.name.name}"'
    return ProgrammingError(message, position=node.position)


def _with_default(draft: Draft, info: ColumnInfo, ordinal: int, expression: ddl.Sql) -> ColumnInfo:
    sequence = nextval_of(expression.tree)
    if sequence is not None:
        draft.sequence_defaults.append((ordinal, sequence))
        return replace(info, default=expression.text)
    return replace(info, default=default_text(info, expression, draft.catalog))


def add_like(draft: Draft, node: ddl.Like) -> None:
    source = draft.catalog.table(node.table.name, node.table.schema)
    if source is None:
        raise no_relation(node.table, draft.catalog)
    begin = len(draft.columns)
    for info in source.columns:
        if any(other.name == info.name for other in draft.columns):
            raise ProgrammingError(f'column "{info.name}" specified more than once', sqlstate="42701")
        kept = ColumnInfo(info.name, info.type, info.not_null)
        if "defaults" in node.including and info.identity is None:
            kept = replace(kept, default=info.default, sequence=info.sequence)
        if "generated" in node.including:
            kept = replace(kept, generated=info.generated)
        draft.columns.append(kept)
        if "identity" in node.including and info.identity is not None:
            draft.columns[-1] = replace(kept, identity=info.identity)
            draft.add_sequence(len(draft.columns) - 1, info.type, ddl.SequenceOptions())
    if "constraints" in node.including:
        for check in source.constraints.checks:
            draft.add_check(check)
    if "indexes" in node.including:
        _add_keys_of(draft, source, begin)


def _add_keys_of(draft: Draft, source: TableInfo, begin: int) -> None:
    """The keys of a table whose columns are those from `begin` on."""
    held = source.constraints
    if source.primary_key:
        key = ddl.ConstraintDef(
            "primary key",
            columns=tuple(source.columns[column].name for column in source.primary_key),
            deferrable=held.primary_key_deferrable,
            deferred=held.primary_key_deferred,
        )
        draft.pending.append((key, None))
    for unique in held.uniques:
        columns = tuple(column + begin for column in unique.columns)
        draft.add_unique(replace(unique, name=draft.relation_name("key", columns), columns=columns))
