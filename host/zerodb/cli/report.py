"""How the command line tells an error: one line with the SQLSTATE, then the SQL with a caret under the place."""

from __future__ import annotations

from zerodb_compiler.errors import Error

_WIDTH_MAX = 160


def error_text(error: Error, sql: str | None, source: str | None = None) -> str:
    """`ERROR 42703: column "x" does not exist (did you mean ...?)` and the place, if it is known."""
    message = " ".join(str(error).split())
    where = ""
    place = ""
    if sql is not None and error.position is not None and 0 <= error.position <= len(sql):
        line, column = line_and_column(sql, error.position)
        where = f"{source}:{line}:{column}: " if source else ""
        place = "\n" + caret(sql, error.position)
    if error.detail:
        place += f"\nDETAIL:  {error.detail}"
    if error.context:
        place += f"\nCONTEXT:  {error.context}"
    return f"{where}ERROR {error.sqlstate}: {message}{place}"


def line_and_column(text: str, position: int) -> tuple[int, int]:
    """Both counted from one."""
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def caret(text: str, position: int) -> str:
    """The line that holds `position`, and a caret under it; long lines are cut around the place."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start : end if end >= 0 else len(text)].replace("\t", " ").rstrip("\r")
    column = position - start
    if len(line) > _WIDTH_MAX:
        cut = max(0, column - _WIDTH_MAX // 2)
        line, column = line[cut : cut + _WIDTH_MAX], column - cut
    return f"{line}\n{' ' * column}^"
