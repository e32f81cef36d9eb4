"""What functions a component has: its own exports, typed in WIT, and those that it describes itself.

An export is named as CREATE FUNCTION names it: `slug`, `some:package/interface#slug`, or, of the self-describing
interfaces, `zerosys:db/scalar-functions@0.1.0#slug`. SQL's underscores are WIT's dashes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import wasmtime
from wasmtime.component import Component, ComponentInstanceType, FuncType

from zerodb.components.wit_types import WitType, from_wasmtime
from zerodb.functions.component_types import Shape, fits, shapes, wit_of
from zerodb.functions.declaration import Declaration, mismatch
from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_compiler.types import SqlType

PACKAGE = "zerosys:db/"
VERSION = "@0.1.0"
DESCRIBING = {
    "scalar": f"{PACKAGE}scalar-functions{VERSION}",
    "table": f"{PACKAGE}table-functions{VERSION}",
    "aggregate": f"{PACKAGE}aggregate-functions{VERSION}",
}
TRIGGERS = f"{PACKAGE}trigger-functions{VERSION}"


@dataclass(frozen=True, slots=True)
class OwnExport:
    """`text` is its type as far as it can be written; `shapes` are the ways to call it, none if SQL cannot."""

    path: str
    text: str
    shapes: tuple[Shape, ...]

    @property
    def name(self) -> str:
        return self.path.rpartition("#")[2]


def wit_name(name: str) -> str:
    return name.lower().replace("_", "-")


def sql_name(name: str) -> str:
    return name.replace("-", "_")


def interfaces(component: Component, engine: wasmtime.Engine) -> frozenset[str]:
    """The interfaces that it exports."""
    found = component.type.exports(engine)
    return frozenset(name for name, type_ in found.items() if isinstance(type_.ty, ComponentInstanceType))


def own_exports(component: Component, engine: wasmtime.Engine) -> list[OwnExport]:
    """The functions that it exports, without those of the interfaces that zerodb knows."""
    found: list[OwnExport] = []
    for name, extern in component.type.exports(engine).items():
        type_ = extern.ty
        if isinstance(type_, FuncType):
            found.append(_own(name, type_))
        elif isinstance(type_, ComponentInstanceType) and not name.startswith((PACKAGE, "wasi:")):
            for inner, inner_extern in type_.exports(engine).items():
                inner_type = inner_extern.ty
                if isinstance(inner_type, FuncType):
                    found.append(_own(f"{name}#{inner}", inner_type))
    return found


def _own(path: str, type_: FuncType) -> OwnExport:
    try:
        parameters = tuple((name, from_wasmtime(parameter)) for name, parameter in type_.params)
        result = None if type_.result is None else from_wasmtime(type_.result)
    except TypeError as error:
        return OwnExport(path, str(error), ())
    return OwnExport(path, _text(parameters, result), tuple(shapes(parameters, result)))


def _text(parameters: Sequence[tuple[str, WitType]], result: WitType | None) -> str:
    found = shapes(tuple(parameters), result)
    if found:
        return str(found[0])
    given = ", ".join(f"{name}: {parameter}" for name, parameter in parameters)
    return f"func({given}){'' if result is None else f' -> {result}'}"


def matching(export: OwnExport, declared: Declaration) -> Shape:
    """The way to call an export that a declaration means. 42804 if its types are others than those declared."""
    for shape in export.shapes:
        if len(shape.arguments) == len(declared.arguments) and not any(_differences(shape, declared)):
            return shape
    what = f"function {declared.text}"
    if not export.shapes:
        hint = "arguments and the result are list<T>, list<option<T>>, T or option<T>"
        raise error_for("42804", f"{what}: the export {export.path} is no function for SQL: {export.text}", hint=hint)
    shape = export.shapes[0]
    if len(shape.arguments) != len(declared.arguments):
        counts = len(declared.arguments), f"{len(shape.arguments)}: {export.text}"
        raise mismatch(f"the number of arguments of {what}", *counts)
    raise next(_differences(shape, declared))


def _differences(shape: Shape, declared: Declaration) -> Iterator[DatabaseError]:
    pairs = zip(declared.arguments, shape.arguments, strict=True)
    for number, ((name, type_), (wit, slot)) in enumerate(pairs, 1):
        if not fits(type_, slot.type, argument=True):
            what = f'argument "{name}"' if name else f"argument {number}"
            raise_with = f"{what} of function {declared.name}"
            yield mismatch(raise_with, _asked(type_, shape), f"{wit}: {slot}", f"the export is {shape}")
    type_ = declared.results[0][1]
    if not fits(type_, shape.result.type, argument=False):
        what = f"the result of function {declared.name}"
        yield mismatch(what, _asked(type_, shape), str(shape.result), f"the export is {shape}")


def _asked(type_: SqlType, shape: Shape) -> str:
    wit = wit_of(type_)
    return f"{type_} ({f'list<{wit}>' if shape.batch else wit})"
