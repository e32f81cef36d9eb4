"""Operators: arithmetic, comparisons, logic, LIKE, BETWEEN, IN over lists, CASE.

The constant side of a comparison moves to the other side's type where that is exact, so that predicates arrive as
`column op constant` without a cast on the column: l_discount between 0.05 and 0.07 compares scaled integers.
"""

from __future__ import annotations

from sqlglot import exp

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.intervals import unpack
from zerodb_compiler.sql import coercion, collations
from zerodb_compiler.sql.binder_dates import DATED, date_arithmetic
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder, handles, no_operator, typed, united
from zerodb_compiler.sql.binder_structured import (
    OPERATORS,
    is_array_side,
    name_quantifier,
    quantified_array,
    structured_operator,
)
from zerodb_compiler.sql.expressions import Call, Case, Expression, Literal
from zerodb_compiler.sql.functions import SWAPPED
from zerodb_compiler.sql.nodes import only, position_of, unsupported
from zerodb_compiler.sql.parameters import Constant, UserValue, merged
from zerodb_compiler.sql.syntax_tokens import NORMALIZED
from zerodb_compiler.sql.values import round_shift
from zerodb_compiler.types import BIGINT, BOOLEAN, BYTEA, DOUBLE, INTEGER, INTERVAL, NULL, TEXT, SqlType, TypeId

_COMPARISONS: dict[type[exp.Expr], tuple[str, str]] = {
    exp.EQ: ("eq", "="),
    exp.NEQ: ("ne", "<>"),
    exp.LT: ("lt", "<"),
    exp.LTE: ("le", "<="),
    exp.GT: ("gt", ">"),
    exp.GTE: ("ge", ">="),
    exp.NullSafeEQ: ("is_not_distinct", "IS NOT DISTINCT FROM"),
    exp.NullSafeNEQ: ("is_distinct", "IS DISTINCT FROM"),
}
_ARITHMETIC: dict[type[exp.Expr], tuple[str, str]] = {
    exp.Add: ("add", "+"),
    exp.Sub: ("sub", "-"),
    exp.Mul: ("mul", "*"),
    exp.Div: ("div", "/"),
    exp.Mod: ("mod", "%"),
}


# ---- comparisons


@handles(*_COMPARISONS)
def _comparison(b: ExpressionBinder, node: exp.Binary) -> Bound:
    from zerodb_compiler.sql.binder_rows import quantified_query, row_comparison
    from zerodb_compiler.sql.binder_subqueries import quantified

    only(node, "this", "expression")
    function, symbol = _COMPARISONS[type(node)]
    name_quantifier(node)
    if quantified_query(node.expression) is not None:
        return quantified(b, node, function)
    if isinstance(node.expression, (exp.Any, exp.All)):
        if is_array_side(node.expression):
            return quantified_array(b, function, symbol, node)
        return quantified(b, node, function)
    rows = row_comparison(b, node, function)
    if rows is not None:
        return rows
    return compare(b, function, symbol, b.bound(node.this), b.bound(node.expression), node)


