"""Functions about the catalog (format_type, pg_get_indexdef, obj_description, ...) and casts to regclass and its like.

What such a function gives for each of its arguments lies in a hidden table of the catalog (pg_catalog.__name), which
the host makes of the snapshot; the call becomes a subquery of it:

    pg_get_constraintdef(c.oid)      (select __v from pg_catalog.__constraintdef where __k = c.oid)

An object identifier is a number here, not a type: regclass shows as a name where it is the result, or cast to text or
concatenated, and is the OID where it is compared or goes to a function of the catalog.

Limits: privileges are those of the one user, who has all; a name that is no constant cannot be cast to regclass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from zerodb_compiler.plan.logical import Filter, Item, Project, Scan, ScanColumn
from zerodb_compiler.plan.transform import conjunction
from zerodb_compiler.sql.binder_expressions import Bound, ExpressionBinder
from zerodb_compiler.sql.binder_functions import no_function, special
from zerodb_compiler.sql.binder_types import REGISTERED
from zerodb_compiler.sql.computed import Computed, computed
from zerodb_compiler.sql.expressions import Case, ColumnRef, Exists, Expression, Literal, ScalarSubquery
from zerodb_compiler.sql.nodes import fold, unmarked, unsupported
from zerodb_compiler.sql.parameters import Constant
from zerodb_compiler.sql.set_functions import RowColumn, Rows, set_function
from zerodb_compiler.types import BIGINT, BOOLEAN, INTEGER, NULL, TEXT, U32, SqlType, array

_USER = "zerodb"
_NAMES = {"regclass": "__regclass", "regtype": "__format", "regnamespace": "__regnamespace"}
# Comparisons and lists: what stands in them is compared as a number.
_COMPARING = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In, exp.Between, exp.Array, exp.Any, exp.Tuple,
              exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ)  # fmt: skip

_TEXTS = (exp.DType.TEXT, exp.DType.VARCHAR, exp.DType.NAME)


def _source(
    b: ExpressionBinder, table: str, keys: Sequence[tuple[str, Expression]], node: exp.Expr
) -> tuple[Filter, dict[str, ColumnRef]]:
    """The rows of the hidden table that have those keys."""
    info = b.binder.hidden_table(table)
    columns = [b.binder.column(column.name, column.type, False) for column in info.columns]
    scan = Scan(info, tuple(ScanColumn(column, i) for i, column in enumerate(columns)))
    found = {column.name: ColumnRef(column) for column in columns}
    tests = []
    for name, value in keys:
        type_ = TEXT if found[name].type.is_text else BIGINT
        sides = (b.cast(found[name], type_, node), b.cast(value, type_, node))
        tests.append(b.call("eq", sides, BOOLEAN, node))
    predicate = conjunction(tests)
    assert predicate is not None
    return Filter(scan, predicate), found


def lookup(b: ExpressionBinder, table: str, keys: Sequence[tuple[str, Expression]], node: exp.Expr) -> ScalarSubquery:
    """The value (`__v`) of the hidden table for those keys; NULL if there is none."""
    plan, found = _source(b, table, keys, node)
    column = found["__v"].column
    return ScalarSubquery(Project(plan, (Item(column, found["__v"]),)), column, column.type)


def _oid(b: ExpressionBinder, value: Bound, node: exp.Expr) -> Expression:
    return b.cast(value, BIGINT, node)


def _arity(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr, *counts: int) -> None:
    if len(values) not in counts:
        raise no_function(name, [b.type_of(value) for value in values], node)


# --- definitions as text ----------------------------------------------------------------------------------------------

_TABLES = {
    "pg_get_constraintdef": ("__constraintdef", (1, 2)),
    "pg_get_viewdef": ("__viewdef", (1, 2)),
    "pg_get_partkeydef": ("__partkeydef", (1,)),
    "pg_get_functiondef": ("__functiondef", (1,)),
    "pg_get_function_arguments": ("__functionargs", (1,)),
    "pg_get_function_identity_arguments": ("__functionargs", (1,)),
    "pg_get_function_result": ("__functionresult", (1,)),
    "pg_relation_size": ("__size", (1, 2)),
    "pg_table_size": ("__size", (1,)),
    "pg_total_relation_size": ("__size", (1,)),
}


@special(*_TABLES)
def _definition(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    table, counts = _TABLES[name]
    _arity(b, name, values, node, *counts)
    return lookup(b, table, [("__k", _relation(b, values[0], node))], node)


def _relation(b: ExpressionBinder, value: Bound, node: exp.Expr) -> Expression:
    """The OID of a relation that is given by its OID or by its name."""
    if isinstance(value, Constant) and isinstance(value.value, str):
        return registered(b, "regclass", value, node)
    return _oid(b, value, node)


@special("pg_get_indexdef")
def _index_definition(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    _arity(b, name, values, node, 1, 3)
    column: Expression = Literal(0, INTEGER)
    if len(values) > 1:  # -1 for the whole definition, prettily
        column, pretty = b.cast(values[1], INTEGER, node), b.cast(values[2], BOOLEAN, node)
        whole = b.call("eq", (column, Literal(0, INTEGER)), BOOLEAN, node)
        both = b.call("and", (whole, pretty), BOOLEAN, node)
        column = Case(((both, Literal(-1, INTEGER)),), column, INTEGER, column.nullable)
    return lookup(b, "__indexdef", [("__k", _relation(b, values[0], node)), ("__n", column)], node)


@special("pg_get_triggerdef")
def _trigger_definition(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    _arity(b, name, values, node, 1, 2)
    pretty: Expression = Literal(0, INTEGER)
    if len(values) > 1:
        pretty = b.cast(b.cast(values[1], BOOLEAN, node), INTEGER, node)
    return lookup(b, "__triggerdef", [("__k", _oid(b, values[0], node)), ("__n", pretty)], node)


@special("pg_get_expr")
def _expression(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    _arity(b, name, values, node, 2, 3)
    return b.cast(values[0], TEXT, node)  # expressions are kept as text


@special("format_type")
def _format_type(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    _arity(b, name, values, node, 2)
    oid = _oid(b, values[0], node)
    given = b.cast(values[1], INTEGER, node)
    none = Literal(-1, INTEGER)
    modifier = Case(((b.call("is_null", (given,), BOOLEAN, node), none),), given, INTEGER, False)
    plain = lookup(b, "__format", [("__k", oid), ("__m", none)], node)
    exact = lookup(b, "__format", [("__k", oid), ("__m", modifier)], node)
    missing = Literal("???", TEXT)
    either = _first(b, exact, _first(b, plain, missing, node), node)
    return Case(((b.call("is_null", (oid,), BOOLEAN, node), Literal(None, TEXT)),), either, TEXT, True)


def _first(b: ExpressionBinder, value: Expression, other: Expression, node: exp.Expr) -> Expression:
    """coalesce(value, other)"""
    test = b.call("is_null", (value,), BOOLEAN, node)
    return Case(((test, other),), value, value.type, other.nullable)


@special("obj_description", "shobj_description")
def _description(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    _arity(b, name, values, node, 2 if name == "shobj_description" else 1, 2)
    keys = [("__k", _relation(b, values[0], node)), ("__s", Literal(0, INTEGER))]
    if len(values) > 1:
        keys.append(("__c", b.text(values[1], node)))
    return lookup(b, "__comment", keys, node)


@special("col_description")
def _column_description(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    _arity(b, name, values, node, 2)
    keys = [("__k", _relation(b, values[0], node)), ("__s", b.cast(values[1], INTEGER, node))]
    return lookup(b, "__comment", [*keys, ("__c", Literal("pg_class", TEXT))], node)


# --- visible, allowed -------------------------------------------------------------------------------------------------


@special("pg_table_is_visible", "pg_type_is_visible")
def _is_visible(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    _arity(b, name, values, node, 1)
    table = "__visible" if name == "pg_table_is_visible" else "__type_visible"
    return Exists(_source(b, table, [("__k", _relation(b, values[0], node))], node)[0], False)


_ALWAYS: dict[str, tuple[SqlType, object, tuple[int, ...]]] = {
    **{
        f"pg_{kind}_is_visible": (BOOLEAN, 1, (1,))
        for kind in ("function", "operator", "opclass", "opfamily", "collation", "conversion", "ts_config", "ts_dict",
                     "statistics_obj")
    },
    "has_schema_privilege": (BOOLEAN, 1, (2, 3)),
    "has_database_privilege": (BOOLEAN, 1, (2, 3)),
    "has_function_privilege": (BOOLEAN, 1, (2, 3)),
    "has_sequence_privilege": (BOOLEAN, 1, (2, 3)),
    "has_type_privilege": (BOOLEAN, 1, (2, 3)),
    "has_language_privilege": (BOOLEAN, 1, (2, 3)),
    "has_tablespace_privilege": (BOOLEAN, 1, (2, 3)),
    "pg_has_role": (BOOLEAN, 1, (2, 3)),
    "pg_is_in_recovery": (BOOLEAN, 0, (0,)),
    "pg_is_other_temp_schema": (BOOLEAN, 0, (1,)),
    "pg_relation_is_publishable": (BOOLEAN, 0, (1,)),
    "row_security_active": (BOOLEAN, 0, (1,)),
    "pg_get_userbyid": (TEXT, _USER, (1,)),
    "pg_encoding_to_char": (TEXT, "UTF8", (1,)),
    "getdatabaseencoding": (TEXT, "UTF8", (0,)),
    "pg_client_encoding": (TEXT, "UTF8", (0,)),
    "pg_tablespace_location": (TEXT, "", (1,)),
    # There are no such objects.
    "pg_get_ruledef": (TEXT, None, (1, 2)),
    "pg_get_function_sqlbody": (TEXT, None, (1,)),
    "pg_get_statisticsobjdef": (TEXT, None, (1,)),
    "pg_get_statisticsobjdef_columns": (TEXT, None, (1,)),
    "pg_get_replica_identity_index": (BIGINT, None, (1,)),
    "inet_server_addr": (TEXT, None, (0,)),
    "inet_client_addr": (TEXT, None, (0,)),
    "inet_server_port": (INTEGER, None, (0,)),
    "inet_client_port": (INTEGER, None, (0,)),
}  # fmt: skip


@special(*_ALWAYS)
def _always(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    type_, value, counts = _ALWAYS[name]
    _arity(b, name, values, node, *counts)
    for given in values:
        b.finish(given)
    return Literal(value, type_)  # type: ignore[arg-type]


@special("has_table_privilege", "has_any_column_privilege", "has_column_privilege")
def _has_privilege(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """True for every relation there is; a name that there is none of is an error."""
    extra = name == "has_column_privilege"
    _arity(b, name, values, node, 2 + extra, 3 + extra)
    for given in values:
        b.finish(given)
    relation = _relation(b, values[-2 - extra], node)
    return b.call("is_not_null", (relation,), BOOLEAN, node)


_PRETTY = """
    case when abs(x) < 10240 then x || ' bytes'
         when abs(x / 512) < 20479 then (x / 512 + sign(x)::bigint) / 2 || ' kB'
         when abs(x / 524288) < 20479 then (x / 524288 + sign(x)::bigint) / 2 || ' MB'
         when abs(x / 536870912) < 20479 then (x / 536870912 + sign(x)::bigint) / 2 || ' GB'
         when abs(x / 549755813888) < 20479 then (x / 549755813888 + sign(x)::bigint) / 2 || ' TB'
         else (x / 562949953421312 + sign(x)::bigint) / 2 || ' PB' end
