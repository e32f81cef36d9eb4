"""pg_locks: who holds and who waits for what. Rows and keys of unique constraints are not listed one by one: each line
of locktype tuple or key stands for all those of one table that a transaction has in one mode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zerodb.system import Row, system_table
from zerodb.system.model import DATABASE, FIRST_OID, Model
from zerodb_storage.locks import Lock

_ROW_MODES = {  # PostgreSQL's locks of tuples (README.tuplock)
    "KEY_SHARE": "AccessShareLock",
    "SHARE": "RowShareLock",
    "NO_KEY_UPDATE": "ExclusiveLock",
    "UPDATE": "AccessExclusiveLock",
}
_KINDS = {"table": "relation", "rows": "tuple", "keys": "key", "advisory": "advisory"}


@system_table("pg_locks")
def locks(model: Model) -> Iterable[Row]:
    session = model.view.session
    if session is None:
        return
    for lock in session._database.storage.locks.held():
        yield {
            "locktype": _KINDS[lock.kind],
            "database": DATABASE,
            "relation": None if lock.kind == "advisory" else FIRST_OID + lock.what[0],
            "page": None,
            "tuple": None,
            "transactionid": None,
            **_advisory(lock),
            "virtualtransaction": f"{lock.owner.party.number}/{lock.owner.number}",
            "pid": lock.owner.party.number,
            "mode": _mode(lock),
            "granted": lock.granted,
        }


def _advisory(lock: Lock) -> dict[str, Any]:
    if lock.kind != "advisory":
        return {"classid": None, "objid": None, "objsubid": None}
    first, *second = lock.what
    if second:
        return {"classid": first & 0xFFFFFFFF, "objid": second[0] & 0xFFFFFFFF, "objsubid": 2}
    return {"classid": first >> 32 & 0xFFFFFFFF, "objid": first & 0xFFFFFFFF, "objsubid": 1}


def _mode(lock: Lock) -> str:
    match lock.kind:
        case "advisory":
            return "ShareLock" if lock.mode == "SHARED" else "ExclusiveLock"
        case "table":
            return "".join(word.capitalize() for word in lock.mode.split("_")) + "Lock"
    return _ROW_MODES[lock.mode]
