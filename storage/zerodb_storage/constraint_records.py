"""Constraints as plain data for the catalog record, and back: each dataclass is a map of its fields that are not at
their default, so that fields may be added without a new format."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from zerodb_compiler.constraints import (
    Bound,
    Check,
    Constraints,
    ForeignKey,
    Index,
    IndexKey,
    Partitioning,
    Unique,
)


def record(value: Any) -> Any:
    """Plain data of one of the dataclasses (or of a tuple of them, or of a plain value)."""
    if isinstance(value, tuple):
        return [record(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    found: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if content != field.default:
            found[field.name] = record(content)
    return found


def constraints(data: dict[str, Any]) -> Constraints:
    made: Constraints = _made(
        Constraints,
        data,
        uniques=_all(Unique),
        checks=_all(Check),
        foreign_keys=_all(ForeignKey),
        indexes=lambda items: tuple(_made(Index, item, keys=_all(IndexKey)) for item in items),
        partitioning=lambda item: _made(Partitioning, item, keys=_all(IndexKey)),
        bound=lambda item: _made(Bound, item),
    )
    return made


def _all(kind: type) -> Callable[[list[Any]], tuple[Any, ...]]:
    return lambda items: tuple(_made(kind, item) for item in items)


def _made(kind: type, data: dict[str, Any], **inner: Callable[[Any], Any]) -> Any:
    given: dict[str, Any] = {}
    for name, value in data.items():
        if name in inner:
            given[name] = inner[name](value) if value is not None else None
        else:
            given[name] = tuple(value) if isinstance(value, list) else value
    return kind(**given)
