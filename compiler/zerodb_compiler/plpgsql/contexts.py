"""What PostgreSQL calls the statements of PL/pgSQL in the contexts of errors: line 3 at assignment."""

from __future__ import annotations

from zerodb_compiler.plpgsql import tree

_NAMES: dict[type, str] = {
    tree.Assign: "assignment",
    tree.If: "IF",
    tree.CaseWhen: "CASE",
    tree.ForRange: "FOR with integer loop variable",
    tree.ForEach: "FOREACH over array",
    tree.Return: "RETURN",
    tree.ReturnNext: "RETURN NEXT",
    tree.ReturnQuery: "RETURN QUERY",
    tree.Perform: "PERFORM",
    tree.Execute: "EXECUTE",
    tree.Run: "SQL statement",
    tree.CallProcedure: "CALL",
    tree.GetDiagnostics: "GET DIAGNOSTICS",
    tree.Raise: "RAISE",
    tree.Assert: "ASSERT",
    tree.Nothing: "NULL",
}


def described(node: tree.Statement) -> str:
    """What PostgreSQL calls a statement in contexts."""
    match node:
        case tree.Loop(condition=condition):
            return "LOOP" if condition is None else "WHILE"
        case tree.ForRows(using=using):
            return "FOR over SELECT rows" if using is None else "FOR over EXECUTE statement"
        case tree.Leave(again=again):
            return "CONTINUE" if again else "EXIT"
        case tree.EndTransaction(commit=commit):
            return "COMMIT" if commit else "ROLLBACK"
    return _NAMES[type(node)]
