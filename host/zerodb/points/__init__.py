"""Statements that find their rows by a key, or a part of one: a packed call of generated code, past the general path.

`point` and `point_queries` read, `point_changes` and `point_set_changes` write; the transaction's own rows are in
`point_rows`. What such statements read is kept up to date by `engine/point_directory`.
"""
