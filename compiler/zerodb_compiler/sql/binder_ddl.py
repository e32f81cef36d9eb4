"""What a CREATE TABLE defines: columns with types, keys, checks, foreign keys, with PostgreSQL's names for those that
were given none. Expressions are bound here to see that they are right, and kept as text.

`define_table` looks at the catalog and changes nothing; whoever runs the statement makes the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import Catalog, ColumnInfo, TableInfo, ViewInfo
from zerodb_compiler.constraints import Check, Constraints, ForeignKey, Unique
from zerodb_compiler.errors import DatabaseError, NotSupportedError, ProgrammingError, error_for
from zerodb_compiler.sql import collations, ddl
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.binder_types import NamedTypes, sql_type
from zerodb_compiler.sql.external import ExternalFunction
from zerodb_compiler.sql.nodes import fold, position_of
from zerodb_compiler.sql.parameters import ParameterContext
from zerodb_compiler.sql.scope import Relation, Scope, near
from zerodb_compiler.types import BIGINT, INTEGER, SMALLINT, TEXT, UNDECIDED, SqlType, TypeId

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder
    from zerodb_compiler.sql.binder_expressions import ExpressionBinder

MAX_COLUMNS = 1_600
MAX_NAME = 63
SERIAL_TYPES = {"integer": INTEGER, "bigint": BIGINT, "smallint": SMALLINT}
THIS_TABLE = 0  # as the table of a foreign key: the table itself


def check_key_type(type_: SqlType, position: int | None) -> None:
    """NotSupportedError for types that storage, which compares bytes, cannot keep unique."""
    if not type_.is_equal_by_bytes:
        raise NotSupportedError(f"a unique key of type {type_} is not supported", position=position)


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


def define_table(
    node: ddl.CreateTable, catalog: Catalog, taken: Collection[str] = (), inherited: Sequence[ColumnInfo] = ()
) -> TableDefinition:
    """`taken` are names of relations of the schema, `inherited` the columns of the table it is a partition of."""
    builder = _Builder(node.name, catalog, set(taken) | {node.name.name})
    builder.columns = list(inherited)
    for element in node.elements:
        match element:
            case ddl.ColumnDef() if inherited:
                builder.override(element)
            case ddl.ColumnDef():
                builder.column(element)
            case ddl.Like():
                builder.like(element)
    if len(builder.columns) > MAX_COLUMNS:
        raise ProgrammingError(f"tables can have at most {MAX_COLUMNS} columns", sqlstate="54011")
    for element in node.elements:
        if isinstance(element, ddl.ConstraintDef):
            builder.pending.append((element, None))
    return builder.finished()


def define_column(node: ddl.ColumnDef, table: TableInfo, catalog: Catalog, taken: Collection[str]) -> TableDefinition:
    """The table as it is with the column of ALTER TABLE ADD COLUMN behind its others."""
    builder = _Builder(ddl.Name(table.name, table.schema), catalog, set(taken) | {table.name}, table)
    builder.column(node)
    return builder.finished()


def define_constraint(
    node: ddl.ConstraintDef, table: TableInfo, catalog: Catalog, taken: Collection[str]
) -> TableDefinition:
    """The table as it is with one more constraint."""
    builder = _Builder(ddl.Name(table.name, table.schema), catalog, set(taken) | {table.name}, table)
    builder.pending.append((node, None))
    return builder.finished()


def create_table_as(binder: Binder, node: ddl.CreateTableAs) -> st.CreateTableAs:
    query = binder.query(node.query.tree, None)
    names = list(query.names)
    if len(node.columns) > len(names):
        raise ProgrammingError("too many column names were specified", position=node.name.position)
    names[: len(node.columns)] = node.columns
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ProgrammingError(
                f'column "{name}" specified more than once', sqlstate="42701", position=node.query.position
            )
        seen.add(name)
    for name, column in zip(names, query.columns, strict=True):
        if collations.collation_of(column.type) == UNDECIDED:
            message = f'no collation was derived for column "{name}" with collatable type {column.type}'
            raise ProgrammingError(message, sqlstate="42P22", position=node.query.position)
    columns = tuple(ColumnInfo(name, _stored_type(c.type)) for name, c in zip(names, query.columns, strict=True))
    return st.CreateTableAs(node, query, columns)


def _stored_type(type_: SqlType) -> SqlType:
    """An untyped literal or NULL becomes text."""
    return TEXT if type_.id is TypeId.NULL else type_


class _Builder:
    def __init__(self, name: ddl.Name, catalog: Catalog, taken: set[str], table: TableInfo | None = None) -> None:
        self.name = name
        self.catalog = catalog
        self.taken = taken
        self.columns: list[ColumnInfo] = list(table.columns) if table is not None else []
        self.primary_key: tuple[int, ...] = table.primary_key if table is not None else ()
        self.constraints = table.constraints if table is not None else Constraints()
        self.constraint_names: set[str] = set(self.constraints.names)
        self.pending: list[tuple[ddl.ConstraintDef, int | None]] = []
        self.generated: list[tuple[int, ddl.Sql]] = []
        self.sequences: list[NewSequence] = []
        self.sequence_defaults: list[tuple[int, ddl.Name]] = []

    # --- columns ---
    def column(self, node: ddl.ColumnDef) -> None:
        if any(info.name == node.name for info in self.columns):
            raise ProgrammingError(
                f'column "{node.name}" specified more than once', sqlstate="42701", position=node.position
            )
        type_ = (
            SERIAL_TYPES[node.serial]
            if node.serial is not None
            else column_type(node.type, node.position, self.catalog.named_type)
        )
        ordinal = len(self.columns)
        self.columns.append(ColumnInfo(node.name, type_, node.serial is not None))
        if node.serial is not None:
            if any(part.kind == "default" for part in node.constraints):
                raise self._twice("default values", node)
            self._sequence(ordinal, type_, ddl.SequenceOptions())
        self._column_parts(ordinal, node)

    def override(self, node: ddl.ColumnDef) -> None:
        """CREATE TABLE ... PARTITION OF: constraints for a column of the parent."""
        self._column_parts(self.ordinal(node.name, node.position), node)

    def _twice(self, what: str, node: ddl.ColumnDef) -> ProgrammingError:
        message = f'multiple {what} specified for column "{node.name}" of table "{self.name.name}"'
        return ProgrammingError(message, position=node.position)

    def _column_parts(self, ordinal: int, node: ddl.ColumnDef) -> None:
        info = self.columns[ordinal]
        kinds = [part.kind for part in node.constraints]
        if kinds.count("collate") > 1:
            raise ProgrammingError("multiple COLLATE clauses not allowed", position=node.position)
        for kind in ("default", "identity", "generated"):
            if kinds.count(kind) > 1:
                raise self._twice({"default": "default values"}.get(kind, f"{kind} specifications"), node)
        for a, b in (("default", "identity"), ("default", "generated"), ("identity", "generated")):
            if a in kinds and b in kinds:
                message = f'both {a} and {b} specified for column "{info.name}" of table "{self.name.name}"'
                raise ProgrammingError(message, position=node.position)
        if "null" in kinds and ({"not null", "identity"} & set(kinds) or node.serial is not None):
            raise ProgrammingError(
                f'conflicting NULL/NOT NULL declarations for column "{info.name}" of table "{self.name.name}"',
                position=node.position,
            )
        for part in node.constraints:
            match part.kind:
                case "not null":
                    info = replace(info, not_null=True)
                case "null":
                    pass
                case "collate":
                    info = replace(info, type=collations.declared(info.type, part.mode, part.position))
                case "default":
                    assert part.expression is not None
                    info = self.default(info, ordinal, part.expression)
                case "generated":
                    assert part.expression is not None
                    info = replace(info, generated=part.expression.text)
                    self.generated.append((ordinal, part.expression))
                case "identity":
                    if info.type not in (INTEGER, BIGINT, SMALLINT):
                        raise ProgrammingError(
                            "identity column type must be smallint, integer, or bigint",
                            sqlstate="22023",
                            position=node.position,
                        )
                    info = replace(info, identity=part.mode, not_null=True)
                    self._sequence(ordinal, info.type, part.sequence or ddl.SequenceOptions())
                case _:
                    self.pending.append((part, ordinal))
        self.columns[ordinal] = info

    def default(self, info: ColumnInfo, ordinal: int, expression: ddl.Sql) -> ColumnInfo:
        sequence = nextval_of(expression.tree)
        if sequence is not None:
            self.sequence_defaults.append((ordinal, sequence))
            return replace(info, default=expression.text)
        return replace(info, default=default_text(info, expression, self.catalog))

    def _sequence(self, ordinal: int, type_: SqlType, options: ddl.SequenceOptions) -> None:
        name = options.name.name if options.name is not None else self.relation_name("seq", [ordinal])
        self.sequences.append(NewSequence(ordinal, name, type_, options))

    def like(self, node: ddl.Like) -> None:
        source = self.catalog.table(node.table.name, node.table.schema)
        if source is None:
            raise no_relation(node.table, self.catalog)
        begin = len(self.columns)
        for info in source.columns:
            if any(other.name == info.name for other in self.columns):
                raise ProgrammingError(f'column "{info.name}" specified more than once', sqlstate="42701")
            kept = ColumnInfo(info.name, info.type, info.not_null)
            if "defaults" in node.including and info.identity is None:
                kept = replace(kept, default=info.default, sequence=info.sequence)
            if "generated" in node.including:
                kept = replace(kept, generated=info.generated)
            self.columns.append(kept)
            if "identity" in node.including and info.identity is not None:
                self.columns[-1] = replace(kept, identity=info.identity)
                self._sequence(len(self.columns) - 1, info.type, ddl.SequenceOptions())
        if "constraints" in node.including:
            for check in source.constraints.checks:
                self.constraint_names.add(check.name)
                self.constraints = replace(self.constraints, checks=(*self.constraints.checks, check))
        if "indexes" in node.including:
            if source.primary_key:
                names = tuple(source.columns[c].name for c in source.primary_key)
                held = source.constraints
                key = ddl.ConstraintDef(
                    "primary key",
                    columns=names,
                    deferrable=held.primary_key_deferrable,
                    deferred=held.primary_key_deferred,
                )
                self.pending.append((key, None))
            for unique in source.constraints.uniques:
                columns = tuple(column + begin for column in unique.columns)
                self._unique(replace(unique, name=self.relation_name("key", columns), columns=columns))

    # --- constraints ---
    def finished(self) -> TableDefinition:
        for place, expression in self.generated:
            self._check_generated(place, expression)
        order = {"primary key": 0, "unique": 1, "check": 2, "foreign key": 3}
        for node, ordinal in sorted(self.pending, key=lambda item: order[item[0].kind]):
            if node.name is not None and node.name in self.constraint_names:
                raise error_for(
                    "42710",
                    f'constraint "{node.name}" for relation "{self.name.name}" already exists',
                    position=node.position,
                )
            match node.kind:
                case "primary key":
                    self._primary_key(node, ordinal)
                case "unique":
                    columns = self._key_columns(node, ordinal)
                    name = self._index_name(node, "key", columns)
                    self._unique(Unique(name, columns, node.nulls_distinct, True, node.deferrable, node.deferred))
                case "check":
                    self._check(node)
                case _:
                    self._foreign_key(node, ordinal)
        return TableDefinition(
            tuple(self.columns),
            self.primary_key,
            self.constraints,
            tuple(self.sequences),
            tuple(self.sequence_defaults),
        )

    def _primary_key(self, node: ddl.ConstraintDef, ordinal: int | None) -> None:
        if self.primary_key:
            raise ProgrammingError(
                f'multiple primary keys for table "{self.name.name}" are not allowed',
                sqlstate="42P16",
                position=node.position,
            )
        columns = self._key_columns(node, ordinal)
        for column in columns:
            self.columns[column] = replace(self.columns[column], not_null=True)
        self.primary_key = columns
        name = self._index_name(node, "pkey", ())
        self.constraints = replace(
            self.constraints,
            primary_key_name=name,
            primary_key_deferrable=node.deferrable,
            primary_key_deferred=node.deferred,
        )

    def _unique(self, unique: Unique) -> None:
        self.constraint_names.add(unique.name)
        if unique.columns == self.primary_key and unique.constraint:
            pass  # PostgreSQL keeps both; so do we, for its name
        self.constraints = replace(self.constraints, uniques=(*self.constraints.uniques, unique))

    def _index_name(self, node: ddl.ConstraintDef, label: str, columns: Sequence[int]) -> str:
        if node.using_index is not None:
            raise NotSupportedError("USING INDEX is not supported", position=node.position)
        if node.name is None:
            name = self.relation_name(label, columns)
        elif node.name in self.taken:
            raise error_for("42P07", f'relation "{node.name}" already exists', position=node.position)
        else:
            name = node.name
        self.taken.add(name)
        self.constraint_names.add(name)
        return name

    def _key_columns(self, node: ddl.ConstraintDef, ordinal: int | None) -> tuple[int, ...]:
        columns = (ordinal,) if ordinal is not None else self._named_columns(node)
        for column in columns:
            check_key_type(self.columns[column].type, node.position)
        return columns

    def _named_columns(self, node: ddl.ConstraintDef) -> tuple[int, ...]:
        found: list[int] = []
        for name in node.columns:
            column = self.ordinal(name, node.position, f'column "{name}" named in key does not exist')
            if column in found:
                what = "primary key" if node.kind == "primary key" else "unique constraint"
                raise ProgrammingError(
                    f'column "{name}" appears twice in {what} constraint'.replace(
                        "constraint constraint", "constraint"
                    ),
                    sqlstate="42701",
                    position=node.position,
                )
            found.append(column)
        return tuple(found)

    def _check(self, node: ddl.ConstraintDef) -> None:
        assert node.expression is not None
        self.expressions("check constraints").condition(node.expression.tree)
        used = columns_in(node.expression.tree)
        name = node.name
        if name is None:
            name = self.constraint_name("check", used if len(used) == 1 else ())
        self.constraint_names.add(name)
        check = Check(name, node.expression.text)
        self.constraints = replace(self.constraints, checks=(*self.constraints.checks, check))

    def _foreign_key(self, node: ddl.ConstraintDef, ordinal: int | None) -> None:
        assert node.reference is not None
        columns = self._key_columns(replace(node, kind="foreign key"), ordinal)
        reference = node.reference
        itself = reference.table.name == self.name.name and reference.table.schema in (None, self.name.schema)
        target = None if itself else self.catalog.table(reference.table.name, reference.table.schema)
        if target is None and not itself:
            raise no_relation(reference.table, self.catalog)
        if target is not None and target.constraints.partitioning is not None:
            raise NotSupportedError("a foreign key to a partitioned table is not supported", position=node.position)
        names = tuple(info.name for info in (target.columns if target is not None else self.columns))
        primary_key = target.primary_key if target is not None else self.primary_key
        if reference.columns:
            referenced = tuple(_place(names, name, node.position) for name in reference.columns)
        elif primary_key:
            referenced = primary_key
        else:
            raise ProgrammingError(
                f'there is no primary key for referenced table "{reference.table.name}"',
                sqlstate="42704",
                position=node.position,
            )
        if len(referenced) != len(columns):
            raise ProgrammingError(
                "number of referencing and referenced columns for foreign key disagree",
                sqlstate="42830",
                position=node.position,
            )
        uniques = target.constraints.uniques if target is not None else self.constraints.uniques
        keys = [set(primary_key), *(set(unique.columns) for unique in uniques)]
        if set(referenced) not in [key for key in keys if key]:
            raise ProgrammingError(
                f'there is no unique constraint matching given keys for referenced table "{reference.table.name}"',
                sqlstate="42830",
                position=node.position,
            )
        _check_not_deferrable(
            target.constraints if target is not None else self.constraints, primary_key, referenced, node
        )
        name = node.name or self.constraint_name("fkey", [self.columns[column].name for column in columns])
        infos = target.columns if target is not None else self.columns
        for column, other in zip(columns, referenced, strict=True):
            if not _comparable(self.columns[column].type, infos[other].type):
                message = f'foreign key constraint "{name}" cannot be implemented'
                pair = f'"{self.columns[column].name}" and "{infos[other].name}"'
                kinds = f"{self.columns[column].type} and {infos[other].type}"
                hint = f"Key columns {pair} are of incompatible types: {kinds}."
                raise ProgrammingError(message, sqlstate="42804", position=node.position, hint=hint)
        self.constraint_names.add(name)
        slots = tuple(infos[other].slot if target is not None else other for other in referenced)
        if itself:
            slots = tuple(other if self.columns[other].slot < 0 else self.columns[other].slot for other in referenced)
        key = ForeignKey(
            name,
            columns,
            THIS_TABLE if target is None else target.id,
            slots,
            reference.on_delete,
            reference.on_update,
            reference.match_full,
            node.deferrable,
            node.deferred,
            tuple(self.ordinal(column, node.position) for column in reference.set_columns),
        )
        self.constraints = replace(self.constraints, foreign_keys=(*self.constraints.foreign_keys, key))

    def _check_generated(self, ordinal: int, expression: ddl.Sql) -> None:
        info = self.columns[ordinal]
        names = columns_in(expression.tree)
        for other in self.columns:
            if other.generated is not None and other.name in names:
                message = f'cannot use generated column "{other.name}" in column generation expression'
                raise ProgrammingError(message, sqlstate="42P17", position=expression.position)
        binder = self.expressions("column generation expressions")
        binder.binder.immutable_only = "generation expression is not immutable"
        from zerodb_compiler.sql.binder_dml import assigned

        assigned(binder, binder.bound(expression.tree), info, expression.tree)

    def expressions(self, clause: str) -> ExpressionBinder:
        return table_expressions(self.name.name, self.columns, self.catalog, clause)

    # --- names ---
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


def chosen_name(table: str, columns: Sequence[str], label: str, taken: Collection[str]) -> str:
    """PostgreSQL's name for an object that was given none: table_columns_label, with a number if it is taken."""
    middle = "_".join(columns)
    number = 0
    while True:
        suffix = f"_{label}{number or ''}"
        room = MAX_NAME - len(suffix) - (1 if middle else 0)
        first, second = table, middle
        while len(first.encode()) + len(second.encode()) > room:
            if len(first) >= len(second):
                first = first[:-1]
            else:
                second = second[:-1]
        name = f"{first}_{second}{suffix}" if middle else f"{first}{suffix}"
        if name not in taken:
            return name
        number += 1


