"""A guest in Python that tries what programs may do and guests may not: files, the network, the environment, other
processes, and using everything up. (Slow: building a Python guest takes a while.)"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import zerodb
from zerodb.errors import Error
from zerodb.guests.build import build
from zerodb.guests.files import SDK
from zerodb.guests.project import Project

pytestmark = pytest.mark.slow

SOURCE = r"""
import os, socket, subprocess, sys
from zerodb_guest import connect

def deep(n):
    return deep(n + 1) + 1

def run(arguments):
    what = arguments[0]
    try:
        if what == "read":
            return open(arguments[1]).read()
        if what == "write":
            open(arguments[1], "w").write("stolen")
        elif what == "list":
            return str(os.listdir("/"))
        elif what == "connect":
            socket.create_connection(("127.0.0.1", int(arguments[1])), timeout=2)
        elif what == "listen":
            socket.create_server(("127.0.0.1", 0))
        elif what == "run":
            subprocess.run(["id"])
        elif what == "environment":
            return " ".join(sorted(os.environ))
        elif what == "arguments":
            return " ".join(sys.argv[1:])
        elif what == "deep":
            sys.setrecursionlimit(10**6)
            return str(deep(0))
        elif what == "memory":
            held = []
            while True:
                held.append(bytearray(1 << 20))
        elif what == "loop":
            while True:
                pass
        elif what == "exit":
            sys.exit(3)
        elif what == "surrogate":
            with connect() as db:
                db.execute("insert into work values ('\ud800')")
        elif what == "print":
            print("said")
            print("loudly", file=sys.stderr)
            return "done"
    except OSError as error:
        return f"refused: {type(error).__name__}"
    return "done"
"""


@pytest.fixture(scope="module")
def guest() -> Path:
    if importlib.util.find_spec("componentize_py") is None:
        pytest.skip("needs componentize-py (pip install componentize-py)")
    sdk = b"".join(path.read_bytes() for path in sorted((SDK / "python").rglob("*.py")))
    digest = hashlib.sha256(SOURCE.encode() + sdk).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / "zerodb-test-guests" / f"python-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.py").write_text(SOURCE)
    project = Project(folder, "hostile", "python", "guest")
    return project.output if project.output.exists() else build(project)


@pytest.fixture
def db(monkeypatch: pytest.MonkeyPatch) -> Iterator[zerodb.Connection]:
    monkeypatch.setenv("ZERODB_TEST_SECRET", "x")
    with zerodb.connect() as connection:
        connection.execute("create table work (a text)")
        yield connection


def test_no_files(db: zerodb.Connection, guest: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for path in (str(secret), "/etc/passwd", "../../../../etc/passwd", "/proc/self/environ", "app.py"):
        assert db.run_component(guest, ["read", path]).startswith("refused")
        assert db.run_component(guest, ["write", path + ".new"]).startswith("refused")
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert db.run_component(guest, ["list"]) in ("[]", "refused: FileNotFoundError", "refused: OSError")


def test_one_directory_if_granted(db: zerodb.Connection, guest: Path, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.write_text("secret")
    (inside / "file").write_text("open")
    (inside / "link").symlink_to(outside)
    grants = [f"wasi:dir={inside}"]
    assert db.run_component(guest, ["read", f"{inside}/file"], grants=grants) == "open"
    for path in (f"{inside}/../outside", f"{inside}/link", str(outside)):
        assert db.run_component(guest, ["read", path], grants=grants).startswith("refused")
    assert db.run_component(guest, ["write", f"{inside}/new"], grants=grants).startswith("refused")
    assert db.run_component(guest, ["write", f"{inside}/new"], grants=[f"wasi:dir={inside}:rw"]) == "done"


def test_no_network(db: zerodb.Connection, guest: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        try:
            said = db.run_component(guest, ["connect", str(port)], timeout=20)
        except Error as error:
            said = f"refused: {error}"
        assert "refused" in said
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()
    with contextlib.suppress(Error):  # a module that guests do not have
        assert "refused" in db.run_component(guest, ["listen"], timeout=20)


def test_no_environment_no_arguments_no_processes(db: zerodb.Connection, guest: Path) -> None:
    assert "ZERODB_TEST_SECRET" not in db.run_component(guest, ["environment"])
    assert "HOME" not in db.run_component(guest, ["environment"]).split()
    assert db.run_component(guest, ["environment"], grants=["wasi:env=ZERODB_TEST_SECRET"]) == "ZERODB_TEST_SECRET"
    assert db.run_component(guest, ["arguments"]) == ""
    with contextlib.suppress(Error):  # the module says itself that there are no processes
        assert db.run_component(guest, ["run"]).startswith("refused")


@pytest.mark.parametrize(
    ("what", "sqlstates"),
    [
        ("deep", {"39000", "38000"}),
        ("memory", {"53200", "38000"}),
        ("loop", {"57014"}),
        ("exit", {"39000", "38000"}),
        ("surrogate", {"38000", "39000"}),
    ],
)
def test_a_guest_that_uses_everything_up(db: zerodb.Connection, guest: Path, what: str, sqlstates: set[str]) -> None:
    with pytest.raises(Error) as error:
        db.run_component(guest, [what], timeout=2 if what == "loop" else 60, memory_limit="64MB")
    assert error.value.sqlstate in sqlstates
    assert db.run_component(guest, ["print"]) == "done"
    assert db.execute("select count(*) from work").fetchone() == (0,)
