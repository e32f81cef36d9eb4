"""Parameters whose value the host computes for every execution: values of sequences.

nextval stands where it is evaluated once (a VALUES list, a SELECT without FROM) as a parameter. For many rows it is
`base + step * row_number()`: the host gives base and step, counts the rows afterwards and moves the sequence on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from zerodb_compiler.plan.logical import LogicalPlan, Window
from zerodb_compiler.plan.windows import WindowCall, WindowItem, WindowSpec
from zerodb_compiler.sql.expressions import Column, Expression, Parameter
from zerodb_compiler.sql.external import ExternalFunction
from zerodb_compiler.sql.parameters import LiftedParameter
from zerodb_compiler.types import BIGINT, SqlType

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder
    from zerodb_compiler.sql.binder_expressions import ExpressionBinder


@dataclass(frozen=True, slots=True)
class Computed:
    """`kind`: nextval, currval, lastval, setval; or base and step, of a nextval for all rows of a query. A sequence is
    named by its id or by its name as regclass reads it. "session", "setting" and "set setting" are binder_session's,
    "advisory" is binder_advisory's, "notify" binder_notify's, "sleep" binder_sleep's,
    "external" is a call of `function` (binder_external)."""

    kind: str
    sequence: int | str | None = None
    value: int | None = None
    called: bool = True
    arguments: tuple[Expression, ...] = ()  # Literals and Parameters
    function: ExternalFunction | None = None
    position: int | None = None


def computed(binder: Binder, what: Computed, type_: SqlType = BIGINT, *, nullable: bool = False) -> Parameter:
    """A parameter with a slot of its own; it takes no literal of the text."""
    context = binder.context
    slot = len(context.names) + len(context.lifted)
    context.lifted.append(LiftedParameter(slot, (), type_, partial(_given, what)))
    context.samples.append(what)  # type: ignore[arg-type]
    return Parameter(slot, type_, nullable)


def _given(what: Computed, _texts: Any) -> Computed:
    return what


def numbered(plan: LogicalPlan, column: Column | None) -> LogicalPlan:
    """The plan with `column` numbering its rows from 1, if it is wanted."""
    if column is None:
        return plan
    item = WindowItem(column, WindowCall("row_number", ()), None)
    return Window(plan, (WindowSpec((), (), (item,)),))


def for_each_row(b: ExpressionBinder, sequence: int | str, number: Expression) -> Expression:
    """nextval for row `number`, from 1, of a query."""
    base = computed(b.binder, Computed("base", sequence))
    step = computed(b.binder, Computed("step", sequence))
    offset = b.call("mul", (step, number), BIGINT)
    return b.call("add", (base, offset), BIGINT)
