/* __NAME__: validates rows before they are stored.
 *
 * create function __FUNCTION__() returns trigger language wasm as '__NAME__.wasm';
 * create trigger check_amount before insert or update on payment for each row execute function __FUNCTION__();
 */
#include "zerodb_functions.h"

bool zdb_call_trigger(const zdb_event *event, zdb_decision *decision, zdb_function_error *error) {
  int place = zdb_event_column(event, "amount");
  if (place < 0 || !event->new_) return true; /* the decision is to keep the rows as they are */
  const zdb_column_values *amount = &event->new_->columns.ptr[place];
  for (uint32_t row = 0; row < event->new_->row_count; row++) {
    if (zdb_is_valid(amount, row) && amount->data.int64s[row] < 0) {
      *error = (zdb_function_error){"amount must not be negative", "23514", row};
      return false;
    }
  }
  (void)decision;
  return true;
}
