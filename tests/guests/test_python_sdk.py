"""The Python SDK's conversions and decorators, run by this Python over the classes that componentize-py generates."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.guests.building import need_tools

from zerodb.guests import tools
from zerodb.guests.files import SDK, WIT

OWN = ("wit_world", "zerodb_guest", "componentize_py_types", "componentize_py_runtime")


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    need_tools("python")
    folder = tmp_path_factory.mktemp("bindings")
    tools.run_tool([tools.componentize_py(), "-d", str(WIT), "-w", "scalar-udf", "bindings", str(folder)], folder)
    before = list(sys.path)
    sys.path[:0] = [str(folder), str(SDK / "python")]
    try:
        yield SimpleNamespace(
            values=importlib.import_module("zerodb_guest.values"),
            functions=importlib.import_module("zerodb_guest.functions"),
            errors=importlib.import_module("zerodb_guest.errors"),
            wit=importlib.import_module("wit_world.imports.types"),
            types=importlib.import_module("componentize_py_types"),
        )
    finally:
        sys.path[:] = before
        for name in [name for name in sys.modules if name.split(".")[0] in OWN]:
            del sys.modules[name]


OBJECTS = {
    "boolean": some.booleans(),
    "bigint": some.integers(-(2**63), 2**63 - 1),
    "double precision": some.floats(allow_nan=False),
    "text": some.text(),
    "bytea": some.binary(),
    "date": some.dates(),
    "time": some.times(),
    "timestamp": some.datetimes(),
    "timestamptz": some.datetimes(timezones=some.just(UTC)),
    "numeric(38,10)": some.decimals(
        allow_nan=False, allow_infinity=False, places=10, min_value=-(10**20), max_value=10**20
    ),
    "uuid": some.uuids(),
    "jsonb": some.dictionaries(some.text(), some.integers() | some.none() | some.text(), max_size=3),
}


@pytest.mark.parametrize("kind", OBJECTS)
@settings(max_examples=40, deadline=None)
@given(data=some.data())
def test_values_and_columns_come_back(sdk: SimpleNamespace, kind: str, data: Any) -> None:
    rows = data.draw(some.lists(some.none() | OBJECTS[kind], max_size=70))
    values = sdk.values
    assert [values.from_value(values.to_value(row)) for row in rows] == rows
    column = values.to_column(rows, values.form_of_type(kind))
    assert values.from_column(column, len(rows)) == rows
    guessed = values.guess_form(rows)
    assert values.from_column(values.to_column(rows, guessed), len(rows)) == rows


def test_values_that_are_told_apart(sdk: SimpleNamespace) -> None:
    values, wit = sdk.values, sdk.wit
    assert values.to_value(True) == wit.Value_Boolean(True)
    assert values.to_value(1) == wit.Value_Int64(1)
    assert values.to_value(2**63) == wit.Value_Decimal(str(2**63))
    assert values.to_value(Decimal("1E+3")) == wit.Value_Decimal("1000")
    assert values.to_value(date(1969, 12, 31)) == wit.Value_Date(-1)
    assert values.to_value(datetime(1970, 1, 1)) == wit.Value_Timestamp(0)
    assert values.to_value(datetime(1970, 1, 1, tzinfo=UTC)) == wit.Value_Timestamptz(0)
    assert values.to_value(time(0, 0, 1, 5)) == wit.Value_Time(1_000_005)
    assert values.to_value(timedelta(days=-1, seconds=2)) == wit.Value_Interval(wit.Interval(0, -1, 2_000_000))
    assert values.from_value(wit.Value_Interval(wit.Interval(14, 3, 5))) == values.Interval(14, 3, 5)
    assert values.to_value([1, None, 'a "b"', [True]]) == wit.Value_Other('{1,NULL,"a \\"b\\"",{t}}')
    assert values.to_value(UUID(int=5)) == wit.Value_Uuid("00000000-0000-0000-0000-000000000005")
    for name in ("timestamp(3) with time zone", "TIMESTAMPTZ"):
        assert values.form_of_type(name).one is wit.Value_Timestamptz
    assert values.form_of_type("text[]").one is wit.Value_Other
    with pytest.raises(TypeError, match="SQL has no type for object"):
        values.to_value(object())
    with pytest.raises(sdk.errors.DataError, match="Python has no date"):
        values.from_value(wit.Value_Date(2**31 - 1))
    assert values.guess_form([1, "a"]) is None


def test_scalar_functions(sdk: SimpleNamespace) -> None:
    functions, values = sdk.functions, sdk.values

    def add(a: int, b: int | None, kind: Any) -> str:
        return f"{a} {b} {kind}"

    add.__annotations__.update(kind="numeric(10,2)")
    functions.scalar(add)
    functions.scalar(name="inverse", arguments={"x": "bigint"}, returns="double precision")(lambda x: 1 / x)
    functions.scalar(name="short", arguments={"x": "bigint"}, returns="bigint", vectorized=True)(lambda x: x[1:])
    signature = {one.name: one for one in functions.describe("scalar")}["add"]
    assert [(column.name, column.data_type) for column in signature.arguments] == [
        *(("a", "bigint"), ("b", "bigint")),
        ("kind", "numeric(10,2)"),
    ]
    assert not signature.strict  # b may be None

    def call(name: str, *columns: list[Any]) -> Any:
        batch = sdk.wit.RecordBatch(
            len(columns[0]), [values.to_column(column, values.guess_form(column)) for column in columns]
        )
        return values.from_column(functions.call_scalar(name, batch), len(columns[0]))

    assert call("inverse", [2, None, 4]) == [0.5, None, 0.25]
    with pytest.raises(sdk.types.Err) as caught:
        call("inverse", [1, 2, 0])
    assert (caught.value.value.row, caught.value.value.message) == (2, "ZeroDivisionError: division by zero")
    with pytest.raises(sdk.types.Err) as caught:
        call("short", [1, 2])
    assert caught.value.value.message == "short gave 1 values for 2 rows"
    with pytest.raises(sdk.types.Err) as caught:
        call("other", [1])
    assert caught.value.value.sqlstate == "42883"
    with pytest.raises(TypeError, match="what does it return"):
        functions.scalar(name="x", arguments={})(lambda: 1)
    with pytest.raises(TypeError, match="no annotation for a"):
        functions.scalar(name="x", returns="text")(lambda a: a)


def test_errors_have_pep_249_classes(sdk: SimpleNamespace) -> None:
    errors = sdk.errors
    for sqlstate, kind in (
        ("23505", errors.IntegrityError),
        ("40001", errors.OperationalError),
        ("42703", errors.ProgrammingError),
        ("22003", errors.DataError),
        ("0A000", errors.NotSupportedError),
        ("25P02", errors.InternalError),
    ):
        made = errors.error_of(sdk.wit.Error(sqlstate, "message", "hint", 3, sqlstate == "40001"))
        assert type(made) is kind
        assert (made.sqlstate, made.position, made.retryable) == (sqlstate, 3, sqlstate == "40001")
        assert str(made) == f"{sqlstate}: message (hint: hint)"
