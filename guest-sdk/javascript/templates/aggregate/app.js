// __NAME__: functions over groups of rows.
//
// create function span(value bigint) returns bigint language wasm as '__NAME__.wasm';
// select span(price) from item;
import { aggregate } from "zerodb-guest/functions";

// The distance between the least and the greatest value. `step` is not called for NULL; a bigint is a BigInt.
aggregate({ name: "span", arguments: { value: "bigint" }, returns: "bigint" }, class {
  step(value) {
    if (this.least === undefined || value < this.least) this.least = value;
    if (this.greatest === undefined || value > this.greatest) this.greatest = value;
  }

  finish() {
    return this.least === undefined ? null : this.greatest - this.least;
  }
});
