// __NAME__: keeps the words it is given and says how often each came.
//
// zerodb run __NAME__.wasm --db words.zdb -- to be or not to be
import { connect } from "zerodb-guest";

export function run(args) {
  const db = connect();
  db.execute("create table if not exists word (word text primary key, times bigint not null)");
  const count = "insert into word values ($1, 1) on conflict (word) do update set times = word.times + 1";
  db.transaction(() => db.executeMany(count, args.map((word) => [word])), { retries: 5 });
  const rows = db.query("select word, times from word order by times desc, word");
  return Array.from(rows, ([word, times]) => `${word} ${times}`).join("\n");
}
