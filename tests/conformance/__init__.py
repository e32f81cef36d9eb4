"""Other people's suites, run against zerodb where they are at hand."""
