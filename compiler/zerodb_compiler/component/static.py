"""The driver's constants: tables that describe a program (layout.py), texts, and the result of `describe`."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from zerodb_compiler.codegen.program import ErrorSite, MorselSource, ParameterSlot
from zerodb_compiler.component import forms
from zerodb_compiler.component import layout as at
from zerodb_compiler.component.portable import Described, Input, Portable
from zerodb_compiler.types import SqlType, TypeId

_PART = re.compile(r"(\{value\}|\{text\})")
_GENERAL = (
    ErrorSite("53200", "out of memory", None),
    ErrorSite("57014", "the query was interrupted", None),
    ErrorSite("55000", "rows are fed before the first batch is taken", None),
)


class StaticData:
    """Bytes from a fixed address on; each text is there once."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._data = bytearray()
        self._known: dict[bytes, int] = {}

    @property
    def data(self) -> bytes:
        return bytes(self._data)

    @property
    def end(self) -> int:
        return self._start + len(self._data)

    def put(self, content: bytes) -> int:
        """The address of these bytes, 16-byte aligned and readable 16 bytes past their end."""
        found = self._known.get(content)
        if found is None:
            self._data += bytes(-(self._start + len(self._data)) % 16)
            found = self._known[content] = self._start + len(self._data)
            self._data += content + bytes(16)
        return found

    def text(self, text: str) -> tuple[int, int]:
        content = text.encode()
        return self.put(content), len(content)

    def words(self, *words: int) -> int:
        return self.put(b"".join((word & 0xFFFFFFFF).to_bytes(4, "little") for word in words))

    def table(self, records: Sequence[bytes]) -> tuple[int, int]:
        """(number, address) of equally long records."""
        return len(records), self.put(b"".join(records))


@dataclass(frozen=True, slots=True)
class Description:
    """Addresses of what the driver's functions need."""

    about: int
    described: int


def describe(data: StaticData, query: Portable) -> Description:
    """Writes all tables of a query."""
    return Description(_Tables(data, query).write(), _described(data, query))


def _words(*words: int) -> bytes:
    return b"".join((word & 0xFFFFFFFF).to_bytes(4, "little") for word in words)


