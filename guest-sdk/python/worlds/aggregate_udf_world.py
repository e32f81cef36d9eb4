"""The world `aggregate-udf` for the aggregates that the module `app` decorates."""

from typing import Any

import app  # type: ignore[import-not-found]  # noqa: F401
from wit_world import exports
from wit_world.exports import aggregate_functions

from zerodb_guest import functions


class States(aggregate_functions.States):
    def __init__(self, states: functions.States) -> None:
        self._states = states

    def update(self, group_count: int, groups: list[int], arguments: Any) -> None:
        self._states.update(group_count, groups, arguments)

    def finish(self) -> Any:
        return self._states.finish()


class AggregateFunctions(exports.AggregateFunctions):
    def describe(self) -> list[Any]:
        return functions.describe("aggregate")

    def start(self, name: str) -> States:
        return States(functions.start(name))
