"""CREATE, ALTER, DROP and COMMENT ON FUNCTION, what uses a function, and where its module is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.functions import modules
from tests.functions.building import component, core_module

import zerodb
from zerodb.cli.shell import Shell
from zerodb.errors import Error

HERE = Path(__file__).resolve().parent
SETUP = """
create function double(a bigint) returns bigint language wasm_core as '{}/core.wasm' immutable;
create function inc(a bigint) returns bigint language wasm as '{}/plain.wasm' immutable;
create schema s;
create function s.g(bigint) returns bigint language wasm as '{}/plain.wasm', 'double';
create function same(bigint) returns bigint language wasm as '{}/plain.wasm', 'double';
create function same(integer) returns integer language wasm as '{}/plain.wasm', 'echo-s32';
create table t (a bigint check (double(a) < 100), b bigint default inc(41),
  c bigint generated always as (inc(a)) stored);
create index t_double on t (double(a));
create view v as select inc(a) as x from t;
create view w as select inc(41) as x;
"""


def error_of(action: Callable[[], object]) -> str:
    with pytest.raises(Error) as caught:
        action()
    return f"{caught.value.sqlstate} {caught.value.message}"


def make(db: zerodb.Connection, folder: Path) -> None:
    db.executescript(SETUP.replace("{}", str(folder)))


def test_messages(
    wasm_db: zerodb.Connection, folder: Path, golden: Callable[[Path, Callable[[str], str]], None]
) -> None:
    make(wasm_db, folder)

    def run(text: str) -> str:
        try:
            cursor = wasm_db.execute(text.replace("{}", str(folder)))
            return "\n".join(map(str, cursor.fetchall())) if cursor.description else "done"
        except Error as error:
            hint = "" if error.hint is None else f"\nhint: {error.hint}"
            return f"{error.sqlstate} {error.message}{hint}".replace(str(folder), "{}")

    golden(HERE / "golden" / "definition.txt", run)


def test_calls(wasm_db: zerodb.Connection, folder: Path) -> None:
    make(wasm_db, folder)
    wasm_db.execute("insert into t (a) values (1), (2), (null)")
    assert wasm_db.execute("select a, b, c, double(a), s.g(a) from t order by a").fetchall() == [
        (1, 42, 2, 2, 2),
        (2, 42, 3, 4, 4),
        (None, 42, None, None, None),
    ]
    assert wasm_db.execute("select * from v where x > 2").fetchall() == [(3,)]
    assert wasm_db.execute("select a from t where double(a) = 4").fetchall() == [(2,)]
    assert error_of(lambda: wasm_db.execute("insert into t (a) values (50)")).startswith("23514")


def test_prepared_statements_notice_a_replaced_function(wasm_db: zerodb.Connection, folder: Path) -> None:
    wasm_db.execute(f"create function f(a bigint) returns bigint language wasm as '{folder}/plain.wasm', 'double'")
    statement = wasm_db.prepare("select f($1::bigint + 1)")
    assert statement.execute([1]).fetchall() == [(4,)]
    wasm_db.execute(
        f"create or replace function f(a bigint) returns bigint language wasm as '{folder}/plain.wasm', 'inc'"
    )
    assert statement.execute([1]).fetchall() == [(3,)]
    wasm_db.execute("alter function f immutable")
    assert statement.execute([1]).fetchall() == [(3,)]
    wasm_db.execute("drop function f")
    assert error_of(lambda: statement.execute([1])).startswith("42883")


def test_what_uses_a_function_keeps_it(wasm_db: zerodb.Connection, folder: Path) -> None:
    make(wasm_db, folder)
    for name in ("double", "inc"):
        assert error_of(lambda name=name: wasm_db.execute(f"drop function {name}")).startswith("2BP01")  # type: ignore[misc]
    wasm_db.execute("drop function same(integer), s.g")
    wasm_db.execute("insert into t (a) values (1)")
    wasm_db.execute("drop function double cascade")
    wasm_db.execute("insert into t (a) values (500)")
    assert wasm_db.execute("select indexname from pg_indexes where tablename = 't'").fetchall() == []
    wasm_db.execute("drop function inc cascade")
    assert [column.name for column in wasm_db.schema("t").columns] == ["a", "b"]
    wasm_db.execute("insert into t (a) values (2)")
    assert wasm_db.execute("select a, b from t order by a").fetchall() == [(1, 42), (2, None), (500, 42)]
    for view in "vw":
        assert error_of(lambda view=view: wasm_db.execute(f"select * from {view}")).startswith("42P01")  # type: ignore[misc]
    assert wasm_db.check() == []


def test_a_table_that_is_gone_uses_nothing(wasm_db: zerodb.Connection, folder: Path) -> None:
    make(wasm_db, folder)
    wasm_db.execute("drop table t cascade")
    wasm_db.execute("drop view w")
    wasm_db.execute("drop function double, inc")
    wasm_db.execute("drop schema s cascade")
    assert [name for kind, _, name in wasm_db._view().snapshot.catalog if kind == "function"] == [
        "same(bigint)",
        "same(integer)",
    ]


def test_transactions(wasm_db: zerodb.Connection, folder: Path) -> None:
    create = f"create function f(a bigint) returns bigint language wasm as '{folder}/plain.wasm', 'double'"
    wasm_db.execute("begin")
    wasm_db.execute(create)
    assert wasm_db.execute("select f(2)").fetchall() == [(4,)]
    wasm_db.execute("rollback")
    assert error_of(lambda: wasm_db.execute("select f(2)")).startswith("42883")
    wasm_db.execute("begin")
    wasm_db.execute("savepoint a")
    wasm_db.execute(create)
    wasm_db.execute("rollback to a")
    wasm_db.execute(create.replace("'double'", "'inc'"))
    wasm_db.execute("commit")
    assert wasm_db.execute("select f(2)").fetchall() == [(3,)]
    wasm_db.execute("begin")
    wasm_db.execute("drop function f")
    other = wasm_db.duplicate()
    assert other.execute("select f(2)").fetchall() == [(3,)]
    wasm_db.execute("commit")
    assert error_of(lambda: other.execute("select f(2)")).startswith("42883")
    other.close()


def test_stored_with_the_database(tmp_path: Path, folder: Path) -> None:
    path = str(tmp_path / "db")
    file = tmp_path / "f.wasm"
    file.write_bytes(modules.plain_component())
    with zerodb.connect(path) as db:
        db.execute(f"create function f(a bigint) returns bigint language wasm as '{file}', 'double'")
        db.execute(f"create function g(a bigint) returns bigint language wasm_core as '{folder}/core.wasm', 'double'")
        db.backup(str(tmp_path / "backups"))
        with zerodb.connect(path, read_only=True) as reader:
            assert reader.execute("select f(2), g(3)").fetchall() == [(4, 6)]
    file.unlink()
    with zerodb.connect(path) as db:
        assert db.execute("select f(2), g(3)").fetchall() == [(4, 6)]
        assert db.check() == []
    zerodb.restore(str(tmp_path / "backups"), str(tmp_path / "restored"))
    with zerodb.connect(str(tmp_path / "restored")) as db:
        assert db.execute("select f(2), g(3)").fetchall() == [(4, 6)]


def test_create_function_from_files(wasm_db: zerodb.Connection, folder: Path) -> None:
    wasm_db.create_function("double", folder / "plain.wasm")
    wasm_db.create_function(
        "shouted", str(folder / "core.wasm"), ["text"], "text", export="shout", volatility="immutable"
    )
    wasm_db.execute("create schema s")
    wasm_db.create_function("s.inc", folder / "plain.wasm")
    assert wasm_db.execute("select double(4), shouted('banana'), s.inc(1)").fetchall() == [(8, "bAnAnA", 2)]
    assert error_of(lambda: wasm_db.create_function("double", folder / "plain.wasm")).startswith("42723")
    wasm_db.create_function("double", folder / "plain.wasm", replace=True)
    assert error_of(lambda: wasm_db.create_function("nope", folder / "plain.wasm")).startswith("42883")
    with pytest.raises(Error, match="name the types"):
        wasm_db.create_function("double", folder / "core.wasm")
    assert error_of(lambda: wasm_db.create_function("double", folder / "plain.wasm", ["text"], "text")).startswith(
        "42804"
    )


def test_create_functions(wasm_db: zerodb.Connection, folder: Path) -> None:
    names = wasm_db.create_functions(folder / "plain.wasm", replace=True)
    assert {"double", "echo_string", "echo_optional_bytes", "inc", "failing", "first"} <= set(names)
    assert wasm_db.execute("select double(1), echo_string('x'), echo_u8('ab'::bytea), inc(5)").fetchall() == [
        (2, "x", b"ab", 6)
    ]
    arguments = "select pg_get_function_arguments(oid) from pg_proc where proname = 'first'"
    assert wasm_db.execute(arguments).fetchall() == [("a bigint, b bigint",)]
    with pytest.raises(Error, match="core module"):
        wasm_db.create_functions(folder / "core.wasm")


def test_catalog(wasm_db: zerodb.Connection, folder: Path) -> None:
    make(wasm_db, folder)
    wasm_db.execute("comment on function same(integer) is 'the same'")
    rows = wasm_db.execute("""
        select proname, l.lanname, provolatile, proisstrict, pronargs, prorettype, proargtypes, proargnames,
               obj_description(p.oid, 'pg_proc')
        from pg_proc p join pg_language l on l.oid = prolang where proname in ('double', 'same')
        order by 1, 6""").fetchall()
    assert rows == [
        ("double", "wasm_core", "i", True, 1, 20, [20], ["a"], None),
        ("same", "wasm", "v", True, 1, 20, [20], None, None),
        ("same", "wasm", "v", True, 1, 23, [23], None, "the same"),
    ]
    assert wasm_db.execute("""
        select routine_name, data_type, external_language, is_deterministic from information_schema.routines
        where routine_schema = 'public' and routine_name = 'double'""").fetchall() == [
        ("double", "bigint", "WASM_CORE", "YES")
    ]
    assert wasm_db.execute("""
        select ordinal_position, parameter_name, data_type from information_schema.parameters
        where specific_name like 'double%'""").fetchall() == [(1, "a", "bigint")]
    (text,) = wasm_db.execute("select pg_get_functiondef('double'::regproc)").fetchone() or ("",)
    wasm_db.execute(text)  # it is what makes it
    assert text.startswith("CREATE OR REPLACE FUNCTION public.double(a bigint)\n RETURNS bigint\n LANGUAGE wasm_core\n")


def test_shell_lists_them(wasm_db: zerodb.Connection, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wasm_db.execute(f"create function f(a bigint) returns bigint language wasm as '{folder}/plain.wasm', 'double'")
    Shell(wasm_db, "memory").handle(".functions")
    found = capsys.readouterr().out
    assert (
        found == f"FUNCTION public.f(a bigint) RETURNS bigint LANGUAGE wasm STRICTAS '{folder}/plain.wasm', 'double'\n"
    )


def test_types_of_the_database(wasm_db: zerodb.Connection, folder: Path) -> None:
    wasm_db.execute("create type mood as enum ('bad', 'good')")
    wasm_db.execute(f"create function f(mood) returns mood language wasm as '{folder}/plain.wasm', 'echo-string'")
    assert wasm_db.execute("select f('good'::mood)").fetchall() == [("good",)]
    assert error_of(lambda: wasm_db.execute("drop type mood")).startswith("2BP01")
    wasm_db.execute("alter type mood rename to temper")
    assert wasm_db.execute("select f('bad'::temper)").fetchall() == [("bad",)]
    wasm_db.execute("drop function f(temper)")
    wasm_db.execute("drop type temper")


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("int[]", "array[1, null, 3]"),
        ("jsonb", """'{"a": [1, 2]}'"""),
        ("int4range", "int4range(1, 5)"),
        ("numeric", "1.50"),
    ],
)
def test_types_that_go_as_text(wasm_db: zerodb.Connection, folder: Path, type_: str, value: str) -> None:
    wasm_db.execute(
        f"create function f(a {type_}) returns {type_} language wasm as '{folder}/plain.wasm', 'echo-string'"
    )
    wasm_db.execute("create table t as select 1 as a")
    found = wasm_db.execute(f"select f({value}), ({value})::{type_}, (select f({value}) from t)").fetchall()
    assert found[0][0] == found[0][1] == found[0][2]


def test_what_a_module_may_not_be(tmp_path: Path, wasm_db: zerodb.Connection) -> None:
    def create(content: bytes | str, language: str = "wasm_core") -> str:
        file = tmp_path / "m.wasm"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        statement = f"create function f(a bigint) returns bigint language {language} as '{file}'"
        return error_of(lambda: wasm_db.execute(statement)).replace(str(file), "FILE")

    function = '(func (export "f") (param i32 i32 i32))'
    memory, alloc = '(memory (export "memory") 1)', '(func (export "alloc") (param i32) (result i32) (i32.const 16))'
    assert "exports no memory" in create(f"(module {alloc} {function})")
    assert "exports no function alloc" in create(f"(module {memory} {function})")
    assert 'imports "env.x"' in create(f'(module (import "env" "x" (func)) {memory} {alloc} {function})')
    assert create("(module (oops))") == '42P13 "FILE" is no valid WebAssembly text: expected valid module field'
    assert create("hello") == '42P13 "FILE" is no WebAssembly module or component'
    assert create(core_module(function)[:40]).startswith("42P13 the module is not valid")
    assert create(core_module(function), "wasm").startswith(
        '42P13 "FILE" is a core module, and LANGUAGE wasm takes a comp'
    )
    made = component("", "")
    assert create(made).startswith('42P13 "FILE" is a component, and LANGUAGE wasm_core takes a core module')
    assert create(made, "wasm") == '42883 the component has no function "f"'
