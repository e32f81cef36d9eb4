/* A trigger function that does what its trigger's name says, with the columns (id bigint, v bigint, s text). */
#include "zerodb_functions.h"
#include "zerodb_guest.h"

static bool named(const zdb_event *event, const char *name) { return zdb_string_equal(event->trigger, name); }

static bool fail(zdb_function_error *error, const char *message, const char *sqlstate, int64_t row) {
  *error = (zdb_function_error){message, sqlstate, row};
  return false;
}

/* The new rows with v doubled, `more` rows too many. */
static void doubled(const zdb_event *event, uint32_t more, zdb_decision *decision) {
  const zdb_batch *rows = event->new_;
  uint32_t count = rows->row_count + more;
  zdb_column_values *made = zdb_allocate(3 * sizeof *made);
  made[0] = zdb_column_new(ZDB_INT64, count, false);
  made[1] = zdb_column_new(ZDB_INT64, count, true);
  made[2] = zdb_column_new(ZDB_TEXT, count, true);
  for (uint32_t row = 0; row < count; row++) {
    uint32_t from = row < rows->row_count ? row : 0;
    made[0].data.int64s[row] = rows->columns.ptr[0].data.int64s[from];
    made[2].data.texts[row] = (zdb_string){(char *)1, 0};
    if (zdb_is_valid(&rows->columns.ptr[1], from)) {
      made[1].data.int64s[row] = 2 * rows->columns.ptr[1].data.int64s[from];
      zdb_set_valid(&made[1], row);
    }
    if (zdb_is_valid(&rows->columns.ptr[2], from)) {
      made[2].data.texts[row] = zdb_string_copy(rows->columns.ptr[2].data.texts[from]);
      zdb_set_valid(&made[2], row);
    }
  }
  decision->kind = ZDB_REPLACE;
  decision->replacement.row_count = count;
  decision->replacement.columns.ptr = made;
  decision->replacement.columns.len = 3;
}

/* Only rows with v that is not negative. */
static void positive(const zdb_event *event, zdb_decision *decision) {
  const zdb_batch *rows = event->new_ ? event->new_ : event->old;
  size_t bytes = (rows->row_count + 7) / 8;
  decision->kind = ZDB_FILTER;
  decision->filter = (zdb_bytes){zdb_allocate(bytes), bytes};
  for (size_t i = 0; i < bytes; i++) decision->filter.ptr[i] = 0;
  for (uint32_t row = 0; row < rows->row_count; row++)
    if (!zdb_is_valid(&rows->columns.ptr[1], row) || rows->columns.ptr[1].data.int64s[row] >= 0)
      decision->filter.ptr[row / 8] |= (uint8_t)(1 << row % 8);
}

static zdb_connection kept;
static bool is_kept;

static bool run(const char *sql, zdb_function_error *error) {
  zdb_connection db;
  zdb_error failed;
  if (!zdb_open("", &db, &failed)) return fail(error, "cannot open", NULL, -1);
  if (!zdb_execute(db, sql, NULL, 0, NULL, &failed)) {
    static char message[200], state[6];
    size_t length = failed.message.len < 199 ? failed.message.len : 199;
    __builtin_memcpy(message, failed.message.ptr, length);
    message[length] = 0;
    __builtin_memcpy(state, failed.sqlstate.ptr, 5);
    return fail(error, message, state, -1);
  }
  zdb_close(db);
  return true;
}

bool zdb_call_trigger(const zdb_event *event, zdb_decision *decision, zdb_function_error *error) {
  if (named(event, "doubles")) doubled(event, 0, decision);
  if (named(event, "too_many")) doubled(event, 1, decision);
  if (named(event, "filters")) positive(event, decision);
  if (named(event, "short_filter")) {
    decision->kind = ZDB_FILTER;
    decision->filter = (zdb_bytes){zdb_allocate(1), 1};
  }
  if (named(event, "refuses")) return fail(error, "not today", "23514", 1);
  if (named(event, "traps")) __builtin_trap();
  if (named(event, "loops")) for (volatile int i = 0;; i++) {}
  if (named(event, "counts")) return run("insert into log select count(*) from t", error);
  if (named(event, "commits")) return run("commit", error);
  if (named(event, "fails")) return run("select 1 / 0", error);
  if (named(event, "keeps_handle")) {
    zdb_error failed;
    if (is_kept) return zdb_execute(kept, "insert into log values (-1)", NULL, 0, NULL, &failed) || fail(error, "?", NULL, -1);
    is_kept = zdb_open("", &kept, &failed);
  }
  return true;
}