def column_type(node: exp.DataType | None, position: int | None, named: NamedTypes | None = None) -> SqlType:
    if node is None:
        raise ProgrammingError("a column needs a type", position=position)
    try:
        return sql_type(node, named=named)
    except DatabaseError as error:
        error.position = position if error.position is None else error.position
        raise


_IMMUTABLE = {
    "index expressions": "index expression",
    "index predicates": "index predicate",
    "partition key": "partition key expression",
}


def table_expressions(table: str, columns: Sequence[ColumnInfo], catalog: Catalog, clause: str) -> ExpressionBinder:
    """A binder for expressions over the columns of one row. Those of indexes and partition keys may call immutable
    functions only."""
    from zerodb_compiler.sql.binder import Binder
    from zerodb_compiler.sql.binder_expressions import ExpressionBinder

    binder = Binder(catalog, ParameterContext(()))
    pairs = [(info.name, binder.column(info.name, info.type, not info.not_null)) for info in columns]
    scope = Scope([Relation(table, pairs)], pairs, common={})
    if clause in _IMMUTABLE:
        binder.immutable_only = f"functions in {_IMMUTABLE[clause]} must be marked IMMUTABLE"
    return ExpressionBinder(binder, scope, clause)


def default_text(info: ColumnInfo, expression: ddl.Sql, catalog: Catalog) -> str | None:
    """The DEFAULT as text, after checking that it binds to the column's type."""
    from zerodb_compiler.sql.binder import Binder
    from zerodb_compiler.sql.binder_dml import assigned
    from zerodb_compiler.sql.binder_expressions import ExpressionBinder

    if columns_in(expression.tree):
        raise ProgrammingError(
            "cannot use column reference in DEFAULT expression", sqlstate="0A000", position=expression.position
        )
    if expression.tree.find(exp.Select) is not None:
        raise ProgrammingError(
            "cannot use subquery in DEFAULT expression", sqlstate="0A000", position=expression.position
        )
    binder = ExpressionBinder(Binder(_NoCatalog(info.type, catalog), ParameterContext(())), Scope(common={}), "DEFAULT")
    assigned(binder, binder.bound(expression.tree), info, expression.tree)
    return None if isinstance(expression.tree, exp.Null) else expression.text


