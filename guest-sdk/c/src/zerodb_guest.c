/* The imports of the world `guest`, and the functions of zerodb_guest.h over them.
 *
 * The names and flat parameters follow from wit/ by the canonical ABI: a string or list is a pointer and a length, a
 * record its fields, a result that does not fit one register goes to where the last parameter points. An import that a
 * program does not use is not linked, so this file serves every world that has `query`.
 */
#include "zerodb_guest.h"

#define QUERY(name) __attribute__((import_module("zerosys:db/query@0.1.0"), import_name(name)))
#define TRANSACTION(name) __attribute__((import_module("zerosys:db/transaction@0.1.0"), import_name(name)))
#define KV(name) __attribute__((import_module("zerosys:db/kv@0.1.0"), import_name(name)))

typedef struct { bool is_error; union { int32_t handle; zdb_error error; }; } handle_result;
typedef struct { bool is_error; union { uint64_t count; int64_t sum; zdb_error error; }; } count_result;
typedef struct { bool is_error; union { bool flag; zdb_error error; }; } flag_result;
typedef struct { bool is_error; zdb_error error; } empty_result;
typedef struct { bool is_error; union { struct { bool is_some; zdb_row row; } found; zdb_error error; }; } row_result;
typedef struct { bool is_error; union { zdb_rows rows; zdb_error error; }; } rows_result;
typedef struct { bool is_error; union { struct { bool is_some; zdb_batch batch; } next; zdb_error error; }; } batch_result;
typedef struct { bool is_error; union { struct { bool is_some; zdb_bytes value; } found; zdb_error error; }; } bytes_result;
typedef struct { zdb_strings keys; struct { bool is_some; zdb_string value; } cursor; } key_page;
typedef struct { bool is_error; union { key_page page; zdb_error error; }; } page_result;

QUERY("[static]connection.open") void query_open(const char *, size_t, handle_result *);
QUERY("[resource-drop]connection") void query_drop_connection(int32_t);
QUERY("[method]connection.prepare") void query_prepare(int32_t, const char *, size_t, handle_result *);
QUERY("[method]connection.execute")
void query_execute(int32_t, const char *, size_t, const zdb_value *, size_t, count_result *);
QUERY("[method]connection.query")
void query_query(int32_t, const char *, size_t, const zdb_value *, size_t, handle_result *);
QUERY("[method]connection.execute-script") void query_script(int32_t, const char *, size_t, empty_result *);
QUERY("[resource-drop]statement") void query_drop_statement(int32_t);
QUERY("[method]statement.parameters") void query_parameters(int32_t, zdb_columns *);
QUERY("[method]statement.columns") void query_statement_columns(int32_t, zdb_columns *);
QUERY("[method]statement.execute") void query_statement_execute(int32_t, const zdb_value *, size_t, count_result *);
QUERY("[method]statement.execute-batch")
void query_execute_batch(int32_t, uint32_t, const zdb_column_values *, size_t, count_result *);
QUERY("[method]statement.query") void query_statement_query(int32_t, const zdb_value *, size_t, handle_result *);
QUERY("[method]statement.query-row") void query_row(int32_t, const zdb_value *, size_t, row_result *);
QUERY("[resource-drop]cursor") void query_drop_cursor(int32_t);
QUERY("[method]cursor.columns") void query_cursor_columns(int32_t, zdb_columns *);
QUERY("[method]cursor.next-batch") void query_next_batch(int32_t, uint32_t, batch_result *);
QUERY("[method]cursor.next-rows") void query_next_rows(int32_t, uint32_t, rows_result *);

TRANSACTION("[static]transaction.begin") void transaction_begin(int32_t, int32_t, int32_t, handle_result *);
TRANSACTION("[static]transaction.commit") void transaction_commit(int32_t, empty_result *);
TRANSACTION("[static]transaction.rollback") void transaction_rollback(int32_t, empty_result *);
TRANSACTION("[method]transaction.savepoint") void transaction_savepoint(int32_t, const char *, size_t, empty_result *);
TRANSACTION("[method]transaction.rollback-to")
void transaction_rollback_to(int32_t, const char *, size_t, empty_result *);
TRANSACTION("[method]transaction.release") void transaction_release(int32_t, const char *, size_t, empty_result *);

KV("[static]bucket.open") void kv_open(int32_t, const char *, size_t, handle_result *);
KV("[resource-drop]bucket") void kv_drop(int32_t);
KV("[method]bucket.get") void kv_get(int32_t, const char *, size_t, bytes_result *);
KV("[method]bucket.set") void kv_set(int32_t, const char *, size_t, const uint8_t *, size_t, empty_result *);
KV("[method]bucket.set-with-ttl")
void kv_set_with_ttl(int32_t, const char *, size_t, const uint8_t *, size_t, uint64_t, empty_result *);
KV("[method]bucket.delete") void kv_delete(int32_t, const char *, size_t, flag_result *);
KV("[method]bucket.exists") void kv_exists(int32_t, const char *, size_t, flag_result *);
KV("[method]bucket.increment") void kv_increment(int32_t, const char *, size_t, int64_t, count_result *);
KV("[method]bucket.compare-and-swap")
void kv_swap(int32_t, const char *, size_t, int32_t, const uint8_t *, size_t, const uint8_t *, size_t, flag_result *);
KV("[method]bucket.list-keys")
void kv_list(int32_t, const char *, size_t, int32_t, const char *, size_t, uint32_t, page_result *);

