"""The scalar functions, one family a module; importing this package fills expressions.FUNCTIONS."""

from zerodb_compiler.codegen.functions import (
    arrays,
    binary,
    dates,
    formats,
    mathematics,
    moments,
    numbers,
    patterns,
    ranges,
    records,
    regex,
    regex_arrays,
    sort_keys,
    text,
    text_casts,
    text_functions,
)

__all__ = [
    "arrays",
    "binary",
    "dates",
    "formats",
    "mathematics",
    "moments",
    "numbers",
    "patterns",
    "ranges",
    "records",
    "regex",
    "regex_arrays",
    "sort_keys",
    "text",
    "text_casts",
    "text_functions",
]
