/* The exports of the world `aggregate-udf`. A `states` resource is the pointer that zdb_aggregate_start gave. */
#include "functions.h"

#define INTERFACE "zerosys:db/aggregate-functions@0.1.0#"

__attribute__((import_module("[export]zerosys:db/aggregate-functions@0.1.0"), import_name("[resource-new]states")))
int32_t states_new(void *state);

static zdb_signatures signatures;
static struct { uint8_t is_error; union { int32_t handle; zdb_raised raised; }; } started;
static struct { uint8_t is_error; zdb_raised raised; } updated;
static struct { uint8_t is_error; union { zdb_column_values column; zdb_raised raised; }; } finished;

EXPORT(INTERFACE "describe") void *aggregate_describe(void) {
  signatures = zdb_describe_all();
  return &signatures;
}

EXPORT("cabi_post_" INTERFACE "describe") void aggregate_post_describe(void *returned) { zdb_signatures_free(returned); }

EXPORT(INTERFACE "start") void *aggregate_start(char *name, size_t name_len) {
  zdb_function_error error = ZDB_NO_ERROR;
  zdb_string called = {name, name_len};
  void *state = NULL;
  started.is_error = !zdb_aggregate_start(called, &state, &error);
  if (started.is_error) started.raised = zdb_raise(error);
  else started.handle = states_new(state);
  zdb_string_free(&called);
  return &started;
}

EXPORT("cabi_post_" INTERFACE "start") void aggregate_post_start(void *returned) {
  (void)returned;
  if (started.is_error) zdb_raised_free(&started.raised);
}

EXPORT(INTERFACE "[method]states.update")
void *states_update(void *state, uint32_t group_count, uint32_t *groups, size_t groups_len, uint32_t rows,
                    zdb_column_values *columns, size_t count) {
  zdb_function_error error = ZDB_NO_ERROR;
  zdb_batch arguments = {rows, {columns, count}};
  updated.is_error = !zdb_aggregate_update(state, group_count, groups, &arguments, &error);
  if (updated.is_error) updated.raised = zdb_raise(error);
  zdb_batch_free(&arguments);
  if (groups_len) zdb_release(groups);
  return &updated;
}

EXPORT("cabi_post_" INTERFACE "[method]states.update") void states_post_update(void *returned) {
  (void)returned;
  if (updated.is_error) zdb_raised_free(&updated.raised);
}

EXPORT(INTERFACE "[method]states.finish") void *states_finish(void *state) {
  zdb_function_error error = ZDB_NO_ERROR;
  zdb_column_values column = {0};
  finished.is_error = !zdb_aggregate_finish(state, &column, &error);
  if (finished.is_error) finished.raised = zdb_raise(error);
  else finished.column = column;
  return &finished;
}

EXPORT("cabi_post_" INTERFACE "[method]states.finish") void states_post_finish(void *returned) {
  (void)returned;
  if (finished.is_error) zdb_raised_free(&finished.raised);
  else zdb_column_values_free(&finished.column);
}

EXPORT(INTERFACE "[dtor]states") void states_dtor(void *state) { zdb_aggregate_end(state); }
