"""PostgreSQL's types: OIDs, names, modifiers; those of the database's own that it does not have have OIDs of ours."""

from __future__ import annotations

from dataclasses import dataclass

from zerodb_compiler.types import UNCONSTRAINED_NUMERIC, SqlType, TypeId

# oid, name, length, by value, category, preferred, element, array, alignment, storage, kind
_TABLE = """
16 bool 1 t B t 0 1000 c p b
17 bytea -1 f U f 0 1001 i x b
18 char 1 t Z f 0 1002 c p b
19 name 64 f S f 18 1003 c p b
20 int8 8 t N f 0 1016 d p b
21 int2 2 t N f 0 1005 s p b
22 int2vector -1 f A f 21 1006 i p b
23 int4 4 t N f 0 1007 i p b
24 regproc 4 t N f 0 1008 i p b
25 text -1 f S t 0 1009 i x b
26 oid 4 t N t 0 1028 i p b
28 xid 4 t U f 0 1011 i p b
30 oidvector -1 f A f 26 1013 i p b
114 json -1 f U f 0 199 i x b
194 pg_node_tree -1 f Z f 0 0 i x b
199 _json -1 f A f 114 0 i x b
700 float4 4 t N f 0 1021 i p b
701 float8 8 t N t 0 1022 d p b
705 unknown -2 f X f 0 0 c p p
1000 _bool -1 f A f 16 0 i x b
1001 _bytea -1 f A f 17 0 i x b
1002 _char -1 f A f 18 0 i x b
1003 _name -1 f A f 19 0 i x b
1005 _int2 -1 f A f 21 0 i x b
1007 _int4 -1 f A f 23 0 i x b
1009 _text -1 f A f 25 0 i x b
1014 _bpchar -1 f A f 1042 0 i x b
1015 _varchar -1 f A f 1043 0 i x b
1016 _int8 -1 f A f 20 0 d x b
1021 _float4 -1 f A f 700 0 i x b
1022 _float8 -1 f A f 701 0 d x b
1028 _oid -1 f A f 26 0 i x b
1042 bpchar -1 f S f 0 1014 i x b
1043 varchar -1 f S f 0 1015 i x b
1082 date 4 t D f 0 1182 i p b
1083 time 8 t D f 0 1183 d p b
1114 timestamp 8 t D f 0 1115 d p b
1115 _timestamp -1 f A f 1114 0 d x b
1182 _date -1 f A f 1082 0 i x b
1183 _time -1 f A f 1083 0 d x b
1184 timestamptz 8 t D t 0 1185 d p b
1185 _timestamptz -1 f A f 1184 0 d x b
1186 interval 16 f T t 0 1187 d p b
1187 _interval -1 f A f 1186 0 d x b
1231 _numeric -1 f A f 1700 0 i x b
1700 numeric -1 f N f 0 1231 i m b
2205 regclass 4 t N f 0 2210 i p b
2206 regtype 4 t N f 0 2211 i p b
2249 record -1 f P f 0 2287 d x p
2276 any 4 t P f 0 0 i p p
2277 anyarray -1 f P f 0 0 d x p
2278 void 4 t P f 0 0 i p p
2950 uuid 16 f U f 0 2951 c p b
2951 _uuid -1 f A f 2950 0 i x b
3802 jsonb -1 f U f 0 3807 i x b
3807 _jsonb -1 f A f 3802 0 i x b
3904 int4range -1 f R f 0 3905 i x r
3905 _int4range -1 f A f 3904 0 i x b
3906 numrange -1 f R f 0 3907 i x r
3907 _numrange -1 f A f 3906 0 i x b
3908 tsrange -1 f R f 0 3909 d x r
3909 _tsrange -1 f A f 3908 0 d x b
3910 tstzrange -1 f R f 0 3911 d x r
3911 _tstzrange -1 f A f 3910 0 d x b
3912 daterange -1 f R f 0 3913 i x r
3913 _daterange -1 f A f 3912 0 i x b
3926 int8range -1 f R f 0 3927 d x r
3927 _int8range -1 f A f 3926 0 d x b
4089 regnamespace 4 t N f 0 4090 i p b
4096 regrole 4 t N f 0 4097 i p b
12001 hugeint 16 f N f 0 12011 d p b
12002 u8 1 t N f 0 12012 c p b
12003 u16 2 t N f 0 12013 s p b
12004 u32 4 t N f 0 12014 i p b
12005 u64 8 t N f 0 12015 d p b
12006 map -1 f U f 0 12016 i x b
12011 _hugeint -1 f A f 12001 0 d x b
12012 _u8 -1 f A f 12002 0 i x b
12013 _u16 -1 f A f 12003 0 i x b
12014 _u32 -1 f A f 12004 0 i x b
12015 _u64 -1 f A f 12005 0 d x b
12016 _map -1 f A f 12006 0 i x b
"""
_FORMATTED = {
    "bool": "boolean",
    "char": '"char"',
    "int8": "bigint",
    "int2": "smallint",
    "int4": "integer",
    "float4": "real",
    "float8": "double precision",
    "bpchar": "character",
    "varchar": "character varying",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "any": '"any"',
}
_NAMES: dict[TypeId, str] = {
    TypeId.NULL: "unknown",
    TypeId.BOOLEAN: "bool",
    TypeId.SMALLINT: "int2",
    TypeId.INTEGER: "int4",
    TypeId.BIGINT: "int8",
    TypeId.REAL: "float4",
    TypeId.DOUBLE: "float8",
    TypeId.TIMESTAMPTZ: "timestamptz",
    TypeId.STRUCT: "record",
}


