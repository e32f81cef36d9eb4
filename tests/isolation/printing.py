"""Results as PostgreSQL's isolation tester prints them: libpq's PQprint with headers, aligned.

    id|name
    --+----
     1|one
    (1 row)

A column is right-aligned if all its values look like numbers (PQprint's own idea of that: so is one without values).
"""

from __future__ import annotations

from collections.abc import Sequence

_NUMERIC = frozenset("0123456789.eE -")


def _is_number(value: str) -> bool:
    return set(value) <= _NUMERIC and value[0] not in "eE" and value[-1].isdigit()


def table_text(names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    """The printed table with its empty line; nothing for one without columns."""
    if not names:
        return ""
    columns = [[row[index] or "" for row in rows] for index in range(len(names))]
    widths = [max([len(name), *map(len, values)]) for name, values in zip(names, columns, strict=True)]
    right = [all(_is_number(value) for value in values if value) for values in columns]

    def line(values: Sequence[str]) -> str:
        cells = zip(values, widths, right, strict=True)
        return "|".join(f"{value:>{width}}" if number else f"{value:<{width}}" for value, width, number in cells)

    lines = [line(names), "+".join("-" * width for width in widths)]
    lines += [line(values) for values in zip(*columns, strict=True)]
    count = len(rows)
    return "\n".join([*lines, f"({count} row{'' if count == 1 else 's'})", "", ""])
