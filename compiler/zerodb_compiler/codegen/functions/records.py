"""Records: ROW(...), fields, casts and comparison. A record is an array of one dimension with a type for each place."""

from __future__ import annotations

from typing import Any

from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.expressions import Result, comparable, function
from zerodb_compiler.codegen.functions.arrays import null_of_element, output_text
from zerodb_compiler.codegen.functions.calling import as_text, build_text, check, run, unless_null, zeros
from zerodb_compiler.codegen.functions.elements import append, built, element_at, finished, new_builder
from zerodb_compiler.codegen.functions.sort_keys import sort_key_of
from zerodb_compiler.codegen.sqlvalues import Bool, Real, SqlValue, Text
from zerodb_compiler.kernels import array_text, arrays, errors
from zerodb_compiler.sql.expressions import Call, Literal
from zerodb_compiler.types import TEXT, SqlType, TypeId
from zerodb_compiler.wasm.values import F64, I32


@function("row")
def _row(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    builder = new_builder(e)
    for value, (_, type_) in zip(arguments, call.type.fields, strict=True):
        append(e, builder, value, type_)
    return Text(*finished(e, arrays.finish_record, builder))


@function("field")
def _field(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    """(record, place from 0)."""
    place = call.arguments[1]
    assert isinstance(place, Literal)
    assert isinstance(place.value, int)
    record = as_text(e, arguments[0])
    target = Result(e, [null_of_element(call.type)])
    target.set(null_of_element(call.type))
    with unless_null(e, null):
        target.set(element_at(e, record.address, I32.const(place.value), call.type))
    return target.value


@function("record_is_null", "record_is_not_null")
def _is_null(e: Emitter, call: Call, arguments: tuple[SqlValue, ...], null: I32 | None) -> SqlValue:
    """Whether all fields are NULL, or none is; a NULL record is all NULL."""
    record = as_text(e, arguments[0])
    wants_null = call.function == "record_is_null"
    (found,) = run(e, null, arrays.all_null if wants_null else arrays.none_null, record.address)
    if null is None or not wants_null:
        return Bool(found)
    return Bool(e.f.let(found | null, "is_null"))


def cast_record(e: Emitter, value: SqlValue, source: SqlType, target: SqlType, position: int | None) -> SqlValue:
    """Between records, field by field; text to record and record to text."""
    from zerodb_compiler.codegen.casts import cast
    from zerodb_compiler.codegen.functions.text_casts import to_length

    record = as_text(e, value)
    if target.is_text:
        texts = _changed(e, record, source, [TEXT] * len(source.fields), output_text)
        shown = build_text(e, texts.null, array_text.format_record, texts.address, texts.length)
        return to_length(e, shown, target, position)
    types = [type_ for _, type_ in target.fields]
    if source.is_text:
        address, length = zeros(e, record.null, I32, I32)
        with unless_null(e, record.null):
            parts = (record.address, record.length, I32.const(len(types)))
            found = e.f.run(e.context.kernel(array_text.parse_record), e.worker, *parts)
            check(e, found[2], {errors.INVALID_TEXT: ("22P02", "malformed record literal")}, position)
            address.set(found[0])
            length.set(found[1])
        record = Text(address, length, record.null)
        source = SqlType(TypeId.STRUCT, fields=tuple((name, TEXT) for name, _ in target.fields))
    if [type_ for _, type_ in source.fields] == types:
        return record
    wanted = iter(types)
    return _changed(e, record, source, types, lambda e, item, type_: cast(e, item, type_, next(wanted), position))


def _changed(e: Emitter, record: Text, source: SqlType, types: list[SqlType], change: Any) -> Text:
    """The record of the changed fields: `change(e, field, its type)`."""

    def make() -> tuple[Any, Any]:
        builder = new_builder(e)
        for place, ((_, given), type_) in enumerate(zip(source.fields, types, strict=True)):
            field = element_at(e, record.address, I32.const(place), given)
            append(e, builder, change(e, field, given), type_)
        return finished(e, arrays.finish_record, builder)

    return built(e, record.null, make)


def key_bytes(e: Emitter, value: SqlValue, type_: SqlType) -> tuple[SqlValue, SqlType]:
    """The value and type whose element bytes compare as values of the type do."""
    if type_.has_order_key:
        return comparable(e, value, type_), type_.sort_key_type
    if isinstance(value, Real):  # -0 is 0
        return Real(value.value + F64.const(0.0), value.single, value.null), type_
    return value, type_


@sort_key_of(TypeId.STRUCT)
def _sort_key(e: Emitter, value: SqlValue, type_: SqlType, null: I32 | None) -> SqlValue:
    record = as_text(e, value)

    def make() -> tuple[Any, Any]:
        builder = new_builder(e)
        for place, (_, field_type) in enumerate(type_.fields):
            field = element_at(e, record.address, I32.const(place), field_type)
            append(e, builder, *key_bytes(e, field, field_type))
        keys, size = finished(e, arrays.finish_record, builder)
        return finished(e, arrays.array_key, keys, size, I32.const(arrays.BYTES), I32.const(0))

    return built(e, record.null, make)


__all__ = ["cast_record", "key_bytes"]
