// What a guest in C needs of zerosys:db, as the canonical ABI has it, and a few helpers.
#include <stddef.h>
#include <stdint.h>

#define IMPORT(interface, name) __attribute__((import_module("zerosys:db/" interface "@0.1.0"), import_name(name)))
#define ENV(name) __attribute__((import_module("env"), import_name(name)))

typedef struct { const char *at; size_t size; } text;
typedef struct { uint8_t tag; union { uint8_t boolean; int64_t int64; double float64; text text; int32_t date;
  struct { int32_t months, days; int64_t microseconds; } interval; }; } value;
enum { NUL, BOOLEAN, INT64, FLOAT64, TEXT, BINARY, DATE, TIME, TIMESTAMP, TIMESTAMPTZ, INTERVAL, DECIMAL, UUID, JSON, OTHER };
typedef struct { value *at; size_t size; } values;
typedef struct { text sqlstate, message; uint8_t has_hint; text hint; uint8_t has_position; uint32_t position;
  uint8_t retryable; } error;
typedef struct { uint8_t failed; union { int32_t handle; error error; }; } made;
typedef struct { uint8_t failed; union { uint64_t count; error error; }; } counted;
typedef struct { uint8_t failed; union { struct { uint8_t some; values row; }; error error; }; } maybe_row;
typedef struct { uint8_t failed; union { struct { values *at; size_t size; } rows; error error; }; } some_rows;
typedef struct { uint8_t failed; error error; } done;
typedef struct { uint8_t tag; struct { void *at; size_t size; } data; } column_data;
typedef struct { uint8_t has_validity; struct { uint8_t *at; size_t size; } validity; column_data data; } column_values;
typedef struct { uint32_t rows; struct { column_values *at; size_t size; } columns; } batch;
typedef struct { uint8_t failed; union { struct { uint8_t some; batch batch; }; error error; }; } maybe_batch;
typedef struct { text name, data_type; uint8_t nullable; } column;
typedef struct { column *at; size_t size; } columns;

IMPORT("query", "[static]connection.open") void connection_open(const char *name, size_t size, made *out);
IMPORT("query", "[resource-drop]connection") void connection_drop(int32_t self);
IMPORT("query", "[method]connection.prepare") void connection_prepare(int32_t self, const char *sql, size_t size, made *out);
IMPORT("query", "[method]connection.execute") void connection_execute(int32_t self, const char *sql, size_t size, const value *values, size_t count, counted *out);
IMPORT("query", "[method]connection.query") void connection_query(int32_t self, const char *sql, size_t size, const value *values, size_t count, made *out);
IMPORT("query", "[method]connection.execute-script") void connection_execute_script(int32_t self, const char *sql, size_t size, done *out);
IMPORT("query", "[resource-drop]statement") void statement_drop(int32_t self);
IMPORT("query", "[method]statement.parameters") void statement_parameters(int32_t self, columns *out);
IMPORT("query", "[method]statement.columns") void statement_columns(int32_t self, columns *out);
IMPORT("query", "[method]statement.execute") void statement_execute(int32_t self, const value *values, size_t count, counted *out);
IMPORT("query", "[method]statement.execute-batch") void statement_execute_batch(int32_t self, uint32_t rows, const column_values *columns, size_t count, counted *out);
IMPORT("query", "[method]statement.query") void statement_query(int32_t self, const value *values, size_t count, made *out);
IMPORT("query", "[method]statement.query-row") void statement_query_row(int32_t self, const value *values, size_t count, maybe_row *out);
IMPORT("query", "[resource-drop]cursor") void cursor_drop(int32_t self);
IMPORT("query", "[method]cursor.columns") void cursor_columns(int32_t self, columns *out);
IMPORT("query", "[method]cursor.next-batch") void cursor_next_batch(int32_t self, uint32_t rows, maybe_batch *out);
IMPORT("query", "[method]cursor.next-rows") void cursor_next_rows(int32_t self, uint32_t rows, some_rows *out);
IMPORT("transaction", "[static]transaction.begin") void transaction_begin(int32_t connection, int32_t isolation, int32_t access, made *out);
IMPORT("transaction", "[static]transaction.commit") void transaction_commit(int32_t open, done *out);
IMPORT("transaction", "[static]transaction.rollback") void transaction_rollback(int32_t open, done *out);
IMPORT("transaction", "[resource-drop]transaction") void transaction_drop(int32_t self);
IMPORT("transaction", "[method]transaction.savepoint") void transaction_savepoint(int32_t self, const char *name, size_t size, done *out);
IMPORT("transaction", "[method]transaction.rollback-to") void transaction_rollback_to(int32_t self, const char *name, size_t size, done *out);
IMPORT("transaction", "[method]transaction.release") void transaction_release(int32_t self, const char *name, size_t size, done *out);
typedef struct { const uint8_t *at; size_t size; } bytes;
typedef struct { text key; bytes value; } key_value;
typedef struct { uint8_t some; bytes value; } maybe_bytes;
typedef struct { uint8_t failed; union { maybe_bytes found; error error; }; } found_bytes;
typedef struct { uint8_t failed; union { struct { maybe_bytes *at; size_t size; } all; error error; }; } found_many;
typedef struct { uint8_t failed; union { uint8_t yes; error error; }; } yes;
typedef struct { uint8_t failed; union { int64_t sum; error error; }; } summed;
typedef struct { uint8_t failed; union { struct { struct { text *at; size_t size; } keys; uint8_t more; text cursor; } page; error error; }; } paged;
IMPORT("kv", "[static]bucket.open") void bucket_open(int32_t connection, const char *name, size_t size, made *out);
IMPORT("kv", "[resource-drop]bucket") void bucket_drop(int32_t self);
IMPORT("kv", "[method]bucket.get") void bucket_get(int32_t self, const char *key, size_t size, found_bytes *out);
IMPORT("kv", "[method]bucket.get-many") void bucket_get_many(int32_t self, const text *keys, size_t count, found_many *out);
IMPORT("kv", "[method]bucket.set") void bucket_set(int32_t self, const char *key, size_t size, const void *value, size_t length, done *out);
IMPORT("kv", "[method]bucket.set-many") void bucket_set_many(int32_t self, const key_value *pairs, size_t count, done *out);
IMPORT("kv", "[method]bucket.set-with-ttl") void bucket_set_with_ttl(int32_t self, const char *key, size_t size, const void *value, size_t length, uint64_t ttl_ms, done *out);
IMPORT("kv", "[method]bucket.delete") void bucket_delete(int32_t self, const char *key, size_t size, yes *out);
IMPORT("kv", "[method]bucket.delete-many") void bucket_delete_many(int32_t self, const text *keys, size_t count, counted *out);
IMPORT("kv", "[method]bucket.exists") void bucket_exists(int32_t self, const char *key, size_t size, yes *out);
IMPORT("kv", "[method]bucket.list-keys") void bucket_list_keys(int32_t self, const char *prefix, size_t size, int32_t more, const char *cursor, size_t cursor_size, uint32_t limit, paged *out);
IMPORT("kv", "[method]bucket.increment") void bucket_increment(int32_t self, const char *key, size_t size, int64_t delta, summed *out);
IMPORT("kv", "[method]bucket.compare-and-swap") void bucket_compare_and_swap(int32_t self, const char *key, size_t size, int32_t has_expected, const void *expected, size_t expected_size, const void *value, size_t length, yes *out);
ENV("cabi_realloc") void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size);
ENV("forget") void forget(void);  // what came from calls so far is no longer needed

