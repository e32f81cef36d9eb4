"""A table as keys and values, over zerosys:db/kv: a mapping of text to bytes that SQL sees as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from componentize_py_types import Err

from zerodb_guest.errors import error_of


def _value(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


class Bucket(MutableMapping[str, bytes]):
    """Text given as a value is stored as UTF-8. `len` and a loop go through all keys."""

    def __init__(self, connection: Any, name: str) -> None:
        # Worlds of functions do not import buckets, so only their use asks for them.
        from wit_world.imports import kv as wit

        self._wit: Any = wit
        self._resource: Any = self._call(wit.Bucket.open, connection, name)

    @staticmethod
    def _call(function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Err as error:
            raise error_of(error.value) from None

    def __getitem__(self, key: str) -> bytes:
        value = self._call(self._resource.get, key)
        if value is None:
            raise KeyError(key)
        return bytes(value)

    def __setitem__(self, key: str, value: bytes | str) -> None:
        self._call(self._resource.set, key, _value(value))

    def __delitem__(self, key: str) -> None:
        if not self._call(self._resource.delete, key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return bool(self._call(self._resource.exists, key))

    def __iter__(self) -> Iterator[str]:
        return self.scan()

    def __len__(self) -> int:
        return sum(1 for _ in self.scan())

    def scan(self, prefix: str = "") -> Iterator[str]:
        """The keys that begin with `prefix`, in the order of their bytes; fetched in pages."""
        cursor = None
        while True:
            page = self._call(self._resource.list_keys, prefix, cursor, 0)
            yield from page.keys
            cursor = page.cursor
            if cursor is None:
                return

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Those that are there."""
        wanted = [*keys]
        found = self._call(self._resource.get_many, wanted)
        return {key: bytes(value) for key, value in zip(wanted, found, strict=True) if value is not None}

    def set_many(self, pairs: Mapping[str, bytes | str]) -> None:
        """All of them, or none."""
        self._call(self._resource.set_many, [self._wit.KeyValue(key, _value(value)) for key, value in pairs.items()])

    def set(self, key: str, value: bytes | str, ttl: timedelta | float | None = None) -> None:
        """With a time to live (seconds, or a timedelta) the key is gone after it."""
        if ttl is None:
            self[key] = _value(value)
            return
        seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
        self._call(self._resource.set_with_ttl, key, _value(value), round(seconds * 1000))

    def delete_many(self, keys: Iterable[str]) -> int:
        """How many of them were there."""
        return int(self._call(self._resource.delete_many, [*keys]))

    def increment(self, key: str, delta: int = 1) -> int:
        """Adds to a number (a key that is not there counts as 0); the sum."""
        return int(self._call(self._resource.increment, key, delta))

    def compare_and_swap(self, key: str, expected: bytes | str | None, value: bytes | str) -> bool:
        """Sets the value if the present one is `expected` (None: if the key is not there); whether it did."""
        old = None if expected is None else _value(expected)
        return bool(self._call(self._resource.compare_and_swap, key, old, _value(value)))

    def close(self) -> None:
        resource, self._resource = self._resource, None
        if resource is not None:
            resource.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
