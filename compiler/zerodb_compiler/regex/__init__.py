"""Regular expressions: PostgreSQL's "advanced" ones, compiled to tables that a kernel runs.

    pattern ──syntax──> tree ──automaton──> deterministic automata ──program──> bytes ──kernels/regex──> matches

`compile_regex(pattern, flags)` gives the bytes. See automaton.py for how matching works and why nothing blows up.
"""
