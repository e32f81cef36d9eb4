"""The guest in Python that `python -m benchmarks components` runs: each argument list names a measurement and how many
times to do it. The host takes the time of the whole call."""

from wit_world.imports import types

from zerodb_guest import connect


def run(arguments):
    what, count, rows = arguments[0], int(arguments[1]), int(arguments[2])
    if what == "nothing":
        return ""
    with connect() as db:
        if what == "lookup":
            with db.prepare("select owner from account where id = $1") as find:
                for number in range(count):
                    find.query_row([number * 7919 % rows])
        elif what == "lookup-raw":  # the generated bindings, without the SDK's conversions
            find = db._open().prepare("select owner from account where id = $1")
            for number in range(count):
                find.query_row([types.Value_Int64(number * 7919 % rows)])
        elif what == "call":  # the least that a call to the host can be
            with db.prepare("select 1") as statement:
                for _ in range(count):
                    statement._open().parameters()
        elif what in ("owner", "balance"):  # batches of a number and a text, or of two numbers
            total = 0
            for _ in range(count):
                cursor = db._open().query(f"select id, {what} from account limit {rows}", [])
                while (batch := cursor.next_batch(rows)) is not None:
                    total += batch.row_count
            return str(total)
    return ""
