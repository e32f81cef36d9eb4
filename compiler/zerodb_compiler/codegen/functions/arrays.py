"""Arrays: construction, subscripts, functions, casts and comparison (kernels/arrays.py and its neighbours)."""

from __future__ import annotations

from typing import Any

from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import Result, comparable, evaluate, function, null_of
from zerodb_compiler.codegen.functions.calling import as_text, build_text, check, run, unless_null, zeros
from zerodb_compiler.codegen.functions.elements import (
    append,
    each_element,
    element_at,
    element_kind,
    encoded,
    finished,
    mapped,
    new_builder,
)
from zerodb_compiler.codegen.functions.sort_keys import sort_key_of
from zerodb_compiler.codegen.sqlvalues import Bool, Int, SqlValue, Text, either_null, with_null
from zerodb_compiler.errors import error_for
from zerodb_compiler.kernels import array_functions, array_text, arrays, errors
from zerodb_compiler.nested import width_of
from zerodb_compiler.sql.expressions import Call, Column, ColumnRef, Expression
from zerodb_compiler.sql.functions import QUANTIFIED
from zerodb_compiler.types import BOOLEAN, BYTEA, TEXT, SqlType, TypeId
from zerodb_compiler.wasm.values import I32, I64, load, select

MISMATCH = ("2202E", "cannot concatenate incompatible arrays")
NOT_A_LIST = ("22000", "argument must be empty or one-dimensional array")
NOT_A_LIST_REMOVE = ("0A000", "removing elements from multidimensional arrays is not supported")
NOT_A_LIST_SEARCH = ("0A000", "searching for elements in multidimensional arrays is not supported")
INTEGER_BOUNDS = (-(1 << 31), (1 << 31) - 1)


def element_of(type_: SqlType) -> SqlType:
    assert type_.element is not None
    return type_.element


def kind_of(type_: SqlType, position: int | None) -> I32:
    kind = element_kind(type_)
    if kind is None:
        raise error_for("0A000", f"comparing elements of type {type_} is not supported", position=position)
    return I32.const(kind)


