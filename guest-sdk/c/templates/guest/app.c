/* __NAME__: keeps the words it is given and says how often each came.
 *
 * zerodb run __NAME__.wasm --db words.zdb -- to be or not to be
 */
#include "zerodb_guest.h"

static bool keep(zdb_connection db, zdb_strings words, zdb_error *error) {
  zdb_statement count;
  if (!zdb_prepare(db, "insert into word values ($1, 1) on conflict (word) do update set times = word.times + 1", &count,
                   error))
    return false;
  bool good = true;
  for (size_t i = 0; good && i < words.len; i++) {
    zdb_value word = zdb_text_n(words.ptr[i].ptr, words.ptr[i].len);
    good = zdb_statement_execute(count, &word, 1, NULL, error);
  }
  zdb_statement_close(count);
  return good;
}

static bool keep_together(zdb_connection db, zdb_strings words, zdb_error *error) {
  for (int attempt = 0;; attempt++) { /* runs again after a conflict */
    zdb_transaction open;
    if (!zdb_begin(db, ZDB_DEFAULT_LEVEL, false, &open, error)) return false;
    if (keep(db, words, error)) {
      if (zdb_commit(open, error)) return true;
    } else {
      zdb_error ignored;
      if (!zdb_rollback(open, &ignored)) zdb_error_free(&ignored);
    }
    if (!error->retryable || attempt == 5) return false;
    zdb_error_free(error);
  }
}

static bool report(zdb_connection db, zdb_builder *text, zdb_error *error) {
  zdb_cursor rows;
  if (!zdb_query(db, "select word, times from word order by times desc, word", NULL, 0, &rows, error)) return false;
  zdb_batch batch;
  bool more, good;
  while ((good = zdb_next_batch(rows, 1024, &batch, &more, error)) && more) {
    for (uint32_t row = 0; row < batch.row_count; row++) {
      zdb_string word = batch.columns.ptr[0].data.texts[row];
      if (text->len) zdb_append(text, "\n");
      zdb_append_n(text, word.ptr, word.len);
      zdb_append(text, " ");
      zdb_append_int(text, batch.columns.ptr[1].data.int64s[row]);
    }
    zdb_batch_free(&batch);
  }
  zdb_cursor_close(rows);
  return good;
}

bool zdb_run(zdb_strings arguments, zdb_string *text) {
  zdb_error error;
  zdb_connection db;
  zdb_builder written = {0};
  if (!zdb_open("", &db, &error)) return zdb_fail(text, &error);
  bool good = zdb_execute(db, "create table if not exists word (word text primary key, times bigint not null)", NULL, 0,
                          NULL, &error) &&
              keep_together(db, arguments, &error) && report(db, &written, &error);
  zdb_close(db);
  if (!good) return zdb_fail(text, &error);
  *text = zdb_take(&written);
  return true;
}
