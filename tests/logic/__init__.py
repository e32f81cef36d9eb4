"""Results, as sqllogictest files; their expected values come from PostgreSQL (against_postgres.py)."""
