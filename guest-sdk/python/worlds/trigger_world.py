"""The world `trigger` for the functions that the module `app` decorates."""

from typing import Any

import app  # type: ignore[import-not-found]  # noqa: F401
from wit_world import exports
from wit_world.exports import trigger_functions

from zerodb_guest import triggers


class TriggerFunctions(exports.TriggerFunctions):
    def call(self, event: Any) -> Any:
        return triggers.call_trigger(event, trigger_functions)
