"""Expressions: from sqlglot's AST to typed, resolved expressions.

An `ExpressionBinder` binds the expressions of one clause. `bound` gives an Expression, or one of the unfinished values
of parameters.py (a constant, a user's parameter) whose type its neighbour has yet to decide; `expression`
finishes it. The handlers of the node classes are in HANDLERS: those here, and those of binder_operators,
binder_functions, binder_aggregates and binder_subqueries.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from zerodb_compiler.errors import DataError, ProgrammingError
from zerodb_compiler.sql import coercion, collations
from zerodb_compiler.sql.binder_casts import cast_expression
from zerodb_compiler.sql.binder_types import registered_kind, sql_type
from zerodb_compiler.sql.expressions import Call, Column, Expression, Literal, Parameter
from zerodb_compiler.sql.functions import result_nullable
from zerodb_compiler.sql.moments import SPECIAL_WORDS
from zerodb_compiler.sql.nodes import describe, fold, only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant, Step, UserValue
from zerodb_compiler.sql.scope import Scope, check_schema
from zerodb_compiler.sql.shape import Inconvertible
from zerodb_compiler.sql.values import fit_text, literal_numeric_type, parse_value
from zerodb_compiler.sql.variables import variable
from zerodb_compiler.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    INTEGER,
    NULL,
    TEXT,
    UNCONSTRAINED_NUMERIC,
    SqlType,
    TypeId,
    numeric,
)

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder
    from zerodb_compiler.sql.binder_aggregates import Aggregates
    from zerodb_compiler.sql.binder_windows import Windows

Bound = Expression | Constant | UserValue
Handler = Callable[["ExpressionBinder", Any], Bound]
# Types for which 'now' and 'today' are values.
_DATED = frozenset({TypeId.DATE, TypeId.TIME, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ})
HANDLERS: dict[type[exp.Expr], Handler] = {}


def handles(*classes: type[exp.Expr]) -> Callable[[Handler], Handler]:
    """Register a function as the handler of these node classes."""

    def register(handler: Handler) -> Handler:
        for class_ in classes:
            assert class_ not in HANDLERS, class_
            HANDLERS[class_] = handler
        return handler

    return register


class ExpressionBinder:
    """Binds the expressions of one clause of one query level.

    `clause` is its name for errors; `lifting` says that literals in comparisons may become parameters; `aggregates`
    collects aggregate calls, or is None where the clause may have none.
    """

    __slots__ = (
        "aggregates",
        "binder",
        "clause",
        "in_aggregate",
        "in_window",
        "lifting",
        "numbers_rows",
        "row_number",
        "scope",
        "windows",
    )

    def __init__(
        self,
        binder: Binder,
        scope: Scope,
        clause: str,
        *,
        lifting: bool = False,
        aggregates: Aggregates | None = None,
    ) -> None:
        self.binder = binder
        self.scope = scope
        self.clause = clause
        self.lifting = lifting
        self.aggregates = aggregates
        self.in_aggregate = False
        self.windows: Windows | None = None  # set where window functions may stand
        self.numbers_rows = False  # whether a nextval for every row may stand here; then `row_number` is what it needs
        self.row_number: Column | None = None
        self.in_window = ""  # while the parts of a window are bound: why no window function may stand there

    def bound(self, node: exp.Expr) -> Bound:
        handler = HANDLERS.get(type(node))
        if handler is None:
            raise unsupported(describe(node), node)
        if self.aggregates is not None and self.aggregates.subqueries and not self.in_aggregate:
            key = self.aggregates.key_with_subquery(node)
            if key is not None:
                return key
        return handler(self, node)

    def expression(self, node: exp.Expr) -> Expression:
        return self.finish(self.bound(node))

    def condition(self, node: exp.Expr) -> Expression:
        """A boolean expression, as WHERE and CASE WHEN need it."""
        return self.boolean(self.bound(node), node, f"argument of {self.clause}")

    def boolean(self, value: Bound, node: exp.Expr, what: str) -> Expression:
        type_ = self.type_of(value)
        if type_.id not in (TypeId.BOOLEAN, TypeId.NULL):
            raise ProgrammingError(
                f"{what} must be type boolean, not type {type_}", sqlstate="42804", position=position_of(node)
            )
        return self.cast(value, BOOLEAN, node)

    def type_of(self, value: Bound) -> SqlType:
        match value:
            case UserValue(slot=slot):
                return self.binder.context.known_type(slot) or NULL
        return value.type

    def finish(self, value: Bound, *, lift: bool = False) -> Expression:
        """The value as an expression in its own type; untyped strings and parameters become text."""
        match value:
            case Constant():
                return self.binder.context.lift(value) if lift else self.binder.context.bake(value)
            case UserValue(slot=slot):
                return Parameter(slot, self.binder.context.user_type(value, NULL))
        return value

    def cast(self, value: Bound, target: SqlType, node: exp.Expr | None = None, *, lift: bool = False) -> Expression:
        """The value in type `target`; the caller has checked that the cast is allowed."""
        match value:
            case Constant():
                return self.finish(self.convert(value, target), lift=lift)
            case UserValue(slot=slot):
                type_ = self.binder.context.user_type(value, _plain(target))
                value = Parameter(slot, type_)
        expression = self.finish(value)
        return cast_expression(expression, target, position_of(node))

    def text(self, value: Bound, node: exp.Expr | None = None, *, lift: bool = False) -> Expression:
        """The value as text, as it is if it is text of any declared length already."""
        if self.type_of(value).is_text and not isinstance(value, UserValue):
            return self.finish(value, lift=lift)
        return self.cast(value, TEXT, node, lift=lift)

    def padded_text(self, value: Bound, node: exp.Expr | None = None, *, lift: bool = False) -> Expression:
        """The value as text with the blanks that char(n) has at its end: patterns, octet_length and output see them."""
        type_ = self.type_of(value)
        text = self.text(value, node, lift=lift)
        if not (type_.is_text and type_.padded and type_.length):
            return text
        return self.call("rpad", (text, Literal(type_.length, INTEGER)), TEXT, node)

    def convert(self, value: Constant, target: SqlType) -> Constant:
        """CAST of a constant at bind time, as a constant; errors point at it. It has no collation of its own."""
        target = _plain(target)
        if value.value is None or value.type == target:
            return Constant(target, value.value, value.position, value.sources, value.steps)
        if value.type.id is TypeId.NULL:
            assert isinstance(value.value, str)
            if target.id in _DATED and SPECIAL_WORDS & {*value.value.lower().split()}:
                self.binder.context.is_volatile = True
            parsed = parse_value(target, value.value, value.position)
            return self._step(value, target, parsed, partial(parse_value, target))
        converted = coercion.cast_value(value.type, target, value.value, value.position)
        return self._step(value, target, converted, partial(coercion.cast_value, value.type, target))

    def convert_exactly(self, value: Constant, target: SqlType) -> Constant | None:
        """The constant in `target` if that loses nothing, else None. Untyped strings are read as `target`."""
        target = _plain(target)
        if value.value is None or value.type.id is TypeId.NULL:
            if value.value is not None and target.is_text:
                text = fit_text(SqlType(TypeId.TEXT, padded=target.padded), str(value.value), value.position)
                steps: tuple[Step, ...] = (str.rstrip,) if target.padded else ()
                return Constant(TEXT, text, value.position, value.sources, (*(value.steps or ()), *steps))
            return self.convert(value, target)
        try:
            converted = coercion.exact_value(value.type, target, value.value)
        except Inconvertible:
            return None
        return self._step(value, target, converted, partial(coercion.exact_value, value.type, target))

    def _step(self, value: Constant, target: SqlType, converted: Any, step: Step) -> Constant:
        steps = value.steps
        if steps is not None and not _is_same_value(value.type, target):
            steps = (*steps, step)
        return Constant(target, converted, value.position, value.sources, steps)

    def call(
        self, function: str, arguments: tuple[Expression, ...], type_: SqlType, node: exp.Expr | None = None
    ) -> Call:
        """A strict call is NULL if an argument can be."""
        nullable = result_nullable(function, [argument.nullable for argument in arguments])
        position = position_of(node) if node is not None else None
        if any(collations.collation_of(argument.type) is not None for argument in arguments):
            arguments, type_ = collations.in_call(function, arguments, type_, position)
            if function in collations.CASES and type_.is_text:
                function, arguments = collations.in_c(function, arguments, position)
        return Call(function, arguments, type_, nullable, position)


def _plain(type_: SqlType) -> SqlType:
    return type_ if collations.collation_of(type_) is None else collations.with_collation(type_, None)


def _is_same_value(source: SqlType, target: SqlType) -> bool:
    """True where every value of `source` is the very same canonical value in `target`."""
    if source.is_integer and target.is_integer:
        return target.bounds[0] <= source.bounds[0] and source.bounds[1] <= target.bounds[1]
    if source.id is target.id is TypeId.NUMERIC:
        return source.scale == target.scale and source.precision <= target.precision
    return False


@handles(exp.Paren)
def _paren(b: ExpressionBinder, node: exp.Paren) -> Bound:
    only(node, "this")
    return b.bound(node.this)


@handles(exp.Column)
def _column(b: ExpressionBinder, node: exp.Column) -> Bound:
    from zerodb_compiler.sql.binder_records import whole_row

    if b.binder.context.variables is not None and (found := variable(b, node)) is not None:
        return found
    only(node, "this", "table", "db")
    table = node.args.get("table")
    check_schema(b.scope, node)
    if isinstance(node.this, exp.Star):
        row = None if table is None else whole_row(b, fold(table), node)
        if row is None:
            raise ProgrammingError('"*" is not allowed here', position=position_of(node))
        return row
    position = position_of(node)
    if table is None:
        if (row := _whole_row(b, node)) is not None:
            return row
        if fold(node.this) in ("user", "current_role") and not node.this.args.get("quoted"):
            return b.bound(exp.CurrentUser())  # reserved words, which sqlglot does not know
    reference = b.scope.resolve(fold(node.this), fold(table) if table is not None else None, position)
    b.binder.places[reference.column.id] = position
    return reference


def _whole_row(b: ExpressionBinder, node: exp.Column) -> Expression | None:
    """A name that is no column may be that of a table: its rows as values."""
    from zerodb_compiler.sql.binder_records import whole_row

    name, scope = fold(node.this), b.scope
    while scope is not None:
        if scope.relation(name) is not None or scope.parent is None:
            break
        scope = scope.parent
    if scope.relation(name) is None or b.scope.knows(name):
        return None
    return whole_row(b, name, node)


@handles(exp.Literal)
def _literal(b: ExpressionBinder, node: exp.Literal) -> Bound:
    start = (node._meta or {}).get("start")
    text = str(node.this)
    sources = (start,) if start is not None else ()
    if node.args["is_string"]:
        return Constant(NULL, text, start, sources, () if sources else None)
    return number(text, start, sources)


def number(text: str, position: int | None, sources: tuple[int, ...]) -> Constant:
    """A number literal: integer, bigint or numeric by its size; a double only beyond 38 digits."""
    if text.isdigit():
        value = int(text) if len(text) < 4000 else 1 << 200
        for type_ in (INTEGER, BIGINT):
            if value <= type_.bounds[1]:
                return Constant(type_, value, position, sources, (int,) if sources else None)
    try:
        digits = literal_numeric_type(text)
    except OverflowError:
        digits = None
    except ValueError:
        raise ProgrammingError(f'invalid number "{text}"', position=position) from None
    if digits is None:
        return Constant(DOUBLE, parse_value(DOUBLE, text, position), position, sources, None)
    type_ = numeric(*digits)
    return Constant(
        type_, parse_value(type_, text), position, sources, (partial(parse_value, type_),) if sources else None
    )


@handles(exp.Null)
def _null(b: ExpressionBinder, node: exp.Null) -> Bound:
    return Constant(NULL, None)


@handles(exp.Boolean)
def _boolean(b: ExpressionBinder, node: exp.Boolean) -> Bound:
    return Constant(BOOLEAN, int(bool(node.this)))


@handles(exp.RawString)
def _dollar_string(b: ExpressionBinder, node: exp.RawString) -> Bound:
    return Constant(NULL, str(node.this), position_of(node))


@handles(exp.National)
def _national(b: ExpressionBinder, node: exp.National) -> Bound:
    """N'...': in PostgreSQL an ordinary string."""
    only(node, "this")
    return Constant(NULL, str(node.this), position_of(node))


@handles(exp.ByteString)
def _escape_string(b: ExpressionBinder, node: exp.ByteString) -> Bound:
    """E'...': sqlglot has resolved the escapes."""
    only(node, "this", "is_bytes")
    return Constant(NULL, str(node.this), position_of(node))


@handles(exp.Parameter)
def _parameter(b: ExpressionBinder, node: exp.Parameter) -> Bound:
    only(node, "this")
    if not node.name.isdecimal():  # a `$` alone before a word
        raise ProgrammingError('syntax error at or near "$"', position=position_of(node))
    variables = b.binder.context.variables
    if variables is not None:
        number = int(node.name)
        if number > len(variables.numbered):
            raise ProgrammingError(f"there is no parameter ${number}", sqlstate="42P02", position=position_of(node))
        return variables.numbered[number - 1]
    return UserValue(int(node.name) - 1, position_of(node))


@handles(exp.Cast)
def _cast(b: ExpressionBinder, node: exp.Cast) -> Bound:
    only(node, "this", "to", "_type")
    if isinstance(node.args["to"], exp.ObjectIdentifier) or node.args["to"].this == exp.DType.USERDEFINED:
        kind = registered_kind(node.args["to"])
        if kind is not None:
            from zerodb_compiler.sql.binder_catalog import cast_registered

            return cast_registered(b, kind, node)
    return cast_to(b, b.bound(node.this), sql_type(node.args["to"], node, b.binder.named_type), node)


def cast_to(b: ExpressionBinder, value: Bound, target: SqlType, node: exp.Expr) -> Bound:
    """An explicit CAST; constants stay constants."""
    source = b.type_of(value)
    if target == UNCONSTRAINED_NUMERIC:
        target = _plain_numeric(source, value) or target
    if isinstance(value, UserValue):
        return b.cast(value, target, node)
    if not coercion.is_castable(source, target):
        raise ProgrammingError(f"cannot cast type {source} to {target}", sqlstate="42846", position=position_of(node))
    if isinstance(value, Constant):
        if value.type.id is TypeId.NULL and isinstance(value.value, str) and target.is_text:
            text = fit_text(target, value.value, value.position, explicit=True)
            return Constant(target, text, value.position, value.sources, None)
        try:
            return b.convert(value, target)
        except DataError as error:
            error.position = error.position if error.position is not None else position_of(node)
            raise
    return b.cast(value, target, node)


def _plain_numeric(source: SqlType, value: Bound) -> SqlType | None:
    """What a cast to plain numeric gives: of an exact value and of a literal, the scale they have."""
    if source.is_exact:
        return source if source.id is TypeId.NUMERIC else coercion.as_numeric(source)
    if source.id is TypeId.NULL and isinstance(value, Constant) and isinstance(value.value, str):
        try:
            digits = literal_numeric_type(value.value)
        except (ValueError, OverflowError):
            return None
        return None if digits is None else numeric(*digits)
    return None


def united(b: ExpressionBinder, values: list[Bound], what: str, node: exp.Expr) -> tuple[list[Expression], SqlType]:
    """All values cast to their common type, as the results of CASE or the columns of UNION need it."""
    type_ = NULL
    for value in values:
        found = coercion.union_type(type_, b.type_of(value))
        if found is None:
            raise ProgrammingError(
                f"{what} types {type_} and {b.type_of(value)} cannot be matched",
                sqlstate="42804",
                position=position_of(node),
            )
        type_ = found
    if type_.id is TypeId.NULL or (type_.is_text and any(b.type_of(value) != type_ for value in values)):
        type_ = TEXT  # not varchar(n): a constant beside it may be longer
    return collations.united([b.cast(value, type_, node) for value in values], type_, position_of(node))


def no_operator(symbol: str, left: SqlType, right: SqlType, node: exp.Expr) -> ProgrammingError:
    return ProgrammingError(
        f"operator does not exist: {left} {symbol} {right}",
        sqlstate="42883",
        position=position_of(node),
        hint="add an explicit cast",
    )


def typed(b: ExpressionBinder, value: Bound, type_: SqlType, node: exp.Expr) -> Bound:
    return b.convert(value, type_) if isinstance(value, Constant) else b.cast(value, type_, node)
