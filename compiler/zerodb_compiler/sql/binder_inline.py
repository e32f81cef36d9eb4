"""Functions in SQL bound in the place of their calls, as if their bodies stood there.

    create function twice(a integer) ... as 'select a * 2'
    select twice(b + 1) from t        select (b + 1) * 2 from t
    create function total(c integer) ... stable as 'select sum(amount) from orders where customer = c'
    select total(id) from customers   select (select sum(amount) from orders where customer = id) from customers

So the optimiser sees through them: conditions choose indexes, subqueries become joins, and nothing is called for a row
(Froid, Ramachandra et al., VLDB 2018, does this for whole procedures; inline_function of PostgreSQL for expressions).
The result is the same but for how often an argument is computed, so a call stays a call (functions/sql_functions.py of
the host) where that matters:

    several statements, changes, locks, other results than one expression's or one query's
    a volatile function with a query: it sees what the statement around has changed so far
    an argument with a subquery, a volatile call or a long computation that the body does not name exactly once
    a function that calls itself, and what is bound to be kept (views, expressions of tables): it depends on the call
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import Error
from zerodb_compiler.sql.aggregates import NAMES as AGGREGATES
from zerodb_compiler.sql.expressions import (
    AnySubquery,
    Call,
    Case,
    Exists,
    Expression,
    ExternalCall,
    InSubquery,
    Literal,
    ScalarSubquery,
    walk,
)
from zerodb_compiler.sql.external import VOLATILE, ExternalFunction
from zerodb_compiler.sql.parse import parse
from zerodb_compiler.sql.scope import Scope
from zerodb_compiler.sql.variables import Path, Variables, path_of
from zerodb_compiler.types import BOOLEAN, TypeId

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder

_CHEAP = 8  # nodes of an argument that may be computed more than once
_PARTS = frozenset({"expressions", "kind", "operation_modifiers"})  # of a SELECT that is nothing but an expression
_SUBQUERIES = (ScalarSubquery, Exists, InSubquery, AnySubquery)


@lru_cache(maxsize=512)
def _query_of(source: str) -> exp.Expr | None:
    """The body's query if it has one statement that is a query without locks; not to be changed."""
    try:
        statements = parse(source, body=True)
    except Error:
        return None
    tree = statements[0].tree if len(statements) == 1 else None
    if not isinstance(tree, exp.Select) or tree.args.get("with_") is not None:
        return None
    if tree.find(exp.Lock) is not None or len(tree.expressions) != 1 or tree.find(exp.Into) is not None:
        return None
    for node in tree.walk():
        node._meta = None
    return tree


def _expression_of(tree: exp.Expr) -> exp.Expr | None:
    """What the query computes if it reads nothing."""
    from zerodb_compiler.sql.binder_functions import WINDOW_FUNCTIONS, function_name
    from zerodb_compiler.sql.set_functions import SET_FUNCTIONS

    if any(value for key, value in tree.args.items() if key not in _PARTS):
        return None
    (found,) = tree.expressions
    expression: exp.Expr = found.this if isinstance(found, exp.Alias) else found
    if isinstance(expression, exp.Star) or expression.find(exp.Window, exp.AggFunc, exp.Unnest, exp.Star) is not None:
        return None
    names = {function_name(call) for call in expression.find_all(exp.Anonymous)}
    return None if names & {*AGGREGATES, *WINDOW_FUNCTIONS, *SET_FUNCTIONS} else expression


