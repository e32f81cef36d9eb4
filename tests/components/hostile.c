// A guest that does what guests must not do: the first argument says what.
#include "guest.h"

static int32_t db;
#define CHECK(result) if ((result).failed) return fail((result).error)
#define IF(name) if (is(args[0], name))

static volatile int forever = 1;
static int deep(volatile int n) { return forever ? deep(n + 1) + n : n; }

static void all_memory(void) {
  while (__builtin_wasm_memory_grow(0, 16) != (size_t)-1) continue;
}

// Whatever a record batch can be: its columns' forms are the numbers of `column-data`.
static void *batch_of(const char *sql, uint32_t rows, const column_values *columns, size_t count) {
  made s; counted c;
  connection_prepare(db, sql, length(sql), &s); CHECK(s);
  statement_execute_batch(s.handle, rows, columns, count, &c); CHECK(c);
  put_int((int64_t)c.count);
  return say();
}

void *run(text *args, size_t count) {
  made m, s; counted c; done d; maybe_row r; maybe_batch b; columns k;
  connection_open(S(""), &m); CHECK(m); db = m.handle;
  connection_execute(db, S("insert into work values (1)"), 0, 0, &c); CHECK(c);  // by itself: stays
  made t; transaction_begin(db, 0, 0, &t); CHECK(t);
  connection_execute(db, S("insert into work values (2)"), 0, 0, &c); CHECK(c);  // open: goes
  char *end = (char *)(__builtin_wasm_memory_size(0) << 16);

  // no end
  IF("loop") while (forever);
  IF("calls") for (connection_prepare(db, S("select 1"), &s);; forget()) statement_columns(s.handle, &k);
  IF("query") connection_query(db, S("select count(*) from generate_series(1, 1000000000000) as g(i)"), 0, 0, &m);
  IF("recursion") put_int(deep(0));
  // memory
  IF("grow") { all_memory(); put_int(__builtin_wasm_memory_size(0)); return say(); }
  IF("bytes") {  // a list of all the memory there is
    all_memory();
    made k2; bucket_open(db, S("kv"), &k2); CHECK(k2);
    bucket_set(k2.handle, S("k"), 0, __builtin_wasm_memory_size(0) << 16, &d); CHECK(d);
    return say();
  }
  IF("strings") {  // as many empty strings as memory holds
    all_memory();
    made k2; bucket_open(db, S("kv"), &k2); CHECK(k2);
    size_t from = 2 << 20, room = (__builtin_wasm_memory_size(0) << 16) - from;
    for (size_t i = 0; i < room / 4; i++) ((uint32_t *)from)[i] = 0;
    bucket_delete_many(k2.handle, (const text *)from, room / sizeof(text), &c); CHECK(c);
    return say();
  }
  IF("nulls") {  // as many values
    all_memory();
    size_t from = 2 << 20, room = (__builtin_wasm_memory_size(0) << 16) - from;
    for (size_t i = 0; i < room / 4; i++) ((uint32_t *)from)[i] = 0;
    connection_execute(db, S("select 1"), (const value *)from, room / sizeof(value), &c); CHECK(c);
    return say();
  }
  IF("handles") for (;;) { connection_prepare(db, S("select 1"), &s); CHECK(s); forget(); }
  IF("connections") for (;;) { connection_open(S(""), &m); CHECK(m); forget(); }
  IF("cursors") for (;;) {
    connection_query(db, S("select repeat('x', 1000) from generate_series(1, 10000)"), 0, 0, &m); CHECK(m); forget();
  }
  IF("long result") {
    connection_query(db, S("select repeat('x', 1000) from generate_series(1, 1000000000)"), 0, 0, &m); CHECK(m);
    return say();
  }
  IF("long text") { connection_query(db, S("select repeat('x', 2000000000)"), 0, 0, &m); CHECK(m); return say(); }
  IF("many rows") {
    connection_query(db, S("select 1 from generate_series(1, 1000000)"), 0, 0, &m); CHECK(m);
    cursor_next_batch(m.handle, 0xffffffff, &b); CHECK(b);
    put_int(b.batch.rows <= 65536); return say();
  }
  // handles
  IF("forged") statement_query_row((int32_t)number(args[1]), 0, 0, &r);
  IF("dropped") { connection_prepare(db, S("select 1"), &s); statement_drop(s.handle); statement_query_row(s.handle, 0, 0, &r); }
  IF("dropped twice") { connection_prepare(db, S("select 1"), &s); statement_drop(s.handle); statement_drop(s.handle); }
  IF("another kind") { connection_prepare(db, S("select 1"), &s); cursor_next_batch(s.handle, 1, &b); }
  IF("committed") { transaction_commit(t.handle, &d); transaction_commit(t.handle, &d); }
  IF("orphan") {  // a statement whose connection is gone
    connection_prepare(db, S("select 1"), &s); connection_drop(db); statement_query_row(s.handle, 0, 0, &r); CHECK(r); return say();
  }
  // strings and lists
  IF("outside") connection_prepare(db, end - 4, 100, &s);
  IF("around") connection_prepare(db, (const char *)-8, 16, &s);
  IF("huge") connection_prepare(db, 0, (size_t)-1, &s);
  IF("half") connection_prepare(db, 0, 0x80000001, &s);
  IF("not utf-8") connection_prepare(db, "select \xff\xfe", 9, &s);
  IF("surrogate") connection_prepare(db, "\xed\xa0\x80", 3, &s);
  IF("zero byte") { connection_prepare(db, "select '\0'", 10, &s); CHECK(s); return say(); }
  IF("tag") { value v = {.tag = 99}; connection_execute(db, S("select $1::int"), &v, 1, &c); }
  IF("unaligned") connection_execute(db, S("select 1"), (const value *)(buffer + 1), 1, &c);
  IF("list outside") connection_execute(db, S("select 1"), (const value *)(end - 24), 1000, &c);
  IF("too many") { value v[3] = {{0}, {0}, {0}}; connection_execute(db, S("select $1::int"), v, 3, &c); CHECK(c); return say(); }
  int64_t n[8] = {1, 2, 3, 4, 5, 6, 7, 70000}; uint8_t bits[1] = {255};
  text bad[2] = {{"ok", 2}, {"a\0b", 3}};
  IF("short column") { column_values v = {0, {0}, {1, {n, 7}}}; return batch_of("insert into work values ($1)", 8, &v, 1); }
  IF("long column") { column_values v = {0, {0}, {1, {n, 8}}}; return batch_of("insert into work values ($1)", 2, &v, 1); }
  IF("short validity") { column_values v = {1, {bits, 0}, {1, {n, 8}}}; return batch_of("insert into work values ($1)", 8, &v, 1); }
  IF("out of range") { column_values v = {0, {0}, {1, {n, 8}}}; return batch_of("insert into small values ($1)", 8, &v, 1); }
  IF("zero in text") { column_values v = {0, {0}, {3, {bad, 2}}}; return batch_of("insert into words values ($1)", 2, &v, 1); }
  IF("another form") { column_values v = {0, {0}, {0, {bits, 1}}}; return batch_of("insert into work values ($1)", 1, &v, 1); }
  IF("no form") { column_values v = {0, {0}, {77, {n, 1}}}; return batch_of("insert into work values ($1)", 1, &v, 1); }
  IF("no columns") return batch_of("insert into work values (3)", 0xffffffff, 0, 0);
  IF("another number") { column_values v[2] = {{0, {0}, {1, {n, 1}}}, {0, {0}, {1, {n, 1}}}}; return batch_of("insert into work values ($1)", 1, v, 2); }
  // what it was not given
  IF("table") { connection_execute(db, S("select * from secret"), 0, 0, &c); CHECK(c); return say(); }
  IF("write") { connection_execute(db, S("update secret set a = 1"), 0, 0, &c); CHECK(c); return say(); }
  IF("define") { connection_execute(db, S("create table mine (a int)"), 0, 0, &c); CHECK(c); return say(); }
  IF("file") { connection_execute(db, S("copy work to '/tmp/stolen'"), 0, 0, &c); CHECK(c); return say(); }
  IF("database") { connection_open(S("other"), &m); CHECK(m); return say(); }
  IF("fine") { transaction_drop(t.handle); return say(); }
  __builtin_trap();
}
