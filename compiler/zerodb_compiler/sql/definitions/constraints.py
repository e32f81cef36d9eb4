"""The constraints of a table that is declared: primary key, unique keys, checks, foreign keys (`foreign_keys`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zerodb_compiler.constraints import Check, Unique
from zerodb_compiler.errors import NotSupportedError, ProgrammingError, error_for
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.definitions.draft import Draft
from zerodb_compiler.sql.definitions.expressions import columns_in
from zerodb_compiler.sql.definitions.foreign_keys import add_foreign_key
from zerodb_compiler.sql.definitions.keys import key_columns

_ORDER = {"primary key": 0, "unique": 1, "check": 2, "foreign key": 3}


def add_constraints(draft: Draft) -> None:
    """Those that waited for the columns; foreign keys after the keys that they may refer to."""
    for place, expression in draft.generated:
        _check_generated(draft, place, expression)
    for node, ordinal in sorted(draft.pending, key=lambda item: _ORDER[item[0].kind]):
        if node.name is not None and node.name in draft.constraint_names:
            message = f'constraint "{node.name}" for relation "{draft.name.name}" already exists'
            raise error_for("42710", message, position=node.position)
        match node.kind:
            case "primary key":
                _add_primary_key(draft, node, ordinal)
            case "unique":
                columns = key_columns(draft, node, ordinal)
                name = _index_name(draft, node, "key", columns)
                draft.add_unique(Unique(name, columns, node.nulls_distinct, True, node.deferrable, node.deferred))
            case "check":
                _add_check(draft, node)
            case _:
                add_foreign_key(draft, node, ordinal)


def _add_primary_key(draft: Draft, node: ddl.ConstraintDef, ordinal: int | None) -> None:
    if draft.primary_key:
        message = f'multiple primary keys for table "{draft.name.name}" are not allowed'
        raise ProgrammingError(message, sqlstate="42P16", position=node.position)
    columns = key_columns(draft, node, ordinal)
    for column in columns:
        draft.columns[column] = replace(draft.columns[column], not_null=True)
    draft.primary_key = columns
    draft.constraints = replace(
        draft.constraints,
        primary_key_name=_index_name(draft, node, "pkey", ()),
        primary_key_deferrable=node.deferrable,
        primary_key_deferred=node.deferred,
    )


def _index_name(draft: Draft, node: ddl.ConstraintDef, label: str, columns: Sequence[int]) -> str:
    if node.using_index is not None:
        raise NotSupportedError("USING INDEX is not supported", position=node.position)
    if node.name is None:
        name = draft.relation_name(label, columns)
    elif node.name in draft.taken:
        raise error_for("42P07", f'relation "{node.name}" already exists', position=node.position)
    else:
        name = node.name
    draft.taken.add(name)
    draft.constraint_names.add(name)
    return name


def _add_check(draft: Draft, node: ddl.ConstraintDef) -> None:
    assert node.expression is not None
    draft.expressions("check constraints").condition(node.expression.tree)
    used = columns_in(node.expression.tree)
    name = node.name
    if name is None:
        name = draft.constraint_name("check", used if len(used) == 1 else ())
    draft.add_check(Check(name, node.expression.text))


def _check_generated(draft: Draft, ordinal: int, expression: ddl.Sql) -> None:
    info = draft.columns[ordinal]
    names = columns_in(expression.tree)
    for other in draft.columns:
        if other.generated is not None and other.name in names:
            message = f'cannot use generated column "{other.name}" in column generation expression'
            raise ProgrammingError(message, sqlstate="42P17", position=expression.position)
    binder = draft.expressions("column generation expressions")
    binder.binder.immutable_only = "generation expression is not immutable"
    from zerodb_compiler.sql.binder_dml import assigned

    assigned(binder, binder.bound(expression.tree), info, expression.tree)
