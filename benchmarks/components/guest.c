/* The guest in C that `python -m benchmarks components` runs: see app.py beside it. */
#include "zerodb_guest.h"

static int64_t number(zdb_string text) {
  int64_t n = 0;
  for (size_t i = 0; i < text.len; i++) n = n * 10 + (text.ptr[i] - '0');
  return n;
}

static bool is(zdb_string text, const char *word) {
  size_t i = 0;
  while (i < text.len && word[i] && text.ptr[i] == word[i]) i++;
  return i == text.len && !word[i];
}

bool zdb_run(zdb_strings arguments, zdb_string *text) {
  zdb_error error;
  zdb_connection db;
  zdb_string what = arguments.ptr[0];
  int64_t count = number(arguments.ptr[1]), rows = number(arguments.ptr[2]), total = 0;
  *text = zdb_string_literal("");
  if (is(what, "nothing")) return true;
  if (!zdb_open("", &db, &error)) return zdb_fail(text, &error);
  if (is(what, "lookup")) {
    zdb_statement find;
    if (!zdb_prepare(db, "select owner from account where id = $1", &find, &error)) return zdb_fail(text, &error);
    for (int64_t i = 0; i < count; i++) {
      zdb_value key = zdb_int64(i * 7919 % rows);
      zdb_row row;
      if (!zdb_statement_query_row(find, &key, 1, &row, &error)) return zdb_fail(text, &error);
      total += row.len;
      zdb_row_free(&row);
    }
  } else if (is(what, "call")) {
    zdb_statement statement;
    if (!zdb_prepare(db, "select 1", &statement, &error)) return zdb_fail(text, &error);
    for (int64_t i = 0; i < count; i++) {
      zdb_columns columns;
      zdb_statement_parameters(statement, &columns);
      zdb_columns_free(&columns);
    }
  } else {
    const char *sql = is(what, "owner") ? "select id, owner from account limit 10000"
                                        : "select id, balance from account limit 10000";
    for (int64_t i = 0; i < count; i++) {
      zdb_cursor cursor;
      zdb_batch batch;
      bool more;
      if (!zdb_query(db, sql, NULL, 0, &cursor, &error))
        return zdb_fail(text, &error);
      for (;;) {
        if (!zdb_next_batch(cursor, rows, &batch, &more, &error)) return zdb_fail(text, &error);
        if (!more) break;
        total += batch.row_count;
        zdb_batch_free(&batch);
      }
      zdb_cursor_close(cursor);
    }
  }
  zdb_close(db);
  return true;
}
