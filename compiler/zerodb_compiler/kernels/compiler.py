"""From typed Python to WebAssembly: the kernel compiler.

A kernel is a Python function with annotated parameters that uses the vocabulary of intrinsics.py. `kernel(module, f)`
gives it as a function of a module under construction, together with what it calls; each is added once a module.

    source ──ast (once per file)──> FunctionDef ──translate (once per process)──> Compiled ──link (per module)──> Function

`Compiled` is relocatable: encoded instructions with references to callees in between, so linking is a join of bytes.

The subset: names, assignments (also augmented, and unpacking of a call's or a tuple's values), if, while, `for i in
range(...)`, break, continue, return, assert (ignored), conditional expressions, and/or/not, calls of kernels and
intrinsics, integers and floats, constants of the module (also dotted ones) and `Table`s. A local's type is the type of
its first value; an integer literal takes the type of what it meets, and is i32 on its own. Truth values are i32.
`x: i64 = 0` gives a literal a type. Limits: wasm32 addresses; no closures, default arguments or keyword arguments.
"""

from __future__ import annotations

import ast
import linecache
import operator
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from zerodb_compiler.kernels.intrinsics import ImportedFunction, Intrinsic, Table
from zerodb_compiler.wasm import opcodes
from zerodb_compiler.wasm.module import FunctionRef, Module
from zerodb_compiler.wasm.opcodes import signed, unsigned
from zerodb_compiler.wasm.values import BY_KIND, F32, F64, I32, I64

Callee = FunctionType | ImportedFunction | Table
Part = bytes | Callee
Code = tuple[Part, ...]

TYPES = {"i32": "i32", "i64": "i64", "f64": "f64", "f32": "f32", "v128": "v128", "bool": "i32", "ptr": "i32"}
_TYPE_CODES = {kind: value.type_code for kind, value in BY_KIND.items()}
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "shl",
    ast.RShift: "shr_s",
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
}
_FOLD: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_CONVERSIONS = {
    ("i32", "i64"): "i32.wrap_i64",
    ("i32", "f64"): "i32.trunc_sat_f64_s",
    ("i64", "i32"): "i64.extend_i32_s",
    ("i64", "f64"): "i64.trunc_sat_f64_s",
    ("f64", "i32"): "f64.convert_i32_s",
    ("f64", "i64"): "f64.convert_i64_s",
    ("f64", "f32"): "f64.promote_f32",
    ("f32", "f64"): "f32.demote_f64",
    ("f32", "i64"): "f32.convert_i64_s",
    ("f32", "i32"): "f32.convert_i32_s",
}
_OPCODES: dict[str, bytes] = {
    **opcodes.COMPARE,
    **opcodes.TEST,
    **opcodes.BINARY,
    **opcodes.UNARY,
    **{name: row[0] for name, row in opcodes.CONVERT.items()},
    **{name: row[0] + b"\x00" for name, row in opcodes.LOAD.items()},
    **{name: row[0] + b"\x00" for name, row in opcodes.STORE.items()},
    **{name: row[0] for name, row in opcodes.WIDE.items()},
    **opcodes.SIMD_BINARY,
    **opcodes.SIMD_UNARY,
    **opcodes.SIMD_TEST,
    **{name: row[0] for name, row in opcodes.SIMD_SPLAT.items()},
    **{name: row[0] + b"\x00" for name, row in opcodes.SIMD_LOAD.items()},
    **{name: row[0] + b"\x00" for name, row in opcodes.SIMD_STORE.items()},
    "memory.copy": b"\xfc\x0a\x00\x00",
    "memory.fill": b"\xfc\x0b\x00",
    "select": b"\x1b",
    "unreachable": b"\x00",
}


class KernelError(Exception):
    """A kernel's source is outside the subset: a mistake of ours, shown with its place."""


@dataclass(frozen=True, slots=True)
class Typed:
    """The code of an expression. `results` has one kind, or several for a call that gives a tuple; a literal has the
    kind "literal" and a constant instead of code. `pure` code may run although its value is not wanted."""

    results: tuple[str, ...]
    code: Code = ()
    constant: int | float | None = None
    pure: bool = False
    boolean: bool = False

    @property
    def kind(self) -> str:
        assert len(self.results) == 1, "one value expected"
        return self.results[0]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A kernel in relocatable form."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    results: tuple[str, ...]
    locals: tuple[tuple[str, str], ...]
    body: Code


