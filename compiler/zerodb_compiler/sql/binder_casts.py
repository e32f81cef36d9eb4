"""Casts that the session's time zone decides: a timestamp with time zone against everything that has no zone.

They become calls with the table of the zone (zones.py) as an argument. A statement is compiled for one zone; the host
keeps compiled statements of different zones apart.
"""

from __future__ import annotations

from zerodb_compiler.sql.collations import collatable, collation_of, with_collation
from zerodb_compiler.sql.expressions import Call, Cast, Expression, Literal
from zerodb_compiler.types import BYTEA, TEXT, TIMESTAMP, TIMESTAMPTZ, SqlType, TypeId
from zerodb_compiler.zones import Zone, session_zone


def zone_literal(zone: Zone | None = None) -> Literal:
    return Literal((zone or session_zone()).table, BYTEA)


def _table(zone: Zone | Expression | None) -> Expression:
    return zone_literal(zone) if zone is None or isinstance(zone, Zone) else zone


def cast_expression(value: Expression, target: SqlType, position: int | None) -> Expression:
    """CAST(value AS target), a cast that is allowed."""
    source = value.type
    if source == target:
        return value
    if collation_of(target) is None and collatable(source) and collatable(target):
        target = with_collation(target, collation_of(source))  # a cast keeps it
        if source == target:
            return value
    if source.id is TypeId.TIMESTAMPTZ and target.id is not TypeId.TIMESTAMPTZ:
        if target.id in (TypeId.TIMESTAMP, TypeId.DATE, TypeId.TIME):
            return cast_expression(to_local(value, position), target, position)
        if target.is_text:
            text = Call("format_timestamptz", (value, zone_literal()), TEXT, value.nullable, position)
            return text if target == TEXT else Cast(text, target, position)
    if target.id is TypeId.TIMESTAMPTZ and source.id is not TypeId.TIMESTAMPTZ:
        if source.id in (TypeId.TIMESTAMP, TypeId.DATE):
            return cast_expression(to_moment(cast_expression(value, TIMESTAMP, position), position), target, position)
        if source.is_text:
            return Call("parse_timestamptz", (value, zone_literal()), target, value.nullable, position)
    return Cast(value, target, position)


def to_local(value: Expression, position: int | None, zone: Zone | Expression | None = None) -> Expression:
    """A timestamp with time zone as the zone's clock shows it."""
    arguments = (value, _table(zone))
    return Call("local_of_timestamptz", arguments, TIMESTAMP, value.nullable or arguments[1].nullable, position)


def to_moment(value: Expression, position: int | None, zone: Zone | Expression | None = None) -> Expression:
    """A timestamp, taken as a reading of the zone's clock, with time zone."""
    arguments = (value, _table(zone))
    return Call("timestamptz_of_local", arguments, TIMESTAMPTZ, value.nullable or arguments[1].nullable, position)
