"""Parts of the shell that need no terminal: when a statement is complete, and completion."""

from __future__ import annotations

from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

import zerodb
from zerodb.cli.report import caret, line_and_column
from zerodb.cli.shell import Shell, SqlCompleter, _complete


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("select 1;", True),
        ("select 1", False),
        ("select ';'", False),
        ("select ';';", True),
        ('select ";"', False),
        ("select 1; -- why", True),
        ("select 1 -- why;", False),
        ("select 1 /* ; */", False),
        ("select 1; /* open", False),
        (".tables", True),
        ("", True),
        ("select 'it''s';\n", True),
        ("do $$ begin null;", False),
        ("do $$ begin null; end $$", False),
        ("do $$ begin $q$;$q$; end $$;", True),
        ("do $a$ begin $$; end $a$;", True),
    ],
)
def test_complete(text: str, complete: bool) -> None:
    assert _complete(text) is complete


def test_completion() -> None:
    with zerodb.connect() as db:
        db.execute("create table orders (order_key integer, order_date date)")
        completer = SqlCompleter(db)

        def words(text: str) -> list[str]:
            return [found.text for found in completer.get_completions(Document(text), CompleteEvent())]

        assert words("select ord") == ["order_date", "order_key", "orders", "order"]
        assert words("SEL") == ["SELECT"]
        assert words(".ti") == [".timing"]
        assert words("select ") == []


def test_caret() -> None:
    text = "select a,\n\tb from t"
    assert line_and_column(text, 11) == (2, 2)
    assert caret(text, 11) == " b from t\n ^"
    long = "x" * 500
    assert len(caret(long, 400).split("\n")[0]) <= 160


def test_a_session_at_a_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys in, results out: a statement over two lines, an error, a command, the end by Ctrl-D."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with (
        create_pipe_input() as keys,
        create_app_session(input=keys, output=DummyOutput()),
        zerodb.connect() as db,
    ):
        keys.send_text("select 40 + 2\r as answer;\rselect nothing;\r.timing\rselect 42;\r\x04")
        shell = Shell(db, ":memory:")
        shell._interactive = True
        shell.run()
    captured = capsys.readouterr()
    lines = [line.strip() for line in captured.out.splitlines()]  # whole lines: a time may hold any digits
    assert lines.count("42") == 2
    assert "timing is on" in captured.out
    assert "Time:" in captured.out
    assert "42703" in captured.err
    assert (tmp_path / "zerodb" / "history").exists()
