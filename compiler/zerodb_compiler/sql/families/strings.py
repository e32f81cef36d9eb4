"""More functions of strings and bytes, and those that take any number of arguments of any types (variadic "any")."""

from __future__ import annotations

from zerodb_compiler.sql.signatures import define
from zerodb_compiler.types import BIGINT, BYTEA, INTEGER, TEXT

define("ascii", (TEXT,), INTEGER)
define("chr", (INTEGER,), TEXT)
define("bit_length", (TEXT,), INTEGER)
define("bit_length", (BYTEA,), INTEGER)
define("length", (BYTEA,), INTEGER, "octet_length")
for name in ("reverse", "initcap", "unistr", "quote_ident", "md5"):
    define(name, (TEXT,), TEXT)
define("md5", (BYTEA,), TEXT)
for name in ("sha224", "sha256", "sha384", "sha512"):
    define(name, (BYTEA,), BYTEA)
define("translate", (TEXT, TEXT, TEXT), TEXT)
for name in ("lpad", "rpad"):
    define(name, (TEXT, INTEGER, TEXT), TEXT, optional=1)
define("overlay", (TEXT, TEXT, INTEGER, INTEGER), TEXT, optional=1)
define("split_part", (TEXT, TEXT, INTEGER), TEXT)
define("to_hex", (INTEGER,), TEXT)
define("to_hex", (BIGINT,), TEXT)
define("encode", (BYTEA, TEXT), TEXT)
define("decode", (TEXT, TEXT), BYTEA)
define("substring", (BYTEA, INTEGER, INTEGER), BYTEA, "bytea_substring", optional=1)
define("strpos", (BYTEA, BYTEA), INTEGER, "bytea_position")
define("get_byte", (BYTEA, INTEGER), INTEGER)
define("get_bit", (BYTEA, BIGINT), INTEGER)
define("set_byte", (BYTEA, INTEGER, INTEGER), BYTEA)
define("set_bit", (BYTEA, BIGINT, INTEGER), BYTEA)
for name in ("trim", "ltrim", "rtrim"):
    define(name, (BYTEA, BYTEA), BYTEA, f"bytea_{name}")
define("overlay", (BYTEA, BYTEA, INTEGER, INTEGER), BYTEA, "bytea_overlay", optional=1)
define("bit_count", (BYTEA,), BIGINT)
