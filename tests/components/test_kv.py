"""The interface zerosys:db/kv, from a guest in C."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.components.guests import c_guest

import zerodb
from zerodb.errors import Error, GuestError

SOURCE = r"""
#include "guest.h"

static int32_t db, bucket;
#define CHECK(result) if ((result).failed) return fail((result).error)

static void put_found(maybe_bytes found) {
  if (found.some) put_text((text){(const char *)found.value.at, found.value.size}); else put("none");
  put(" ");
}

static void *everything(void) {
  done d; found_bytes f; found_many m; yes y; counted c; summed s; paged p;
  bucket_set(bucket, S("a"), S("one"), &d); CHECK(d);
  bucket_get(bucket, S("a"), &f); CHECK(f); put_found(f.found);
  key_value pairs[] = {{{S("b")}, {(const uint8_t *)S("two")}}, {{S("c")}, {(const uint8_t *)S("")}}};
  bucket_set_many(bucket, pairs, 2, &d); CHECK(d);
  text keys[] = {{S("c")}, {S("nothing")}, {S("b")}, {S("a")}};
  bucket_get_many(bucket, keys, 4, &m); CHECK(m);
  for (size_t i = 0; i < m.all.size; i++) put_found(m.all.at[i]);
  bucket_exists(bucket, S("b"), &y); CHECK(y); put_int(y.yes);
  bucket_delete(bucket, S("b"), &y); CHECK(y); put_int(y.yes);
  bucket_delete(bucket, S("b"), &y); CHECK(y); put_int(y.yes);
  bucket_exists(bucket, S("b"), &y); CHECK(y); put_int(y.yes); put(" ");
  bucket_increment(bucket, S("n"), 40, &s); CHECK(s);
  bucket_increment(bucket, S("n"), 2, &s); CHECK(s); put_int(s.sum); put(" ");
  bucket_compare_and_swap(bucket, S("n"), 1, S("41"), S("0"), &y); CHECK(y); put_int(y.yes);
  bucket_compare_and_swap(bucket, S("n"), 1, S("42"), S("0"), &y); CHECK(y); put_int(y.yes);
  bucket_compare_and_swap(bucket, S("new"), 0, 0, 0, S("x"), &y); CHECK(y); put_int(y.yes); put(" ");
  bucket_list_keys(bucket, S(""), 0, 0, 0, 3, &p); CHECK(p);
  for (size_t i = 0; i < p.page.keys.size; i++) { put_text(p.page.keys.at[i]); put(","); }
  bucket_list_keys(bucket, S(""), p.page.more, p.page.cursor.at, p.page.cursor.size, 3, &p); CHECK(p);
  for (size_t i = 0; i < p.page.keys.size; i++) { put_text(p.page.keys.at[i]); put(","); }
  put_int(p.page.more); put(" ");
  bucket_delete_many(bucket, keys, 4, &c); CHECK(c); put_int(c.count);
  bucket_set_with_ttl(bucket, S("brief"), S("x"), 0, &d); CHECK(d);
  bucket_get(bucket, S("brief"), &f); CHECK(f); put_found(f.found);
  bucket_drop(bucket);
  return say();
}

void *run(text *args, size_t count) {
  made m; done d; summed s;
  connection_open(S(""), &m); CHECK(m); db = m.handle;
  if (is(args[0], "after")) {  // a bucket whose connection is gone
    bucket_open(db, S("cache"), &m); CHECK(m); bucket = m.handle;
    connection_drop(db);
    bucket_increment(bucket, S("n"), 1, &s); CHECK(s);
    return say();
  }
  int32_t open = 0;
  if (is(args[0], "rolled back")) { transaction_begin(db, 0, 0, &m); CHECK(m); open = m.handle; }
  bucket_open(db, args[1].at, args[1].size, &m); CHECK(m); bucket = m.handle;
  if (is(args[0], "everything")) return everything();
  if (is(args[0], "set")) { bucket_set(bucket, args[2].at, args[2].size, S("x"), &d); CHECK(d); return say(); }
  bucket_increment(bucket, S("n"), 1, &s); CHECK(s);
  if (open) transaction_drop(open);
  put_int(s.sum);
  return say();
}
"""


@pytest.fixture(scope="module")
def guest() -> bytes:
    return c_guest(SOURCE)


@pytest.fixture
def db() -> Iterator[zerodb.Connection]:
    with zerodb.connect() as connection:
        yield connection


def test_every_operation(db: zerodb.Connection, guest: bytes) -> None:
    answer = db.run_component(guest, ["everything", "cache"])
    assert answer == "one  none two one 1100 42 011 a,c,n,new,0 2none "
    assert db.execute("select key, value from cache order by key").fetchall() == [("n", b"0"), ("new", b"x")]


def test_a_transaction_that_is_dropped_takes_its_increments_back(db: zerodb.Connection, guest: bytes) -> None:
    db.run_component(guest, ["increment", "cache"])
    assert db.run_component(guest, ["rolled back", "cache"]) == "2"
    assert db.run_component(guest, ["increment", "cache"]) == "2"


def test_buckets_need_grants(db: zerodb.Connection, guest: bytes) -> None:
    with pytest.raises(GuestError, match="42501"):
        db.run_component(guest, ["increment", "cache"], grants=["write:*"])
    assert db.tables() == []
    db.run_component(guest, ["increment", "cache"])
    with pytest.raises(GuestError, match="42501 permission denied for table cache"):
        db.run_component(guest, ["increment", "cache"], grants=["read:other"])
    with pytest.raises(GuestError, match="42501 permission denied for table cache"):
        db.run_component(guest, ["increment", "cache"], grants=["read:cache"])
    assert db.run_component(guest, ["increment", "cache"], grants=["write:cache"]) == "2"


def test_errors(db: zerodb.Connection, guest: bytes) -> None:
    db.execute("create table t (key text primary key)")
    with pytest.raises(GuestError, match='42809 "t" is no bucket'):
        db.run_component(guest, ["increment", "t"])
    with pytest.raises(GuestError, match="22021"):
        db.run_component(guest, ["set", "cache", "a\0b"])
    with pytest.raises(Error, match="closed"):
        db.run_component(guest, ["after", "cache"])
