// Runs a compiled query that jco has made JavaScript of, over rows of its own, and prints the result as JSON lines.
//
//     node compiled_query.mjs FOLDER/query.js JOBS.json
//
// JOBS.json: {"inputs": {name: [column, ...]}, "parameters": [value, ...], "fed": 1000, "most": 1000}; a column is
// {"tag": "int64s", "values": [...]} with null for NULL.
import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { resolve } from 'node:path';

const [, , module, file] = process.argv;
const { compiledQuery } = await import(pathToFileURL(resolve(module)).href);
const job = JSON.parse(await readFile(file, 'utf8'));

const WIDE = new Set(['int64s', 'times', 'timestamps', 'timestamptzs']);

function columnValues({ tag, values }, start, end) {
  const part = values.slice(start, end);
  let validity;
  if (part.includes(null)) {
    validity = new Uint8Array(Math.ceil(part.length / 8));
    part.forEach((value, row) => { if (value !== null) validity[row >> 3] |= 1 << (row & 7); });
  }
  return { validity, data: { tag, val: list(tag, part) } };
}

function list(tag, part) {
  if (WIDE.has(tag)) return BigInt64Array.from(part, (value) => BigInt(value ?? 0));
  if (tag === 'float64s') return Float64Array.from(part, (value) => value ?? 0);
  if (tag === 'dates') return Int32Array.from(part, (value) => value ?? 0);
  if (tag === 'booleans') return part.map((value) => value ?? false);
  return part.map((value) => value ?? '');
}

function* rows({ rowCount, columns }) {
  for (let row = 0; row < rowCount; row++) {
    yield columns.map(({ validity, data }) =>
      validity && !(validity[row >> 3] & (1 << (row & 7))) ? null
        : typeof data.val[row] === 'bigint' ? Number(data.val[row]) : data.val[row]);
  }
}

const { inputs } = compiledQuery.describe();
const parameters = job.parameters.map(({ tag, val }) => ({ tag, val: tag === 'int64' ? BigInt(val) : val }));
const run = new compiledQuery.Run(parameters);
try {
  inputs.forEach(({ name }, number) => {
    const columns = job.inputs[name];
    const count = job.rows[name];
    for (let start = 0; start < count; start += job.fed) {
      const end = Math.min(start + job.fed, count);
      run.feed(number, {
        rowCount: end - start,
        columns: columns.map((column) => columnValues(column, start, end)),
      });
    }
  });
  for (let batch; (batch = run.nextBatch(job.most)) !== undefined;) {
    for (const row of rows(batch)) console.log(JSON.stringify(row));
  }
} catch (error) {
  if (!error.payload) throw error;
  console.log(JSON.stringify({ error: error.payload }));
} finally {
  run[Symbol.dispose ?? Symbol.for('dispose')]();
}
