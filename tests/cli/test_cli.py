"""The command line as users meet it: a process, its output and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from zerodb.cli.main import cli


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to work in, with its own state directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def process() -> Run:
    """Runs `zerodb ...` as a process."""

    def run(*arguments: str, input: str | None = None) -> Done:  # noqa: A002
        command = [sys.executable, "-m", "zerodb", *arguments]
        done = subprocess.run(command, input=input, capture_output=True, text=True, check=False, timeout=120)
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def zerodb() -> Run:
    """Runs `zerodb ...` in this process: as above, but quick."""

    def run(*arguments: str, input: str | None = None) -> Done:  # noqa: A002
        done = CliRunner().invoke(cli, arguments, input=input, prog_name="zerodb")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    return run


def ok(done: Done) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


SCRIPT = """create table t (id integer primary key, name text, price numeric(8,2), day date);
insert into t values (1, 'pen', 1.20, '2024-01-31'), (2, 'say "hi"', null, null), (3, '', 0.05, '1999-12-31');
"""


def test_help_and_version(process: Run) -> None:
    help_text = ok(process("--help"))
    for command in ("shell", "run", "compile", "explain", "import", "export", "check", "demo"):
        assert command in help_text
    assert "serve" not in help_text
    assert "0.1.0" in ok(process("--version"))


def test_run_and_formats(zerodb: Run, tmp_path: Path) -> None:
    (tmp_path / "script.sql").write_text(SCRIPT)
    out = ok(zerodb("run", "script.sql", "--db", "a.zdb"))
    assert "CREATE TABLE" in out
    assert "INSERT 0 3" in out
    query = ("run", "-c", "select * from t order by id", "--db", "a.zdb", "--format")
    table = ok(zerodb(*query, "table"))
    assert "1.20" in table
    assert "NULL" in table
    assert "(3 rows)" in table
    assert ok(zerodb(*query, "csv")) == (
        'id,name,price,day\n1,pen,1.20,2024-01-31\n2,"say ""hi""",,\n3,"",0.05,1999-12-31\n'
    )
    lines = [json.loads(line) for line in ok(zerodb(*query, "json")).splitlines()]
    assert lines[0] == {"id": 1, "name": "pen", "price": 1.2, "day": "2024-01-31"}
    assert lines[1] == {"id": 2, "name": 'say "hi"', "price": None, "day": None}
    assert ok(zerodb(*query, "none")) == ""
    assert ok(zerodb("run", "-", "--db", "a.zdb", "--format", "csv", input="select 1 as one;")) == "one\n1\n"
    done = zerodb("run", "-c", "select 1", "--timing")
    assert "Time:" in done.stderr


