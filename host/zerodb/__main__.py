"""`python -m zerodb` is the `zerodb` command."""

from zerodb.cli.main import main

main()
