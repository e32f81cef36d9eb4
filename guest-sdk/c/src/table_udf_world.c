/* The exports of the world `table-udf`. A `rows` resource is a block that holds the state of zdb_table_start. */
#include "functions.h"

#define INTERFACE "zerosys:db/table-functions@0.1.0#"

__attribute__((import_module("[export]zerosys:db/table-functions@0.1.0"), import_name("[resource-new]rows")))
int32_t rows_new(void *state);

static zdb_signatures signatures;
static struct { uint8_t is_error; union { int32_t handle; zdb_raised raised; }; } called;
static struct {
  uint8_t is_error;
  union { struct { bool is_some; zdb_batch batch; } next; zdb_raised raised; };
} fetched;

EXPORT(INTERFACE "describe") void *table_describe(void) {
  signatures = zdb_describe_all();
  return &signatures;
}

EXPORT("cabi_post_" INTERFACE "describe") void table_post_describe(void *returned) { zdb_signatures_free(returned); }

EXPORT(INTERFACE "call") void *table_call(char *name, size_t name_len, zdb_value *values, size_t count) {
  zdb_function_error error = ZDB_NO_ERROR;
  zdb_string function = {name, name_len};
  zdb_row arguments = {values, count};
  void *state = NULL;
  called.is_error = !zdb_table_start(function, &arguments, &state, &error);
  if (called.is_error) called.raised = zdb_raise(error);
  else called.handle = rows_new(state);
  zdb_string_free(&function);
  zdb_row_free(&arguments);
  return &called;
}

EXPORT("cabi_post_" INTERFACE "call") void table_post_call(void *returned) {
  (void)returned;
  if (called.is_error) zdb_raised_free(&called.raised);
}

EXPORT(INTERFACE "[method]rows.next-batch") void *rows_next(void *state, uint32_t max_rows) {
  zdb_function_error error = ZDB_NO_ERROR;
  zdb_batch batch = {0};
  bool more = false;
  fetched.is_error = !zdb_table_next(state, max_rows ? max_rows : 1, &batch, &more, &error);
  if (fetched.is_error) {
    fetched.raised = zdb_raise(error);
  } else {
    fetched.next.is_some = more;
    fetched.next.batch = batch;
  }
  return &fetched;
}

EXPORT("cabi_post_" INTERFACE "[method]rows.next-batch") void rows_post_next(void *returned) {
  (void)returned;
  if (fetched.is_error) zdb_raised_free(&fetched.raised);
  else if (fetched.next.is_some) zdb_batch_free(&fetched.next.batch);
}

EXPORT(INTERFACE "[dtor]rows") void rows_dtor(void *state) { zdb_table_end(state); }
