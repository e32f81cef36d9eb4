import { connect } from "zerodb-guest";

const TABLE = `create table sale (id bigint primary key, item text not null, quantity bigint not null,
    price numeric(10,2) not null, day date)`;
const REPORT = `select item, sum(quantity)::bigint, sum(quantity * price)::numeric(12,2)::text, min(day)::text
    from sale group by item order by item`;

export function run(args) {
  const lines = [];
  const rows = args.map((argument) => {
    const [number, item, quantity, price, day] = argument.split("|");
    return [BigInt(number), item, BigInt(quantity), price, day || null];
  });
  const db = connect();
  db.execute(TABLE);
  db.transaction(() => {
    lines.push(`inserted ${db.executeMany("insert into sale values ($1, $2, $3, $4, $5)", rows)}`);
  });
  try {
    db.transaction(() => {
      db.execute("delete from sale where id = 1");
      db.execute("insert into sale values (2, 'again', 1, 1, null)");
    });
  } catch (error) {
    lines.push(`refused ${error.sqlstate} ${error.retryable}`);
  }
  const find = db.prepare("select item, quantity, price, day is null from sale where id = $1");
  for (const key of [1, 2, 99]) {
    const row = find.queryRow([key]);
    lines.push(row ? `${key}: ${row.join(" ")}` : `${key}: none`);
  }
  for (const [item, quantity, worth, first] of db.query(REPORT)) {
    lines.push(`${item} ${quantity} ${worth} ${first ?? "-"}`);
  }
  const notes = db.bucket("note");
  notes.set("a", "x");
  const [first, second] = [notes.increment("runs"), notes.increment("runs", 41)];
  lines.push(`notes ${first} ${second} ${new TextDecoder().decode(notes.get("a"))}`);
  return lines.join("\n");
}
