"""`zerodb new guest` and `zerodb build` for each language and kind: what a template makes works as its text says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.guests.building import built, install_npm_packages, need_tools

import zerodb
from zerodb.cli.main import cli
from zerodb.guests import tools
from zerodb.guests.files import SDK, wit_text
from zerodb.guests.project import ProjectError, read_project
from zerodb.guests.scaffold import scaffold

KINDS = ("guest", "scalar", "table", "aggregate", "trigger")
CALLED = KINDS


def template(language: str, kind: str, folder: Path) -> Path:
    scaffold(folder / f"my-{kind}", language, kind)
    return built(read_project(folder / f"my-{kind}"))


def use(kind: str, component: Path) -> None:
    with zerodb.connect(":memory:") as db:
        match kind:
            case "guest":
                assert db.run_component(component, ["to", "be", "or", "to"]) == "to 2\nbe 1\nor 1"
                assert db.run_component(component, ["be"]) == "be 2\nto 2\nor 1"
            case "scalar":
                db.execute(
                    f"create function slug(title text) returns text language wasm as '{component}' immutable strict"
                )
                titles = db.execute(
                    "select slug(t) from (values ('Hello, World!'), (null), ('--'), ('a')) v(t)"
                ).fetchall()
                assert titles == [("hello-world",), (None,), ("",), ("a",)]
            case "table":
                db.execute(
                    "create function words(text text) returns table(word text, place bigint) "
                    f"language wasm as '{component}' immutable strict"
                )
                rows = db.execute("select * from words(' to be  or ')").fetchall()
                assert rows == [("to", 1), ("be", 2), ("or", 3)]
            case "aggregate":
                db.execute(
                    f"create function span(value bigint) returns bigint language wasm as '{component}' immutable strict"
                )
                assert db.execute("select span(x) from (values (3), (null), (10), (5)) v(x)").fetchone() == (7,)
                groups = db.execute(
                    "select g % 2, span(g) from generate_series(1, 10) g group by 1 order by 1"
                ).fetchall()
                assert groups == [(0, 8), (1, 8)]
            case _:
                db.execute("create table payment (id bigint, amount bigint)")
                db.execute(f"create function my_trigger() returns trigger language wasm as '{component}'")
                db.execute(
                    "create trigger check_amount before insert or update on payment "
                    "for each row execute function my_trigger()"
                )
                db.execute("insert into payment values (1, 5), (2, null)")
                with pytest.raises(zerodb.Error, match="must not be negative") as caught:
                    db.execute("insert into payment values (3, 5), (4, -1)")
                assert caught.value.sqlstate == "23514"
                assert db.execute("select count(*) from payment").fetchone() == (2,)


@pytest.mark.parametrize("kind", CALLED)
def test_in_c(kind: str, tmp_path: Path) -> None:
    use(kind, template("c", kind, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("kind", CALLED)
def test_in_python(kind: str, tmp_path: Path) -> None:
    use(kind, template("python", kind, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("kind", CALLED)
def test_in_javascript(kind: str, tmp_path: Path) -> None:
    install_npm_packages()
    use(kind, template("javascript", kind, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["guest", "scalar"])
def test_in_rust(kind: str, tmp_path: Path) -> None:
    need_tools("rust")
    try:
        component = template("rust", kind, tmp_path)
    except ProjectError as error:
        if "failed to download" in str(error) or "failed to get" in str(error):
            pytest.skip("cargo cannot get wit-bindgen here")
        raise
    use(kind, component)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, arguments)
    return result.exit_code, result.output


def test_a_project_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "words"
    code, said = run("new", "guest", "--lang", "py", str(folder))
    assert code == 0
    assert f"zerodb build {folder}" in said
    assert "words" in (folder / "app.py").read_text()
    assert "__NAME__" not in (folder / "app.py").read_text()
    assert run("new", "guest", "--lang", "c", str(folder))[0] == 2
    assert run("new", "guest", "--lang", "c", str(tmp_path / "No Name"))[0] == 2
    assert run("new", "guest", "--lang", "rust", "--kind", "trigger", str(tmp_path / "x"))[0] == 2


def test_what_an_installer_compiled_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(SDK, tmp_path / "sdk")
    compiled = copy / "python" / "templates" / "guest" / "__pycache__" / "app.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(bytes(range(256)))
    monkeypatch.setattr("zerodb.guests.scaffold.SDK", copy)
    scaffold(tmp_path / "words", "python", "guest")
    assert sorted(path.name for path in (tmp_path / "words").iterdir()) == [".gitignore", "app.py", "zerodb.toml"]


def test_what_is_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run("build", str(tmp_path))
    assert code == 1
    assert "zerodb new guest" in said
    for text, expected in (
        ("component = 1", "no [component]"),
        ("[component]\nname = 'a'", "needs language, world"),
        ("[component]\nname='a'\nlanguage='perl'\nworld='guest'", "the language is one of"),
        ("[component]\nname='a'\nlanguage='c'\nworld='moon'", "the world is one of"),
        ("[component]\nname='a'\nlanguage='c'\nworld='guest'\nspeed=1", "knows no speed"),
        ("[component]\nname='a'\nlanguage='c'\nworld='guest'", "no .c files"),
        ("[component]\nname='a'\nlanguage='python'\nworld='guest'", "app.py is missing"),
        ("[component", "zerodb.toml"),
    ):
        (tmp_path / "zerodb.toml").write_text(text)
        code, said = run("build", str(tmp_path))
        assert code == 1
        assert expected in said
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProjectError, match="apt install nodejs"):
        tools.node()
    with pytest.raises(ProjectError, match=r"rustup\.rs"):
        tools.cargo()


def test_mistakes_in_c_are_shown_with_their_line(tmp_path: Path) -> None:
    need_tools("c")
    scaffold(tmp_path / "bad", "c", "scalar")
    source = tmp_path / "bad" / "app.c"
    source.write_text(source.read_text().replace("return true;\n}", "return yes;\n}"))
    code, said = run("build", str(tmp_path / "bad"))
    assert code == 1
    assert "app.c:" in said
    assert "yes" in said


def test_every_template_has_its_world() -> None:
    for language in ("python", "javascript", "c"):
        for kind in KINDS:
            assert any((SDK / language / "templates" / kind).iterdir())
    assert wit_text().count("package zerosys:db@0.1.0;") == 1