#define TEXT(c_string) (c_string), zdb_string_of(c_string).len
#define FAIL_IF(result)                  \
  if ((result).is_error) {               \
    *error = (result).error;             \
    return false;                        \
  }

static bool done(const empty_result *result, zdb_error *error) {
  FAIL_IF(*result)
  return true;
}

static bool opened(const handle_result *result, int32_t *handle, zdb_error *error) {
  FAIL_IF(*result)
  *handle = result->handle;
  return true;
}

static bool counted(const count_result *result, uint64_t *count, zdb_error *error) {
  FAIL_IF(*result)
  if (count) *count = result->count;
  return true;
}

bool zdb_open(const char *name, zdb_connection *db, zdb_error *error) {
  handle_result result;
  query_open(TEXT(name), &result);
  return opened(&result, &db->handle, error);
}

void zdb_close(zdb_connection db) { query_drop_connection(db.handle); }

bool zdb_prepare(zdb_connection db, const char *sql, zdb_statement *statement, zdb_error *error) {
  handle_result result;
  query_prepare(db.handle, TEXT(sql), &result);
  return opened(&result, &statement->handle, error);
}

bool zdb_execute(zdb_connection db, const char *sql, const zdb_value *parameters, size_t count, uint64_t *affected,
                 zdb_error *error) {
  count_result result;
  query_execute(db.handle, TEXT(sql), parameters, count, &result);
  return counted(&result, affected, error);
}

bool zdb_query(zdb_connection db, const char *sql, const zdb_value *parameters, size_t count, zdb_cursor *cursor,
               zdb_error *error) {
  handle_result result;
  query_query(db.handle, TEXT(sql), parameters, count, &result);
  return opened(&result, &cursor->handle, error);
}

bool zdb_script(zdb_connection db, const char *sql, zdb_error *error) {
  empty_result result;
  query_script(db.handle, TEXT(sql), &result);
  return done(&result, error);
}

void zdb_statement_close(zdb_statement statement) { query_drop_statement(statement.handle); }
void zdb_statement_parameters(zdb_statement statement, zdb_columns *columns) { query_parameters(statement.handle, columns); }
void zdb_statement_columns(zdb_statement statement, zdb_columns *columns) {
  query_statement_columns(statement.handle, columns);
}

bool zdb_statement_execute(zdb_statement statement, const zdb_value *parameters, size_t count, uint64_t *affected,
                           zdb_error *error) {
  count_result result;
  query_statement_execute(statement.handle, parameters, count, &result);
  return counted(&result, affected, error);
}

bool zdb_statement_execute_batch(zdb_statement statement, const zdb_batch *batch, uint64_t *affected, zdb_error *error) {
  count_result result;
  query_execute_batch(statement.handle, batch->row_count, batch->columns.ptr, batch->columns.len, &result);
  return counted(&result, affected, error);
}

bool zdb_statement_query(zdb_statement statement, const zdb_value *parameters, size_t count, zdb_cursor *cursor,
                         zdb_error *error) {
  handle_result result;
  query_statement_query(statement.handle, parameters, count, &result);
  return opened(&result, &cursor->handle, error);
}

bool zdb_statement_query_row(zdb_statement statement, const zdb_value *parameters, size_t count, zdb_row *row,
                             zdb_error *error) {
  row_result result;
  query_row(statement.handle, parameters, count, &result);
  FAIL_IF(result)
  *row = result.found.is_some ? result.found.row : (zdb_row){0};
  return true;
}

void zdb_cursor_close(zdb_cursor cursor) { query_drop_cursor(cursor.handle); }
void zdb_cursor_columns(zdb_cursor cursor, zdb_columns *columns) { query_cursor_columns(cursor.handle, columns); }

bool zdb_next_batch(zdb_cursor cursor, uint32_t max_rows, zdb_batch *batch, bool *more, zdb_error *error) {
  batch_result result;
  query_next_batch(cursor.handle, max_rows, &result);
  FAIL_IF(result)
  *more = result.next.is_some;
  *batch = *more ? result.next.batch : (zdb_batch){0};
  return true;
}

bool zdb_next_rows(zdb_cursor cursor, uint32_t max_rows, zdb_rows *rows, zdb_error *error) {
  rows_result result;
  query_next_rows(cursor.handle, max_rows, &result);
  FAIL_IF(result)
  *rows = result.rows;
  return true;
}

