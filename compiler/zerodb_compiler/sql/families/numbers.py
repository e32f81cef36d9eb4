"""Mathematical functions."""

from __future__ import annotations

from zerodb_compiler.sql.signatures import alias, define
from zerodb_compiler.types import DOUBLE

for name in ("sqrt", "ln", "log10", "exp"):
    define(name, (DOUBLE,), DOUBLE)
define("power", (DOUBLE, DOUBLE), DOUBLE)
alias("ceiling", "ceil")
alias("pow", "power")
alias("log", "log10")
alias("dlog10", "log10")
