"""Small helpers over sqlglot's AST: places in the text, names, and the check that nothing is silently ignored."""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp

from zerodb_compiler.errors import NotSupportedError, ProgrammingError

# Where a word begins in JSONExtract, TableSample, XMLTable.
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SAME_CASE = str.maketrans({chr(c): chr(c + 32) for c in range(ord("A"), ord("Z") + 1)})
_BEGIN = "zerodb.begin"  # in a node's meta: what position_of found


def position_of(node: Any) -> int | None:
    """The text offset where a node begins, as far as sqlglot kept it: the least offset of it and all in it. Kept with
    the node: each expression of a tree is asked, from the root or from the leaves."""
    if not isinstance(node, exp.Expr):
        return (
            min((found for item in node if (found := position_of(item)) is not None), default=None)
            if isinstance(node, list)
            else None
        )
    meta = node.meta
    if _BEGIN in meta:
        known: int | None = meta[_BEGIN]
        return known
    best: int | None = meta.get("start")
    stack = list(node.args.values())
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, exp.Expr):
            meta_of_item = item._meta
            if meta_of_item and _BEGIN in meta_of_item:
                start = meta_of_item[_BEGIN]
            else:
                start = meta_of_item.get("start") if meta_of_item else None
                stack.extend(item.args.values())
            if start is not None and (best is None or start < best):
                best = start
    meta[_BEGIN] = best
    return best


# Ends the name of a called function on its way through sqlglot, which then leaves the call as it is (dialect.py).
CALL_MARK = "\x03"


def unmarked(name: str) -> str:
    return name.removesuffix(CALL_MARK)


def fold(identifier: exp.Expr) -> str:
    """An identifier's name: folded to lower case (ASCII only, as PostgreSQL) unless quoted."""
    if not isinstance(identifier, exp.Expr):  # `from ..t`: sqlglot leaves out what is missing
        raise ProgrammingError("syntax error in a name")
    name = unmarked(str(identifier.this))
    return name if identifier.args.get("quoted") else name.translate(_SAME_CASE)


def only(node: exp.Expr, *handled: str) -> None:
    """NotSupportedError if the node carries anything beyond the arguments the caller handles."""
    for key, value in node.args.items():
        if key not in handled and value is not None and value is not False and value != []:
            raise unsupported(
                f"{describe(node)} with {_ARGUMENTS.get(key, key.strip('_').replace('_', ' '))}", value, node
            )


def unsupported(what: str, *places: Any) -> NotSupportedError:
    position = next((found for found in map(position_of, places) if found is not None), None)
    return NotSupportedError(f"{what} is not supported", position=position)


def describe(node: exp.Expr) -> str:
    """A node's class in words: TableSample -> TABLE SAMPLE."""
    return _WORD.sub(" ", type(node).__name__).upper()


_ARGUMENTS = {
    "properties": "TEMPORARY or other properties",
    "replace": "OR REPLACE",
    "windows": "WINDOW",
    "locks": "FOR UPDATE or FOR SHARE",
    "into": "INTO",
    "sample": "TABLESAMPLE",
    "laterals": "LATERAL",
    "qualify": "QUALIFY",
    "distribute": "DISTRIBUTE BY",
    "conflict": "ON CONFLICT",
    "returning": "RETURNING",
    "db": "a schema name",
    "catalog": "a catalog name",
    "rollup": "ROLLUP",
    "cube": "CUBE",
    "grouping_sets": "GROUPING SETS",
    "only": "ONLY",
    "ordinality": "ORDINALITY",
}
