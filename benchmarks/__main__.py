"""The command line of the benchmarks."""

from __future__ import annotations

import time

import click

from benchmarks.measure import RUNS


@click.group()
def main() -> None:
    """Measures zerodb beside its peers, in one process run, as ratios ours / theirs."""


@main.command()
@click.option("--scale", default="1", show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--against", type=click.Choice(["duckdb"]), default="duckdb", show_default=True)
@click.option("--queries", default="1,3,5,6,10,12,14,19", show_default=True, help="Numbers, or `all`.")
@click.option("--runs", default=RUNS, show_default=True)
def tpch(scale: str, threads: int, against: str, queries: str, runs: int) -> None:
    """TPC-H queries, hot and prepared."""
    from benchmarks.tpch_benchmark import run

    del against  # the only peer so far
    numbers = range(1, 23) if queries == "all" else [int(number) for number in queries.split(",")]
    if not run(scale, threads, tuple(numbers), runs):
        raise SystemExit(1)


@main.command()
@click.option("--scale", default="1", show_default=True)
@click.option("--queries", default="1", show_default=True)
def scaling(scale: str, queries: str) -> None:
    """Two threads against one."""
    from benchmarks.tpch_benchmark import scaling as run

    run(scale, [int(number) for number in queries.split(",")])


@main.command("compile")
@click.option("--runs", default=RUNS, show_default=True)
def compile_(runs: int) -> None:
    """From SQL text to running code."""
    from benchmarks.compile_benchmark import run

    run(runs=runs)


@main.command("import")
@click.option("--scale", default="1", show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--runs", default=5, show_default=True)
def import_(scale: str, threads: int, runs: int) -> None:
    """Bulk import of lineitem from Parquet."""
    from benchmarks.import_benchmark import run

    run(scale, threads, runs)


@main.command()
@click.option("--against", default="sqlite,duckdb", show_default=True)
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--runs", default=5, show_default=True)
@click.option("--only", default="", help="Some cases, by name (see CASES in oltp_benchmark.py), and `threads`.")
def oltp(against: str, rows: int, runs: int, only: str) -> None:
    """Small operations from Python, beside SQLite and DuckDB."""
    from benchmarks.oltp_benchmark import Sizes, run
    from benchmarks.peers import named

    if not run(named(against), Sizes(rows=rows), runs, [name for name in only.split(",") if name]):
        raise SystemExit(1)


@main.command()
@click.option("--workloads", default="ABCDEF", show_default=True)
@click.option("--distribution", type=click.Choice(["uniform", "zipfian", "latest"]), help="Instead of the workload's.")
@click.option("--records", default=100_000, show_default=True)
@click.option("--operations", default=10_000, show_default=True)
@click.option("--against", default="sqlite", show_default=True)
def ycsb(workloads: str, distribution: str | None, records: int, operations: int, against: str) -> None:
    """YCSB's workloads, every operation a durable transaction."""
    from benchmarks.peers import named
    from benchmarks.ycsb_benchmark import run

    if not run(workloads, distribution, records, operations, named(against)):
        print("the peers hold DIFFERENT rows")
        raise SystemExit(1)


@main.command()
@click.option("--warehouses", default=1, show_default=True)
@click.option("--seconds", default=20.0, show_default=True, help="For each peer; with --kill the longest round.")
@click.option("--threads", default=1, show_default=True, help="Terminals.")
@click.option("--against", default="sqlite", show_default=True)
@click.option("--isolation", type=click.Choice(["snapshot", "serializable"]), default="snapshot", show_default=True)
@click.option("--items", default=100_000, show_default=True)
@click.option("--customers", default=3000, show_default=True, help="Of a district.")
@click.option("--kill", default=0, help="Rounds: run, kill the process, reopen and check.")
def tpcc(
    warehouses: int, seconds: float, threads: int, against: str, isolation: str, items: int, customers: int, kill: int
) -> None:
    """TPC-C's five transactions, with its consistency conditions."""
    from benchmarks.peers import named
    from benchmarks.tpcc.schema import Scale
    from benchmarks.tpcc_benchmark import crash, report

    scale = Scale(warehouses, items, customers)
    if kill:
        wrong = crash(scale, threads, kill, seconds)
        print("\n".join(wrong) or f"nothing lost in {kill} crashes; the consistency conditions hold")
        raise SystemExit(bool(wrong))
    if not report(scale, seconds, threads, named(against), isolation):
        raise SystemExit(1)


@main.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--seconds", default=4.0, show_default=True, help="Of each measurement.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--cores", default=2, show_default=True, help="0: all.")
def mixed(rows: int, seconds: float, rounds: int, cores: int) -> None:
    """A reader while two writers commit."""
    from benchmarks.mixed_benchmark import run

    run(rows, seconds, rounds, cores)


@main.command()
@click.option("--runs", default=5, show_default=True)
@click.option("--only", type=click.Choice(["", "guests", "functions"]), default="", help="One half.")
@click.option("--cpu", is_flag=True, help="Time of the processor, not of the clock: for a machine with other work.")
def components(runs: int, only: str, cpu: bool) -> None:
    """Guests and functions in WebAssembly components."""
    from benchmarks.components_benchmark import Sizes, run

    if not run(runs, Sizes(clock=time.process_time if cpu else time.perf_counter), only):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
