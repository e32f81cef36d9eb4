/* The edit distance of two texts, for names that are written almost alike.
 *
 *     zerodb build examples/distance_c
 *     create function distance(a text, b text) returns bigint language wasm as 'distance.wasm' immutable;
 *     select name from item where distance(name, 'pencil') <= 2;
 *
 * Wagner and Fischer's algorithm with one row of the matrix, over bytes: letters outside of ASCII count as several.
 */
#include "zerodb_functions.h"

static const zdb_typed takes[] = {{"a", "text"}, {"b", "text"}, {0}};
static const zdb_typed gives[] = {{"result", "bigint"}, {0}};
const zdb_function zdb_functions[] = {{"distance", takes, gives, ZDB_IMMUTABLE, true}, {0}};

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

static uint32_t distance(zdb_string a, zdb_string b) {
  uint32_t *row = zdb_allocate((b.len + 1) * sizeof(uint32_t));
  for (uint32_t j = 0; j <= b.len; j++) row[j] = j;
  for (uint32_t i = 0; i < a.len; i++) {
    uint32_t diagonal = row[0];
    row[0] = i + 1;
    for (uint32_t j = 0; j < b.len; j++) {
      uint32_t replaced = diagonal + (a.ptr[i] != b.ptr[j]);
      diagonal = row[j + 1];
      row[j + 1] = least(replaced, least(row[j], diagonal) + 1);
    }
  }
  uint32_t found = row[b.len];
  zdb_release(row);
  return found;
}

bool zdb_call_scalar(zdb_string name, const zdb_batch *arguments, zdb_column_values *result, zdb_function_error *error) {
  if (!zdb_string_equal(name, "distance")) {
    error->message = "there is no such function";
    return false;
  }
  *result = zdb_column_new(ZDB_INT64, arguments->row_count, false);
  const zdb_string *a = arguments->columns.ptr[0].data.texts, *b = arguments->columns.ptr[1].data.texts;
  for (uint32_t row = 0; row < arguments->row_count; row++) result->data.int64s[row] = distance(a[row], b[row]);
  return true;
}
