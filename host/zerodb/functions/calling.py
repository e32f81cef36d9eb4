"""Calls of external functions that are computed once, before the statement runs: those of constant arguments."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from zerodb.engine.external import constant_array, constant_result, invoke
from zerodb_compiler.sql.computed import Computed
from zerodb_compiler.sql.expressions import Literal, Parameter
from zerodb_compiler.sql.external import wire_type

if TYPE_CHECKING:
    from zerodb.values import Canonical
    from zerodb.view import View


def computed_call(view: View, what: Computed, values: Sequence[Any]) -> Canonical:
    """The result, a canonical value. `values` are those of the statement's parameters."""
    function = what.function
    assert function is not None
    given: list[Any] = []
    for argument in what.arguments:
        assert isinstance(argument, Literal | Parameter)
        given.append(argument.value if isinstance(argument, Literal) else values[argument.index])
    if function.strict and None in given:
        return None
    arguments = [constant_array(part.type, value) for part, value in zip(what.arguments, given, strict=True)]
    body = view.body(function)
    type_ = wire_type(function.result)
    made = invoke(function, body, arguments, 1, what.position, view, type_, stopping(view))
    result: Canonical = constant_result(made, type_)
    return result


def stopping(view: View) -> Callable[[], str | None]:
    """Says why the statement is to end, while the engine does not run it."""
    connection = view.session
    if connection is None:
        return lambda: None
    before, timeout = connection._interrupts, connection._session._options.statement_timeout_s
    deadline = None if timeout is None else time.monotonic() + timeout

    def stopped() -> str | None:
        if connection._interrupts != before:
            return "the statement was interrupted"
        if deadline is not None and time.monotonic() > deadline:
            return "the statement was cancelled: it ran longer than its timeout"
        return None

    return stopped
