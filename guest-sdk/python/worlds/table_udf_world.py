"""The world `table-udf` for the functions that the module `app` decorates."""

from typing import Any

import app  # type: ignore[import-not-found]  # noqa: F401
from wit_world import exports
from wit_world.exports import table_functions

from zerodb_guest import functions


class Rows(table_functions.Rows):
    def __init__(self, rows: functions.Rows) -> None:
        self._rows = rows

    def next_batch(self, max_rows: int) -> Any:
        return self._rows.next_batch(max_rows)


class TableFunctions(exports.TableFunctions):
    def describe(self) -> list[Any]:
        return functions.describe("table")

    def call(self, name: str, arguments: list[Any]) -> Rows:
        return Rows(functions.call_table(name, arguments))
