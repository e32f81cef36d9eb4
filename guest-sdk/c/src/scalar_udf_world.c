/* The exports of the world `scalar-udf`. */
#include "functions.h"

#define INTERFACE "zerosys:db/scalar-functions@0.1.0#"

static zdb_signatures signatures;
static struct { uint8_t is_error; union { zdb_column_values column; zdb_raised raised; }; } result;

EXPORT(INTERFACE "describe") void *scalar_describe(void) {
  signatures = zdb_describe_all();
  return &signatures;
}

EXPORT("cabi_post_" INTERFACE "describe") void scalar_post_describe(void *returned) { zdb_signatures_free(returned); }

EXPORT(INTERFACE "call")
void *scalar_call(char *name, size_t name_len, uint32_t rows, zdb_column_values *columns, size_t count) {
  zdb_function_error error = ZDB_NO_ERROR;
  zdb_column_values column = {0};
  zdb_string called = {name, name_len};
  zdb_batch arguments = {rows, {columns, count}};
  result.is_error = !zdb_call_scalar(called, &arguments, &column, &error);
  if (result.is_error) result.raised = zdb_raise(error);
  else result.column = column;
  zdb_string_free(&called);
  zdb_batch_free(&arguments);
  return &result;
}

EXPORT("cabi_post_" INTERFACE "call") void scalar_post_call(void *returned) {
  (void)returned;
  if (result.is_error) zdb_raised_free(&result.raised);
  else zdb_column_values_free(&result.column);
}
