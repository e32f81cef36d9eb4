/* f(a bigint) = a * 3 + 1, as a component. */
#include "zerodb_functions.h"

static const zdb_typed takes[] = {{"a", "bigint"}, {0}};
static const zdb_typed gives[] = {{"result", "bigint"}, {0}};
const zdb_function zdb_functions[] = {{"by_component", takes, gives, ZDB_IMMUTABLE, true}, {0}};

bool zdb_call_scalar(zdb_string name, const zdb_batch *arguments, zdb_column_values *result, zdb_function_error *error) {
  const int64_t *a = arguments->columns.ptr[0].data.int64s;
  *result = zdb_column_new(ZDB_INT64, arguments->row_count, false);
  for (uint32_t row = 0; row < arguments->row_count; row++) result->data.int64s[row] = a[row] * 3 + 1;
  return true;
}
