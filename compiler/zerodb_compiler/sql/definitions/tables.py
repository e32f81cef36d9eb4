"""What a CREATE TABLE defines: columns with types, keys, checks, foreign keys, with PostgreSQL's names for those that
were given none. Expressions are bound here to see that they are right, and kept as text.

`define_table` looks at the catalog and changes nothing; whoever runs the statement makes the table.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from zerodb_compiler.catalog import Catalog, ColumnInfo, TableInfo
from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql import ddl
from zerodb_compiler.sql.definitions.columns import add_column, add_like, override_column
from zerodb_compiler.sql.definitions.constraints import add_constraints
from zerodb_compiler.sql.definitions.draft import Draft, TableDefinition

MAX_COLUMNS = 1_600


def define_table(
    node: ddl.CreateTable, catalog: Catalog, taken: Collection[str] = (), inherited: Sequence[ColumnInfo] = ()
) -> TableDefinition:
    """`taken` are names of relations of the schema, `inherited` the columns of the table it is a partition of."""
    draft = Draft(node.name, catalog, {*taken, node.name.name}, list(inherited))
    for element in node.elements:
        match element:
            case ddl.ColumnDef() if inherited:
                override_column(draft, element)
            case ddl.ColumnDef():
                add_column(draft, element)
            case ddl.Like():
                add_like(draft, element)
    if len(draft.columns) > MAX_COLUMNS:
        raise ProgrammingError(f"tables can have at most {MAX_COLUMNS} columns", sqlstate="54011")
    for element in node.elements:
        if isinstance(element, ddl.ConstraintDef):
            draft.pending.append((element, None))
    add_constraints(draft)
    return draft.definition()


def define_column(node: ddl.ColumnDef, table: TableInfo, catalog: Catalog, taken: Collection[str]) -> TableDefinition:
    """The table as it is with the column of ALTER TABLE ADD COLUMN behind its others."""
    draft = Draft.of(table, catalog, taken)
    add_column(draft, node)
    add_constraints(draft)
    return draft.definition()


def define_constraint(
    node: ddl.ConstraintDef, table: TableInfo, catalog: Catalog, taken: Collection[str]
) -> TableDefinition:
    """The table as it is with one more constraint."""
    draft = Draft.of(table, catalog, taken)
    draft.pending.append((node, None))
    add_constraints(draft)
    return draft.definition()
