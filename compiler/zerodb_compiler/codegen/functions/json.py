"""json and jsonb: casts, operators and functions over the kernels of kernels/json*.py."""

from __future__ import annotations

from typing import Any

from zerodb_compiler import jsonb as form
from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.casts import BLOB_CASTS
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import function
from zerodb_compiler.codegen.functions.arrays import element_of
from zerodb_compiler.codegen.functions.calling import Error, as_text, build_text, run, unless_null, view, zeros
from zerodb_compiler.codegen.functions.elements import append, finished, mapped, new_builder
from zerodb_compiler.codegen.functions.records import _changed
from zerodb_compiler.codegen.functions.sort_keys import sort_key_of
from zerodb_compiler.codegen.functions.text_casts import BLOB_FROM_TEXT, BLOB_TO_TEXT, format_value, label_table, parse
from zerodb_compiler.codegen.sqlvalues import Bool, Int, SqlValue, Text, with_null
from zerodb_compiler.errors import NotSupportedError
from zerodb_compiler.kernels import (
    arrays,
    enum_labels,
    errors,
    json_building,
    json_parts,
    json_text,
    jsonb,
    jsonb_changes,
    jsonb_keys,
    jsonb_text,
)
from zerodb_compiler.nested import Array, encode_array
from zerodb_compiler.sql.expressions import Call, Literal
from zerodb_compiler.types import INTEGER, JSON, TEXT, SqlType, TypeId, array, enum_type, numeric
from zerodb_compiler.wasm.values import I32, load, select

Values = tuple[SqlValue, ...]

NO_CHARACTER: Error = ("22P05", "unsupported Unicode escape sequence")
SYNTAX: dict[int, Error] = {
    errors.INVALID_TEXT: ("22P02", "invalid input syntax for type json"),
    json_text.TOO_DEEP: ("54001", "stack depth limit exceeded"),
    json_text.NO_CHARACTER: NO_CHARACTER,
    errors.OVERFLOW: ("22003", "value overflows numeric format"),
}
ESCAPES = {errors.INVALID_TEXT: SYNTAX[errors.INVALID_TEXT], json_text.NO_CHARACTER: NO_CHARACTER}
KINDS = ("null", "string", "number", "boolean", "boolean", "array", "object")


# --- casts ------------------------------------------------------------------------------------------------------------
def to_jsonb(e: Emitter, text: Text, position: int | None) -> Text:
    """The jsonb value of a JSON text."""
    parts = (e.worker, text.address, text.length)
    return view(run(e, text.null, jsonb_text.parse_jsonb, *parts, failures=SYNTAX, position=position), text.null)


def jsonb_as_text(e: Emitter, value: Text) -> Text:
    return build_text(e, value.null, jsonb_text.format_jsonb, value.address, value.length, I32.const(-1))


def _checked(e: Emitter, value: Text, target: SqlType, position: int | None) -> SqlValue:
    run(e, value.null, json_text.check_json, value.address, value.length, failures=SYNTAX, position=position)
    return value


BLOB_TO_TEXT[TypeId.JSONB] = lambda e, value, _source: jsonb_as_text(e, value)
BLOB_FROM_TEXT[TypeId.JSON] = _checked
BLOB_FROM_TEXT[TypeId.JSONB] = lambda e, value, _target, position: to_jsonb(e, value, position)
BLOB_CASTS[TypeId.JSON, TypeId.JSONB] = lambda e, value, _s, _t, position: to_jsonb(e, as_text(e, value), position)
BLOB_CASTS[TypeId.JSONB, TypeId.JSON] = lambda e, value, _s, _t, _position: jsonb_as_text(e, as_text(e, value))


def _to_scalar(e: Emitter, value: SqlValue, source: SqlType, target: SqlType, position: int | None) -> SqlValue:
    """jsonb as a boolean or a number."""
    from zerodb_compiler.codegen.casts import cast

    node = as_text(e, value)
    (tag,) = zeros(e, node.null, I32)
    with unless_null(e, node.null):
        tag.set(load("i32.load8_u", node.address))
        wanted = (form.TRUE, form.FALSE) if target.id is TypeId.BOOLEAN else (form.NUMBER,)
        for number, kind in enumerate(KINDS):
            if number not in wanted:
                what = kind if kind not in ("array", "object") else "array or object"
                e.error_if(tag == number, "22023", f"cannot cast jsonb {what} to type {_name(target)}", position)
    if target.id is TypeId.BOOLEAN:
        return Bool(e.f.let(tag == form.TRUE, "truth"), node.null)
    text = Text(e.f.let(node.address + 1, "number"), e.f.let(node.length - 1, "digits"), node.null)
    if not target.is_integer:
        return parse(e, text, target, position)
    whole = numeric(38, 0)
    return cast(e, e.keep_value(parse(e, text, whole, position)), whole, target, position)


