"""From text to bound statements: the one entry the host needs besides the ShapeCache.

shape = shape_of(text);  hit = cache.lookup_shape(shape)
miss:  for parsed in parse(text): bound = bind_shape(parsed, catalog, shape)
       ... plan, compile ...;  cache.insert(bound, entry);  values = bound.values(shape)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zerodb_compiler.catalog import Catalog
from zerodb_compiler.sql.binder import Binder
from zerodb_compiler.sql.parameters import ParameterContext
from zerodb_compiler.sql.parse import ParsedStatement, parse
from zerodb_compiler.sql.shape import BoundShape, Shape, shape_of
from zerodb_compiler.sql.variables import Variables
from zerodb_compiler.types import SqlType

# A text of more literals (a long VALUES list) comes once: it is neither lifted nor cached.
MAX_LITERALS = 256

__all__ = ["analyze", "bind_shape", "parse", "shape_of"]


def analyze(text: str, catalog: Catalog) -> list[BoundShape]:
    """Bind all statements of a text against one catalog. Literals are lifted if the text is one statement."""
    parsed = parse(text)
    shape = shape_of(text) if len(parsed) == 1 else None
    return [bind_shape(statement, catalog, shape) for statement in parsed]


def bind_shape(
    parsed: ParsedStatement,
    catalog: Catalog,
    shape: Shape | None = None,
    user_types: Sequence[SqlType | None] = (),
    variables: Variables | None = None,
) -> BoundShape:
    """Bind one statement; with the shape of its text (of which it must be the only statement) literals are lifted.

    `user_types` are the types of user parameters where the caller knows them; others come from their context.
    `variables` are those of the function whose body the statement is in.
    """
    if shape is not None and len(shape.literals) > MAX_LITERALS:
        shape = None
    context = ParameterContext(parsed.parameters, shape.starts() if shape is not None else None, user_types)
    context.variables = variables
    binder = Binder(catalog, context)
    statement = binder.statement(parsed)
    lifted = tuple(context.lifted)
    baked: tuple[tuple[int, str], ...] = ()
    cacheable: Shape | None = None
    if shape is not None:
        free = {literal for parameter in lifted for literal in parameter.literals} - context.baked
        baked = tuple((i, text) for i, text in enumerate(shape.literals) if i not in free)
    bound = BoundShape(
        statement,
        lifted,
        baked,
        context.user_parameters(),
        tuple(binder.tables.values()),
        shape,
        binder.table_names(),
        tuple((*name, view) for name, view in binder.views_by_name.items()),
        tuple(binder.inlined.values()),
        tuple((*name, found) for name, found in binder.external.items()),
    )
    if shape is not None and not context.is_volatile and bound.values(shape) == context.samples:
        cacheable = shape
    return bound if cacheable is shape else replace(bound, shape=None)
