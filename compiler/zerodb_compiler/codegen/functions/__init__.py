"""The scalar functions, one family a module; importing this package fills expressions.FUNCTIONS."""

from zerodb_compiler.codegen.functions import numbers, patterns, text

__all__ = ["numbers", "patterns", "text"]
