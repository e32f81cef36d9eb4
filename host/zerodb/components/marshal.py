"""Readers and writers of values by their component types, made once for each type: vals.py goes by the value alone,
this also uses Arrow for lists and takes what a guest's own exports are typed with.

    record      a mapping by name; written also from a tuple of the fields in order
    variant     Variant(tag, payload)          enum      str
    option<T>   T or None                      result    Ok(value) or Err(value)
    resources   wasmtime's ResourceAny         list<T>   see lists.py

Readers look at the kind of each value before they believe it, so that what a guest's binary claims about its types
cannot make them read what is not there. MalformedError where a value is not of its type.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping
from struct import Struct
from struct import error as StructError
from typing import Any

from wasmtime import _ffi as ffi
from wasmtime.component import ResourceAny

from zerodb.components import vals
from zerodb.components.lists import KINDS, list_reader, list_writer
from zerodb.components.vals import ENTRY_BYTES, MEMORY, VAL_BYTES, Arena, Err, Lower, MalformedError, Ok, Variant
from zerodb.components.wit_types import (
    COLUMN_DATA,
    EnumOf,
    Handle,
    ListOf,
    OptionOf,
    Primitive,
    RecordOf,
    ResultOf,
    TupleOf,
    VariantOf,
    WitType,
)

Lift = Callable[[int], Any]  # reads the value whose val is at an address

_two_words = Struct("<QQ").unpack_from
_three_words = Struct("<QQQ").unpack_from
_put_two = Struct("<QQ").pack_into
_put_three = Struct("<QQQ").pack_into
_any_clone = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(("wasmtime_component_resource_any_clone", ffi.dll))
_RESOURCE = ctypes.POINTER(ffi.wasmtime_component_resource_any_t)


def _expect(at: int, kind: int, name: object) -> None:
    if MEMORY[at] != kind:
        raise MalformedError(f"a value of another type than {name}")


def _unsupported(type_: WitType) -> TypeError:
    return TypeError(f"values of the component type {type_} are not supported")


# --- reading --------------------------------------------------------------------------------------------------------


@functools.lru_cache(1000)
def lift_of(type_: WitType, *, arrow: bool = False) -> Lift:
    """How to read values of a type; `arrow`: lists as Arrow arrays where lists.py says so. Column data always is."""
    arrow = arrow or type_ == COLUMN_DATA
    match type_:
        case Primitive(name=name):
            return _checked(KINDS[name], type_)
        case ListOf(element=element):
            return _lift_list(element, arrow)
        case RecordOf(fields=fields):
            return _lift_record([(name, lift_of(field, arrow=arrow)) for name, field in fields])
        case TupleOf(elements=elements):
            return _lift_tuple([lift_of(element, arrow=arrow) for element in elements])
        case VariantOf(cases=cases):
            return _lift_variant({n.encode(): (n, None if t is None else lift_of(t, arrow=arrow)) for n, t in cases})
        case EnumOf():
            return _checked(vals.ENUM, type_)
        case OptionOf(payload=payload):
            if isinstance(payload, OptionOf):
                raise _unsupported(type_)
            return _lift_option(lift_of(payload, arrow=arrow))
        case ResultOf(ok=ok, err=err):
            return _lift_result(
                None if ok is None else lift_of(ok, arrow=arrow), None if err is None else lift_of(err, arrow=arrow)
            )
        case Handle():
            return _lift_resource


def _checked(kind: int, type_: WitType) -> Lift:
    def lift(at: int) -> Any:
        _expect(at, kind, type_)
        return vals.lift(at)

    return lift


def _lift_list(element: WitType, arrow: bool) -> Lift:
    at_once = list_reader(element, arrow=arrow)
    one = lift_of(element, arrow=arrow) if at_once is None else None

    def lift(at: int) -> Any:
        _expect(at, vals.LIST, "a list")
        size, start = _two_words(MEMORY, at + 8)
        if at_once is not None:
            return at_once(start, size)
        assert one is not None
        return [one(place) for place in range(start, start + size * VAL_BYTES, VAL_BYTES)]

    return lift


def _lift_record(fields: list[tuple[str, Lift]]) -> Lift:
    places = [(name, field, index * ENTRY_BYTES + 16) for index, (name, field) in enumerate(fields)]

    def lift(at: int) -> dict[str, Any]:
        _expect(at, vals.RECORD, "a record")
        size, start = _two_words(MEMORY, at + 8)
        if size != len(places):
            raise MalformedError(f"a record of {size} fields in place of {len(places)}")
        return {name: field(start + place) for name, field, place in places}

    return lift


def _lift_tuple(elements: list[Lift]) -> Lift:
    def lift(at: int) -> tuple[Any, ...]:
        _expect(at, vals.TUPLE, "a tuple")
        size, start = _two_words(MEMORY, at + 8)
        if size != len(elements):
            raise MalformedError(f"a tuple of {size} in place of {len(elements)}")
        return tuple([element(start + index * VAL_BYTES) for index, element in enumerate(elements)])

    return lift


def _lift_variant(cases: Mapping[bytes, tuple[str, Lift | None]]) -> Lift:
    def lift(at: int) -> Variant:
        _expect(at, vals.VARIANT, "a variant")
        size, start, payload = _three_words(MEMORY, at + 8)
        found = cases.get(bytes(MEMORY[start : start + size]))
        if found is None or (found[1] is not None) != bool(payload):
            raise MalformedError("a variant of another type")
        name, inner = found
        return Variant(name) if inner is None else Variant(name, inner(payload))

    return lift


def _lift_option(payload: Lift) -> Lift:
    def lift(at: int) -> Any:
        _expect(at, vals.OPTION, "an option")
        address = _two_words(MEMORY, at + 8)[0]
        return payload(address) if address else None

    return lift


def _lift_result(ok: Lift | None, err: Lift | None) -> Lift:
    def lift(at: int) -> Ok | Err:
        _expect(at, vals.RESULT, "a result")
        is_ok, address = MEMORY[at + 8], _two_words(MEMORY, at + 8)[1]
        inner = ok if is_ok else err
        if (inner is not None) != bool(address):
            raise MalformedError("a result of another type")
        value = None if inner is None else inner(address)
        return Ok(value) if is_ok else Err(value)

    return lift


def _lift_resource(at: int) -> ResourceAny:
    _expect(at, vals.RESOURCE, "a resource")
    address = _any_clone(_two_words(MEMORY, at + 8)[0])
    found: ResourceAny = ResourceAny._from_ptr(ctypes.cast(address, _RESOURCE))
    return found


# --- writing --------------------------------------------------------------------------------------------------------


@functools.lru_cache(1000)
def lower_of(type_: WitType) -> Lower:
    """How to write values of a type."""
    match type_:
        case Primitive(name="string"):
            return _lower_string
        case Primitive(name="char"):
            return vals.lower_char
        case Primitive(name=name):
            return _lower_number(name)
        case ListOf(element=element):
            return _lower_list(element)
        case RecordOf(fields=fields):
            return _lower_record([(name, lower_of(field)) for name, field in fields])
        case TupleOf(elements=elements):
            return vals.tuple_of([lower_of(element) for element in elements])
        case VariantOf(cases=cases):
            return vals.variant_of({name: None if case is None else lower_of(case) for name, case in cases})
        case EnumOf(names=names):
            return vals.enum_of(names)
        case OptionOf(payload=payload):
            if isinstance(payload, OptionOf):
                raise _unsupported(type_)
            return vals.option_of(lower_of(payload))
        case ResultOf(ok=ok, err=err):
            return vals.result_of(None if ok is None else lower_of(ok), None if err is None else lower_of(err))
        case Handle():
            return _lower_resource


def _lower_string(value: Any, arena: Arena, at: int) -> None:
    if not isinstance(value, str):
        raise MalformedError(f"{type(value).__name__} in place of string")
    vals.lower_string(value, arena, at)


def _lower_number(name: str) -> Lower:
    lower = vals.NUMBERS[KINDS[name]]
    wanted: type | tuple[type, ...] = bool if name == "bool" else (float, int) if name[0] == "f" else int

    def checked(value: Any, arena: Arena, at: int) -> None:
        if not isinstance(value, wanted) or (name != "bool" and isinstance(value, bool)):
            raise MalformedError(f"{type(value).__name__} in place of {name}")
        try:
            lower(value, arena, at)
        except (StructError, OverflowError) as error:
            raise MalformedError(f"{value} is no {name}: {error}") from None

    return checked


def _lower_list(element: WitType) -> Lower:
    at_once = list_writer(element)
    if at_once is None:
        return vals.list_of(lower_of(element))

    def lower(values: Any, arena: Arena, at: int) -> None:
        size, start = at_once(values, arena)
        _put_three(MEMORY, at, vals.LIST, size, start)

    return lower


def _lower_record(fields: list[tuple[str, Lower]]) -> Lower:
    names = [name for name, _ in fields]
    lower_mapping = vals.record_of(fields)

    def lower(value: Any, arena: Arena, at: int) -> None:
        if isinstance(value, tuple):
            value = dict(zip(names, value, strict=True))
        if not isinstance(value, Mapping) or value.keys() != set(names):
            raise MalformedError(f"a record of {', '.join(names)} was expected")
        lower_mapping(value, arena, at)

    return lower


def _lower_resource(value: Any, arena: Arena, at: int) -> None:
    if not isinstance(value, ResourceAny):
        raise MalformedError(f"{type(value).__name__} in place of a resource")
    _put_two(MEMORY, at, vals.RESOURCE, ctypes.addressof(value.ptr().contents))


__all__ = ["Lift", "lift_of", "lower_of"]
