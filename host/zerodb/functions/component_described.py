"""Functions that a component describes itself: zerosys:db/scalar-functions, table-functions and aggregate-functions.

`describe` is called once, when the function is made; what it says is compared with the declaration, and names the
arguments and the volatility that a declaration leaves out. `call` takes the arguments as a record batch.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from zerodb.components.batches import LOWER_BATCH, arrow_column, natural_column, to_record_batch
from zerodb.components.marshal import lift_of, lower_of
from zerodb.components.vals import MalformedError, Ok
from zerodb.components.wit_types import COLUMN, COLUMN_VALUES, EnumOf, ListOf, Primitive, RecordOf, ResultOf
from zerodb.definition.functions import plain_type
from zerodb.functions import component_exports as exports
from zerodb.functions.body import FunctionError
from zerodb.functions.component_functions import by_batches, failure, leaving_out
from zerodb.functions.component_pool import Pool, pool_for, pool_of
from zerodb.functions.component_types import FUNCTION_ERROR, STRING
from zerodb.functions.declaration import Declaration, Exported, mismatch
from zerodb_compiler.errors import DatabaseError, error_for
from zerodb_compiler.sql.definitions.columns import column_type
from zerodb_compiler.sql.external import ExternalFunction, wire_type
from zerodb_compiler.sql.parse import parse_expression
from zerodb_compiler.types import SqlType

if TYPE_CHECKING:
    from zerodb.connection import Connection
    from zerodb.view import View

_SIGNATURE = RecordOf(
    (
        ("name", STRING),
        ("arguments", ListOf(COLUMN)),
        ("results", ListOf(COLUMN)),
        ("volatility", EnumOf(("volatile", "stable", "immutable"))),
        ("strict", Primitive("bool")),
    )
)
_LIFT_SIGNATURES = lift_of(ListOf(_SIGNATURE))
_LIFT_ANSWER = lift_of(ResultOf(COLUMN_VALUES, FUNCTION_ERROR))
_LOWER_NAME = lower_of(STRING)


@dataclass(frozen=True, slots=True)
class Signature:
    """What `describe` says of one function. `interface` is the one that it is in, `name` what `call` takes."""

    interface: str
    kind: str
    name: str
    arguments: tuple[tuple[str, SqlType], ...]
    results: tuple[tuple[str, SqlType], ...]
    volatility: str
    strict: bool

    @property
    def export(self) -> str:
        return f"{self.interface}#{self.name}"

    @property
    def text(self) -> str:
        declared = Declaration(self.name, self.arguments, self.results, "table" if self.kind == "table" else None)
        return declared.text


def signatures(pool: Pool, kind: str, interface: str) -> list[Signature]:
    """What an interface of a component describes. 42P13 if that makes no sense."""
    with pool.instance(interface) as instance:
        describe = instance.export(f"{interface}#describe")
        assert describe is not None, "the interface is exported"
        found = describe([], [], _LIFT_SIGNATURES)
    made = []
    for record in found:
        arguments = tuple(_column(record["name"], column) for column in record["arguments"])
        results = tuple(_column(record["name"], column) for column in record["results"])
        if kind != "table" and len(results) != 1:
            message = f'the component describes {kind} function "{record["name"]}" with {len(results)} results'
            raise error_for("42P13", message)
        made.append(
            Signature(interface, kind, record["name"], arguments, results, record["volatility"], record["strict"])
        )
    return made


def _column(function: str, column: dict[str, Any]) -> tuple[str, SqlType]:
    text = column["data-type"]
    try:
        cast = parse_expression(f"cast(null as {text})")
        return column["name"], plain_type(column_type(cast.args["to"], None))
    except (DatabaseError, KeyError) as error:
        message = f'the component describes function "{function}" with the type "{text}", which does not exist'
        raise error_for("42P13", message) from error


def described(
    connection: Connection, content: bytes, declared: Declaration, interfaces: Collection[str]
) -> Exported | None:
    """The function that a component describes for a declaration; None if it describes none of that name. 42804 if its
    types are others than those declared."""
    kinds = [declared.kind] if declared.kind is not None else ["scalar", "aggregate", "table"]
    wanted = declared.export or declared.name
    for kind in kinds:
        interface = exports.DESCRIBING[kind]
        if interface not in interfaces:
            continue
        try:
            found = signatures(pool_for(connection._database, content), kind, interface)
        except FunctionError as error:
            raise error_for(error.sqlstate, f"describe of {interface} failed: {error.message}") from None
        for signature in found:
            if wanted in (signature.name, signature.export) or _same(signature.name, wanted):
                return _compared(signature, declared)
    return None


def _same(name: str, wanted: str) -> bool:
    return exports.wit_name(name) == exports.wit_name(wanted)


def _compared(signature: Signature, declared: Declaration) -> Exported:
    if signature.kind == "table" and declared.kind != "table":
        hint = "declare it with RETURNS TABLE (...)"
        raise error_for("42P13", f"{signature.name} is a table function: {signature.text}", hint=hint)
    types = [type_ for _, type_ in declared.arguments]
    results = [type_ for _, type_ in declared.results]
    if types != [type_ for _, type_ in signature.arguments] or results != [type_ for _, type_ in signature.results]:
        what = f"function {declared.name}"
        raise mismatch(what, declared.text, signature.text, "the types of arguments and results have to be the same")
    if declared.strict is False and signature.strict:
        raise error_for("42P13", f"function {declared.name} takes no NULLs: the component describes it as strict")
    strict = signature.strict or bool(declared.strict)
    return Exported(signature.export, signature.kind, strict, signature.volatility)


def described_body(view: View, function: ExternalFunction, data: dict[str, Any], content: bytes) -> Any:
    """The body of a described function."""
    from zerodb.functions import component_sets, component_triggers

    pool, export = pool_of(view, content, data["digest"]), data["export"]
    match function.kind:
        case "table":
            return component_sets.table_body(pool, function, export)
        case "aggregate":
            return component_sets.aggregate_body(pool, function, export)
        case "trigger":
            return component_triggers.ComponentTrigger(pool, function.signature, export)
    return DescribedBody(pool, function, export)


class DescribedBody:
    """A FunctionBody over zerosys:db/scalar-functions."""

    def __init__(self, pool: Pool, function: ExternalFunction, export: str) -> None:
        self._pool, self._function, self._name = pool, function, function.signature
        interface, _, self._described = export.rpartition("#")
        self._call = f"{interface}#call"
        self._text = wire_type(function.result) != function.result
        self._whole = [function.strict] * len(function.arguments)

    def call(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array:
        return leaving_out(arguments, rows, self._whole, functools.partial(by_batches, call=self._batch))

    def _batch(self, arguments: Sequence[pa.Array], rows: int) -> pa.Array:
        batch = to_record_batch(arguments, self._function.arguments, rows)
        with self._pool.instance(self._name) as instance:
            export = instance.export(self._call)
            assert export is not None, "the interface is exported"
            answer = export([_LOWER_NAME, LOWER_BATCH], [self._described, batch], _LIFT_ANSWER)
        if not isinstance(answer, Ok):
            raise failure(answer.value, rows)
        try:
            if self._text:
                return natural_column(answer.value, rows)
            return arrow_column(answer.value, self._function.result, rows)
        except MalformedError as error:
            raise FunctionError(str(error), "22P03") from None
        except DatabaseError as error:
            raise FunctionError(error.message, error.sqlstate) from None

    def close(self) -> None:
        self._pool.close()
