"""`zerodb backup`, `restore` and `check` of backups, of a database that this process has open meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import zerodb
from zerodb.cli.main import cli


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_a_database_in_use_is_backed_up_and_restored(tmp_path: Path) -> None:
    path, backups, restored = tmp_path / "shop.zdb", tmp_path / "backups", tmp_path / "restored.zdb"
    with zerodb.connect(str(path)) as db:
        db.execute("create table t (a int primary key, b text)")
        db.execute("insert into t select g, 'text ' || g from generate_series(1, 1000) g")
        report = db.backup(backups)
        assert (report.number, report.full) == (1, True)
        db.execute("insert into t values (0, 'zero')")
        done = run("backup", path, backups, "--incremental")
        assert done.exit_code == 0, done.stderr
        assert "backup 2 (incremental)" in done.stderr
        when = datetime.now(UTC)
        db.execute("delete from t")
        assert run("backup", path, backups, "--incremental").exit_code == 0
    assert run("check", backups).stdout.endswith("no problem found\n")
    done = run("restore", backups, restored, "--to", when.isoformat())
    assert done.exit_code == 0, done.stderr
    with zerodb.connect(str(restored)) as db:
        assert db.execute("select count(*), min(b) from t").fetchone() == (1001, "text 1")
        assert db.execute("select b from t where a = 0").fetchone() == ("zero",)
    again = run("restore", backups, restored)
    assert again.exit_code == 1
    assert again.stderr.startswith("ERROR 58P02")
    assert zerodb.restore(str(backups), str(tmp_path / "latest.zdb")).sequence > 0
    with zerodb.connect(str(tmp_path / "latest.zdb")) as db:
        assert db.execute("select count(*) from t").fetchone() == (0,)


def test_damage_and_wrong_places(tmp_path: Path) -> None:
    path, backups = tmp_path / "shop.zdb", tmp_path / "backups"
    with zerodb.connect(str(path)) as db:
        db.execute("create table t (a int)")
    assert run("backup", path, backups).exit_code == 0
    with open(backups / "000001" / "base", "r+b") as file:
        file.seek(40)
        file.write(b"\xff\xff")
    done = run("check", backups)
    assert done.exit_code == 1
    assert "000001/base" in done.stderr
    assert run("restore", backups, tmp_path / "restored").stderr.startswith("ERROR XX001")
    assert not (tmp_path / "restored").exists()
    assert run("backup", tmp_path / "nothing", backups).stderr.startswith("ERROR 58P01")
    with zerodb.connect() as db, pytest.raises(zerodb.Error, match="memory") as error:
        db.backup(backups)
    assert error.value.sqlstate == "0A000"
