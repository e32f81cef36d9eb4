// A program with rows of its own and no database: a query that zerodb has compiled computes its report.
//
//     zerodb run schema.sql --db shop.zdb
//     zerodb compile report.sql --db shop.zdb -o report.wasm
//     npx jco transpile report.wasm -o report
//     node report.mjs
import { compiledQuery } from './report/report.js';

const products = [
  { id: 1, name: 'pen', price: '1.20' },
  { id: 2, name: 'ink', price: '7.00' },
  { id: 3, name: 'pad', price: null },
];
const sales = [
  { product: 1, quantity: 10, sold: '2024-01-31' },
  { product: 2, quantity: 1, sold: '2024-02-01' },
  { product: 1, quantity: 2, sold: '2024-02-29' },
  { product: 3, quantity: 5, sold: '2024-03-01' },
  { product: 2, quantity: 3, sold: '2023-12-31' },
];

const DAY = 86_400_000;

// How a column's values are given, by its SQL type (zerosys:db/types has all forms).
function list(type, values) {
  if (type.startsWith('numeric')) return { tag: 'decimals', val: values.map((value) => value ?? '') };
  if (type === 'date') return { tag: 'dates', val: Int32Array.from(values, (value) => Date.parse(value) / DAY) };
  if (type === 'text') return { tag: 'texts', val: values.map((value) => value ?? '') };
  return { tag: 'int64s', val: BigInt64Array.from(values, (value) => BigInt(value ?? 0)) };
}

// A bit for each row, 1 where there is a value.
function validity(values) {
  const bits = new Uint8Array(Math.ceil(values.length / 8));
  values.forEach((value, row) => { if (value !== null) bits[row >> 3] |= 1 << (row & 7); });
  return bits;
}

function batch(rows, columns) {
  return {
    rowCount: rows.length,
    columns: columns.map(({ name, dataType }) => {
      const values = rows.map((row) => row[name]);
      return { validity: values.includes(null) ? validity(values) : undefined, data: list(dataType, values) };
    }),
  };
}

const { sql, inputs } = compiledQuery.describe();
console.log(sql);

const tables = { product: products, sale: sales };
const run = new compiledQuery.Run([{ tag: 'text', val: '2024-01-01' }]);
inputs.forEach(({ name, columns }, number) => run.feed(number, batch(tables[name], columns)));

for (let result; (result = run.nextBatch(1000)) !== undefined;) {
  for (let row = 0; row < result.rowCount; row++) {
    const [name, pieces, total, last] = result.columns.map(({ validity: bits, data }) =>
      bits && !(bits[row >> 3] & (1 << (row & 7))) ? null : data.val[row]);
    const day = new Date(last * DAY).toISOString().slice(0, 10);
    console.log(`${name}: ${pieces} pieces, ${total ?? 'no price'}, last on ${day}`);
  }
}
