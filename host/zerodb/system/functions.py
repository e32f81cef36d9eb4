"""Functions that users have made, in pg_proc, information_schema.routines and parameters, and as text.

Python callables (`create_function`) are among them, as functions of the language "python" that only this process has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zerodb.system import Row, system_table
from zerodb.system.model import OWNER, Model, ident
from zerodb.system.type_names import format_type
from zerodb_compiler.types import SqlType
from zerodb_storage.catalog import type_from

LANGUAGES = {"sql": 14, "wasm": 13_001, "wasm_core": 13_002, "python": 13_003, "plpgsql": 13_004}
_RECORD, _TRIGGER, _VOID = 2249, 2279, 2278
_KINDS = {"aggregate": "a", "procedure": "p"}
_MODES = {"in": "i", "out": "o", "inout": "b"}
_PARALLEL = {"safe": "s", "restricted": "r", "unsafe": "u"}
_COST, _ROWS = 100, 1000


@dataclass(frozen=True, slots=True)
class FunctionEntry:
    """`signature` is the name in the catalog, `comment` what comments know it by."""

    oid: int
    schema: str
    name: str
    signature: str
    kind: str
    arguments: tuple[tuple[str, SqlType], ...]
    results: tuple[tuple[str, SqlType], ...]
    volatility: str
    strict: bool
    language: str
    file: str | None = None
    export: str | None = None
    parallel: str = "unsafe"
    cost: int | None = None
    rows: int | None = None
    comment: str = ""
    source: str | None = None
    void: bool = False
    outwards: tuple[tuple[str, str, int], ...] = ()
    defaults: tuple[str, ...] = ()

    @property
    def all_arguments(self) -> list[tuple[str, str, SqlType]]:
        """Mode, name and type of the arguments, those that are only results, too."""
        if not self.outwards:
            return [("in", *argument) for argument in self.arguments]
        results = self.results
        if self.kind != "table":
            results = self.results[0][1].fields or self.results
        return [
            (mode, name, results[place][1] if mode == "out" else self.arguments[place][1])
            for mode, name, place in self.outwards
        ]

    @property
    def given(self) -> str:
        """a bigint, text"""
        return ", ".join(
            f"{'' if mode == 'in' and self.kind != 'procedure' else mode.upper() + ' '}"
            f"{ident(name) + ' ' if name else ''}{format_type(type_)}{default}"
            for (mode, name, type_), default in zip(self.all_arguments, self._shown_defaults, strict=True)
        )

    @property
    def _shown_defaults(self) -> list[str]:
        """What each argument has behind its type."""
        left = list(self.defaults)
        shown = [f" DEFAULT {left.pop()}" if left and mode != "out" else "" for mode, _, _ in self.all_arguments[::-1]]
        return shown[::-1]

    @property
    def is_set(self) -> bool:
        return self.kind == "table"

    @property
    def result(self) -> str:
        if self.void:
            return "void"
        if self.kind == "trigger":
            return "trigger"
        if self.is_set and len(self.results) == 1 and self.results[0][0] == self.name:
            return f"SETOF {format_type(self.results[0][1])}"
        if self.is_set and self.outwards:
            return "SETOF record"
        if self.outwards and self.results[0][1].fields:
            return "record"
        if self.kind == "table":
            return f"TABLE({', '.join(f'{ident(name)} {format_type(type_)}' for name, type_ in self.results)})"
        return format_type(self.results[0][1])


def entries(model: Model) -> list[FunctionEntry]:
    found: list[FunctionEntry] = []
    for (schema, signature), data in sorted(model.snapshot.objects("function").items()):
        arguments, results = (
            tuple((name, type_from(record)) for name, record in data[part]) for part in ("arguments", "results")
        )
        found.append(
            FunctionEntry(
                model.oid("function", schema, signature),
                schema,
                data["name"],
                signature,
                data["kind"],
                arguments,
                results,
                data["volatility"],
                data["strict"],
                data["language"],
                data["file"],
                data["export"],
                data.get("parallel", "unsafe"),
                data.get("cost"),
                data.get("rows"),
                str(data["id"]),
                data.get("source"),
                data.get("void", False),
                tuple((mode, name, place) for mode, name, place in data.get("outwards", ())),
                tuple(data.get("defaults", ())),
            )
        )
    session = model.view.session
    for known in session._database.functions.all_python() if session is not None else ():
        signature = f"{known.name}({','.join(map(str, known.arguments))})"
        found.append(
            FunctionEntry(
                model.oid("function", known.schema, signature),
                known.schema,
                known.name,
                signature,
                known.kind,
                tuple(zip(known.argument_names, known.arguments, strict=True)),
                known.results,
                known.volatility,
                known.strict,
                "python",
            )
        )
    return found


def procedures(model: Model) -> Iterable[Row]:
    """Their rows of pg_proc."""
    for entry in entries(model):
        names = [name for name, _ in entry.arguments]
        types = [model.type_oid(type_) for _, type_ in entry.arguments]
        row: Row = {
            "oid": entry.oid,
            "proname": entry.name,
            "pronamespace": model.schemas[entry.schema],
            "proowner": OWNER,
            "prolang": LANGUAGES[entry.language],
            "procost": float(entry.cost or _COST),
            "prorows": float(entry.rows or _ROWS) if entry.kind == "table" else 0.0,
            "prokind": _KINDS.get(entry.kind, "f"),
            "proisstrict": entry.strict,
            "proretset": entry.kind == "table",
            "provolatile": entry.volatility[0],
            "proparallel": _PARALLEL[entry.parallel],
            "pronargs": len(types),
            "pronargdefaults": len(entry.defaults),
            "proargtypes": types,
            "prosrc": entry.source if entry.source is not None else entry.export or entry.name,
            "probin": entry.file,
        }
        if entry.kind == "table":
            row["prorettype"] = _RECORD
            row["proallargtypes"] = [*types, *(model.type_oid(type_) for _, type_ in entry.results)]
            row["proargmodes"] = [*("i" for _ in types), *("t" for _ in entry.results)]
            names += [name for name, _ in entry.results]
        elif entry.void:
            row["prorettype"] = _VOID
        else:
            row["prorettype"] = _TRIGGER if entry.kind == "trigger" else model.type_oid(entry.results[0][1])
        if entry.outwards:
            row["proallargtypes"] = [model.type_oid(type_) for _, _, type_ in entry.all_arguments]
            row["proargmodes"] = [_MODES[mode] for mode, _, _ in entry.all_arguments]
            names = [name for _, name, _ in entry.all_arguments]
        if any(names):
            row["proargnames"] = names
        yield row


@system_table("__functiondef")
def definitions(model: Model) -> Iterable[Row]:
    for entry in entries(model):
        if entry.kind != "aggregate":
            yield {"__k": entry.oid, "__v": definition(entry)}


def definition(entry: FunctionEntry) -> str:
    """As pg_get_functiondef writes it."""
    options = [entry.volatility.upper()] if entry.volatility != "volatile" else []
    options += ["STRICT"] if entry.strict else []
    options += [f"PARALLEL {entry.parallel.upper()}"] if entry.parallel != "unsafe" else []
    options += [f"COST {entry.cost}"] if entry.cost not in (None, _COST) else []
    options += [f"ROWS {entry.rows}"] if entry.rows not in (None, _ROWS) else []
    what = "PROCEDURE" if entry.kind == "procedure" else "FUNCTION"
    lines = [f"CREATE OR REPLACE {what} {ident(entry.schema)}.{ident(entry.name)}({entry.given})"]
    lines += [f" RETURNS {entry.result}"] if entry.kind != "procedure" else []
    lines += [f" LANGUAGE {entry.language}"]
    lines += [" " + " ".join(options)] if options else []
    if entry.file is not None:
        lines.append(f"AS {_literal(entry.file)}, {_literal(entry.export or entry.name)}")
    if entry.source is not None:
        quote = f"${what.lower()}$"
        while quote in entry.source:
            quote = quote[:-1] + "x$"
        lines.append(f"AS {quote}{entry.source}{quote}")
    return "\n".join(lines) + "\n"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@system_table("__functionargs")
def arguments(model: Model) -> Iterable[Row]:
    for entry in entries(model):
        yield {"__k": entry.oid, "__v": entry.given}


@system_table("__functionresult")
def results(model: Model) -> Iterable[Row]:
    for entry in entries(model):
        yield {"__k": entry.oid, "__v": entry.result}


def _place(model: Model, entry: FunctionEntry) -> Row:
    return {
        "specific_catalog": model.view.database,
        "specific_schema": entry.schema,
        "specific_name": f"{entry.name}_{entry.oid}",
    }


@system_table("routines", "information_schema")
def routines(model: Model) -> Iterable[Row]:
    for entry in entries(model):
        row = _place(model, entry) | {
            "routine_catalog": model.view.database,
            "routine_schema": entry.schema,
            "routine_name": entry.name,
            "routine_type": {"aggregate": None, "procedure": "PROCEDURE"}.get(entry.kind, "FUNCTION"),
            "data_type": "record" if entry.kind == "table" else "trigger",
            "type_udt_catalog": model.view.database,
            "type_udt_schema": "pg_catalog",
            "type_udt_name": "record" if entry.kind == "table" else "trigger",
            "dtd_identifier": "0",
            "routine_body": "SQL" if entry.language == "sql" else "EXTERNAL",
            "routine_definition": entry.source,
            "external_name": None if entry.source is not None else entry.export or entry.name,
            "external_language": entry.language.upper(),
            "parameter_style": "GENERAL",
            "is_deterministic": "YES" if entry.volatility == "immutable" else "NO",
            "sql_data_access": "MODIFIES",
            "is_null_call": "YES" if entry.strict else "NO",
            "schema_level_routine": "YES",
            "max_dynamic_result_sets": 0,
            "security_type": "INVOKER",
            "as_locator": "NO",
            "is_udt_dependent": "NO",
        }
        if entry.void or entry.kind == "procedure":
            row |= {"data_type": "void", "type_udt_name": "void"} if entry.kind != "procedure" else {"data_type": None}
        elif entry.kind in ("scalar", "aggregate"):
            row |= _type(model, entry.results[0][1], "type_udt")
        yield row


@system_table("parameters", "information_schema")
def parameters(model: Model) -> Iterable[Row]:
    for entry in entries(model):
        outwards = entry.results if entry.kind == "table" and not entry.outwards else ()
        modes = [(mode.upper(), name, type_) for mode, name, type_ in entry.all_arguments]
        modes += [("OUT", *column) for column in outwards]
        for number, (mode, name, type_) in enumerate(modes, 1):
            yield (
                _place(model, entry)
                | _type(model, type_, "udt")
                | {
                    "ordinal_position": number,
                    "parameter_mode": mode,
                    "is_result": "NO",
                    "as_locator": "NO",
                    "parameter_name": name or None,
                    "dtd_identifier": str(number),
                }
            )


def _type(model: Model, type_: SqlType, prefix: str) -> Row:
    from zerodb.system.information_schema import type_columns

    row = type_columns(model, type_)
    found = {f"{prefix}_{part}": row[f"udt_{part}"] for part in ("catalog", "schema", "name")}
    return {"data_type": row["data_type"]} | found
