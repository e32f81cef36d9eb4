"""The module cache, in memory and in a bytes store."""

from __future__ import annotations

import numpy as np
import pytest
from engine_programs import SUM_BODY, sum_program
from engine_tables import MemoryTable, snapshot

from zerodb.engine import Engine, Tier, user_secret

SECRET = b"s" * 32


class Blobs(dict[bytes, bytes]):
    def get_blob(self, key: bytes) -> bytes | None:
        return self.get(key)

    def put_blob(self, key: bytes, value: bytes) -> None:
        self[key] = value


def run(blobs: Blobs, secret: bytes | None = SECRET, other: bool = False) -> set[Tier]:
    """Compiles and runs a program in a new engine; the tiers that came from the store."""
    engine = Engine(memory_limit=32 << 20, threads=1, blobs=blobs, secret=secret)
    table = MemoryTable("t", [[np.arange(100_000, 100_010)]], id=7)
    body = SUM_BODY + '(func (export "more"))' if other else SUM_BODY
    compiled = engine.compile(sum_program(7, body=body), "key")
    assert engine.compile(sum_program(7), "key") is compiled
    assert engine.cached("key") is compiled
    assert engine.execute(compiled, snapshot(table), [0]).rows() == [(1_000_045,)]
    assert compiled.wait_optimized(20)
    assert engine.execute(compiled, snapshot(table), [0]).rows() == [(1_000_045,)]
    engine.close()
    return compiled.statistics.from_cache


def test_machine_code_is_kept_and_used_again() -> None:
    blobs = Blobs()
    assert run(blobs) == set()
    assert len(blobs) == 1
    assert run(blobs) == {Tier.CRANELIFT}


@pytest.mark.parametrize("change", ["flip", "truncate", "swap", "other secret"])
def test_machine_code_that_is_not_ours_is_compiled_again(change: str) -> None:
    blobs = Blobs()
    run(blobs)
    keys = list(blobs)
    match change:
        case "flip":
            for key in keys:
                blobs[key] = blobs[key][:-1] + bytes([blobs[key][-1] ^ 1])
        case "truncate":
            for key in keys:
                blobs[key] = blobs[key][:20]
        case "swap":
            another = Blobs()
            run(another, other=True)
            (blobs[keys[0]],) = another.values()
    assert run(blobs, b"x" * 32 if change == "other secret" else SECRET) == set()
    assert run(blobs, b"x" * 32 if change == "other secret" else SECRET) == {Tier.CRANELIFT}


def test_without_a_secret_nothing_is_kept() -> None:
    blobs = Blobs()
    assert run(blobs, None) == set()
    assert not blobs


def test_a_store_that_cannot_write_does_not_hurt() -> None:
    class Full(Blobs):
        def put_blob(self, key: bytes, value: bytes) -> None:
            raise OSError("no space")

    assert run(Full()) == set()


def test_the_least_recently_used_program_is_dropped() -> None:
    engine = Engine(memory_limit=32 << 20, threads=1)
    engine.cache._limit = 2
    programs = {key: engine.compile(sum_program(key), key) for key in (1, 2)}
    assert engine.cached(1) is programs[1]
    engine.compile(sum_program(3), 3)
    assert engine.cached(2) is None
    assert engine.cached(1) is programs[1]
    engine.close()


def test_the_secret_is_made_once(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    first = user_secret()
    assert first is not None
    assert len(first) == 32
    assert user_secret() == first
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/nowhere")
    assert user_secret() is None
