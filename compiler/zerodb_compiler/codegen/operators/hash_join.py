"""Hash join: the build side goes into tuple buffers, then into a directory of chains; the probe side streams.

    directory   one i32 per slot: the first tuple of the chain, 0 for none
    tuple       next tuple of the chain (i32) | hash (i32) | keys and payload
                (FULL: flags (i32) and 4 spare bytes before the keys)

With a single integer key whose values turn out to lie close together (primary keys mostly do), the directory is indexed
by key - least key: no hashing, no collisions, no comparison. Which of the two it is, is known when the build side has
been read; the code for both is there, and the flag never changes during a probe.
"""

from __future__ import annotations

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.comparison import compare, hash_values, to_text, to_wide
from zerodb_compiler.codegen.context import Context, Emitter, define
from zerodb_compiler.codegen.expressions import Environment, condition, evaluate
from zerodb_compiler.codegen.operators import produce as produce_plan
from zerodb_compiler.codegen.operators.buffered import RowBuffer
from zerodb_compiler.codegen.operators.full_join import NULL_KEY, BothSides, mark_matched, produce_unmatched
from zerodb_compiler.codegen.operators.project import ids_of, output_of
from zerodb_compiler.codegen.pipeline import Consumer, PipelineEmitter, RowCounter, set_finish
from zerodb_compiler.codegen.sqlvalues import Code, Int, SqlValue, either_null, fits_i64, with_null
from zerodb_compiler.codegen.tuples import each_worker
from zerodb_compiler.plan.logical import JoinKind
from zerodb_compiler.plan.physical import HashJoin
from zerodb_compiler.sql.expressions import Column, Expression
from zerodb_compiler.wasm.values import I32, I64, load, select

HEADER = 8
FULL_HEADER = 16
NEXT, HASH, FLAGS = 0, 4, 8
MOST_DENSE_SLOTS = 1 << 24  # 64 MiB: beyond, only as many as the build side has rows, times eight
_FILTERS = (JoinKind.SEMI, JoinKind.ANTI, JoinKind.ANTI_NULL_AWARE)
_PRESERVING = (JoinKind.LEFT, JoinKind.SINGLE, JoinKind.FULL)


def join_keys(e: Emitter, expressions: tuple[Expression, ...], env: Environment) -> list[SqlValue]:
    """Key values in a form that depends on their SQL type only, so that both sides hash and compare alike."""
    values: list[SqlValue] = []
    for expression in expressions:
        value = evaluate(e, expression, env)
        if isinstance(value, Code):
            value = to_text(e, value)
        if isinstance(value, Int) and not fits_i64(*expression.type.bounds):
            value = to_wide(e.keep_value(value))
        values.append(e.keep_value(value))
    return values


class HashTable:
    """Query fields that the build side leaves for the probe side."""

    def __init__(self, context: Context) -> None:
        self.directory = context.query.reserve(4, 4)
        self.mask = context.query.reserve(4, 4)
        self.dense = context.query.reserve(4, 4)
        self.count = context.query.reserve(4, 4)
        self.least = context.query.reserve(8)
        self.range = context.query.reserve(8)  # greatest key - least key, unsigned; only if dense
        self.null_key = context.query.reserve(4, 4)