@dataclass(slots=True)
class _Inlined:
    """Where a `return` of a body being inlined puts its values and goes (but for the last statement, which stays)."""

    kinds: tuple[str, ...]
    locals: tuple[int, ...]
    depth: int
    last: ast.stmt


def _signature(node: ast.FunctionDef) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    parameters = []
    for argument in node.args.args:
        assert isinstance(argument.annotation, ast.Name), f"{node.name}: {argument.arg} needs a type"
        parameters.append((argument.arg, TYPES[argument.annotation.id]))
    match node.returns:
        case ast.Name(id=name):
            return tuple(parameters), (TYPES[name],)
        case ast.Constant(value=None):
            return tuple(parameters), ()
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=items)):
            return tuple(parameters), tuple(TYPES[ast.unparse(item)] for item in items)
    raise KernelError(f"{node.name}: the result type is missing or unknown")


class _Translator:
    """Translates one kernel; state for the nest of blocks and for names (swapped while a callee is inlined)."""

    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self.node = _source(function)
        self.parameters, self.results = _signature(self.node)
        self.globals: dict[str, Any] = function.__globals__
        self.names: dict[str, tuple[int, str]] = {
            name: (index, kind) for index, (name, kind) in enumerate(self.parameters)
        }
        self.locals: list[tuple[str, str]] = []
        self.out: list[Part] = []
        self.depth = 0
        self.loops: list[tuple[int, int]] = []  # depth of the block that break leaves, of the one continue leaves
        self.inlined: _Inlined | None = None
        self.inlining: list[FunctionType] = []

    def translate(self) -> Compiled:
        self._statements(self.node.body)
        if self.results:
            self.out.append(b"\x00")  # falling off the end of a function with results
        return Compiled(self.node.name, self.parameters, self.results, tuple(self.locals), _joined(tuple(self.out)))

    def _fail(self, node: ast.AST, message: str) -> KernelError:
        name = self.inlining[-1].__qualname__ if self.inlining else self.function.__qualname__
        return KernelError(f"{name}, line {getattr(node, 'lineno', '?')}: {message}")

    # --- locals -------------------------------------------------------------------------------------------------------
    def _new_local(self, name: str, kind: str) -> int:
        self.locals.append((name, kind))
        return len(self.parameters) + len(self.locals) - 1

    def _target(self, node: ast.expr, kind: str) -> int:
        if not isinstance(node, ast.Name):
            raise self._fail(node, "only names are assigned to")
        if node.id == "_":
            return self._new_local("", kind)
        if node.id not in self.names:
            self.names[node.id] = (self._new_local(node.id, kind), kind)
        index, known = self.names[node.id]
        if known != kind:
            raise self._fail(node, f"{node.id} is {known}, not {kind}")
        return index

    def _wanted(self, node: ast.expr) -> str | None:
        return self.names[node.id][1] if isinstance(node, ast.Name) and node.id in self.names else None

    # --- statements ---------------------------------------------------------------------------------------------------
    def _statements(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Assert():
                pass
            case ast.Expr(value=value):
                result = self._expression(value)
                self.out += (*result.code, *(b"\x1a" for _ in result.results))
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value):
                self._unpack(node, targets, value)
            case ast.Assign(targets=[target], value=value):
                self._assign(target, self._value(value, self._wanted(target)))
            case ast.AnnAssign(target=target, annotation=ast.Name(id=kind), value=ast.expr() as value):
                self._assign(target, self._value(value, TYPES[kind]))
            case ast.AugAssign(target=ast.Name(id=name) as target, op=sign, value=value):
                load = ast.copy_location(ast.Name(id=name, ctx=ast.Load()), target)
                both = ast.copy_location(ast.BinOp(load, sign, value), node)
                self._assign(target, self._value(both, self._wanted(target)))
            case ast.If():
                self._if(node)
            case ast.While(test=test, body=body):
                self._loop(test, body, None)
            case ast.For(target=target, iter=ast.Call(func=ast.Name(id="range"), args=arguments), body=body):
                self._for(target, arguments, body)
            case ast.Break():
                self.out.append(self._branch(self.loops[-1][0]))
            case ast.Continue():
                self.out.append(self._branch(self.loops[-1][1]))
            case ast.Return(value=value):
                self._return(node, value)
            case _:
                raise self._fail(node, f"{type(node).__name__} is outside the subset")

    def _assign(self, target: ast.expr, value: Typed) -> None:
        self.out += (*value.code, b"\x21" + unsigned(self._target(target, value.kind)))

    def _unpack(self, node: ast.stmt, targets: list[ast.expr], value: ast.expr) -> None:
        if isinstance(value, ast.Tuple):
            values = [self._value(v, self._wanted(t)) for v, t in zip(value.elts, targets, strict=True)]
            kinds = [v.kind for v in values]
            code: Code = tuple(part for v in values for part in v.code)
        else:
            call = self._expression(value)
            kinds, code = list(call.results), call.code
        if len(kinds) != len(targets):
            raise self._fail(node, f"{len(kinds)} values for {len(targets)} names")
        indexes = [self._target(target, kind) for target, kind in zip(targets, kinds, strict=True)]
        self.out += (*code, *(b"\x21" + unsigned(index) for index in reversed(indexes)))

    def _return(self, node: ast.stmt, value: ast.expr | None) -> None:
        target = self.inlined
        results = self.results if target is None else target.kinds
        values: list[Typed] = []
        if isinstance(value, ast.Tuple):
            values = [self._value(v, kind) for v, kind in zip(value.elts, results, strict=True)]
        elif value is not None:
            values = [self._value(value, results[0]) if len(results) == 1 else self._expression(value)]
        if tuple(kind for v in values for kind in v.results) != results:
            raise self._fail(node, f"returns {[v.results for v in values]}, not {results}")
        self.out += (part for v in values for part in v.code)
        if target is None:
            self.out.append(b"\x0f")
        else:
            self.out += (b"\x21" + unsigned(index) for index in reversed(target.locals))
            if node is not target.last:
                self.out.append(self._branch(target.depth))

    # --- control flow -------------------------------------------------------------------------------------------------
    def _branch(self, depth: int, opcode: bytes = b"\x0c") -> bytes:
        return opcode + unsigned(self.depth - depth)

    def _open(self, opcode: bytes) -> int:
        self.out.append(opcode)
        self.depth += 1
        return self.depth

    def _close(self) -> None:
        self.out.append(b"\x0b")
        self.depth -= 1

    def _leave_unless(self, test: ast.expr, depth: int) -> None:
        """Branches out of the block at `depth` if the test is false; the parts of `and` one by one."""
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            for part in test.values:
                self._leave_unless(part, depth)
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self.out += (*self._condition(test.operand).code, self._branch(depth, b"\x0d"))
        elif not (isinstance(test, ast.Constant) and test.value is True):
            self.out += (*self._condition(test).code, b"\x45", self._branch(depth, b"\x0d"))

    def _if(self, node: ast.If) -> None:
        compound = isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And)
        if not compound:
            self.out += self._condition(node.test).code
            self._open(b"\x04\x40")
            self._statements(node.body)
            if node.orelse:
                self.out.append(b"\x05")
                self._statements(node.orelse)
            self._close()
            return
        end = self._open(b"\x02\x40") if node.orelse else 0
        otherwise = self._open(b"\x02\x40")
        self._leave_unless(node.test, otherwise)
        self._statements(node.body)
        if node.orelse:
            self.out.append(self._branch(end))
            self._close()
            self._statements(node.orelse)
        self._close()

    def _loop(self, test: ast.expr, body: list[ast.stmt], step: Code | None) -> None:
        leave = self._open(b"\x02\x40")
        again = self._open(b"\x03\x40")
        self._leave_unless(test, leave)
        inner = self._open(b"\x02\x40") if step is not None else again
        self.loops.append((leave, inner))
        self._statements(body)
        self.loops.pop()
        if step is not None:
            self._close()
            self.out += step
        self.out.append(self._branch(again))
        self._close()
        self._close()

    def _for(self, target: ast.expr, arguments: list[ast.expr], body: list[ast.stmt]) -> None:
        start = arguments[0] if len(arguments) > 1 else ast.Constant(0)
        end_node = arguments[1] if len(arguments) > 1 else arguments[0]
        stride = self._expression(arguments[2]).constant if len(arguments) > 2 else 1
        if not isinstance(stride, int) or stride == 0 or not isinstance(target, ast.Name):
            raise self._fail(target, "range() needs a name and a constant step")
        end = self._expression(end_node)
        kind = end.kind if end.kind != "literal" else (self._wanted(target) or "i32")
        first = self._value(start, self._wanted(target) or kind)
        end = self._coerce(end, first.kind, end_node)
        index = self._target(target, first.kind)
        self.out += (*first.code, b"\x21" + unsigned(index))
        limit = self._new_local("end", first.kind)
        self.out += (*end.code, b"\x21" + unsigned(limit))
        self.names[f"range {limit}"] = (limit, first.kind)
        below: ast.cmpop = ast.Lt() if stride > 0 else ast.Gt()
        test = ast.Compare(ast.Name(target.id, ast.Load()), [below], [ast.Name(f"range {limit}", ast.Load())])
        move = self._constant(stride, first.kind).code
        get, put = b"\x20" + unsigned(index), b"\x21" + unsigned(index)
        self._loop(test, body, (get, *move, _OPCODES[f"{first.kind}.add"], put))

    # --- expressions --------------------------------------------------------------------------------------------------
    @staticmethod
    def _constant(value: int | float, kind: str) -> Typed:
        if kind in ("f64", "f32"):
            number = (F64 if kind == "f64" else F32).const(float(value))
        else:
            assert isinstance(value, int), f"{value} as {kind}"
            number = (I64 if kind == "i64" else I32).const(value)
        return Typed((kind,), (number.code,), value, True, value in (0, 1))

    def _coerce(self, value: Typed, kind: str, node: ast.AST) -> Typed:
        if value.results == ("literal",):
            assert value.constant is not None
            return self._constant(value.constant, kind)
        if value.results != (kind,):
            raise self._fail(node, f"{value.results} where {kind} is needed: {ast.unparse(node)}")
        return value

    def _value(self, node: ast.expr, want: str | None = None) -> Typed:
        """One value, of the wanted kind if one is wanted."""
        value = self._expression(node, want)
        if want is None and value.results == ("literal",):
            want = "f64" if isinstance(value.constant, float) else "i32"
        return self._coerce(value, want, node) if want is not None else value

    def _condition(self, node: ast.expr) -> Typed:
        return self._value(node, "i32")

    def _truth(self, node: ast.expr) -> Typed:
        """A condition that is exactly 0 or 1."""
        value = self._condition(node)
        return value if value.boolean else Typed(("i32",), (*value.code, b"\x45\x45"), None, value.pure, True)

    def _expression(self, node: ast.expr, want: str | None = None) -> Typed:
        match node:
            case ast.Constant(value=bool() | int() | float() as number):
                return Typed(("literal",), (), int(number) if isinstance(number, bool) else number)
            case ast.Name(id=name) if name in self.names:
                index, kind = self.names[name]
                return Typed((kind,), (b"\x20" + unsigned(index),), None, True)
            case ast.Name() | ast.Attribute():
                constant = self._global(node)
                if isinstance(constant, int | float):
                    return Typed(("literal",), (), constant)
                raise self._fail(node, f"{ast.unparse(node)} is no number")
            case ast.UnaryOp(op=sign, operand=operand):
                return self._unary(sign, operand, want)
            case ast.BinOp():
                return self._binary(node, want)
            case ast.Compare():
                return self._compare(node)
            case ast.BoolOp(op=boolean, values=values):
                return self._boolean(isinstance(boolean, ast.And), values)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._conditional(test, body, orelse, want)
            case ast.Subscript(value=value, slice=index_node):
                table = self._global(value)
                if not isinstance(table, Table):
                    raise self._fail(node, f"{ast.unparse(value)} is no Table")
                return Typed((table.kind,), (*self._value(index_node, "i32").code, table))
            case ast.Call():
                return self._call(node, want)
        raise self._fail(node, f"{ast.unparse(node)} is outside the subset")

    def _global(self, node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name) if name in self.globals:
                return self.globals[name]
            case ast.Attribute(value=value, attr=attribute):
                return getattr(self._global(value), attribute)
        raise self._fail(node, f"unknown name {ast.unparse(node)}")

    def _unary(self, sign: ast.unaryop, operand: ast.expr, want: str | None) -> Typed:
        if isinstance(sign, ast.Not):
            value = self._condition(operand)
            return Typed(("i32",), (*value.code, b"\x45"), None, value.pure, True)
        value = self._expression(operand, want)
        if value.results == ("literal",):
            assert value.constant is not None
            if isinstance(sign, ast.USub):
                return Typed(("literal",), (), -value.constant)
            return Typed(("literal",), (), ~int(value.constant))
        kind = value.kind
        if isinstance(sign, ast.USub) and kind in ("f64", "f32"):
            return Typed((kind,), (*value.code, _OPCODES[f"{kind}.neg"]), None, value.pure)
        if isinstance(sign, ast.USub):
            zero = self._constant(0, kind).code
            return Typed((kind,), (*zero, *value.code, _OPCODES[f"{kind}.sub"]), None, value.pure)
        if isinstance(sign, ast.Invert):
            ones = self._constant(-1, kind).code
            return Typed((kind,), (*value.code, *ones, _OPCODES[f"{kind}.xor"]), None, value.pure)
        raise self._fail(operand, "unknown operator")

    def _pair(self, left: ast.expr, right: ast.expr, want: str | None) -> tuple[Typed, Typed]:
        """Two operands of one kind; both stay literals if both are and nothing is wanted."""
        first, second = self._expression(left, want), self._expression(right, want)
        if first.results == second.results == ("literal",):
            return first, second
        kind = second.kind if first.results == ("literal",) else first.kind
        return self._coerce(first, kind, left), self._coerce(second, kind, right)

    def _binary(self, node: ast.BinOp, want: str | None) -> Typed:
        left, right = self._pair(node.left, node.right, want)
        if left.results == ("literal",):
            return Typed(("literal",), (), _FOLD[type(node.op)](left.constant, right.constant))
        name = _OPERATORS.get(type(node.op))
        opcode = _OPCODES.get(f"{left.kind}.{name}")
        if opcode is None:
            raise self._fail(node, f"{type(node.op).__name__} of {left.kind}")
        pure, boolean = left.pure and right.pure, False
        if name in ("and", "or", "xor"):
            boolean = left.boolean and right.boolean
        return Typed((left.kind,), (*left.code, *right.code, opcode), None, pure, boolean)

    def _compare(self, node: ast.Compare) -> Typed:
        operands = [node.left, *node.comparators]
        tests: list[Typed] = []
        for i, sign in enumerate(node.ops):
            left, right = self._pair(operands[i], operands[i + 1], None)
            if left.results == ("literal",):
                raise self._fail(node, "a comparison of constants")
            name = _COMPARISONS[type(sign)]
            if left.kind in ("i32", "i64") and name not in ("eq", "ne"):
                name += "_s"
            if left.kind[0] == "i" and name == "eq" and right.constant == 0:
                code: Code = (*left.code, _OPCODES[f"{left.kind}.eqz"])
            else:
                code = (*left.code, *right.code, _OPCODES[f"{left.kind}.{name}"])
            tests.append(Typed(("i32",), code, None, left.pure and right.pure, True))
        if len(tests) > 1 and not all(test.pure for test in tests):
            raise self._fail(node, "a chained comparison evaluates its middle twice: use names")
        code = tests[0].code
        for test in tests[1:]:
            code = (*code, *test.code, b"\x71")
        return Typed(("i32",), code, None, all(test.pure for test in tests), True)

    def _boolean(self, is_and: bool, values: list[ast.expr]) -> Typed:
        result = self._truth(values[0])
        for node in values[1:]:
            value = self._truth(node)
            if value.pure and sum(len(part) for part in value.code if isinstance(part, bytes)) < 32:
                code: Code = (*result.code, *value.code, b"\x71" if is_and else b"\x72")
            elif is_and:
                code = (*result.code, b"\x04\x7f", *value.code, b"\x05\x41\x00\x0b")
            else:
                code = (*result.code, b"\x04\x7f\x41\x01\x05", *value.code, b"\x0b")
            result = Typed(("i32",), code, None, result.pure and value.pure, True)
        return result

    def _conditional(self, test: ast.expr, body: ast.expr, orelse: ast.expr, want: str | None) -> Typed:
        condition = self._condition(test)
        then, otherwise = self._pair(body, orelse, want)
        if then.results == ("literal",):
            kind = want or ("f64" if isinstance(then.constant, float) else "i32")
            then, otherwise = self._coerce(then, kind, body), self._coerce(otherwise, kind, orelse)
        boolean = then.boolean and otherwise.boolean
        if then.pure and otherwise.pure:
            code = (*then.code, *otherwise.code, *condition.code, b"\x1b")
            if then.kind == "v128":
                code = (*code[:-1], b"\x1c\x01\x7b")
            return Typed(then.results, code, None, condition.pure, boolean)
        opening = b"\x04" + _TYPE_CODES[then.kind]
        code = (*condition.code, opening, *then.code, b"\x05", *otherwise.code, b"\x0b")
        return Typed(then.results, code, None, False, boolean)

    # --- calls --------------------------------------------------------------------------------------------------------
    def _call(self, node: ast.Call, want: str | None) -> Typed:
        if isinstance(node.func, ast.Name) and node.func.id in ("i32", "i64", "f64", "f32"):
            return self._convert(node.func.id, node.args[0])
        target = self._global(node.func)
        if isinstance(target, Intrinsic):
            return self._intrinsic(target, node, want)
        if isinstance(target, ImportedFunction):
            return self._invoke(target, target.parameters, target.results, node)
        if not isinstance(target, FunctionType):
            raise self._fail(node, f"{ast.unparse(node.func)} is no kernel")
        parameters, results = _signature(_source(target))
        if getattr(target, "__kernel_inline__", False):
            return self._inline(target, node)
        return self._invoke(target, tuple(kind for _, kind in parameters), results, node)

    def _invoke(self, target: Callee, kinds: tuple[str, ...], results: tuple[str, ...], node: ast.Call) -> Typed:
        return Typed(results, (*(part for value in self._arguments(kinds, node) for part in value.code), target))

    def _arguments(self, kinds: tuple[str, ...], node: ast.Call) -> list[Typed]:
        if len(kinds) != len(node.args) or node.keywords:
            raise self._fail(node, f"{len(node.args)} arguments instead of {len(kinds)}")
        return [self._value(argument, kind) for argument, kind in zip(node.args, kinds, strict=True)]

    def _convert(self, kind: str, argument: ast.expr) -> Typed:
        value = self._expression(argument)
        if value.results == ("literal",):
            return self._coerce(value, kind, argument)
        if value.kind == kind:
            return value
        opcode = opcodes.CONVERT[_CONVERSIONS[kind, value.kind]][0]
        return Typed((kind,), (*value.code, opcode), None, value.pure)

    def _intrinsic(self, target: Intrinsic, node: ast.Call, want: str | None) -> Typed:
        arguments, offset = list(node.args), 0
        if target.memory and len(arguments) == len(target.parameters) + 1:
            constant = self._expression(arguments.pop()).constant
            if not isinstance(constant, int):
                raise self._fail(node, "the offset is no constant")
            offset = constant
        if len(arguments) != len(target.parameters):
            raise self._fail(node, f"{target.op} takes {len(target.parameters)} operands")
        values = [
            self._expression(argument, None if kind == "T" else kind)
            for argument, kind in zip(arguments, target.parameters, strict=True)
        ]
        known = [v.kind for v, k in zip(values, target.parameters, strict=True) if k == "T" and v.kind != "literal"]
        generic = known[0] if known else (want if target.result == "T" else None) or "i32"
        values = [
            self._coerce(value, generic if kind == "T" else kind, argument)
            for value, argument, kind in zip(values, arguments, target.parameters, strict=True)
        ]
        if target.op == "select":
            values = [*values[1:], values[0]]
        opcode = _OPCODES[target.op.replace("T.", f"{generic}.")]
        if target.memory:
            opcode += unsigned(offset)
        results = {None: (), "pair": ("i64", "i64"), "T": (generic,)}.get(target.result, (target.result,))
        pure = (
            not target.memory
            and target.result is not None
            and not any(word in target.op for word in ("div", "rem"))
            and all(value.pure for value in values)
        )
        code = (*(part for value in values for part in value.code), opcode)
        return Typed(results, code, None, pure, target.op[-2:] == "_u" and target.result == "i32" and not target.memory)

    def _inline(self, target: FunctionType, node: ast.Call) -> Typed:
        """The callee's body here: parameters and results become locals, `return` a branch to the end."""
        if target in self.inlining:
            raise self._fail(node, "an inline kernel calls itself")
        definition = _source(target)
        parameters, results = _signature(definition)
        values = self._arguments(tuple(kind for _, kind in parameters), node)
        saved = (self.names, self.globals, self.out, self.loops, self.inlined, self.depth)
        self.out, self.names, self.loops, self.globals = [], {}, [], target.__globals__
        for (name, kind), value in zip(parameters, values, strict=True):
            index = self._new_local(name, kind)
            self.names[name] = (index, kind)
            self.out += (*value.code, b"\x21" + unsigned(index))
        self.depth += 1
        result_locals = tuple(self._new_local("", kind) for kind in results)
        self.inlined = _Inlined(results, result_locals, self.depth, definition.body[-1])
        self.inlining.append(target)
        head, self.out = self.out, []
        self._statements(definition.body)
        self.inlining.pop()
        body = self.out
        self.names, self.globals, self.out, self.loops, self.inlined, self.depth = saved
        gets = (b"\x20" + unsigned(index) for index in result_locals)
        return Typed(results, (*head, b"\x02\x40", *body, b"\x0b", *gets))


