"""The interface zerosys:db/kv: buckets (buckets.py) on a guest's connections. A bucket belongs to its connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zerodb.components import types, vals
from zerodb.components.buckets import Bucket
from zerodb.components.instance import HostFunction, Instance, Interface
from zerodb.components.marshal import lift_of, lower_of
from zerodb.components.query import CONNECTION, GuestConnection, lift_text
from zerodb.components.vals import NUMBERS, Own, lower_own, result_of
from zerodb.components.wit_types import BYTES, S64, STRING, U32, ListOf, OptionOf, Primitive, RecordOf

BUCKET = 21


class GuestBucket:
    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def close(self) -> None:
        """Nothing is open between its operations."""


def _open(instance: Instance, connection: GuestConnection, name: str) -> Own:
    return instance.handles.add(BUCKET, GuestBucket(Bucket(connection.connection, name)))


def _get(_: Instance, self: GuestBucket, key: str) -> bytes | None:
    return self.bucket.get(key)


def _get_many(_: Instance, self: GuestBucket, keys: Sequence[str]) -> list[bytes | None]:
    return self.bucket.get_many(keys)


def _set(_: Instance, self: GuestBucket, key: str, value: bytes) -> None:
    self.bucket.set(key, value)


def _set_many(_: Instance, self: GuestBucket, pairs: Sequence[Mapping[str, Any]]) -> None:
    self.bucket.set_many([(pair["key"], pair["value"]) for pair in pairs])


def _set_with_ttl(_: Instance, self: GuestBucket, key: str, value: bytes, ttl_ms: int) -> None:
    self.bucket.set_with_ttl(key, value, ttl_ms)


def _delete(_: Instance, self: GuestBucket, key: str) -> bool:
    return self.bucket.delete(key)


def _delete_many(_: Instance, self: GuestBucket, keys: Sequence[str]) -> int:
    return self.bucket.delete_many(keys)


def _exists(_: Instance, self: GuestBucket, key: str) -> bool:
    return self.bucket.exists(key)


def _list_keys(_: Instance, self: GuestBucket, prefix: str, cursor: str | None, limit: int) -> dict[str, Any]:
    keys, after = self.bucket.list_keys(prefix, cursor, limit)
    return {"keys": keys, "cursor": after}


def _increment(_: Instance, self: GuestBucket, key: str, delta: int) -> int:
    return self.bucket.increment(key, delta)


def _compare_and_swap(_: Instance, self: GuestBucket, key: str, expected: bytes | None, value: bytes) -> bool:
    return self.bucket.compare_and_swap(key, expected, value)


_KEYS = ListOf(STRING)
_PAIRS = ListOf(RecordOf((("key", STRING), ("value", BYTES))))
_PAGE = RecordOf((("keys", _KEYS), ("cursor", OptionOf(STRING))))
_MAYBE_BYTES = OptionOf(BYTES)
_lift_bytes, _lift_keys = lift_of(BYTES), lift_of(_KEYS)
_DONE = result_of(None, types.ERROR)
_BOOLEAN = result_of(NUMBERS[vals.BOOL], types.ERROR)
_SELF = (BUCKET,)
KV = Interface(
    types.interface_name("kv"),
    {"bucket": BUCKET},
    {
        "[static]bucket.open": HostFunction(_open, (CONNECTION,), (lift_text,), result_of(lower_own, types.ERROR)),
        "[method]bucket.get": HostFunction(_get, _SELF, (lift_text,), result_of(lower_of(_MAYBE_BYTES), types.ERROR)),
        "[method]bucket.get-many": HostFunction(
            _get_many, _SELF, (_lift_keys,), result_of(lower_of(ListOf(_MAYBE_BYTES)), types.ERROR)
        ),
        "[method]bucket.set": HostFunction(_set, _SELF, (lift_text, _lift_bytes), _DONE),
        "[method]bucket.set-many": HostFunction(_set_many, _SELF, (lift_of(_PAIRS),), _DONE),
        "[method]bucket.set-with-ttl": HostFunction(
            _set_with_ttl, _SELF, (lift_text, _lift_bytes, lift_of(Primitive("u64"))), _DONE
        ),
        "[method]bucket.delete": HostFunction(_delete, _SELF, (lift_text,), _BOOLEAN),
        "[method]bucket.delete-many": HostFunction(
            _delete_many, _SELF, (_lift_keys,), result_of(NUMBERS[vals.U64], types.ERROR)
        ),
        "[method]bucket.exists": HostFunction(_exists, _SELF, (lift_text,), _BOOLEAN),
        "[method]bucket.list-keys": HostFunction(
            _list_keys,
            _SELF,
            (lift_text, lift_of(OptionOf(STRING)), lift_of(U32)),
            result_of(lower_of(_PAGE), types.ERROR),
        ),
        "[method]bucket.increment": HostFunction(
            _increment, _SELF, (lift_text, lift_of(S64)), result_of(NUMBERS[vals.S64], types.ERROR)
        ),
        "[method]bucket.compare-and-swap": HostFunction(
            _compare_and_swap, _SELF, (lift_text, lift_of(_MAYBE_BYTES), _lift_bytes), _BOOLEAN
        ),
    },
)
