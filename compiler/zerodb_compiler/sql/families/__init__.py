"""The families of scalar functions: each module declares signatures (signatures.define) when it is imported."""

from __future__ import annotations

from importlib import import_module

FAMILIES = ("numbers", "text", "patterns", "strings", "mathematics", "json")


def load() -> None:
    """Declares all functions."""
    for family in FAMILIES:
        import_module(f"{__name__}.{family}")
