"""INSERT, UPDATE, DELETE, MERGE: from a query's result to storage, with all that must hold for rows.

`applying` is the one way in: partitions, checks, unique keys and conflicts, foreign keys, triggers.
"""
