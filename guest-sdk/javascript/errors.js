/** A statement failed. `position` counts characters of its text from 1; `retryable`: run the transaction again. */
export class DatabaseError extends Error {
  constructor({ sqlstate, message, hint, position, retryable }) {
    super(message);
    this.name = "DatabaseError";
    this.sqlstate = sqlstate;
    this.hint = hint;
    this.position = position;
    this.retryable = retryable ?? false;
  }

  toString() {
    return `${this.sqlstate}: ${this.message}${this.hint ? ` (hint: ${this.hint})` : ""}`;
  }
}

/** Thrown by a function or a trigger that SQL calls: the statement fails with the message and SQLSTATE. */
export class FunctionError extends Error {
  constructor(message, sqlstate, row) {
    super(message);
    this.name = "FunctionError";
    this.sqlstate = sqlstate;
    this.row = row;
  }
}

/** Calls the host; its errors become exceptions of this package. */
export function host(call) {
  try {
    return call();
  } catch (error) {
    if (error?.payload?.sqlstate !== undefined) throw new DatabaseError(error.payload);
    throw error;
  }
}

/** Any exception as a payload of the type `function-error`. */
export function raised(error, row) {
  const payload =
    error instanceof FunctionError || error instanceof DatabaseError
      ? { message: error.message, sqlstate: error.sqlstate, row: error.row ?? row }
      : { message: String(error), sqlstate: undefined, row };
  return Object.assign(new Error(payload.message), { payload });
}
