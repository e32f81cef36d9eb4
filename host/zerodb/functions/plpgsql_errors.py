"""RAISE, ASSERT, GET DIAGNOSTICS, and which errors a handler takes, for a run of a PL/pgSQL body (plpgsql_run.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zerodb.functions.plpgsql_names import Scope
from zerodb.sessions.notices import SQLSTATES, Notice
from zerodb_compiler.errors import Error, error_for
from zerodb_compiler.plpgsql import tree
from zerodb_compiler.plpgsql.conditions import CONDITIONS, is_sqlstate, matches
from zerodb_compiler.sql.values import Value
from zerodb_compiler.types import BIGINT, TEXT, SqlType

if TYPE_CHECKING:
    from zerodb.functions.plpgsql_run import Run

_RAISED = "P0001"
_UNCAUGHT = ("57014", "P0004")  # OTHERS does not take these


def takes(handler: tree.Handler, error: Error) -> bool:
    for condition in handler.conditions:
        if condition == "others":
            if error.sqlstate not in _UNCAUGHT:
                return True
        elif matches(condition, error.sqlstate):
            return True
    return False


def get_diagnostics(run: Run, node: tree.GetDiagnostics, scope: Scope) -> None:
    if node.stacked and not run.caught:
        raise error_for("0Z002", "GET STACKED DIAGNOSTICS cannot be used outside an exception handler")
    for target, item in node.items:
        type_, value = _item(run, item)
        run.assign_to(target, scope, type_, value)


def _item(run: Run, item: str) -> tuple[SqlType, Value]:
    match item:
        case "row_count":
            return BIGINT, run.row_count
        case "pg_routine_oid":
            return BIGINT, 0
        case "pg_context":
            return TEXT, f"PL/pgSQL {run.routine.shown}"
    error = run.caught[-1]
    known = {
        "returned_sqlstate": error.sqlstate,
        "message_text": error.message,
        "pg_exception_detail": error.detail,
        "pg_exception_hint": error.hint,
        "pg_exception_context": error.context,
    }
    return TEXT, known.get(item) or ""


def raise_(run: Run, node: tree.Raise, scope: Scope) -> None:
    if node.is_again:
        if not run.caught:
            raise error_for("0Z002", "RAISE without parameters cannot be used outside an exception handler")
        error = run.caught[-1]
        run.blamed = error
        raise error
    message = None
    if node.format is not None:
        message = _formatted(run, node.format, node.arguments, scope)
    sqlstate = node.condition
    given: dict[str, str] = {}
    for name, sql in node.options:
        text = run.text(sql, scope)
        if text is None:
            raise error_for("22004", "RAISE statement option cannot be null")
        if name in given or (name == "message" and node.format is not None):
            raise error_for("42601", f"RAISE option already specified: {name.upper()}")
        given[name] = text
    if "errcode" in given:
        code = given["errcode"]
        if not is_sqlstate(code) and code not in CONDITIONS:
            raise error_for("42704", f'unrecognized exception condition "{code}"')
        sqlstate = code if is_sqlstate(code) else CONDITIONS[code][0]
    message = given.get("message", message)
    if message is None:
        message = sqlstate if sqlstate is not None else _RAISED
        names = [name for name, codes in CONDITIONS.items() if sqlstate in codes]
        message = names[0] if names and node.condition is not None else message
    if node.level == "exception":
        error = error_for(sqlstate or _RAISED, message, hint=given.get("hint"))
        error.detail = given.get("detail")
        raise error
    _say(run, node, message, sqlstate, given)


def _say(run: Run, node: tree.Raise, message: str, sqlstate: str | None, given: dict[str, str]) -> None:
    connection = run.caller.connection
    context = f"PL/pgSQL {run.routine.shown} line {node.line} at RAISE"
    code = sqlstate or SQLSTATES.get(node.level, "00000")
    notice = Notice(node.level.upper(), message, code, given.get("detail"), given.get("hint"), context)
    connection._session.notices.say(notice, connection._options.get("client_min_messages"))


def _formatted(run: Run, text: str, arguments: Sequence[tree.Sql], scope: Scope) -> str:
    values = iter(arguments)
    pieces = []
    for number, piece in enumerate(text.split("%%")):
        parts = piece.split("%")
        pieces += ["%"] if number else []
        pieces.append(parts[0])
        for part in parts[1:]:
            shown = run.text(next(values), scope)
            pieces += ["<NULL>" if shown is None else shown, part]
    return "".join(pieces)


def assert_(run: Run, node: tree.Assert, scope: Scope) -> None:
    if run.condition(node.condition, scope):
        return
    message = run.text(node.message, scope) if node.message is not None else None
    raise error_for("P0004", message or "assertion failed")
