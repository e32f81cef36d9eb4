"""Definition statements: from their tokens to the trees of `ddl` (`*_parser`), and what a table's declaration means.

`parser` reads a statement's first words and asks the parser that knows the rest.
"""
