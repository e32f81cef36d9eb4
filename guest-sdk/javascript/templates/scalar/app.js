// __NAME__: functions for expressions.
//
// create function slug(title text) returns text language wasm as '__NAME__.wasm' immutable;
// select slug('Hello, world');
import { scalar } from "zerodb-guest/functions";

scalar({ name: "slug", arguments: { title: "text" }, returns: "text", volatility: "immutable" }, (title) =>
  title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, ""),
);
