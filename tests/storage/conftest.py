"""What the storage tests share: reading a table back through the layout, as generated code would see it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zerodb_compiler.layout import Encoding
from zerodb_storage import ChunkColumn, Database, TableVersion


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long crash test runs only when asked for: `-m crash`."""
    if "crash" in (config.getoption("markexpr") or ""):
        return
    for item in items:
        if item.get_closest_marker("crash") is not None and item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.skip(reason="long: run with -m crash"))


def _wide(data: np.ndarray[Any, Any]) -> list[int]:
    pairs = data.reshape(-1, 2).tolist()
    return [(high << 64) + (low % (1 << 64)) for low, high in pairs]


def _text(data: np.ndarray[Any, Any], text: np.ndarray[Any, Any]) -> list[str]:
    joined, offsets = text.tobytes(), data.tolist()
    return [joined[a:b].decode() for a, b in itertools.pairwise(offsets)]


def column_values(version: TableVersion, chunk: int, column: int) -> list[Any]:
    """Canonical Python values of a chunk's column, deleted rows included, checked against the layout."""
    layout = version.layout.columns[column]
    loaded: ChunkColumn = version.load(chunk, column)
    if loaded.validity is not None:
        assert layout.has_nulls
        assert loaded.validity.dtype == np.uint8
    match layout.encoding:
        case Encoding.INT if layout.width == 16:
            values: list[Any] = _wide(loaded.data)
        case Encoding.INT | Encoding.FLOAT:
            assert loaded.data.dtype.itemsize == layout.width
            values = loaded.data.tolist()
        case Encoding.DICTIONARY:
            assert loaded.data.dtype.itemsize == layout.width
            strings = _text(*version.dictionaries[column].strings_as_buffers())
            values = [strings[code] if strings else "" for code in loaded.data.tolist()]
        case Encoding.TEXT:
            assert loaded.data.dtype == np.uint32
            assert loaded.text_bytes is not None
            values = _text(loaded.data, loaded.text_bytes)
    if layout.encoding is Encoding.INT:
        assert all(layout.low <= value <= layout.high for value in values)
    assert len(values) == int(version.chunk_rows[chunk])
    if loaded.validity is None:
        return values
    return [value if valid else None for value, valid in zip(values, loaded.validity.tolist(), strict=True)]


def table_rows(version: TableVersion) -> list[tuple[Any, ...]]:
    """All visible rows, in storage order."""
    found: list[tuple[Any, ...]] = []
    for chunk in range(version.chunk_count):
        columns = [column_values(version, chunk, column) for column in range(len(version.columns))]
        visible = version.visibility(chunk)
        rows = list(zip(*columns, strict=True))
        if visible is not None:
            assert version.layout.has_deletes
            assert len(visible[1]) == len(rows)
            rows = [row for row, seen in zip(rows, visible[1].tolist(), strict=True) if seen]
        found += rows
    assert len(found) == version.row_count
    return found


@pytest.fixture
def rows_of() -> Callable[[TableVersion], list[tuple[Any, ...]]]:
    return table_rows


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "test.zdb")


@pytest.fixture
def memory() -> Database:
    return Database.open(None)
