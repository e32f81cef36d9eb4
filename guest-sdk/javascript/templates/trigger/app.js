// __NAME__: validates rows before they are stored.
//
// create function __FUNCTION__() returns trigger language wasm as '__NAME__.wasm';
// create trigger check_amount before insert or update on payment for each row execute function __FUNCTION__();
import { FunctionError, trigger } from "zerodb-guest/triggers";

trigger((event) => {
  for (const change of event.changes) {
    if (change.new.amount !== null && change.new.amount < 0) {
      throw new FunctionError(`${event.table}: amount must not be negative`, "23514", change.row);
    }
  }
});
