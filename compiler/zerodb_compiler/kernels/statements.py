"""Statements of kernels: assignments, structured control flow, returns."""

from __future__ import annotations

import ast

from zerodb_compiler.kernels.expressions import ExpressionTranslator
from zerodb_compiler.kernels.language import OPCODES, TYPES, Code, Compiled, Part, Typed
from zerodb_compiler.wasm.opcodes import unsigned


class Translator(ExpressionTranslator):
    """Translates one kernel."""

    def translate(self) -> Compiled:
        self._statements(self.node.body)
        if self.results:
            self.out.append(b"\x00")  # falling off the end of a function with results
        return Compiled(self.node.name, self.parameters, self.results, tuple(self.locals), _joined(tuple(self.out)))

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
        # Names that no source can have; the target itself may be "_".
        self.names[f"index {limit}"], self.names[f"limit {limit}"] = (index, first.kind), (limit, first.kind)
        below: ast.cmpop = ast.Lt() if stride > 0 else ast.Gt()
        bounds = [ast.Name(f"{what} {limit}", ast.Load()) for what in ("index", "limit")]
        test = ast.Compare(bounds[0], [below], [bounds[1]])
        move = self._constant(stride, first.kind).code
        get, put = b"\x20" + unsigned(index), b"\x21" + unsigned(index)
        self._loop(test, body, (get, *move, OPCODES[f"{first.kind}.add"], put))


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
