"""Bound expressions: typed, immutable, with every name resolved.

A `Column` is one value that flows through a plan: each column of a scan and each computed result gets a fresh `id`,
unique in the query (Umbra calls it an information unit). Because references are by id and not by place, a rewrite
rule may move an expression anywhere below or above without renumbering it.

`nullable` is False where a NULL is impossible; code for NULLs is generated only where it is True.
`position` is the character offset in the SQL text, for errors at run time (overflow, division by zero, bad input).

The functions a `Call` may name are listed in sql/functions.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from zerodb_compiler.types import BOOLEAN, SqlType

if TYPE_CHECKING:
    from zerodb_compiler.plan.logical import LogicalPlan, SortKey
    from zerodb_compiler.sql.external import ExternalFunction

type_ = type  # the fields below shadow the builtin in class scope


@dataclass(frozen=True, slots=True)
class Column:
    """One value of the data flow. Identity is `id`; the name is for people."""

    id: int
    name: str
    type: SqlType
    nullable: bool


@dataclass(frozen=True, slots=True)
class ColumnRef:
    column: Column

    @property
    def type(self) -> SqlType:
        return self.column.type

    @property
    def nullable(self) -> bool:
        return self.column.nullable


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """A constant baked into the code, in canonical form (types.py): int for discrete types, float, str,
    bytes (blobs), or None.

    Equal are literals that stand for one another in any expression: NaN equals NaN, but 0.0 is not -0.0."""

    value: int | float | str | bytes | None
    type: SqlType

    def _identity(self) -> tuple[SqlType, int | str | bytes | None]:
        return self.type, repr(self.value) if isinstance(self.value, float) else self.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    @property
    def nullable(self) -> bool:
        return self.value is None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value given at execution: a user's `?`/`$1`/`$name`, or a literal of the text that was lifted out so that the
    shape compiles once. `index` is the slot in the program's parameter list; `sample` is the value at first compile
    (for lifted literals), used by the cost model only."""

    index: int
    type: SqlType
    nullable: bool = True
    sample: int | float | str | bytes | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A scalar function or operator of sql/functions.py."""

    function: str
    arguments: tuple[Expression, ...]
    type: SqlType
    nullable: bool
    position: int | None = None


@dataclass(frozen=True, slots=True)
class ExternalCall:
    """A call of a function from outside (external.py); the arguments and the result have the types that its body deals
    in. Calls with one `site` are one and the same; 0 where that follows from equal arguments, since the function is not
    volatile. Taken out of all expressions by the rules in plan/rules/external_calls.py."""

    function: ExternalFunction
    arguments: tuple[Expression, ...]
    type: SqlType
    site: int = 0
    position: int | None = None

    @property
    def nullable(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Cast:
    argument: Expression
    type: SqlType
    position: int | None = None

    @property
    def nullable(self) -> bool:
        return self.argument.nullable


@dataclass(frozen=True, slots=True)
class Case:
    """CASE: the first branch whose condition is true, else `default` (a NULL Literal where SQL has no ELSE).
    All results already have type `type`. COALESCE and NULLIF are bound to it too."""

    branches: tuple[tuple[Expression, Expression], ...]
    default: Expression
    type: SqlType
    nullable: bool


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """An aggregate of sql/aggregates.py. Only in Aggregate and Window nodes.

    `extra` holds the arguments after the first (string_agg's delimiter, corr's X, the fraction of percentile_cont, the
    row of a hypothetical-set aggregate), `order` the ORDER BY inside the call or of WITHIN GROUP. `distinct` and
    `order` reach code generation only for aggregates that collect their rows (aggregates.COLLECTING); of the others
    the planner rewrites avg, DISTINCT and FILTER."""

    function: str
    argument: Expression | None
    type: SqlType
    nullable: bool
    distinct: bool = False
    filter: Expression | None = None
    position: int | None = None
    extra: tuple[Expression, ...] = ()
    order: tuple[SortKey, ...] = ()

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The argument, those after it, and the keys of the order: what is evaluated for each row."""
        first = () if self.argument is None else (self.argument,)
        return (*first, *self.extra, *(key.expression for key in self.order))


@dataclass(frozen=True, slots=True)
class ScalarSubquery:
    """A subquery that gives one value (NULL for no row; SQLSTATE 21000 for more than one). Removed by unnesting."""

    plan: LogicalPlan
    column: Column
    type: SqlType
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Exists:
    """[NOT] EXISTS (subquery). Removed by unnesting."""

    plan: LogicalPlan
    negated: bool

    @property
    def type(self) -> SqlType:
        return BOOLEAN

    @property
    def nullable(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class InSubquery:
    """operand [NOT] IN (subquery of one column). Removed by unnesting."""

    operand: Expression
    plan: LogicalPlan
    column: Column
    negated: bool
    nullable: bool

    @property
    def type(self) -> SqlType:
        return BOOLEAN


@dataclass(frozen=True, slots=True)
class AnySubquery:
    """Whether `test` is true for some row of the subquery; else NULL if it is NULL for one; else false: op ANY, IN of
    rows, and with NOT around both op ALL. The test reads the plan's columns and `places`, which stand for the
    `operands`. Removed by unnesting."""

    operands: tuple[Expression, ...]
    places: tuple[Column, ...]
    plan: LogicalPlan
    test: Expression

    @property
    def type(self) -> SqlType:
        return BOOLEAN

    @property
    def nullable(self) -> bool:
        return self.test.nullable


Expression = (
    ColumnRef
    | Literal
    | Parameter
    | Call
    | ExternalCall
    | Cast
    | Case
    | AggregateCall
    | ScalarSubquery
    | Exists
    | InSubquery
    | AnySubquery
)


def children(expression: Expression) -> tuple[Expression, ...]:
    """The direct sub-expressions (not those inside subqueries)."""
    match expression:
        case Call(arguments=arguments) | ExternalCall(arguments=arguments):
            return arguments
        case Cast(argument=argument):
            return (argument,)
        case Case(branches=branches, default=default):
            return (*(part for branch in branches for part in branch), default)
        case AggregateCall(filter=filter_):
            return expression.parts if filter_ is None else (*expression.parts, filter_)
        case InSubquery(operand=operand):
            return (operand,)
        case AnySubquery(operands=operands):
            return operands
        case _:
            return ()


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and all below it, parents first."""
    yield expression
    for child in children(expression):
        yield from walk(child)


def columns_of(expression: Expression) -> frozenset[Column]:
    """The columns an expression reads (not those inside subqueries)."""
    return frozenset(node.column for node in walk(expression) if isinstance(node, ColumnRef))


@lru_cache(maxsize=4096)
def without_positions(expression: Expression) -> Expression:
    """The expression without places in the text, so that equal ones compare equal."""
    match expression:
        case Call():
            arguments = tuple(without_positions(argument) for argument in expression.arguments)
            return replace(expression, arguments=arguments, position=None)
        case ExternalCall():
            arguments = tuple(without_positions(argument) for argument in expression.arguments)
            return replace(expression, arguments=arguments, position=None)
        case Cast():
            return replace(expression, argument=without_positions(expression.argument), position=None)
        case _:
            return expression
