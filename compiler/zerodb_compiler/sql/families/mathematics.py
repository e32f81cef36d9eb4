"""Mathematical functions of doubles and integers; those of numeric are bound in binder_mathematics.py."""

from __future__ import annotations

from zerodb_compiler.sql.signatures import alias, define
from zerodb_compiler.types import BIGINT, DOUBLE, INTEGER, numeric

for name in (
    *("cbrt", "degrees", "radians", "sin", "cos", "tan", "cot", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
    *("sind", "cosd", "tand", "cotd", "asind", "acosd", "atand"),
):
    define(name, (DOUBLE,), DOUBLE)
define("atan2", (DOUBLE, DOUBLE), DOUBLE)
define("atan2d", (DOUBLE, DOUBLE), DOUBLE)
for name in ("gcd", "lcm"):
    define(name, (INTEGER, INTEGER), INTEGER)
    define(name, (BIGINT, BIGINT), BIGINT)
define("factorial", (BIGINT,), numeric(38, 0))
alias("dsqrt", "sqrt")
alias("dcbrt", "cbrt")
alias("dexp", "exp")
alias("dpow", "power")
alias("dlog1", "ln")
