/* The middle value of each group (of two, the lesser): exact, so all values of a group are kept until its end.
 *
 *     zerodb build examples/median_c
 *     create function middle(value double precision) returns double precision language wasm as 'median.wasm';
 *     select customer, middle(amount) from orders group by customer;
 */
#include "zerodb_functions.h"

static const zdb_typed takes[] = {{"value", "double precision"}, {0}};
static const zdb_typed gives[] = {{"result", "double precision"}, {0}};
const zdb_function zdb_functions[] = {{"middle", takes, gives, ZDB_IMMUTABLE, true}, {0}};

typedef struct { double *values; uint32_t count, room; } group;
typedef struct { group *groups; uint32_t count, room; } state;

/* A list with room for more, twice as much as it had. */
static void *larger(void *old, uint32_t used, uint32_t room, uint32_t width) {
  void *moved = zdb_allocate((size_t)room * width);
  if (used) __builtin_memcpy(moved, old, (size_t)used * width);
  zdb_release(old);
  return moved;
}

/* The value of that rank, by Hoare's selection: what is less goes to its left, what is greater to its right. */
static double select_rank(double *values, uint32_t count, uint32_t rank) {
  int64_t left = 0, right = (int64_t)count - 1;
  while (left < right) {
    double pivot = values[left + (right - left) / 2];
    int64_t i = left, j = right;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (pivot < values[j]) j--;
      if (i <= j) {
        double swapped = values[i];
        values[i++] = values[j];
        values[j--] = swapped;
      }
    }
    if (rank <= j) right = j;
    else if (rank >= i) left = i;
    else break;
  }
  return values[rank];
}

bool zdb_aggregate_start(zdb_string name, void **made, zdb_function_error *error) {
  if (!zdb_string_equal(name, "middle")) {
    error->message = "there is no such function";
    return false;
  }
  *made = zdb_allocate(sizeof(state));
  *(state *)*made = (state){0};
  return true;
}

bool zdb_aggregate_update(void *made, uint32_t group_count, const uint32_t *groups, const zdb_batch *arguments,
                          zdb_function_error *error) {
  state *all = made;
  if (group_count > all->room) {
    all->room = 2 * group_count;
    all->groups = larger(all->groups, all->count, all->room, sizeof(group));
  }
  for (; all->count < group_count; all->count++) all->groups[all->count] = (group){0};
  const zdb_column_values *column = &arguments->columns.ptr[0];
  for (uint32_t row = 0; row < arguments->row_count; row++) {
    if (!zdb_is_valid(column, row)) continue;
    double value = column->data.float64s[row];
    if (value != value) {
      *error = (zdb_function_error){"NaN has no place among other values", "22023", row};
      return false;
    }
    group *its = &all->groups[groups[row]];
    if (its->count == its->room) {
      its->room = its->room ? 2 * its->room : 8;
      its->values = larger(its->values, its->count, its->room, sizeof(double));
    }
    its->values[its->count++] = value;
  }
  return true;
}

bool zdb_aggregate_finish(void *made, zdb_column_values *result, zdb_function_error *error) {
  (void)error;
  state *all = made;
  *result = zdb_column_new(ZDB_FLOAT64, all->count, true);
  for (uint32_t i = 0; i < all->count; i++) {
    group *its = &all->groups[i];
    if (!its->count) continue; /* NULL */
    result->data.float64s[i] = select_rank(its->values, its->count, (its->count - 1) / 2);
    zdb_set_valid(result, i);
  }
  return true;
}

void zdb_aggregate_end(void *made) {
  state *all = made;
  for (uint32_t i = 0; i < all->count; i++) zdb_release(all->groups[i].values);
  zdb_release(all->groups);
  zdb_release(all);
}
