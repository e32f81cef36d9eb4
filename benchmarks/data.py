"""TPC-H data as Parquet, made once per scale by tpchgen-cli in a cache folder (ZERODB_BENCHMARK_DATA, or the user's
cache directory)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

TABLES = ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem")
QUERIES = Path(__file__).parent / "tpch" / "queries"


def cache_folder() -> Path:
    given = os.environ.get("ZERODB_BENCHMARK_DATA")
    base = Path(given) if given else Path.home() / ".cache" / "zerodb-benchmarks"
    base.mkdir(parents=True, exist_ok=True)
    return base


def tpch(scale: str) -> Path:
    """The folder with the Parquet files of a scale factor."""
    folder = cache_folder() / f"tpch-{scale}"
    if not (folder / "done").exists():
        tool = shutil.which("tpchgen-cli", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
        if tool is None:
            raise SystemExit('tpchgen-cli is missing: pip install "zerosys-db[bench]"')
        folder.mkdir(exist_ok=True)
        subprocess.run([tool, "parquet", "-s", scale, f"--output-dir={folder}"], check=True, stdout=subprocess.DEVNULL)
        (folder / "done").touch()
    return folder


def query(number: int) -> str:
    return (QUERIES / f"q{number:02}.sql").read_text().strip().rstrip(";")
