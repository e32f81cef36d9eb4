"""TABLESAMPLE: a filter right above a table's scan, on a random number for each row.

SYSTEM takes rows as BERNOULLI does: each row with the probability that is asked for. With REPEATABLE the number is a
hash of the row's id and the seed, so that the same rows are taken as long as the table does not change.
"""

from __future__ import annotations

import itertools
import math
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError, error_for
from zerodb_compiler.plan.logical import Filter, LogicalPlan, Scan
from zerodb_compiler.sql.binder_expressions import ExpressionBinder
from zerodb_compiler.sql.expressions import ColumnRef, Literal
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.sql.scope import Scope
from zerodb_compiler.types import BIGINT, BOOLEAN, DOUBLE, INTEGER

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder

_calls = itertools.count(1)


def sampled(binder: Binder, scan: Scan, node: exp.TableSample) -> LogicalPlan:
    """The rows of the scan that the clause takes. 42704 for an unknown method, 2202H for a wrong percentage."""
    only(node, "method", "percent", "size", "seed")
    method = str(node.args["method"].this).lower() if node.args.get("method") is not None else ""
    if method not in ("bernoulli", "system"):
        raise ProgrammingError(
            f"tablesample method {method} does not exist", sqlstate="42704", position=position_of(node)
        )
    b = ExpressionBinder(binder, Scope(), "TABLESAMPLE", lifting=False)
    percent = _number(b, node.args.get("percent") or node.args.get("size"), node, "2202H", "parameter")
    if not 0 <= percent <= 100:
        raise error_for("2202H", "sample percentage must be between 0 and 100", position=position_of(node))
    seed = node.args.get("seed")
    if seed is None:
        drawn = b.call("random", (Literal(next(_calls), INTEGER),), DOUBLE, node)
    else:
        number = _number(b, seed, node, "2202G", "REPEATABLE parameter")
        (bits,) = struct.unpack("<q", struct.pack("<d", number + 0.0))
        if scan.row_id is None:
            scan = replace(scan, row_id=binder.column("row_id", BIGINT, False))
        assert scan.row_id is not None
        drawn = b.call("sample_number", (ColumnRef(scan.row_id), Literal(bits, BIGINT)), DOUBLE, node)
    return Filter(scan, b.call("lt", (drawn, Literal(percent / 100, DOUBLE)), BOOLEAN, node))


def _number(b: ExpressionBinder, given: exp.Expr | None, node: exp.Expr, sqlstate: str, what: str) -> float:
    if given is None:
        raise ProgrammingError("syntax error in TABLESAMPLE", position=position_of(node))
    value = b.bound(given)
    if not isinstance(value, Constant):
        raise unsupported("TABLESAMPLE with what is not a constant", given, node)
    b.finish(value)  # the literal decides which rows: it is baked
    if value.value is None:
        raise error_for(sqlstate, f"TABLESAMPLE {what} cannot be null", position=position_of(node))
    number = value.value
    if isinstance(number, int) and value.type.is_exact:
        number = number / 10**value.type.scale
    try:
        number = float(number)
    except ValueError:
        raise error_for("22P02", "invalid input syntax for type double precision", position=position_of(node)) from None
    if math.isnan(number):
        raise error_for(sqlstate, f"TABLESAMPLE {what} must be a number", position=position_of(node))
    return number
