"""The variables of a PL/pgSQL function: by name, block by block, and what is assigned to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zerodb.functions.canonical import assigned
from zerodb.functions.nested import Record, Variable
from zerodb_compiler.errors import Error, error_for
from zerodb_compiler.nested import Array, decode_array, decode_record, encode_array
from zerodb_compiler.plpgsql import tree
from zerodb_compiler.sql.values import Value
from zerodb_compiler.sql.variables import Path
from zerodb_compiler.types import SqlType, TypeId

if TYPE_CHECKING:
    from zerodb.view import View

Row = Sequence[tuple[str, SqlType, Value]]  # the values of a row, with their columns


@dataclass(slots=True)
class Declared(Variable):
    """A variable that was declared with more than a type."""

    constant: bool = False
    not_null: bool = False


@dataclass(slots=True)
class RowRecord(Record):
    """A record of the columns that its type says."""

    constant: bool = False


@dataclass(slots=True)
class Scope:
    """The variables of a block, and of those around it (nested.Names)."""

    outer: Scope | None = None
    numbered: Sequence[Variable] = ()
    ambiguous: bool = True
    named: dict[Path, Variable | Record] = field(default_factory=dict)

    def inner(self) -> Scope:
        return Scope(self, self.numbered)

    def put(self, name: str, entry: Variable | Record, *labels: str | None) -> None:
        self.named[name,] = entry
        for label in labels:
            if label is not None:
                self.named[label, name] = entry

    def find(self, path: Path) -> Variable | Record | None:
        scope: Scope | None = self
        while scope is not None:
            found = scope.named.get(path)
            if found is not None:
                return found
            if len(path) > 1:
                record = scope.named.get(path[:-1])
                if isinstance(record, Record):
                    fields = record.fields
                    if fields is None:
                        hint = "The tuple structure of a not-yet-assigned record is indeterminate."
                        raise error_for("55000", f'record "{path[-2]}" is not assigned yet', hint=hint)
                    return next((variable for name, variable in fields if name == path[-1]), None)
            scope = scope.outer
        return None

    def target(self, target: tree.Target) -> Variable | Record:
        """What a statement assigns to. 42601 if it is no variable."""
        if target.path[0].startswith("$"):
            number = int(target.path[0][1:])
            if 0 < number <= len(self.numbered):
                return self.numbered[number - 1]
        found = self.find(target.path)
        whole = self.find(target.path[:-1]) if len(target.path) > 1 else found
        if isinstance(whole, Record):
            whole.is_null = False
        if found is not None:
            return found
        if len(target.path) > 1 and isinstance(self.find(target.path[:-1]), Record):
            message = f'record "{target.path[-2]}" has no field "{target.path[-1]}"'
            raise error_for("42703", message, position=target.position)
        message = f'"{".".join(target.path)}" is not a known variable'
        raise error_for("42601", message, position=target.position)


# --- assignments ------------------------------------------------------------------------------------------------------


def assign(entry: Variable | Record, name: str, value: Value, type_: SqlType) -> None:
    """Gives a variable a value of some type."""
    if isinstance(entry, Record):
        _assign_whole(entry, name, value, type_)
        return
    made = assigned(value, type_, entry.type)
    if isinstance(entry, Declared):
        if entry.constant:
            raise error_for("22005", f'variable "{name}" is declared CONSTANT')
        if entry.not_null and made is None:
            raise error_for("22004", f'null value cannot be assigned to variable "{name}" declared NOT NULL')
    entry.value = made


def _assign_whole(record: Record, name: str, value: Value, type_: SqlType) -> None:
    """Gives a record the fields of a composite value; NULL makes all of them NULL."""
    if value is None:
        for _, variable in record.fields or ():
            variable.value = None
        return
    if type_.id is not TypeId.STRUCT or not isinstance(value, bytes):
        raise error_for("42804", f"cannot assign non-composite value to a record variable ({name})")
    types = [field_type for _, field_type in type_.fields]
    values = decode_record(types, value)
    assign_row(record, [(part, kind, cell) for (part, kind), cell in zip(type_.fields, values, strict=True)])


def assign_row(record: Record, row: Row | None) -> None:
    """Gives a record the values of a row; None: NULLs."""
    if isinstance(record, RowRecord):
        assert record.fields is not None
        if record.constant:
            raise error_for("22005", "the variable is declared CONSTANT")
        given = list(row or ())
        for place, (_, variable) in enumerate(record.fields):
            if place >= len(given):
                variable.value = None
                continue
            _, type_, value = given[place]
            variable.value = assigned(value, type_, variable.type)
        return
    if row is None:
        for _, variable in record.fields or ():
            variable.value = None
        return
    record.fields = [(name, Variable(type_, value)) for name, type_, value in row]


def element_assigned(type_: SqlType, array: Value, places: Sequence[int], value: Value) -> Value:
    """The array with another element; it grows where the place is beside its end."""
    assert type_.element is not None
    if len(places) != 1:
        raise error_for("0A000", "assigning to an element of an array of several dimensions is not supported")
    (place,) = places
    if array is None:
        return encode_array(type_, _array([value], place))
    assert isinstance(array, bytes)
    found = decode_array(type_, array)
    if len(found.dimensions) > 1:
        raise error_for("2202E", "wrong number of array subscripts")
    values = list(found.elements)
    low = found.dimensions[0][1] if found.dimensions else place
    if place < low:
        values = [value, *[None] * (low - place - 1), *values]
        low = place
    elif place - low >= len(values):
        values += [None] * (place - low - len(values)) + [value]
    else:
        values[place - low] = value
    return encode_array(type_, _array(values, low))


def _array(values: Sequence[Value], low: int) -> Array:
    return Array(((len(values), low),), tuple(values))


# --- declarations -----------------------------------------------------------------------------------------------------


def declared(view: View, scope: Scope, type_: tree.TypeName) -> Variable | Record:
    """An empty variable of the type. 42704, 42P01, 42703 if there is none."""
    from zerodb.definition.bodies import row_type
    from zerodb.functions.python_functions import sql_type_named

    match type_.kind:
        case "record":
            return Record()
        case "row":
            found = row_type(view, type_.text)
            if found is None:
                raise error_for("42P01", f'relation "{type_.text}" does not exist', position=type_.position)
            return _row(found)
        case "column":
            return _like(view, scope, type_)
    try:
        named = sql_type_named(view, type_.text)
    except Error as error:
        row = row_type(view, type_.text) if error.sqlstate == "42704" else None
        if row is None:
            error.position = type_.position
            raise
        return _row(row)
    return _row(named) if named.id is TypeId.STRUCT else Declared(named)


def _row(type_: SqlType) -> RowRecord:
    return RowRecord(type_.name, fields=[(name, Variable(field_type)) for name, field_type in type_.fields])


def _like(view: View, scope: Scope, type_: tree.TypeName) -> Variable | Record:
    from zerodb.definition.bodies import row_type

    path = tuple(part.strip().strip('"').lower() for part in type_.text.split("."))
    found = scope.find(path)
    if isinstance(found, Variable):
        return Declared(found.type)
    if isinstance(found, RowRecord):
        return RowRecord(found.name, fields=[(name, Variable(part.type)) for name, part in found.fields or ()])
    if len(path) > 1:
        row = row_type(view, ".".join(path[:-1]))
        if row is None:
            relation = ".".join(path[:-1])
            raise error_for("42P01", f'relation "{relation}" does not exist', position=type_.position)
        column = dict(row.fields).get(path[-1])
        if column is None:
            message = f'column "{path[-1]}" of relation "{path[-2]}" does not exist'
            raise error_for("42703", message, position=type_.position)
        return Declared(column)
    raise error_for("42704", f'variable "{type_.text}" does not exist', position=type_.position)
