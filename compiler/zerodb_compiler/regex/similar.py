"""SIMILAR TO: SQL's patterns rewritten as regular expressions, as PostgreSQL's similar_to_escape does.

`%` and `_` become `.*` and `.`, the escape character makes the next character plain, brackets are kept, and what has a
meaning in regular expressions only is escaped. An escape followed by a double quote divides the pattern in three, of
which `substring` gives the middle one.
"""

from __future__ import annotations

from zerodb_compiler.errors import error_for


def from_similar(pattern: str, escape: str | None) -> str:
    """The regular expression; `escape` None: backslash, empty: no escape. 22019 for a wrong escape, 2200C for a wrong
    use of it."""
    if escape is None:
        escape = "\\"
    elif len(escape) > 1:
        raise error_for("22019", "invalid escape string", hint="Escape string must be empty or one character.")
    out = ["^(?:"]
    bracket_depth = 0
    after_escape = False
    quotes = 0
    at_bracket_start = 0
    for character in pattern:
        if after_escape:
            if character == '"' and not bracket_depth:
                quotes += 1
                if quotes == 1:
                    out.append("){1,1}?(")
                elif quotes == 2:
                    out.append("){1,1}(?:")
                else:
                    raise error_for(
                        "2200C", "SQL regular expression may not contain more than two escape-double-quote separators"
                    )
            else:
                out.append("\\" + character)
            after_escape = False
        elif character == escape and escape:
            after_escape = True
        elif bracket_depth:
            if character == "\\":
                out.append("\\")
            out.append(character)
            if character == "]" and at_bracket_start > 2:
                bracket_depth = 0
            elif character == "^" and at_bracket_start == 1:
                at_bracket_start = 2
                continue
            at_bracket_start = 3
        elif character == "[":
            out.append("[")
            bracket_depth, at_bracket_start = 1, 1
        elif character == "%":
            out.append(".*")
        elif character == "_":
            out.append(".")
        elif character == "(":
            out.append("(?:")
        elif character in "\\.^$":
            out.append("\\" + character)
        else:
            out.append(character)
    out.append(")$")
    return "".join(out)
