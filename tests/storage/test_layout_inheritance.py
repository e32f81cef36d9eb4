"""A version that another one was made of takes over its layout where that is right: always what it would be anew."""

from __future__ import annotations

import random
from dataclasses import replace

import pyarrow as pa

from zerodb_compiler.types import BIGINT, TEXT
from zerodb_storage import Column, Database


def test_layouts_are_as_if_made_anew() -> None:
    chance = random.Random(3)
    with Database.open(None) as database:
        with database.begin() as transaction:
            transaction.create_table("t", [Column("a", BIGINT), Column("b", TEXT)], ())
        for number in range(150):
            with database.begin() as transaction:
                for _ in range(chance.randint(1, 3)):
                    size = chance.choice([1, 1, 2, 50])
                    most = 1 << chance.randint(0, 40)
                    values = [chance.choice([None, chance.randint(-most, most)]) for _ in range(size)]
                    texts = [chance.choice(["x", "yy", "zzz", f"{chance.random()}"]) for _ in range(size)]
                    if chance.random() < 0.05:
                        texts[0] = None
                    transaction.append("t", pa.table({"a": pa.array(values, pa.int64()), "b": texts}))
                    version = transaction.table("t")
                    if chance.random() < 0.7:
                        assert version.layout == replace(version).layout
                    if chance.random() < 0.3:
                        chunk = chance.randrange(version.chunk_count)
                        row = chance.randrange(int(version.chunk_rows[chunk]))
                        transaction.delete("t", pa.array([chunk * 65_536 + row]).to_numpy())
                    version = transaction.table("t")
                    assert version.layout == replace(version).layout
            version = database.snapshot().tables["t"]
            if number % 3:
                assert version.layout == replace(version).layout
