"""__NAME__: validates rows before they are stored.

create function __FUNCTION__() returns trigger language wasm as '__NAME__.wasm';
create trigger check_amount before insert or update on payment for each row execute function __FUNCTION__();
"""

from zerodb_guest import FunctionError, trigger


@trigger
def check(event):
    for change in event:
        if change.new["amount"] is not None and change.new["amount"] < 0:
            raise FunctionError(f"{event.table}: amount must not be negative", "23514", change.row)
