// __NAME__: functions for FROM.
//
// create function words(text text) returns table(word text, place bigint) language wasm as '__NAME__.wasm';
// select * from words('to be or not to be');
import { table } from "zerodb-guest/functions";

const columns = { word: "text", place: "bigint" };

table({ name: "words", arguments: { text: "text" }, columns, volatility: "immutable" }, function* (text) {
  for (const [place, word] of text.split(/\s+/).filter(Boolean).entries()) yield [word, place + 1];
});
