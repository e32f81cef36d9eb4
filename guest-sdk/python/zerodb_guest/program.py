"""What stands between the world `guest` and a program's `run(arguments)`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

from componentize_py_types import Err

from zerodb_guest.errors import Error


def call_program(run: Callable[[list[str]], Any], arguments: list[str]) -> str:
    """The program's text. An exception is its error: the message goes to the caller, the trace to standard error."""
    try:
        text = run(arguments)
    except Err:
        raise
    except SystemExit as end:
        if end.code in (None, 0):
            return ""
        raise Err(f"exit status {end.code}" if isinstance(end.code, int) else str(end.code)) from None
    except Exception as error:
        print(traceback.format_exc(), file=sys.stderr)
        raise Err(str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}") from None
    return "" if text is None else str(text)


def warm_up() -> None:
    """Printing a trace imports modules, which is possible only while the component is built."""
    try:
        raise ValueError("warm up")
    except ValueError:
        traceback.format_exc()


warm_up()