class HashBuild:
    """The sink of the build side."""

    def __init__(self, context: Context, plan: HashJoin, payload: tuple[int, ...], table: HashTable) -> None:
        self._context, self._plan, self._table = context, plan, table
        self.payload = payload
        self.is_full = plan.kind is JoinKind.FULL
        self.rows = RowBuffer(context, payload, FULL_HEADER if self.is_full else HEADER)
        self.key_count = len(plan.build_keys)
        self.dense_possible = self.key_count == 1
        self._bounds = context.worker.reserve(16)

    def describe(self) -> list[str]:
        return [f"build hash table for {self._plan.kind.value} join"]

    def begin(self, p: PipelineEmitter) -> None:
        self.rows.begin(p)
        if self.dense_possible:
            # Least and greatest key so far, both stored XOR-ed so that zeroed memory means "none yet".
            self._least = p.f.let(load("i64.load", p.worker, self._bounds) ^ I64.const((1 << 63) - 1), "least")
            self._greatest = p.f.let(load("i64.load", p.worker, self._bounds + 8) ^ I64.const(-(1 << 63)), "greatest")

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        p.f.comment(f"hash join ({self._plan.kind.value}): add a row to the build side")
        keys = join_keys(p, self._plan.build_keys, env)
        null = either_null(*(key.null for key in keys))
        if null is not None and self._plan.kind is JoinKind.ANTI_NULL_AWARE:
            null = p.keep(null)
            assert null is not None
            with p.f.if_(null):
                p.set_query_i32(self._table.null_key, I32.const(1))
        self.dense_possible = self.dense_possible and isinstance(keys[0], Int)
        if self.is_full:
            null = p.keep(null)
        # A NULL key matches nothing; a FULL join gives its row nevertheless.
        with p.only_if(None if null is None or self.is_full else null.is_zero()):
            keys = [with_null(key, None) for key in keys]
            payload = [p.keep_value(env[id_]) for id_ in self.payload]
            hash_ = hash_values(p, tuple(keys))
            place = self.rows.append(p, keys + payload)
            p.f.store("i32.store", place, hash_.to_i32(), HASH)
            if self.is_full:
                p.f.store("i32.store", place, I32.const(0) if null is None else null * NULL_KEY, FLAGS)
            if self.dense_possible:
                key = keys[0]
                assert isinstance(key, Int)
                with p.only_if(null.is_zero() if self.is_full and null is not None else None):
                    self._least.set(select(key.value < self._least, key.value, self._least))
                    self._greatest.set(select(key.value > self._greatest, key.value, self._greatest))

    def end(self, p: PipelineEmitter) -> None:
        if self.dense_possible:
            p.f.store("i64.store", p.worker, self._least ^ I64.const((1 << 63) - 1), self._bounds)
            p.f.store("i64.store", p.worker, self._greatest ^ I64.const(-(1 << 63)), self._bounds + 8)
        self.rows.end(p)

    # --- the directory ----------------------------------------
    def define_finish(self) -> str:
        return define(self._context, self._context.fresh("build_directory"), self._finish)

    def _finish(self, e: Emitter) -> None:
        f, table = e.f, self._table
        assert self.rows.buffer is not None and self.rows.layout is not None
        total = f.local(I32, "tuples")
        least, greatest = f.let(I64.const((1 << 63) - 1), "least"), f.let(I64.const(-(1 << 63)), "greatest")
        with each_worker(e, e.worker) as worker:
            total.set(total + load("i32.load", worker, self.rows.buffer.field + self.rows.buffer.COUNT))
            if self.dense_possible:
                low = f.let(load("i64.load", worker, self._bounds) ^ I64.const((1 << 63) - 1))
                high = f.let(load("i64.load", worker, self._bounds + 8) ^ I64.const(-(1 << 63)))
                least.set(select(low < least, low, least))
                greatest.set(select(high > greatest, high, greatest))
        slots = f.let(I32.const(16), "slots")
        dense = f.local(I32, "dense")
        range_ = f.let(greatest - least, "range")
        if self.dense_possible:
            # Worth it if the directory is not much larger than what hashing takes, or than what the probe side reads.
            limit = total.to_i64_u() * 8 + max(1024, min(2 * int(self._plan.probe.rows), MOST_DENSE_SLOTS))
            dense.set((total != 0) & range_.less_u(limit))
        with f.if_(dense):
            slots.set(range_.to_i32() + 1)
        with f.else_(), f.block() as enough, f.loop() as again:
            enough.break_if(slots.greater_equal_u(total * 2))
            slots.set(slots * 2)
            again.continue_()
        directory = e.allocate(slots * 4, abi.ALLOCATE_ARENA, "directory")
        f.memory_fill(directory, 0, slots * 4)
        mask = f.let(slots - 1, "mask")
        self._link(e, directory, mask, dense, least)
        for offset, value in (
            (table.directory, directory),
            (table.mask, mask),
            (table.dense, dense),
            (table.count, total),
        ):
            e.set_query_i32(offset, value)
        f.store("i64.store", e.query, least, table.least)
        f.store("i64.store", e.query, range_, table.range)

    def _link(self, e: Emitter, directory: I32, mask: I32, dense: I32, least: I64) -> None:
        f = e.f
        assert self.rows.buffer is not None and self.rows.layout is not None
        with self.rows.buffer.each_of_all(e) as place:
            linked = (load("i32.load", place, FLAGS) & NULL_KEY).is_zero() if self.is_full else None
            with e.only_if(linked):
                index = f.let(load("i32.load", place, HASH) & mask, "index")
                if self.dense_possible:
                    key = self.rows.layout.read(place)[0]
                    assert isinstance(key, Int)
                    with f.if_(dense):
                        index.set((key.value - least).to_i32())
                slot = f.let(directory + index * 4, "slot")
                f.store("i32.store", place, load("i32.load", slot), NEXT)
                f.store("i32.store", slot, place)


