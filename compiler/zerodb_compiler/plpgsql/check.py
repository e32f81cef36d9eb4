"""What can be known of a body before it runs: whether what is assigned to is a variable, EXIT has a loop to leave,
RETURN fits what the function returns, and each piece of SQL is SQL.

Names in SQL are not looked at: what they mean is known when the statement runs first, as in PostgreSQL.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from zerodb_compiler.errors import DatabaseError, ProgrammingError, error_for
from zerodb_compiler.plpgsql import tree
from zerodb_compiler.sql.parse import parse


@dataclass(frozen=True, slots=True)
class Returns:
    """What a function returns. `kind` is scalar, table, trigger, procedure or do; `outwards`: OUT arguments say it."""

    kind: str
    void: bool = False
    outwards: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """What is known at a place: the variables (True: constant), and the labels around (True: of a loop)."""

    names: dict[str, bool]
    labels: tuple[tuple[str | None, bool], ...] = ()

    def having(self, names: dict[str, bool], label: str | None, *, loop: bool) -> _Place:
        return _Place({**self.names, **names}, (*self.labels, (label, loop)))


def check(block: tree.Block, names: Collection[str], returns: Returns) -> None:
    """`names` are the arguments and what else a function of this kind has. Errors have places in the body."""
    _Checker(returns).statement(block, _Place(dict.fromkeys((*names, "found"), False)))
    for sql in _pieces(block):
        parse(sql.text, body=True)


def _pieces(part: object) -> Iterator[tree.Sql]:
    match part:
        case tree.Sql():
            yield part
        case tuple():
            for item in part:
                yield from _pieces(item)
        case _ if dataclasses.is_dataclass(part):
            for field in dataclasses.fields(part):
                yield from _pieces(getattr(part, field.name))


class _Checker:
    def __init__(self, returns: Returns) -> None:
        self._returns = returns

    def statements(self, body: tuple[tree.Statement, ...], place: _Place) -> None:
        for statement in body:
            self.statement(statement, place)

    def statement(self, node: tree.Statement, place: _Place) -> None:
        match node:
            case tree.Block():
                self._block(node, place)
            case tree.Assign(target=target):
                _target(target, place)
            case tree.If(branches=branches, otherwise=otherwise):
                for _, body in branches:
                    self.statements(body, place)
                self.statements(otherwise, place)
            case tree.CaseWhen(branches=branches, otherwise=rest):
                for _, body in branches:
                    self.statements(body, place)
                self.statements(rest or (), place)
            case tree.Loop(label=label, body=body):
                self.statements(body, place.having({}, label, loop=True))
            case tree.ForRange(label=label, variable=variable, body=body):
                self.statements(body, place.having({variable: False}, label, loop=True))
            case tree.ForRows(label=label, targets=targets, body=body):
                for target in targets:
                    _loop_target(target, place)
                self.statements(body, place.having({}, label, loop=True))
            case tree.ForEach(label=label, targets=targets, body=body):
                _targets(targets, place)
                self.statements(body, place.having({}, label, loop=True))
            case tree.Leave():
                _leave(node, place)
            case tree.Return() | tree.ReturnNext() | tree.ReturnQuery():
                self._result(node)
            case tree.Execute(into=tree.Into(targets=targets)) | tree.Run(into=tree.Into(targets=targets)):
                _targets(targets, place)
            case tree.GetDiagnostics(items=items):
                for target, _ in items:
                    _target(target, place)

    def _block(self, node: tree.Block, place: _Place) -> None:
        inside = place.having({}, node.label, loop=False)
        for declaration in node.declarations:
            if declaration.alias is not None and not declaration.alias.startswith("$"):
                _target(tree.Target((declaration.alias,), declaration.position), inside)
            inside.names[declaration.name] = declaration.constant
        self.statements(node.body, inside)
        for handler in node.handlers:
            self.statements(handler.body, _Place({**inside.names, "sqlstate": True, "sqlerrm": True}, inside.labels))

    def _result(self, node: tree.Return | tree.ReturnNext | tree.ReturnQuery) -> None:
        returns = self._returns
        if not isinstance(node, tree.Return):
            if returns.kind != "table":
                what = "NEXT" if isinstance(node, tree.ReturnNext) else "QUERY"
                raise error_for("42804", f"cannot use RETURN {what} in a non-SETOF function", position=_start(node))
            return
        given = node.value is not None
        if returns.kind == "table" and given:
            message = "RETURN cannot have a parameter in function returning set"
            raise error_for("42804", message, position=_start(node), hint="Use RETURN NEXT or RETURN QUERY.")
        if returns.kind == "procedure" and given:
            raise error_for("42804", "RETURN cannot have a parameter in a procedure", position=_start(node))
        if returns.outwards and given:
            message = "RETURN cannot have a parameter in function with OUT parameters"
            raise error_for("42804", message, position=_start(node))
        if (returns.void or returns.kind == "do") and given:
            message = "RETURN cannot have a parameter in function returning void"
            raise error_for("42804", message, position=_start(node))
        if returns.kind in ("scalar", "trigger") and not given and not returns.void and not returns.outwards:
            raise ProgrammingError("missing expression", position=None)


def _start(node: tree.Return | tree.ReturnNext | tree.ReturnQuery) -> int | None:
    piece = node.query if isinstance(node, tree.ReturnQuery) else node.value
    return None if piece is None else piece.position


def _targets(targets: tuple[tree.Target, ...], place: _Place) -> None:
    for target in targets:
        _target(target, place)


def _target(target: tree.Target, place: _Place) -> None:
    first = target.path[0]
    if first.startswith("$") or (len(target.path) > 1 and any(label == first for label, _ in place.labels)):
        return
    if first not in place.names:
        raise _unknown(target)
    if place.names[first]:
        raise error_for("22005", f'variable "{first}" is declared CONSTANT', position=target.position)


def _loop_target(target: tree.Target, place: _Place) -> None:
    try:
        _target(target, place)
    except ProgrammingError:
        message = "loop variable of loop over rows must be a record variable or list of scalar variables"
        raise ProgrammingError(message, position=target.position) from None


def _unknown(target: tree.Target) -> DatabaseError:
    return ProgrammingError(f'"{".".join(target.path)}" is not a known variable', position=target.position)


def _leave(node: tree.Leave, place: _Place) -> None:
    word = "CONTINUE" if node.again else "EXIT"
    if node.label is None:
        if not any(loop for _, loop in place.labels):
            rest = "" if node.again else ", unless it has a label"
            raise ProgrammingError(f"{word} cannot be used outside a loop{rest}", position=node.position)
        return
    known = [loop for label, loop in place.labels if label == node.label]
    if not known:
        message = f'there is no label "{node.label}" attached to any block or loop enclosing this statement'
        raise ProgrammingError(message, position=node.position)
    if node.again and not known[-1]:
        message = f'block label "{node.label}" cannot be used in CONTINUE'
        raise ProgrammingError(message, position=node.position)
