"""What the function families share: kernel calls under NULL flags, and their error statuses.

A kernel is not run where an argument is NULL: it might read what is not there, build a text for nothing or report an
error about it. Results are zeros then, so truth values are normalised (sqlvalues.Bool) by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from zerodb_compiler.codegen import abi
from zerodb_compiler.codegen.comparison import to_text
from zerodb_compiler.codegen.context import Emitter
from zerodb_compiler.codegen.sqlvalues import Int, SqlValue, Text
from zerodb_compiler.kernels import errors
from zerodb_compiler.wasm.values import I32, I64, Value, select

Error = tuple[str, str]  # SQLSTATE and message


def as_text(e: Emitter, value: SqlValue) -> Text:
    """The string of a value, readable any number of times."""
    text = e.keep_value(to_text(e, value))
    assert isinstance(text, Text)
    return text


def as_i64(value: SqlValue) -> I64:
    """An argument of an integer type, or a date or timestamp."""
    assert isinstance(value, Int)
    return value.value


@contextmanager
def unless_null(e: Emitter, null: I32 | None) -> Iterator[None]:
    """Runs the body where `null` is 0."""
    if null is None:
        yield
    else:
        with e.f.if_(null.is_zero()):
            yield


def zeros(e: Emitter, null: I32 | None, *kinds: type[Value]) -> tuple[Any, ...]:
    """Locals for results that are set under `unless_null`: zero where NULL, whatever an earlier row left in them."""
    locals_ = tuple(e.f.local(kind) for kind in kinds)
    if null is not None:
        for local in locals_:
            local.set(_ZERO[local.kind])
    return locals_


_ZERO: Mapping[str, int | float] = {"i32": 0, "i64": 0, "f64": 0.0}


def run(
    e: Emitter,
    null: I32 | None,
    kernel: Callable[..., Any],
    *arguments: Value,
    failures: Mapping[int, Error] | None = None,
    position: int | None = None,
) -> tuple[Any, ...]:
    """The results of a kernel in locals, zeros where NULL. With `failures` the last result is a status of
    kernels/errors.py, which is checked and left out: each status the kernel can give has its error here, but for
    OUT_OF_MEMORY."""
    target = e.context.kernel(kernel)
    kinds = target.signature.results if failures is None else target.signature.results[:-1]
    if null is None:
        results = e.f.run(target, *arguments)
        if failures is not None:
            check(e, results[-1], failures, position)
        return results[: len(kinds)]
    kept = zeros(e, null, *kinds)
    with unless_null(e, null):
        results = e.f.run(target, *arguments)
        if failures is not None:
            check(e, results[-1], failures, position)
        for local, result in zip(kept, results, strict=False):
            local.set(result)
    return kept


def check(e: Emitter, status: I32, failures: Mapping[int, Error], position: int | None) -> None:
    """Leaves the function with the error of a kernel's status."""
    if not failures:
        return
    with e.f.if_(status):
        e.fail_if(status == errors.OUT_OF_MEMORY, abi.STATUS_OUT_OF_MEMORY)
        *others, last = failures.items()
        for number, error in others:
            e.error_if(status == number, *error, position)
        e.fail(e.context.error_status(*last[1], position))


def view(parts: tuple[Any, ...], null: I32 | None) -> Text:
    """The text of an address and a length."""
    address, length = parts
    return Text(address, length, null)


def build_text(e: Emitter, null: I32 | None, kernel: Callable[..., Any], *arguments: Value) -> Text:
    """The text that a kernel builds in scratch memory, given its arguments after the worker. Address 0 from a kernel
    means that there is no memory."""
    address, length = zeros(e, null, I32, I32)
    with unless_null(e, null):
        results = e.f.run(e.context.kernel(kernel), e.worker, *arguments)
        e.fail_if(results[0].is_zero(), abi.STATUS_OUT_OF_MEMORY)
        address.set(results[0])
        length.set(results[1])
    return Text(address, length, null)


def present(value: I32, null: I32 | None) -> I32:
    """A length or count, 0 where NULL."""
    return value if null is None else select(null, I32.const(0), value)


__all__ = ["as_i64", "as_text", "build_text", "check", "present", "run", "unless_null", "view", "zeros"]
