"""Mathematical functions."""

from __future__ import annotations

from zerodb_compiler.sql.signatures import alias

alias("ceiling", "ceil")
alias("pow", "power")
alias("dlog10", "log10")