def inlined(b: ExpressionBinder, function: ExternalFunction, values: Sequence[Bound], node: exp.Expr) -> Bound | None:
    """The body's value over the arguments; None if the call has to stay one."""
    binder = b.binder
    if function.language != "sql" or function.void or not binder.inlines:
        return None
    if function.id in binder.bodies_open or function.result.id is TypeId.STRUCT:
        return None
    tree = _query_of(function.source)
    if tree is None:
        return None
    expression = _expression_of(tree)
    if expression is None and (function.volatility == VOLATILE or not _gives_one_row(tree)):
        return None
    arguments = [b.cast(value, type_, node, lift=True) for value, type_ in zip(values, function.arguments, strict=True)]
    if any(not _may_move(argument, _uses(tree, function, place)) for place, argument in enumerate(arguments)):
        return None
    made = _bound(b, function, tree, expression, arguments, node)
    if made is None:
        return None
    if not function.strict or not any(argument.nullable for argument in arguments):
        return made
    present = [b.call("is_not_null", (argument,), BOOLEAN, node) for argument in arguments if argument.nullable]
    condition = present[0]
    for other in present[1:]:
        condition = b.call("and", (condition, other), BOOLEAN, node)
    return Case(((condition, made),), Literal(None, made.type), made.type, True)


def _gives_one_row(tree: exp.Expr) -> bool:
    """Whether a query gives exactly one row: an aggregate of all its rows. (Of others the first row counts.)"""
    from zerodb_compiler.sql.binder_functions import function_name

    if any(tree.args.get(part) for part in ("group", "having", "limit", "offset", "distinct", "windows")):
        return False
    (item,) = tree.expressions
    for found in item.find_all(exp.AggFunc, exp.Anonymous):
        nested = found.find_ancestor(exp.Query)
        if nested is tree and (isinstance(found, exp.AggFunc) or function_name(found) in AGGREGATES):
            return item.find(exp.Window) is None
    return False


def _uses(tree: exp.Expr, function: ExternalFunction, place: int) -> int:
    """How often the body names an argument."""
    name = function.argument_names[place]
    paths: set[Path] = {(name,), (function.name, name)} if name else set()
    count = sum(path_of(column) in paths for column in tree.find_all(exp.Column))
    return count + sum(found.name == str(place + 1) for found in tree.find_all(exp.Parameter))


def _may_move(argument: Expression, uses: int) -> bool:
    nodes = list(walk(argument))
    if any(isinstance(node, _SUBQUERIES) for node in nodes):
        return False
    if any(_is_volatile(node) for node in nodes):
        return uses == 1
    return uses <= 1 or len(nodes) <= _CHEAP


def _is_volatile(node: Expression) -> bool:
    if isinstance(node, ExternalCall):
        return node.function.volatility == VOLATILE
    return isinstance(node, Call) and node.function in ("random", "gen_random_uuid", "clock_timestamp")


def _bound(
    b: ExpressionBinder,
    function: ExternalFunction,
    tree: exp.Expr,
    expression: exp.Expr | None,
    arguments: Sequence[Expression],
    node: exp.Expr,
) -> Expression | None:
    from zerodb_compiler.sql.binder_expressions import ExpressionBinder
    from zerodb_compiler.sql.binder_views import whole

    binder, context = b.binder, b.binder.context
    values: dict[Path, Expression] = {}
    for name, argument in zip(function.argument_names, arguments, strict=True):
        if name:
            values[name,] = values[function.name, name] = argument
    kept = context.variables, context.literals
    context.variables, context.literals = Variables(values, arguments), None
    names = binder.catalog, binder.inlining, binder.seen, binder.tables_by_name, binder.views_by_name
    if binder.inlining:  # a view's names are not the body's
        binder.catalog, binder.inlining, binder.seen = whole(binder.catalog), [], {}
        binder.tables_by_name, binder.views_by_name = {}, {}
    binder.bodies_open.append(function.id)
    try:
        if expression is not None:
            inner = ExpressionBinder(binder, Scope(common={}), "SELECT")
            made = inner.expression(expression.copy())
        else:
            query = binder.query(tree.copy(), None, {})
            column = query.columns[0]
            made = ScalarSubquery(query.plan, column, column.type)
    except Error:  # the call fails, where it is made
        return None
    finally:
        context.variables, context.literals = kept
        binder.catalog, binder.inlining, binder.seen, binder.tables_by_name, binder.views_by_name = names
        binder.bodies_open.pop()
    return made if made.type == function.result else b.cast(made, function.result, node)
