"""Commits of one row: a row that comes, one that goes, or both (an UPDATE by key), as a transaction of their own.

They stand in the same queue, in the same batches and under the same locks as all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zerodb_storage import few_rows, publishing
from zerodb_storage.few_rows import FewRows
from zerodb_storage.locks import Outdated
from zerodb_storage.publishing import HARD, Plan
from zerodb_storage.recovery import TableState
from zerodb_storage.table import TableVersion


@dataclass(slots=True, eq=False)
class PointCommit:
    """`after` is the table with the change, once it is published (None where it was done the general way)."""

    few: FewRows
    after: TableVersion | None = None


def add(plan: Plan, commit: PointCommit, segment_ids: Iterator[int]) -> None:
    """As publishing.add."""
    few = commit.few
    base = few.base
    newest = plan.by_id.get(base.id)
    if newest is None or newest.schema_version != base.schema_version:
        raise Outdated
    state = plan.states.get(base.id) or TableState()
    made = None
    if newest.numbering is base.numbering and not publishing.is_over(state, HARD):
        made = few_rows.grown(newest, few_rows.masks_without(newest, few.gone), few.rows, plan.sequence + 1)
    if made is None:
        publishing.add_rows(plan, few_rows.as_changes(few), base, newest, state, segment_ids)
        return
    plan.sequence += 1
    publishing.log_few(plan, made, few, few_rows.stable_ids(newest, few.gone))
    commit.after = made
