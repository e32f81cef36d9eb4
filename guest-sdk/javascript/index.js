/**
 * zerodb from within: what a WebAssembly component written in JavaScript uses.
 *
 *   import { connect } from "zerodb-guest";
 *
 *   export function run(args) {
 *     const db = connect();
 *     for (const [name, price] of db.query("select name, price from item where price > $1", [2])) ...
 *     db.transaction(() => db.execute("..."), { isolation: "serializable", retries: 5 });
 *     return "done";
 *   }
 *
 * `zerodb new guest --lang js NAME` makes a project, `zerodb build` builds it.
 */
import { Bucket as HostBucket } from "zerosys:db/kv@0.1.0";
import { Transaction as HostTransaction } from "zerosys:db/transaction@0.1.0";
import { host } from "./errors.js";
import { Connection as QueryConnection, release } from "./query.js";

export { DatabaseError } from "./errors.js";
export { Cursor, Statement } from "./query.js";
export { Interval } from "./values.js";

const LEVELS = {
  default: "default-level",
  "read committed": "read-committed",
  "repeatable read": "repeatable-read",
  serializable: "serializable",
};

/** An open transaction. */
export class Transaction {
  #resource;

  constructor(connection, isolation = "default", readOnly = false) {
    if (!(isolation in LEVELS)) throw new RangeError(`there is no isolation level ${isolation}`);
    const access = readOnly ? "read-only" : "read-write";
    this.#resource = host(() => HostTransaction.begin(connection, LEVELS[isolation], access));
  }

  get isOpen() {
    return this.#resource !== undefined;
  }

  commit() {
    const resource = this.#take();
    host(() => HostTransaction.commit(resource));
  }

  rollback() {
    const resource = this.#take();
    host(() => HostTransaction.rollback(resource));
  }

  /** A place to come back to. */
  savepoint(name) {
    host(() => this.#resource.savepoint(name));
  }

  rollbackTo(name) {
    host(() => this.#resource.rollbackTo(name));
  }

  release(name) {
    host(() => this.#resource.release(name));
  }

  #take() {
    const resource = this.#resource;
    if (!resource) throw new Error("the transaction has ended");
    this.#resource = undefined;
    return resource;
  }
}

/** A table as keys and values; text given as a value is stored as UTF-8, values come as Uint8Array. */
export class Bucket {
  #resource;

  constructor(connection, name) {
    this.#resource = host(() => HostBucket.open(connection, name));
  }

  get(key) {
    return host(() => this.#resource.get(key));
  }

  getMany(keys) {
    return host(() => this.#resource.getMany(keys));
  }

  set(key, value, { ttlMs } = {}) {
    if (ttlMs === undefined) host(() => this.#resource.set(key, bytes(value)));
    else host(() => this.#resource.setWithTtl(key, bytes(value), BigInt(ttlMs)));
  }

  /** All of them, or none. */
  setMany(pairs) {
    host(() => this.#resource.setMany(Array.from(pairs, ([key, value]) => ({ key, value: bytes(value) }))));
  }

  /** Whether the key was there. */
  delete(key) {
    return host(() => this.#resource.delete(key));
  }

  deleteMany(keys) {
    return host(() => this.#resource.deleteMany(keys));
  }

  has(key) {
    return host(() => this.#resource.exists(key));
  }

  /** The keys that begin with `prefix`, in the order of their bytes. */
  *keys(prefix = "") {
    let cursor;
    do {
      const page = host(() => this.#resource.listKeys(prefix, cursor, 0));
      yield* page.keys;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** Adds to a number (a key that is not there counts as 0); the sum, a BigInt. */
  increment(key, delta = 1) {
    return host(() => this.#resource.increment(key, BigInt(delta)));
  }

  /** Sets the value if the present one is `expected` (undefined: if the key is not there); whether it did. */
  compareAndSwap(key, expected, value) {
    const old = expected === undefined ? undefined : bytes(expected);
    return host(() => this.#resource.compareAndSwap(key, old, bytes(value)));
  }

  close() {
    release(this.#resource);
    this.#resource = undefined;
  }
}

const bytes = (value) => (typeof value === "string" ? new TextEncoder().encode(value) : value);

export class Connection extends QueryConnection {
  /**
   * Calls `body(transaction)`, then commits; rolls back if it throws. After a conflict it is called again, `retries`
   * times at most. Gives what `body` gives.
   */
  transaction(body, { isolation, readOnly, retries = 0 } = {}) {
    for (let attempt = 0; ; attempt++) {
      try {
        const transaction = this.begin({ isolation, readOnly });
        let result;
        try {
          result = body(transaction);
        } catch (error) {
          if (transaction.isOpen) transaction.rollback();
          throw error;
        }
        if (transaction.isOpen) transaction.commit();
        return result;
      } catch (error) {
        if (!error.retryable || attempt >= retries) throw error;
      }
    }
  }

  begin({ isolation, readOnly } = {}) {
    return new Transaction(this.resource, isolation, readOnly);
  }

  bucket(name) {
    return new Bucket(this.resource, name);
  }
}

/** Opens the database that the host runs this guest on; or another that the host grants by its name. */
export const connect = (name = "") => new Connection(name);
