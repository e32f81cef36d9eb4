"""Result tests as text: SQLite's sqllogictest format, as PostgreSQL, DuckDB and others use it too.

    statement ok                    query IT rowsort              query T
    create table t (a integer)      select a, b from t            select 'x'
                                    ----                          ----
    statement error 42P01           1                             x
    select * from missing           one

`records` parses the text, `values` writes and compares results, `runner` runs records on an `Engine`, `zerodb_engine`
is the engine of this project; `files` runs many files and says what differs. Only the last two touch a database: other
engines (tests/logic/against_postgres.py) run the same records.
"""
