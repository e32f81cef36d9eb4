"""Which anomalies each isolation level forbids, in a database that is one process."""

from __future__ import annotations

from collections.abc import Iterable

from tests.histories.graph import Anomaly

# Nothing that anybody would call a database does this.
_ALWAYS = frozenset(
    {
        "G0",
        "G1a",
        "G1b",
        "G1c",
        "G0-realtime",
        "G1c-realtime",
        "stale read",
        "unknown value",
        "duplicate element",
        "incompatible order",
        "cyclic versions",
        "lost append",
        "lost insert",
        "own write not seen",
    }
)
_SNAPSHOT = _ALWAYS | {
    "internal",
    "lost update",
    "G-single",
    "G-nonadjacent",
    "G-single-realtime",
    "G-nonadjacent-realtime",
}
_SERIALIZABLE = _SNAPSHOT | {"G2-item", "G2"}

FORBIDDEN: dict[str, frozenset[str]] = {
    "read committed": _ALWAYS,
    "snapshot": _SNAPSHOT,
    "serializable": _SERIALIZABLE,
    "strict serializable": _SERIALIZABLE | {"G2-item-realtime", "G2-realtime"},
}


def forbidden(level: str, anomalies: Iterable[Anomaly]) -> list[Anomaly]:
    """Those that the level must not show."""
    return [anomaly for anomaly in anomalies if anomaly.name in FORBIDDEN[level]]
