"""`zerodb demo`: TPC-H data, imported and queried, with the time of every stage; leaves the database to play with."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import zerodb
from zerodb.cli.main import Failure
from zerodb.cli.output import print_whole, write_table
from zerodb.cli.running import row_total

if TYPE_CHECKING:
    from zerodb.connection import Connection

KEYS = {
    "region": ("r_regionkey",),
    "nation": ("n_nationkey",),
    "supplier": ("s_suppkey",),
    "customer": ("c_custkey",),
    "part": ("p_partkey",),
    "partsupp": ("ps_partkey", "ps_suppkey"),
    "orders": ("o_orderkey",),
    "lineitem": ("l_orderkey", "l_linenumber"),
}
HOT_RUNS = 5

QUERIES = {
    "Q1 pricing summary": """select l_returnflag, l_linestatus, sum(l_quantity) as sum_qty,
    sum(l_extendedprice) as sum_base_price,
    sum(l_extendedprice * (1 - l_discount)) as sum_disc_price,
    sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as sum_charge,
    avg(l_quantity) as avg_qty, avg(l_extendedprice) as avg_price, avg(l_discount) as avg_disc, count(*) as count_order
from lineitem
where l_shipdate <= date '1998-12-01' - interval '90' day
group by l_returnflag, l_linestatus
order by l_returnflag, l_linestatus""",
    "Q3 shipping priority": """select l_orderkey, sum(l_extendedprice * (1 - l_discount)) as revenue,
    o_orderdate, o_shippriority
from customer, orders, lineitem
where c_mktsegment = 'BUILDING' and c_custkey = o_custkey and l_orderkey = o_orderkey
    and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15'
group by l_orderkey, o_orderdate, o_shippriority
order by revenue desc, o_orderdate
limit 10""",
    "Q5 local supplier volume": """select n_name, sum(l_extendedprice * (1 - l_discount)) as revenue
from customer, orders, lineitem, supplier, nation, region
where c_custkey = o_custkey and l_orderkey = o_orderkey and l_suppkey = s_suppkey and c_nationkey = s_nationkey
    and s_nationkey = n_nationkey and n_regionkey = r_regionkey and r_name = 'ASIA'
    and o_orderdate >= date '1994-01-01' and o_orderdate < date '1994-01-01' + interval '1' year
group by n_name
order by revenue desc""",
    "Q6 revenue change": """select sum(l_extendedprice * l_discount) as revenue
from lineitem
where l_shipdate >= date '1994-01-01' and l_shipdate < date '1994-01-01' + interval '1' year
    and l_discount between 0.06 - 0.01 and 0.06 + 0.01 and l_quantity < 24""",
    "Q14 promotion effect": """select 100.00 * sum(case when p_type like 'PROMO%'
    then l_extendedprice * (1 - l_discount) else 0 end) / sum(l_extendedprice * (1 - l_discount)) as promo_revenue
from lineitem, part
where l_partkey = p_partkey and l_shipdate >= date '1995-09-01'
    and l_shipdate < date '1995-09-01' + interval '1' month""",
    "one row by key": "select * from orders where o_orderkey = 7",
}


def run_demo(scale: float, directory: Path, threads: int | None) -> None:
    """Everything; the database is made anew if one is there from an earlier demo."""
    console = Console()
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / "demo.zdb"
    if target.exists():
        shutil.rmtree(target)
    with tempfile.TemporaryDirectory(prefix="zerodb-demo-") as folder:
        _generate(scale, Path(folder), console)
        with zerodb.connect(str(target), threads=threads) as connection:
            _import(connection, Path(folder), console)
            _query(connection, console)
            artifact = directory / "q1.wasm"
            statement = connection.prepare(QUERIES["Q1 pricing summary"])
            artifact.write_bytes(statement.wasm)
    _goodbye(target, artifact, console)


def _generate(scale: float, folder: Path, console: Console) -> None:
    program = shutil.which("tpchgen-cli", path=str(Path(sys.executable).parent)) or shutil.which("tpchgen-cli")
    if program is None:
        raise Failure('ERROR 58P01: the demo needs tpchgen-cli: pip install "zerosys-db[demo]"')
    with console.status(f"making TPC-H data, scale {scale:g} ..."):
        began = time.perf_counter()
        done = subprocess.run(
            [program, "parquet", "-s", str(scale), f"--output-dir={folder}"],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise Failure(f"ERROR 58000: tpchgen-cli failed: {lines[-1]}")
    console.print(f"TPC-H data at scale {scale:g}, made in {time.perf_counter() - began:.1f} s", highlight=False)


def _import(connection: Connection, folder: Path, console: Console) -> None:
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        TextColumn("{task.completed:>9,.0f} rows"),
        TimeElapsedColumn(),
    )
    began = time.perf_counter()
    total = 0
    with Progress(*columns, console=console) as progress:
        for table, key in KEYS.items():
            path = folder / f"{table}.parquet"
            task = progress.add_task(table, total=row_total(path))

            def advance(rows: int, _bytes: int, task: object = task) -> None:
                progress.update(task, completed=rows)  # type: ignore[arg-type]

            rows = connection.import_file(table, path, primary_key=key, progress=advance)
            progress.update(task, completed=rows, total=rows)
            total += rows
    console.print(f"{total:,} rows imported in {time.perf_counter() - began:.1f} s\n", highlight=False)


def _query(connection: Connection, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, title="milliseconds", title_justify="right")
    table.add_column("query", no_wrap=True)
    for name in ("parse", "plan", "generate", "compile", "first run", "hot run", "rows", "wasm bytes"):
        table.add_column(name, justify="right")
    began = time.perf_counter()
    connection.prepare("select r_name, count(*) from region group by r_name order by r_name limit 1")
    warm = (time.perf_counter() - began) * 1000
    console.print(f"The first statement of a process also loads the compiler: {warm:.0f} ms.\n", highlight=False)
    for name, text in QUERIES.items():
        statement = connection.prepare(text)
        began = time.perf_counter()
        cursor = statement.execute()
        first = time.perf_counter() - began
        rows = cursor.rowcount
        hot = statistics.median(_timed(connection, text) for _ in range(HOT_RUNS))
        seconds = statement.stages
        plan = seconds.get("bind", 0.0) + seconds.get("optimize", 0.0) + seconds.get("physical", 0.0)
        times = (seconds.get("parse", 0.0), plan, seconds.get("generate", 0.0), seconds.get("compile", 0.0), first, hot)
        table.add_row(name, *(f"{value * 1000:.2f}" for value in times), f"{rows:,}", f"{len(statement.module):,}")
    print_whole(table, console)
    console.print("\nQ1's answer:", highlight=False)
    write_table(connection.execute(QUERIES["Q1 pricing summary"]), console)


def _timed(connection: Connection, text: str) -> float:
    """From the SQL text to the rows, when the shape is known."""
    began = time.perf_counter()
    connection.execute(text).fetchall()
    return time.perf_counter() - began


def _goodbye(target: Path, artifact: Path, console: Console) -> None:
    console.print(f"\nThe database is [bold]{target}[/bold], Q1 compiled is [bold]{artifact}[/bold]. Try:")
    for line in (
        f"zerodb shell {target}",
        f'zerodb explain --analyze --db {target} -c "select count(*) from lineitem where l_quantity < 5"',
        f"zerodb run {artifact} --db {target} --timing",
    ):
        click.echo(f"  {line}")
