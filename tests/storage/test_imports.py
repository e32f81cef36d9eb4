"""Storage imports what it uses: in a process of its own, nothing else has imported it before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WRITER = """
import sys, zerodb
db = zerodb.connect(sys.argv[1])
db.execute("create table t (i integer, s text)")
db.executemany("insert into t values (?, ?)", [(i, None if i % 3 == 0 else f"s{i % 5}") for i in range(1000)])
db.execute("insert into t values (-1, null), (-2, 'x')")
"""
READER = """
import sys, zerodb
db = zerodb.connect(sys.argv[1])
print(db.execute("select count(*), count(s), count(distinct s) from t").fetchall())
"""


def run(code: str, path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_fresh_process_reads_back_strings_with_nulls(tmp_path: Path) -> None:
    run(WRITER, tmp_path / "d.zdb")
    assert run(READER, tmp_path / "d.zdb") == "[(1002, 667, 6)]"