def _joined(parts: Code) -> Code:
    """Neighbouring bytes as one."""
    out: list[Part] = []
    run = bytearray()
    for part in parts:
        if isinstance(part, bytes):
            run += part
        else:
            out += (bytes(run), part)
            run = bytearray()
    return (*out, bytes(run))


# --- caches of the process ------------------------------------------------------------------------------------------------
_files: dict[str, dict[str, ast.FunctionDef]] = {}
_compiled: dict[FunctionType, Compiled] = {}


def _source(function: FunctionType) -> ast.FunctionDef:
    """The syntax tree of a kernel: a function at the top level of its file."""
    name = function.__code__.co_filename
    if name not in _files:
        tree = ast.parse("".join(linecache.getlines(name, function.__globals__)))
        _files[name] = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return _files[name][function.__name__]


def compile_kernel(function: FunctionType) -> Compiled:
    """The relocatable form of a kernel; KernelError if it is outside the subset."""
    done = _compiled.get(function)
    if done is None:
        done = _compiled[function] = _Translator(function).translate()
    return done


# --- linking --------------------------------------------------------------------------------------------------------------
def kernel(module: Module, function: Callable[..., Any]) -> FunctionRef:
    """The kernel as a function of `module`; it and its callees are added at first use."""
    known: FunctionRef | None = module.extensions.get(function)
    if known is not None:
        return known
    if isinstance(function, Table):
        return _link_table(module, function)
    if isinstance(function, ImportedFunction):
        for ref in module._imported:
            if ref.name == function.name:
                module.extensions[function] = ref
                return ref
        raise KernelError(f"the module does not import {function.name}")
    assert isinstance(function, FunctionType)
    compiled = compile_kernel(function)
    target = module.function(
        compiled.name,
        [(name, BY_KIND[kind]) for name, kind in compiled.parameters],
        [BY_KIND[kind] for kind in compiled.results],
    )
    module.extensions[function] = target.ref
    for name, kind in compiled.locals:
        target.local(BY_KIND[kind], name)
    for part in compiled.body:
        target.emit(part if isinstance(part, bytes) else b"\x10" + unsigned(kernel(module, part).index))
    return target.ref


def _link_table(module: Module, table: Table) -> FunctionRef:
    """A table as a function: an index picks one of as many constants by a jump table."""
    kind = BY_KIND[table.kind]
    target = module.function(f"{table.name}[]", [("index", I32)], [kind])
    module.extensions[table] = target.ref
    distinct = list(dict.fromkeys(table.values))
    places = {value: place for place, value in enumerate(distinct)}
    code = bytearray(b"\x02\x40" * (len(distinct) + 1))
    code += b"\x20\x00\x0e" + unsigned(len(table.values))
    code += b"".join(unsigned(places[value]) for value in table.values) + unsigned(len(distinct))
    opcode, half = (b"\x41", 1 << 31) if table.kind == "i32" else (b"\x42", 1 << 63)
    for value in distinct:
        code += b"\x0b" + opcode + signed(value - 2 * half if value >= half else value) + b"\x0f"
    code += b"\x0b\x00"
    target.emit(bytes(code))
    return target.ref
