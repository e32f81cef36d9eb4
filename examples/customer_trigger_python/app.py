"""Validates customers before they are stored: an address of e-mail is one, and is kept in lower case.

    zerodb build examples/customer_trigger_python
    create function check_customer() returns trigger language wasm as 'check_customer.wasm';
    create trigger valid before insert or update on customer for each row execute function check_customer();
"""

import re

from zerodb_guest import FunctionError, trigger

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@trigger
def check(event):
    for change in event:
        email = change.new["email"]
        if email is None:
            continue
        if not ADDRESS.fullmatch(email.strip()):
            raise FunctionError(f"{email!r} is no address of e-mail", "23514", change.row)
        change.new["email"] = email.strip().lower()
