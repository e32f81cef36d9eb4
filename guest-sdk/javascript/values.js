/**
 * JavaScript's values and those of types.wit, both ways, one by one and by columns.
 *
 *   bigint, and numbers that are integers     bigint (comes as BigInt: exact)
 *   other numbers                             double precision
 *   string, boolean, Uint8Array               text, boolean, bytea
 *   Date                                      timestamptz
 *   date, time, timestamp, timestamptz        come as ISO text with microseconds, which Date does not have
 *   numeric, uuid                             come as text
 *   Interval                                  interval
 *   other objects                             json (comes parsed); arrays are SQL arrays, which come as their text
 *
 * Text may be given for any parameter: it takes the type that its place needs.
 */

export class Interval {
  constructor(months = 0, days = 0, microseconds = 0n) {
    this.months = months;
    this.days = days;
    this.microseconds = BigInt(microseconds);
  }
}

const DAY_MS = 86_400_000;

function isoDate(days) {
  const text = new Date(days * DAY_MS).toISOString(); // throws a RangeError outside of its 275,000 years
  return text.slice(0, text.indexOf("T"));
}

const pad = (number, width) => String(number).padStart(width, "0");

function isoTime(microseconds) {
  const micro = microseconds % 1_000_000n;
  const seconds = Number(microseconds / 1_000_000n);
  const clock = `${pad(Math.floor(seconds / 3600), 2)}:${pad(Math.floor(seconds / 60) % 60, 2)}:${pad(seconds % 60, 2)}`;
  return micro ? `${clock}.${pad(micro, 6)}` : clock;
}

function isoTimestamp(microseconds) {
  const day = 86_400_000_000n;
  const within = ((microseconds % day) + day) % day;
  return `${isoDate(Number((microseconds - within) / day))}T${isoTime(within)}`;
}

