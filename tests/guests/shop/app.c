#include "zerodb_guest.h"

#define TABLE                                                                                                     \
  "create table sale (id bigint primary key, item text not null, quantity bigint not null,"                      \
  " price numeric(10,2) not null, day date)"
#define REPORT                                                                                                    \
  "select item, sum(quantity)::bigint, sum(quantity * price)::numeric(12,2)::text, min(day)::text"               \
  " from sale group by item order by item"

static int64_t number(zdb_string text) {
  int64_t value = 0;
  for (size_t i = 0; i < text.len; i++) value = value * 10 + (text.ptr[i] - '0');
  return value;
}

static zdb_string part(zdb_string *rest) { /* up to the next bar */
  zdb_string found = {rest->ptr, 0};
  while (found.len < rest->len && rest->ptr[found.len] != '|') found.len++;
  size_t used = found.len + (found.len < rest->len);
  *rest = (zdb_string){rest->ptr + used, rest->len - used};
  return found;
}

static void line(zdb_builder *lines) {
  if (lines->len) zdb_append(lines, "\n");
}

static zdb_batch batch_of(zdb_strings arguments) {
  size_t rows = arguments.len;
  zdb_batch batch = {(uint32_t)rows, {zdb_allocate(5 * sizeof(zdb_column_values)), 5}};
  zdb_column_values *columns = batch.columns.ptr;
  columns[0] = zdb_column_new(ZDB_INT64, rows, false);
  columns[1] = zdb_column_new(ZDB_TEXT, rows, false);
  columns[2] = zdb_column_new(ZDB_INT64, rows, false);
  columns[3] = zdb_column_new(ZDB_TEXT, rows, false);
  columns[4] = zdb_column_new(ZDB_TEXT, rows, true);
  for (size_t row = 0; row < rows; row++) {
    zdb_string rest = arguments.ptr[row], day;
    columns[0].data.int64s[row] = number(part(&rest));
    columns[1].data.texts[row] = zdb_string_copy(part(&rest));
    columns[2].data.int64s[row] = number(part(&rest));
    columns[3].data.texts[row] = zdb_string_copy(part(&rest));
    day = part(&rest);
    columns[4].data.texts[row] = zdb_string_copy(day);
    if (day.len) zdb_set_valid(&columns[4], row);
  }
  return batch;
}

static bool ingest(zdb_connection db, zdb_strings arguments, zdb_builder *lines, zdb_error *error) {
  zdb_transaction open;
  zdb_statement insert;
  uint64_t count;
  zdb_batch batch = batch_of(arguments);
  if (!zdb_begin(db, ZDB_DEFAULT_LEVEL, false, &open, error)) return false;
  if (!zdb_prepare(db, "insert into sale values ($1, $2, $3, $4, $5)", &insert, error)) return false;
  if (!zdb_statement_execute_batch(insert, &batch, &count, error) || !zdb_commit(open, error)) return false;
  zdb_statement_close(insert);
  zdb_batch_free(&batch);
  line(lines);
  zdb_append(lines, "inserted ");
  zdb_append_int(lines, (int64_t)count);
  return true;
}

static bool refuse(zdb_connection db, zdb_builder *lines, zdb_error *error) {
  zdb_transaction open;
  if (!zdb_begin(db, ZDB_DEFAULT_LEVEL, false, &open, error)) return false;
  if (!zdb_execute(db, "delete from sale where id = 1", NULL, 0, NULL, error)) return false;
  if (zdb_execute(db, "insert into sale values (2, 'again', 1, 1, null)", NULL, 0, NULL, error)) return true;
  line(lines);
  zdb_append(lines, "refused ");
  zdb_append_n(lines, error->sqlstate.ptr, error->sqlstate.len);
  zdb_append(lines, error->retryable ? " true" : " false");
  zdb_error_free(error);
  return zdb_rollback(open, error);
}

static bool look_up(zdb_connection db, zdb_builder *lines, zdb_error *error) {
  static const int64_t keys[] = {1, 2, 99};
  zdb_statement find;
  if (!zdb_prepare(db, "select item, quantity, price, day is null from sale where id = $1", &find, error)) return false;
  for (int i = 0; i < 3; i++) {
    zdb_row row;
    zdb_value key = zdb_int64(keys[i]);
    if (!zdb_statement_query_row(find, &key, 1, &row, error)) return false;
    line(lines);
    zdb_append_int(lines, keys[i]);
    zdb_append(lines, row.ptr ? ":" : ": none");
    for (size_t column = 0; column < row.len; column++) {
      zdb_append(lines, " ");
      zdb_append_value(lines, &row.ptr[column]);
    }
    zdb_row_free(&row);
  }
  zdb_statement_close(find);
  return true;
}

static bool report(zdb_connection db, zdb_builder *lines, zdb_error *error) {
  zdb_cursor cursor;
  zdb_rows rows;
  bool good;
  if (!zdb_query(db, REPORT, NULL, 0, &cursor, error)) return false;
  while ((good = zdb_next_rows(cursor, 2, &rows, error)) && rows.len) {
    for (size_t i = 0; i < rows.len; i++) {
      line(lines);
      for (size_t column = 0; column < rows.ptr[i].len; column++) {
        if (column) zdb_append(lines, " ");
        if (rows.ptr[i].ptr[column].kind == ZDB_NULL) zdb_append(lines, "-");
        else zdb_append_value(lines, &rows.ptr[i].ptr[column]);
      }
      zdb_row_free(&rows.ptr[i]);
    }
    zdb_release(rows.ptr);
  }
  zdb_cursor_close(cursor);
  return good;
}

static bool note(zdb_connection db, zdb_builder *lines, zdb_error *error) {
  zdb_bucket notes;
  int64_t first, second;
  zdb_string a = zdb_string_of("a"), runs = zdb_string_of("runs");
  zdb_bytes value;
  if (!zdb_bucket_open(db, "note", &notes, error)) return false;
  if (!zdb_bucket_set(notes, a, (zdb_bytes){(uint8_t *)"x", 1}, error)) return false;
  if (!zdb_bucket_increment(notes, runs, 1, &first, error)) return false;
  if (!zdb_bucket_increment(notes, runs, 41, &second, error) || !zdb_bucket_get(notes, a, &value, error)) return false;
  line(lines);
  zdb_append(lines, "notes ");
  zdb_append_int(lines, first);
  zdb_append(lines, " ");
  zdb_append_int(lines, second);
  zdb_append(lines, " ");
  zdb_append_n(lines, (char *)value.ptr, value.len);
  zdb_release(value.ptr);
  zdb_bucket_close(notes);
  return true;
}

bool zdb_run(zdb_strings arguments, zdb_string *text) {
  zdb_error error;
  zdb_connection db;
  zdb_builder lines = {0};
  if (!zdb_open("", &db, &error)) return zdb_fail(text, &error);
  bool good = zdb_execute(db, TABLE, NULL, 0, NULL, &error) && ingest(db, arguments, &lines, &error) &&
              refuse(db, &lines, &error) && look_up(db, &lines, &error) && report(db, &lines, &error) &&
              note(db, &lines, &error);
  zdb_close(db);
  if (!good) return zdb_fail(text, &error);
  *text = zdb_take(&lines);
  return true;
}