class HashProbe:
    """The probe side's step in its pipeline."""

    def __init__(self, plan: HashJoin, build: HashBuild, table: HashTable, next_: Consumer) -> None:
        self._plan, self._build, self._table, self.next = plan, build, table, next_

    def describe(self) -> list[str]:
        return [f"probe for {self._plan.kind.value} join", *self.next.describe()]

    def begin(self, p: PipelineEmitter) -> None:
        f, table = p.f, self._table
        self._directory = f.let(p.query_i32(table.directory), "directory")
        self._mask = f.let(p.query_i32(table.mask), "mask")
        if self._build.dense_possible:
            self._dense = f.let(p.query_i32(table.dense), "dense")
            self._least = f.let(load("i64.load", p.query, table.least), "least")
            self._range = f.let(load("i64.load", p.query, table.range), "range")
        if not (self._plan.build_unique or self._plan.kind in _FILTERS or self._plan.kind is JoinKind.SINGLE):
            p.rows_bound = None
        self.next.begin(p)

    def end(self, p: PipelineEmitter) -> None:
        self.next.end(p)

    def row(self, p: PipelineEmitter, env: Environment) -> None:
        f, kind = p.f, self._plan.kind
        f.comment(f"hash join ({kind.value}): probe")
        keys = join_keys(p, self._plan.probe_keys, env)
        null = p.keep(either_null(*(key.null for key in keys)))
        place = self._first(p, keys, null)
        match kind:
            case JoinKind.SEMI:
                self._search(p, place, keys, env)
                with f.if_(place):
                    self.next.row(p, env)
            case JoinKind.ANTI:
                self._search(p, place, keys, env)
                with f.if_(place.is_zero()):
                    self.next.row(p, env)
            case JoinKind.ANTI_NULL_AWARE:
                self._search(p, place, keys, env)
                empty = (p.query_i32(self._table.count) | p.query_i32(self._table.null_key)).is_zero()
                none = place.is_zero() & p.query_i32(self._table.null_key).is_zero()
                passes = none if null is None else select(null, empty, none)
                with f.if_(passes):
                    self.next.row(p, env)
            case _:
                self._matches(p, place, keys, env)

    def _first(self, p: PipelineEmitter, keys: list[SqlValue], null: I32 | None) -> I32:
        """The first tuple of the chain that could match, in a local."""
        f = p.f
        place = f.local(I32, "match")
        place.set(I32.const(0))

        def by_hash() -> None:
            hash_ = hash_values(p, tuple(with_null(key, None) for key in keys))
            place.set(load("i32.load", self._directory + (hash_.to_i32() & self._mask) * 4))

        with p.only_if(None if null is None else null.is_zero()):
            if not self._build.dense_possible:
                by_hash()
                return place
            key = keys[0]
            assert isinstance(key, Int)
            with f.if_(self._dense):
                index = f.let(key.value - self._least, "index")
                with f.if_(index.less_equal_u(self._range)):
                    place.set(load("i32.load", self._directory + index.to_i32() * 4))
            with f.else_():
                by_hash()
        return place

    def _is_match(self, p: PipelineEmitter, place: I32, keys: list[SqlValue], env: Environment) -> I32:
        layout = self._build.rows.layout
        assert layout is not None
        stored = layout.read(place)[: len(keys)]
        same: I32 | None = None
        for key, other in zip(keys, stored, strict=True):
            equal = compare(p, "eq", with_null(key, None), other)
            same = equal if same is None else same & equal
        assert same is not None
        if self._build.dense_possible:
            same = I32(self._dense.code + b"\x04\x7f\x41\x01\x05" + same.code + b"\x0b")
        if not self._plan.residual:
            return same
        match = p.f.let(same, "is_match")
        with p.f.if_(match):
            both = self._environment(env, place, None)
            for predicate in self._plan.residual:
                with p.f.if_(match):
                    match.set(condition(p, predicate, both))
        return match

    def _environment(self, env: Environment, place: I32, null: I32 | None) -> dict[int, SqlValue]:
        layout = self._build.rows.layout
        assert layout is not None
        both = dict(env)
        for id_, value in zip(self._build.payload, layout.read(place)[self._build.key_count :], strict=True):
            both[id_] = value if null is None else with_null(value, either_null(value.null, null))
        return both

    def _search(self, p: PipelineEmitter, place: I32, keys: list[SqlValue], env: Environment) -> None:
        """Moves `place` on to the next tuple that matches, or 0."""
        f = p.f
        with f.block() as found, f.loop() as again:
            found.break_if(place.is_zero())
            found.break_if(self._is_match(p, place, keys, env))
            place.set(load("i32.load", place, NEXT))  # type: ignore[attr-defined]
            again.continue_()

    def _matches(self, p: PipelineEmitter, place: I32, keys: list[SqlValue], env: Environment) -> None:
        """INNER, LEFT and SINGLE: the consumer's code stands once, in a loop over the matches; for the preserving kinds
        the loop runs once with tuple 0, whose values read as zeros and are marked NULL, if there was no match."""
        f, kind = p.f, self._plan.kind
        if not self._plan.build_unique:
            # One morsel may have billions of matches.
            p.check_interrupt()
        preserving = kind in _PRESERVING
        matched = f.local(I32, "matched") if preserving else None
        if matched is not None:
            matched.set(I32.const(0))
        with f.block() as done, f.loop() as again:
            self._search(p, place, keys, env)
            if matched is None:
                done.break_if(place.is_zero())
            else:
                done.break_if(place.is_zero() & matched)
                if kind is JoinKind.SINGLE:
                    p.error_if(matched, "21000", "more than one row returned by a subquery used as an expression", None)
                matched.set(I32.const(1))
            null = f.let(place.is_zero(), "no_match") if preserving else None
            if kind is JoinKind.FULL:
                mark_matched(p, place, FLAGS)
            self.next.row(p, self._environment(env, place, null))
            if preserving:
                done.break_if(place.is_zero())
            if self._plan.build_unique and kind is not JoinKind.SINGLE:
                done.break_()
            else:
                place.set(load("i32.load", place, NEXT))  # type: ignore[attr-defined]
                again.continue_()


def produce(context: Context, plan: HashJoin, consumer: Consumer, needed: frozenset[int]) -> None:
    table = HashTable(context)
    read = needed | ids_of(plan.residual)
    payload = tuple(column.id for column in output_of(plan.build) if column.id in read)
    build = HashBuild(context, plan, payload, table)
    produce_plan(context, plan.build, RowCounter(build), frozenset(payload) | ids_of(plan.build_keys))
    set_finish(context, build.define_finish())
    columns: tuple[Column, ...] = ()
    if plan.kind is JoinKind.FULL:
        columns = tuple(column for column in output_of(plan) if column.id in needed)
        consumer = BothSides(columns, consumer)
    probe = HashProbe(plan, build, table, consumer)
    produce_plan(context, plan.probe, probe, (read - frozenset(payload)) | ids_of(plan.probe_keys))
    if plan.kind is JoinKind.FULL:
        produce_unmatched(context, build.rows, build.key_count, payload, columns, FLAGS, consumer)
