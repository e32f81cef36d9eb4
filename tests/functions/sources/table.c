/* Table functions: counts(n, s) gives n rows, fails for n = 13 at row 2, and gives malformed batches for n < 0. */
#include "zerodb_functions.h"

static const zdb_typed takes[] = {{"n", "bigint"}, {"s", "text"}, {0}};
static const zdb_typed gives[] = {{"i", "bigint"}, {"name", "text"}, {0}};
static const zdb_typed same_takes[] = {{"a", "date"}, {"b", "numeric"}, {"c", "boolean"}, {"d", "jsonb"}, {0}};
static const zdb_typed same_gives[] = {{"kind", "bigint"}, {0}};
const zdb_function zdb_functions[] = {{"counts", takes, gives, ZDB_STABLE, false},
                                      {"kinds", same_takes, same_gives, ZDB_STABLE, false},
                                      {0}};

typedef struct { int64_t at, end; zdb_string s; bool is_null; int64_t kinds[4]; } state;

bool zdb_table_start(zdb_string name, const zdb_row *arguments, void **made, zdb_function_error *error) {
  state *new = zdb_allocate(sizeof *new);
  *new = (state){0};
  *made = new;
  if (zdb_string_equal(name, "kinds")) {
    new->end = 4;
    new->is_null = true;
    for (int i = 0; i < 4; i++) new->kinds[i] = arguments->ptr[i].kind;
    return true;
  }
  new->end = arguments->ptr[0].kind == ZDB_NULL ? 0 : arguments->ptr[0].int64;
  if (arguments->ptr[1].kind == ZDB_TEXT) new->s = zdb_string_copy(arguments->ptr[1].text);
  if (new->end == 12) {
    *error = (zdb_function_error){"no dozen", "22023", -1};
    return false;
  }
  return true;
}

bool zdb_table_next(void *given, uint32_t max_rows, zdb_batch *batch, bool *more, zdb_function_error *error) {
  state *s = given;
  if (s->end == 13 && s->at >= 2) {
    *error = (zdb_function_error){"thirteen", NULL, -1};
    return false;
  }
  uint32_t most = s->end == 13 ? 2 : max_rows;
  uint32_t rows = s->end < 0 ? 3 : (uint32_t)(s->end - s->at < most ? s->end - s->at : most);
  *more = rows > 0;
  if (!*more) return true;
  size_t columns = s->is_null ? 1 : 2;
  batch->row_count = s->end < 0 ? rows + 1 : rows;
  batch->columns.ptr = zdb_allocate(columns * sizeof(zdb_column_values));
  batch->columns.len = columns;
  batch->columns.ptr[0] = zdb_column_new(ZDB_INT64, rows, false);
  for (uint32_t row = 0; row < rows; row++)
    batch->columns.ptr[0].data.int64s[row] = s->is_null ? s->kinds[row] : s->at + row;
  if (columns == 2) {
    batch->columns.ptr[1] = zdb_column_new(ZDB_TEXT, rows, true);
    for (uint32_t row = 0; row < rows; row++) {
      batch->columns.ptr[1].data.texts[row] = zdb_string_copy(s->s.len ? s->s : (zdb_string){(char *)1, 0});
      if ((s->at + row) % 2 == 0) zdb_set_valid(&batch->columns.ptr[1], row);
    }
  }
  s->at += rows;
  return true;
}

void zdb_table_end(void *given) { zdb_release(given); }
