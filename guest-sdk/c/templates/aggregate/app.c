/* __NAME__: functions over groups of rows.
 *
 * create function span(value bigint) returns bigint language wasm as '__NAME__.wasm';
 * select span(price) from item;
 */
#include "zerodb_functions.h"

static const zdb_typed span_takes[] = {{"value", "bigint"}, {0}};
static const zdb_typed span_gives[] = {{"result", "bigint"}, {0}};
const zdb_function zdb_functions[] = {{"span", span_takes, span_gives, ZDB_IMMUTABLE, true}, {0}};

/* The distance between the least and the greatest value, in each group. */
typedef struct { bool any; int64_t least, greatest; } span;
typedef struct { span *groups; uint32_t count, room; } spans;

bool zdb_aggregate_start(zdb_string name, void **state, zdb_function_error *error) {
  if (!zdb_string_equal(name, "span")) {
    error->message = "there is no such function";
    return false;
  }
  spans *all = zdb_allocate(sizeof *all);
  *all = (spans){0};
  *state = all;
  return true;
}

static void grow(spans *all, uint32_t count) {
  if (count > all->room) {
    span *moved = zdb_allocate(2 * count * sizeof(span));
    if (all->count) __builtin_memcpy(moved, all->groups, all->count * sizeof(span));
    zdb_release(all->groups);
    all->groups = moved;
    all->room = 2 * count;
  }
  for (; all->count < count; all->count++) all->groups[all->count] = (span){0};
}

bool zdb_aggregate_update(void *state, uint32_t group_count, const uint32_t *groups, const zdb_batch *arguments,
                          zdb_function_error *error) {
  (void)error;
  spans *all = state;
  const zdb_column_values *column = &arguments->columns.ptr[0];
  grow(all, group_count);
  for (uint32_t row = 0; row < arguments->row_count; row++) {
    if (!zdb_is_valid(column, row)) continue;
    int64_t value = column->data.int64s[row];
    span *group = &all->groups[groups[row]];
    if (!group->any || value < group->least) group->least = value;
    if (!group->any || value > group->greatest) group->greatest = value;
    group->any = true;
  }
  return true;
}

bool zdb_aggregate_finish(void *state, zdb_column_values *result, zdb_function_error *error) {
  (void)error;
  spans *all = state;
  *result = zdb_column_new(ZDB_INT64, all->count, true);
  for (uint32_t i = 0; i < all->count; i++) {
    if (!all->groups[i].any) continue;
    result->data.int64s[i] = all->groups[i].greatest - all->groups[i].least;
    zdb_set_valid(result, i);
  }
  return true;
}

void zdb_aggregate_end(void *state) {
  zdb_release(((spans *)state)->groups);
  zdb_release(state);
}
