/**
 * Connections, statements and cursors: for programs see index.js, which adds transactions and buckets; functions that
 * SQL calls have these alone.
 */
import { Connection as HostConnection } from "zerosys:db/query@0.1.0";
import { host } from "./errors.js";
import { batchOf, fromValue, guessForm, rowsOf, toValue } from "./values.js";

const BATCH_ROWS = 1024;
const dispose = Symbol.dispose ?? Symbol.for("dispose");

export function release(resource) {
  resource?.[dispose]?.();
}

const values = (parameters) => Array.from(parameters ?? [], toValue);

/** The rows of a result, as arrays. They are fetched in batches as they are asked for. */
export class Cursor {
  #resource;

  constructor(resource, batchRows) {
    this.#resource = resource;
    this.batchRows = batchRows;
    this.columns = resource.columns();
  }

  *batches() {
    while (this.#resource) {
      const batch = host(() => this.#resource.nextBatch(this.batchRows));
      if (!batch) break;
      yield rowsOf(batch);
    }
    this.close();
  }

  *[Symbol.iterator]() {
    for (const batch of this.batches()) yield* batch;
  }

  /** Rows by the names of their columns. */
  *objects() {
    const names = this.columns.map((column) => column.name);
    for (const row of this) yield Object.fromEntries(names.map((name, place) => [name, row[place]]));
  }

  close() {
    release(this.#resource);
    this.#resource = undefined;
  }
}

/** A statement that is compiled once and run often. */
export class Statement {
  #resource;

  constructor(resource) {
    this.#resource = resource;
  }

  get parameters() {
    return this.#resource.parameters();
  }

  /** Of the result; none for a statement that returns no rows. */
  get columns() {
    return this.#resource.columns();
  }

  /** How many rows it inserted, changed, deleted or returned (a BigInt). */
  execute(parameters) {
    return host(() => this.#resource.execute(values(parameters)));
  }

  query(parameters, { batchRows = BATCH_ROWS } = {}) {
    return new Cursor(host(() => this.#resource.query(values(parameters))), batchRows);
  }

  /** The first row, undefined if there is none: one call, the quick way to look up by key. */
  queryRow(parameters) {
    return host(() => this.#resource.queryRow(values(parameters)))?.map(fromValue);
  }

  /** Once for each row, in batches: within a transaction they take effect together, without one each batch alone. */
  executeMany(rows, { batchRows = BATCH_ROWS } = {}) {
    let changed = 0n;
    let block = [];
    for (const row of rows) {
      if (block.push(row) === batchRows) {
        changed += this.#executeBlock(block);
        block = [];
      }
    }
    return block.length ? changed + this.#executeBlock(block) : changed;
  }

  #executeBlock(block) {
    const width = block[0].length;
    if (block.some((row) => row.length !== width)) throw new TypeError("the rows have different numbers of values");
    const forms = Array.from({ length: width }, (_, column) => guessForm(block.map((row) => row[column])));
    if (!width || forms.includes(undefined)) return block.reduce((sum, row) => sum + this.execute(row), 0n);
    return host(() => this.#resource.executeBatch(batchOf(block, forms)));
  }

  close() {
    release(this.#resource);
    this.#resource = undefined;
  }
}

/** A session with the database. Outside of a transaction each statement is one of its own. */
export class Connection {
  constructor(name = "") {
    this.resource = host(() => HostConnection.open(name));
  }

  prepare(sql) {
    return new Statement(host(() => this.resource.prepare(sql)));
  }

  /** Runs a statement; how many rows it inserted, changed, deleted or returned (a BigInt). */
  execute(sql, parameters) {
    return host(() => this.resource.execute(sql, values(parameters)));
  }

  executeMany(sql, rows, options) {
    const statement = this.prepare(sql);
    try {
      return statement.executeMany(rows, options);
    } finally {
      statement.close();
    }
  }

  /** Runs a query, or a change with RETURNING. */
  query(sql, parameters, { batchRows = BATCH_ROWS } = {}) {
    return new Cursor(host(() => this.resource.query(sql, values(parameters))), batchRows);
  }

  queryRow(sql, parameters) {
    const statement = this.prepare(sql);
    try {
      return statement.queryRow(parameters);
    } finally {
      statement.close();
    }
  }

  /** Runs statements separated by semicolons. */
  script(sql) {
    host(() => this.resource.executeScript(sql));
  }

  /** A transaction that is open is rolled back. */
  close() {
    release(this.resource);
    this.resource = undefined;
  }
}

export const connect = (name = "") => new Connection(name);
