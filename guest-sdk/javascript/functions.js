/**
 * Functions that SQL calls.
 *
 *   import { scalar, table, aggregate } from "zerodb-guest/functions";
 *
 *   scalar({ name: "slug", arguments: { title: "text" }, returns: "text", volatility: "immutable" },
 *     (title) => title.toLowerCase().replaceAll(" ", "-"));
 *
 *   table({ name: "words", arguments: { text: "text" }, columns: { word: "text" } }, function* (text) { ... yield [word]; });
 *
 *   aggregate({ name: "longest", arguments: { text: "text" }, returns: "text" }, class {
 *     step(text) { ... }
 *     finish() { return ...; }
 *   });
 *
 * A function is strict, left out where an argument is NULL, unless it says `strict: false`. `vectorized: true` gives a
 * scalar function an array for each argument and takes an array.
 */
import { FunctionError, raised } from "./errors.js";
import { batchOf, formOfType, fromColumn, fromValue, toColumn } from "./values.js";

export { DatabaseError, FunctionError } from "./errors.js";
export { Interval } from "./values.js";

const declared = { scalar: new Map(), table: new Map(), aggregate: new Map() };

function declare(kind, options, body) {
  const { name, arguments: takes = {}, volatility = "volatile", strict = true, vectorized = false } = options;
  const results = kind === "table" ? options.columns : { result: options.returns };
  if (!name || !results || Object.values(results).includes(undefined)) {
    throw new TypeError(`a ${kind} function needs a name and ${kind === "table" ? "columns" : "returns"}`);
  }
  const columns = (types, nullable) =>
    Object.entries(types).map(([column, dataType]) => ({ name: column, dataType, nullable }));
  const signature = { name, arguments: columns(takes, !strict), results: columns(results, true), volatility, strict };
  declared[kind].set(name, { signature, body, vectorized, forms: Object.values(results).map(formOfType) });
}

export const scalar = (options, body) => declare("scalar", options, body);
export const table = (options, body) => declare("table", options, body);
export const aggregate = (options, group) => declare("aggregate", { volatility: "immutable", ...options }, group);

export const describe = (kind) => Array.from(declared[kind].values(), ({ signature }) => signature);

function find(kind, name) {
  const found = declared[kind].get(name);
  if (!found) throw raised(new FunctionError(`the component has no ${kind} function ${name}`, "42883"));
  return found;
}

const hasNull = (values) => values.includes(null);

export function callScalar(name, batch) {
  const { body, vectorized, forms, signature } = find("scalar", name);
  let row;
  try {
    const columns = batch.columns.map(fromColumn);
    let result;
    if (vectorized) {
      result = Array.from(body(...columns));
      if (result.length !== batch.rowCount) {
        throw new FunctionError(`${name} gave ${result.length} values for ${batch.rowCount} rows`, "39000");
      }
    } else {
      result = new Array(batch.rowCount);
      for (row = 0; row < batch.rowCount; row++) {
        const values = columns.map((column) => column[row]);
        result[row] = signature.strict && hasNull(values) ? null : body(...values);
      }
      row = undefined;
    }
    return toColumn(result, forms[0]);
  } catch (error) {
    throw raised(error, row);
  }
}

export class Rows {
  constructor(iterator, forms) {
    this.iterator = iterator;
    this.forms = forms;
  }

  nextBatch(maxRows) {
    try {
      const rows = [];
      while (rows.length < Math.max(maxRows, 1)) {
        const { value, done } = this.iterator.next();
        if (done) break;
        rows.push(Array.isArray(value) ? value : [value]);
      }
      return rows.length ? batchOf(rows, this.forms) : undefined;
    } catch (error) {
      throw raised(error);
    }
  }
}

export function callTable(name, values) {
  const { body, forms, signature } = find("table", name);
  try {
    const given = values.map(fromValue);
    return new Rows(signature.strict && hasNull(given) ? [].values() : body(...given)[Symbol.iterator](), forms);
  } catch (error) {
    throw raised(error);
  }
}

export class States {
  constructor({ body, forms, signature }) {
    this.Group = body;
    this.form = forms[0];
    this.strict = signature.strict;
    this.groups = [];
  }

  update(groupCount, groups, batch) {
    let row;
    try {
      const columns = batch.columns.map(fromColumn);
      while (this.groups.length < groupCount) this.groups.push(new this.Group());
      for (row = 0; row < batch.rowCount; row++) {
        const values = columns.map((column) => column[row]);
        if (!this.strict || !hasNull(values)) this.groups[groups[row]].step(...values);
      }
    } catch (error) {
      throw raised(error, row);
    }
  }

  finish() {
    try {
      return toColumn(this.groups.map((group) => group.finish()), this.form);
    } catch (error) {
      throw raised(error);
    }
  }
}

export const start = (name) => new States(find("aggregate", name));
