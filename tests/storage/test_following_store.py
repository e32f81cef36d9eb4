"""A store followed from outside is at every moment the writer's: after writes, flushes, compactions and restarts."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from zerodb_compiler.errors import DatabaseError
from zerodb_storage.kv import Batch, wal
from zerodb_storage.kv.following import FollowingStore
from zerodb_storage.kv.rocks import RocksStore

EVERYTHING = (b"\x00", b"\xff")


def random_batch(generator: random.Random) -> Batch:
    batch = Batch()
    for _ in range(generator.randrange(5)):
        batch.put(b"%04d" % generator.randrange(300), generator.randbytes(generator.choice([5, 100, 5000, 40000])))
    for _ in range(generator.randrange(3)):
        batch.delete(b"%04d" % generator.randrange(300))
    if generator.random() < 0.1:
        begin = generator.randrange(300)
        batch.delete_range(b"%04d" % begin, b"%04d" % (begin + generator.randrange(30)))
    return batch


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_followed_store_is_the_writers(path: str, seed: int) -> None:
    generator = random.Random(seed)
    store = RocksStore(path)
    store.write(Batch(puts=[(b"a", b"1")]), sync=False)
    follower = FollowingStore(path)
    for number in range(250):
        batch = random_batch(generator)
        event = generator.random()
        if event < 0.03:
            store.write_unlogged([(b"u%04d" % (number * 10 + n), generator.randbytes(20_000)) for n in range(5)])
        elif event > 0.99:
            store.close()
            store = RocksStore(path)
        elif event > 0.97:
            store.compact(*EVERYTHING)
        if batch:
            store.write(batch, sync=False)
        if generator.random() < 0.7:
            follower.advance()
            if generator.random() < 0.3:
                assert list(follower.scan(*EVERYTHING)) == list(store.scan(*EVERYTHING))
                key = b"%04d" % generator.randrange(300)
                assert follower.get(key) == store.get(key)
    follower.advance()
    expected = list(store.scan(*EVERYTHING))
    assert list(follower.scan(*EVERYTHING)) == expected
    store.close()
    follower.advance()
    assert list(follower.scan(*EVERYTHING)) == expected
    follower.close()
    with pytest.raises(DatabaseError, match="closed"):
        follower.get(b"a")


def test_the_view_stands_still_until_it_is_advanced(path: str) -> None:
    store = RocksStore(path)
    store.write(Batch(puts=[(b"a", b"1")]), sync=False)
    follower = FollowingStore(path)
    store.write(Batch(puts=[(b"a", b"2"), (b"b", b"2")]), sync=False)
    assert list(follower.scan(*EVERYTHING)) == [(b"a", b"1")]
    assert follower.is_behind()
    found = follower.advance()
    assert found is not None
    assert [batch.puts for batch in found.batches] == [[(b"a", b"2"), (b"b", b"2")]]
    assert follower.get(b"a") == b"2"
    store.close()
    follower.close()


def test_a_log_is_read_in_pieces_of_any_size(path: str) -> None:
    generator = random.Random(5)
    store = RocksStore(path)
    written = [random_batch(generator) for _ in range(60)]
    for batch in written:
        if batch:
            store.write(batch, sync=False)
    (log,) = [name for name in os.listdir(path) if name.endswith(".log")]
    content = (Path(path) / log).read_bytes()
    decoder, records = wal.LogDecoder(), []
    while decoder.offset < len(content):
        size = generator.choice([1, 6, 7, 100, 40_000])
        records += decoder.feed(content[decoder.offset : decoder.offset + size])
    assert decoder.is_between_records
    assert records == wal.LogDecoder().feed(content)
    puts = [pair for record in records for batch in wal.changes(record) for pair in batch.puts]
    assert puts == [pair for batch in written for pair in batch.puts]
    store.close()


def test_what_cannot_be_read_does_not_end_a_scan_silently(path: str) -> None:
    store = RocksStore(path)
    store.write_unlogged([(b"k%05d" % n, os.urandom(9_000)) for n in range(30)])
    for name in os.listdir(path):
        if name.endswith(".blob"):
            os.truncate(os.path.join(path, name), 100)
    with pytest.raises(DatabaseError) as error:
        list(store.scan(*EVERYTHING))
    assert error.value.sqlstate == "XX001"
    store.close()
