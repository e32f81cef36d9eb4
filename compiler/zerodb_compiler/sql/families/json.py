"""Functions of json and jsonb; those over values of any type are bound in binder_json.py, sets in set_json.py."""

from __future__ import annotations

from zerodb_compiler.sql.signatures import define
from zerodb_compiler.types import BOOLEAN, INTEGER, JSON, JSONB, TEXT, array

TEXTS = array(TEXT)

for prefix, type_ in (("json", JSON), ("jsonb", JSONB)):
    define(f"{prefix}_typeof", (type_,), TEXT, "json_typeof")
    define(f"{prefix}_array_length", (type_,), INTEGER, "json_array_length")
    define(f"{prefix}_strip_nulls", (type_,), type_, "json_strip_nulls")
    define(f"{prefix}_extract_path", (type_, TEXT), type_, "json_extract_path", variadic=True, nullable=True)
    define(f"{prefix}_extract_path_text", (type_, TEXT), TEXT, "json_extract_path_text", variadic=True, nullable=True)
define("json_object", (TEXTS, TEXTS), JSON, optional=1)
define("jsonb_object", (TEXTS, TEXTS), JSONB, "jsonb_object", optional=1)
define("jsonb_pretty", (JSONB,), TEXT)
define("jsonb_set", (JSONB, TEXTS, JSONB, BOOLEAN), JSONB, optional=1)
define("jsonb_insert", (JSONB, TEXTS, JSONB, BOOLEAN), JSONB, optional=1)
_PATH = (JSONB, TEXT, JSONB, BOOLEAN)  # value, path, variables, silent
for name in ("jsonb_path_exists", "jsonb_path_match"):
    define(name, _PATH, BOOLEAN, optional=2, nullable=True)
define("jsonb_path_exists_opr", (JSONB, TEXT), BOOLEAN, nullable=True)
define("jsonb_path_match_opr", (JSONB, TEXT), BOOLEAN, nullable=True)
define("jsonb_path_query_first", _PATH, JSONB, optional=2, nullable=True)
define("jsonb_path_query_array", _PATH, JSONB, optional=2)
define("jsonb_concat", (JSONB, JSONB), JSONB)
define("jsonb_contains", (JSONB, JSONB), BOOLEAN)
define("jsonb_exists", (JSONB, TEXT), BOOLEAN)
define("jsonb_exists_any", (JSONB, TEXTS), BOOLEAN)
define("jsonb_exists_all", (JSONB, TEXTS), BOOLEAN)
define("jsonb_delete", (JSONB, INTEGER), JSONB)
define("jsonb_delete", (JSONB, TEXTS), JSONB)
define("jsonb_delete_path", (JSONB, TEXTS), JSONB)
