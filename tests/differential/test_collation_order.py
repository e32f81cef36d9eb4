"""The order of "und-x-icu" against a real PostgreSQL's: random texts of many scripts, sorted by both."""

from __future__ import annotations

import os
import random
from itertools import pairwise

import pyarrow as pa
import pytest

import zerodb

ALPHABETS = [
    "abcABCxyzXYZ",
    "aàáâäåæAÀÁçéèêëñöøßœþð",
    "αβγΑΒΓάέίὰᾳ",
    "абвгАБВйЙи\u0306\u0323ё",
    " -_.,;:!?'\"()",
    "0123456789²½①",
    "\u0301\u0300\u0308\u0323\u0306\u0327\u0303\u0345",
    "中文字漢語日本㐀𠀀豈龍",
    "🙂🚀👍🏽👩\u200d💻",
    "한글가나다각\u1100\u1161\u11a8",
    "เแกขาค\u0e48ໄກ",
    "\u0fb2\u0f71\u0f80\u0f40\u0f74\u0fb3",
    "lL·",
    "\u0bc6\u0bbe\u0bd7\u0b95\u09c7\u09be\u09d7\u0dd9\u0dcf",
    "اأإآ\u0653\u0654\u0655ويى",
    "あアがカーｱ",
    "\u200b\u00ad\ufffd\uffff\ufdd1\ufffe",
]


def _texts(seed: int) -> list[str]:
    chance = random.Random(seed)

    def character(alphabets: list[str]) -> str:
        if chance.random() < 0.04:
            return chr(chance.choice([chance.randrange(1, 0x3000), chance.randrange(0xE000, 0x110000)]))
        return chance.choice(chance.choice(alphabets))

    found: set[str] = set()
    for _ in range(10_000):
        alphabets = chance.sample(ALPHABETS, chance.choice([1, 1, 2, 3]))
        found.add("".join(character(alphabets) for _ in range(chance.choice([1, 2, 2, 3, 3, 4, 5, 8]))))
    texts = sorted(found)
    chance.shuffle(texts)
    return texts


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_order_is_postgresqls(seed: int) -> None:
    address = os.environ.get("ZERODB_POSTGRES")
    if address is None:
        pytest.skip("no PostgreSQL in ZERODB_POSTGRES")
    psycopg = pytest.importorskip("psycopg")
    texts = _texts(seed)
    with psycopg.connect(address) as server:
        query = 'select t from unnest(%s::text[]) t order by t collate "und-x-icu"'
        expected = [text for (text,) in server.execute(query, (texts,))]
    with zerodb.connect(":memory:") as db:
        db.register("texts", pa.table({"t": texts}))
        found = [text for (text,) in db.execute('select t from texts order by t collate "unicode"').fetchall()]
    differing = [pair for pair, other in zip(pairwise(found), pairwise(expected), strict=True) if pair != other]
    assert differing == []
