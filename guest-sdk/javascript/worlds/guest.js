// The world `guest` for a program whose module is app.js, with `export function run(args)`.
import { run as program } from "../../app.js";
import { DatabaseError } from "../errors.js";

export function run(args) {
  try {
    return String(program(args) ?? "");
  } catch (error) {
    console.error(error?.stack ?? "");
    const payload = error instanceof DatabaseError ? error.toString() : String(error);
    throw Object.assign(new Error(payload), { payload });
  }
}
