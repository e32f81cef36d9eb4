"""A table while it is declared: what is known of it so far, and the names that are taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from zerodb_compiler.catalog import Catalog, ColumnInfo, TableInfo
from zerodb_compiler.constraints import Check, Constraints, ForeignKey, Unique
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.definitions.expressions import table_expressions
from zerodb_compiler.sql.definitions.names import chosen_name
from zerodb_compiler.sql.scope import near
from zerodb_compiler.types import SqlType

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder_expressions import ExpressionBinder


@dataclass(frozen=True, slots=True)
class NewSequence:
    """A sequence that comes with a serial or identity column."""

    column: int
    name: str
    type: SqlType
    options: ddl.SequenceOptions


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """`sequence_defaults` are columns whose DEFAULT is nextval of an existing sequence: (ordinal, name)."""

    columns: tuple[ColumnInfo, ...]
    primary_key: tuple[int, ...]
    constraints: Constraints
    sequences: tuple[NewSequence, ...] = ()
    sequence_defaults: tuple[tuple[int, ddl.Name], ...] = ()


@dataclass(slots=True)
class Draft:
    """`taken` are names of relations of the schema, `pending` constraints that wait until all columns are known, each
    with the ordinal of the column that it was declared with."""

    name: ddl.Name
    catalog: Catalog
    taken: set[str]
    columns: list[ColumnInfo] = field(default_factory=list)
    primary_key: tuple[int, ...] = ()
    constraints: Constraints = field(default_factory=Constraints)
    constraint_names: set[str] = field(default_factory=set)
    pending: list[tuple[ddl.ConstraintDef, int | None]] = field(default_factory=list)
    generated: list[tuple[int, ddl.Sql]] = field(default_factory=list)
    sequences: list[NewSequence] = field(default_factory=list)
    sequence_defaults: list[tuple[int, ddl.Name]] = field(default_factory=list)

    @staticmethod
    def of(table: TableInfo, catalog: Catalog, taken: Iterable[str]) -> Draft:
        """The table as it is, for ALTER TABLE."""
        return Draft(
            ddl.Name(table.name, table.schema),
            catalog,
            {*taken, table.name},
            list(table.columns),
            table.primary_key,
            table.constraints,
            set(table.constraints.names),
        )

    def definition(self) -> TableDefinition:
        return TableDefinition(
            tuple(self.columns),
            self.primary_key,
            self.constraints,
            tuple(self.sequences),
            tuple(self.sequence_defaults),
        )

    def expressions(self, clause: str) -> ExpressionBinder:
        return table_expressions(self.name.name, self.columns, self.catalog, clause)

    def ordinal(self, name: str, position: int | None, message: str | None = None) -> int:
        names = [info.name for info in self.columns]
        if name in names:
            return names.index(name)
        raise ProgrammingError(
            message or f'column "{name}" of relation "{self.name.name}" does not exist',
            sqlstate="42703",
            position=position,
            hint=near(name, names),
        )

    def relation_name(self, label: str, columns: Iterable[int]) -> str:
        name = chosen_name(self.name.name, [self.columns[column].name for column in columns], label, self.taken)
        self.taken.add(name)
        return name

    def constraint_name(self, label: str, columns: Iterable[str]) -> str:
        return chosen_name(self.name.name, list(columns), label, self.constraint_names)

    def add_sequence(self, ordinal: int, type_: SqlType, options: ddl.SequenceOptions) -> None:
        name = options.name.name if options.name is not None else self.relation_name("seq", [ordinal])
        self.sequences.append(NewSequence(ordinal, name, type_, options))

    def add_check(self, check: Check) -> None:
        self.constraint_names.add(check.name)
        self.constraints = replace(self.constraints, checks=(*self.constraints.checks, check))

    def add_unique(self, unique: Unique) -> None:
        """Over the columns of the primary key, too: PostgreSQL keeps both, and so do we, for its name."""
        self.constraint_names.add(unique.name)
        self.constraints = replace(self.constraints, uniques=(*self.constraints.uniques, unique))

    def add_foreign_key(self, key: ForeignKey) -> None:
        self.constraint_names.add(key.name)
        self.constraints = replace(self.constraints, foreign_keys=(*self.constraints.foreign_keys, key))