typedef struct { text *at; size_t size; } arguments;
static struct { uint8_t failed; text text; } answer;
static char buffer[65536];
static size_t written;

static inline void *memcpy_(char *to, const char *from, size_t size) { for (size_t i = 0; i < size; i++) to[i] = from[i]; return to; }
static inline size_t length(const char *s) { size_t n = 0; while (s[n]) n++; return n; }
#define S(literal) literal, length(literal)
static inline void put_text(text t) { memcpy_(buffer + written, t.at, t.size); written += t.size; }
static inline void put(const char *s) { put_text((text){s, length(s)}); }
static inline void put_int(int64_t n) {
  char digits[24]; int k = 24; uint64_t u = n < 0 ? -(uint64_t)n : (uint64_t)n;
  do digits[--k] = '0' + u % 10; while (u /= 10);
  if (n < 0) digits[--k] = '-';
  put_text((text){digits + k, 24 - k});
}
static inline void put_value(value v) {
  switch (v.tag) {
    case NUL: put("NULL"); break;
    case BOOLEAN: put(v.boolean ? "true" : "false"); break;
    case INT64: put_int(v.int64); break;
    case FLOAT64: put_int((int64_t)(v.float64 * 1000)); put("m"); break;
    case DATE: put("d"); put_int(v.date); break;
    case TIME: case TIMESTAMP: case TIMESTAMPTZ: put("t"); put_int(v.int64); break;
    case INTERVAL: put_int(v.interval.months); put("/"); put_int(v.interval.days); put("/"); put_int(v.interval.microseconds); break;
    default: put_text(v.text);
  }
}
static inline void *say(void) { answer.failed = 0; answer.text = (text){buffer, written}; return &answer; }
static inline void *fail(error e) {
  written = 0; put_text(e.sqlstate); put(" "); put_text(e.message);
  if (e.has_position) { put(" @"); put_int(e.position); }
  if (e.retryable) put(" (retryable)");
  answer.failed = 1; answer.text = (text){buffer, written}; return &answer;
}
static inline int64_t number(text t) { int64_t n = 0; int minus = 0; for (size_t i = 0; i < t.size; i++) { if (t.at[i] == '-') minus = 1; else n = n * 10 + (t.at[i] - '0'); } return minus ? -n : n; }
static inline int is(text t, const char *s) { if (t.size != length(s)) return 0; for (size_t i = 0; i < t.size; i++) if (t.at[i] != s[i]) return 0; return 1; }
__attribute__((export_name("run"))) void *run(text *args, size_t count);
