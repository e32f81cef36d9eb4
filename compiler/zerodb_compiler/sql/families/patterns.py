"""Pattern matching with regular expressions."""

from __future__ import annotations

from zerodb_compiler.sql.signatures import define
from zerodb_compiler.types import BOOLEAN, INTEGER, TEXT, array

define("regexp_like", (TEXT, TEXT, TEXT), BOOLEAN, optional=1)
define("regexp_count", (TEXT, TEXT, INTEGER, TEXT), INTEGER, optional=2)
define("regexp_instr", (TEXT, TEXT, INTEGER, INTEGER, INTEGER, TEXT, INTEGER), INTEGER, optional=5)
define("regexp_substr", (TEXT, TEXT, INTEGER, INTEGER, TEXT, INTEGER), TEXT, optional=4, nullable=True)
define("regexp_replace", (TEXT, TEXT, TEXT, TEXT), TEXT, optional=1)
define("regexp_replace", (TEXT, TEXT, TEXT, INTEGER, INTEGER, TEXT), TEXT, "regexp_replace_from", optional=2)
define("substring", (TEXT, TEXT), TEXT, "substring_regex", nullable=True)
define("substring", (TEXT, TEXT, TEXT), TEXT, "substring_similar", nullable=True)
define("regexp_match", (TEXT, TEXT, TEXT), array(TEXT), optional=1, nullable=True)
define("regexp_split_to_array", (TEXT, TEXT, TEXT), array(TEXT), optional=1)
