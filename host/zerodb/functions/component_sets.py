"""Table functions and aggregates in components: zerosys:db/table-functions and aggregate-functions.

    table       call(name, values) -> rows;  rows.next-batch(n), until there are no more
    aggregate   start(name) -> states;  states.update(group count, groups, arguments) ...;  states.finish()

The resources live in the instance that made them, which is kept for one call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from zerodb.components.batches import arrow_column, case_of, natural_column, to_record_batch
from zerodb.components.guest_values import to_values
from zerodb.components.instance import Export, Instance
from zerodb.components.marshal import lift_of, lower_of
from zerodb.components.vals import MalformedError, Ok, Variant
from zerodb.components.wit_types import COLUMN_VALUES, RECORD_BATCH, U32, VALUE, Handle, ListOf, OptionOf, ResultOf
from zerodb.functions.aggregates import AggregateBody, Groups, States
from zerodb.functions.body import FunctionError
from zerodb.functions.component_functions import failure
from zerodb.functions.component_pool import Pool
from zerodb.functions.component_types import FUNCTION_ERROR, STRING
from zerodb.functions.table_functions import TableBody
from zerodb_compiler.errors import DatabaseError
from zerodb_compiler.sql.external import ExternalFunction, wire_type
from zerodb_compiler.types import SqlType

if TYPE_CHECKING:
    from wasmtime.component import ResourceAny

BATCH_ROWS = 4_096
_OWN, _BORROW = Handle(True), Handle(False)
_LOWER_NAME, _LOWER_SELF, _LOWER_COUNT = lower_of(STRING), lower_of(_BORROW), lower_of(U32)
_LOWER_VALUES, _LOWER_GROUPS, _LOWER_BATCH = lower_of(ListOf(VALUE)), lower_of(ListOf(U32)), lower_of(RECORD_BATCH)
_LIFT_RESOURCE = lift_of(ResultOf(_OWN, FUNCTION_ERROR))
_LIFT_BATCH = lift_of(ResultOf(OptionOf(RECORD_BATCH), FUNCTION_ERROR))
_LIFT_NOTHING = lift_of(ResultOf(None, FUNCTION_ERROR))
_LIFT_COLUMN = lift_of(ResultOf(COLUMN_VALUES, FUNCTION_ERROR))


class _Resource:
    """A resource of an instance, with the methods of its interface."""

    def __init__(self, instance: Instance, interface: str, kind: str, found: ResourceAny) -> None:
        self._instance, self._prefix, self._found = instance, f"{interface}#[method]{kind}.", found

    def call(self, method: str, lowers: Sequence[Any], arguments: Sequence[Any], lift: Any) -> Any:
        export = _export(self._instance, self._prefix + method)
        return export([_LOWER_SELF, *lowers], [self._found, *arguments], lift)

    def drop(self) -> None:
        if not self._instance.is_broken:
            self._instance.enter(lambda: self._found.drop(self._instance._store))


def _export(instance: Instance, name: str) -> Export:
    found = instance.export(name)
    assert found is not None, "the interface is exported"
    return found


def _ok(answer: Any, rows: int) -> Any:
    if not isinstance(answer, Ok):
        raise failure(answer.value, rows)
    return answer.value


@contextlib.contextmanager
def _open(
    pool: Pool, name: str, interface: str, kind: str, call: str, lowers: Sequence[Any], arguments: Sequence[Any]
) -> Iterator[_Resource]:
    """The resource that a function of the interface makes; dropped in the end."""
    with pool.instance(name) as instance:
        found = _ok(_export(instance, f"{interface}#{call}")(lowers, arguments, _LIFT_RESOURCE), 0)
        resource = _Resource(instance, interface, kind, found)
        try:
            yield resource
        finally:
            resource.drop()


@contextlib.contextmanager
def _checked() -> Iterator[None]:
    """What a component gives that does not fit its own description."""
    try:
        yield
    except MalformedError as error:
        raise FunctionError(str(error), "22P03") from None
    except DatabaseError as error:
        raise FunctionError(error.message, error.sqlstate) from None


def _column(values: Any, type_: SqlType, rows: int) -> pa.Array:
    """A column that a component gave. Types that SQL's functions do not deal in stay text."""
    return arrow_column(values, type_, rows) if wire_type(type_) == type_ else natural_column(values, rows)


# --- table functions --------------------------------------------------------------------------------------------------


def table_body(pool: Pool, function: ExternalFunction, export: str) -> TableBody:
    interface, _, described = export.rpartition("#")
    types = [type_ for _, type_ in function.results]

    def produce(arguments: Sequence[pa.Array], row: int) -> Iterator[Sequence[pa.Array]]:
        values = [_value(argument[row], type_) for argument, type_ in zip(arguments, function.arguments, strict=True)]
        lowers, given = [_LOWER_NAME, _LOWER_VALUES], [described, values]
        with _open(pool, function.signature, interface, "rows", "call", lowers, given) as rows:
            while True:
                answer = rows.call("next-batch", [_LOWER_COUNT], [BATCH_ROWS], _LIFT_BATCH)
                batch = _ok(answer, 0)
                if batch is None:
                    return
                with _checked():
                    columns = _columns(batch, types)
                yield columns

    return TableBody(function.results, produce, pool.close)


def _columns(batch: Any, types: Sequence[SqlType]) -> list[pa.Array]:
    count, columns = batch["row-count"], batch["columns"]
    if len(columns) != len(types):
        raise MalformedError(f"a record batch has {len(columns)} columns, not {len(types)}")
    return [_column(column, type_, count) for column, type_ in zip(columns, types, strict=True)]


def _value(value: pa.Scalar, type_: SqlType) -> Variant:
    """An argument as a WIT value."""
    found = value.as_py()
    if found is not None and wire_type(type_) != type_:  # text in SQL's form
        return Variant(case_of(type_).removesuffix("s"), found)
    return to_values([found], [type_])[0]


# --- aggregates -------------------------------------------------------------------------------------------------------


def aggregate_body(pool: Pool, function: ExternalFunction, export: str) -> AggregateBody:
    interface, _, described = export.rpartition("#")

    @contextlib.contextmanager
    def start() -> Iterator[States]:
        with _open(pool, function.signature, interface, "states", "start", [_LOWER_NAME], [described]) as states:
            yield _ComponentStates(states, function)

    return AggregateBody(function.arguments, start, strict=function.strict, close=pool.close)


class _ComponentStates:
    def __init__(self, states: _Resource, function: ExternalFunction) -> None:
        self._states, self._function = states, function

    def update(self, group_count: int, groups: Groups, arguments: Sequence[pa.Array]) -> None:
        batch = to_record_batch(arguments, self._function.arguments, len(groups))
        lowers = [_LOWER_COUNT, _LOWER_GROUPS, _LOWER_BATCH]
        _ok(self._states.call("update", lowers, [group_count, groups, batch], _LIFT_NOTHING), 0)

    def finish(self, group_count: int) -> pa.Array:
        found = _ok(self._states.call("finish", [], [], _LIFT_COLUMN), 0)
        with _checked():
            return _column(found, self._function.result, group_count)