@dataclass(frozen=True, slots=True)
class _NoCatalog:
    type: SqlType  # the column's, which a cast in its default may name
    whole: Catalog
    names: tuple[str, ...] = field(default=())

    def table(self, name: str, schema: str | None = None) -> TableInfo | None:
        return None

    def view(self, name: str, schema: str | None = None) -> ViewInfo | None:
        return None

    def relation_with_id(self, id_: int) -> TableInfo | ViewInfo | None:
        return None

    def named_type(self, name: str, schema: str | None = None) -> SqlType | None:
        return self.type if self.type.name == name else None

    def table_names(self) -> Sequence[str]:
        return self.names

    def functions(self, name: str, schema: str | None = None) -> Sequence[ExternalFunction]:
        return self.whole.functions(name, schema)


def columns_in(tree: exp.Expr) -> list[str]:
    """The names of the columns an expression reads, each once."""
    found = [fold(node.this) for node in tree.find_all(exp.Column) if isinstance(node.this, exp.Identifier)]
    return list(dict.fromkeys(found))


def nextval_of(tree: exp.Expr) -> ddl.Name | None:
    """The sequence of nextval('name') or nextval('name'::regclass)."""
    is_call = isinstance(tree, exp.Anonymous) and str(tree.this).lower() == "nextval" and len(tree.expressions) == 1
    if not is_call:
        return None
    argument = tree.expressions[0]
    if isinstance(argument, exp.Cast):
        argument = argument.this
    if not isinstance(argument, exp.Literal) or not argument.args["is_string"]:
        return None
    return sequence_name(str(argument.this), position_of(tree))


