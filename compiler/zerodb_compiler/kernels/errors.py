"""What a fallible kernel says: its last result is one of these. The caller maps them to SQLSTATEs."""

from __future__ import annotations

OK = 0
OVERFLOW = 1  # 22003: out of the result type's range
INVALID_TEXT = 2  # 22P02 (22007 for dates and timestamps): the text is no value of the type
DIVISION_BY_ZERO = 3  # 22012
OUT_OF_MEMORY = 4  # 53200
DOMAIN = 5  # 2201E / 2201F: logarithm or power of a wrong argument
INVALID_COUNT = 6  # 22011: negative substring length
INVALID_ESCAPE = 7  # 22025: LIKE pattern ends with the escape character
LOG_ZERO = 8  # 2201E: logarithm of zero (PostgreSQL has its own message for it)
UNDERFLOW = 9  # 22003: a result that is not 0 but too small
TOO_COMPLEX = 30  # 2201B: a regular expression needs too many steps back
WRONG_TEXT = 31  # the text has a form that the function does not take
NOT_AN_OPTION = 32  # 22023: an unknown option
