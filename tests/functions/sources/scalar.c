/* Functions that describe themselves: NULLs, errors, texts of other types, queries. */
#include "zerodb_functions.h"
#include "zerodb_guest.h"

static const zdb_typed text_[] = {{"value", "text"}, {0}}, bigint_[] = {{"value", "bigint"}, {0}};
static const zdb_typed numeric_[] = {{"value", "numeric"}, {0}}, array_[] = {{"value", "integer[]"}, {0}};
const zdb_function zdb_functions[] = {
    {"length_or", text_, bigint_, ZDB_IMMUTABLE, false},
    {"positive", bigint_, bigint_, ZDB_IMMUTABLE, true},
    {"signed_text", numeric_, numeric_, ZDB_STABLE, true},
    {"as_array", text_, array_, ZDB_STABLE, true},
    {"count-below", bigint_, bigint_, ZDB_VOLATILE, true},
    {"writes", bigint_, bigint_, ZDB_VOLATILE, true},
    {"too-many", bigint_, bigint_, ZDB_VOLATILE, true},
    {0}};

static char said[200];

static bool failed(zdb_function_error *error, zdb_error *why) {
  size_t length = why->message.len < sizeof said - 1 ? why->message.len : sizeof said - 1;
  for (size_t i = 0; i < length; i++) said[i] = why->message.ptr[i];
  said[length] = 0;
  error->message = said;
  zdb_error_free(why);
  return false;
}

static bool counted(const zdb_batch *arguments, zdb_column_values *result, zdb_function_error *error) {
  zdb_error why;
  zdb_connection db;
  if (!zdb_open("", &db, &why)) return failed(error, &why);
  zdb_statement statement;
  if (!zdb_prepare(db, "select count(*) from t where a < $1::bigint", &statement, &why)) return failed(error, &why);
  *result = zdb_column_new(ZDB_INT64, arguments->row_count, false);
  for (uint32_t row = 0; row < arguments->row_count; row++) {
    zdb_value value = {.kind = ZDB_INT64, .int64 = arguments->columns.ptr[0].data.int64s[row]};
    zdb_row found;
    if (!zdb_statement_query_row(statement, &value, 1, &found, &why)) return failed(error, &why);
    result->data.int64s[row] = found.ptr[0].int64;
    zdb_row_free(&found);
  }
  zdb_statement_close(statement);
  return true; /* the connection is left open: it ends with the call */
}

static bool writing(zdb_function_error *error) {
  zdb_error why;
  zdb_connection db;
  if (!zdb_open("", &db, &why) || !zdb_execute(db, "insert into t values (99)", NULL, 0, NULL, &why))
    return failed(error, &why);
  error->message = "it wrote";
  return false;
}

bool zdb_call_scalar(zdb_string name, const zdb_batch *arguments, zdb_column_values *result, zdb_function_error *error) {
  uint32_t rows = arguments->row_count;
  const zdb_column_values *given = &arguments->columns.ptr[0];
  if (zdb_string_equal(name, "count-below")) return counted(arguments, result, error);
  if (zdb_string_equal(name, "writes")) return writing(error);
  if (zdb_string_equal(name, "too-many")) {
    *result = zdb_column_new(ZDB_INT64, rows + 1, false);
    return true;
  }
  if (zdb_string_equal(name, "length_or")) {
    *result = zdb_column_new(ZDB_INT64, rows, true);
    for (uint32_t row = 0; row < rows; row++) {
      bool present = !given->has_validity || (given->validity.ptr[row / 8] >> row % 8 & 1);
      result->data.int64s[row] = present ? (int64_t)given->data.texts[row].len : -1;
      if (!present || given->data.texts[row].len) zdb_set_valid(result, row); /* NULL for "" */
    }
    return true;
  }
  if (zdb_string_equal(name, "positive")) {
    *result = zdb_column_new(ZDB_INT64, rows, false);
    for (uint32_t row = 0; row < rows; row++) {
      result->data.int64s[row] = given->data.int64s[row];
      if (given->data.int64s[row] < 0) {
        error->message = "it is negative", error->sqlstate = "22003", error->row = row;
        zdb_column_values_free(result);
        return false;
      }
    }
    return true;
  }
  bool array = zdb_string_equal(name, "as_array");
  *result = zdb_column_new(array ? ZDB_OTHER : ZDB_DECIMAL, rows, false);
  for (uint32_t row = 0; row < rows; row++) {
    zdb_builder made = {0};
    zdb_append(&made, array ? "{" : "-");
    zdb_append_n(&made, given->data.texts[row].ptr, given->data.texts[row].len);
    if (array) zdb_append(&made, "}");
    result->data.texts[row] = zdb_take(&made);
  }
  return true;
}
