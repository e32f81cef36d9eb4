"""`zerodb test`: sqllogictest files, with progress, the first differences and a summary."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from zerodb.logictest.files import RunOptions, failure_text, find_files, run_files, summary, write_report
from zerodb.logictest.runner import Report

FAILURES_SHOWN = 10


def run_tests(names: Sequence[str], options: RunOptions, jobs: int, timing: bool, report: str | None) -> bool:
    """Whether all records passed."""
    paths = find_files(names)
    if not paths:
        raise click.UsageError("there are no *.test files")
    shown = 0
    done: list[Report] = []
    for file in run_files(paths, options, jobs):
        done.append(file)
        for failure in file.failures[: max(0, FAILURES_SHOWN - shown)]:
            click.echo(failure_text(failure))
        shown += len(file.failures)
        _progress(file, len(done), len(paths), timing)
    if shown > FAILURES_SHOWN:
        click.echo(f"... and {shown - FAILURES_SHOWN:,} more failures\n")
    click.echo(summary(done))
    if report is not None:
        write_report(Path(report), done)
    return shown == 0


def _progress(file: Report, done: int, files: int, timing: bool) -> None:
    """A line a file with --timing or where something failed; on a terminal the number of files done."""
    if timing or file.failures:
        each = f", {1000 * file.seconds / file.run:.2f} ms a record" if file.run else ""
        took = f" in {file.seconds:.1f} s{each}" if timing else ""
        click.echo(f"[{done}/{files}] {file.path}: {file.passed:,} of {file.run:,} passed{took}", err=True)
    elif sys.stderr.isatty():
        click.echo(f"\r[{done}/{files}]", err=True, nl=done == files)
