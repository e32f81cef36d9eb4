"""The items of GROUP BY: keys, and sets of keys.

Each item stands for a list of sets: a plain one for its one set, ROLLUP(a, b) for (a, b), (a), (), CUBE for all
subsets, GROUPING SETS for the sets of its items. The sets of the clause are the cross product of its items' lists.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.sql.binder_aggregates import Aggregates
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_functions import special
from zerodb_compiler.sql.nodes import only, position_of
from zerodb_compiler.sql.scope import Scope

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder

MAX_SETS = 4096
MAX_CUBE = 12
MAX_ARGUMENTS = 31  # of grouping()

Places = tuple[int, ...]
# What an item stands for: an output's expression for its alias or place, with a name.
Meaning = Callable[[exp.Expr], tuple[exp.Expr, str]]


def bind_group(binder: Binder, scope: Scope, group: exp.Group, aggregates: Aggregates, meaning: Meaning) -> None:
    """Adds the keys, and the sets if there are any, to `aggregates`. 54001 for too many sets."""
    only(group, "expressions", "all")
    if not group.expressions:
        raise ProgrammingError("syntax error: GROUP BY needs at least one item", position=position_of(group))
    items = _Items(ExpressionBinder(binder, scope, "GROUP BY"), aggregates, meaning)
    if any(isinstance(item, (exp.Rollup, exp.Cube, exp.GroupingSets)) for item in group.expressions):
        aggregates.sets = ()
    lists = [items.sets(item) for item in group.expressions]
    if aggregates.sets is None:
        return
    total = 1
    for choices in lists:
        total *= len(choices)
    if total > MAX_SETS:
        raise error_for("54001", f"too many grouping sets present (maximum {MAX_SETS})", position=position_of(group))
    sets = [tuple(sorted({place for part in parts for place in part})) for parts in product(*lists)]
    if group.args.get("all") is False:  # GROUP BY DISTINCT
        sets = list(dict.fromkeys(sets))
    aggregates.sets = tuple(sets)


class _Items:
    def __init__(self, expressions: ExpressionBinder, aggregates: Aggregates, meaning: Meaning) -> None:
        self._expressions, self._aggregates, self._meaning = expressions, aggregates, meaning

    def sets(self, item: exp.Expr) -> list[Places]:
        """The sets an item stands for."""
        if isinstance(item, exp.GroupingSets):
            only(item, "expressions")
            return [places for part in item.expressions for places in self.sets(part)]
        if isinstance(item, exp.Rollup):
            only(item, "expressions")
            parts = [self.places(part) for part in item.expressions]
            return [sum(parts[:count], ()) for count in range(len(parts), -1, -1)]
        if isinstance(item, exp.Cube):
            only(item, "expressions")
            parts = [self.places(part) for part in item.expressions]
            if len(parts) > MAX_CUBE:
                raise error_for("54001", f"CUBE is limited to {MAX_CUBE} elements", position=position_of(item))
            subsets = range((1 << len(parts)) - 1, -1, -1)
            last = len(parts) - 1
            return [sum((part for i, part in enumerate(parts) if bits >> (last - i) & 1), ()) for bits in subsets]
        return [self.places(item)]

    def places(self, item: exp.Expr) -> Places:
        """The keys of one plain item, which may be a list in parentheses."""
        if isinstance(item, exp.Tuple):
            return tuple(place for part in item.expressions for place in self.places(part))
        if isinstance(item, exp.Paren):
            return self.places(item.this)
        node, name = self._meaning(item)
        column = self._aggregates.add_key(self._expressions.binder, self._expressions.expression(node), name)
        if node.find(exp.Query, exp.Exists) is not None:
            self._aggregates.subqueries.append((node, column))
        return (next(i for i, key in enumerate(self._aggregates.keys) if key.column.id == column.id),)


@special("grouping")
def _grouping(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """grouping(keys): which of the keys the row's set leaves out, as bits."""
    if b.aggregates is None:
        raise ProgrammingError(
            f"grouping operations are not allowed in {b.clause}", sqlstate="42803", position=position_of(node)
        )
    if not 1 <= len(values) <= MAX_ARGUMENTS:
        raise ProgrammingError(
            f"GROUPING must have fewer than {MAX_ARGUMENTS + 1} arguments", sqlstate="54023", position=position_of(node)
        )
    found = b.aggregates.mask(b.binder, [b.finish(value) for value in values])
    if found is None:
        raise ProgrammingError(
            "arguments to GROUPING must be grouping expressions of the associated query level",
            sqlstate="42803",
            position=position_of(node),
        )
    return found
