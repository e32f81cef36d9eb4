"""Random concurrent sessions, run on zerodb and on PostgreSQL: see `tests.isolation.search`."""
