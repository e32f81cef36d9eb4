"""Functions of strings."""

from __future__ import annotations

from zerodb_compiler.sql.signatures import alias, define
from zerodb_compiler.types import BOOLEAN, INTEGER, TEXT

define("lower", (TEXT,), TEXT)
define("upper", (TEXT,), TEXT)
for name in ("trim", "ltrim", "rtrim"):
    define(name, (TEXT, TEXT), TEXT, optional=1)
define("length", (TEXT,), INTEGER)
define("substring", (TEXT, INTEGER, INTEGER), TEXT, optional=1)
for name in ("left", "right", "repeat"):
    define(name, (TEXT, INTEGER), TEXT)
define("strpos", (TEXT, TEXT), INTEGER)
define("replace", (TEXT, TEXT, TEXT), TEXT)
define("starts_with", (TEXT, TEXT), BOOLEAN)
define("contains", (TEXT, TEXT), BOOLEAN)
alias("btrim", "trim")
alias("char_length", "length")
alias("character_length", "length")
alias("substr", "substring")
