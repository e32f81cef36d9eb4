"""A host of compiled queries that knows nothing of zerodb but the WIT: wasmtime's component API, rows as Python values.

Rows are fed in batches of any size and come back as tuples of the interface's plain forms: numbers, texts (also for
decimals), days since 1970 for dates, and so on.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import wasmtime
from wasmtime import component as wc

from zerodb_compiler.intervals import Interval

INTERFACE = "zerosys:db/compiled-query@0.1.0"
_EPOCH = datetime.datetime(1970, 1, 1)


class QueryError(Exception):
    def __init__(self, error: Any) -> None:
        super().__init__(f"{error.sqlstate}: {error.message}")
        self.sqlstate, self.message, self.position = error.sqlstate, error.message, error.position


def record(**fields: Any) -> wc.Record:
    made = wc.Record()
    for name, value in fields.items():
        setattr(made, name.replace("_", "-"), value)
    return made


class QueryHost:
    """One instance of a component, in a store of its own; `config` as the host has it."""

    def __init__(self, data: bytes, config: wasmtime.Config | None = None) -> None:
        config = config or wasmtime.Config()
        config.cranelift_opt_level = "none"  # compiled once, for few rows
        self.engine = wasmtime.Engine(config)
        self.component = wc.Component(self.engine, data)
        self.store = wasmtime.Store(self.engine)
        self.instance = wc.Linker(self.engine).instantiate(self.store, self.component)
        index = self.instance.get_export_index(self.store, INTERFACE)
        assert index is not None, "the component does not export the interface"
        self._interface = index

    def call(self, name: str, *arguments: Any) -> Any:
        index = self.instance.get_export_index(self.store, name, self._interface)
        assert index is not None
        function = self.instance.get_func(self.store, index)
        assert function is not None
        result = function(self.store, *arguments)
        function.post_return(self.store)
        return result

    def describe(self) -> Any:
        return self.call("describe")

    def run(self, inputs: dict[str, Sequence[tuple[Any, ...]]], parameters: Sequence[Any] = (), *,
            fed: int = 1000, most: int = 1000) -> list[tuple[Any, ...]]:  # fmt: skip
        """The result over those rows of each input, all its columns in order."""
        described = self.describe()
        run = self.start(parameters)
        try:
            for number, given in enumerate(described.inputs):
                types = [getattr(column, "data-type") for column in given.columns]
                rows = inputs[given.name]
                for start in range(0, len(rows), fed):
                    self.feed(run, number, batch(rows[start : start + fed], types))
            return [row for rows in self.batches(run, most) for row in rows]
        finally:
            run.drop(self.store)

    def start(self, parameters: Sequence[Any]) -> Any:
        types = [getattr(column, "data-type") for column in self.describe().parameters]
        given = [form(value, type_) for value, type_ in zip(parameters, types, strict=True)]
        return self.call("[constructor]run", given)

    def feed(self, run: Any, number: int, rows: wc.Record) -> None:
        result = self.call("[method]run.feed", run, number, rows)
        if result is not None:
            raise QueryError(result)

    def batches(self, run: Any, most: int) -> Any:
        while True:
            found = self.call("[method]run.next-batch", run, most)
            if found.tag == "err":
                raise QueryError(found.payload)
            if found.payload is None:
                return
            yield rows_of(found.payload)


_INTEGERS = ("smallint", "integer", "bigint", "u8", "u16", "u32")
_BY_TYPE = {
    "boolean": "boolean",
    "real": "float64",
    "double precision": "float64",
    "text": "text",
    "bytea": "binary",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamp with time zone": "timestamptz",
    "interval": "interval",
    "uuid": "uuid",
    "json": "json",
    "jsonb": "json",
}
_EMPTY = {
    "boolean": False,
    "float64": 0.0,
    "binary": b"",
    "interval": record(months=0, days=0, microseconds=0),
    **dict.fromkeys(("text", "decimal", "uuid", "json", "other"), ""),
}
PLURAL = {"binary": "binaries"}


def case(data_type: str) -> str:
    """The case of `value` for a type."""
    stem = data_type.partition("(")[0]
    if data_type in _INTEGERS:
        return "int64"
    if stem in ("varchar", "char"):
        return "text"
    if data_type.endswith("]"):
        return "other"
    return "decimal" if stem == "numeric" else _BY_TYPE.get(data_type, "other")


def plain(value: Any, data_type: str) -> Any:
    """A Python value of a row in the interface's form."""
    match value:
        case None:
            return _EMPTY.get(case(data_type), 0)
        case datetime.datetime():
            return (value.replace(tzinfo=None) - _EPOCH) // datetime.timedelta(microseconds=1)
        case datetime.date():
            return (value - _EPOCH.date()).days
        case datetime.time():
            return (datetime.datetime.combine(_EPOCH, value) - _EPOCH) // datetime.timedelta(microseconds=1)
        case Decimal():
            return f"{value:f}"
        case Interval():
            return record(months=value.months, days=value.day_count, microseconds=value.micros)
        case list() if case(data_type) == "other":
            return "{" + ",".join("NULL" if item is None else str(item) for item in value) + "}"
    if case(data_type) == "json":
        return value if isinstance(value, str) else json.dumps(value)
    return str(value) if case(data_type) in ("uuid", "other") else value


def form(value: Any, data_type: str) -> wc.Variant:
    """A parameter; text stays text, whatever the type."""
    if value is None:
        return wc.Variant("null")
    return wc.Variant("text" if isinstance(value, str) else case(data_type), plain(value, data_type))


def batch(rows: Sequence[tuple[Any, ...]], types: Sequence[str]) -> wc.Record:
    """Rows, whose columns have these types, as a record-batch."""
    columns = []
    for place, data_type in enumerate(types):
        values = [row[place] for row in rows]
        name = case(data_type)
        data = wc.Variant(PLURAL.get(name, f"{name}s"), [plain(value, data_type) for value in values])
        columns.append(record(validity=bits(values) if None in values else None, data=data))
    return record(row_count=len(rows), columns=columns)


def bits(values: Sequence[Any]) -> bytes:
    found = bytearray((len(values) + 7) // 8)
    for row, value in enumerate(values):
        if value is not None:
            found[row >> 3] |= 1 << (row & 7)
    return bytes(found)


def rows_of(found: Any) -> list[tuple[Any, ...]]:
    count = getattr(found, "row-count")
    columns = []
    for column in found.columns:
        values = list(column.data.payload)
        assert len(values) == count
        if column.validity is not None:
            values = [v if column.validity[i >> 3] >> (i & 7) & 1 else None for i, v in enumerate(values)]
        columns.append(values)
    return list(zip(*columns, strict=True)) if columns else [()] * count
