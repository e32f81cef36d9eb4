"""Random aggregates of a wanted type. Sums of floats stay out: they depend on order."""

from __future__ import annotations

from tests.differential.searching.expressions import ORDERED_TYPES, WITHOUT_LEAST, Expressions, Scope
from tests.differential.searching.schema import ALL_TYPES
from tests.differential.searching.tree import Node, node

Template = tuple[str, tuple[str, ...]]

# By result: template, and arguments as "type depth", "+type depth" for safe ones. The type may be "self" (that of the
# result), "some" (any with an order) or "flat" (any of these but arrays: those of other dimensions are an error, which
# an engine may or may not come to). "constant" is one of integers, "same" the argument before once more.
_AGGREGATES: dict[str, list[Template]] = {
    "big": [
        ("count(*)", ()),
        ("count(=distinct{})", ("some 1",)),
        ("sum(=distinct{})", ("int 1",)),
        ("sum(=distinct{})", ("small 1",)),
        ("rank({}) within group (order by {})", ("constant", "int 0")),
        ("cast(cardinality(array_agg({})) as bigint)", ("flat 0",)),
        ("regr_count({}, {})", ("dbl 0", "dbl 0")),
    ],
    "num": [
        ("cast(sum(=distinct{}) as numeric(12,2))", ("+num 1",)),
        ("cast(avg(=distinct{}) as numeric(12,2))", ("+int 1",)),
        ("cast(var_pop({}) as numeric(12,2))", ("+int 0",)),
        ("cast(stddev({}) as numeric(12,2))", ("+int 0",)),
        ("cast(avg(=distinct{}) as numeric(12,2))", ("+big 0",)),
    ],
    "bool": [("=every({})", ("bool 1",))],
    "txt": [("string_agg({}, ',' order by {})", ("txt 0", "same")), ("=least({})", ("txt 1",))],
    "dbl": [
        ("=least({})", ("dbl 0",)),
        ("regr_count({}, {}) + 0.5::float8", ("dbl 0", "dbl 0")),
        ("cume_dist(1) within group (order by {})", ("int 0",)),
        ("percentile_cont(0.5) within group (order by {})", ("int 0",)),
    ],
}
_LEAST: Template = ("=least({})", ("self 1",))
_OF_ANY: list[Template] = [
    ("percentile_disc(0.5) within group (order by {})", ("self 0",)),
    ("mode() within group (order by {})", ("self 0",)),
]
_MORE: dict[str, Template] = {
    "ints": ("array_agg(=distinct{0} order by {0})", ("int 0",)),
    "txts": ("array_agg(=distinctcast({0} as text) order by cast({0} as text))", ("txt 0",)),
    "jsonb": ("jsonb_agg({0} order by {0})", ("int 0",)),
    "ivl": ("=total({})", ("ivl 0",)),
}


def aggregate(expressions: Expressions, type_: str, scope: Scope) -> Node:
    """An aggregate of the type, over arguments without aggregates."""
    r = expressions.r
    plain = Scope(scope.refs, scope.outer if r.random() < 0.5 else ())
    words = {
        "distinct": "distinct " if r.random() < 0.2 else "",
        "every": r.choice(("bool_and", "bool_or", "every")),
        "least": r.choice(("min", "max")),
        "total": r.choice(("sum", "avg")),
    }
    options = _options(type_)
    weights = [4, *([1] * (len(options) - 1))] if type_ not in ("big", "num") else [1] * len(options)
    template, arguments = r.choices(options, weights)[0]
    for word, chosen in words.items():
        template = template.replace(f"={word}", chosen)
    children: list[Node] = []
    for argument in arguments:
        children.append(children[-1] if argument == "same" else _argument(expressions, argument, type_, plain))
    if "{0}" in template:  # several times: it is to stay the same when it is made smaller
        found = Node(type_, [template.format(*map(str, children))])
    else:
        found = node(type_, template, *children)
    if r.random() < 0.15 and not str(found).startswith(("cast", "null")):
        return node(type_, "{} filter (where {})", found, expressions.predicate(plain, 0))
    return found


def _options(type_: str) -> list[Template]:
    if type_ in _AGGREGATES:
        return _AGGREGATES[type_]
    if type_ not in ORDERED_TYPES:
        options: list[Template] = [(f"cast(max(cast(null as text)) as {ALL_TYPES[type_]})", ())]
    elif type_ in WITHOUT_LEAST:
        options = list(_OF_ANY)
    else:
        options = [_LEAST, *_OF_ANY]
    return [*options, _MORE[type_]] if type_ in _MORE else options


def _argument(expressions: Expressions, argument: str, type_: str, scope: Scope) -> Node:
    if argument == "constant":
        return expressions.constant("int")
    name, depth = argument.lstrip("+").split()
    if name == "self":
        name = type_
    elif name in ("some", "flat"):
        name = expressions.r.choice([known for known in expressions.types if known in ORDERED_TYPES])
        if argument.startswith("flat") and name in ("ints", "txts"):
            name = "int"
    return expressions.expression(name, scope, int(depth), argument.startswith("+"))
