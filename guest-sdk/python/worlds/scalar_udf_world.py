"""The world `scalar-udf` for the functions that the module `app` decorates."""

from typing import Any

import app  # type: ignore[import-not-found]  # noqa: F401
from wit_world import exports

from zerodb_guest import functions


class ScalarFunctions(exports.ScalarFunctions):
    def describe(self) -> list[Any]:
        return functions.describe("scalar")

    def call(self, name: str, arguments: Any) -> Any:
        return functions.call_scalar(name, arguments)
