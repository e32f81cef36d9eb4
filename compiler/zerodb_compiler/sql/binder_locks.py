"""SELECT ... FOR UPDATE, NO KEY UPDATE, SHARE, KEY SHARE: which rows of which tables a query locks.

A locked table is scanned with row ids, which go up through the query beside its columns (`Query.locks`); whoever runs
it locks the rows it gave and drops these columns.

    select a from t where b = 1 for update     ->  a, row id of t;  then: lock these rows of t

A clause without OF means every table of its FROM, and reaches into views and subqueries there. Those that are a plain
selection of rows just pass their row ids on. But rows have to be locked below a LIMIT, and a subquery with a clause of
its own locks all rows it gives, whatever becomes of them above: such a query runs first, as a part of its own
(`statements.Part`), and what surrounds it reads its rows as a table:

    update jobs set ... where id = (select id from jobs where ... limit 1 for update skip locked)

Limit: a locking subquery that reads columns of a query around it (0A000).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from zerodb_compiler.catalog import TRANSIENT, TableInfo
from zerodb_compiler.errors import DatabaseError, NotSupportedError, ProgrammingError, error_for
from zerodb_compiler.plan.logical import CommonScan, LogicalPlan, Scan, ScanColumn, With
from zerodb_compiler.plan.transform import expressions_of, free_ids, inputs_of
from zerodb_compiler.sql import statements as st
from zerodb_compiler.sql.nodes import fold, position_of
from zerodb_compiler.types import BIGINT

if TYPE_CHECKING:
    from zerodb_compiler.sql.binder import Binder

PUSHED = "zerodb_pushed"  # an argument of exp.Lock: the clause is that of a query around this one
_FIRST_ID = -(1 << 41)


@dataclass(slots=True)
class LockingParts:
    """The locking queries of a statement that run first, in their order."""

    parts: list[st.Part] = field(default_factory=list)
    made: int = 0

    def number(self) -> int:
        self.made += 1
        return self.made

    def taken(self) -> tuple[st.Part, ...]:
        found = tuple(self.parts)
        self.parts.clear()
        return found


@dataclass(frozen=True, slots=True)
class _Clause:
    strength: st.LockStrength
    wait: st.LockWait
    names: tuple[exp.Expr, ...]  # of OF
    node: exp.Lock

    @property
    def words(self) -> str:
        return words_of(self.strength)


def words_of(strength: st.LockStrength) -> str:
    return "FOR " + strength.name.replace("_", " ")


def _clause(node: exp.Lock) -> _Clause:
    key, update = bool(node.args.get("key")), bool(node.args.get("update"))
    if update:
        strength = st.LockStrength.NO_KEY_UPDATE if key else st.LockStrength.UPDATE
    else:
        strength = st.LockStrength.KEY_SHARE if key else st.LockStrength.SHARE
    waits = {None: st.LockWait.WAIT, True: st.LockWait.ERROR, False: st.LockWait.SKIP}
    return _Clause(strength, waits[node.args.get("wait")], tuple(node.expressions), node)


class Clauses:
    """The locking clauses of one SELECT, while its FROM is bound."""

    def __init__(self, node: exp.Select | None) -> None:
        locks = (node.args.get("locks") or []) if node is not None else []
        self.clauses = [_clause(lock) for lock in locks]
        self.is_own = any(not lock.args.get(PUSHED) for lock in locks)
        self.locked: list[st.LockedTable] = []
        self._found: set[str] = set()
        for clause in self.clauses:
            for name in clause.names:
                if not isinstance(name, exp.Table) or name.args.get("db") is not None:
                    raise ProgrammingError(
                        f"{clause.words} must specify unqualified relation names", position=position_of(name)
                    )

    def _for(self, name: str | None) -> list[_Clause]:
        """The clauses that are about an item of FROM."""
        if name is not None:
            self._found.add(name)
        return [c for c in self.clauses if not c.names or any(fold(n.this) == name for n in c.names)]

    def other(self, name: str | None, what: str) -> None:
        """An item whose rows cannot be locked: 0A000 if a clause names it."""
        for clause in self._for(name):
            for named in clause.names:
                if fold(named.this) == name:
                    message = f"{clause.words} cannot be applied to {what}"
                    raise NotSupportedError(message, position=position_of(named))

    def scan(self, binder: Binder, name: str, scan: Scan) -> Scan:
        """A table's scan, with row ids if its rows are to be locked."""
        clauses = self._for(name)
        table = scan.table
        if not clauses:
            return scan
        if table.kind == "materialized view":
            raise error_for(
                "42809", f'cannot lock rows in materialized view "{table.name}"', position=position_of(clauses[0].node)
            )
        if table.kind != "table" or table.id < 0:
            return scan  # no statement changes their rows
        strength, wait = max(c.strength for c in clauses), max(c.wait for c in clauses)
        row_id = binder.column("row_id", BIGINT, False)
        if wait is st.LockWait.SKIP:
            table = _by_itself(table, f"{TRANSIENT}{row_id.id}")
        self.locked.append(st.LockedTable(scan.table, table, row_id, strength, wait))
        return replace(scan, table=table, row_id=row_id)

    def query(self, name: str | None, node: exp.Expr) -> exp.Expr:
        """A subquery or view with the clauses that reach into it."""
        clauses = self._for(name)
        if not clauses:
            return node
        inner = node
        while isinstance(inner, exp.Subquery) and not any(inner.args.get(key) for key in ("order", "limit", "offset")):
            inner = inner.this
        if isinstance(inner, exp.Values):
            return node
        if isinstance(inner, exp.SetOperation):
            raise _refused(clauses[0], "UNION/INTERSECT/EXCEPT")
        if not isinstance(inner, exp.Select):
            raise _refused(clauses[0], "this query")
        pushed = inner.copy()
        locks = [_pushed(clause) for clause in clauses]
        pushed.set("locks", [*(pushed.args.get("locks") or []), *locks])
        if inner is not node:
            outer = node.copy()
            at = outer
            while isinstance(at.this, exp.Subquery):
                at = at.this
            at.set("this", pushed)
            return outer
        return pushed

    def nullable(self, plan: LogicalPlan) -> None:
        """0A000 for the rows of a locked table on the side of an outer join where they may be missing."""
        ids = {column.id for column in plan.output}
        for locked in self.locked:
            if locked.row_id.id in ids:
                raise NotSupportedError(
                    f"{words_of(locked.strength)} cannot be applied to the nullable side of an outer join",
                    position=position_of(self.clauses[0].node),
                )

    def take(self, query: st.Query) -> None:
        """The tables that a subquery in FROM leaves to be locked by this query."""
        self.locked += query.locks

    def check_names(self) -> None:
        """42P01 for a name in OF that FROM does not have."""
        for clause in self.clauses:
            for name in clause.names:
                if fold(name.this) not in self._found:
                    raise ProgrammingError(
                        f'relation "{fold(name.this)}" in {clause.words} clause not found in FROM clause',
                        sqlstate="42P01",
                        position=position_of(name),
                    )


