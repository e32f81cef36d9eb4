"""What a run of a PL/pgSQL body works with (plpgsql_run.py): the body, with its statements compiled once, and the rows
that it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from zerodb.functions.canonical import assigned
from zerodb.functions.nested import Statement, Variable
from zerodb.functions.plpgsql_names import Row
from zerodb_compiler.errors import error_for
from zerodb_compiler.plpgsql import tree
from zerodb_compiler.plpgsql.parser import parse_body
from zerodb_compiler.sql.values import Value
from zerodb_compiler.types import SqlType

MAX_DYNAMIC = 256


@dataclass(slots=True)
class Rows:
    """The rows that a table function gives. `variables` are those that RETURN NEXT without a value gives."""

    types: Sequence[SqlType]
    variables: Sequence[Variable]
    rows: list[list[Value]] = field(default_factory=list)

    def add(self, row: Row) -> None:
        if len(row) != len(self.types):
            message = "structure of query does not match function result type"
            hint = f"Number of returned columns ({len(row)}) does not match expected column count ({len(self.types)})."
            raise error_for("42804", message, hint=hint)
        self.rows.append([assigned(value, type_, to) for (_, type_, value), to in zip(row, self.types, strict=True)])


class Routine:
    """A body, and its compiled statements."""

    def __init__(self, name: str, shown: str, text: str) -> None:
        """`shown` is how contexts of errors name it: function f(integer)."""
        self.name, self.shown = name, shown
        self.block = parse_body(text)
        self._statements: dict[int, Statement] = {}  # by identity of the tree's Sql, which the block holds
        self._dynamic: dict[str, Statement] = {}

    def statement(self, sql: tree.Sql) -> Statement:
        found = self._statements.get(id(sql))
        if found is None:
            found = self._statements[id(sql)] = Statement(sql.text)
        return found

    def dynamic(self, text: str) -> Statement:
        """The statement of an EXECUTE."""
        found = self._dynamic.get(text)
        if found is None:
            if len(self._dynamic) >= MAX_DYNAMIC:
                self._dynamic.clear()
            found = self._dynamic[text] = Statement(text)
        return found
