"""COPY in scripts: rows after the statement, and rows to standard output."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from zerodb.cli.main import cli

SCRIPT = """create table t (a int, b text);
COPY t (a, b) FROM stdin;
1\tone; 'it''s
2\t\\N
\\.

insert into t values (3, 'three');
copy (select * from t order by a) to stdout (format csv);
"""


def test_a_dump_is_loaded_and_written(tmp_path: Path) -> None:
    script = tmp_path / "dump.sql"
    script.write_text(SCRIPT)
    done = CliRunner().invoke(cli, ["run", str(script), "--db", str(tmp_path / "x.zdb"), "--format", "none"])
    assert done.exit_code == 0, done.output
    assert done.output == "1,one; 'it''s\n2,\n3,three\n"


def test_an_error_in_the_rows_says_where(tmp_path: Path) -> None:
    script = tmp_path / "dump.sql"
    script.write_text("create table t (a int);\ncopy t from stdin;\n1\nx\n\\.\n")
    done = CliRunner().invoke(cli, ["run", str(script), "--db", str(tmp_path / "x.zdb")])
    assert done.exit_code == 1
    assert "COPY t, line 2" in done.output