def _name(type_: SqlType) -> str:
    return "numeric" if type_.id is TypeId.NUMERIC else str(type_)


for _target in (
    *(TypeId.BOOLEAN, TypeId.SMALLINT, TypeId.INTEGER, TypeId.BIGINT, TypeId.NUMERIC),
    *(TypeId.REAL, TypeId.DOUBLE),
):
    BLOB_CASTS[TypeId.JSONB, _target] = _to_scalar


@sort_key_of(TypeId.JSONB)
def _sort_key(e: Emitter, value: SqlValue, type_: SqlType, null: I32 | None) -> SqlValue:
    node = as_text(e, value)
    return build_text(e, null, jsonb_keys.jsonb_key, node.address, node.length)


# --- SQL values as JSON text ------------------------------------------------------------------------------------------
def json_of(e: Emitter, value: SqlValue, type_: SqlType, position: int | None, *, lines: bool = False) -> Text:
    """The JSON text of a value; `lines` is array_to_json's and row_to_json's pretty form."""
    value = e.keep_value(value)
    flag = I32.const(int(lines))
    match type_.id:
        case TypeId.JSON | TypeId.NULL:
            return as_text(e, value)
        case TypeId.JSONB:
            return jsonb_as_text(e, as_text(e, value))
        case TypeId.BOOLEAN:
            return _text_of(e, value, type_)
        case TypeId.ARRAY:
            element = element_of(type_)
            texts = mapped(e, as_text(e, value), element, JSON, lambda item: json_of(e, item, element, position))
            return build_text(e, texts.null, json_building.join_json, texts.address, flag)
        case TypeId.STRUCT:
            change = lambda e, item, field: json_of(e, item, field, position)  # noqa: E731
            texts = _changed(e, as_text(e, value), type_, [JSON] * len(type_.fields), change)
            names = tuple(form.quoted(name) for name, _ in type_.fields)
            table = encode_array(array(TEXT), Array(((len(names), 1),), names))
            return build_text(e, texts.null, json_building.object_json, texts.address, e.constant_address(table), flag)
        case TypeId.TIMESTAMPTZ:  # a value alone comes as text, with the session's zone (sql/binder_json.py)
            raise NotSupportedError("timestamps with time zone within arrays or rows as JSON", position=position)
        case TypeId.TIMESTAMP:
            text = _text_of(e, value, type_)
            return build_text(e, text.null, json_building.moment_json, text.address, text.length)
        case _ if type_.is_float:
            text = _text_of(e, value, type_)
            return build_text(e, text.null, json_building.number_json, text.address, text.length)
        case _ if type_.is_number:
            return _text_of(e, value, type_)
    text = as_text(e, value) if type_.is_text else _text_of(e, value, type_)
    return build_text(e, text.null, json_building.quote_json, text.address, text.length)


def _text_of(e: Emitter, value: SqlValue, type_: SqlType) -> Text:
    return as_text(e, format_value(e, value, type_, TEXT, None))


