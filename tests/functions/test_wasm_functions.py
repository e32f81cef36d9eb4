"""What holds for functions of components and of core modules alike: batches, errors, limits, threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.functions.asking import failure

from zerodb.functions import component_functions, core_functions
from zerodb.functions.body import called_by

Body = Callable[..., Any]
BATCH_ROWS = {"plain": component_functions.BATCH_ROWS, "core": core_functions.BATCH_ROWS}
REFUSAL = {"plain": ("22P02", "it is negative"), "core": ("38000", "negative")}

pytestmark = pytest.mark.parametrize("module", ["plain", "core"])


def test_many_rows_in_batches(body: Body, module: str) -> None:
    double, batch = body("f(a bigint)", "bigint", module, "double"), BATCH_ROWS[module]
    for rows in (0, 1, batch - 1, batch, batch + 1, 65_537):
        values = np.arange(rows) - rows // 2
        assert double.call([pa.array(values)], rows).to_numpy().tolist() == (2 * values).tolist()


def test_errors_name_the_row(body: Body, module: str) -> None:
    failing, batch = body("f(a bigint)", "bigint", module, "failing"), BATCH_ROWS[module]
    assert failing.call([pa.array([1, 2])], 2).to_pylist() == [1, 2]
    assert failure(lambda: failing.call([pa.array([1, -2])], 2)) == (*REFUSAL[module], 1)
    values = np.ones(batch + 10, np.int64)
    values[batch + 3] = -1
    assert failure(lambda: failing.call([pa.array(values)], len(values)))[2] == batch + 3
    assert failing.call([pa.array([3])], 1).to_pylist() == [3]


def test_a_trap_ends_the_instance_only(body: Body, module: str) -> None:
    trapped, double = (body(f"{name}(a bigint)", "bigint", module, name) for name in ("trapped", "double"))
    for _ in range(2):
        state, message, row = failure(lambda: trapped.call([pa.array([1])], 1))
        assert (state, row) == ("39000", None)
        assert message.startswith("it trapped: wasm `unreachable` instruction executed")
        assert double.call([pa.array([1])], 1).to_pylist() == [2]


def test_an_endless_loop_is_stopped(body: Body, module: str) -> None:
    forever = body("f(a bigint)", "bigint", module, "forever")
    stopped: list[str | None] = [None]
    timer = threading.Timer(0.1, lambda: stopped.__setitem__(0, "the statement was interrupted"))
    timer.start()
    with called_by(None, lambda: stopped[0]):
        found = failure(lambda: forever.call([pa.array([1])], 1))
    timer.join()
    assert found == ("57014", "the statement was interrupted", None)


def test_threads_have_instances_of_their_own(body: Body, module: str) -> None:
    double = body("f(a bigint)", "bigint", module, "double")
    wrong: list[int] = []

    def work(seed: int) -> None:
        values = np.arange(40_000) * seed
        for _ in range(4):
            if not np.array_equal(double.call([pa.array(values)], len(values)).to_numpy(), 2 * values):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    if module == "core":
        assert 1 <= len(double._idle) <= 4