/** A list as PostgreSQL writes an array: {1,NULL,"a b"}. */
function arrayText(values) {
  const element = (value) => {
    if (value === null || value === undefined) return "NULL";
    if (Array.isArray(value)) return arrayText(value);
    if (typeof value === "boolean") return value ? "t" : "f";
    if (typeof value === "number" || typeof value === "bigint") return String(value);
    return `"${String(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  };
  return `{${values.map(element).join(",")}}`;
}

const same = (value) => value;
const asNumber = (value) => (typeof value === "number" ? value : Number(value));
const interval = (value) => new Interval(value.months, value.days, value.microseconds);

function daysOf(value) {
  const ms = value instanceof Date ? value.getTime() : Date.parse(`${value}T00:00:00Z`);
  if (Number.isNaN(ms)) throw new TypeError(`not a date: ${value}`);
  return Math.floor(ms / DAY_MS);
}

function microsecondsOfTime(value) {
  const [, hours, minutes, seconds = "0", fraction = ""] = /^(\d+):(\d+)(?::(\d+)(?:\.(\d{1,6}))?)?$/.exec(value) ?? [];
  if (hours === undefined) throw new TypeError(`not a time: ${value}`);
  return BigInt((+hours * 60 + +minutes) * 60 + +seconds) * 1_000_000n + BigInt(fraction.padEnd(6, "0"));
}

function microsecondsOf(value) {
  if (value instanceof Date) return BigInt(value.getTime()) * 1000n;
  const [, moment, fraction = "", zone = "Z"] =
    /^(\d{4,6}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,6}))?(Z|[+-]\d\d(?::?\d\d)?)?$/.exec(value) ?? [];
  const ms = moment === undefined ? NaN : Date.parse(moment.replace(" ", "T") + (zone.length === 3 ? `${zone}:00` : zone));
  if (Number.isNaN(ms)) throw new TypeError(`not a timestamp: ${value}`);
  return BigInt(ms) * 1000n + BigInt(fraction.padEnd(6, "0"));
}

// tag of a value: tag of a column, from WIT, to WIT, what stands where a row is NULL
const FORMS = {
  boolean: ["booleans", same, Boolean, false],
  int64: ["int64s", same, BigInt, 0n],
  float64: ["float64s", same, asNumber, 0],
  text: ["texts", same, String, ""],
  binary: ["binaries", same, same, new Uint8Array()],
  date: ["dates", isoDate, daysOf, 0],
  time: ["times", isoTime, microsecondsOfTime, 0n],
  timestamp: ["timestamps", isoTimestamp, microsecondsOf, 0n],
  timestamptz: ["timestamptzs", (value) => `${isoTimestamp(value)}Z`, microsecondsOf, 0n],
  interval: ["intervals", interval, same, new Interval()],
  decimal: ["decimals", same, String, "0"],
  uuid: ["uuids", same, String, "00000000-0000-0000-0000-000000000000"],
  json: ["jsons", JSON.parse, JSON.stringify, "null"],
  other: ["others", same, (value) => (Array.isArray(value) ? arrayText(value) : String(value)), ""],
};
const FORM_OF_COLUMN = Object.fromEntries(Object.values(FORMS).map((form) => [form[0], form]));

const FORM_OF_TYPE = {
  boolean: "boolean",
  ...Object.fromEntries(["smallint", "integer", "bigint", "u8", "u16", "u32"].map((name) => [name, "int64"])),
  real: "float64",
  "double precision": "float64",
  ...Object.fromEntries(["text", "varchar", "char", "character varying", "character"].map((name) => [name, "text"])),
  bytea: "binary",
  date: "date",
  time: "time",
  "time without time zone": "time",
  timestamp: "timestamp",
  "timestamp without time zone": "timestamp",
  timestamptz: "timestamptz",
  "timestamp with time zone": "timestamptz",
  interval: "interval",
  numeric: "decimal",
  decimal: "decimal",
  uuid: "uuid",
  json: "json",
  jsonb: "json",
};

/** The form for a type as SQL writes it: "numeric(10,2)", "text[]". */
export function formOfType(type) {
  const name = type.trim().toLowerCase();
  if (name.endsWith("]")) return "other";
  return FORM_OF_TYPE[name.replace(/\s*\([^)]*\)/, "")] ?? "other";
}

function formOf(value) {
  switch (typeof value) {
    case "bigint":
      return BigInt.asIntN(64, value) === value ? "int64" : "decimal";
    case "number":
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? "int64" : "float64";
    case "string":
      return "text";
    case "boolean":
      return "boolean";
    case "object":
      if (value instanceof Uint8Array) return "binary";
      if (value instanceof Date) return "timestamptz";
      if (value instanceof Interval) return "interval";
      return Array.isArray(value) ? "other" : "json";
    default:
      throw new TypeError(`SQL has no type for a ${typeof value}`);
  }
}

const isNull = (value) => value === null || value === undefined;

export function toValue(value) {
  if (isNull(value)) return { tag: "null" };
  const tag = formOf(value);
  return { tag, val: FORMS[tag][2](value) };
}

export function fromValue({ tag, val }) {
  return tag === "null" ? null : FORMS[tag][1](val);
}

/** The values of a `column-values`, null for NULL. */
export function fromColumn({ validity, data }) {
  const convert = FORM_OF_COLUMN[data.tag][1];
  const made = new Array(data.val.length);
  for (let row = 0; row < made.length; row++) {
    const there = !validity || (validity[row >> 3] >> (row & 7)) & 1;
    made[row] = there ? convert(data.val[row]) : null;
  }
  return made;
}

/** A validity: bit row % 8 of byte row / 8 is set where a row is true. */
export function packBits(present) {
  const packed = new Uint8Array((present.length + 7) >> 3);
  present.forEach((there, row) => {
    if (there) packed[row >> 3] |= 1 << (row & 7);
  });
  return packed;
}

export function toColumn(values, form) {
  const [tag, , convert, filler] = FORMS[form];
  const validity = values.some(isNull) ? packBits(values.map((value) => !isNull(value))) : undefined;
  let val = values.map((value) => (isNull(value) ? filler : convert(value)));
  if (tag === "int64s" || tag === "times" || tag.startsWith("timestamp")) val = BigInt64Array.from(val);
  if (tag === "float64s") val = Float64Array.from(val);
  if (tag === "dates") val = Int32Array.from(val);
  return { validity, data: { tag, val } };
}

/** The one form that all values have; undefined if they have several. Only NULLs: text, which fits everywhere. */
export function guessForm(values) {
  const forms = new Set(values.filter((value) => !isNull(value)).map(formOf));
  if (forms.size === 2 && forms.has("int64") && forms.has("decimal")) return "decimal";
  if (forms.size === 2 && forms.has("int64") && forms.has("float64")) return "float64";
  if (forms.size > 1) return undefined;
  return forms.values().next().value ?? "text";
}

export function rowsOf(batch) {
  const columns = batch.columns.map(fromColumn);
  return Array.from({ length: batch.rowCount }, (_, row) => columns.map((column) => column[row]));
}

export function batchOf(rows, forms) {
  return {
    rowCount: rows.length,
    columns: forms.map((form, column) => toColumn(rows.map((row) => row[column]), form)),
  };
}
