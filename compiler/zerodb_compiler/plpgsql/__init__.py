"""PL/pgSQL: the text of a function's body as a tree. What runs it is the host's (functions/plpgsql_*.py)."""
