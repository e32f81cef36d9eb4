"""A log whose end is torn, with the room that was allocated behind it, as a power failure or a kill in the middle of a
write leaves it: what was whole is there, and what was not is not."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from zerodb_compiler.errors import DatabaseError
from zerodb_storage.kv import Batch, log_files, wal
from zerodb_storage.kv.following import FollowingStore
from zerodb_storage.kv.rocks import RocksStore

EVERYTHING = (b"\x00", b"\xff")
SECTOR = 512


def written(path: str, sizes: list[int]) -> tuple[Path, list[int]]:
    """A copy of a store's directory while it is open, and where its last record begins and ends."""
    store = RocksStore(path)
    log = Path()
    places = []
    for number, size in enumerate(sizes):
        store.write(Batch(puts=[(b"%03d" % number, random.Random(number).randbytes(size))]), sync=True)
        (log,) = Path(path).glob("*.log")
        places.append(len(log.read_bytes().rstrip(b"\0")))
    copy = Path(path).with_name("copy.zdb")
    shutil.copytree(path, copy)
    store.close()
    return copy / log.name, places[-2:]


def keys_of(path: str, *, read_only: bool) -> list[bytes]:
    store = FollowingStore(path) if read_only else RocksStore(path)
    found = [key for key, _ in store.scan(*EVERYTHING)]
    store.close()
    return found


def test_room_is_allocated_and_given_back(path: str) -> None:
    store = RocksStore(path)
    store.write(Batch(puts=[(b"a", b"1")]), sync=False)
    (log,) = Path(path).glob("*.log")
    assert log.stat().st_size < 100
    store.write(Batch(puts=[(b"b", b"2")]), sync=True)
    assert log.stat().st_size >= log_files.ROOM_BYTES
    follower = FollowingStore(path)
    assert [key for key, _ in follower.scan(*EVERYTHING)] == [b"a", b"b"]
    for number in range(40):
        store.write(Batch(puts=[(b"c%02d" % number, bytes(60_000))]), sync=True)
        assert follower.advance() is not None
    time.sleep(0.1)  # beyond the tick of the file system's clock
    follower.advance()
    assert not follower.is_behind()
    assert len(list(follower.scan(*EVERYTHING))) == 42
    follower.close()
    store.close()
    assert sum(log.stat().st_size for log in Path(path).glob("*.log")) < log_files.ROOM_BYTES


@pytest.mark.parametrize("last", [700, 5_000, 40_000, 100_000])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_torn_record_is_as_if_it_had_not_been_written(path: str, last: int, read_only: bool) -> None:
    log, (begin, end) = written(path, [100, 3_000, 33_000, 10, last])
    sound = log.read_bytes()
    generator = random.Random(last)
    borders = list(range(begin // SECTOR * SECTOR + SECTOR, end, SECTOR))
    for turn in range(6):
        torn = bytearray(sound)
        if turn < 3:  # a prefix is there
            cut = generator.choice([begin, *borders]) if turn else borders[-1]
            torn[cut:end] = bytes(end - cut)
        else:  # some sectors are there
            for border in generator.sample(borders, generator.randint(1, len(borders))):
                size = min(SECTOR, end - border)
                torn[border : border + size] = bytes(size)
        copy = log.parent.with_name(f"torn{turn}.zdb")
        shutil.copytree(log.parent, copy)
        (copy / log.name).write_bytes(torn)
        assert keys_of(str(copy), read_only=read_only) == [b"000", b"001", b"002", b"003"]
        assert keys_of(str(copy), read_only=False) == [b"000", b"001", b"002", b"003"]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_log_that_ends_with_room_is_whole(path: str, read_only: bool) -> None:
    log, _ = written(path, [100, 40_000, 5])
    assert log.stat().st_size > 2 * wal.BLOCK_BYTES
    assert keys_of(str(log.parent), read_only=read_only) == [b"000", b"001", b"002"]


def test_a_wrong_byte_is_damage(path: str) -> None:
    """In the last record, which is all there, as in one before it; and zeros in front of a whole record."""
    log, (begin, end) = written(path, [3_000, 900, 400])
    sound = log.read_bytes()
    generator = random.Random(1)
    places = [generator.randrange(begin + 30, end) for _ in range(10)]
    places += [generator.randrange(30, 3_000), generator.randrange(3_100, 3_900)]
    damaged = [sound[:at] + bytes([sound[at] ^ 4]) + sound[at + 1 :] for at in places]
    damaged.append(sound[:1024] + bytes(SECTOR) + sound[1024 + SECTOR :])
    for number, content in enumerate(damaged):
        copy = log.parent.with_name(f"damaged{number}.zdb")
        shutil.copytree(log.parent, copy)
        (copy / log.name).write_bytes(content)
        with pytest.raises(DatabaseError) as caught:
            keys_of(str(copy), read_only=False)
        assert caught.value.sqlstate == "XX001"


def test_a_record_that_is_just_being_written_is_waited_for(path: str) -> None:
    store = RocksStore(path)
    store.write(Batch(puts=[(b"a", b"1")]), sync=True)
    follower = FollowingStore(path)
    (log,) = Path(path).glob("*.log")
    begin = len(log.read_bytes().rstrip(b"\0"))
    store.write(Batch(puts=[(b"b", b"2" * 2_000)]), sync=True)
    content = log.read_bytes()
    end = len(content.rstrip(b"\0"))
    tail = follower._tail
    assert tail is not None
    with open(log, "r+b", buffering=0) as file:
        os.pwrite(file.fileno(), bytes(end - begin - 20), begin + 20)
        assert tail.read() == []
        assert tail.decoder.is_stuck
        os.pwrite(file.fileno(), content[begin:end], begin)
    advance = follower.advance()
    assert advance is not None
    assert [batch.puts for batch in advance.batches] == [[(b"b", b"2" * 2_000)]]
    follower.close()
    store.close()