bool zdb_begin(zdb_connection db, zdb_isolation isolation, bool read_only, zdb_transaction *open, zdb_error *error) {
  handle_result result;
  transaction_begin(db.handle, isolation, read_only, &result);
  return opened(&result, &open->handle, error);
}

bool zdb_commit(zdb_transaction open, zdb_error *error) {
  empty_result result;
  transaction_commit(open.handle, &result);
  return done(&result, error);
}

bool zdb_rollback(zdb_transaction open, zdb_error *error) {
  empty_result result;
  transaction_rollback(open.handle, &result);
  return done(&result, error);
}

bool zdb_savepoint(zdb_transaction open, const char *name, zdb_error *error) {
  empty_result result;
  transaction_savepoint(open.handle, TEXT(name), &result);
  return done(&result, error);
}

bool zdb_rollback_to(zdb_transaction open, const char *name, zdb_error *error) {
  empty_result result;
  transaction_rollback_to(open.handle, TEXT(name), &result);
  return done(&result, error);
}

bool zdb_release_savepoint(zdb_transaction open, const char *name, zdb_error *error) {
  empty_result result;
  transaction_release(open.handle, TEXT(name), &result);
  return done(&result, error);
}

bool zdb_bucket_open(zdb_connection db, const char *name, zdb_bucket *bucket, zdb_error *error) {
  handle_result result;
  kv_open(db.handle, TEXT(name), &result);
  return opened(&result, &bucket->handle, error);
}

void zdb_bucket_close(zdb_bucket bucket) { kv_drop(bucket.handle); }

bool zdb_bucket_get(zdb_bucket bucket, zdb_string key, zdb_bytes *value, zdb_error *error) {
  bytes_result result;
  kv_get(bucket.handle, key.ptr, key.len, &result);
  FAIL_IF(result)
  *value = result.found.is_some ? result.found.value : (zdb_bytes){0};
  return true;
}

bool zdb_bucket_set(zdb_bucket bucket, zdb_string key, zdb_bytes value, zdb_error *error) {
  empty_result result;
  kv_set(bucket.handle, key.ptr, key.len, value.ptr, value.len, &result);
  return done(&result, error);
}

bool zdb_bucket_set_with_ttl(zdb_bucket bucket, zdb_string key, zdb_bytes value, uint64_t ttl_ms, zdb_error *error) {
  empty_result result;
  kv_set_with_ttl(bucket.handle, key.ptr, key.len, value.ptr, value.len, ttl_ms, &result);
  return done(&result, error);
}

bool zdb_bucket_delete(zdb_bucket bucket, zdb_string key, bool *was_there, zdb_error *error) {
  flag_result result;
  kv_delete(bucket.handle, key.ptr, key.len, &result);
  FAIL_IF(result)
  if (was_there) *was_there = result.flag;
  return true;
}

bool zdb_bucket_exists(zdb_bucket bucket, zdb_string key, bool *is_there, zdb_error *error) {
  flag_result result;
  kv_exists(bucket.handle, key.ptr, key.len, &result);
  FAIL_IF(result)
  *is_there = result.flag;
  return true;
}

bool zdb_bucket_increment(zdb_bucket bucket, zdb_string key, int64_t delta, int64_t *sum, zdb_error *error) {
  count_result result;
  kv_increment(bucket.handle, key.ptr, key.len, delta, &result);
  FAIL_IF(result)
  if (sum) *sum = result.sum;
  return true;
}

bool zdb_bucket_compare_and_swap(zdb_bucket bucket, zdb_string key, const zdb_bytes *expected, zdb_bytes value,
                                 bool *swapped, zdb_error *error) {
  flag_result result;
  zdb_bytes old = expected ? *expected : (zdb_bytes){0};
  kv_swap(bucket.handle, key.ptr, key.len, expected != NULL, old.ptr, old.len, value.ptr, value.len, &result);
  FAIL_IF(result)
  *swapped = result.flag;
  return true;
}

bool zdb_bucket_list(zdb_bucket bucket, zdb_string prefix, zdb_string *cursor, uint32_t limit, zdb_strings *keys,
                     zdb_error *error) {
  page_result result;
  kv_list(bucket.handle, prefix.ptr, prefix.len, cursor->ptr != NULL, cursor->ptr, cursor->len, limit, &result);
  FAIL_IF(result)
  zdb_string_free(cursor);
  if (result.page.cursor.is_some) *cursor = result.page.cursor.value;
  *keys = result.page.keys;
  return true;
}

bool zdb_fail(zdb_string *text, zdb_error *error) {
  zdb_builder builder = {0};
  zdb_append_n(&builder, error->sqlstate.ptr, error->sqlstate.len);
  zdb_append(&builder, ": ");
  zdb_append_n(&builder, error->message.ptr, error->message.len);
  *text = zdb_take(&builder);
  zdb_error_free(error);
  return false;
}