def sequence_name(text: str, position: int | None = None) -> ddl.Name:
    """The relation that a string names, as ::regclass reads it."""
    parts: list[str] = []
    for piece in _name_pieces(text):
        parts.append(piece[1:-1].replace('""', '"') if piece.startswith('"') else piece.strip().lower())
    return ddl.Name(parts[-1], parts[-2] if len(parts) > 1 else None, position)


def _name_pieces(text: str) -> list[str]:
    pieces, current, quoted = [], "", False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character == "." and not quoted:
            pieces.append(current)
            current = ""
        else:
            current += character
    return [*pieces, current]


def no_relation(name: ddl.Name, catalog: Catalog) -> ProgrammingError:
    return ProgrammingError(
        f'relation "{name}" does not exist',
        sqlstate="42P01",
        position=name.position,
        hint=near(name.name, catalog.table_names()),
    )


def _place(names: Sequence[str], name: str, position: int | None) -> int:
    if name in names:
        return names.index(name)
    raise ProgrammingError(
        f'column "{name}" referenced in foreign key constraint does not exist', sqlstate="42703", position=position
    )


def _comparable(a: SqlType, b: SqlType) -> bool:
    return (a.is_number and b.is_number) or a.id is b.id


def _check_not_deferrable(
    held: Constraints, primary_key: tuple[int, ...], referenced: tuple[int, ...], node: ddl.ConstraintDef
) -> None:
    """55000 if the only keys over the referenced columns are deferrable."""
    is_primary = set(primary_key) == set(referenced)
    if is_primary and not held.primary_key_deferrable:
        return
    if any(set(found.columns) == set(referenced) and not found.deferrable for found in held.uniques):
        return
    assert node.reference is not None
    kind = "primary key" if is_primary else "unique constraint"
    raise error_for(
        "55000",
        f'cannot use a deferrable {kind} for referenced table "{node.reference.table.name}"',
        position=node.position,
    )
