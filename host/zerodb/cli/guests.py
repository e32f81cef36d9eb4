"""`zerodb new guest` and `zerodb build`: projects whose code becomes a component."""

from __future__ import annotations

from pathlib import Path

import click

from zerodb.guests.project import LANGUAGES, WORLDS, ProjectError, read_project

SHORT = {"js": "javascript", "py": "python", "rs": "rust"}


@click.group("new")
def new() -> None:
    """Make a project."""


@new.command("guest")
@click.argument("folder", metavar="NAME", type=click.Path(path_type=Path))
@click.option("--lang", "language", required=True, type=click.Choice([*LANGUAGES, *SHORT]), help="Of the code.")
@click.option("--kind", default="guest", show_default=True, type=click.Choice(list(WORLDS)), help="What it will be.")
def new_guest(folder: Path, language: str, kind: str) -> None:
    """A program that queries (--kind guest), or a function that SQL calls."""
    from zerodb.guests.scaffold import scaffold

    language = SHORT.get(language, language)
    try:
        scaffold(folder, language, kind)
    except ProjectError as error:
        raise click.UsageError(str(error)) from None
    source = {"python": "app.py", "javascript": "app.js", "c": "app.c", "rust": "src/lib.rs"}[language]
    click.echo(f"{folder}: edit {folder / source}, then: zerodb build {folder}")


@click.command("build")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
def build_project(folder: Path) -> None:
    """Build the component of a project that `zerodb new guest` made."""
    from zerodb.cli.main import Failure
    from zerodb.guests.build import build

    try:
        made = build(read_project(folder))
    except ProjectError as error:
        raise Failure(str(error)) from None
    click.echo(f"{made}: {made.stat().st_size:,} bytes")
