"""Sessions and their transactions: what a statement runs in.

`session` is the core; `open_transaction` and `autocommit` are what a statement may run in, `running_statement` is what
runs, `committing` how it ends. `transaction_control` has the statements about it all, `transactions` the Python blocks.
"""