def compare(b: ExpressionBinder, function: str, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> Expression:
    """`left function right` with both sides in one type."""
    first, second = meet(b, symbol, left, right, node)
    if isinstance(left, Constant) and not isinstance(right, (Constant, UserValue)) and function in SWAPPED:
        function, first, second = SWAPPED[function], second, first
    return b.call(function, (first, second), BOOLEAN, node)


def meet(b: ExpressionBinder, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> tuple[Expression, Expression]:
    """Both values in the type they are compared in."""
    left_type, right_type = b.type_of(left), b.type_of(right)
    if isinstance(left, Constant) != isinstance(right, Constant) and TypeId.JSON not in (left_type.id, right_type.id):
        if isinstance(right, Constant):
            constant = comparable_constant(b, right, left_type)
            if constant is not None:
                return _operand(b, left, constant.type), b.finish(constant, lift=_can_lift(b, left))
        elif isinstance(left, Constant):
            constant = comparable_constant(b, left, right_type)
            if constant is not None:
                return b.finish(constant, lift=_can_lift(b, right)), _operand(b, right, constant.type)
    left, right = _without_blanks(left, right_type), _without_blanks(right, left_type)
    common = coercion.common_type(left_type, right_type)
    if common is None or common.id is TypeId.JSON:
        raise no_operator(symbol, left_type, right_type, node)
    lift = b.lifting and isinstance(left, Constant) != isinstance(right, Constant)
    if common.is_text or common.id is TypeId.NULL:
        return b.text(left, node, lift=lift), b.text(right, node, lift=lift)
    return b.cast(left, common, node, lift=lift), b.cast(right, common, node, lift=lift)


def _without_blanks(value: Bound, other: SqlType) -> Bound:
    """A string literal beside a constant of char(n) is one too: blanks at its end do not count."""
    if not (other.padded and isinstance(value, Constant) and value.type.id is TypeId.NULL):
        return value
    text = value.value.rstrip(" ") if isinstance(value.value, str) else value.value
    return Constant(TEXT, text, value.position, value.sources, None)


def _can_lift(b: ExpressionBinder, other: Bound) -> bool:
    return b.lifting and not isinstance(other, (Constant, UserValue))


def _operand(b: ExpressionBinder, value: Bound, type_: SqlType) -> Expression:
    """The non-constant side: text of any declared length compares as it is."""
    if isinstance(value, UserValue):
        return b.cast(value, type_)
    return b.finish(value)


def comparable_constant(b: ExpressionBinder, constant: Constant, other: SqlType) -> Constant | None:
    """The constant in the other side's type, if it is exactly representable there."""
    if other.id is TypeId.NULL:
        return None
    if constant.type.id is not TypeId.NULL and coercion.common_type(constant.type, other) is None:
        return None
    return b.convert_exactly(constant, coercion.bare(other))


@handles(exp.Between)
def _between(b: ExpressionBinder, node: exp.Between) -> Bound:
    only(node, "this", "low", "high", "symmetric")
    if node.args.get("symmetric"):
        return b.call("or", (_bounds(b, node, "low", "high"), _bounds(b, node, "high", "low")), BOOLEAN)
    return _bounds(b, node, "low", "high")


def _bounds(b: ExpressionBinder, node: exp.Between, least: str, greatest: str) -> Expression:
    value = b.bound(node.this)
    if isinstance(value, (Constant, UserValue)):
        # Bound twice: each bound may want the constant in another type.
        low = compare(b, "ge", ">=", value, b.bound(node.args[least]), node)
        high = compare(b, "le", "<=", value, b.bound(node.args[greatest]), node)
    else:
        value = b.finish(value)
        low = compare(b, "ge", ">=", value, b.bound(node.args[least]), node)
        high = compare(b, "le", "<=", value, b.bound(node.args[greatest]), node)
    return b.call("and", (low, high), BOOLEAN)


@handles(exp.In)
def _in(b: ExpressionBinder, node: exp.In) -> Bound:
    from zerodb_compiler.sql.binder_rows import row_in_list, row_items
    from zerodb_compiler.sql.binder_subqueries import in_subquery

    if node.args.get("query") is not None:
        return in_subquery(b, node)
    only(node, "this", "expressions")
    if len(node.expressions) == 1 and isinstance(node.expressions[0], (exp.Values, exp.Query)):
        return in_subquery(b, exp.In(this=node.this, query=node.expressions[0]))
    items = row_items(node.this)
    if items is not None and node.expressions:
        return row_in_list(b, items, node.expressions, node)
    if not node.expressions:
        raise ProgrammingError("syntax error: IN needs at least one value", position=position_of(node))
    value = b.bound(node.this)
    pairs = [meet(b, "=", value, b.bound(item), node) for item in node.expressions]
    first = pairs[0][0]
    if all(left == first for left, _ in pairs) and all(right.type == pairs[0][1].type for _, right in pairs):
        if len(pairs) == 1:
            return b.call("eq", pairs[0], BOOLEAN, node)
        return b.call("in", (first, *(right for _, right in pairs)), BOOLEAN, node)
    return b.call("or", tuple(b.call("eq", pair, BOOLEAN, node) for pair in pairs), BOOLEAN)


@handles(exp.Is)
def _is(b: ExpressionBinder, node: exp.Is) -> Bound:
    only(node, "this", "expression", "negate")
    from zerodb_compiler.sql.binder_rows import row_is_null, row_items

    negate = bool(node.args.get("negate"))
    items = row_items(node.this)
    if items is not None and isinstance(node.expression, exp.Null):
        return row_is_null(b, items, negate)
    value = b.expression(node.this)
    if isinstance(node.expression, exp.Column) and node.expression.name.startswith(NORMALIZED):
        from zerodb_compiler.sql.binder_encodings import normalized

        text = b.text(value, node)
        form = normalized(b, text, node.expression.name.removeprefix(NORMALIZED) or "nfc", node)
        same = b.call("eq", (form, text), BOOLEAN, node)
        return b.call("not", (same,), BOOLEAN) if negate else same
    if isinstance(node.expression, exp.Null) and value.type.id is TypeId.STRUCT:
        return b.call("record_is_not_null" if negate else "record_is_null", (value,), BOOLEAN, node)
    if isinstance(node.expression, exp.Null):
        return b.call("is_not_null" if negate else "is_null", (value,), BOOLEAN, node)
    if not isinstance(node.expression, exp.Boolean):
        raise unsupported("this form of IS", node)
    value = b.boolean(value, node, "argument of IS TRUE")
    result = b.call("is_true" if node.expression.this else "is_false", (value,), BOOLEAN, node)
    return b.call("not", (result,), BOOLEAN) if negate else result


# ---- logic


@handles(exp.And, exp.Or)
def _logic(b: ExpressionBinder, node: exp.Connector) -> Bound:
    """Chains are flattened: one call of many arguments, however long the chain."""
    kind = type(node)
    terms: list[exp.Expr] = []
    stack: list[exp.Expr] = [node]
    while stack:
        item = stack.pop()
        if type(item) is kind:
            only(item, "this", "expression")
            stack += [item.expression, item.this]
        elif type(item) is exp.Paren and type(item.this) is kind:
            stack.append(item.this)
        else:
            terms.append(item)
    name = "and" if kind is exp.And else "or"
    parts = tuple(b.boolean(b.bound(term), term, f"argument of {name.upper()}") for term in terms)
    return b.call(name, parts, BOOLEAN)


@handles(exp.Not)
def _not(b: ExpressionBinder, node: exp.Not) -> Bound:
    only(node, "this")
    return b.call("not", (b.boolean(b.bound(node.this), node, "argument of NOT"),), BOOLEAN)


# ---- LIKE


@handles(exp.Like, exp.ILike)
def _like(b: ExpressionBinder, node: exp.Binary) -> Bound:
    return _bind_like(b, node, None)


@handles(exp.Escape)
def _escape(b: ExpressionBinder, node: exp.Escape) -> Bound:
    only(node, "this", "expression")
    if isinstance(node.this, exp.SimilarTo):
        from zerodb_compiler.sql.binder_patterns import similar_to

        return similar_to(b, node.this, node.expression)
    if not isinstance(node.this, (exp.Like, exp.ILike)):
        raise unsupported("ESCAPE", node)
    return _bind_like(b, node.this, node.expression)


def _bind_like(b: ExpressionBinder, node: exp.Binary, escape: exp.Expr | None) -> Expression:
    only(node, "this", "expression", "negate")
    case_sensitive = isinstance(node, exp.Like)
    name_quantifier(node)
    if isinstance(node.expression, (exp.Any, exp.All)) and escape is None and is_array_side(node.expression):
        name, symbol = ("like", "~~") if case_sensitive else ("ilike", "~~*")
        if node.args.get("negate"):
            raise unsupported("NOT LIKE ANY or ALL (array)", node)
        return quantified_array(b, name, symbol, node)
    value, pattern = b.bound(node.this), b.bound(node.expression)
    for side in (value, pattern):
        if not (b.type_of(side).is_text or b.type_of(side).id is TypeId.NULL):
            raise no_operator("~~" if case_sensitive else "~~*", b.type_of(value), b.type_of(pattern), node)
    padded = b.type_of(value).padded  # then the pattern decides the code: it is baked
    lift = _can_lift(b, value) and not padded
    text = b.text(value, node) if padded and _ignores_blanks(pattern) else b.padded_text(value, node)
    arguments = [text, b.text(pattern, node, lift=lift)]
    if escape is not None:
        arguments.append(b.text(b.bound(escape), node))
    negate = bool(node.args.get("negate"))
    if case_sensitive:
        return b.call("not_like" if negate else "like", tuple(arguments), BOOLEAN, node)
    result = b.call("ilike", tuple(arguments), BOOLEAN, node)
    return b.call("not", (result,), BOOLEAN) if negate else result


def _ignores_blanks(pattern: Bound) -> bool:
    """Whether a pattern takes a text as it takes it with blanks behind."""
    text = pattern.value if isinstance(pattern, Constant) else None
    return isinstance(text, str) and text.endswith("%") and not text.endswith("\\%") and not set(text) & {" ", "_"}


@handles(exp.DPipe)
def _concatenate(b: ExpressionBinder, node: exp.DPipe) -> Bound:
    only(node, "this", "expression", "safe")
    left, right = b.bound(node.this), b.bound(node.expression)
    found = structured_operator(b, "||", left, right, node)
    if found is not None:
        return found
    types = b.type_of(left), b.type_of(right)
    if TypeId.BYTEA in (types[0].id, types[1].id) and {types[0].id, types[1].id} <= {TypeId.BYTEA, TypeId.NULL}:
        return b.call("concat", (b.cast(left, BYTEA, node), b.cast(right, BYTEA, node)), BYTEA, node)
    if not any(type_.is_text or type_.id is TypeId.NULL for type_ in types):
        raise no_operator("||", *types, node)
    return b.call("concat", (b.text(left, node), b.text(right, node)), TEXT, node)


# ---- arithmetic


@handles(*_ARITHMETIC)
def _arithmetic(b: ExpressionBinder, node: exp.Binary) -> Bound:
    only(node, "this", "expression", "typed", "safe")
    function, symbol = _ARITHMETIC[type(node)]
    return arithmetic(b, function, symbol, b.bound(node.this), b.bound(node.expression), node)


def arithmetic(b: ExpressionBinder, function: str, symbol: str, left: Bound, right: Bound, node: exp.Expr) -> Bound:
    left_type, right_type = b.type_of(left), b.type_of(right)
    if symbol in OPERATORS:
        found = structured_operator(b, symbol, left, right, node)
        if found is not None:
            return found
    if left_type.id in DATED or right_type.id in DATED:
        return date_arithmetic(b, function, symbol, left, right, node)
    # An untyped string or parameter takes the other side's type.
    if left_type.id is TypeId.NULL:
        left_type = right_type if right_type.id is not TypeId.NULL else INTEGER
        left = typed(b, left, left_type, node)
    if right_type.id is TypeId.NULL:
        right_type = left_type
        right = typed(b, right, right_type, node)
    if not (left_type.is_number and right_type.is_number):
        raise no_operator(symbol, left_type, right_type, node)
    if function == "mod" and (left_type.is_float or right_type.is_float):
        raise no_operator(symbol, left_type, right_type, node)
    if function == "div" and TypeId.NUMERIC in (left_type.id, right_type.id):
        quotient = _constant_quotient(b, left, right, node)
        if quotient is not None:
            return quotient
    left_type, right_type = _tight(left, left_type, right_type), _tight(right, right_type, left_type)
    wanted_left, wanted_right, result = coercion.arithmetic_type(function, left_type, right_type, position_of(node))
    folded = _fold(b, function, left, right, result)
    if folded is not None:
        return folded
    arguments = b.cast(left, wanted_left, node), b.cast(right, wanted_right, node)
    return b.call(function, arguments, result, node)


def _constant_quotient(b: ExpressionBinder, left: Bound, right: Bound, node: exp.Expr) -> Bound | None:
    """A quotient of exact constants with PostgreSQL's digits, which depend on the values. None for other sides."""
    from zerodb_compiler.sql.exact_functions import exact

    if not (isinstance(left, Constant) and isinstance(right, Constant)):
        return None
    if not (
        left.type.is_exact and right.type.is_exact and isinstance(left.value, int) and isinstance(right.value, int)
    ):
        return None
    if not right.value:
        return None
    for side in (left, right):
        b.finish(side)  # the digits decide the type: they are baked
    value, type_ = exact("div", [(left.value, left.type.scale), (right.value, right.type.scale)], position_of(node))
    return Literal(value, type_)


def _tight(value: Bound, type_: SqlType, other: SqlType) -> SqlType:
    """An integer literal next to a numeric needs only its own digits, which keeps the result's precision small."""
    if isinstance(value, Constant) and type_.is_integer and other.id is TypeId.NUMERIC and isinstance(value.value, int):
        return SqlType(TypeId.NUMERIC, max(1, len(str(abs(value.value)))), 0)
    return type_


def _fold(b: ExpressionBinder, function: str, left: Bound, right: Bound, type_: SqlType) -> Constant | None:
    """add, sub and mul of exact constants, as in `l_quantity <= 1 + 10`. None where it is left to the run time."""
    if not (isinstance(left, Constant) and isinstance(right, Constant)) or not type_.is_exact:
        return None
    if not (isinstance(left.value, int) and isinstance(right.value, int)) or function not in ("add", "sub", "mul"):
        return None
    shifts = (0, 0) if function == "mul" else (type_.scale - left.type.scale, type_.scale - right.type.scale)
    low, high = type_.bounds

    def operation(x: int, y: int) -> int:
        x, y = round_shift(x, shifts[0]), round_shift(y, shifts[1])
        value = x * y if function == "mul" else x + y if function == "add" else x - y
        if not low <= value <= high:
            raise OverflowError
        return value

    try:
        value = operation(left.value, right.value)
    except OverflowError:
        return None
    return Constant(type_, value, left.position, *merged(left, right, operation))


@handles(exp.Neg)
def _negate(b: ExpressionBinder, node: exp.Neg) -> Bound:
    only(node, "this")
    if isinstance(node.this, exp.Literal) and str(node.this.this) == "9223372036854775808":
        return Constant(BIGINT, -(1 << 63), position_of(node), (position_of(node.this) or 0,), None)
    if isinstance(node.this, exp.Literal) and str(node.this.this) == "2147483648":
        return Constant(INTEGER, -(1 << 31), position_of(node), (position_of(node.this) or 0,), None)
    value = b.bound(node.this)
    type_ = b.type_of(value)
    if type_.id is TypeId.INTERVAL:
        return _negate_interval(b, value, node)
    if type_.id is TypeId.NULL:
        value, type_ = typed(b, value, DOUBLE, node), DOUBLE
    if not type_.is_number:
        raise ProgrammingError(f"operator does not exist: - {type_}", sqlstate="42883", position=position_of(node))
    if isinstance(value, Constant) and isinstance(value.value, int | float):
        negated = -value.value
        if not isinstance(negated, int) or type_.bounds[0] <= negated <= type_.bounds[1]:
            steps = None if value.steps is None else (*value.steps, _minus)
            return Constant(type_, negated, value.position, value.sources, steps)
    return b.call("neg", (b.finish(value),), type_, node)


def _negate_interval(b: ExpressionBinder, value: Bound, node: exp.Expr) -> Bound:
    if isinstance(value, Constant) and isinstance(value.value, int) and min(unpack(value.value)) > -(1 << 31):
        steps = None if value.steps is None else (*value.steps, coercion.negate_interval)
        return Constant(INTERVAL, coercion.negate_interval(value.value), value.position, value.sources, steps)
    return b.call("interval_neg", (b.finish(value),), INTERVAL, node)


def _minus(value: int | float) -> int | float:
    return -value


# ---- CASE and its kin


@handles(exp.Case)
def _case(b: ExpressionBinder, node: exp.Case) -> Bound:
    only(node, "this", "ifs", "default")
    operand = node.args.get("this")
    subject = b.bound(operand) if operand is not None else None
    conditions: list[Expression] = []
    results: list[Bound] = []
    for branch in node.args["ifs"]:
        only(branch, "this", "true")
        if subject is None:
            conditions.append(b.boolean(b.bound(branch.this), branch.this, "argument of CASE/WHEN"))
        else:
            conditions.append(compare(b, "eq", "=", subject, b.bound(branch.this), branch))
        results.append(b.bound(branch.args["true"]))
    default = node.args.get("default")
    results.append(b.bound(default) if default is not None else Constant(NULL, None))
    values, type_ = united(b, results, "CASE", node)
    return make_case(tuple(zip(conditions, values[:-1], strict=True)), values[-1], type_)


def make_case(branches: tuple[tuple[Expression, Expression], ...], default: Expression, type_: SqlType) -> Case:
    nullable = default.nullable or any(result.nullable for _, result in branches)
    return Case(branches, default, type_, nullable)


@handles(exp.Coalesce)
def _coalesce(b: ExpressionBinder, node: exp.Coalesce) -> Bound:
    only(node, "this", "expressions", "is_nvl", "is_null")
    values, type_ = united(b, [b.bound(part) for part in (node.this, *node.expressions)], "COALESCE", node)
    *firsts, last = values
    if not firsts:
        return last
    branches = tuple((b.call("is_not_null", (value,), BOOLEAN), value) for value in firsts)
    return Case(branches, last, type_, all(value.nullable for value in values))


def _as_compared(left: SqlType, right: SqlType) -> SqlType:
    """The type of NULLIF's first operand as PostgreSQL's = takes it, which is that of the result: numbers of two
    classes are compared as the wider one's."""
    if left.is_exact and right.is_float:
        return DOUBLE
    return coercion.as_numeric(left) if left.is_integer and right.id is TypeId.NUMERIC else left


@handles(exp.Nullif)
def _nullif(b: ExpressionBinder, node: exp.Nullif) -> Bound:
    only(node, "this", "expression")
    left, right = b.bound(node.this), b.bound(node.expression)
    condition = compare(b, "eq", "=", left, right, node)
    value = b.finish(left)
    wanted = _as_compared(value.type, b.type_of(right))
    if wanted != value.type:
        value = b.cast(value, wanted, node)
    type_ = value.type
    if collations.collatable(type_) and isinstance(condition, Call):
        type_ = collations.with_collation(type_, collations.derived(condition.arguments, position_of(node)))
        value = collations.in_collation(value, type_.collation)
    return Case(((condition, Literal(None, type_)),), value, type_, True)
