"""pg_type, pg_enum, pg_range, and the names of functions."""

from __future__ import annotations

from collections.abc import Iterable

from zerodb.system import Row, system_table
from zerodb.system.model import NAMESPACES, OWNER, Model
from zerodb.system.type_names import BUILTIN
from zerodb_compiler.types import TypeId

_SYSTEM = NAMESPACES["pg_catalog"]


@system_table("pg_type")
def types(model: Model) -> Iterable[Row]:
    for known in BUILTIN:
        yield {
            "oid": known.oid,
            "typname": known.name,
            "typnamespace": _SYSTEM,
            "typowner": OWNER,
            "typlen": known.length,
            "typbyval": known.by_value,
            "typtype": known.kind if known.category != "P" else "p",
            "typcategory": known.category,
            "typispreferred": known.preferred,
            "typisdefined": True,
            "typdelim": ",",
            "typelem": known.element,
            "typarray": known.array,
            "typinput": "array_in" if known.name.startswith("_") else f"{known.name}in",
            "typoutput": "array_out" if known.name.startswith("_") else f"{known.name}out",
            "typalign": known.align,
            "typstorage": known.storage,
            "typtypmod": -1,
            "typcollation": 100 if known.category == "S" else 0,
        }
    for (schema, name), (oid, type_) in model.types.items():
        enum = type_.id is TypeId.ENUM
        shared = {"typnamespace": model.schemas[schema], "typowner": OWNER, "typisdefined": True, "typdelim": ","}
        list_oid = model.oid("array type", name)
        yield shared | {
            "oid": oid,
            "typname": name,
            "typlen": 4 if enum else -1,
            "typbyval": enum,
            "typtype": "e" if enum else "c",
            "typcategory": "E" if enum else "C",
            "typarray": list_oid,
            "typrelid": 0 if enum else model.oid("composite", schema, name),
            "typinput": "enum_in" if enum else "record_in",
            "typoutput": "enum_out" if enum else "record_out",
            "typalign": "i" if enum else "d",
            "typstorage": "p" if enum else "x",
            "typtypmod": -1,
        }
        yield shared | {
            "oid": list_oid,
            "typname": f"_{name}",
            "typlen": -1,
            "typtype": "b",
            "typcategory": "A",
            "typelem": oid,
            "typinput": "array_in",
            "typoutput": "array_out",
            "typalign": "i" if enum else "d",
            "typstorage": "x",
            "typtypmod": -1,
        }


@system_table("pg_enum")
def labels(model: Model) -> Iterable[Row]:
    for (schema, name), (oid, type_) in model.types.items():
        for number, label in enumerate(type_.labels, 1):
            yield {
                "oid": model.oid("label", schema, name, label),
                "enumtypid": oid,
                "enumsortorder": float(number),
                "enumlabel": label,
            }


@system_table("pg_range")
def ranges(model: Model) -> Iterable[Row]:
    subtypes = {"int4range": 23, "int8range": 20, "numrange": 1700, "daterange": 1082, "tsrange": 1114}
    subtypes["tstzrange"] = 1184
    for known in BUILTIN:
        if known.name in subtypes:
            yield {"rngtypid": known.oid, "rngsubtype": subtypes[known.name]}


@system_table("pg_proc")
def functions(model: Model) -> Iterable[Row]:
    """Of built-in functions names only: their arguments are decided by their binders."""
    from zerodb.system.functions import procedures
    from zerodb_compiler.sql import binder_functions, signatures
    from zerodb_compiler.sql.aggregates import NAMES

    kinds = dict.fromkeys([*signatures.names(), *binder_functions.SPECIAL], "f")
    kinds |= dict.fromkeys(NAMES, "a") | dict.fromkeys(binder_functions.WINDOW_FUNCTIONS, "w")
    for name, kind in sorted(kinds.items()):
        yield {
            "oid": model.oid("function", name),
            "proname": name,
            "pronamespace": _SYSTEM,
            "proowner": OWNER,
            "prolang": 12,
            "prokind": kind,
            "provolatile": "i",
            "proparallel": "s",
            "prosrc": name,
        }
    yield from procedures(model)
