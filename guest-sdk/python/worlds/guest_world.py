"""The world `guest` for a program whose module is `app`, with `def run(arguments)`."""

import app  # type: ignore[import-not-found]
import wit_world

# A component has no files: what is imported when it runs must have been imported before.
from wit_world.imports import kv, query, transaction  # noqa: F401

import zerodb_guest.connection
import zerodb_guest.program


class WitWorld(wit_world.WitWorld):
    def run(self, arguments: list[str]) -> str:
        return zerodb_guest.program.call_program(app.run, arguments)
