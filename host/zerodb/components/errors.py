"""Errors across the border of a guest.

Outwards: whatever a host function meets becomes WIT's record `error`, and the guest goes on; nothing else leaves a host
function. Inwards: what ends a guest becomes a zerodb error:

    38000   the guest's `run` answered with an error: its text is the message
    39000   the guest trapped: out-of-bounds access, division by zero, unreachable code, too deep recursion, a handle
            that is not there
    57014   it ran longer than its timeout, or was interrupted
    53200   it wanted more memory than its limit allows
    53400   its fuel is used up
    55006   it was called while it runs
    22P03   the file is no component, or not one of the kind asked for
"""

from __future__ import annotations

import re

from zerodb_compiler.errors import DatabaseError, Error, error_for


def record(error: BaseException) -> dict[str, object]:
    """WIT's error record for an exception of a host function."""
    match error:
        case Error():
            position = error.position
            return {
                "sqlstate": error.sqlstate,
                "message": error.message,
                "hint": error.hint,
                "position": None if position is None else position + 1,
                "retryable": error.retryable,
            }
        case UnicodeError():
            return _plain("22021", f"not valid text: {error}")
        case MemoryError():
            return _plain("53200", "out of memory")
        case RecursionError():
            return _plain("54001", "the statement is nested too deeply")
    text = f"internal error: {type(error).__name__}: {error}".splitlines()[0]
    return _plain("XX000", text)


def _plain(sqlstate: str, message: str) -> dict[str, object]:
    return {"sqlstate": sqlstate, "message": message, "hint": None, "position": None, "retryable": False}


_EXHAUSTED = "call stack exhausted"


def trap_error(text: str, name: str, used: int = 0, limit: int = 0, words: str | None = None) -> DatabaseError:
    """The error for wasmtime's text about a call that failed. A guest that gave up when `used` bytes of its memory's
    `limit` were more than half wanted, as far as can be known, memory that it did not get. `words` are its last."""
    cause = text.split("Caused by:")[-1].strip()
    reason = re.search(r"wasm trap: (.*)", cause)
    said = reason[1] if reason else next((line.strip() for line in cause.splitlines() if line.strip()), "unknown")
    said = re.sub(r"^\d+: ", "", said)
    if "memory minimum size" in text or "forcing trap when growing memory" in text:
        return error_for("53200", f'guest "{name}" needs more memory than its limit allows', hint="raise memory_limit")
    if not reason and re.search(r"matching implementation|(?<!with the )wrong type|not found in the linker", text):
        return error_for("22P03", f'"{name}" cannot be linked: {text.splitlines()[0]}', hint=_cause(text))
    if used * 2 > limit > 0:
        said = f"with {used >> 20} MB of the {limit >> 20} MB of memory that it may have"
        return error_for("53200", f'guest "{name}" gave up {said}', hint="raise memory_limit")
    if "all fuel consumed" in text:
        return error_for("53400", f'guest "{name}" has used up its fuel')
    if _EXHAUSTED in said:
        return error_for("39000", f'guest "{name}" trapped: {said}', hint="its recursion is too deep")
    hint = _trace(text) if words is None else f"it said: {words}"
    return error_for("39000", f'guest "{name}" trapped: {said}', hint=hint)


def _cause(text: str) -> str | None:
    """The last reason that wasmtime gives."""
    found = re.findall(r"^\s+\d+: (.+)$", text, re.MULTILINE)
    return found[-1] if found else None


def _trace(text: str) -> str | None:
    """The functions on the guest's stack, innermost first, where the component has their names."""
    frames = re.findall(r"^\s*\d+:\s+0x[0-9a-f]+ - (?:\S*!)?(.+)$", text, re.MULTILINE)
    named = [frame.strip() for frame in frames if "<wasm function" not in frame][:4]
    return f"in {' < '.join(named)}" if named else None