@function("to_json", "json_lines")
def _to_json(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    return json_of(e, arguments[0], call.arguments[0].type, call.position, lines=call.function == "json_lines")


@function("json_moment")
def _moment(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """The text of a timestamp with time zone."""
    text = as_text(e, arguments[0])
    return build_text(e, null, json_building.moment_json, text.address, text.length)


def part_builder(e: Emitter, call: Call, arguments: Values) -> Any:
    builder = new_builder(e)
    for value, argument in zip(arguments, call.arguments, strict=True):
        append(e, builder, value, argument.type)
    return builder


@function("json_build_array")
def _build_array(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    parts, _ = finished(e, arrays.finish_list, part_builder(e, call, arguments))
    return build_text(e, None, json_building.build_array, parts, I32.const(0))


@function("json_build_object")
def _build_object(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    parts, _ = finished(e, arrays.finish_list, part_builder(e, call, arguments))
    found = e.f.run(e.context.kernel(json_building.build_object), e.worker, parts, I32.const(0))
    with e.f.if_(found[2] == json_building.KEY_IS_NULL):
        e.f.store("i64.store", e.worker, found[1].to_i64_u(), abi.WORKER_ERROR_VALUE)
        e.fail(e.context.error_status("22023", "argument {value} cannot be null", call.position))
    e.fail_if(found[0].is_zero(), abi.STATUS_OUT_OF_MEMORY)
    return Text(found[0], found[1])


PAIR_ERRORS: dict[int, Error] = {
    json_building.KEY_IS_NULL: ("22004", "null value not allowed for object key"),
    json_building.ODD_NUMBER: ("2202E", "array must have even number of elements"),
    json_building.WRONG_DIMENSIONS: ("2202E", "wrong number of array subscripts"),
    json_building.MISMATCH: ("2202E", "mismatched array dimensions"),
    json_building.MISMATCH + 1: ("2202E", "array must have two columns"),
}


@function("json_object", "jsonb_object")
def _object(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    keys = as_text(e, arguments[0])
    values = as_text(e, arguments[1]) if len(arguments) > 1 else keys
    parts = (e.worker, keys.address, values.address, I32.const(int(len(arguments) == 1)))
    found = run(e, null, json_building.pairs_json, *parts, failures=PAIR_ERRORS, position=call.position)
    text = view(found, null)
    return to_jsonb(e, text, call.position) if call.function == "jsonb_object" else text


# --- taking values out ------------------------------------------------------------------------------------------------
@function("json_get", "json_get_text")
def _get(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """-> ->> #> #>>: the second argument is a key, an index or a path."""
    value = as_text(e, arguments[0])
    second, type_ = arguments[1], call.arguments[1].type
    is_binary = call.arguments[0].type.id is TypeId.JSONB
    where = (value.address, value.length)
    if isinstance(second, Int):
        kernel: Any = jsonb.item if is_binary else json_parts.json_item
        found = run(e, null, kernel, *where, second.value)
    elif type_.id is TypeId.ARRAY:
        path = as_text(e, second).address
        if is_binary:
            found = run(e, null, jsonb.at_path, *where, path)
        else:
            found = _run_json(e, call, null, json_parts.json_at_path, *where, path)
    else:
        key = as_text(e, second)
        if is_binary:
            found = run(e, null, jsonb.field, value.address, key.address, key.length)
        else:
            found = _run_json(e, call, null, json_parts.json_field, *where, key.address, key.length)
    address, length = found
    missing = e.keep(length.is_zero())
    part = Text(e.keep(address), e.keep(length), missing)
    return scalar_text(e, part, is_binary, call.position) if call.function == "json_get_text" else part


def _run_json(e: Emitter, call: Call, null: I32 | None, kernel: Any, *arguments: Any) -> Any:
    return run(e, null, kernel, e.worker, *arguments, failures=ESCAPES, position=call.position)


def scalar_text(e: Emitter, value: Text, is_binary: bool, position: int | None) -> Text:
    """What ->> gives of a value."""
    where = (e.worker, value.address, value.length)
    if is_binary:
        address, length, is_null = run(e, value.null, jsonb_text.scalar_text, *where)
        with unless_null(e, value.null):
            e.fail_if(address.is_zero(), abi.STATUS_OUT_OF_MEMORY)
    else:
        kernel = json_parts.json_scalar_text
        address, length, is_null = run(e, value.null, kernel, *where, failures=ESCAPES, position=position)
    return Text(address, length, is_null if value.null is None else e.f.let(is_null | value.null, "null"))


@function("json_extract_path", "json_extract_path_text")
def _extract(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """(value, step, ...)."""
    value = as_text(e, arguments[0])
    builder = new_builder(e)
    for step in arguments[1:]:
        append(e, builder, step, TEXT)
    path, size = finished(e, arrays.finish_list, builder)
    name = "json_get_text" if call.function.endswith("_text") else "json_get"
    typed = Call(name, (call.arguments[0], Literal(None, array(TEXT))), call.type, True, call.position)
    return _get(e, typed, (value, Text(path, size)), null)


# --- what there is ----------------------------------------------------------------------------------------------------
@function("jsonb_contains")
def _contains(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = (as_text(e, argument) for argument in arguments)
    (found,) = run(e, null, jsonb.contains, a.address, a.length, b.address, b.length)
    return Bool(found, null)


@function("jsonb_exists", "jsonb_exists_any", "jsonb_exists_all")
def _exists(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    value, other = (as_text(e, argument) for argument in arguments)
    if call.function == "jsonb_exists":
        (found,) = run(e, null, jsonb.exists, value.address, value.length, other.address, other.length)
    else:
        kernel = jsonb.exists_any if call.function == "jsonb_exists_any" else jsonb.exists_all
        (found,) = run(e, null, kernel, value.address, value.length, other.address)
    return Bool(found, null)


def kind_of(e: Emitter, call: Call, value: Text, null: I32 | None) -> I32:
    """The tag of the value (form.NULL ... form.OBJECT); NULL where SQL's NULL is."""
    if call.arguments[0].type.id is TypeId.JSONB:
        (tag,) = zeros(e, null, I32)
        with unless_null(e, null):
            tag.set(load("i32.load8_u", value.address))
        return tag
    (found,) = run(e, null, json_parts.tag_of, value.address, value.length)
    return found


@function("json_typeof")
def _typeof(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    tag = kind_of(e, call, as_text(e, arguments[0]), null)
    labels = e.constant_address(label_table(enum_type("kind", KINDS)))
    return view(run(e, null, enum_labels.label_at, tag.to_i64_u(), labels), null)


@function("json_array_length")
def _array_length(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    value = as_text(e, arguments[0])
    tag = kind_of(e, call, value, null)
    with unless_null(e, null):
        e.error_if(tag < form.ARRAY, "22023", "cannot get array length of a scalar", call.position)
        e.error_if(tag == form.OBJECT, "22023", "cannot get array length of a non-array", call.position)
    if call.arguments[0].type.id is TypeId.JSONB:
        (count,) = run(e, null, jsonb.entries, value.address)
    else:
        (count,) = run(e, null, json_parts.json_count, value.address, value.length)
    return Int(count.to_i64_u(), 0, INTEGER.bounds[1], null)


# --- sets -------------------------------------------------------------------------------------------------------------
@function("json_elements", "json_element_texts", "json_keys", "json_values", "json_value_texts")
def _parts(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """An array of the elements, keys or values."""
    value = as_text(e, arguments[0])
    tag = kind_of(e, call, value, null)
    is_binary = call.arguments[0].type.id is TypeId.JSONB
    prefix = "jsonb" if is_binary else "json"
    with unless_null(e, null):
        match call.function:
            case "json_elements" | "json_element_texts":
                e.error_if(tag < form.ARRAY, "22023", "cannot extract elements from a scalar", call.position)
                e.error_if(tag == form.OBJECT, "22023", "cannot extract elements from an object", call.position)
            case "json_keys":
                name = f"{prefix}_object_keys"
                e.error_if(tag < form.ARRAY, "22023", f"cannot call {name} on a scalar", call.position)
                e.error_if(tag == form.ARRAY, "22023", f"cannot call {name} on an array", call.position)
            case _:
                message = f"cannot call {prefix}_each on a non-object"
                e.error_if(tag != form.OBJECT, "22023", message, call.position)
    what = jsonb_changes.KEYS if call.function == "json_keys" else jsonb_changes.VALUES
    if call.function.endswith("texts"):
        what = jsonb_changes.TEXTS
    if is_binary:
        return build_text(e, null, jsonb_changes.parts, value.address, I32.const(what))
    where = (e.worker, value.address, value.length, I32.const(what))
    return view(run(e, null, json_parts.json_parts, *where, failures=ESCAPES, position=call.position), null)


@function("json_fields", "json_field_texts")
def _fields(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """(an array of objects as SQL array, key): the values of the key in each, NULL where there is none."""
    key = as_text(e, arguments[1])
    source = call.arguments[0].type
    element = element_of(source)
    is_binary = element.id is TypeId.JSONB
    target = element_of(call.type)

    def change(item: SqlValue) -> SqlValue:
        object_ = as_text(e, item)
        (tag,) = zeros(e, object_.null, I32)
        with unless_null(e, object_.null):
            if is_binary:
                tag.set(load("i32.load8_u", object_.address))
            else:
                tag.set(e.f.call(e.context.kernel(json_parts.tag_of), object_.address, object_.length))
            message = "argument of jsonb_to_recordset must be an array of objects"
            e.error_if(tag != form.OBJECT, "22023", message, call.position)
        if is_binary:
            found = run(e, object_.null, jsonb.field, object_.address, key.address, key.length)
        else:
            where = (object_.address, object_.length, key.address, key.length)
            found = _run_json(e, call, object_.null, json_parts.json_field, *where)
        part = Text(e.keep(found[0]), e.keep(found[1]), e.f.let(found[1].is_zero(), "missing"))
        text = scalar_text(e, part, is_binary, call.position)
        return text if target.is_text else with_null(part, text.null)

    return mapped(e, as_text(e, arguments[0]), element, target, change)


# --- changed values ---------------------------------------------------------------------------------------------------
CHANGES: dict[int, Error] = {
    jsonb_changes.PATH_NULL: ("22004", "path element is null"),
    jsonb_changes.NOT_AN_INTEGER: ("22P02", "path element is not an integer"),
    jsonb_changes.KEY_EXISTS: ("22023", "cannot replace existing key"),
}


@function("jsonb_concat")
def _concat(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    a, b = (as_text(e, argument) for argument in arguments)
    return build_text(e, null, jsonb_changes.concatenated, a.address, a.length, b.address, b.length)


@function("jsonb_delete")
def _delete(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """jsonb - an index, or an array of keys."""
    value, second = as_text(e, arguments[0]), arguments[1]
    failures: dict[int, Error] = {jsonb_changes.SCALAR: ("22023", "cannot delete from scalar")}
    where = (e.worker, value.address, value.length)
    if isinstance(second, Int):
        failures[jsonb_changes.WRONG_CONTAINER] = ("22023", "cannot delete from object using integer index")
        kernel: Any = jsonb_changes.without_index
        found = run(e, null, kernel, *where, second.value, failures=failures, position=call.position)
    else:
        kernel = jsonb_changes.without_keys
        found = run(e, null, kernel, *where, as_text(e, second).address, failures=failures, position=call.position)
    return view(found, null)


@function("jsonb_delete_path", "jsonb_set", "jsonb_insert")
def _change(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    value, path = (as_text(e, argument) for argument in arguments[:2])
    action = {"jsonb_delete_path": "delete path in scalar"}.get(call.function, "set path in scalar")
    failures = {jsonb_changes.SCALAR: ("22023", f"cannot {action}"), **CHANGES}
    what: I32 = I32.const(jsonb_changes.DELETE)
    new = (I32.const(0), I32.const(0))
    if call.function != "jsonb_delete_path":
        text = as_text(e, arguments[2])
        new = (text.address, text.length)
        flag = arguments[3] if len(arguments) > 3 else None
        assert flag is None or isinstance(flag, Bool)
        if call.function == "jsonb_set":
            create = I32.const(1) if flag is None else flag.value
            what = create * jsonb_changes.CREATE | jsonb_changes.SET
        else:
            after = I32.const(0) if flag is None else flag.value
            what = select(after, I32.const(jsonb_changes.AFTER), I32.const(jsonb_changes.BEFORE))
    where = (e.worker, value.address, value.length, path.address, what, *new)
    return view(run(e, null, jsonb_changes.change_at, *where, failures=failures, position=call.position), null)


@function("json_strip_nulls")
def _strip(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    value = as_text(e, arguments[0])
    if call.arguments[0].type.id is TypeId.JSONB:
        return build_text(e, null, jsonb_changes.stripped, value.address, value.length)
    return view(_run_json(e, call, null, json_parts.json_stripped, value.address, value.length), null)


@function("jsonb_pretty")
def _pretty(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    value = as_text(e, arguments[0])
    return build_text(e, null, jsonb_text.format_jsonb, value.address, value.length, I32.const(0))


@function("json_array_literal")
def _array_literal(e: Emitter, call: Call, arguments: Values, null: I32 | None) -> SqlValue:
    """A jsonb array as the text of an SQL array."""
    value = as_text(e, arguments[0])
    failures: dict[int, Error] = {errors.WRONG_TEXT: ("22P02", "expected JSON array")}
    where = (e.worker, value.address, value.length)
    kernel = json_building.array_literal
    address, length, is_null = run(e, null, kernel, *where, failures=failures, position=call.position)
    return Text(address, length, is_null if null is None else e.f.let(is_null | null, "null"))


__all__ = ["json_of", "to_jsonb"]
