"""SEARCH and CYCLE of recursive queries: more columns for the recursion, as PostgreSQL's rewriter makes them.

    base   select *, row(0, a, b) as seq, false as is_cycle, array[row(a)] as path from (base)
    step   select *, row(depth + 1, a, b), row(a) = any(path), path || row(a) from (step) where not is_cycle

SEARCH DEPTH FIRST collects rows in an array, BREADTH FIRST puts the depth first. The step's own query gives the columns
of the row it comes from through a relation of a hidden name, so that its * does not see them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from zerodb_compiler.errors import NotSupportedError, ProgrammingError
from zerodb_compiler.sql.nodes import fold, position_of
from zerodb_compiler.sql.syntax_tokens import CLAUSES_MARK

HIDDEN = CLAUSES_MARK + "from"


@dataclass(frozen=True, slots=True)
class Clauses:
    """`values` are the mark and the default as SQL, `columns` the names that the clauses add."""

    search: tuple[str, tuple[str, ...], str] | None
    cycle: tuple[tuple[str, ...], str, str] | None
    values: tuple[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*((self.search[2],) if self.search else ()), *(self.cycle[1:] if self.cycle else ()))


def clauses_of(columns: tuple[exp.Expr, ...]) -> tuple[Clauses | None, tuple[exp.Expr, ...]]:
    """The clauses that travel as a first column name (syntax_tokens), and the columns without it."""
    if not columns or not str(columns[0].this).startswith(CLAUSES_MARK):
        return None, columns
    found: dict[str, Any] = json.loads(str(columns[0].this)[len(CLAUSES_MARK) :])
    search = cycle = None
    values = ("true", "false")
    if "search" in found:
        kind, names, column = found["search"]
        search = kind, tuple(names), column
    if "cycle" in found:
        names, column, path, given = found["cycle"]
        cycle = tuple(names), column, path
        if given is not None:
            values = _literal(*given[0]), _literal(*given[1])
    return Clauses(search, cycle, values), columns[1:]


def check(clauses: Clauses, names: tuple[str, ...], table: str, query: exp.Expr) -> None:
    """The rules for the clauses' names (42601) and for the query's form (0A000)."""
    position = position_of(query)
    for clause, listed in (("search", clauses.search), ("cycle", clauses.cycle)):
        if listed is None:
            continue
        columns = listed[1] if clause == "search" else listed[0]
        for i, column in enumerate(columns):
            if column not in names:
                raise ProgrammingError(f'{clause} column "{column}" not in WITH query column list', position=position)
            if column in columns[:i]:
                raise ProgrammingError(
                    f'{clause} column "{column}" specified more than once', sqlstate="42701", position=position
                )
    added = clauses.columns
    for i, column in enumerate(added):
        if column in names:
            raise ProgrammingError(f'column name "{column}" already used in WITH query column list', position=position)
        if column in added[:i]:
            raise ProgrammingError(f'column name "{column}" is used more than once', position=position)
    step = query.expression if isinstance(query, exp.Union) else None
    if not isinstance(step, exp.Select):
        raise NotSupportedError(
            "with a SEARCH or CYCLE clause, the right side of the UNION must be a SELECT", position=position
        )
    if table not in _tables(step):
        raise NotSupportedError(
            f'with a SEARCH or CYCLE clause, the recursive reference to WITH query "{table}" must be at the top level '
            "of its right-hand SELECT",
            position=position,
        )


def _tables(step: exp.Select) -> set[str]:
    from_ = step.args.get("from_")
    items = [from_.this, *(join.this for join in step.args.get("joins") or [])] if from_ is not None else []
    return {fold(item.this) for item in items if isinstance(item, exp.Table) and isinstance(item.this, exp.Identifier)}


def base_of(clauses: Clauses, base: exp.Expr, names: tuple[str, ...]) -> exp.Expr:
    """The base with the clauses' columns."""
    mark, default = clauses.values
    added: list[str] = []
    if clauses.search is not None:
        kind, columns, column = clauses.search
        start = f"array[row({_listed(columns)})]" if kind == "depth" else f"row(0::bigint, {_listed(columns)})"
        added.append(f"{start} as {_quoted(column)}")
    if clauses.cycle is not None:
        columns, column, path = clauses.cycle
        added.append(f"case when false then {mark} else {default} end as {_quoted(column)}")
        added.append(f"array[row({_listed(columns)})] as {_quoted(path)}")
    return _select(["q.*", *added], base, names, "")


def step_of(clauses: Clauses, step: exp.Select, names: tuple[str, ...]) -> exp.Expr:
    """The step with the clauses' columns, of rows that close no cycle."""
    mark, default = clauses.values
    inner = step.copy()
    hidden = clauses.columns
    for column in hidden:
        inner.append("expressions", exp.column(exp.to_identifier(column, True), exp.to_identifier(HIDDEN, True)))
    added = [f"q.{_quoted(name)}" for name in names]
    where = ""
    if clauses.search is not None:
        kind, columns, column = clauses.search
        before = f"q.{_quoted(column)}"
        row = f"row({_listed(columns)})" if kind == "depth" else f"row(({before}).f1 + 1, {_listed(columns)})"
        added.append(f"{before} || {row} as {_quoted(column)}" if kind == "depth" else f"{row} as {_quoted(column)}")
    if clauses.cycle is not None:
        columns, column, path = clauses.cycle
        seen = f"row({_listed(columns)}) = any(q.{_quoted(path)})"
        added.append(f"case when {seen} then {mark} else {default} end as {_quoted(column)}")
        added.append(f"q.{_quoted(path)} || row({_listed(columns)}) as {_quoted(path)}")
        where = f" where q.{_quoted(column)} <> {mark}"
    return _select(added, inner, (*names, *hidden), where)


def _select(items: list[str], query: exp.Expr, names: tuple[str, ...], where: str) -> exp.Expr:
    """SELECT items FROM (query) AS q (names)."""
    from zerodb_compiler.sql.dialect import parse_tokens, tokenize

    text = f"select {', '.join(items)} from (select 1) as q ({', '.join(map(_quoted, names))}){where}"
    tree = parse_tokens(tokenize(text)[0].tokens, text)
    for node in tree.walk():  # their places are none of the user's text
        node._meta = None
    source = tree.args["from_"].this
    source.set("this", query.copy())
    return tree


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _listed(columns: tuple[str, ...]) -> str:
    return ", ".join(f"q.{_quoted(column)}" for column in columns)


def _literal(kind: str, text: str) -> str:
    return "'" + text.replace("'", "''") + "'" if kind == "string" else text
