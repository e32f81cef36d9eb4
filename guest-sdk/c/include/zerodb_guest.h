/* zerodb from within: what a WebAssembly component written in C uses. See zerodb_types.h for values and who owns them.
 *
 *     bool zdb_run(zdb_strings arguments, zdb_string *text) {
 *       zdb_error error;
 *       zdb_connection db;
 *       if (!zdb_open("", &db, &error)) return zdb_fail(text, &error);
 *       ...
 *       *text = zdb_string_literal("done");
 *       return true;
 *     }
 *
 * Functions that can fail give true for success; otherwise `error` is filled in and yours to free. `zerodb new guest
 * --lang c NAME` makes a project, `zerodb build` builds it.
 */
#ifndef ZERODB_GUEST_H
#define ZERODB_GUEST_H

#include "zerodb_types.h"

typedef struct { int32_t handle; } zdb_connection;
typedef struct { int32_t handle; } zdb_statement;
typedef struct { int32_t handle; } zdb_cursor;
typedef struct { int32_t handle; } zdb_transaction;
typedef struct { int32_t handle; } zdb_bucket;

/* A session. Closing it rolls an open transaction back. */
bool zdb_open(const char *name, zdb_connection *db, zdb_error *error);
void zdb_close(zdb_connection db);
bool zdb_prepare(zdb_connection db, const char *sql, zdb_statement *statement, zdb_error *error);
/* `affected` (may be NULL): how many rows were inserted, changed, deleted or returned. */
bool zdb_execute(zdb_connection db, const char *sql, const zdb_value *parameters, size_t count, uint64_t *affected,
                 zdb_error *error);
bool zdb_query(zdb_connection db, const char *sql, const zdb_value *parameters, size_t count, zdb_cursor *cursor,
               zdb_error *error);
bool zdb_script(zdb_connection db, const char *sql, zdb_error *error);

/* A statement that is compiled once and run often. */
void zdb_statement_close(zdb_statement statement);
void zdb_statement_parameters(zdb_statement statement, zdb_columns *columns);
void zdb_statement_columns(zdb_statement statement, zdb_columns *columns);
bool zdb_statement_execute(zdb_statement statement, const zdb_value *parameters, size_t count, uint64_t *affected,
                           zdb_error *error);
/* Once for each row of the batch, whose columns are the parameters. */
bool zdb_statement_execute_batch(zdb_statement statement, const zdb_batch *batch, uint64_t *affected, zdb_error *error);
bool zdb_statement_query(zdb_statement statement, const zdb_value *parameters, size_t count, zdb_cursor *cursor,
                         zdb_error *error);
/* The first row, in one call: the quick way to look up by key. `row->ptr` is NULL if there is none. */
bool zdb_statement_query_row(zdb_statement statement, const zdb_value *parameters, size_t count, zdb_row *row,
                             zdb_error *error);

/* The rows of a result, in order, each once. */
void zdb_cursor_close(zdb_cursor cursor);
void zdb_cursor_columns(zdb_cursor cursor, zdb_columns *columns);
/* The next rows, `max_rows` at most; `more` is false when there are none left. */
bool zdb_next_batch(zdb_cursor cursor, uint32_t max_rows, zdb_batch *batch, bool *more, zdb_error *error);
/* The same row by row; `rows->len` is 0 when there are none left. Free each row, then zdb_release(rows->ptr). */
bool zdb_next_rows(zdb_cursor cursor, uint32_t max_rows, zdb_rows *rows, zdb_error *error);

typedef enum { ZDB_DEFAULT_LEVEL, ZDB_READ_COMMITTED, ZDB_REPEATABLE_READ, ZDB_SERIALIZABLE } zdb_isolation;

/* Several statements that take effect together. Commit and rollback end the handle, whatever they give. */
bool zdb_begin(zdb_connection db, zdb_isolation isolation, bool read_only, zdb_transaction *open, zdb_error *error);
bool zdb_commit(zdb_transaction open, zdb_error *error);
bool zdb_rollback(zdb_transaction open, zdb_error *error);
bool zdb_savepoint(zdb_transaction open, const char *name, zdb_error *error);
bool zdb_rollback_to(zdb_transaction open, const char *name, zdb_error *error);
bool zdb_release_savepoint(zdb_transaction open, const char *name, zdb_error *error);

/* A table as keys and values. */
bool zdb_bucket_open(zdb_connection db, const char *name, zdb_bucket *bucket, zdb_error *error);
void zdb_bucket_close(zdb_bucket bucket);
/* `value->ptr` is NULL if the key is not there. */
bool zdb_bucket_get(zdb_bucket bucket, zdb_string key, zdb_bytes *value, zdb_error *error);
bool zdb_bucket_set(zdb_bucket bucket, zdb_string key, zdb_bytes value, zdb_error *error);
bool zdb_bucket_set_with_ttl(zdb_bucket bucket, zdb_string key, zdb_bytes value, uint64_t ttl_ms, zdb_error *error);
bool zdb_bucket_delete(zdb_bucket bucket, zdb_string key, bool *was_there, zdb_error *error);
bool zdb_bucket_exists(zdb_bucket bucket, zdb_string key, bool *is_there, zdb_error *error);
bool zdb_bucket_increment(zdb_bucket bucket, zdb_string key, int64_t delta, int64_t *sum, zdb_error *error);
/* `expected` NULL: if the key is not there. */
bool zdb_bucket_compare_and_swap(zdb_bucket bucket, zdb_string key, const zdb_bytes *expected, zdb_bytes value,
                                 bool *swapped, zdb_error *error);
/* Keys with a prefix, a page at a time: `cursor` is where to go on, zeroed at first and after the last page. */
bool zdb_bucket_list(zdb_bucket bucket, zdb_string prefix, zdb_string *cursor, uint32_t limit, zdb_strings *keys,
                     zdb_error *error);

/* Your program (link guest_world.c). False: `text` is an error. The text must be a block of its own (zdb_take, ...). */
bool zdb_run(zdb_strings arguments, zdb_string *text);
/* Makes a program's error of a statement's, frees it, and gives false. */
bool zdb_fail(zdb_string *text, zdb_error *error);

#endif
