"""What is about the server in PostgreSQL: settings, roles, databases. A database here has one user, who owns it all."""

from __future__ import annotations

import os
from collections.abc import Iterable

from zerodb.options import SETTINGS
from zerodb.session_values import USER
from zerodb.system import Row, system_table
from zerodb.system.model import BTREE, DATABASE, HASH, HEAP, NAMESPACES, OWNER, Model
from zerodb.utility import setting
from zerodb_compiler.sql.collations import COLLATIONS
from zerodb_compiler.types import UNICODE

_SYSTEM = NAMESPACES["pg_catalog"]


@system_table("pg_settings")
def settings(model: Model) -> Iterable[Row]:
    session = model.view.session
    for key, known in sorted(SETTINGS.items()):
        value = setting(session, key) if session is not None else known.default
        kind = "bool" if known.default in ("on", "off") else "string"
        yield {
            "name": known.name,
            "setting": value,
            "category": "",
            "short_desc": known.description,
            "context": "user",
            "vartype": kind,
            "source": "default" if value == known.default else "session",
            "boot_val": known.default,
            "reset_val": known.default,
            "sourceline": None,
        }


@system_table("pg_database")
def databases(model: Model) -> Iterable[Row]:
    yield {
        "oid": DATABASE,
        "datname": model.view.database,
        "datdba": OWNER,
        "encoding": 6,
        "datlocprovider": "c",
        "datallowconn": True,
        "datconnlimit": -1,
        "dattablespace": 1663,
        "datcollate": "C",
        "datctype": "C",
    }


_ROLE = {
    "rolname": USER,
    "rolsuper": True,
    "rolinherit": True,
    "rolcreaterole": True,
    "rolcreatedb": True,
    "rolcanlogin": True,
    "rolconnlimit": -1,
    "rolpassword": "********",
    "rolbypassrls": True,
    "oid": OWNER,
}


@system_table("pg_roles")
def roles(model: Model) -> Iterable[Row]:
    yield _ROLE


@system_table("pg_user")
def users(model: Model) -> Iterable[Row]:
    yield {"usename": USER, "usesysid": OWNER, "usecreatedb": True, "usesuper": True, "passwd": "********"}


@system_table("pg_am")
def access_methods(model: Model) -> Iterable[Row]:
    yield {"oid": HEAP, "amname": "heap", "amtype": "t"}
    yield {"oid": BTREE, "amname": "btree", "amtype": "i"}
    yield {"oid": HASH, "amname": "hash", "amtype": "i"}


_LOCALES = {"C": "C", "POSIX": "POSIX", "ucs_basic": "C"}


@system_table("pg_collation")
def collations(model: Model) -> Iterable[Row]:
    for name, oid in COLLATIONS.items():
        yield {
            "oid": oid,
            "collname": name,
            "collnamespace": _SYSTEM,
            "collowner": OWNER,
            "collprovider": "d" if name == "default" else "i" if name in UNICODE else "c",
            "collisdeterministic": True,
            "collencoding": 6 if name == "ucs_basic" else -1,
            "collcollate": _LOCALES.get(name),
            "collctype": _LOCALES.get(name),
            "colliculocale": "und" if name in UNICODE else None,
        }


@system_table("pg_tablespace")
def tablespaces(model: Model) -> Iterable[Row]:
    yield {"oid": 1663, "spcname": "pg_default", "spcowner": OWNER}


@system_table("pg_language")
def languages(model: Model) -> Iterable[Row]:
    from zerodb.system.functions import LANGUAGES

    yield {"oid": 12, "lanname": "internal", "lanowner": OWNER}
    for name, oid in LANGUAGES.items():
        yield {"oid": oid, "lanname": name, "lanowner": OWNER, "lanispl": True, "lanpltrusted": name != "python"}


@system_table("pg_stat_activity")
def activity(model: Model) -> Iterable[Row]:
    yield {
        "datid": DATABASE,
        "datname": model.view.database,
        "pid": model.view.session._session.locks.locker.number if model.view.session is not None else os.getpid(),
        "leader_pid": None,
        "usesysid": OWNER,
        "usename": USER,
        "client_port": None,
        "state": "active",
        "backend_type": "client backend",
    }