# --- construction -----------------------------------------------------------------------------------------------------
@function("array")
def _array(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    builder = new_builder(e)
    for value in arguments:
        append(e, builder, value, element_of(call.type))
    return Text(*finished(e, arrays.finish_list, builder))


@function("array_nest")
def _array_nest(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    """Of arrays; a NULL among them fits no other shape, as in PostgreSQL an empty one."""
    builder = new_builder(e)
    message = ("2202E", "multidimensional arrays must have array expressions with matching dimensions")
    empty = e.constant_address(b"\0" * 8)
    dims = e.f.local(I32, "dims")
    for place, value in enumerate(arguments):
        text = as_text(e, value)
        address = text.address if text.null is None else e.f.let(select(text.null, empty, text.address), "array")
        if place == 0:
            dims.set(load("i32.load8_u", address))
            status = e.f.call(e.context.kernel(array_functions.nest_first), e.worker, builder, address)
        else:
            status = e.f.call(e.context.kernel(array_functions.nest_next), e.worker, builder, address, dims)
        check(e, e.f.let(status, "status"), {array_functions.MISMATCH: message}, call.position)
    return Text(*finished(e, array_functions.nest_finish, builder, I32.const(len(arguments)), dims))


# --- subscripts -------------------------------------------------------------------------------------------------------
@function("subscript")
def _subscript(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    array, f = as_text(e, arguments[0]), e.f
    target = Result(e, [null_of_element(call.type)])
    target.set(null_of_element(call.type))
    with unless_null(e, null):
        count = len(arguments) - 1
        inside = f.let(f.call(e.context.kernel(arrays.dimensions), array.address) == count, "inside")
        index = f.local(I32, "index")
        index.set(I32.const(0))
        with f.if_(inside):
            for number, subscript in enumerate(arguments[1:]):
                assert isinstance(subscript, Int)
                length, lower = f.run(e.context.kernel(arrays.dimension), array.address, I32.const(number))
                place = f.let(subscript.value - lower.to_i64_s(), "place")
                inside.set(inside & (place >= 0) & (place < length.to_i64_s()))
                index.set(index * length + place.to_i32())
        with f.if_(inside):
            target.set(element_at(e, array.address, index, call.type))
    return target.value


def null_of_element(type_: SqlType) -> SqlValue:
    """A NULL of the class that elements of the type have."""
    from zerodb_compiler.codegen.sqlvalues import Wide

    if type_.is_discrete and type_.id is not TypeId.BOOLEAN:
        low, high = type_.bounds
        if width_of(type_) == 16:
            return Wide(I64.const(0), I64.const(0), low, high, I32.const(1))
        return Int(I64.const(0), low, high, I32.const(1))
    return null_of(type_)


@function("slice")
def _slice(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    """A bound that is not given is the boolean TRUE."""
    array, bounds = as_text(e, arguments[0]), arguments[1:]
    count = len(bounds) // 2
    field = e.context.worker.reserve(24 * count)
    place = e.f.let(e.worker + field, "bounds")
    for number in range(count):
        flags = 0
        for side in range(2):
            bound = bounds[2 * number + side]
            if isinstance(bound, Int):
                flags |= 1 << side
                e.f.store("i64.store", place, bound.value, 24 * number + 8 * side)
        e.f.store("i32.store", place, I32.const(flags), 24 * number + 16)
    return build_text(e, null, array_functions.array_slice, array.address, place, I32.const(count))


# --- shape ------------------------------------------------------------------------------------------------------------
@function("array_length", "array_upper", "array_lower")
def _dimension(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    array, number = as_text(e, arguments[0]), arguments[1]
    assert isinstance(number, Int)
    f = e.f
    value, missing = f.local(I64, "value"), f.local(I32, "missing")
    value.set(I64.const(0))
    missing.set(I32.const(1))
    with unless_null(e, null):
        dims = f.call(e.context.kernel(arrays.dimensions), array.address).to_i64_u()
        with f.if_((number.value >= 1) & (number.value <= dims)):
            length, lower = f.run(e.context.kernel(arrays.dimension), array.address, number.value.to_i32() - 1)
            missing.set(I32.const(0))
            match call.function:
                case "array_length":
                    value.set(length.to_i64_s())
                case "array_lower":
                    value.set(lower.to_i64_s())
                case _:
                    value.set(lower.to_i64_s() + length.to_i64_s() - 1)
    return Int(value, *INTEGER_BOUNDS, missing)


@function("cardinality")
def _cardinality(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    (count,) = run(e, null, arrays.element_count, as_text(e, arguments[0]).address)
    return Int(count.to_i64_u(), 0, INTEGER_BOUNDS[1], null)


@function("array_ndims")
def _ndims(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    (dims,) = run(e, null, arrays.dimensions, as_text(e, arguments[0]).address)
    dims = e.f.let(dims, "dims")
    return Int(dims.to_i64_u(), 0, 6, dims.is_zero())


@function("array_dims")
def _dims(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    text = build_text(e, null, array_text.format_dimensions, as_text(e, arguments[0]).address)
    return with_null(text, e.f.let(text.length.is_zero(), "no_dims"))


# --- building from others ---------------------------------------------------------------------------------------------
def _or_empty(e: Emitter, array: Text) -> I32:
    """The array's address, of an empty one for NULL."""
    if array.null is None:
        return array.address
    return e.f.let(select(array.null, e.constant_address(b"\0" * 8), array.address), "array")


def _checked(e: Emitter, kernel: Any, errors_: dict[int, tuple[str, str]], position: int | None, *more: Any) -> Text:
    address, length, status = e.f.run(e.context.kernel(kernel), e.worker, *more)
    check(e, status, errors_, position)
    return Text(address, length)


@function("array_append", "array_prepend")
def _append(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    """(array, element), both ways round; a NULL array is an empty one."""
    array = as_text(e, arguments[0])
    element = encoded(e, arguments[1], element_of(call.type))
    kernel = array_functions.array_append if call.function == "array_append" else array_functions.array_prepend
    return _checked(e, kernel, {array_functions.NOT_A_LIST: NOT_A_LIST}, call.position, _or_empty(e, array), *element)


@function("array_cat")
def _cat(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    a, b = (as_text(e, argument) for argument in arguments)
    # The size of an empty array's header is enough: it is what a NULL becomes.
    parts = [part for text in (a, b) for part in (_or_empty(e, text), _size(text))]
    found = _checked(e, array_functions.array_cat, {array_functions.MISMATCH: MISMATCH}, call.position, *parts)
    if a.null is None or b.null is None:
        return found
    return with_null(found, e.f.let(a.null & b.null, "both_null"))


def _size(text: Text) -> I32:
    return text.length if text.null is None else select(text.null, I32.const(8), text.length)


@function("array_remove")
def _remove(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    array, type_ = as_text(e, arguments[0]), element_of(call.type)
    element = encoded(e, arguments[1], type_)
    kind = kind_of(type_, call.position)
    failures = {array_functions.NOT_A_LIST: NOT_A_LIST_REMOVE}
    found = _checked(e, array_functions.array_remove, failures, call.position, _or_empty(e, array), kind, *element)
    return with_null(found, array.null)


@function("array_replace")
def _replace(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    array, type_ = as_text(e, arguments[0]), element_of(call.type)
    old, new = encoded(e, arguments[1], type_), encoded(e, arguments[2], type_)
    kind = kind_of(type_, call.position)
    return build_text(e, array.null, array_functions.array_replace, array.address, kind, *old, *new)


@function("array_positions")
def _positions(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    array, type_ = as_text(e, arguments[0]), element_of(call.arguments[0].type)
    element = encoded(e, arguments[1], type_)
    kind = kind_of(type_, call.position)
    failures = {array_functions.NOT_A_LIST: NOT_A_LIST_SEARCH}
    found = _checked(e, array_functions.array_positions, failures, call.position, _or_empty(e, array), kind, *element)
    return with_null(found, array.null)


@function("array_position")
def _position(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    array, type_ = as_text(e, arguments[0]), element_of(call.arguments[0].type)
    element = encoded(e, arguments[1], type_)
    start: I64 = I64.const(-(1 << 31))
    if len(arguments) > 2:
        given = arguments[2]
        assert isinstance(given, Int)
        start = given.value
        if given.null is not None:
            e.error_if(given.null, "22004", "initial position must not be null", call.position)
    address = _or_empty(e, array)
    many = load("i32.load8_u", address) > 1
    e.error_if(many, *NOT_A_LIST_SEARCH, call.position)
    kernel = e.context.kernel(array_functions.array_position)
    place, found = e.f.run(kernel, address, kind_of(type_, call.position), start, *element)
    return Int(place, *INTEGER_BOUNDS, e.f.let(found.is_zero(), "not_found"))


@function("array_fill")
def _fill(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    """(value, lengths, lower bounds): both integer arrays."""
    element = encoded(e, arguments[0], element_of(call.type))
    shapes = []
    for argument in arguments[1:]:
        shape = as_text(e, argument)
        if shape.null is not None:
            e.error_if(shape.null, "22004", "dimension array or low bound array cannot be null", call.position)
        shapes.append(shape.address)
    failures = {
        array_functions.MISMATCH: ("2202E", "wrong number of array subscripts"),
        array_functions.NOT_A_LIST: ("22004", "dimension values cannot be null"),
        errors.OVERFLOW: ("54000", "array size exceeds the maximum allowed"),
    }
    lowers = shapes[1] if len(shapes) > 1 else I32.const(0)
    return _checked(e, array_functions.array_fill, failures, call.position, *element, shapes[0], lowers)


@function("trim_array")
def _trim(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    array, count = as_text(e, arguments[0]), arguments[1]
    assert isinstance(count, Int)
    failures = {errors.INVALID_COUNT: ("2202E", "number of elements to trim must be between 0 and the array length")}
    address, length = zeros(e, null, I32, I32)
    with unless_null(e, null):
        found = _checked(e, array_functions.trim_array, failures, call.position, array.address, count.value)
        address.set(found.address)
        length.set(found.length)
    return Text(address, length, null)


# --- searching --------------------------------------------------------------------------------------------------------
@function("array_contains", "array_overlaps")
def _contains(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    a, b = (as_text(e, argument) for argument in arguments)
    element = element_of(call.arguments[0].type)
    if element_kind(element) is None:
        a, b = (mapped(e, text, element, BYTEA, lambda item: comparable(e, item, element)) for text in (a, b))
        element = BYTEA
    kernel = arrays.contains_all if call.function == "array_contains" else arrays.overlaps
    kind = kind_of(element, call.position)
    (found,) = run(e, null, kernel, a.address, b.address, kind)
    return Bool(found, null)


def _quantified(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    """x op ANY (array) and ALL: NULL if there is no answer but for NULLs; an empty array gives false and true."""
    operator, quantifier = call.function.split(" ")
    left, array = arguments[0], as_text(e, arguments[1])
    element_type = element_of(call.arguments[1].type)
    sides = [Column(-900, "operand", call.arguments[0].type, True), Column(-901, "element", element_type, True)]
    test: Expression = Call(operator, tuple(_compared(ColumnRef(side)) for side in sides), BOOLEAN, True, call.position)
    is_any = quantifier == "any"
    f = e.f
    value, unknown = f.local(I32, "found"), f.local(I32, "unknown")
    value.set(I32.const(0 if is_any else 1))
    unknown.set(I32.const(0))
    with unless_null(e, array.null), each_element(e, array.address, element_type) as (element, done):
        starts, e.start_actions = e.start_actions, None
        result = evaluate(e, test, {-900: left, -901: element})
        e.start_actions = starts
        kept = e.keep_value(result)
        assert isinstance(kept, Bool)
        if kept.null is not None:
            unknown.set(unknown | kept.null)
        if is_any:
            with f.if_(kept.value):
                value.set(I32.const(1))
                done.break_()
        else:
            is_false = (kept.value if kept.null is None else kept.value | kept.null).is_zero()
            with f.if_(is_false):
                value.set(I32.const(0))
                done.break_()
    undecided = unknown & (value.is_zero() if is_any else value)
    null = f.let(undecided if array.null is None else undecided | array.null, "null")
    return Bool(value & null.is_zero(), null)


def _compared(side: ColumnRef) -> Expression:
    type_ = side.type
    return Call("sort_key", (side,), type_.sort_key_type, True) if type_.has_order_key else side


for _name in QUANTIFIED:
    function(_name)(_quantified)


# --- text -------------------------------------------------------------------------------------------------------------
def output_text(e: Emitter, value: SqlValue, type_: SqlType) -> SqlValue:
    """An element as its type's output function writes it: as a cast to text, but for booleans."""
    from zerodb_compiler.codegen.casts import cast

    if isinstance(value, Bool):
        address = select(value.value, e.constant_address(b"t"), e.constant_address(b"f"))
        return Text(address, I32.const(1), value.null)
    return value if type_.is_text else cast(e, value, type_, TEXT, None)


def texts_of(e: Emitter, array: Text, type_: SqlType) -> Text:
    """The array of the elements' texts."""
    element = element_of(type_)
    if element.is_text:
        return array
    return mapped(e, array, element, TEXT, lambda value: output_text(e, value, element))


def cast_array(e: Emitter, value: SqlValue, source: SqlType, target: SqlType, position: int | None) -> SqlValue:
    """Between arrays, element by element; text to array and array to text."""
    from zerodb_compiler.codegen.casts import cast
    from zerodb_compiler.codegen.functions.text_casts import to_length

    text = as_text(e, value)
    if target.id is not TypeId.ARRAY:
        texts = texts_of(e, text, source)
        shown = build_text(e, texts.null, array_text.format_array, texts.address, texts.length)
        return to_length(e, shown, target, position)
    element = element_of(target)
    if source.is_text:
        failures = {
            errors.INVALID_TEXT: ("22P02", "malformed array literal"),
            errors.DOMAIN: ("0A000", "array text with bounds is not supported here"),
        }
        address, length = zeros(e, text.null, I32, I32)
        with unless_null(e, text.null):
            parsed = _checked(e, array_text.parse_array, failures, position, text.address, text.length)
            address.set(parsed.address)
            length.set(parsed.length)
        text, source = Text(address, length, text.null), SqlType(TypeId.ARRAY, element=TEXT)
    assert source.element is not None
    given = source.element
    if given == element or (given.is_text and element == TEXT):
        return text
    return mapped(e, text, given, element, lambda item: cast(e, item, given, element, position))


@function("array_to_string")
def _to_string(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    array, separator = as_text(e, arguments[0]), as_text(e, arguments[1])
    texts = texts_of(e, array, call.arguments[0].type)
    word = as_text(e, arguments[2]) if len(arguments) > 2 else Text(I32.const(0), I32.const(0))
    nulls: I32 = I32.const(int(len(arguments) > 2))
    if word.null is not None:
        nulls = word.null.is_zero()
    missing = either_null(array.null, separator.null)
    more = (separator.address, separator.length, word.address, word.length, nulls)
    return build_text(e, missing, array_text.join_texts, texts.address, texts.length, *more)


@function("string_to_array")
def _from_string(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    text, separator = as_text(e, arguments[0]), as_text(e, arguments[1])
    word = as_text(e, arguments[2]) if len(arguments) > 2 else Text(I32.const(0), I32.const(0), I32.const(1))
    no_separator = separator.null if separator.null is not None else I32.const(0)
    nulls = word.null.is_zero() if word.null is not None else I32.const(1)
    more = (separator.address, separator.length, no_separator, word.address, word.length, nulls)
    return build_text(e, text.null, array_text.split_text, text.address, text.length, *more)


# --- comparison -------------------------------------------------------------------------------------------------------
@sort_key_of(TypeId.ARRAY)
def _sort_key(e: Emitter, value: SqlValue, type_: SqlType, null: I32 | None) -> SqlValue:
    text, element = as_text(e, value), element_of(type_)
    if element_kind(element) is None:  # by the elements' own keys
        text = mapped(e, text, element, BYTEA, lambda item: comparable(e, item, element))
        return build_text(e, null, arrays.array_key, text.address, text.length, I32.const(arrays.BYTES), I32.const(0))
    kind, width = kind_of(element, None), I32.const(width_of(element))
    return build_text(e, null, arrays.array_key, text.address, text.length, kind, width)


__all__ = ["cast_array", "output_text"]
