"""Window functions in generated code.

operators/window  materialises rows as tuples, sorts their addresses, walks the partitions
tuples            what a tuple holds: input columns, keys, arguments, and the results
partition         a partition being walked: its rows, its peer groups
frames            which rows a row's frame has
aggregates        aggregates over frames: running, or by a tree of partial states
functions         ranks, lag and lead, first, last and nth value
"""
