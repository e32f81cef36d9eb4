"""A compiled program: its module in up to two tiers, with pools of instances and frames ready to run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import wasmtime

from zerodb.engine.frame import Frame
from zerodb.engine.memory import Memory
from zerodb.engine.result import RowDecoder, arrow_schema
from zerodb.engine.tiers import Callback, Instance, Tier
from zerodb_compiler.codegen.program import Program

# Cranelift takes 5 to 50 ms for a query; Winch's code is about 1.7 times slower.
OPTIMIZED_AFTER_S = 0.001


@dataclass(slots=True)
class CompileStatistics:
    """Seconds per tier (0 for what has not been compiled) and whether its artifact came from the cache."""

    seconds: dict[Tier, float] = field(default_factory=dict)
    from_cache: set[Tier] = field(default_factory=set)


class CompiledProgram:
    """Made by Engine.compile. `tier` is the best tier that is ready; it may rise at any moment."""

    def __init__(
        self,
        program: Program,
        engines: dict[Tier, wasmtime.Engine],
        memory: Memory,
        allocate: Callback,
        garbage: deque[Frame],
        optimize: Callable[[CompiledProgram], None] | None = None,
    ) -> None:
        self.program = program
        self.decoder = RowDecoder(program.output)
        self.schema = arrow_schema(program.output)
        self.numbers = {name: number for number, name in enumerate(program.entries)}
        self.statistics = CompileStatistics()
        self.tier: Tier | None = None
        self.failure: Exception | None = None
        self._optimized = threading.Event()
        self._optimize = optimize  # None once it was asked for
        self._seconds = 0.0
        self._engines, self._memory, self._allocate, self._garbage = engines, memory, allocate, garbage
        self._modules: dict[Tier, wasmtime.Module] = {}
        self._idle: dict[Tier, list[Instance]] = {tier: [] for tier in engines}
        self.frames: dict[int, list[Frame]] = {}

    def add_module(self, tier: Tier, module: wasmtime.Module) -> None:
        """Makes a tier available; the first instance is made here so that no morsel waits for it."""
        self._modules[tier] = module
        self._idle[tier].append(self._new_instance(tier, module))
        if self.tier is None or tier > self.tier:
            self.tier = tier
        if tier is Tier.CRANELIFT:
            self._optimized.set()

    def give_up_optimizing(self, failure: Exception | None) -> None:
        self.failure = failure
        self._optimized.set()

    def optimize(self) -> None:
        """Asks for the fast code, in the background. Most statements run once over few rows and are over before it
        would be ready: a pipeline of several morsels asks for it, and `ran`."""
        ask, self._optimize = self._optimize, None
        if ask is not None and self.tier is not Tier.CRANELIFT:
            ask(self)

    def ran(self, seconds: float) -> None:
        """An execution took so long. Once all together took OPTIMIZED_AFTER_S, faster code is worth its price."""
        if self._optimize is not None:
            self._seconds += seconds
            if self._seconds >= OPTIMIZED_AFTER_S:
                self.optimize()

    @property
    def is_final(self) -> bool:
        """Whether the code will not get any faster."""
        return self._optimized.is_set() or (self.tier is not None and self.tier is max(self._engines))

    def wait_optimized(self, timeout: float | None = None) -> bool:
        """Asks for the fast code and waits until it is ready (or its compilation was given up)."""
        self.optimize()
        return self._optimized.wait(timeout) and self.tier is Tier.CRANELIFT

    def check_out(self) -> Instance:
        """An instance of the best tier for one thread."""
        while True:
            tier = self.tier
            assert tier is not None
            try:
                return self._idle[tier].pop()
            except IndexError:
                module = self._modules.get(tier)
            if module is not None:  # else the tier has risen this moment, and the slow module is gone
                return self._new_instance(tier, module)

    def check_in(self, instance: Instance) -> None:
        if instance.tier is self.tier:
            self._idle[instance.tier].append(instance)
        elif self.tier is not None:
            # Slow code is not needed again.
            self._idle[instance.tier].clear()
            self._modules.pop(instance.tier, None)

    def _new_instance(self, tier: Tier, module: wasmtime.Module) -> Instance:
        memory = self._memory.shared[list(self._engines).index(tier)]
        return Instance(tier, self._engines[tier], module, memory, self._allocate, self.program.entries)

    def __del__(self) -> None:
        # Not freed here: a collection may run while this thread holds the allocator's lock.
        for frames in getattr(self, "frames", {}).values():
            self._garbage.extend(frames)
