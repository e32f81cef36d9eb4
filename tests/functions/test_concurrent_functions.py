"""A function that updates a row or else inserts it, until one of the two succeeds, called by several threads."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

import zerodb

BUMP = """
create function bump(key integer) returns void language plpgsql as $$
begin
  loop
    update c set n = n + 1 where k = key;
    if found then return; end if;
    begin
      insert into c values (key, 1);
      return;
    exception when unique_violation then null;
    end;
  end loop;
end $$
"""
THREADS, CALLS = 3, 15


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_every_call_counts_once(tmp_path: Path, level: str) -> None:
    path = str(tmp_path / "db")
    failed: list[str] = []

    def call(number: int) -> None:
        chance = random.Random(number)
        with zerodb.connect(path) as db:
            db.execute(f"set default_transaction_isolation = '{level}'")
            for _ in range(CALLS):
                key = chance.randrange(6)
                text = chance.choice([f"select bump({key})", f"do $$ begin perform bump({key}); end $$"])
                while True:
                    try:
                        db.execute(text)
                        break
                    except zerodb.Error as error:
                        if not error.retryable:
                            failed.append(str(error))
                            break

    with zerodb.connect(path, synchronous="off") as db:
        db.execute("create table c (k integer primary key, n integer)")
        db.execute(BUMP)
        threads = [threading.Thread(target=call, args=(number,), daemon=True) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert not any(thread.is_alive() for thread in threads)
        assert failed == []
        assert db.execute("select sum(n) from c").fetchall() == [(THREADS * CALLS,)]
        assert db.check() == []
