"""Transactions of several threads: conflicts are errors that one can retry, and SERIALIZABLE keeps rules over rows."""

import threading

import zerodb

with zerodb.connect(":memory:") as db:
    db.execute("create table doctor (name text primary key, on_call boolean)")
    db.executemany("insert into doctor values (?, true)", [("ann",), ("bob",), ("cec",)])

    def leave(name: str) -> None:
        """One may leave only if another stays. Each thread has a connection of its own."""
        with db.duplicate() as own:
            for attempt in own.transaction("serializable", retries=20):  # runs again after a conflict
                with attempt:
                    (others,) = own.execute(
                        "select count(*) from doctor where on_call and name <> ?", (name,)
                    ).fetchone() or (0,)
                    if others:
                        own.execute("update doctor set on_call = false where name = ?", (name,))

    threads = [threading.Thread(target=leave, args=(name,)) for name in ("ann", "bob", "cec")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (count,) = db.execute("select count(*) from doctor where on_call").fetchone() or (0,)
    print(count, "on call")  # always 1; with snapshots alone it could be none
    assert count == 1

    # A function as a transaction; nobody has to be told to commit.
    @db.transaction("serializable", retries=5)
    def call(name: str) -> int:
        return db.execute("update doctor set on_call = true where name = ?", (name,)).rowcount

    print(call("ann"), "called")

    # Keys may be exchanged within a transaction, if they are deferrable.
    db.execute("create table queue (place int unique deferrable initially deferred, name text)")
    db.execute("insert into queue values (1, 'ann'), (2, 'bob')")
    with db.transaction():
        db.execute("update queue set place = 2 where name = 'ann'")
        db.execute("update queue set place = 1 where name = 'bob'")
    print(db.execute("select name from queue order by place").fetchall())
