"""`zerodb run app.wasm`: a component that uses the database. Its text goes to standard output, its lines to standard
error with its name before them; an error has exit status 1."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zerodb.artifact import parse
from zerodb.cli.main import Failure
from zerodb.cli.report import error_text
from zerodb.errors import Error

if TYPE_CHECKING:
    from zerodb.connection import Connection


@dataclass(frozen=True, slots=True)
class GuestOptions:
    arguments: tuple[str, ...]
    grants: tuple[str, ...] | None
    memory: str | None
    timeout: float | None
    fuel: int | None
    timing: bool


def is_guest(file: str) -> bool:
    """Whether the file is a component that `zerodb compile` has not made."""
    from zerodb.components.engine import COMPONENT_PREAMBLE

    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise click.UsageError(f"cannot read {file}: {error.strerror}") from None
    if not data.startswith(COMPONENT_PREAMBLE):
        return False
    try:
        parse(data)
    except Error as error:
        return "another kind" in error.message
    return False


class _Lines(logging.Handler):
    """Guests' lines on standard error: "app: connected"."""

    def emit(self, record: logging.LogRecord) -> None:
        name = record.name.removeprefix("zerodb.guest.")
        click.echo(f"{name}: {record.getMessage()}", file=sys.stderr)


def run_guest(connection: Connection, file: str, options: GuestOptions) -> None:
    logger = logging.getLogger("zerodb.guest")
    lines = _Lines()
    logger.addHandler(lines)
    level, logger.propagate = logger.level, False
    logger.setLevel(logging.INFO)
    began = time.perf_counter()
    try:
        text = connection.run_component(
            file,
            options.arguments,
            grants=options.grants,
            memory_limit=options.memory,
            timeout=options.timeout,
            fuel=options.fuel,
        )
    except Error as error:
        raise Failure(error_text(error, None)) from None
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)
        logger.propagate = True
    click.echo(text)
    if options.timing:
        click.echo(f"Time: {(time.perf_counter() - began) * 1000:.2f} ms", err=True)
