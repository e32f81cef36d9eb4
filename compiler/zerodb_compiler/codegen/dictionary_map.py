"""Conditions on a dictionary column, evaluated once per string of the dictionary instead of once per row.

Before the pipeline starts, a byte map from codes to 0 (false), 1 (true) or 2 (NULL, by a NULL constant) is filled; a
row looks its code up. That turns `p_type like 'PROMO%'` into one byte load, wherever in the pipeline it stands.

A dictionary may hold strings that no row has any more, or only rows that another condition takes out. So a condition
that some string could make fail (a cast, a division, a negative length) is left to the rows.
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.context import Context, Emitter
from zerodb_compiler.codegen.sqlvalues import Bool, Code, Dictionary
from zerodb_compiler.kernels import memory
from zerodb_compiler.sql.expressions import Call, Column, ColumnRef, Expression, Literal, Parameter, columns_of, walk
from zerodb_compiler.sql.functions import COMPARISONS
from zerodb_compiler.wasm.values import I32

# Calls that no string can make fail. What is wrong with a constant pattern of LIKE is wrong for every row.
_NEVER_FAIL = frozenset(
    {
        *("and", "or", "not", "in", "like", "not_like", "ilike", "starts_with", "contains"),
        *("lower", "upper", "trim", "ltrim", "rtrim", "length", "octet_length", "left", "right", "strpos", "replace"),
        "concat",
        *COMPARISONS,
    }
)
_REGEXES = frozenset({"regexp_like", "regexp_ilike", "similar_to"})  # constant ones are compiled beforehand
_PATTERNS = frozenset({"like", "not_like", "ilike"})


def _never_fails(call: Call) -> bool:
    constants = [isinstance(argument, Literal | Parameter) for argument in call.arguments]
    if call.function == "substring":
        count = call.arguments[2] if len(call.arguments) == 3 else Literal(0, call.type)
        return isinstance(count, Literal) and isinstance(count.value, int) and count.value >= 0
    if call.function in _REGEXES:
        return all(isinstance(argument, Literal) for argument in call.arguments[1:])
    if call.function in _PATTERNS:
        return all(constants[1:])
    return call.function in _NEVER_FAIL


def mappable(predicate: Expression) -> Column | None:
    """The only column that a condition reads, if a map pays and is right: the condition is built from strict calls and
    AND, OR, NOT (so that a NULL of the column can be left to the row), none of which can fail, and is more than a
    comparison of codes."""
    if not isinstance(predicate, Call):
        return None
    match predicate:
        case Call(function="eq" | "ne", arguments=(ColumnRef(), Literal() | Parameter())):
            return None
        case Call(function="in", arguments=arguments):
            if all(isinstance(item, Literal | Parameter) for item in arguments[1:]) and len(arguments) <= 4:
                return None
    for node in walk(predicate):
        if not isinstance(node, Call | ColumnRef | Literal | Parameter):
            return None
        if isinstance(node, Call) and not _never_fails(node):
            return None
    columns = columns_of(predicate)
    return next(iter(columns)) if len(columns) == 1 else None


def define_map(context: Context, predicate: Expression, column: Column, dictionary: Dictionary) -> DictionaryMap:
    """Reserves the map's place; `fill` must run before the pipeline."""
    return DictionaryMap(predicate, column, dictionary, context.query.reserve(4, 4))


class DictionaryMap:
    """One condition's map; `field` is the query field of its address."""

    def __init__(self, predicate: Expression, column: Column, dictionary: Dictionary, field: int) -> None:
        self._predicate, self._column, self._dictionary, self.field = predicate, column, dictionary, field

    def fill(self, e: Emitter) -> None:
        """Code that makes the map: for the start function of the pipeline."""
        from zerodb_compiler.codegen.expressions import evaluate

        f = e.f
        f.comment(f"evaluate a condition for every string of {self._column.name}'s dictionary")
        size = f.let(e.query_i32(self._dictionary.slot + abi.DICTIONARY_SIZE), "size")
        map_ = f.let(f.call(e.context.kernel(memory.arena_allocate), e.worker, size + 16), "map")
        e.fail_if(map_.is_zero(), abi.STATUS_OUT_OF_MEMORY)
        code = f.local(I32, "code")
        code.set(I32.const(0))
        with f.count_up(code, size):
            result = evaluate(e, self._predicate, {self._column.id: Code(code, self._dictionary)})
            assert isinstance(result, Bool)
            null = I32.const(0) if result.null is None else result.null
            f.store("i32.store8", map_ + code, result.value | (null << 1))
        e.set_query_i32(self.field, map_)
