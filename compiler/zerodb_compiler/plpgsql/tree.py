"""The tree of a PL/pgSQL body. Expressions and statements of SQL are texts with their places in the body."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sql:
    """A statement of SQL, padded so that places in it are places in the body. An expression is a SELECT of it."""

    text: str
    position: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class TypeName:
    """`kind`: "type" (`text` as SQL has it), "record", "column" (name.name%TYPE) or "row" (name%ROWTYPE)."""

    kind: str
    text: str
    position: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Declaration:
    """A variable; `alias` is what it is another name for, "$1" for an argument."""

    name: str
    position: int = field(compare=False)
    type: TypeName | None = None
    constant: bool = False
    not_null: bool = False
    default: Sql | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What is assigned to: a variable, a field of a record, an element of an array."""

    path: tuple[str, ...]
    position: int = field(compare=False)
    subscripts: tuple[Sql, ...] = ()


@dataclass(frozen=True, slots=True)
class Into:
    targets: tuple[Target, ...]
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Handler:
    """`conditions` are SQLSTATEs; "others" is all but what nobody should catch unawares."""

    conditions: tuple[str, ...]
    body: tuple[Statement, ...]
    line: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Block:
    line: int = field(compare=False)
    label: str | None
    declarations: tuple[Declaration, ...]
    body: tuple[Statement, ...]
    handlers: tuple[Handler, ...] = ()


@dataclass(frozen=True, slots=True)
class Assign:
    line: int = field(compare=False)
    target: Target
    value: Sql


@dataclass(frozen=True, slots=True)
class If:
    line: int = field(compare=False)
    branches: tuple[tuple[Sql, tuple[Statement, ...]], ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class CaseWhen:
    """`condition` names the operand, if there is one, as the variable `operand`. `otherwise` None: none was written."""

    line: int = field(compare=False)
    operand: Sql | None
    variable: str
    branches: tuple[tuple[Sql, tuple[Statement, ...]], ...]
    otherwise: tuple[Statement, ...] | None


@dataclass(frozen=True, slots=True)
class Loop:
    """LOOP, or WHILE with its condition."""

    line: int = field(compare=False)
    label: str | None
    condition: Sql | None
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class ForRange:
    line: int = field(compare=False)
    label: str | None
    variable: str
    low: Sql
    high: Sql
    step: Sql | None
    reverse: bool
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class ForRows:
    """Over the rows of a query, or (`using` is not None) of one whose text an expression gives."""

    line: int = field(compare=False)
    label: str | None
    targets: tuple[Target, ...]
    query: Sql
    using: tuple[Sql, ...] | None
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class ForEach:
    line: int = field(compare=False)
    label: str | None
    targets: tuple[Target, ...]
    array: Sql
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """EXIT, or (`again`) CONTINUE."""

    line: int = field(compare=False)
    position: int = field(compare=False)
    again: bool
    label: str | None
    condition: Sql | None


@dataclass(frozen=True, slots=True)
class Return:
    line: int = field(compare=False)
    value: Sql | None


@dataclass(frozen=True, slots=True)
class ReturnNext:
    line: int = field(compare=False)
    value: Sql | None


@dataclass(frozen=True, slots=True)
class ReturnQuery:
    line: int = field(compare=False)
    query: Sql
    using: tuple[Sql, ...] | None = None


@dataclass(frozen=True, slots=True)
class Perform:
    line: int = field(compare=False)
    query: Sql


@dataclass(frozen=True, slots=True)
class Execute:
    """EXECUTE of a text."""

    line: int = field(compare=False)
    text: Sql
    into: Into | None
    using: tuple[Sql, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A statement of SQL."""

    line: int = field(compare=False)
    statement: Sql
    into: Into | None


@dataclass(frozen=True, slots=True)
class CallProcedure:
    """CALL; `arguments` with the targets that they are, for results."""

    line: int = field(compare=False)
    name: tuple[str, ...]
    arguments: tuple[tuple[Sql, Target | None], ...]


@dataclass(frozen=True, slots=True)
class GetDiagnostics:
    """Items are names such as row_count; `stacked`: of the error that a handler has caught."""

    line: int = field(compare=False)
    stacked: bool
    items: tuple[tuple[Target, str], ...]


@dataclass(frozen=True, slots=True)
class Raise:
    """`level` is exception, warning, notice, info, log or debug. Nothing but the level: the caught error once more."""

    line: int = field(compare=False)
    level: str
    condition: str | None
    format: str | None
    arguments: tuple[Sql, ...]
    options: tuple[tuple[str, Sql], ...]

    @property
    def is_again(self) -> bool:
        return self.condition is None and self.format is None and not self.options


@dataclass(frozen=True, slots=True)
class Assert:
    line: int = field(compare=False)
    condition: Sql
    message: Sql | None


@dataclass(frozen=True, slots=True)
class Nothing:
    line: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class EndTransaction:
    """COMMIT or ROLLBACK."""

    line: int = field(compare=False)
    commit: bool


Statement = (
    Block
    | Assign
    | If
    | CaseWhen
    | Loop
    | ForRange
    | ForRows
    | ForEach
    | Leave
    | Return
    | ReturnNext
    | ReturnQuery
    | Perform
    | Execute
    | Run
    | CallProcedure
    | GetDiagnostics
    | Raise
    | Assert
    | Nothing
    | EndTransaction
)
