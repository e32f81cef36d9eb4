"""Texts that were built for one row outlive it where an operator keeps them: groups, joins, sorts, extremes.

Built texts lie in scratch memory that is used again from morsel to morsel, so the table has several chunks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import zerodb

ROWS = 150_000
WORDS = [f"Word{'é' * (i % 7)} {i}" for i in range(5000)]
TEXTS = [None if i % 101 == 0 else WORDS[i * 7919 % 5000] for i in range(ROWS)]
PRESENT = [text for text in TEXTS if text is not None]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zerodb.Connection]:
    path = tmp_path_factory.mktemp("kept") / "t.parquet"
    unique = [None if text is None else f"{text} {i}" for i, text in enumerate(TEXTS)]
    pq.write_table(pa.table({"i": pa.array(range(ROWS), pa.int32()), "a": TEXTS, "u": unique}), path)
    with zerodb.connect(":memory:", threads=2) as connection:
        connection.import_file("t", str(path))
        yield connection


def test_groups(kept: zerodb.Connection) -> None:
    expected = Counter(None if text is None else text.upper() for text in TEXTS)
    assert dict(kept.execute("select upper(a), count(*) from t group by upper(a)").fetchall()) == expected
    by_length = Counter(len(text) for text in PRESENT)
    query = "select length(a || ''), count(*) from t where a is not null group by 1"
    assert dict(kept.execute(query).fetchall()) == by_length


def test_extremes(kept: zerodb.Connection) -> None:
    unique = [f"{text} {i}!".upper() for i, text in enumerate(TEXTS) if text is not None]
    by_bytes = sorted(unique, key=str.encode)
    query = "select min(upper(u || '!')), max(upper(u || '!')), count(distinct left(a, 6)) from t"
    assert kept.execute(query).fetchall() == [(by_bytes[0], by_bytes[-1], len({text[:6] for text in PRESENT}))]


def test_order(kept: zerodb.Connection) -> None:
    unique = [(f"{text} {i}"[::-1][:4] + "é", i) for i, text in enumerate(TEXTS) if text is not None]
    reverse = "select right(u, 3) || 'é' || u as key, i from t where u is not null order by key"
    expected = sorted(
        (f"{text} {i}"[-3:] + "é" + f"{text} {i}" for _, i in unique if (text := TEXTS[i]) is not None), key=str.encode
    )
    assert [key for key, _ in kept.execute(reverse).fetchall()] == expected
    assert [key for key, _ in kept.execute(f"{reverse} limit 50").fetchall()] == expected[:50]


def test_joins(kept: zerodb.Connection) -> None:
    counts = Counter(PRESENT)
    query = """select lower(x.a) || '/' || upper(y.a), count(*)
               from t x join t y on lower(x.a) = lower(y.a) || '' and y.i < 3000 group by 1"""
    some = Counter(text for text in TEXTS[:3000] if text is not None)
    expected = {f"{text.lower()}/{text.upper()}": number * counts[text] for text, number in some.items()}
    assert dict(kept.execute(query).fetchall()) == expected


def test_the_missing_side_of_an_outer_join(kept: zerodb.Connection) -> None:
    query = """select x.i, upper(y.a), length(y.u), y.a like 'W%', y.u || '!',
                      extract(year from date '2000-01-01' + y.i), replace(y.a, 'W', 'V'), concat(y.a, '-'),
                      coalesce(lower(y.u), 'none'), cast(y.i as text)
               from t x left join t y on y.i = x.i + 150000 - 2 where x.i < 4 order by x.i"""
    missing = (None, None, None, None, None, None, "-", "none", None)
    a, u = TEXTS[149_998], f"{TEXTS[149_998]} 149998"
    b, v = TEXTS[149_999], f"{TEXTS[149_999]} 149999"
    assert a is not None
    assert b is not None
    found = [
        (a.upper(), len(u), True, f"{u}!", 2410, a.replace("W", "V"), f"{a}-", u.lower(), "149998"),
        (b.upper(), len(v), True, f"{v}!", 2410, b.replace("W", "V"), f"{b}-", v.lower(), "149999"),
    ]
    expected = [(i, *row) for i, row in enumerate([*found, missing, missing])]
    assert kept.execute(query).fetchall() == expected
