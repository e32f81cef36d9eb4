"""Letters and digits beyond ASCII: runs of code points for kernels, first << 32 | last."""

from __future__ import annotations

from zerodb_compiler.kernels.intrinsics import Table
from zerodb_compiler.regex.unicode_classes import named_class

_RANGES = tuple(pair for pair in named_class("alnum") or () if pair[1] >= 0x80)
LETTERS = Table("i64", tuple(first << 32 | last for first, last in _RANGES), "letter_run")
LETTERS_COUNT = len(_RANGES)
