"""`zerodb backup`, `restore`, and `check` of a directory of backups. No connection is opened: a backup is made of a
database that another process may be writing."""

from __future__ import annotations

import click

from zerodb.cli.main import Failure
from zerodb.cli.report import error_text
from zerodb.errors import Error


def back_up(database: str, destination: str, incremental: bool) -> None:
    from zerodb_storage.backups.making import back_up as make

    try:
        report = make(database, destination, incremental=incremental)
    except Error as error:
        raise Failure(error_text(error, None)) from None
    kind = "full" if report.full else "incremental"
    click.echo(f"{destination}: backup {report.number} ({kind}), {report.bytes:,} bytes, up to {report.end}", err=True)


def restored(source: str, database: str, to: str) -> None:
    import zerodb

    try:
        point = zerodb.restore(source, database, to)
    except Error as error:
        raise Failure(error_text(error, None)) from None
    click.echo(f"{database}: restored up to {point}", err=True)


def is_backups(path: str) -> bool:
    from zerodb_storage.backups import files

    return files.is_repository(path)


def check_backups(path: str) -> None:
    from zerodb_storage.backups import verifying

    problems = verifying.check(path)
    if problems:
        raise Failure("\n".join(f"ERROR XX001: {problem}" for problem in problems))
    click.echo(f"{path}: no problem found")
