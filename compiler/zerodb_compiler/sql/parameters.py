"""Values a statement gets at execution: the user's parameters, and literals lifted out of the text.

While an expression is being bound, a constant is not yet an Expression: what a literal means depends on what it stands
beside ('1994-01-01' is a date next to a date column). So it travels as a `Constant`, with the steps that lead from the
literal's text to its value, until someone says which type is wanted. Then it is either *lifted*: a Parameter, with the
steps kept so that another text of the same shape can fill the slot without parsing; or *baked*: a Literal, and then the
compiled statement is only good for texts with exactly this literal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zerodb_compiler.errors import ProgrammingError
from zerodb_compiler.sql.expressions import Expression, Literal, Parameter
from zerodb_compiler.sql.values import Value
from zerodb_compiler.types import NULL, TEXT, TIMESTAMPTZ, SqlType

if TYPE_CHECKING:
    from zerodb_compiler.sql.variables import Variables

Step = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Constant:
    """A value known while binding. `type` is NULL for an untyped string or the NULL literal.

    `sources` are the text offsets of all literals it was made from; `steps` turn the text of the only source, or the
    tuple of the texts of several, into `value`; they are None where the value cannot be lifted.
    """

    type: SqlType
    value: Value
    position: int | None = None
    sources: tuple[int, ...] = ()
    steps: tuple[Step, ...] | None = None


@dataclass(frozen=True, slots=True)
class UserValue:
    """A user's parameter whose type the context has yet to give."""

    slot: int
    position: int | None


def merged(
    left: Constant, right: Constant, operation: Callable[[Any, Any], Any]
) -> tuple[tuple[int, ...], tuple[Step, ...] | None]:
    """Sources and steps of `operation` over two constants, so that the result of constant arithmetic can be lifted."""
    sources = left.sources + right.sources
    if left.steps is None or right.steps is None or not left.sources or not right.sources:
        return sources, None
    first, read_left, read_right = len(left.sources), compose(left.steps), compose(right.steps)

    def step(texts: tuple[str, ...]) -> Any:
        a, b = texts[:first], texts[first:]
        return operation(read_left(a if len(a) > 1 else a[0]), read_right(b if len(b) > 1 else b[0]))

    return sources, (step,)


@dataclass(frozen=True, slots=True)
class Moment:
    """Stands where a parameter's value is the time of the transaction, the statement or the call: the host puts it in
    at each execution."""

    kind: str  # transaction, statement or clock


@dataclass(frozen=True, slots=True)
class LiftedParameter:
    """Slot `slot` is filled by `convert(text)` of the shape's literal of that number (of a tuple of texts if there are
    several literals); an exception of `convert` means that the compiled statement does not fit those texts."""

    slot: int
    literals: tuple[int, ...]
    type: SqlType
    convert: Step

    def value(self, texts: Sequence[str]) -> Any:
        """The value for the literals of a whole text."""
        if len(self.literals) == 1:
            return self.convert(texts[self.literals[0]])
        return self.convert(tuple([texts[i] for i in self.literals]))


@dataclass(frozen=True, slots=True)
class UserParameter:
    """`name` is the parameter's name, or its number from 1."""

    slot: int
    name: str | int
    type: SqlType


@dataclass(slots=True)
class ParameterContext:
    """Collects the parameters of one statement while it is bound.

    `names` are the user's parameters (parse.ParsedStatement.parameters); they take the first slots. `literals` maps
    the text offset of each literal to its number in the shape; None turns lifting off.
    """

    names: tuple[str | int, ...] = ()
    literals: Mapping[int, int] | None = None
    types: Sequence[SqlType | None] = ()
    lifted: list[LiftedParameter] = field(default_factory=list)
    samples: list[Value] = field(default_factory=list)  # the values of `lifted` in this text
    baked: set[int] = field(default_factory=set)
    variables: Variables | None = None  # of the function whose body it is
    is_volatile: bool = False  # a constant was read that is another one tomorrow ('today'): not to be cached
    _user: list[SqlType | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._user = [*self.types, *[None] * (len(self.names) - len(self.types))]

    def bake(self, constant: Constant) -> Literal:
        if self.literals is not None:
            for source in constant.sources:
                if source in self.literals:
                    self.baked.add(self.literals[source])
        untyped_string = constant.type.id is NULL.id and constant.value is not None
        return Literal(constant.value, TEXT if untyped_string else constant.type)

    def lift(self, constant: Constant) -> Expression:
        """A Parameter for the constant if that is possible, else a Literal."""
        if constant.steps is None or constant.value is None or self.literals is None or not constant.sources:
            return self.bake(constant)
        if not all(source in self.literals for source in constant.sources):
            return self.bake(constant)
        literals = tuple(self.literals[source] for source in constant.sources)
        type_ = TEXT if constant.type.id is NULL.id else constant.type
        slot = len(self.names) + len(self.lifted)
        self.lifted.append(LiftedParameter(slot, literals, type_, compose(constant.steps)))
        self.samples.append(constant.value)
        return Parameter(slot, type_, False, constant.value)

    def moment(self, kind: str) -> Parameter:
        """The time of the transaction, the statement or the call."""
        slot = len(self.names) + len(self.lifted)
        self.lifted.append(LiftedParameter(slot, (), TIMESTAMPTZ, lambda _texts: Moment(kind)))
        self.samples.append(Moment(kind))  # type: ignore[arg-type]
        return Parameter(slot, TIMESTAMPTZ, False)

    def user_type(self, user: UserValue, wanted: SqlType) -> SqlType:
        """The type of a user's parameter; the first context that wants a type decides."""
        known = self._user[user.slot]
        if known is None:
            known = self._user[user.slot] = TEXT if wanted.id is NULL.id else wanted
        return known

    def known_type(self, slot: int) -> SqlType | None:
        return self._user[slot]

    def user_parameters(self) -> tuple[UserParameter, ...]:
        for name, type_ in zip(self.names, self._user, strict=True):
            if type_ is None:
                raise ProgrammingError(f"could not determine data type of parameter {name}", sqlstate="42P18")
        return tuple(UserParameter(i, name, self._user[i] or TEXT) for i, name in enumerate(self.names))


def compose(steps: tuple[Step, ...]) -> Step:
    if not steps:
        return _same
    if len(steps) == 1:
        return steps[0]

    def convert(text: Any) -> Any:
        for step in steps:
            text = step(text)
        return text

    return convert


def _same(value: Any) -> Any:
    return value
