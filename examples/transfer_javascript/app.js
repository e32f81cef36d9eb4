// Moves money between accounts in a serializable transaction, again after a conflict.
//
//   zerodb build examples/transfer_javascript
//   zerodb run examples/transfer_javascript/transfer.wasm --db bank.zdb -- open ann 100
//   zerodb run examples/transfer_javascript/transfer.wasm --db bank.zdb -- move ann bob 30
import { connect } from "zerodb-guest";

const TABLE = "create table if not exists account (owner text primary key, balance bigint not null)";

class Refused extends Error {
  toString() {
    return this.message;
  }
}

function open(db, owner, amount) {
  db.execute("insert into account values ($1, $2)", [owner, BigInt(amount)]);
  return `${owner} has ${amount}`;
}

function move(db, from, to, amount) {
  const units = BigInt(amount);
  const body = () => {
    const row = db.queryRow("select balance from account where owner = $1", [from]);
    if (!row) throw new Refused(`${from} has no account`);
    const [balance] = row; // a bigint is a BigInt: exact
    if (balance < units) throw new Refused(`${from} has only ${balance}`);
    db.execute("update account set balance = balance - $2 where owner = $1", [from, units]);
    const found = db.execute("update account set balance = balance + $2 where owner = $1", [to, units]);
    if (found !== 1n) throw new Refused(`${to} has no account`); // and what was taken from the other is undone
    return balance - units;
  };
  const left = db.transaction(body, { isolation: "serializable", retries: 50 });
  return `${from} has ${left}`;
}

export function run([command, ...rest]) {
  const db = connect();
  db.execute(TABLE);
  switch (command) {
    case "open":
      return open(db, ...rest);
    case "move":
      return move(db, ...rest);
    default:
      throw new Refused("open OWNER AMOUNT, or move FROM TO AMOUNT");
  }
}