"""


@special("pg_size_pretty")
def _size_pretty(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """The number in the largest unit that keeps it above ten, as PostgreSQL rounds."""
    from zerodb_compiler.sql.parse import parse_expression

    _arity(b, name, values, node, 1)
    if not (b.type_of(values[0]).is_integer or b.type_of(values[0]) == NULL):
        raise unsupported(f"{name} of {b.type_of(values[0])}", node)
    b.finish(values[0])

    def argument(part: exp.Expr) -> exp.Expr:
        if isinstance(part, exp.Column) and part.name == "x":
            return exp.Paren(this=exp.Cast(this=node.args["expressions"][0].copy(), to=exp.DataType.build("bigint")))
        part._meta = None
        return part

    return b.bound(parse_expression(_PRETTY).transform(argument))


@set_function("pg_partition_ancestors", code="unnest")
def _ancestors(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Rows:
    _arity(b, name, values, node, 1)
    found = lookup(b, "__ancestors", [("__k", _relation(b, values[0], node))], node)
    return Rows("unnest", (found,), (RowColumn("relid", U32, True),))


@special("pg_char_to_encoding")
def _encoding(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    _arity(b, name, values, node, 1)
    b.finish(values[0])
    return Literal(6, INTEGER)  # UTF8, the only one


@special("current_schemas")
def _current_schemas(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    _arity(b, name, values, node, 1)
    value = b.finish(values[0])
    if not isinstance(value, Literal):
        raise unsupported("current_schemas of what is no constant", node)
    implicit = str(value.value).lower() in ("1", "t", "true", "on")
    return computed(b.binder, Computed("session", "current_schemas", called=implicit), array(TEXT))


# --- regclass and its like --------------------------------------------------------------------------------------------


@special(*(f"to_{kind}" for kind in REGISTERED))
def _to_registered(b: ExpressionBinder, name: str, values: list[Bound], node: exp.Expr) -> Bound:
    """As the cast, NULL where there is nothing of that name."""
    _arity(b, name, values, node, 1)
    kind = name.removeprefix("to_")
    oid = registered(b, kind, values[0], node, missing=True)
    return _shown(b, kind, oid, node) if _is_shown(node) else oid


def registered(b: ExpressionBinder, kind: str, value: Bound, node: exp.Expr, *, missing: bool = False) -> Expression:
    """The OID that a name or number means."""
    type_ = b.type_of(value)
    if isinstance(value, Constant) and isinstance(value.value, str):
        b.finish(value)  # the literal decides: it is baked
        text = value.value.strip()
        if text.isdigit() or text == "-":
            return Literal(0 if text == "-" else int(text), U32)
        found = computed(b.binder, Computed("registered", f"{kind}\0{text}", called=missing), U32)
        return replace(found, nullable=missing)
    if type_ == NULL and isinstance(value, Constant):
        return Literal(None, U32)
    if type_.is_integer:
        return b.cast(value, U32, node)
    raise unsupported(f"a cast of {type_} that is no constant to {kind}", node)


def cast_registered(b: ExpressionBinder, kind: str, node: exp.Cast) -> Bound:
    """value::regclass"""
    oid = registered(b, kind, b.bound(node.this), node)
    return _shown(b, kind, oid, node) if _is_shown(node) else oid


def _shown(b: ExpressionBinder, kind: str, oid: Expression, node: exp.Expr) -> Expression:
    if kind == "regrole":
        return _role(b, oid, node)
    keys: list[tuple[str, Expression]] = [("__k", oid)]
    if kind == "regtype":
        keys.append(("__m", Literal(-1, INTEGER)))
    name = lookup(b, _NAMES.get(kind, "__regproc"), keys, node)
    number = b.cast(oid, TEXT, node)
    zero = b.call("eq", (b.cast(oid, BIGINT, node), Literal(0, BIGINT)), BOOLEAN, node)
    known = _first(b, name, number, node)
    return Case(((zero, Literal("-", TEXT)),), known, TEXT, oid.nullable)


def _role(b: ExpressionBinder, oid: Expression, node: exp.Expr) -> Expression:
    owner = b.call("eq", (b.cast(oid, BIGINT, node), Literal(10, BIGINT)), BOOLEAN, node)
    return Case(((owner, Literal(_USER, TEXT)),), b.cast(oid, TEXT, node), TEXT, oid.nullable)


def _is_shown(node: exp.Expr) -> bool:
    """Whether the name is wanted, and not the number."""
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    if isinstance(parent, _COMPARING):
        return False
    if isinstance(parent, exp.Cast):
        to = parent.args["to"]
        return not isinstance(to, exp.ObjectIdentifier) and to.this in _TEXTS
    if isinstance(parent, exp.Anonymous):
        name = parent.this
        called = fold(name) if isinstance(name, exp.Identifier) else unmarked(str(name)).lower()
        return not (called.startswith(("pg_", "has_", "to_reg")) or called.endswith("_description"))
    return True
