/**
 * Triggers: the function sees the rows that a statement changes, before or after it.
 *
 *   import { trigger, FunctionError } from "zerodb-guest/triggers";
 *
 *   trigger((event) => {
 *     for (const change of event.changes) {
 *       if (change.new.price < 0n) throw new FunctionError("a price is not negative", "23514", change.row);
 *       change.new.name = change.new.name.trim(); // before the change: it is stored so
 *     }
 *   });
 *
 * `change.skip()` leaves a row alone. One call replaces rows or skips some, not both: `decision` has no form for that.
 */
import { FunctionError, raised } from "./errors.js";
import { batchOf, formOfType, packBits, rowsOf } from "./values.js";

export { FunctionError } from "./errors.js";

const triggers = new Map();

/** For every trigger that names this component; with a name first, for that one alone. */
export function trigger(nameOrBody, body) {
  if (body) triggers.set(nameOrBody, body);
  else triggers.set("", nameOrBody);
}

export function callTrigger({ trigger: name, table, timing, operation, columns, old, new: fresh }) {
  try {
    const body = triggers.get(name) ?? triggers.get("");
    if (!body) throw new FunctionError(`the component has no trigger ${name}`, "42883");
    const names = columns.map((column) => column.name);
    const [oldRows, newRows] = [old && rowsOf(old), fresh && rowsOf(fresh)];
    const object = (row) => row && Object.fromEntries(names.map((column, place) => [column, row[place]]));
    const skipped = new Set();
    const changes = (newRows ?? oldRows ?? []).map((_, row) => ({
      row,
      old: object(oldRows?.[row]),
      new: object(newRows?.[row]),
      skip: () => skipped.add(row),
    }));
    body({ trigger: name, table, timing, operation, columns, changes });
    const rows = newRows && changes.map((change) => names.map((column) => change.new[column]));
    const replaced = newRows?.some((row, place) => row.some((value, column) => value !== rows[place][column]));
    if (replaced && skipped.size) {
      throw new FunctionError(`${name}: rows cannot be both replaced and skipped in one statement`, "0A000");
    }
    if (replaced) {
      return { tag: "replace", val: batchOf(rows, columns.map((column) => formOfType(column.dataType))) };
    }
    if (skipped.size) return { tag: "filter", val: packBits(changes.map((change) => !skipped.has(change.row))) };
    return { tag: "keep" };
  } catch (error) {
    throw raised(error);
  }
}