def test_arrow_format(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zerodb", "run", "-c", "select 1 as a, 'x' as b", "--format", "arrow"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert pa.ipc.open_stream(done.stdout).read_all().to_pylist() == [{"a": 1, "b": "x"}]


def test_parameters(zerodb: Run) -> None:
    ok(zerodb("run", "-c", SCRIPT, "--db", "a.zdb"))
    select = "select name from t where id = $id"
    assert ok(zerodb("run", "-c", select, "--db", "a.zdb", "--param", "id=1", "--format", "csv")) == "name\npen\n"
    by_number = ("run", "-c", "select name from t where id = $1", "--db", "a.zdb", "--param", "1=1", "--format", "csv")
    assert ok(zerodb(*by_number)) == "name\npen\n"
    assert zerodb("run", "-c", select, "--db", "a.zdb").returncode == 1
    assert zerodb("run", "-c", select, "--db", "a.zdb", "--param", "id").returncode == 2


def test_errors(process: Run, tmp_path: Path) -> None:
    (tmp_path / "wrong.sql").write_text("create table t (a integer);\nselect a,\n       b from t;\n")
    done = process("run", "wrong.sql")
    assert done.returncode == 1
    message, line, caret = done.stderr.rstrip("\n").split("\n")
    assert message.startswith("wrong.sql:3:8: ERROR 42703: ")
    assert line == "       b from t;"
    assert caret == "       ^"
    assert "Traceback" not in process("run", "-c", "select 1/0").stderr
    assert process("run", "-c", "select 1/0").returncode == 1


def test_nothing_to_run_is_no_error(zerodb: Run) -> None:
    for text in ("", " ;; ", "-- nothing", "/* nothing */;"):
        done = zerodb("run", "-c", text)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_errors_of_parameters_name_them(zerodb: Run) -> None:
    ok(zerodb("run", "-c", SCRIPT, "--db", "a.zdb"))
    query = ("run", "--db", "a.zdb", "-c", "select name from t where id = $id and price < $most")
    assert zerodb(*query).stderr == "ERROR 08P01: no value for parameter $id, $most\n"
    assert zerodb(*query, "--param", "id=1").stderr == "ERROR 08P01: no value for parameter $most\n"
    done = zerodb(*query, "--param", "id=1", "--param", "most=x")
    assert done.returncode == 1
    assert "22P02" in done.stderr
    assert "(parameter $most)" in done.stderr


def test_errors_of_import_are_one_line(zerodb: Run, process: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,x\n")
    (tmp_path / "latin.csv").write_bytes(b"a,b\n1,x\n2,\xe9\n")
    for wrong, *arguments in [
        ("22023", "t", "a.csv", "--delimiter", "ab"),
        ("42601", "", "a.csv"),
        ("line 3", "t", "latin.csv"),
        ("58P01", "t", "none.csv"),
        ("42703", "t", "a.csv", "--primary-key", "z"),
    ]:
        done = zerodb("import", "a.zdb", *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("ERROR ")
        assert done.stderr.count("\n") == 1
        assert wrong in done.stderr
    assert zerodb("export", "a.zdb", "none", "x.csv").stderr.startswith("ERROR 42P01")
    assert zerodb("import", "a.zdb", "t", "-").returncode == 2
    ok(process("import", "a.zdb", "t", "-", "--format", "csv", input="a,b\n1,x\n2,y\n"))
    assert ok(zerodb("run", "--db", "a.zdb", "-c", "select * from t", "--format", "csv")) == "a,b\n1,x\n2,y\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("format_", ["table", "csv", "json", "arrow"])
def test_full_disk_under_the_output(format_: str) -> None:
    command = [sys.executable, "-m", "zerodb", "run", "-c", "select 1 as a", "--format", format_]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, "ERROR 58030: No space left on device\n")


def test_timestamps_have_the_digits_they_need(zerodb: Run) -> None:
    query = "select timestamp '2024-01-01 10:00:00.5' as a, timestamp '2024-01-01 10:00:10' as b"
    assert ok(zerodb("run", "-c", query, "--format", "csv")) == "a,b\n2024-01-01 10:00:00.5,2024-01-01 10:00:10\n"


def test_wrong_usage(zerodb: Run) -> None:
    assert zerodb("demo", "--scale", "0").returncode == 2
    assert zerodb("run").returncode == 2
    assert zerodb("run", "nothing.sql").returncode == 2
    assert zerodb("nonsense").returncode == 2
    assert zerodb("run", "-c", "select 1", "--format", "xml").returncode == 2
    assert zerodb("compile", "q.sql").returncode == 2
    assert zerodb("explain").returncode == 2


def test_import_export_and_check(zerodb: Run, tmp_path: Path) -> None:
    pq.write_table(pa.table({"k": [3, 1, 2], "s": ["c", "a", None]}), tmp_path / "in.parquet")
    ok(zerodb("import", "a.zdb", "t", "in.parquet", "--primary-key", "k"))
    ok(zerodb("export", "a.zdb", "t", "out.csv"))
    assert sorted((tmp_path / "out.csv").read_text().splitlines()) == ["1,a", "2,", "3,c", "k,s"]
    ok(zerodb("import", "a.zdb", "u", "out.csv"))
    for name in ("out.json", "out.parquet", "out.arrow"):
        ok(zerodb("export", "a.zdb", "select k, s from u order by k", name))
        table = f"from_{name.split('.')[1]}"
        ok(zerodb("import", "a.zdb", table, name))
        found = ok(zerodb("run", "-c", f"select k, s from {table} order by k", "--db", "a.zdb", "--format", "csv"))
        assert found == "k,s\n1,a\n2,\n3,c\n"
    assert "no problem" in ok(zerodb("check", "a.zdb"))
    done = zerodb("import", "a.zdb", "t", "in.parquet")
    assert done.returncode == 1
    assert "23505" in done.stderr
    (tmp_path / "broken.csv").write_text("k,s\n1,a\n2,b,c\n")
    done = zerodb("import", "a.zdb", "v", "broken.csv")
    assert done.returncode == 1
    assert "line 3" in done.stderr
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".partial")]