class _Tables:
    def __init__(self, data: StaticData, query: Portable) -> None:
        self.data, self.query = data, query
        self.errors = list(query.program.errors)

    def write(self) -> int:
        """The address of the table at the root."""
        query, program, data = self.query, self.query.program, self.data
        failures = len(self.errors)
        self.errors += _GENERAL
        self.errors.append(ErrorSite("22023", f"the query has {len(query.inputs)} inputs", None))
        self.errors.append(ErrorSite("07001", f"the query takes {len(query.parameters)} parameters", None))
        assert len(self.errors) == failures + at.FAILURES
        template = bytearray(program.query_bytes)
        for offset, content in program.constants:
            template[offset : offset + len(content)] = content
        slots = {slot.index: slot for slot in program.parameters}
        parameters = [self._parameter(i, item, slots.get(i)) for i, item in enumerate(query.parameters)]
        inputs = [self._input(item) for item in query.inputs]
        tables = [
            data.table(parameters),
            data.table(inputs),
            data.table([_output(given.type, width) for given, width in _outputs(query)]),
            data.table(self._pipelines()),
            data.table([_words(loop.first, loop.last, loop.offset) for loop in program.loops]),
            data.table([_words(scan.slot, scan.table_id - 1, len(scan.ordinals), data.words(*scan.ordinals))
                        for scan in program.scans]),
        ]  # fmt: skip
        errors = data.table([self._error(site) for site in self.errors])[1]
        size = at.RUN_HEADER + program.query_bytes + program.worker_bytes
        pairs = [word for pair in tables for word in pair]
        return data.words(program.query_bytes, size, data.put(bytes(template)), *pairs, errors, failures)

    def _sites(self, *sites: tuple[str, str]) -> int:
        number = len(self.errors)
        self.errors += [ErrorSite(state, message, None) for state, message in sites]
        return number

    def _parameter(self, index: int, parameter: Described, slot: ParameterSlot | None) -> bytes:
        type_, form = parameter.type, forms.input_form(parameter.type)
        name = f"${parameter.name}"
        moment = type_.id in (TypeId.DATE, TypeId.TIME, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ)
        errors = self._sites(
            ("42804", f"parameter {name} has type {type_}: a value of another form was given"),
            ("22008" if moment else "22003", f"parameter {name} is out of range for type {type_}"),
            ("22007" if moment else "22P02", f'invalid input syntax for type {type_}: "{{text}}"'),
        )
        exact = type_.id is TypeId.NUMERIC
        words = (form.parameter, -1 if slot is None else slot.offset, errors,
                 type_.scale if exact else 0, type_.precision if exact else 0, 0)  # fmt: skip
        return _words(*words) + _bounds(type_)

    def _input(self, item: Input) -> bytes:
        records = []
        for column in item.columns:
            type_, form = column.type, forms.input_form(column.type)
            place = f'column "{column.name}" of input "{item.name}"'
            list_ = forms.LISTS[form.case - 1]
            too_long = type_.is_text and type_.length is not None
            errors = self._sites(
                ("42804", f"{place} has type {type_} and takes {list_}"),
                ("22023", f"{place} has not as many values as the batch has rows"),
                ("22023", f"{place} has a validity that is too short"),
                ("23502", f"null value in {place} violates not-null constraint"),
                ("22001", f"value too long for type {type_} in {place}") if too_long
                else ("22003", f"a value of {place} is out of range for type {type_}"),
            )  # fmt: skip
            length = type_.length or 0 if type_.is_text else 0
            head = _words(form.case - 1, form.column, form.width, column.not_null, errors, length)
            records.append(head + _bounds(type_))
        errors = self._sites(("22023", f'input "{item.name}" has {len(item.columns)} columns'))
        return _words(*self.data.table(records), errors)

    def _pipelines(self) -> list[bytes]:
        program = self.query.program
        numbers = {name: number for number, name in enumerate(program.entries)}
        found = []
        for pipeline in program.pipelines:
            match pipeline.source:
                case MorselSource.SCAN:
                    assert pipeline.scan is not None
                    source = program.scans[pipeline.scan].table_id - 1
                case MorselSource.COUNTER:
                    source = -2
                case MorselSource.SINGLE:
                    source = -1
            start = -1 if pipeline.start is None else numbers[pipeline.start]
            finish = -1 if pipeline.finish is None else numbers[pipeline.finish]
            found.append(_words(numbers[pipeline.function], start, finish, source, pipeline.count_offset or 0))
        return found

    def _error(self, site: ErrorSite) -> bytes:
        parts = []
        for part in _PART.split(site.message):
            if part == "{value}":
                parts.append(_words(at.VALUE_PART, 0, 0))
            elif part == "{text}":
                parts.append(_words(at.TEXT_PART, 0, 0))
            elif part:
                parts.append(_words(at.LITERAL_PART, *self.data.text(part)))
        position = 0 if site.position is None else site.position + 1
        return _words(self.data.text(site.sqlstate)[0], position, *self.data.table(parts))


def _bounds(type_: SqlType) -> bytes:
    """Least and greatest value, for types of up to 64 bits."""
    low, high = type_.bounds if type_.is_discrete else (0, 0)
    if low < -(1 << 63) or high >= 1 << 63:
        low = high = 0
    return struct.pack("<qq", low, high)


def _outputs(query: Portable) -> list[tuple[Described, SqlType]]:
    return [(item, made.type) for item, made in zip(query.output, query.program.output, strict=True)]


def _output(type_: SqlType, made: SqlType) -> bytes:
    """How a column of that type leaves, which the program gives as `made`."""
    case = forms.case_of(type_) - 1
    if made.id is TypeId.INTERVAL:
        return _words(case, at.INTERVALS, 16)
    if made.is_variable or made.id is TypeId.NULL:
        return _words(case, at.TEXTS, 4)
    return _words(case, at.COPIED, {TypeId.BOOLEAN: 1, TypeId.DATE: 4}.get(made.id, 8))


def _described(data: StaticData, query: Portable) -> int:
    """The record `description` of the interface."""
    inputs = []
    for item in query.inputs:
        columns = [Described(column.name, column.type, not column.not_null) for column in item.columns]
        inputs.append(_words(*data.text(item.name)) + _list(data, [_column(data, column) for column in columns]))
    return data.put(
        _words(*data.text(query.sql))
        + _list(data, [_column(data, item) for item in query.parameters])
        + _list(data, inputs)
        + _list(data, [_column(data, item) for item in query.output])
    )


def _list(data: StaticData, records: Sequence[bytes]) -> bytes:
    number, address = data.table(records)
    return _words(address, number)


def _column(data: StaticData, column: Described) -> bytes:
    return _words(*data.text(column.name), *data.text(str(column.type)), column.nullable)
