"""The examples that are components: built, and used as their first lines say."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.guests.building import example, install_npm_packages

import zerodb

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_distance_in_where(tmp_path: Path) -> None:
    component = example(EXAMPLES / "distance_c", tmp_path)
    with zerodb.connect(":memory:") as db:
        db.execute(
            f"create function distance(a text, b text) returns bigint language wasm as '{component}' immutable strict"
        )
        db.execute("create table item (name text)")
        db.executemany(
            "insert into item values (?)", [("pencil",), ("pensil",), ("stencil",), ("ink",), (None,), ("",)]
        )
        found = db.execute("select name from item where distance(name, 'pencil') <= 2 order by name").fetchall()
        assert found == [("pencil",), ("pensil",), ("stencil",)]
        assert db.execute(
            "select distance('kitten', 'sitting'), distance('', 'abc'), distance(null, 'a')"
        ).fetchone() == (
            *(3, 3),
            None,
        )


def test_median_of_groups(tmp_path: Path) -> None:
    component = example(EXAMPLES / "median_c", tmp_path)
    with zerodb.connect(":memory:") as db:
        db.execute(
            "create function middle(value double precision) returns double precision language wasm "
            f"as '{component}' immutable strict"
        )
        db.execute(
            "create table m as select g, (g * 7919 % 1000)::double precision as v from generate_series(1, 5000) g"
        )
        expected = db.execute(
            "select g % 3, percentile_disc(0.5) within group (order by v) from m group by 1 order by 1"
        ).fetchall()
        assert db.execute("select g % 3, middle(v) from m group by 1 order by 1").fetchall() == expected
        assert db.execute("select middle(v) from m where g < 0").fetchall() == [(None,)]
        assert db.execute("select middle(x) from (values (1.0), (null), (3.0)) t(x)").fetchall() == [(1.0,)]
        with pytest.raises(zerodb.Error, match="NaN") as caught:
            db.execute("select middle(x) from (values (1.0), ('NaN'::double precision)) t(x)")
        assert caught.value.sqlstate == "22023"


@pytest.mark.slow
def test_ingest_and_report(tmp_path: Path) -> None:
    component = example(EXAMPLES / "ingest_python", tmp_path)
    orders = str(component.parent / "orders.csv")
    grants = ["all", f"wasi:dir={component.parent}"]
    with zerodb.connect(":memory:") as db:
        report = "2024-01: 2 orders, 24.90\n2024-02: 3 orders, 162.50"
        assert db.run_component(component, [orders], grants=grants) == f"{orders}: 5 rows\n{report}"
        assert db.run_component(component, [orders], grants=grants) == f"{orders}: was read before\n{report}"
        bad = component.parent / "bad.csv"
        bad.write_text("id,customer,placed,amount\n6,Dan,2024-03-01,1\n1,Ann,2024-03-01,1\n")
        with pytest.raises(zerodb.Error, match="23505"):
            db.run_component(component, [str(bad)], grants=grants)
        assert db.execute("select count(*) from orders").fetchone() == (5,)  # not row 6 alone
        with pytest.raises(zerodb.Error, match="FileNotFoundError"):
            db.run_component(component, [str(bad)], grants=["all"])  # no files without a grant


@pytest.mark.slow
def test_transfers_meet_and_are_tried_again(tmp_path: Path) -> None:
    install_npm_packages()
    component = example(EXAMPLES / "transfer_javascript", tmp_path)
    with zerodb.connect(":memory:") as db:
        for owner in ("ann", "bob"):
            db.run_component(component, ["open", owner, "100"])

        def transfers(source: str, target: str) -> None:
            with db.duplicate() as own:
                for _ in range(10):
                    own.run_component(component, ["move", source, target, "3"])

        threads = [threading.Thread(target=transfers, args=pair) for pair in (("ann", "bob"), ("bob", "ann")) * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert db.execute("select * from account order by owner").fetchall() == [("ann", 100), ("bob", 100)]
        for arguments, message in (
            (["move", "ann", "bob", "101"], "ann has only 100"),
            (["move", "ann", "cec", "1"], "cec has no account"),
            (["move", "dan", "ann", "1"], "dan has no account"),
        ):
            with pytest.raises(zerodb.Error, match=message):
                db.run_component(component, arguments)
        assert db.run_component(component, ["move", "ann", "bob", "100"]) == "ann has 0"


@pytest.mark.slow
def test_trigger_validates(tmp_path: Path) -> None:
    component = example(EXAMPLES / "customer_trigger_python", tmp_path)
    with zerodb.connect(":memory:") as db:
        db.execute("create table customer (id bigint primary key, email text)")
        db.execute(f"create function check_customer() returns trigger language wasm as '{component}'")
        db.execute(
            "create trigger valid before insert or update on customer for each row execute function check_customer()"
        )
        db.execute("insert into customer values (1, ' Ann@Example.ORG'), (2, null)")
        with pytest.raises(zerodb.Error, match="no address of e-mail") as caught:
            db.execute("insert into customer values (3, 'bob@example.org'), (4, 'nobody')")
        assert caught.value.sqlstate == "23514"
        db.execute("update customer set email = 'CEC@example.org' where id = 2")
        rows = db.execute("select * from customer order by id").fetchall()
        assert rows == [(1, "ann@example.org"), (2, "cec@example.org")]
