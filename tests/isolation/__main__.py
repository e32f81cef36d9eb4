"""`python -m tests.isolation FILE.spec ...` runs specifications and prints what isolationtester would print.

With `--postgres "host=... dbname=..."` they run on a PostgreSQL: that is how our own expected files are made.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.isolation.postgres_engine import PostgresEngine
from tests.isolation.spec import parse_spec
from tests.isolation.tester import Engine, heading, run_spec
from tests.isolation.zerodb_engine import ZerodbEngine


@contextmanager
def engine(postgres: str | None) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory() as folder:
        opened = PostgresEngine(postgres) if postgres else ZerodbEngine(str(Path(folder) / "database"))
        try:
            yield opened
        finally:
            opened.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.isolation", description="runs isolation specifications")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--postgres", help="a PostgreSQL to run them on instead")
    given = parser.parse_args()
    for path in given.files:
        spec = parse_spec(path.read_text())
        with engine(given.postgres) as opened:
            sys.stdout.write(heading(spec) + "".join(run_spec(opened, spec)))


if __name__ == "__main__":
    main()
