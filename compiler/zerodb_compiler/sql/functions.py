"""The scalar functions and operators that a `Call` may name: the vocabulary shared by binder, rules and code generator.

Unless said otherwise the result is NULL if any argument is (strict). Arguments have been cast to the types given here.

    and or                       boolean*, three-valued, two or more arguments
    not                          boolean
    eq ne lt le gt ge            two values of equal type (numeric: equal scale; text: C collation; float: NaN = NaN,
                                 greater than all) -> boolean
    is_distinct is_not_distinct  as ne / eq, never NULL
    is_null is_not_null          any -> boolean, never NULL
    is_true is_false             boolean -> boolean, never NULL (IS NOT TRUE is not(is_true))
    in                           value, then one or more Literals/Parameters/expressions of equal type -> boolean, as
                                 an OR of eq (NULL semantics of SQL's IN)
    add sub mul                  exact: result type decides overflow (22003); numeric args keep their own scales
                                 (add/sub: equal scales; mul: scale = sum of scales); float: IEEE, overflow to infinity
                                 from finite arguments is 22003
    div                          integer / integer of equal type truncates; numeric: arguments as bound, result scale =
                                 type.scale, rounded half away from zero; float; divisor 0 is 22012
    mod                          integers and numeric of equal scale, sign of the dividend; divisor 0 is 22012
    neg abs sign                 number
    floor ceil trunc             numeric or double -> same type with scale 0 (numeric) or double
    round                        numeric, target scale in type.scale; double: to nearest even integer
    sqrt                         numeric (2 * target scale >= scale) or double; 2201F for negative numbers
    ln log10 exp power           double (22012/2201F/2201E for domain errors as PostgreSQL)
    like not_like ilike          text, pattern text [, escape text] -> boolean
    starts_with contains         text, text -> boolean
    lower upper trim ltrim rtrim text [, characters text] -> text
    length octet_length          text -> integer
    substring                    text, from integer [, count integer] -> text (characters; negative count 22011)
    left right repeat            text, integer -> text
    strpos                       text, text -> integer
    replace                      text, text, text -> text
    concat                       text+ -> text, strict (the || operator)
    concat_null                  text* -> text, NULL arguments are empty (the concat function)
    extract_year extract_month extract_day extract_quarter extract_dow extract_doy extract_week extract_isodow
    extract_hour extract_minute extract_second (numeric(8,6)) extract_epoch (numeric(20,6) / bigint for date)
                                 date or timestamp -> bigint unless said
    date_trunc_<unit>            timestamp -> timestamp (year quarter month week day hour minute second)
    date_add_days                date, integer -> date
    date_add_months              date or timestamp, integer -> same type (last day clipped)
    timestamp_add_micros         timestamp, bigint -> timestamp
    date_sub                     date, date -> integer (days)
    collate                      text or text[] -> the same value in the collation of the type
    sort_key                     a value of a type with `has_order_key` -> its sort_key_type, compared as the values are
    greatest least               number/date/text of equal type; NULL arguments are ignored

Casts (the Cast node) go between any two number types (rounding half away from zero to fewer digits, 22003 on overflow),
text to and from every type (22P02 / 22007 on bad input, PostgreSQL's output forms), date and timestamp, boolean and
integer, and to varchar(n)/char(n) (explicit casts truncate).
"""

from __future__ import annotations

from collections.abc import Sequence

COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})

# The comparison with its operands swapped, and the negated comparison (of non-NULL operands).
SWAPPED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
NEGATED = {"eq": "ne", "ne": "eq", "lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}

# x op ANY (array), x op ALL (array): a call "eq any" of the value and the array.
QUANTIFIED = frozenset(
    f"{operator} {quantifier}"
    for operator in (*COMPARISONS, "like", "not_like", "ilike")
    for quantifier in ("any", "all")
)
# Functions of arrays and records to which NULL is a value; those that are NULL only if it is their first argument.
_NESTED = frozenset(
    {
        "range",
        "array",
        "json_build_array",
        "json_build_object",
        "array_nest",
        "array_append",
        "array_prepend",
        "array_fill",
        "row",
    }
)
_NESTED_AS_FIRST = frozenset({"array_remove", "array_replace", "array_positions", "string_to_array"})

# Calls that give a value even where an argument is NULL; all others are strict.
NULL_AWARE = frozenset(
    {
        *QUANTIFIED,
        *_NESTED,
        *_NESTED_AS_FIRST,
        *("record_is_null", "record_is_not_null"),
        *("array_cat", "array_position", "array_to_string"),
        "and",
        "or",
        "is_distinct",
        "is_not_distinct",
        "is_null",
        "is_not_null",
        "is_true",
        "is_false",
        "concat_null",
        "greatest",
        "least",
        "concat_ws",
        "format",
        "num_nulls",
        "num_nonnulls",
        "quote_nullable",
    }
)
_NULLABLE_NESTED = QUANTIFIED | _NESTED_AS_FIRST | {"array_cat", "array_position", "array_to_string"}
_NEVER_NULL = NULL_AWARE - {"and", "or", "greatest", "least", "concat_ws", "format"} - _NULLABLE_NESTED
# NULL if the first argument is, whatever the others are.
_AS_FIRST = frozenset({"concat_ws", "format"}) | _NESTED_AS_FIRST
# Strict calls that can be NULL though no argument is: filled by the registry of signatures.
MAYBE_NULL: set[str] = {*QUANTIFIED, "array_position", "array_to_string", "array_cat", "subscript", "field"}
# Infinite dates have no month, day and time.
MAYBE_NULL |= {f"extract_{field}" for field in ("month", "day", "quarter", "dow", "isodow", "doy", "week")}
MAYBE_NULL |= {"extract_hour", "extract_minute", "extract_second"}
MAYBE_NULL |= {"json_get", "json_get_text", "json_array_literal"}
MAYBE_NULL |= {"range_lower", "range_upper", "array_length", "array_upper", "array_lower", "array_ndims", "array_dims"}


def result_nullable(function: str, arguments: Sequence[bool]) -> bool:
    """Whether a call can be NULL, given whether each argument can."""
    if function in _NEVER_NULL:
        return False
    if function in MAYBE_NULL:
        return True
    if function in _AS_FIRST:
        return arguments[0]
    return all(arguments) if function in ("greatest", "least") else any(arguments)
