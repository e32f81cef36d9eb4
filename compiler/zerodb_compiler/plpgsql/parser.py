"""PL/pgSQL: from a body's text to its tree, by recursive descent over the tokens.

Like PostgreSQL's, the parser knows statements and where expressions end (at THEN, LOOP, ; and so on outside of
parentheses), not what is in them: they are SQL, which is parsed when it runs first. `parse_body` raises
ProgrammingError 42601 with the place in the body, 0A000 by name for cursors and what else is not there.
"""

from __future__ import annotations

from collections.abc import Callable

from zerodb_compiler.errors import NotSupportedError, ProgrammingError, error_for
from zerodb_compiler.plpgsql import tree
from zerodb_compiler.plpgsql.conditions import CONDITIONS, is_sqlstate
from zerodb_compiler.plpgsql.tokens import END, Token, tokenize

_RESERVED_WORDS = """
    ALL BEGIN BY CASE DECLARE ELSE END EXECUTE FOR FOREACH FROM IF IN INTO LOOP NOT NULL OR STRICT THEN TO USING WHEN
    WHILE
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())
_QUERIES = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE", "("})
_LEVELS = ("EXCEPTION", "WARNING", "NOTICE", "INFO", "LOG", "DEBUG")
_OPTIONS = ("message", "detail", "hint", "errcode", "column", "constraint", "datatype", "table", "schema")
_ITEMS = ("row_count", "pg_context", "pg_routine_oid")
_STACKED_ITEMS = (
    "returned_sqlstate",
    "message_text",
    "pg_exception_detail",
    "pg_exception_hint",
    "pg_exception_context",
    "column_name",
    "constraint_name",
    "pg_datatype_name",
    "table_name",
    "schema_name",
)
MAX_NESTING = 100


def parse_body(text: str) -> tree.Block:
    """The outermost block."""
    parser = _Parser(text)
    block = parser.block(parser.label())
    parser.accept(";")
    if not parser.at_end:
        raise parser.error()
    return block


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokenize(text)
        self._at = 0
        self._depth = 0
        self._cases = 0

    # --- tokens ---
    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    @property
    def at_end(self) -> bool:
        return self.token.kind == END

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.token.start) + 1

    def word(self, ahead: int = 0) -> str:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)].upper

    def next(self) -> Token:
        token = self.token
        if token.kind == END:
            raise self.error()
        self._at += 1
        return token

    def accept(self, *words: str) -> bool:
        if any(self.word(ahead) != word for ahead, word in enumerate(words)):
            return False
        self._at += len(words)
        return True

    def accept_any(self, words: tuple[str, ...]) -> str:
        found = self.word()
        if found not in words:
            return ""
        self._at += 1
        return found

    def expect(self, *words: str) -> None:
        for word in words:
            if not self.accept(word):
                raise self.error()

    def error(self) -> ProgrammingError:
        token = self.token
        if token.kind == END:
            return ProgrammingError("syntax error at end of input", position=token.start)
        return ProgrammingError(f'syntax error at or near "{token.text}"', position=token.start)

    def unsupported(self, what: str, position: int | None = None) -> NotSupportedError:
        place = self.token.start if position is None else position
        return NotSupportedError(f"{what} is not supported in PL/pgSQL", position=place)

    def name(self) -> str:
        token = self.token
        if token.kind != "quoted" and (token.kind != "word" or token.upper in _RESERVED):
            raise self.error()
        self._at += 1
        return token.name

    def string(self) -> str:
        if self.token.kind not in ("string", "dollar"):
            raise self.error()
        return self.next().value

    # --- SQL ---
    def _until(self, stops: tuple[str, ...], *, may_be_empty: bool = False) -> tuple[int, int]:
        """Passes everything up to one of the words, outside of parentheses and CASE; where it begins and ends."""
        begin, depth, cases = self._at, 0, 0
        while True:
            word = self.word()
            if depth == 0 and cases == 0 and word in stops:
                break
            if word == ";" and depth == 0:
                kind = "expression" if begin != self._at else "statement"
                message = f'missing "{stops[0]}" at end of SQL {kind}'
                raise ProgrammingError(message, position=self.token.start)
            if self.at_end:
                raise self.error()
            depth += (word in ("(", "[")) - (word in (")", "]"))
            if depth < 0:
                raise ProgrammingError("mismatched parentheses", position=self.token.start)
            cases += (word == "CASE") - (word == "END" and cases > 0)
            self._at += 1
        if begin == self._at:
            if not may_be_empty:
                raise ProgrammingError("missing expression", position=self.token.start)
            return self.token.start, self.token.start
        return self._tokens[begin].start, self._tokens[self._at - 1].end

    def expression(self, *stops: str) -> tree.Sql:
        """An expression up to one of the words, which is not passed."""
        return self._selected(*self._until(stops))

    def _selected(self, start: int, end: int, before: str = "", after: str = "") -> tree.Sql:
        head = f"select {before}"
        return tree.Sql(" " * (start - len(head)) + head + self.text[start:end] + after, start)

    def statement_text(self, start: int, end: int) -> tree.Sql:
        return tree.Sql(" " * start + self.text[start:end], start)

    # --- targets ---
    def target(self) -> tree.Target:
        position = self.token.start
        if self.token.kind == "parameter":
            return tree.Target((self.next().text,), position)
        path = [self.name()]
        while self.accept("."):
            path.append(self.next().name)
        subscripts: list[tree.Sql] = []
        while self.accept("["):
            subscripts.append(self.expression("]"))
            self.expect("]")
        return tree.Target(tuple(path), position, tuple(subscripts))

    def targets(self) -> tuple[tree.Target, ...]:
        found = [self.target()]
        while self.accept(","):
            found.append(self.target())
        return tuple(found)

    # --- blocks ---
    def label(self) -> str | None:
        if not self.accept("<<"):
            return None
        label = self.name()
        self.expect(">>")
        return label

    def _end_label(self, label: str | None) -> None:
        """A label behind END."""
        if self.token.kind not in ("word", "quoted") or self.at_end:
            return
        position, found = self.token.start, self.name()
        if label is None:
            raise ProgrammingError(f'end label "{found}" specified for unlabeled block', position=position)
        if found != label:
            message = f'end label "{found}" differs from block\'s label "{label}"'
            raise ProgrammingError(message, position=position)

    def block(self, label: str | None) -> tree.Block:
        declarations: list[tree.Declaration] = []
        line = self.line
        while self.accept("DECLARE"):
            while self.word() not in ("BEGIN", "DECLARE"):
                if (early := self.label()) is not None:
                    message = f'block label "{early}" must be placed before DECLARE, not after'
                    raise ProgrammingError(message, position=self.token.start)
                declarations.append(self._declaration(declarations))
        line = self.line
        self.expect("BEGIN")
        body = self.statements("END", "EXCEPTION")
        handlers: list[tree.Handler] = []
        if self.accept("EXCEPTION"):
            while self.word() == "WHEN":
                handlers.append(self._handler())
            if not handlers:
                raise self.error()
        self.expect("END")
        self._end_label(label)
        return tree.Block(line, label, tuple(declarations), body, tuple(handlers))

    def _declaration(self, before: list[tree.Declaration]) -> tree.Declaration:
        position = self.token.start
        name = self.name()
        if any(found.name == name for found in before):
            raise error_for("42601", f'duplicate declaration at or near "{name}"', position=position)
        if self.accept("ALIAS"):
            self.expect("FOR")
            alias = self.next().text if self.token.kind == "parameter" else self.name()
            self.expect(";")
            return tree.Declaration(name, position, alias=alias)
        if self.word() in ("CURSOR", "SCROLL") or (self.word() == "NO" and self.word(1) == "SCROLL"):
            raise self.unsupported("a cursor")
        constant = self.accept("CONSTANT")
        type_ = self._type()
        not_null = self.accept("NOT", "NULL")
        default = None
        if self.accept_any(("DEFAULT", ":=", "=")):
            default = self.expression(";")
        elif not_null:
            message = f'variable "{name}" must have a default value, since it\'s declared NOT NULL'
            raise error_for("22004", message, position=position)
        self.expect(";")
        return tree.Declaration(name, position, type_, constant, not_null, default)

    def _type(self) -> tree.TypeName:
        start, end = self._until((";", "NOT", "DEFAULT", ":=", "=", "COLLATE", "%"))
        if self.accept("COLLATE"):
            self.name()
            while self.accept("."):
                self.name()
        text = self.text[start:end]
        if self.accept("%"):
            kind = self.accept_any(("TYPE", "ROWTYPE"))
            if not kind:
                raise self.error()
            if self.word() == "[":
                raise self.unsupported("an array of %TYPE")
            return tree.TypeName("column" if kind == "TYPE" else "row", text, start)
        if text.lower() == "record":
            return tree.TypeName("record", text, start)
        if text.lower() == "refcursor":
            raise self.unsupported("a cursor", start)
        return tree.TypeName("type", text, start)

    def _handler(self) -> tree.Handler:
        line = self.line
        self.expect("WHEN")
        found: list[str] = []
        while True:
            found += self._conditions()
            if not self.accept("OR"):
                break
        self.expect("THEN")
        return tree.Handler(tuple(found), self.statements("WHEN", "END"), line)

    def _conditions(self) -> tuple[str, ...]:
        position = self.token.start
        if self.accept("SQLSTATE"):
            return (self._sqlstate(),)
        name = self.name()
        if name == "others":
            return ("others",)
        if name not in CONDITIONS:
            message = f'unrecognized exception condition "{name}"'
            raise error_for("42704", message, position=position)
        return CONDITIONS[name]

    def _sqlstate(self) -> str:
        position, code = self.token.start, self.string()
        if not is_sqlstate(code):
            raise ProgrammingError("invalid SQLSTATE code", position=position)
        return code

    # --- statements ---
    def statements(self, *ends: str) -> tuple[tree.Statement, ...]:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise error_for("54001", "statement is nested too deeply", position=self.token.start)
        found: list[tree.Statement] = []
        while self.word() not in ends:
            if self.at_end:
                raise self.error()
            found.append(self.statement())
        self._depth -= 1
        return tuple(found)

    def statement(self) -> tree.Statement:
        label = self.label()
        line, word = self.line, self.word()
        if word in ("DECLARE", "BEGIN"):
            block = self.block(label)
            self.expect(";")
            return block
        if label is not None and word not in ("LOOP", "WHILE", "FOR", "FOREACH"):
            raise self.error()
        reads = _LOOPS.get(word)
        if reads is not None:
            self._at += 1
            return reads(self, line, label)
        if word not in _RESERVED and self._assigns():
            return self._assign(line)
        known = _STATEMENTS.get(word)
        if known is not None:
            self._at += 1
            return known(self, line)
        if word in ("OPEN", "FETCH", "MOVE", "CLOSE"):
            raise self.unsupported("a cursor")
        if self.token.kind not in ("word", "quoted") or word in _RESERVED:
            raise self.error()
        return self._run(line)

    def _assigns(self) -> bool:
        """Whether := or = follows the name (or element) that comes next."""
        if self.token.kind not in ("word", "quoted", "parameter"):
            return False
        ahead = 1
        while self.word(ahead) == ".":
            ahead += 2
        depth = 0
        while depth or self.word(ahead) == "[":
            word = self.word(ahead)
            if word == ";" or self._tokens[min(self._at + ahead, len(self._tokens) - 1)].kind == END:
                return False
            depth += (word == "[") - (word == "]")
            ahead += 1
        return self.word(ahead) in (":=", "=")

    def _assign(self, line: int) -> tree.Assign:
        target = self.target()
        self.next()
        value = self.expression(";")
        self.expect(";")
        return tree.Assign(line, target, value)

    def _run(self, line: int) -> tree.Run:
        """A statement of SQL; INTO is taken out of it."""
        start = self.token.start
        into: tree.Into | None = None
        cut: tuple[int, int] | None = None
        depth, before = 0, ""
        first = self.word()
        while self.word() != ";" or depth:
            word = self.word()
            if self.at_end:
                raise self.error()
            depth += (word in ("(", "[")) - (word in (")", "]"))
            if word == "INTO" and depth == 0 and before not in ("INSERT", "MERGE") and first not in ("CREATE", "COPY"):
                if into is not None:
                    raise ProgrammingError("INTO specified more than once", position=self.token.start)
                begin = self.token.start
                into = self._into()
                cut = begin, self._tokens[self._at - 1].end
                continue
            before = word
            self._at += 1
        end = self._tokens[self._at - 1].end
        text = self.text[start:end]
        if cut is not None:
            text = self.text[start : cut[0]] + " " * (cut[1] - cut[0]) + self.text[cut[1] : end]
        self.expect(";")
        return tree.Run(line, tree.Sql(" " * start + text, start), into)

    def _into(self) -> tree.Into:
        self.expect("INTO")
        strict = self.accept("STRICT")
        return tree.Into(self.targets(), strict)

    def if_(self, line: int) -> tree.If:
        branches = []
        while True:
            condition = self.expression("THEN")
            self.expect("THEN")
            branches.append((condition, self.statements("ELSIF", "ELSEIF", "ELSE", "END")))
            if not self.accept_any(("ELSIF", "ELSEIF")):
                break
        otherwise = self.statements("END") if self.accept("ELSE") else ()
        self.expect("END", "IF", ";")
        return tree.If(line, tuple(branches), otherwise)

    def case(self, line: int) -> tree.CaseWhen:
        operand = None if self.word() == "WHEN" else self.expression("WHEN")
        self._cases += 1
        variable = f"__case__variable_{self._cases}__"
        branches = []
        while self.accept("WHEN"):
            start, end = self._until(("THEN",))
            condition = self._selected(start, end)
            if operand is not None:
                condition = self._selected(start, end, f'"{variable}" in (', ")")
            self.expect("THEN")
            branches.append((condition, self.statements("WHEN", "ELSE", "END")))
        if not branches:
            raise self.error()
        otherwise = self.statements("END") if self.accept("ELSE") else None
        self.expect("END", "CASE", ";")
        return tree.CaseWhen(line, operand, variable, tuple(branches), otherwise)

    def _loop_body(self, label: str | None) -> tuple[tree.Statement, ...]:
        self.expect("LOOP")
        body = self.statements("END")
        self.expect("END", "LOOP")
        self._end_label(label)
        self.expect(";")
        return body

    def loop(self, line: int, label: str | None) -> tree.Loop:
        self._at -= 1
        return tree.Loop(line, label, None, self._loop_body(label))

    def while_(self, line: int, label: str | None) -> tree.Loop:
        condition = self.expression("LOOP")
        return tree.Loop(line, label, condition, self._loop_body(label))

    def for_(self, line: int, label: str | None) -> tree.ForRange | tree.ForRows:
        targets = self.targets()
        self.expect("IN")
        if self.accept("EXECUTE"):
            text = self.expression("LOOP", "USING")
            using = self._using("LOOP")
            return tree.ForRows(line, label, targets, text, using, self._loop_body(label))
        at = self._at
        reverse = self.accept("REVERSE")
        if self._is_range():
            if len(targets) != 1 or len(targets[0].path) != 1 or targets[0].subscripts:
                message = "integer FOR loop must have only one target variable"
                raise ProgrammingError(message, position=targets[-1].position)
            low = self.expression("..")
            self.expect("..")
            high = self.expression("LOOP", "BY")
            step = self.expression("LOOP") if self.accept("BY") else None
            body = self._loop_body(label)
            return tree.ForRange(line, label, targets[0].path[0], low, high, step, reverse, body)
        self._at = at
        if self.word() not in _QUERIES:
            raise self.unsupported("a loop over a cursor")
        query = self.statement_text(*self._until(("LOOP",)))
        return tree.ForRows(line, label, targets, query, None, self._loop_body(label))

    def _is_range(self) -> bool:
        depth, at = 0, self._at
        while self._tokens[at].kind != END:
            word = self._tokens[at].upper
            depth += (word in ("(", "[")) - (word in (")", "]"))
            if depth == 0 and word in ("..", "LOOP", ";"):
                return word == ".."
            at += 1
        return False

    def foreach(self, line: int, label: str | None) -> tree.ForEach:
        targets = self.targets()
        if self.word() == "SLICE":
            raise self.unsupported("FOREACH ... SLICE")
        self.expect("IN", "ARRAY")
        array = self.expression("LOOP")
        return tree.ForEach(line, label, targets, array, self._loop_body(label))

    def leave(self, line: int, *, again: bool) -> tree.Leave:
        position = self._tokens[self._at - 1].start
        label = None if self.word() in ("WHEN", ";") else self.name()
        condition = self.expression(";") if self.accept("WHEN") else None
        self.expect(";")
        return tree.Leave(line, position, again, label, condition)

    def return_(self, line: int) -> tree.Return | tree.ReturnNext | tree.ReturnQuery:
        if self.accept("NEXT"):
            value = None if self.word() == ";" else self.expression(";")
            self.expect(";")
            return tree.ReturnNext(line, value)
        if self.accept("QUERY"):
            if self.accept("EXECUTE"):
                text = self.expression(";", "USING")
                using = self._using(";")
                self.expect(";")
                return tree.ReturnQuery(line, text, using)
            query = self.statement_text(*self._until((";",)))
            self.expect(";")
            return tree.ReturnQuery(line, query)
        value = None if self.word() == ";" else self.expression(";")
        self.expect(";")
        return tree.Return(line, value)

    def perform(self, line: int) -> tree.Perform:
        query = self.expression(";")
        self.expect(";")
        return tree.Perform(line, query)

    def _using(self, *ends: str) -> tuple[tree.Sql, ...]:
        if not self.accept("USING"):
            return ()
        found = [self.expression(",", *ends)]
        while self.accept(","):
            found.append(self.expression(",", *ends))
        return tuple(found)

    def execute(self, line: int) -> tree.Execute:
        text = self.expression("INTO", "USING", ";")
        into: tree.Into | None = None
        using: tuple[tree.Sql, ...] = ()
        while not self.accept(";"):
            if self.word() == "INTO" and into is None:
                into = self._into()
            elif self.word() == "USING" and not using:
                using = self._using("INTO", ";")
            else:
                raise self.error()
        return tree.Execute(line, text, into, using)

    def call(self, line: int) -> tree.CallProcedure:
        path = [self.name()]
        while self.accept("."):
            path.append(self.name())
        self.expect("(")
        arguments: list[tuple[tree.Sql, tree.Target | None]] = []
        while self.word() != ")":
            target = self._lone_target()
            arguments.append((self.expression(",", ")"), target))
            if self.word() == ")":
                break
            self.expect(",")
        self.expect(")", ";")
        return tree.CallProcedure(line, tuple(path), tuple(arguments))

    def _lone_target(self) -> tree.Target | None:
        """The variable that an argument is, if it is nothing else."""
        at = self._at
        try:
            target = self.target()
        except ProgrammingError:
            self._at = at
            return None
        alone = self.word() in (",", ")")
        self._at = at
        return target if alone else None

    def diagnostics(self, line: int) -> tree.GetDiagnostics:
        stacked = self.accept_any(("CURRENT", "STACKED")) == "STACKED"
        self.expect("DIAGNOSTICS")
        items: list[tuple[tree.Target, str]] = []
        while True:
            target = self.target()
            if not self.accept_any(("=", ":=")):
                raise self.error()
            position, item = self.token.start, self.name()
            if item not in (_STACKED_ITEMS if stacked else _ITEMS):
                if item not in (*_STACKED_ITEMS, *_ITEMS):
                    raise ProgrammingError("unrecognized GET DIAGNOSTICS item", position=position)
                kind = "STACKED" if stacked else "CURRENT"
                message = f"diagnostics item {item.upper()} is not allowed in GET {kind} DIAGNOSTICS"
                raise ProgrammingError(message, position=position)
            items.append((target, item))
            if not self.accept(","):
                break
        self.expect(";")
        return tree.GetDiagnostics(line, stacked, tuple(items))

    def raise_(self, line: int) -> tree.Raise:
        level = self.accept_any(_LEVELS).lower() or "exception"
        condition = text = None
        arguments: list[tree.Sql] = []
        if self.token.kind in ("string", "dollar"):
            text, position = self.string(), self.token.start
            while self.accept(","):
                arguments.append(self.expression(",", "USING", ";"))
            wanted = text.replace("%%", "").count("%")
            if wanted != len(arguments):
                what = "few" if len(arguments) < wanted else "many"
                raise ProgrammingError(f"too {what} parameters specified for RAISE", position=position)
        elif self.accept("SQLSTATE"):
            condition = self._sqlstate()
        elif self.word() not in ("USING", ";"):
            position, name = self.token.start, self.name()
            if name not in CONDITIONS:
                raise error_for("42704", f'unrecognized exception condition "{name}"', position=position)
            condition = CONDITIONS[name][0]
        options: list[tuple[str, tree.Sql]] = []
        if self.accept("USING"):
            while True:
                position, name = self.token.start, self.name()
                if name not in _OPTIONS:
                    raise ProgrammingError("unrecognized RAISE statement option", position=position)
                if not self.accept_any(("=", ":=")):
                    raise self.error()
                options.append((name, self.expression(",", ";")))
                if not self.accept(","):
                    break
        self.expect(";")
        return tree.Raise(line, level, condition, text, tuple(arguments), tuple(options))

    def assert_(self, line: int) -> tree.Assert:
        condition = self.expression(",", ";")
        message = self.expression(";") if self.accept(",") else None
        self.expect(";")
        return tree.Assert(line, condition, message)

    def nothing(self, line: int) -> tree.Nothing:
        self.expect(";")
        return tree.Nothing(line)

    def end_transaction(self, line: int, *, commit: bool) -> tree.EndTransaction:
        if self.accept("AND"):
            self.accept("NO")
            self.expect("CHAIN")
        self.expect(";")
        return tree.EndTransaction(line, commit)


_LOOPS: dict[str, Callable[[_Parser, int, str | None], tree.Statement]] = {
    "LOOP": _Parser.loop,
    "WHILE": _Parser.while_,
    "FOR": _Parser.for_,
    "FOREACH": _Parser.foreach,
}
_STATEMENTS: dict[str, Callable[[_Parser, int], tree.Statement]] = {
    "IF": _Parser.if_,
    "CASE": _Parser.case,
    "EXIT": lambda parser, line: parser.leave(line, again=False),
    "CONTINUE": lambda parser, line: parser.leave(line, again=True),
    "RETURN": _Parser.return_,
    "PERFORM": _Parser.perform,
    "EXECUTE": _Parser.execute,
    "CALL": _Parser.call,
    "GET": _Parser.diagnostics,
    "RAISE": _Parser.raise_,
    "ASSERT": _Parser.assert_,
    "NULL": _Parser.nothing,
    "COMMIT": lambda parser, line: parser.end_transaction(line, commit=True),
    "ROLLBACK": lambda parser, line: parser.end_transaction(line, commit=False),
}
