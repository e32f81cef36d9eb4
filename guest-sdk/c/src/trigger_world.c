/* The export of the world `trigger`. An event has just as many flat parameters as the canonical ABI passes: 16. */
#include "functions.h"

#define INTERFACE "zerosys:db/trigger-functions@0.1.0#"

typedef struct { uint8_t kind; union { zdb_batch replacement; zdb_bytes filter; }; } flat_decision;

static struct { uint8_t is_error; union { flat_decision decision; zdb_raised raised; }; } result;

int zdb_event_column(const zdb_event *event, const char *name) {
  for (size_t i = 0; i < event->columns.len; i++)
    if (zdb_string_equal(event->columns.ptr[i].name, name)) return (int)i;
  return -1;
}

EXPORT(INTERFACE "call")
void *trigger_call(char *trigger, size_t trigger_len, char *table, size_t table_len, int32_t timing, int32_t operation,
                   zdb_column *columns, size_t columns_len, int32_t has_old, uint32_t old_rows,
                   zdb_column_values *old_columns, size_t old_len, int32_t has_new, uint32_t new_rows,
                   zdb_column_values *new_columns, size_t new_len) {
  zdb_batch old = {old_rows, {old_columns, old_len}}, new_ = {new_rows, {new_columns, new_len}};
  zdb_event event = {{trigger, trigger_len}, {table, table_len}, timing, operation, {columns, columns_len},
                     has_old ? &old : NULL, has_new ? &new_ : NULL};
  zdb_decision decision = {0};
  zdb_function_error error = ZDB_NO_ERROR;
  result.is_error = !zdb_call_trigger(&event, &decision, &error);
  if (result.is_error) {
    result.raised = zdb_raise(error);
  } else {
    result.decision.kind = (uint8_t)decision.kind;
    if (decision.kind == ZDB_REPLACE) result.decision.replacement = decision.replacement;
    if (decision.kind == ZDB_FILTER) result.decision.filter = decision.filter;
  }
  zdb_string_free(&event.trigger);
  zdb_string_free(&event.table);
  zdb_columns_free(&event.columns);
  if (has_old) zdb_batch_free(&old);
  if (has_new) zdb_batch_free(&new_);
  return &result;
}

EXPORT("cabi_post_" INTERFACE "call") void trigger_post_call(void *returned) {
  (void)returned;
  if (result.is_error) zdb_raised_free(&result.raised);
  else if (result.decision.kind == ZDB_REPLACE) zdb_batch_free(&result.decision.replacement);
  else if (result.decision.kind == ZDB_FILTER && result.decision.filter.len) zdb_release(result.decision.filter.ptr);
}
