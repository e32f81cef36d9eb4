"""PostgreSQL's isolation specifications, run here: each permutation prints what PostgreSQL's does, or is listed.

The corpus has the specifications with their expected files; our own are in `specs/`, with `expected/` as PostgreSQL 15
prints them (python -m tests.isolation --postgres ...). A permutation that differs and is not in DIFFERENCES.md fails
the test, and so does one that is there and agrees.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conformance.corpora import corpus, corpus_files
from tests.isolation.expected import known_differences, read_expected, title
from tests.isolation.spec import parse_spec
from tests.isolation.tester import RunError, heading, run_spec
from tests.isolation.zerodb_engine import ZerodbEngine

HERE = Path(__file__).resolve().parent
DIFFERENCES = known_differences(HERE / "DIFFERENCES.md")
GIVEN = sorted(Path(name).stem for name in corpus_files("isolation", "specs/*.spec"))
OWN = sorted(path.stem for path in (HERE / "specs").glob("*.spec"))


def check(folder: Path, name: str, database: Path) -> None:
    spec = parse_spec((folder / "specs" / f"{name}.spec").read_text())
    expected = read_expected(folder / "expected", name)
    listed = DIFFERENCES.get(name, set())
    assert heading(spec) == expected.head
    engine = ZerodbEngine(str(database / "database"))
    texts: list[str] = []
    failure = None
    try:
        texts = run_spec(engine, spec)
    except RunError as error:
        failure = str(error)
    finally:
        engine.close()
    if failure is not None or "all" in listed:
        assert failure is not None, "it runs: its differences are to be listed one by one"
        assert "all" in listed, failure
        return
    differing = {title(text): text for number, text in enumerate(texts) if not expected.agrees(number, text)}
    new = [text for steps, text in differing.items() if steps not in listed]
    assert not new, f"{len(new)} of {len(texts)} differ and are not listed\n" + "\n".join(new[:3])
    mended = sorted(listed - differing.keys())
    assert not mended, f"no differences any more, to be taken out of the list: {mended}"


@pytest.mark.parametrize("name", GIVEN or ["(none)"])
def test_a_specification_of_postgres(name: str, tmp_path: Path) -> None:
    check(corpus("isolation"), name, tmp_path)


@pytest.mark.parametrize("name", OWN)
def test_a_specification_of_ours(name: str, tmp_path: Path) -> None:
    check(HERE, name, tmp_path)
