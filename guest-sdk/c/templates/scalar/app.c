/* __NAME__: functions for expressions.
 *
 * create function slug(title text) returns text language wasm as '__NAME__.wasm' immutable;
 * select slug('Hello, world');
 */
#include "zerodb_functions.h"

static const zdb_typed slug_takes[] = {{"title", "text"}, {0}};
static const zdb_typed slug_gives[] = {{"result", "text"}, {0}};
const zdb_function zdb_functions[] = {{"slug", slug_takes, slug_gives, ZDB_IMMUTABLE, true}, {0}};

static zdb_string slug(zdb_string title) {
  zdb_builder made = {0};
  for (size_t i = 0; i < title.len; i++) {
    char c = title.ptr[i];
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
    bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain) zdb_append_n(&made, &c, 1);
    else if (made.len && made.ptr[made.len - 1] != '-') zdb_append(&made, "-");
  }
  if (made.len && made.ptr[made.len - 1] == '-') made.len--;
  return zdb_take(&made);
}

/* Called for each batch of rows; strict functions see no NULL. */
bool zdb_call_scalar(zdb_string name, const zdb_batch *arguments, zdb_column_values *result, zdb_function_error *error) {
  if (!zdb_string_equal(name, "slug")) {
    error->message = "there is no such function";
    return false;
  }
  *result = zdb_column_new(ZDB_TEXT, arguments->row_count, false);
  for (uint32_t row = 0; row < arguments->row_count; row++)
    result->data.texts[row] = slug(arguments->columns.ptr[0].data.texts[row]);
  return true;
}
