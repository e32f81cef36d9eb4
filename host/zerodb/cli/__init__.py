"""The `zerodb` command."""