def test_missing_database(zerodb: Run, tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("select 1")
    for arguments in (
        ("check", "no.zdb"),
        ("export", "no.zdb", "t", "x.csv"),
        ("explain", "-c", "select 1", "--db", "no.zdb"),
    ):
        done = zerodb(*arguments)
        assert done.returncode == 1
        assert "58P01" in done.stderr
    assert not (tmp_path / "no.zdb").exists()


def test_damage_is_found(zerodb: Run, tmp_path: Path) -> None:
    pq.write_table(pa.table({"k": list(range(20_000))}), tmp_path / "in.parquet")
    ok(zerodb("import", "a.zdb", "t", "in.parquet"))
    for file in (tmp_path / "a.zdb").iterdir():
        if file.suffix in (".blob", ".sst"):
            data = bytearray(file.read_bytes())
            data[len(data) // 3] ^= 0xFF
            file.write_bytes(data)
    done = zerodb("check", "a.zdb")
    assert done.returncode == 1
    assert "XX001" in done.stderr
    assert "Traceback" not in done.stderr


def test_compile_and_run_an_artifact(zerodb: Run, tmp_path: Path) -> None:
    ok(zerodb("run", "-c", SCRIPT, "--db", "a.zdb"))
    (tmp_path / "q.sql").write_text("select name, price from t where price < $limit order by price")
    ok(zerodb("compile", "q.sql", "--db", "a.zdb", "-o", "q.wasm"))
    assert (tmp_path / "q.wasm").read_bytes()[:8] == b"\0asm\x0d\0\x01\0"
    run = ("run", "q.wasm", "--db", "a.zdb", "--format", "csv")
    assert ok(zerodb(*run, "--param", "limit=1")) == 'name,price\n"",0.05\n'
    assert zerodb(*run).returncode == 1
    assert ok(zerodb("compile", "q.sql", "--db", "a.zdb", "--wat")).startswith("(module")
    (tmp_path / "bad.wasm").write_bytes(b"not wasm")
    done = zerodb("run", "bad.wasm", "--db", "a.zdb")
    assert done.returncode == 1
    assert "22P03" in done.stderr


def test_explain(zerodb: Run) -> None:
    ok(zerodb("run", "-c", SCRIPT, "--db", "a.zdb"))
    plan = ok(zerodb("explain", "--db", "a.zdb", "-c", "select count(*) from t where id > 1"))
    assert "Pipeline 0" in plan
    analyzed = ok(zerodb("explain", "--analyze", "--db", "a.zdb", "-c", "select count(*) from t where id > 1"))
    assert "Execution:" in analyzed


def test_shell_reads_from_a_pipe(process: Run, tmp_path: Path) -> None:
    pq.write_table(pa.table({"k": [1, 2]}), tmp_path / "in.parquet")
    text = SCRIPT + "select name\nfrom t where id = 1;\n.tables\n.schema t\n"
    text += ".import u in.parquet\n.timing on\nselect 'a;b';\n.help\n"
    out = ok(process("shell", "a.zdb", input=text))
    assert "pen" in out
    assert "3 rows" in out
    assert "create table t (" in out
    assert "primary key (id)" in out
    assert "a;b" in out
    assert "Time:" in out
    done = process("shell", "a.zdb", input="select nothing from t;\nselect count(*) from u;\n.wrong\n")
    assert done.returncode == 1
    assert "42703" in done.stderr
    assert "(1 row)" in done.stdout


def test_demo(zerodb: Run, process: Run, tmp_path: Path) -> None:
    out = ok(process("demo", "--scale", "0.01", "--directory", "demo"))
    assert "Q1 pricing summary" in out
    assert "(4 rows)" in out
    assert (tmp_path / "demo" / "q1.wasm").exists()
    count = ok(zerodb("run", "-c", "select count(*) as n from lineitem", "--db", "demo/demo.zdb", "--format", "csv"))
    assert count == "n\n60175\n"
    assert ok(process("run", "demo/q1.wasm", "--db", "demo/demo.zdb", "--format", "csv")).count("\n") == 5
