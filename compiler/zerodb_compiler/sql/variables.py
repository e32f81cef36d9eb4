"""Names within a function's body that mean its arguments and variables.

    create function f(a integer) ... as 'select a + $1'        a, f.a and $1 are the argument
    begin insert into log values (new.id, old); ...            new.id is a field, old a record

A column of the statement comes before a variable of its name in SQL; in PL/pgSQL such a name is ambiguous (42702). What
a name stands for is an expression: a parameter where the statement runs with the variables' values, the argument itself
where a function's body is bound in the place of a call (binder_inline).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql.expressions import Expression, Literal
from zerodb_compiler.sql.nodes import fold, position_of
from zerodb_compiler.types import struct

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder_expressions import ExpressionBinder
    from zerodb_compiler.sql.scope import Scope

Path = tuple[str, ...]  # a name, with the record, block or function that it is qualified by before it


@dataclass(frozen=True, slots=True)
class RecordVariable:
    """`name` is that of its type, None for one without; `is_null`: the whole is NULL, not only its fields."""

    name: str | None
    fields: tuple[tuple[str, Expression], ...]
    is_null: bool = False


@dataclass(frozen=True, slots=True)
class Variables:
    """`numbered` are $1, $2, ...; `ambiguous`: a name that is a column's, too, is an error."""

    values: Mapping[Path, Expression | RecordVariable]
    numbered: Sequence[Expression] = ()
    ambiguous: bool = False


def path_of(node: exp.Column) -> Path:
    """The names of a column reference; "*" for all."""
    parts = [node.args.get(part) for part in ("catalog", "db", "table")]
    last = "*" if isinstance(node.this, exp.Star) else fold(node.this)
    return (*(fold(part) for part in parts if part is not None), last)


def variable(b: ExpressionBinder, node: exp.Column) -> Expression | None:
    """What the name means if it is a variable's and no column's."""
    from zerodb_compiler.sql.binder_structured import made

    variables = b.binder.context.variables
    assert variables is not None
    path = path_of(node)
    found = variables.values.get(path)
    if found is None or (not variables.ambiguous and _is_column(b, path)):
        return None
    if variables.ambiguous and _is_column(b, path):
        raise ProgrammingError(
            f'column reference "{".".join(path)}" is ambiguous',
            sqlstate="42702",
            position=position_of(node),
            hint="It could refer to either a PL/pgSQL variable or a table column.",
        )
    if not isinstance(found, RecordVariable):
        return found
    fields = tuple(value for _, value in found.fields)
    type_ = struct(tuple((name, value.type) for name, value in found.fields), found.name)
    return Literal(None, type_) if found.is_null else made("row", fields, type_, node)


def _is_column(b: ExpressionBinder, path: Path) -> bool:
    if len(path) > 2:
        return False
    if len(path) == 1:
        return b.scope.knows(path[0])
    scope: Scope | None = b.scope
    while scope is not None:
        relation = scope.relation(path[0])
        if relation is not None:
            return any(name == path[1] for name, _ in relation.columns)
        scope = scope.parent
    return False
