"""Random window functions whose results do not depend on the order of peers."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.differential.searching.expressions import ORDERED_TYPES, WITHOUT_LEAST, Expressions, Scope
from tests.differential.searching.tree import Node, node


def window(made: Expressions, type_: str, scope: Scope) -> Node:
    """A window function whose result does not depend on the order of peers."""
    r = made.r
    partition = node("clause", "partition by {} ", made.leaf(made.comparable_type(scope), scope), optional=True)
    direction = r.choice(("", " desc", " nulls first", " desc nulls last"))
    first = made.leaf(made.comparable_type(scope), scope)
    total = ", ".join(scope.keys)
    order = node("clause", f"order by {{}}{direction}, {total}", first) if total else None
    peers = node("clause", f"order by {{}}{direction}", first)
    offset = r.choice(("1", "2", "0"))
    value = made.expression(type_, scope, 1)
    options: list[Callable[[], Node]] = []
    over_total = "over ({}{}{})"
    frame = Node("clause", [_frame(r)], True)
    if r.random() < 0.2 and (distance := _distance(r, scope)) is not None:
        call = r.choice(("count(*)", "first_value({})", "max({})", "min({})"))
        if call == "count(*)" and type_ == "big":
            return node("big", "count(*) over ({}{})", partition, distance)
        if call != "count(*)" and type_ in ORDERED_TYPES and type_ not in WITHOUT_LEAST and call[0] == "m":
            return node(type_, f"{call} over ({{}}{{}})", value, partition, distance)
    if order is not None:
        for name in ("lag", "lead"):
            options.append(
                lambda name=name: node(type_, f"{name}({{}}, {offset}) over ({{}}{{}})", value, partition, order)
            )
        for call in ("first_value({})", "last_value({})", "nth_value({}, 2)"):
            options.append(lambda call=call: node(type_, f"{call} {over_total}", value, partition, order, frame))
    if type_ == "big":
        for name in ("rank()", "dense_rank()"):
            options.append(lambda name=name: node("big", f"{name} over ({{}}{{}})", partition, peers))
        if order is not None:
            options.append(lambda: node("big", "row_number() over ({}{})", partition, order))
            options.append(lambda: node("big", f"count(*) {over_total}", partition, order, frame))
            options.append(
                lambda: node("big", f"sum({{}}) {over_total}", made.leaf("int", scope), partition, order, frame)
            )
        options.append(lambda: node("big", "sum({}) over ({}{})", made.leaf("int", scope), partition, peers))
        options.append(lambda: node("big", "count({}) over ({})", value, partition))
    if type_ == "dbl":
        for name in ("percent_rank()", "cume_dist()"):
            options.append(lambda name=name: node("dbl", f"{name} over ({{}}{{}})", partition, peers))
    if type_ == "int" and order is not None:
        options.append(lambda: node("int", f"ntile({r.randint(1, 4)}) over ({{}}{{}})", partition, order))
    if type_ in ORDERED_TYPES and type_ not in WITHOUT_LEAST:
        call = r.choice(("min", "max"))
        options.append(lambda: node(type_, f"{call}({{}}) over ({{}}{{}})", value, partition, peers))
    return r.choice(options)() if options else made.leaf(type_, scope)


def _distance(r: random.Random, scope: Scope) -> Node | None:
    """An order and a frame of values at a distance."""
    distances = {
        "int": ("1", "0", "5"), "small": ("1", "3"), "big": ("2", "10"), "num": ("0.5", "2"), "dbl": ("1.5", "0"),
        "date": ("interval '1 day'", "interval '1 month'"), "ts": ("interval '1 year'", "interval '2 hours'"),
        "tstz": ("interval '1 day'",), "time": ("interval '1 hour'",), "ivl": ("interval '1 day'",),
    }  # fmt: skip
    fitting = [ref for ref in scope.refs if ref.type in distances and not ref.extremes]
    if not fitting:
        return None
    ref = r.choice(fitting)
    near, far = r.choice(distances[ref.type]), r.choice(distances[ref.type])
    bounds = r.choice((f"{near} preceding and {far} following", f"{near} preceding and current row",
                       f"unbounded preceding and {far} following", f"current row and {far} following"))  # fmt: skip
    exclude = r.choice(("", "", " exclude current row", " exclude ties", " exclude group"))
    return Node("clause", [f"order by {ref.text}{r.choice(('', ' desc'))} range between {bounds}{exclude}"])


def _frame(r: random.Random) -> str:
    starts = ("unbounded preceding", "2 preceding", "1 preceding", "current row", "1 following")
    ends = ("1 preceding", "current row", "1 following", "2 following", "unbounded following")
    mode = r.choice(("rows", "rows", "groups", "range"))
    if mode == "range":
        starts, ends = ("unbounded preceding", "current row"), ("current row", "unbounded following")
    start, end = r.choice(starts), r.choice(ends)
    if (start == "1 following" and end in ("1 preceding", "current row")) or (
        start == "current row" and end == "1 preceding"
    ):
        end = "unbounded following"
    exclude = r.choice(("", "", "", " exclude current row", " exclude ties", " exclude group"))
    return f" {mode} between {start} and {end}{exclude}"
