"""The JavaScript SDK's conversions, run by Node where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from zerodb.guests import tools
from zerodb.guests.files import SDK
from zerodb.guests.project import ProjectError

SCRIPT = """
import assert from "node:assert/strict";
import { Interval, batchOf, formOfType, fromColumn, fromValue, guessForm, packBits, rowsOf, toColumn, toValue }
  from "VALUES";

const back = (value) => fromValue(toValue(value));
for (const value of [null, true, 0n, -(2n ** 63n), 2n ** 63n - 1n, 1.5, -0, "", "ä", new Uint8Array([1, 2])])
  assert.deepEqual(back(value), value);
assert.equal(back(7), 7n);                       // a whole number is a bigint
assert.equal(back(2n ** 63n), String(2n ** 63n)); // numeric comes as text
assert.deepEqual(back(new Interval(1, 2, 3n)), new Interval(1, 2, 3n));
assert.deepEqual(back({ a: [1] }), { a: [1] });
assert.deepEqual(toValue([1, null, 'a "b"']), { tag: "other", val: '{1,NULL,"a \\\\"b\\\\""}' });
assert.equal(back(new Date("2024-02-29T12:00:00.5Z")), "2024-02-29T12:00:00.500000Z");
assert.equal(fromValue({ tag: "timestamp", val: -1n }), "1969-12-31T23:59:59.999999");
assert.equal(fromValue({ tag: "date", val: -1 }), "1969-12-31");
assert.equal(fromValue({ tag: "time", val: 3723000005n }), "01:02:03.000005");

const texts = { date: "2024-02-29", timestamp: "2024-02-29T01:02:03.000004", time: "23:59:59", uuid: "u" };
for (const [type, text] of Object.entries(texts))
  assert.deepEqual(fromColumn(toColumn([text, null], formOfType(type))), [text, null]);
assert.deepEqual(fromColumn(toColumn([1n, null, 3n], "int64")), [1n, null, 3n]);
assert.deepEqual(toColumn([], "int64").data.val, new BigInt64Array());
assert.equal(formOfType("timestamp(3) with time zone"), "timestamptz");
assert.equal(formOfType("numeric(10,2)"), "decimal");
assert.equal(formOfType("bigint[]"), "other");
assert.equal(guessForm([1, 2.5]), "float64");
assert.equal(guessForm([1, "a"]), undefined);
assert.equal(guessForm([null]), "text");
assert.deepEqual(packBits([1, 0, 1, 1, 0, 0, 0, 0, 1]), new Uint8Array([13, 1]));
const rows = [[1n, "a"], [2n, null]];
assert.deepEqual(rowsOf(batchOf(rows, ["int64", "text"])), rows);
assert.throws(() => toValue(() => 1), /SQL has no type for a function/);
console.log("good");
"""


def test_conversions(tmp_path: Path) -> None:
    try:
        node = tools.node()
    except ProjectError as error:
        pytest.skip(str(error))
    script = tmp_path / "values.test.mjs"
    script.write_text(SCRIPT.replace("VALUES", (SDK / "javascript" / "values.js").as_uri()))
    assert tools.run_tool([node, str(script)], tmp_path).strip() == "good"
