"""Many sqllogictest files on zerodb, in this process or in several, and the report of a whole run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from zerodb.logictest.runner import Failure, Report, run_text


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`stride` n runs every n-th query only."""

    engine: str = "postgresql"
    fail_fast: bool = False
    stride: int = 1
    threads: int | None = None


def find_files(names: Sequence[str]) -> list[Path]:
    """Files as they are, folders as the *.test files in them; in order, each once."""
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        for file in sorted(path.rglob("*.test")) if path.is_dir() else [path]:
            found[file] = None
    return list(found)


def run_file(path: Path, options: RunOptions) -> Report:
    from zerodb.logictest.zerodb_engine import ZerodbEngine

    text = path.read_text(encoding="utf-8", errors="replace")
    return run_text(
        text,
        str(path),
        lambda: ZerodbEngine(options.threads),
        name=options.engine,
        fail_fast=options.fail_fast,
        stride=options.stride,
    )


def run_files(paths: Sequence[Path], options: RunOptions, jobs: int) -> Iterator[Report]:
    """Reports as the files are done. With several jobs the large files come first, so that none is waited for."""
    if jobs <= 1 or len(paths) < 2:
        for path in paths:
            report = run_file(path, options)
            yield report
            if options.fail_fast and report.failures:
                return
        return
    by_size = sorted(paths, key=lambda path: path.stat().st_size, reverse=True)
    with ProcessPoolExecutor(min(jobs, len(paths)), mp_context=get_context("spawn")) as pool:
        running = [pool.submit(run_file, path, options) for path in by_size]
        for future in as_completed(running):
            report = future.result()
            yield report
            if options.fail_fast and report.failures:
                pool.shutdown(wait=False, cancel_futures=True)
                return


def summary(reports: Sequence[Report]) -> str:
    """Files, records and what failed, in one line."""
    failures = [failure for report in reports for failure in report.failures]
    run = sum(report.run for report in reports)
    passed = sum(report.passed for report in reports)
    skipped = sum(report.skipped for report in reports)
    share = f" ({100 * passed / run:.2f} %)" if run else ""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(_counted(failures, lambda f: f.kind).items()))
    return (
        f"{len(reports):,} files, {run:,} records: {passed:,} passed{share}, {len(failures):,} failed"
        f"{f' ({kinds})' if kinds else ''}, {skipped:,} skipped"
    )


def _counted(failures: Sequence[Failure], key: Callable[[Failure], str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for failure in failures:
        counts[key(failure)] = counts.get(key(failure), 0) + 1
    return counts


def failure_text(failure: Failure) -> str:
    """Place, SQL and difference, for people."""
    state = f" {failure.sqlstate}" if failure.sqlstate else ""
    return f"{failure.path}:{failure.line}: {failure.kind}{state}\n{failure.sql}\n----\n{failure.message}\n"


def write_report(path: Path, reports: Sequence[Report]) -> None:
    """JSON lines: one object a file, then one a failure."""
    with path.open("w", encoding="utf-8") as out:
        for report in reports:
            line = {
                "file": report.path,
                "passed": report.passed,
                "failed": len(report.failures),
                "skipped": report.skipped,
                "seconds": round(report.seconds, 3),
            }
            out.write(json.dumps(line) + "\n")
        for report in reports:
            for failure in report.failures:
                out.write(json.dumps(asdict(failure), ensure_ascii=False) + "\n")
