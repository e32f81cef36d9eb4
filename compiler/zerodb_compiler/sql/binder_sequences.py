"""nextval, currval, lastval and setval, and columns that take their values from a sequence.

A sequence is looked up when the statement runs. Limit: for many rows nextval stands only in the select list of a whole
statement (or of INSERT ... SELECT) without DISTINCT, GROUP BY, ORDER BY and LIMIT, in SET and as a column's default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import ColumnInfo, TableInfo
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_functions import no_function, special
from zerodb_compiler.sql.computed import Computed, computed, for_each_row
from zerodb_compiler.sql.expressions import ColumnRef, Expression
from zerodb_compiler.sql.nodes import position_of, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.types import BIGINT, BOOLEAN, TEXT, SqlType

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder


def next_value(b: ExpressionBinder, sequence: int | str, node: exp.Expr | None, type_: SqlType = BIGINT) -> Expression:
    """nextval of a sequence, by id or name."""
    if evaluated_once(b):
        return computed(b.binder, Computed("nextval", sequence), type_)
    if not b.numbers_rows:
        raise unsupported("nextval here", node)
    if b.row_number is None:
        b.row_number = b.binder.column("row_number", BIGINT, False)
    return for_each_row(b, sequence, ColumnRef(b.row_number))


def evaluated_once(b: ExpressionBinder) -> bool:
    return not b.scope.relations and b.scope.parent is None and b.clause in ("VALUES", "SELECT")


def _name(b: ExpressionBinder, value: Bound, node: exp.Expr) -> str:
    if not isinstance(value, Constant) or not isinstance(value.value, str):
        raise unsupported("a sequence that is not named by a constant", node)
    b.finish(value)  # the literal decides what the statement does: it is baked
    return value.value


@special("nextval")
def _nextval(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) != 1:
        raise no_function(name, [b.type_of(value) for value in values], node)
    return next_value(b, _name(b, values[0], node), node)


@special("currval")
def _currval(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) != 1:
        raise no_function(name, [b.type_of(value) for value in values], node)
    return computed(b.binder, Computed("currval", _name(b, values[0], node)))


@special("lastval")
def _lastval(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if values:
        raise no_function(name, [b.type_of(value) for value in values], node)
    return computed(b.binder, Computed("lastval"))


@special("setval")
def _setval(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    types = [b.type_of(value) for value in values]
    if len(values) not in (2, 3):
        raise no_function(name, types, node)
    sequence = _name(b, values[0], node)
    constants = [value for value in values[1:] if isinstance(value, Constant)]
    if len(constants) != len(values) - 1 or not evaluated_once(b):
        raise unsupported("setval of a value that is not constant here", node)
    new = b.convert(constants[0], BIGINT)
    called = b.convert(constants[1], BOOLEAN) if len(constants) > 1 else None
    for constant in (new, called):
        if constant is not None:
            b.finish(constant)
    assert isinstance(new.value, int)
    return computed(b.binder, Computed("setval", sequence, new.value, called is None or bool(called.value)))


@special("pg_get_serial_sequence")
def _serial_sequence(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    if len(values) != 2:
        raise no_function(name, [b.type_of(value) for value in values], node)
    table, column = _name(b, values[0], node), _name(b, values[1], node)
    return computed(b.binder, Computed("serial", f"{table}\0{column}"), TEXT)


def set_sequence(binder: Binder, node: exp.Expr) -> st.SetSequence | None:
    """SELECT setval('name', expression [, called]): the value comes from a query."""
    if not isinstance(node, exp.Select) or len(node.expressions) != 1:
        return None
    call = node.expressions[0]
    label = "setval"
    if isinstance(call, exp.Alias):
        label, call = call.alias, call.this
    if not isinstance(call, exp.Anonymous) or str(call.this).lower() != "setval" or len(call.expressions) not in (2, 3):
        return None
    name, *rest = call.expressions
    name = name.this if isinstance(name, exp.Cast) else name
    plain = isinstance(rest[0], exp.Literal) and node.args.get("from_") is None
    if plain or not (isinstance(name, (exp.Literal, exp.Anonymous))):
        return None
    if isinstance(name, exp.Literal):
        if not name.args["is_string"]:
            return None
        sequence: str | tuple[str, str] = str(name.this)
    else:
        texts = [part.this for part in name.expressions if isinstance(part, exp.Literal) and part.args["is_string"]]
        if str(name.this).lower() != "pg_get_serial_sequence" or len(texts) != 2:
            return None
        sequence = (str(texts[0]), str(texts[1]))
    query = node.copy()
    query.set("expressions", [exp.Cast(this=rest[0], to=exp.DataType.build("bigint")), *rest[1:]])
    return st.SetSequence(sequence, binder.query(query, None), label)


# --- columns ----------------------------------------------------------------------------------------------------------


def is_given_by_us(info: ColumnInfo) -> bool:
    """Columns that take DEFAULT only."""
    return info.generated is not None or info.identity == "always"


def check_inserted(table: TableInfo, ordinal: int, node: exp.Expr | None, overriding: str | None) -> None:
    """428C9 for a value for a generated or always-identity column."""
    info = table.columns[ordinal]
    if info.generated is None and (info.identity != "always" or overriding is not None):
        return
    if info.generated is not None:
        hint = f'Column "{info.name}" is a generated column.'
    else:
        hint = f'Column "{info.name}" is an identity column defined as GENERATED ALWAYS; use OVERRIDING SYSTEM VALUE'
    raise ProgrammingError(
        f'cannot insert a non-DEFAULT value into column "{info.name}"',
        sqlstate="428C9",
        position=position_of(node) if node is not None else None,
        hint=hint,
    )


def check_updated(info: ColumnInfo, node: exp.Expr | None) -> None:
    if is_given_by_us(info):
        kind = "a generated column" if info.generated is not None else "an identity column defined as GENERATED ALWAYS"
        raise ProgrammingError(
            f'column "{info.name}" can only be updated to DEFAULT',
            sqlstate="428C9",
            position=position_of(node) if node is not None else None,
            hint=f'Column "{info.name}" is {kind}.',
        )
