"""Puts the joins of each region into the order that joins.py finds cheapest.

A region is a maximal tree of joins and filters: both sides of inner joins, the preserved side of the others, whose
right sides are leaves of their own ("dependents"). Leaves are ordered first. In the new tree every join has the
equalities and predicates it is the first to be able to evaluate; the right side of an inner join is to be built on.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from zerodb_compiler.plan.cardinality import Estimator, base_rows, equality_sides
from zerodb_compiler.plan.joins import EqualityClass, Member, Predicate, Region, Relation, Tree, order
from zerodb_compiler.plan.logical import Definition, Filter, Join, JoinKind, LogicalPlan, Project, Scan, With
from zerodb_compiler.plan.rules.push_predicates import implied
from zerodb_compiler.plan.transform import (
    Fresh,
    call,
    conjunction,
    conjuncts,
    filtered,
    ids_of,
    inputs_of,
    output_ids,
    same_key,
    with_inputs,
)
from zerodb_compiler.sql.expressions import Call, ColumnRef, Expression


def order_joins(plan: LogicalPlan, fresh: Fresh) -> LogicalPlan:
    return _visit(plan, Estimator())


def _visit(plan: LogicalPlan, estimator: Estimator) -> LogicalPlan:
    if _has_join(plan):
        return _Builder(estimator).ordered(plan)
    if isinstance(plan, With):
        definitions: list[Definition] = []
        for item in plan.definitions:
            definitions.append(Definition(item.common, _visit(item.plan, estimator)))
            estimator.define(item.common, definitions[-1].plan)
        return With(tuple(definitions), _visit(plan.body, estimator))
    parts = inputs_of(plan)
    return with_inputs(plan, [_visit(part, estimator) for part in parts]) if parts else plan


def _has_join(plan: LogicalPlan) -> bool:
    while isinstance(plan, Filter):
        plan = plan.input
    return isinstance(plan, Join) and plan.kind is not JoinKind.FULL


class _Builder:
    """One region on its way from the plan to joins.Region and back."""

    __slots__ = ("_after", "_conditions", "_estimator", "_ids", "_kinds", "_leaves", "_region")

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator
        self._leaves: list[LogicalPlan] = []
        self._kinds: list[tuple[JoinKind, list[Expression]]] = []
        self._conditions: list[Expression] = []
        self._ids: dict[int, int] = {}  # column id -> relation number
        self._after: list[Expression] = []

    def ordered(self, plan: LogicalPlan) -> LogicalPlan:
        self._flatten(plan)
        self._region = self._graph()
        tree = order(self._region)
        return filtered(self._plan(tree), self._after)

    def _flatten(self, plan: LogicalPlan) -> None:
        match plan:
            case Filter(input=input_, predicate=predicate) if _has_join(input_):
                self._flatten(input_)
                self._conditions.extend(conjuncts(predicate))
            case Join(kind=JoinKind.INNER, left=left, right=right, condition=condition):
                self._flatten(left)
                self._flatten(right)
                self._conditions.extend(conjuncts(condition))
            case Join(kind=kind, left=left, right=right, condition=condition) if kind is not JoinKind.FULL:
                self._flatten(left)
                self._leaf(right, kind, conjuncts(condition))
            case _:
                self._leaf(plan, JoinKind.INNER, [])

    def _leaf(self, plan: LogicalPlan, kind: JoinKind, condition: list[Expression]) -> None:
        leaf = _visit(plan, self._estimator)
        for column in leaf.output:
            self._ids[column.id] = len(self._leaves)
        self._leaves.append(leaf)
        self._kinds.append((kind, condition))

    # --- the graph --------------------------------------------------------------------------------------------------
    def _mask(self, expressions: Iterable[Expression]) -> int:
        mask = 0
        for expression in expressions:
            for id_ in ids_of(expression):
                mask |= 1 << self._ids[id_]
        return mask

    def _graph(self) -> Region:
        relations = [self._relation(i) for i in range(len(self._leaves))]
        classes: list[EqualityClass] = []
        where: dict[object, EqualityClass] = {}
        predicates: list[Predicate] = []
        for condition in self._conditions:
            mask = self._mask((condition,))
            if mask == 0:
                self._after.append(condition)
            elif mask.bit_count() == 1 and relations[mask.bit_length() - 1].kind is JoinKind.INNER:
                # Not pushed down, so not a plain filter of the leaf: apply it right above the leaf.
                number = mask.bit_length() - 1
                relation = relations[number]
                relation.plan = filtered(relation.plan, [condition])
                relation.rows = self._estimator.rows(relation.plan)
            elif not self._equality(condition, classes, where):
                predicates.append(Predicate(condition, mask, self._selectivity(condition, mask)))
        classes = [equal for equal in classes if equal.members]
        self._keys(relations, classes)
        return Region(relations, classes, predicates)

    def _keys(self, relations: list[Relation], classes: list[EqualityClass]) -> None:
        """Fills in which class a relation is ordered by and which hold its composite primary key."""
        where = {
            member.expression.column.id: number
            for number, equal in enumerate(classes)
            for member in equal.members
            if isinstance(member.expression, ColumnRef)
        }
        for relation in relations:
            columns = _key_columns(relation.plan)
            if columns:
                relation.order = where.get(columns[0])
            if len(columns) > 1 and all(id_ in where for id_ in columns):
                relation.key = frozenset(where[id_] for id_ in columns)

    def _relation(self, number: int) -> Relation:
        leaf = self._leaves[number]
        kind, condition = self._kinds[number]
        rows = self._estimator.rows(leaf)
        relation = Relation(leaf, rows, base_rows(leaf), kind)
        if kind is JoinKind.INNER:
            return relation
        relation.condition = tuple(condition)
        relation.requires = self._mask(condition) & ~(1 << number)
        if relation.requires == 0:  # no edge: it joins the first relation of its own left side
            relation.requires = 1
        right_ids = output_ids(leaf)
        sides = [equality_sides(part, right_ids) for part in condition]
        relation.has_keys = any(side is not None for side in sides)
        lefts = self._mask(side[0] for side in sides if side is not None)
        bound = base_rows(self._leaves[lefts.bit_length() - 1]) if lefts.bit_count() == 1 else float("inf")
        relation.selectivity = self._estimator.key_selectivity(
            condition, right_ids, (bound, rows), (bound, base_rows(leaf))
        )
        relation.share = self._estimator.match_share(condition, leaf, rows)
        return relation

    def _selectivity(self, condition: Expression, mask: int) -> float:
        """Of a condition over several relations, beyond what it implied for each of them."""
        whole = self._estimator.selectivity(condition)
        if not (isinstance(condition, Call) and condition.function == "or"):
            return whole
        for number, leaf in enumerate(self._leaves):
            if mask >> number & 1:
                derived = implied(condition, output_ids(leaf))
                if derived is not None:
                    whole /= max(1e-6, self._estimator.selectivity(derived))
        return min(1.0, whole)

    def _equality(
        self, condition: Expression, classes: list[EqualityClass], where: dict[object, EqualityClass]
    ) -> bool:
        """Adds an equality of two relations to the classes."""
        if not (isinstance(condition, Call) and condition.function == "eq"):
            return False
        first, second = condition.arguments
        one, two = self._mask((first,)), self._mask((second,))
        if one.bit_count() != 1 or two.bit_count() != 1 or one == two:
            return False
        for mask in (one, two):  # below a LEFT join a column may be NULL: equalities above it are not transitive keys
            if self._kinds[mask.bit_length() - 1][0] is not JoinKind.INNER:
                return False
        keys = (same_key(first), same_key(second))
        target = where.get(keys[0])
        other = where.get(keys[1])
        if target is None and other is None:
            target = EqualityClass([])
            classes.append(target)
        elif target is None:
            target = other
        elif other is not None and other is not target:
            for member in other.members:
                target.members.append(member)
                where[same_key(member.expression)] = target
            target.mask |= other.mask
            other.members = []
        assert target is not None
        for key, expression, mask in ((keys[0], first, one), (keys[1], second, two)):
            if key not in where:
                number = mask.bit_length() - 1
                distinct = self._estimator.expression(expression, self._estimator.rows(self._leaves[number])).distinct
                target.members.append(Member(number, expression, distinct))
                target.mask |= mask
            where[key] = target
        return True

    # --- the plan ---------------------------------------------------------------------------------------------------
    def _plan(self, tree: Tree) -> LogicalPlan:
        if tree.left is None or tree.right is None:
            return self._closed(tree)
        left, right = tree.left, tree.right
        parts = self._equalities(left, right)
        extra = [
            predicate.expression
            for predicate in self._region.predicates
            if predicate.mask & ~tree.mask == 0 and predicate.mask & ~left.mask and predicate.mask & ~right.mask
        ]
        relation = self._region.relations[right.relation] if right.relation >= 0 else None
        if relation is not None and relation.kind is not JoinKind.INNER:
            joined = Join(relation.kind, self._plan(left), relation.plan, conjunction(relation.condition))
            extra += [
                predicate.expression
                for predicate in self._region.predicates
                if predicate.mask == right.mask  # over columns the join may have filled with NULLs
            ]
            return filtered(joined, extra)
        return Join(JoinKind.INNER, self._plan(left), self._plan(right), conjunction(parts + extra))

    def _closed(self, tree: Tree) -> LogicalPlan:
        """A leaf, with the equalities that its own columns owe to a class (a = b and a = c, b and c of one leaf)."""
        relation = self._region.relations[tree.relation]
        own: list[Expression] = []
        for equal in self._region.classes:
            members = [member for member in equal.members if member.relation == tree.relation]
            for member in members[1:]:
                own.append(call("eq", members[0].expression, member.expression))
        return filtered(relation.plan, own)

    def _equalities(self, left: Tree, right: Tree) -> list[Expression]:
        """One equality for each class with members on both sides."""
        shared = left.distinct.keys() & right.distinct.keys()
        found: list[Expression] = []
        for number in sorted(shared):
            equal = self._region.classes[number]
            one = self._representative(equal, number, left.mask, shared)
            two = self._representative(equal, number, right.mask, shared)
            found.append(call("eq", one.expression, two.expression))
        return found

    def _representative(self, equal: EqualityClass, number: int, mask: int, shared: Set[int]) -> Member:
        """The column of a composite primary key that the join covers, else the one with the fewest distinct values."""
        members = [member for member in equal.members if mask >> member.relation & 1]
        for member in members:
            key = self._region.relations[member.relation].key
            if number in key and key <= shared:
                return member
        return min(members, key=lambda member: member.distinct)


def _key_columns(plan: LogicalPlan) -> list[int]:
    """The primary key columns of the base table that a leaf consists of, in their order; segments are sorted by it."""
    while isinstance(plan, Filter | Project) or (isinstance(plan, Join) and plan.kind is not JoinKind.INNER):
        plan = plan.left if isinstance(plan, Join) else plan.input
    if not isinstance(plan, Scan):
        return []
    places = {item.ordinal: item.column.id for item in plan.columns}
    key = plan.table.primary_key
    return [places[ordinal] for ordinal in key] if all(ordinal in places for ordinal in key) else []
