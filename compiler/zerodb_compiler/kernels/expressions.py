"""Expressions of kernels: from a syntax tree to typed, relocatable code."""

from __future__ import annotations

import ast
from types import FunctionType
from typing import Any

from zerodb_compiler.kernels.intrinsics import ImportedFunction, Intrinsic, Table
from zerodb_compiler.kernels.language import (
    COMPARISONS,
    CONVERSIONS,
    FOLD,
    OPCODES,
    OPERATORS,
    TYPE_CODES,
    Callee,
    Code,
    Inlined,
    KernelError,
    Part,
    Typed,
    Wide,
    signature_of,
    source_of,
)
from zerodb_compiler.wasm import opcodes
from zerodb_compiler.wasm.opcodes import unsigned
from zerodb_compiler.wasm.values import F32, F64, I32, I64


class ExpressionTranslator:
    """Names, values and calls. The statements of statements.py build on it, and inlining comes back to them."""

    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self.node = source_of(function)
        self.parameters, self.results = signature_of(function)
        self.globals: dict[str, Any] = function.__globals__
        self.names: dict[str, tuple[int, str]] = {
            name: (index, kind) for index, (name, kind) in enumerate(self.parameters)
        }
        self.locals: list[tuple[str, str]] = []
        self.out: list[Part] = []
        self.depth = 0
        self.loops: list[tuple[int, int]] = []  # depth of the block that break leaves, of the one continue leaves
        self.inlined: Inlined | None = None
        self.inlining: list[FunctionType] = []

    def _statements(self, body: list[ast.stmt]) -> None:
        raise NotImplementedError

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

    # --- expressions --------------------------------------------------------------------------------------------------
    @staticmethod
    def _constant(value: int | float, kind: str) -> Typed:
        if kind in ("f64", "f32"):
            return Typed((kind,), ((F64 if kind == "f64" else F32).const(float(value)).code,), value, True)
        assert isinstance(value, int), f"{value} as {kind}"
        code = (I64 if kind == "i64" else I32).const(value).code
        return Typed((kind,), (code,), value, True, value in (0, 1))

    def _coerce(self, value: Typed, kind: str, node: ast.AST) -> Typed:
        if value.results == ("literal",):
            assert value.constant is not None
            return self._constant(value.constant, kind)
        if value.results != (kind,):
            raise self._fail(node, f"{ast.unparse(node)} is {', '.join(value.results)}, but {kind} is needed")
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
            return Typed((kind,), (*value.code, OPCODES[f"{kind}.neg"]), None, value.pure)
        if isinstance(sign, ast.USub):
            zero = self._constant(0, kind).code
            return Typed((kind,), (*zero, *value.code, OPCODES[f"{kind}.sub"]), None, value.pure)
        if isinstance(sign, ast.Invert):
            ones = self._constant(-1, kind).code
            return Typed((kind,), (*value.code, *ones, OPCODES[f"{kind}.xor"]), None, value.pure)
        raise self._fail(operand, "unknown operator")

    def _pair(self, left: ast.expr, right: ast.expr, want: str | None) -> tuple[Typed, Typed]:
        """Two operands of one kind; both stay literals if both are and nothing is wanted."""
        first = self._expression(left, want)
        second = self._expression(right, want if first.results == ("literal",) else first.results[0])
        if first.results == second.results == ("literal",):
            return first, second
        kind = second.kind if first.results == ("literal",) else first.kind
        return self._coerce(first, kind, left), self._coerce(second, kind, right)

    def _binary(self, node: ast.BinOp, want: str | None) -> Typed:
        left, right = self._pair(node.left, node.right, want)
        if left.results == ("literal",):
            return Typed(("literal",), (), FOLD[type(node.op)](left.constant, right.constant))
        name = OPERATORS.get(type(node.op))
        opcode = OPCODES.get(f"{left.kind}.{name}")
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
            name = COMPARISONS[type(sign)]
            if left.kind in ("i32", "i64") and name not in ("eq", "ne"):
                name += "_s"
            if left.kind[0] == "i" and name == "eq" and right.constant == 0:
                code: Code = (*left.code, OPCODES[f"{left.kind}.eqz"])
            else:
                code = (*left.code, *right.code, OPCODES[f"{left.kind}.{name}"])
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
        opening = b"\x04" + TYPE_CODES[then.kind]
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
        parameters, results = signature_of(target)
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
        opcode = opcodes.CONVERT[CONVERSIONS[kind, value.kind]][0]
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
        opcode: Part
        if target.op in opcodes.WIDE:
            opcode = Wide(target.op)
        else:
            opcode = OPCODES[target.op.replace("T.", f"{generic}.")] + (unsigned(offset) if target.memory else b"")
        match target.result:
            case None:
                results: tuple[str, ...] = ()
            case "pair":
                results = ("i64", "i64")
            case result:
                results = (generic if result == "T" else result,)
        pure = (
            not target.memory
            and target.result is not None
            and not any(word in target.op for word in ("div", "rem", "memory"))
            and all(value.pure for value in values)
        )
        code = (*(part for value in values for part in value.code), opcode)
        return Typed(results, code, None, pure, target.op[-2:] == "_u" and target.result == "i32" and not target.memory)

    def _inline(self, target: FunctionType, node: ast.Call) -> Typed:
        """The callee's body here: parameters and results become locals, `return` a branch to the end."""
        if target in self.inlining:
            raise self._fail(node, "an inline kernel calls itself")
        definition = source_of(target)
        parameters, results = signature_of(target)
        values = self._arguments(tuple(kind for _, kind in parameters), node)
        saved = (self.names, self.globals, self.out, self.loops, self.inlined, self.depth)
        self.out, self.names, self.loops, self.globals = [], {}, [], target.__globals__
        for (name, kind), value in zip(parameters, values, strict=True):
            index = self._new_local(name, kind)
            self.names[name] = (index, kind)
            self.out += (*value.code, b"\x21" + unsigned(index))
        self.depth += 1
        result_locals = tuple(self._new_local("", kind) for kind in results)
        self.inlined = Inlined(results, result_locals, self.depth, definition.body[-1])
        self.inlining.append(target)
        head, self.out = self.out, []
        self._statements(definition.body)
        self.inlining.pop()
        body = self.out
        self.names, self.globals, self.out, self.loops, self.inlined, self.depth = saved
        gets = (b"\x20" + unsigned(index) for index in result_locals)
        return Typed(results, (*head, b"\x02\x40", *body, b"\x0b", *gets))
