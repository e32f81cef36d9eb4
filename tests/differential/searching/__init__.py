"""Random queries in PostgreSQL's dialect, compared with an oracle or with themselves, and shrunk when they differ.

`tree` is a query as a tree that shrinks, `schema` tables and data, `expressions` and `queries` the generator,
`metamorphic` the checks that need no oracle (TLP, NoREC), `judges` the engines and what makes two answers equal,
`shrinking` the way from a failure to a small case. `python -m tests.differential.search` runs them.
"""