@dataclass(frozen=True, slots=True)
class Builtin:
    oid: int
    name: str
    length: int
    by_value: bool
    category: str
    preferred: bool
    element: int
    array: int
    align: str
    storage: str
    kind: str

    @property
    def formatted(self) -> str:
        if self.name.startswith("_"):
            return _FORMATTED.get(self.name[1:], self.name[1:]) + "[]"
        return _FORMATTED.get(self.name, self.name)


def _builtin(line: str) -> Builtin:
    oid, name, length, by_value, category, preferred, element, array, align, storage, kind = line.split()
    return Builtin(
        int(oid),
        name,
        int(length),
        by_value == "t",
        category,
        preferred == "t",
        int(element),
        int(array),
        align,
        storage,
        kind,
    )


BUILTIN = tuple(_builtin(line) for line in _TABLE.strip().splitlines())
BY_OID = {known.oid: known for known in BUILTIN}
BY_NAME = {known.name: known for known in BUILTIN}


def internal_name(type_: SqlType) -> str:
    """typname: int4, _text, varchar."""
    if type_.id is TypeId.ARRAY:
        assert type_.element is not None
        return "_" + internal_name(type_.element)
    if type_.id is TypeId.TEXT and type_.length is not None:
        return "bpchar" if type_.padded else "varchar"
    if type_.name is not None:
        return type_.name
    return _NAMES.get(type_.id) or str(type_.id.value)


_POLYMORPHIC = {
    "anyarray": 2277,
    "anyelement": 2283,
    "anynonarray": 2776,
    "anyenum": 3500,
    "anycompatible": 5077,
    "anycompatiblearray": 5078,
    "anycompatiblenonarray": 5079,
}


def plain_oid(type_: SqlType) -> int:
    known = BY_NAME.get(internal_name(type_))
    return known.oid if known is not None else _POLYMORPHIC.get(str(type_.name), 0)


def array_oid(element: SqlType) -> int:
    known = BY_NAME.get(internal_name(element))
    return known.array if known is not None else 0


def type_modifier(type_: SqlType) -> int:
    """atttypmod, -1 without one."""
    if type_.id is TypeId.ARRAY:
        assert type_.element is not None
        return type_modifier(type_.element)
    if type_.id is TypeId.TEXT:
        return -1 if type_.length is None else type_.length + 4
    if type_.id is TypeId.NUMERIC:
        return -1 if type_ == UNCONSTRAINED_NUMERIC else (type_.precision << 16 | type_.scale) + 4
    if type_.id in (TypeId.TIME, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ):
        return type_.precision - 1
    if type_.id is TypeId.INTERVAL and type_.precision:
        return 0x7FFF << 16 | (type_.precision - 1)
    return -1


def format_type(type_: SqlType) -> str:
    """The type as PostgreSQL writes it: character varying(20), numeric(8,2), timestamp without time zone."""
    if type_.id is TypeId.ARRAY:
        assert type_.element is not None
        return format_type(type_.element) + "[]"
    name = internal_name(type_)
    plain = _FORMATTED.get(name, name) if type_.name is None else name
    if type_.id is TypeId.TEXT and type_.length is not None:
        return f"{plain}({type_.length})"
    if type_.id is TypeId.NUMERIC and type_ != UNCONSTRAINED_NUMERIC:
        return f"numeric({type_.precision},{type_.scale})"
    if type_.precision and type_.id in (TypeId.TIME, TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.INTERVAL):
        head, _, zone = plain.partition(" ")
        return f"{head}({type_.precision - 1}) {zone}".rstrip()
    return plain
