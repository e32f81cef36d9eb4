from zerodb_guest import Error, connect

TABLE = """create table sale (id bigint primary key, item text not null, quantity bigint not null,
    price numeric(10,2) not null, day date)"""
REPORT = """select item, sum(quantity)::bigint, sum(quantity * price)::numeric(12,2)::text, min(day)::text
    from sale group by item order by item"""


def run(arguments):
    lines = []
    rows = []
    for argument in arguments:
        number, item, quantity, price, day = argument.split("|")
        rows.append((int(number), item, int(quantity), price, day or None))
    with connect() as db:
        db.execute(TABLE)
        with db.transaction():
            lines.append(f"inserted {db.executemany('insert into sale values ($1, $2, $3, $4, $5)', rows)}")
        try:
            with db.transaction():
                db.execute("delete from sale where id = 1")
                db.execute("insert into sale values (2, 'again', 1, 1, null)")
        except Error as error:
            lines.append(f"refused {error.sqlstate} {str(error.retryable).lower()}")
        find = db.prepare("select item, quantity, price, day is null from sale where id = $1")
        for key in (1, 2, 99):
            row = find.query_row([key])
            lines.append(f"{key}: none" if row is None else f"{key}: {row[0]} {row[1]} {row[2]} {str(row[3]).lower()}")
        for item, quantity, worth, first in db.query(REPORT):
            lines.append(f"{item} {quantity} {worth} {'-' if first is None else first}")
        notes = db.bucket("note")
        notes["a"] = "x"
        lines.append(f"notes {notes.increment('runs')} {notes.increment('runs', 41)} {notes['a'].decode()}")
    return "\n".join(lines)
