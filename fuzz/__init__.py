"""Fuzzers: `python -m fuzz.sql_text` and `python -m fuzz.decoders`, coverage-guided by atheris (pip install ".[fuzz]").

    python -m fuzz.sql_text -max_total_time=1800
    python -m fuzz.decoders -max_total_time=1800 -rss_limit_mb=4096

Arguments are libFuzzer's. `sql_cases` and `decoder_cases` say what must hold, without atheris, so that the tests can
replay fixed mutations of the seeds (tests/fuzz) and a crash file can be run again: `python -m fuzz.sql_text crash-...`.
"""