def _pushed(clause: _Clause) -> exp.Lock:
    lock = clause.node.copy()
    lock.set("expressions", None)
    lock.set(PUSHED, True)
    assert isinstance(lock, exp.Lock)
    return lock


def _by_itself(table: TableInfo, schema: str) -> TableInfo:
    """The table under a key that no other scan has, so that whoever runs the query can leave rows out of this one."""
    layout = replace(table.layout, has_deletes=True)
    parts = tuple(_by_itself(part, f"{schema}{TRANSIENT}{part.id}") for part in table.partitions)
    return replace(table, schema=schema, partitions=parts, layout=layout)


def _refused(clause: _Clause, what: str) -> DatabaseError:
    return NotSupportedError(f"{clause.words} is not allowed with {what}", position=position_of(clause.node))


def locks_of(node: exp.Expr) -> list[exp.Lock]:
    """The locking clauses of a query in parentheses or not."""
    while isinstance(node, exp.Subquery):
        if node.args.get("locks"):
            break
        node = node.this
    return list(node.args.get("locks") or [])


def check_set_operation(node: exp.SetOperation) -> None:
    """A union's rows are not those of a table: neither are its branches'."""
    for part in (node, node.this, node.expression):
        for lock in locks_of(part):
            raise _refused(_clause(lock), "UNION/INTERSECT/EXCEPT")


def check_values(node: exp.Values) -> None:
    for lock in locks_of(node):
        raise NotSupportedError(f"{_clause(lock).words} cannot be applied to VALUES", position=position_of(lock))


def check_select(node: exp.Select, *, aggregates: bool, windows: bool, sets: bool) -> None:
    """0A000 where a row of the result is not a row of each table."""
    locks = node.args.get("locks")
    if not locks:
        return
    clause = _clause(locks[0])
    for found, what in (
        (node.args.get("distinct"), "DISTINCT clause"),
        (node.args.get("group"), "GROUP BY clause"),
        (node.args.get("having"), "HAVING clause"),
        (aggregates, "aggregate functions"),
        (windows, "window functions"),
        (sets, "set-returning functions in the target list"),
    ):
        if found:
            raise _refused(clause, what)


# --- queries that run first -------------------------------------------------------------------------------------------


def runs_first(node: exp.Select) -> bool:
    """Whether a locking query that is part of another one is a part of its own."""
    own = any(not lock.args.get(PUSHED) for lock in node.args.get("locks") or [])
    return own or any(node.args.get(key) is not None for key in ("limit", "offset", "with_"))


def as_part(binder: Binder, query: st.Query, node: exp.Select) -> st.Query:
    """Has a locking query run before the rest of the statement; gives a query of its rows."""
    if not query.locks:
        return query
    if free_ids(query.plan):
        raise NotSupportedError(
            f"{words_of(query.locks[0].strength)} in a subquery that reads columns of a query around it "
            "is not supported",
            position=position_of(node),
        )
    if _reads(query.plan, working=True):
        raise NotSupportedError(
            f"{words_of(query.locks[0].strength)} in a recursive query is not supported", position=position_of(node)
        )
    if binder.shared.definitions and _reads(query.plan, working=False):
        query = replace(query, plan=With(tuple(binder.shared.definitions), query.plan))
    from zerodb_compiler.sql.binder_changes import transient_table

    number = binder.locking.number()
    names = tuple(f"column{i + 1}" for i in range(len(query.columns)))
    result = transient_table(f"{TRANSIENT}locked {number}", st.Returning(query.columns, names), _FIRST_ID - number)
    binder.locking.parts.append(st.Part(query, result))
    columns = tuple(binder.column(column.name, column.type, column.nullable) for column in query.columns)
    scan = Scan(result, tuple(ScanColumn(column, ordinal) for ordinal, column in enumerate(columns)))
    return st.Query(scan, columns, query.names)


def _reads(plan: LogicalPlan, *, working: bool) -> bool:
    """Whether the plan reads common tables (or a recursion's working table)."""
    if isinstance(plan, CommonScan) and plan.working is working:
        return True
    return any(_reads(part, working=working) for part in inputs_of(plan)) or any(
        _reads_in(expression, working) for expression in expressions_of(plan)
    )


def _reads_in(expression: object, working: bool) -> bool:
    from zerodb_compiler.sql.expressions import children

    plan = getattr(expression, "plan", None)
    if plan is not None and _reads(plan, working=working):
        return True
    return any(_reads_in(child, working) for child in children(expression))  # type: ignore[arg-type]
