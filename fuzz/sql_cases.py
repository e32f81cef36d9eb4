"""SQL text: parsing and binding any text gives a result or a zerodb error, never another exception.

Seeds are the golden queries of the tests and the logic tests; mutations work on tokens, so that most of what comes out
is nearly SQL.
"""

from __future__ import annotations

import itertools
import random
import re
from functools import cache
from pathlib import Path

import zerodb
from zerodb.view import View
from zerodb_compiler.errors import Error, InternalError
from zerodb_compiler.plan.optimize import optimize
from zerodb_compiler.plan.physical_plan import plan_physical
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.analyze import bind_shape
from zerodb_compiler.sql.parse import parse
from zerodb_compiler.sql.shape import shape_of

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = """
create table r (id integer primary key, a integer, b integer not null, t text);
create table s (k integer primary key, x integer, y integer not null, u text);
create table q (m integer, n integer not null, primary key (n, m));
create table w (i smallint, l bigint, h hugeint, n numeric(10,2), f double precision, g real, o boolean, d date,
    z timestamp, v varchar(10), c char(4));
create table t (id integer primary key, a integer, b text, c numeric(8,2), d boolean, e double precision, f date,
    k integer, v integer, s text, n integer, x integer, y integer, g integer);
"""
LATER_SCHEMA = (
    "create table e (z timestamptz, t time, i interval, u uuid, b bytea)",
    "create table j (id integer, doc jsonb, raw json)",
    "create table y (id integer, numbers integer[], words text[])",
    "create view rs as select r.id, s.u from r join s on r.a = s.k",
    "create index r_a on r (a)",
    "create sequence counter",
    "create type mood as enum ('sad', 'ok', 'happy')",
)
KEYWORDS = """
    select from where group by having order limit offset distinct on all any some exists in not null is and or between
    symmetric like ilike similar to escape case when then else end cast as over partition rows range groups unbounded
    preceding following current row exclude ties no others filter within window join left right full inner cross natural
    using lateral union intersect except with recursive materialized values table insert into update set delete
    returning conflict do nothing default merge matched create drop alter add column constraint primary key unique check
    references foreign cascade restrict index view schema sequence type enum temporary if begin commit rollback
    savepoint release explain analyze truncate copy prepare execute deallocate grouping sets rollup cube tablesample
    fetch first only ties ordinality array row interval date time timestamp zone at extract position overlay substring
    trim collate true false unknown
    count sum avg min max string_agg array_agg row_number rank lag lead coalesce nullif greatest least generate_series
    unnest now to_char date_trunc jsonb_build_object abs round length upper
    integer bigint smallint text varchar(3) numeric(5,2) boolean jsonb uuid bytea integer[] double precision
    ( ) [ ] , ; . * + - / % ^ = <> < > <= >= || :: -> ->> #> @> <@ ? && ~ ~* !~ $1 $name ? : := => .. 'x' '' "q"
    'a''b' E'\\n' U&'\\0041' $$d$$ B'1' X'1F' 0 1 -1 2147483648 99999999999999999999 1.5 1e10 .5 1_000 0x1F
    -- /* */ r s q w e j y id a b t k x y u m n i l h f g o d z v c
"""
DICTIONARY = tuple(KEYWORDS.split())
_TOKEN = re.compile(r"\s+|'(?:[^']|'')*'|\"[^\"]*\"|[A-Za-z_]\w*|\d+(?:\.\d+)?|[<>=!|:\-]{2,3}|.", re.S)
MOST_CHARACTERS = 4000
_ODD = ("", "'", '"', "\\", "\0", "é", "\u2028", "(", "9")
_FIRST_FRESH_ID = 1_000_000


@cache
def view() -> View:
    """The catalog that texts are bound against."""
    connection = zerodb.connect(threads=1)
    connection.executescript(SCHEMA + (ROOT / "benchmarks" / "tpch" / "schema.sql").read_text())
    for statement in LATER_SCHEMA:
        try:
            connection.execute(statement)
        except Error as error:
            if isinstance(error, InternalError):
                raise
    _kept.append(connection)
    return connection._view()


_kept: list[zerodb.Connection] = []


def check(text: str) -> bool:
    """Parses, binds and plans every statement; True if all went through. Anything but a zerodb error is raised on."""
    try:
        parsed = parse(text)
        shape = shape_of(text) if len(parsed) == 1 else None
        for statement in parsed:
            bound = bind_shape(statement, view(), shape).statement
            if isinstance(bound, st.Query):
                fresh = itertools.count(_FIRST_FRESH_ID)
                plan_physical(optimize(bound.plan, fresh.__next__), tuple(bound.columns))
    except Error as error:
        if isinstance(error, InternalError):
            raise
        if error.position is not None and not 0 <= error.position <= len(text):
            raise AssertionError("the place is outside of the text") from error
        return False
    return True


# --- seeds and mutations ----------------------------------------------------------------------------------------------


@cache
def seeds() -> tuple[str, ...]:
    """Statements of the tests' golden files and logic tests."""
    found: list[str] = []
    tests = ROOT / "tests"
    for path in sorted([*(tests / "sql" / "golden").glob("*.txt"), *(tests / "plan" / "golden").glob("*.txt")]):
        found += [case.split("\n---\n")[0].strip() for case in path.read_text().split("\n===\n")]
    found += [text.strip() for text in (tests / "plan" / "queries.sql").read_text().split(";")]
    for path in sorted((tests / "logic").rglob("*.test")):
        found += _logic_statements(path.read_text())
    return tuple(dict.fromkeys(text for text in found if text and len(text) < MOST_CHARACTERS and ".sql" not in text))


def _logic_statements(text: str) -> list[str]:
    from zerodb.logictest.records import FormatError, Query, Statement
    from zerodb.logictest.records import parse as parse_records

    try:
        return [record.sql for record in parse_records(text) if isinstance(record, Statement | Query)]
    except FormatError:
        return []


def tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def mutated(text: str, r: random.Random) -> str:
    """A few changes to the text's tokens."""
    parts = tokens(text)[:800]
    for _ in range(r.choice((1, 1, 2, 3, 5, 8))):
        at = r.randrange(len(parts) + 1)
        to = min(len(parts), at + r.choice((1, 1, 2, 3, 6)))
        match r.randrange(9):
            case 0:
                del parts[at:to]
            case 1:
                parts[at:at] = parts[at:to]
            case 2 | 3:
                parts[at:at] = [" ", r.choice(DICTIONARY), " "]
            case 4 | 5 if at < len(parts):
                parts[at] = r.choice(DICTIONARY)
            case 6:
                other = tokens(r.choice(seeds()))
                start = r.randrange(len(other) + 1)
                parts[at:to] = [" ", *other[start : start + r.choice((1, 3, 8, 20))], " "]
            case 7 if to < len(parts):
                parts[at], parts[to] = parts[to], parts[at]
            case 8 if at < len(parts) and parts[at]:
                piece = parts[at]
                cut = r.randrange(len(piece))
                parts[at] = piece[:cut] + r.choice(_ODD) + piece[cut + 1 :]
    return "".join(parts)[:MOST_CHARACTERS]
